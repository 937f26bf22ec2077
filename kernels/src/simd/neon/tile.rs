//! Sums of products of int8 values, in three ways.
//!
//! All functions take rows `stride` apart and [`LANES`] outputs of packed weights, as
//! [`Simd::tile`](super::Simd::tile) does.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::simd::LANES;

/// Adds the products of all inputs, four by one instruction.
///
/// # Safety
/// The processor has SDOT. Each row has `inputs` values, a multiple of [`LANES`], and there are
/// `inputs * LANES` weights.
#[inline(always)]
pub(super) unsafe fn dot<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: *const i8,
    stride: usize,
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    // SAFETY: by this function's contract the processor has SDOT, and sixteen inputs at a time lie
    // within rows and weights.
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

/// Adds the products of four inputs: those in 32-bit lane `LANE` of `x`.
///
/// # Safety
/// The processor has SDOT, and there are `LANES * LANES` weights.
#[inline(always)]
unsafe fn quarter<const R: usize, const LANE: i32>(
    sums: &mut [[int32x4_t; 4]; R],
    x: &[int8x16_t; R],
    weight: *const i8,
) {
    for half in 0..2 {
        // Besides the sums, two registers are left for weights; one instruction loads both.
        // SAFETY: `(LANE * 4 + half * 2 + 2) * LANES` is at most `LANES * LANES`, which this
        // function's contract provides.
        let weights = unsafe {
            let weight = weight.add((LANE as usize * 4 + half * 2) * LANES);
            [vld1q_s8(weight), vld1q_s8(weight.add(LANES))]
        };
        for (part, weight) in weights.into_iter().enumerate() {
            for (sums, x) in sums.iter_mut().zip(x) {
                // Rust's intrinsic for it is unstable.
                // SAFETY: by this function's contract the processor has the instruction, which
                // works on registers only.
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

/// Adds the products of all inputs for two rows at a time: the registers hold sums for two.
///
/// # Safety
/// The processor has NEON. Each row has `inputs` values, a multiple of eight, and there are
/// `inputs * LANES` weights.
#[inline(always)]
pub(super) unsafe fn pairs<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: *const i8,
    stride: usize,
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    for (pair, sums) in sums.chunks_mut(2).enumerate() {
        // SAFETY: by this function's contract the rows `2 * pair` and, where it has a sum,
        // `2 * pair + 1` have `inputs` values; the rest is handed on.
        unsafe {
            let row = rows.add(2 * pair * stride);
            if let [a, b] = sums {
                [*a, *b] = pairs_of_rows([*a, *b], [row, row.add(stride)], weight, inputs);
            } else if let [a] = sums {
                [*a] = pairs_of_rows([*a], [row], weight, inputs);
            }
        }
    }
    sums
}

/// Adds the products of all inputs for one row or two. Two products of at most 127 * 128 are
/// summed in 16 bits, and pairs of such sums in 32.
///
/// # Safety
/// The processor has NEON. Each row has `inputs` values, a multiple of eight, and there are
/// `inputs * LANES` weights.
#[inline(always)]
unsafe fn pairs_of_rows<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: [*const i8; R],
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    // SAFETY: by this function's contract eight inputs at a time lie within rows and weights.
    unsafe {
        // Neighbouring lanes belong to the same output.
        let mut neighbours = [[vdupq_n_s32(0); 8]; R];
        for eight in 0..inputs / 8 {
            let weight = weight.add(eight * 8 * LANES);
            // Loops: the compiler does not inline closures of array methods here.
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

/// Adds the products of all inputs, for two rows and two outputs by one instruction.
///
/// # Safety
/// The processor has SMMLA. Each row has `inputs` values, a multiple of [`LANES`], and there are
/// `inputs * LANES` weights.
#[inline(always)]
pub(super) unsafe fn matmul<const R: usize>(
    mut sums: [[int32x4_t; 4]; R],
    rows: *const i8,
    stride: usize,
    weight: *const i8,
    inputs: usize,
) -> [[int32x4_t; 4]; R] {
    // SAFETY: by this function's contract the processor has SMMLA, and sixteen inputs at a time
    // lie within rows and weights; an odd last row also takes the place of its missing neighbour.
    unsafe {
        // Sums for each pair of rows and pair of outputs.
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
                        // Rust's intrinsic for it is unstable.
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
