//! NEON: four registers of four floats.

mod tile;

use std::arch::aarch64::*;

use super::{LANES, Simd};
use crate::quantize::S8_MAX;

/// Proof that the processor has NEON and the instructions of `KIND`: [`PAIRS`], [`DOT`] or
/// [`MATMUL`].
#[derive(Clone, Copy)]
pub(crate) struct Neon<const KIND: u8>(());

/// Sums products of bytes in pairs, with the instructions of every Armv8 processor.
pub(super) const PAIRS: u8 = 0;
/// Sums four products by one instruction: SDOT of Armv8.2.
pub(super) const DOT: u8 = 1;
/// Sums eight products for two rows and two outputs by one instruction: SMMLA of Armv8.6.
pub(super) const MATMUL: u8 = 2;

impl<const KIND: u8> Neon<KIND> {
    /// # Safety
    /// The processor has NEON and the instructions of `KIND`.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// Applies an instruction to four registers. Only for functions of [`Neon`].
macro_rules! each {
    ($instruction:expr, $($x:ident),+) => {
        // SAFETY: `Neon` is proof of the instruction.
        unsafe {
            [
                $instruction($($x[0]),+),
                $instruction($($x[1]),+),
                $instruction($($x[2]),+),
                $instruction($($x[3]),+),
            ]
        }
    };
}

/// Applies an instruction to two registers. Only for functions of [`Neon`].
macro_rules! both {
    ($instruction:expr, $($x:ident),+) => {
        // SAFETY: `Neon` is proof of the instruction.
        unsafe { [$instruction($($x[0]),+), $instruction($($x[1]),+)] }
    };
}

impl<const KIND: u8> Simd for Neon<KIND> {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];
    type H = [int16x8_t; 2];
    type Int8 = i8;
    const GROUP: usize = if KIND == MATMUL { 8 } else { 4 };
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: `Neon` is proof of the instruction.
        [unsafe { vdupq_n_f32(x) }; 4]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        let from = from.as_ptr();
        // SAFETY: the array holds four registers of four floats.
        unsafe {
            [
                vld1q_f32(from),
                vld1q_f32(from.add(4)),
                vld1q_f32(from.add(8)),
                vld1q_f32(from.add(12)),
            ]
        }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], x: Self::F) {
        let to = to.as_mut_ptr();
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the array holds four registers of four floats.
            unsafe { vst1q_f32(to.add(4 * i), x) }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        each!(vaddq_f32, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        each!(vsubq_f32, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        each!(vmulq_f32, a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        each!(vfmaq_f32, c, a, b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        each!(vdivq_f32, a, b)
    }

    #[inline(always)]
    fn abs(self, x: Self::F) -> Self::F {
        each!(vabsq_f32, x)
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        each!(vminq_f32, a, b)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        each!(vmaxq_f32, a, b)
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        each!(vrndnq_f32, x)
    }

    #[inline(always)]
    fn pow2(self, x: Self::F) -> Self::F {
        let whole = each!(vcvtq_s32_f32, x);
        // SAFETY: `Neon` is proof of the instruction.
        let bias = [unsafe { vdupq_n_s32(127) }; 4];
        let exponent = each!(vaddq_s32, whole, bias);
        let bits = each!(vshlq_n_s32::<23>, exponent);
        each!(vreinterpretq_f32_s32, bits)
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        // SAFETY: `Neon` is proof of the instructions.
        unsafe {
            let x = vaddq_f32(vaddq_f32(x[0], x[2]), vaddq_f32(x[1], x[3]));
            vaddv_f32(vadd_f32(vget_low_f32(x), vget_high_f32(x)))
        }
    }

    #[inline(always)]
    fn max_lane(self, x: Self::F) -> f32 {
        // SAFETY: `Neon` is proof of the instructions.
        unsafe { vmaxvq_f32(vmaxq_f32(vmaxq_f32(x[0], x[1]), vmaxq_f32(x[2], x[3]))) }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32; LANES]) -> Self::I {
        let from = from.as_ptr();
        // SAFETY: the array holds four registers of four 32-bit numbers.
        unsafe {
            [
                vld1q_s32(from),
                vld1q_s32(from.add(4)),
                vld1q_s32(from.add(8)),
                vld1q_s32(from.add(12)),
            ]
        }
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        each!(vcvtq_f32_s32, x)
    }

    #[inline(always)]
    fn store_int8(self, to: &mut [i8; LANES], x: Self::F) {
        let x = each!(vcvtnq_s32_f32, x);
        // SAFETY: the array holds a register of sixteen bytes.
        unsafe {
            let low = vqmovn_high_s32(vqmovn_s32(x[0]), x[1]);
            let high = vqmovn_high_s32(vqmovn_s32(x[2]), x[3]);
            let bytes = vqmovn_high_s16(vqmovn_s16(low), high);
            vst1q_s8(to.as_mut_ptr(), vmaxq_s8(bytes, vdupq_n_s8(-S8_MAX as i8)));
        }
    }

    #[inline(always)]
    fn store_i8(self, to: &mut [i8; LANES], x: Self::F) {
        self.store_int8(to, x);
    }

    #[inline(always)]
    fn to_fixed(self, x: Self::F) -> Self::H {
        let x = each!(vcvtnq_s32_f32, x);
        // SAFETY: `Neon` is proof of the instructions.
        unsafe {
            [vqmovn_high_s32(vqmovn_s32(x[0]), x[1]), vqmovn_high_s32(vqmovn_s32(x[2]), x[3])]
        }
    }

    #[inline(always)]
    fn fixed_to_float(self, x: Self::H) -> Self::F {
        // SAFETY: `Neon` is proof of the instructions.
        let x = unsafe {
            [
                vmovl_s16(vget_low_s16(x[0])),
                vmovl_high_s16(x[0]),
                vmovl_s16(vget_low_s16(x[1])),
                vmovl_high_s16(x[1]),
            ]
        };
        self.to_float(x)
    }

    #[inline(always)]
    fn fixed_splat(self, x: i16) -> Self::H {
        // SAFETY: `Neon` is proof of the instruction.
        [unsafe { vdupq_n_s16(x) }; 2]
    }

    #[inline(always)]
    fn fixed_load(self, from: &[i16; LANES]) -> Self::H {
        let from = from.as_ptr();
        // SAFETY: the array holds two registers of eight 16-bit numbers.
        unsafe { [vld1q_s16(from), vld1q_s16(from.add(8))] }
    }

    #[inline(always)]
    fn fixed_store(self, to: &mut [i16; LANES], x: Self::H) {
        let to = to.as_mut_ptr();
        // SAFETY: the array holds two registers of eight 16-bit numbers.
        unsafe {
            vst1q_s16(to, x[0]);
            vst1q_s16(to.add(8), x[1]);
        }
    }

    #[inline(always)]
    fn fixed_add(self, a: Self::H, b: Self::H) -> Self::H {
        both!(vqaddq_s16, a, b)
    }

    #[inline(always)]
    fn fixed_sub(self, a: Self::H, b: Self::H) -> Self::H {
        both!(vqsubq_s16, a, b)
    }

    #[inline(always)]
    fn fixed_scale(self, a: Self::H, b: Self::H) -> Self::H {
        both!(vmulq_s16, a, b)
    }

    #[inline(always)]
    fn fixed_mul(self, a: Self::H, b: Self::H) -> Self::H {
        both!(vqrdmulhq_s16, a, b)
    }

    #[inline(always)]
    fn fixed_shift<const BITS: i32>(self, x: Self::H) -> Self::H {
        both!(vrshrq_n_s16::<BITS>, x)
    }

    #[inline(always)]
    fn fixed_min(self, a: Self::H, b: Self::H) -> Self::H {
        both!(vminq_s16, a, b)
    }

    #[inline(always)]
    fn fixed_max(self, a: Self::H, b: Self::H) -> Self::H {
        both!(vmaxq_s16, a, b)
    }

    #[inline(always)]
    fn fixed_abs(self, x: Self::H) -> Self::H {
        both!(vqabsq_s16, x)
    }

    #[inline(always)]
    fn fixed_store_int8<const BITS: i32>(self, to: &mut [i8; LANES], x: Self::H) {
        // SAFETY: the array holds a register of sixteen bytes.
        unsafe {
            let bytes = vqrshrn_high_n_s16::<BITS>(vqrshrn_n_s16::<BITS>(x[0]), x[1]);
            vst1q_s8(to.as_mut_ptr(), vmaxq_s8(bytes, vdupq_n_s8(-S8_MAX as i8)));
        }
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(
        self,
        sums: [Self::I; R],
        rows: *const i8,
        stride: usize,
        weight: *const i8,
        inputs: usize,
    ) -> [Self::I; R] {
        // SAFETY: `Neon` is proof of the instructions of `KIND`. These functions have the same
        // contract for rows and weights.
        unsafe {
            match KIND {
                PAIRS => tile::pairs(sums, rows, stride, weight, inputs),
                DOT => tile::dot(sums, rows, stride, weight, inputs),
                _ => tile::matmul(sums, rows, stride, weight, inputs),
            }
        }
    }
}
