//! Plain loops: what every faster variant is tested against, and what runs where there is none.

use super::{LANES, Simd};
use crate::quantize::S8_MAX;

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
    type Step = i8;
    const GROUP: usize = 4;
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self::F>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: Self::F) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self::F>().write_unaligned(x) }
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
        // Rounded twice: without an instruction for it, once is a call.
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
    fn largest(self, x: Self::F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn sums(self, from: *const i32) -> Self::I {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self::I>().read_unaligned() }
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        each(|i| x[i] as f32)
    }

    #[inline(always)]
    unsafe fn store_steps(self, to: *mut i8, x: Self::F) {
        let steps = x.map(|x| x.round_ties_even().clamp(-S8_MAX, S8_MAX) as i8);
        // SAFETY: the caller's.
        unsafe { to.cast::<[i8; LANES]>().write_unaligned(steps) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut i8, x: Self::F) {
        // SAFETY: the caller's.
        unsafe { self.store_steps(to, x) }
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
    unsafe fn fixed_load(self, from: *const i16) -> Self::H {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self::H>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn fixed_store(self, to: *mut i16, x: Self::H) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self::H>().write_unaligned(x) }
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
    unsafe fn fixed_store_steps<const BITS: i32>(self, to: *mut i8, x: Self::H) {
        const MOST: i16 = S8_MAX as i16;
        let steps = self.fixed_shift::<BITS>(x).map(|x| x.clamp(-MOST, MOST) as i8);
        // SAFETY: the caller's.
        unsafe { to.cast::<[i8; LANES]>().write_unaligned(steps) }
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
                // SAFETY: the caller's: `input` is one of the row's.
                let x = i32::from(unsafe { *rows.add(row * stride + input) });
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let at = (group * LANES + lane) * Self::GROUP + within;
                    // SAFETY: the caller's: there are `inputs * LANES` weights.
                    *sum += x * i32::from(unsafe { *weight.add(at) });
                }
            }
        }
        sums
    }
}
