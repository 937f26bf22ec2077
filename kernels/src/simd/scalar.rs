//! Plain loops: the reference for the other instruction sets, and the fallback without them.

use super::{LANES, Simd};
use crate::quantize::S8_MAX;

/// The instructions of every processor.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

impl Simd for Scalar {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type H = [i16; LANES];
    type Int8 = i8;
    const GROUP: usize = 4;
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        *from
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], x: Self::F) {
        *to = x;
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // Rounded twice: `f32::mul_add` is a call on processors without the instruction.
        each(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn abs(self, x: Self::F) -> Self::F {
        each(|i| x[i].abs())
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i].min(b[i]))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i].max(b[i]))
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        each(|i| x[i].round_ties_even())
    }

    #[inline(always)]
    fn pow2(self, x: Self::F) -> Self::F {
        each(|i| f32::from_bits((((x[i] as i32) + 127) as u32) << 23))
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        let mut x = x;
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                x[i] += x[i + half];
            }
        }
        x[0]
    }

    #[inline(always)]
    fn max_lane(self, x: Self::F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32; LANES]) -> Self::I {
        *from
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        each(|i| x[i] as f32)
    }

    #[inline(always)]
    fn store_int8(self, to: &mut [i8; LANES], x: Self::F) {
        *to = x.map(|x| x.round_ties_even().clamp(-S8_MAX, S8_MAX) as i8);
    }

    #[inline(always)]
    fn store_i8(self, to: &mut [i8; LANES], x: Self::F) {
        self.store_int8(to, x);
    }

    #[inline(always)]
    fn to_fixed(self, x: Self::F) -> Self::H {
        x.map(|x| x.round_ties_even() as i16)
    }

    #[inline(always)]
    fn fixed_to_float(self, x: Self::H) -> Self::F {
        x.map(f32::from)
    }

    #[inline(always)]
    fn fixed_splat(self, x: i16) -> Self::H {
        [x; LANES]
    }

    #[inline(always)]
    fn fixed_load(self, from: &[i16; LANES]) -> Self::H {
        *from
    }

    #[inline(always)]
    fn fixed_store(self, to: &mut [i16; LANES], x: Self::H) {
        *to = x;
    }

    #[inline(always)]
    fn fixed_add(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i].saturating_add(b[i]))
    }

    #[inline(always)]
    fn fixed_sub(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i].saturating_sub(b[i]))
    }

    #[inline(always)]
    fn fixed_scale(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i].wrapping_mul(b[i]))
    }

    #[inline(always)]
    fn fixed_mul(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| ((i32::from(a[i]) * i32::from(b[i]) + (1 << 14)) >> 15) as i16)
    }

    #[inline(always)]
    fn fixed_shift<const BITS: i32>(self, x: Self::H) -> Self::H {
        x.map(|x| ((i32::from(x) + (1 << (BITS - 1))) >> BITS) as i16)
    }

    #[inline(always)]
    fn fixed_min(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i].min(b[i]))
    }

    #[inline(always)]
    fn fixed_max(self, a: Self::H, b: Self::H) -> Self::H {
        std::array::from_fn(|i| a[i].max(b[i]))
    }

    #[inline(always)]
    fn fixed_abs(self, x: Self::H) -> Self::H {
        x.map(i16::saturating_abs)
    }

    #[inline(always)]
    fn fixed_store_int8<const BITS: i32>(self, to: &mut [i8; LANES], x: Self::H) {
        const MOST: i16 = S8_MAX as i16;
        *to = self.fixed_shift::<BITS>(x).map(|x| x.clamp(-MOST, MOST) as i8);
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(
        self,
        mut sums: [Self::I; R],
        rows: *const i8,
        stride: usize,
        weight: *const i8,
        inputs: usize,
    ) -> [Self::I; R] {
        for input in 0..inputs {
            let (group, within) = (input / Self::GROUP, input % Self::GROUP);
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: by this function's contract each row has `inputs` values.
                let x = i32::from(unsafe { *rows.add(row * stride + input) });
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let at = (group * LANES + lane) * Self::GROUP + within;
                    // SAFETY: by this function's contract there are `inputs * LANES` weights.
                    *sum += x * i32::from(unsafe { *weight.add(at) });
                }
            }
        }
        sums
    }
}
