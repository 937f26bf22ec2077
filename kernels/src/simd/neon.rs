//! Four registers of four.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{LANES, Simd};
use crate::quantize::S8_MAX;

/// How products of bytes are summed: by pairs, by fours ([`DOT`], Armv8.2's SDOT), or by
/// eights for two rows and two outputs at once ([`MATMUL`], Armv8.6's SMMLA).
#[derive(Clone, Copy)]
pub(crate) struct Neon<const KIND: u8>(());

pub(super) const PAIRS: u8 = 0;
pub(super) const DOT: u8 = 1;
pub(super) const MATMUL: u8 = 2;

impl<const KIND: u8> Neon<KIND> {
    /// # Safety
    /// The processor has NEON, and what `KIND` says.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// A value of [`Neon`] is proof of its instructions: all that follows needs no more.
macro_rules! each {
    ($instruction:expr, $($x:ident),+) => {
        // SAFETY: the processor has the instruction.
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

macro_rules! both {
    ($instruction:expr, $($x:ident),+) => {
        // SAFETY: the processor has the instruction.
        unsafe { [$instruction($($x[0]),+), $instruction($($x[1]),+)] }
    };
}

impl<const KIND: u8> Simd for Neon<KIND> {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];
    type H = [int16x8_t; 2];
    type Step = i8;
    const GROUP: usize = if KIND == MATMUL { 8 } else { 4 };
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: the processor has the instruction.
        [unsafe { vdupq_n_f32(x) }; 4]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the caller's.
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
    unsafe fn store(self, to: *mut f32, x: Self::F) {
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the caller's.
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
        // SAFETY: the processor has the instruction.
        let bias = [unsafe { vdupq_n_s32(127) }; 4];
        let exponent = each!(vaddq_s32, whole, bias);
        let bits = each!(vshlq_n_s32::<23>, exponent);
        each!(vreinterpretq_f32_s32, bits)
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        // SAFETY: the processor has the instructions.
        unsafe {
            let x = vaddq_f32(vaddq_f32(x[0], x[2]), vaddq_f32(x[1], x[3]));
            vaddv_f32(vadd_f32(vget_low_f32(x), vget_high_f32(x)))
        }
    }

    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        // SAFETY: the processor has the instructions.
        unsafe { vmaxvq_f32(vmaxq_f32(vmaxq_f32(x[0], x[1]), vmaxq_f32(x[2], x[3]))) }
    }

    #[inline(always)]
    unsafe fn sums(self, from: *const i32) -> Self::I {
        // SAFETY: the caller's.
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
    unsafe fn store_steps(self, to: *mut i8, x: Self::F) {
        let x = each!(vcvtnq_s32_f32, x);
        // SAFETY: the caller's.
        unsafe {
            let low = vqmovn_high_s32(vqmovn_s32(x[0]), x[1]);
            let high = vqmovn_high_s32(vqmovn_s32(x[2]), x[3]);
            let steps = vqmovn_high_s16(vqmovn_s16(low), high);
            vst1q_s8(to, vmaxq_s8(steps, vdupq_n_s8(-S8_MAX as i8)));
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut i8, x: Self::F) {
        // SAFETY: the caller's.
        unsafe { self.store_steps(to, x) }
    }

    #[inline(always)]
    fn to_fixed(self, x: Self::F) -> Self::H {
        let x = each!(vcvtnq_s32_f32, x);
        // SAFETY: the processor has the instructions.
        unsafe {
            [vqmovn_high_s32(vqmovn_s32(x[0]), x[1]), vqmovn_high_s32(vqmovn_s32(x[2]), x[3])]
        }
    }

    #[inline(always)]
    fn fixed_to_float(self, x: Self::H) -> Self::F {
        // SAFETY: the processor has the instructions.
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
        // SAFETY: the processor has the instruction.
        [unsafe { vdupq_n_s16(x) }; 2]
    }

    #[inline(always)]
    unsafe fn fixed_load(self, from: *const i16) -> Self::H {
        // SAFETY: the caller's.
        unsafe { [vld1q_s16(from), vld1q_s16(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn fixed_store(self, to: *mut i16, x: Self::H) {
        // SAFETY: the caller's.
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
    unsafe fn fixed_store_steps<const BITS: i32>(self, to: *mut i8, x: Self::H) {
        // SAFETY: the caller's.
        unsafe {
            let steps = vqrshrn_high_n_s16::<BITS>(vqrshrn_n_s16::<BITS>(x[0]), x[1]);
            vst1q_s8(to, vmaxq_s8(steps, vdupq_n_s8(-S8_MAX as i8)));
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
        // SAFETY: the caller's.
        unsafe {
            match KIND {
                PAIRS => pairs(sums, rows, stride, weight, inputs),
                DOT => fours(sums, rows, stride, weight, inputs),
                _ => two_by_two(sums, rows, stride, weight, inputs),
            }
        }
    }
}

/// Adds products of all inputs, by fours.
#[inline(always)]
unsafe fn fours<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: *const i8,
    stride: usize,
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    // SAFETY: the caller's: sixteen inputs at a time lie within rows and weights.
    unsafe {
        for sixteen in 0..inputs / LANES {
            let mut x = [vdupq_n_s8(0); R];
            for (row, x) in x.iter_mut().enumerate() {
                *x = vld1q_s8(rows.add(row * stride + sixteen * LANES));
            }
            let weight = weight.add(sixteen * LANES * LANES);
            quarter::<R, 0>(&mut sums, &x, weight);
            quarter::<R, 1>(&mut sums, &x, weight);
            quarter::<R, 2>(&mut sums, &x, weight);
            quarter::<R, 3>(&mut sums, &x, weight);
        }
    }
    sums
}

/// Adds products of four inputs.
#[inline(always)]
unsafe fn quarter<const R: usize, const LANE: i32>(
    sums: &mut [[int32x4_t; 4]; R],
    x: &[int8x16_t; R],
    weight: *const i8,
) {
    for half in 0..2 {
        // SAFETY: the caller's. Two registers of weights are what is left beside the sums; they
        // are loaded by one instruction.
        let weights = unsafe {
            let weight = weight.add((LANE as usize * 4 + half * 2) * LANES);
            [vld1q_s8(weight), vld1q_s8(weight.add(LANES))]
        };
        for (part, weight) in weights.into_iter().enumerate() {
            for (sums, x) in sums.iter_mut().zip(x) {
                // The intrinsic is not stable.
                // SAFETY: the processor has the instruction, which touches registers only.
                unsafe {
                    asm!(
                        ".arch_extension dotprod",
                        "sdot {sum:v}.4s, {weight:v}.16b, {x:v}.4b[{lane}]",
                        sum = inout(vreg) sums[half * 2 + part],
                        weight = in(vreg) weight,
                        x = in(vreg) *x,
                        lane = const LANE,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
            }
        }
    }
}

/// Adds products of all inputs, for two rows at once: that is what registers hold.
#[inline(always)]
unsafe fn pairs<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: *const i8,
    stride: usize,
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    for (pair, sums) in sums.chunks_mut(2).enumerate() {
        // SAFETY: the caller's.
        unsafe {
            let row = rows.add(2 * pair * stride);
            if let [a, b] = sums {
                [*a, *b] = few([*a, *b], [row, row.add(stride)], weight, inputs);
            } else if let [a] = sums {
                [*a] = few([*a], [row], weight, inputs);
            }
        }
    }
    sums
}

/// Two products of at most 127^2 are summed in 16 bits, and pairs of such sums in 32.
#[inline(always)]
unsafe fn few<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: [*const i8; R],
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    // SAFETY: the caller's: eight inputs at a time lie within rows and weights.
    unsafe {
        // Two neighbours are of one output.
        let mut neighbours = [[vdupq_n_s32(0); 8]; R];
        for eight in 0..inputs / 8 {
            let weight = weight.add(eight * 8 * LANES);
            // Loops, as closures of arrays' methods are calls here.
            let mut x = [[vdupq_n_s8(0); 2]; R];
            for (x, row) in x.iter_mut().zip(rows) {
                for (i, x) in x.iter_mut().enumerate() {
                    *x = vreinterpretq_s8_s32(vld1q_dup_s32(row.add(eight * 8 + i * 4).cast()));
                }
            }
            for part in 0..4 {
                let a = vld1q_s8(weight.add(part * LANES));
                let b = vld1q_s8(weight.add((4 + part) * LANES));
                for (neighbours, [x, y]) in neighbours.iter_mut().zip(x) {
                    let low = vmull_s8(vget_low_s8(a), vget_low_s8(x));
                    let low = vmlal_s8(low, vget_low_s8(b), vget_low_s8(y));
                    let high = vmlal_high_s8(vmull_high_s8(a, x), b, y);
                    neighbours[2 * part] = vpadalq_s16(neighbours[2 * part], low);
                    neighbours[2 * part + 1] = vpadalq_s16(neighbours[2 * part + 1], high);
                }
            }
        }
        for (sums, neighbours) in sums.iter_mut().zip(neighbours) {
            for (part, sum) in sums.iter_mut().enumerate() {
                let found = vpaddq_s32(neighbours[2 * part], neighbours[2 * part + 1]);
                *sum = vaddq_s32(*sum, found);
            }
        }
        sums
    }
}

/// Adds products of all inputs, for two rows and two outputs by each instruction.
#[inline(always)]
unsafe fn two_by_two<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: *const i8,
    stride: usize,
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    // SAFETY: the caller's: sixteen inputs at a time lie within rows and weights.
    unsafe {
        // Of each pair of rows and of outputs; of the last row of an odd number, there is half.
        let mut pairs = [[vdupq_n_s32(0); 8]; R];
        let pairs = &mut pairs[..R.div_ceil(2)];
        for sixteen in 0..inputs / LANES {
            let weight = weight.add(sixteen * LANES * LANES);
            for (pair, sums) in pairs.iter_mut().enumerate() {
                let load = |row: usize| {
                    let row = row.min(R - 1);
                    vreinterpretq_s64_s8(vld1q_s8(rows.add(row * stride + sixteen * LANES)))
                };
                let (a, b) = (load(2 * pair), load(2 * pair + 1));
                for (half, x) in [vzip1q_s64(a, b), vzip2q_s64(a, b)].into_iter().enumerate() {
                    let x = vreinterpretq_s8_s64(x);
                    for (outputs, sum) in sums.iter_mut().enumerate() {
                        let weight = vld1q_s8(weight.add((half * 8 + outputs) * LANES));
                        // The intrinsic is not stable.
                        asm!(
                            ".arch_extension i8mm",
                            "smmla {sum:v}.4s, {x:v}.16b, {weight:v}.16b",
                            sum = inout(vreg) *sum,
                            x = in(vreg) x,
                            weight = in(vreg) weight,
                            options(pure, nomem, nostack, preserves_flags),
                        );
                    }
                }
            }
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let pair = pairs[row / 2].map(|sum| vreinterpretq_s64_s32(sum));
            for (four, sum) in sums.iter_mut().enumerate() {
                let (a, b) = (pair[2 * four], pair[2 * four + 1]);
                let found = if row % 2 == 0 { vzip1q_s64(a, b) } else { vzip2q_s64(a, b) };
                *sum = vaddq_s32(*sum, vreinterpretq_s32_s64(found));
            }
        }
        sums
    }
}
