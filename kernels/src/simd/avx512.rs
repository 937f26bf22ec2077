//! AVX-512 with VNNI: one register of sixteen floats.
//!
//! The dot product of bytes takes one side unsigned. Operands therefore hold int8 values plus 128,
//! and sums start with minus 128 times the sum of the weights.

use std::arch::x86_64::*;

use super::avx2::Avx2;
#[cfg(miri)]
use super::interpreted::{
    _mm512_cvtps_epi32, _mm512_cvtsepi32_epi8, _mm512_cvtsepi32_epi16, _mm512_max_ps,
    _mm512_min_ps, _mm512_roundscale_ps,
};
use super::{LANES, Simd};
use crate::quantize::S8_MAX;

/// Proof that the processor has AVX-512 F, BW, VL and VNNI, AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx512 {
    /// Instructions for sixteen numbers of 16 bits.
    half: Avx2,
}

impl Avx512 {
    /// # Safety
    /// The processor has AVX-512 F, BW, VL and VNNI, AVX2 and FMA.
    pub(super) unsafe fn new() -> Self {
        // SAFETY: by this function's contract the processor has AVX2 and FMA, too.
        Self { half: unsafe { Avx2::new() } }
    }

    /// Rounds to bytes from -127 to 127.
    #[inline(always)]
    fn to_bytes(self, x: __m512) -> __m128i {
        // The conversion turns numbers beyond 32 bits into the lowest one.
        let x = self.min(x, self.splat(S8_MAX));
        // SAFETY: `Avx512` is proof of the instructions.
        unsafe {
            let bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x));
            _mm_max_epi8(bytes, _mm_set1_epi8(-S8_MAX as i8))
        }
    }
}

/// Stores signed bytes as unsigned ones, 128 larger.
#[inline(always)]
fn store_unsigned(to: &mut [u8; LANES], bytes: __m128i) {
    // SAFETY: x86-64 has these instructions (SSE2); the array holds a register of sixteen bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_xor_si128(bytes, _mm_set1_epi8(-128))) }
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type H = __m256i;
    type Int8 = u8;
    const GROUP: usize = 4;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        // SAFETY: the array holds a register of sixteen floats.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], x: Self::F) {
        // SAFETY: the array holds a register of sixteen floats.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, x: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_abs_ps(x) }
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_roundscale_ps::<NEAREST>(x) }
    }

    #[inline(always)]
    fn pow2(self, x: Self::F) -> Self::F {
        // SAFETY: `Avx512` is proof of the instructions.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        // SAFETY: `Avx512` is proof of the instructions.
        unsafe { _mm512_reduce_add_ps(x) }
    }

    #[inline(always)]
    fn max_lane(self, x: Self::F) -> f32 {
        // SAFETY: `Avx512` is proof of the instructions.
        unsafe { _mm512_reduce_max_ps(x) }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32; LANES]) -> Self::I {
        // SAFETY: the array holds a register of sixteen 32-bit numbers.
        unsafe { _mm512_loadu_epi32(from.as_ptr()) }
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        // SAFETY: `Avx512` is proof of the instruction.
        unsafe { _mm512_cvtepi32_ps(x) }
    }

    #[inline(always)]
    fn store_int8(self, to: &mut [u8; LANES], x: Self::F) {
        store_unsigned(to, self.to_bytes(x));
    }

    #[inline(always)]
    fn store_i8(self, to: &mut [i8; LANES], x: Self::F) {
        // SAFETY: the array holds a register of sixteen bytes.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), self.to_bytes(x)) }
    }

    #[inline(always)]
    fn to_fixed(self, x: Self::F) -> Self::H {
        // The conversion turns numbers beyond 32 bits into the lowest one.
        let x = self.min(x, self.splat(f32::from(i16::MAX)));
        // SAFETY: `Avx512` is proof of the instructions.
        unsafe { _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x)) }
    }

    #[inline(always)]
    fn fixed_to_float(self, x: Self::H) -> Self::F {
        // SAFETY: `Avx512` is proof of the instructions.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(x)) }
    }

    #[inline(always)]
    fn fixed_splat(self, x: i16) -> Self::H {
        self.half.fixed_splat(x)
    }

    #[inline(always)]
    fn fixed_load(self, from: &[i16; LANES]) -> Self::H {
        self.half.fixed_load(from)
    }

    #[inline(always)]
    fn fixed_store(self, to: &mut [i16; LANES], x: Self::H) {
        self.half.fixed_store(to, x);
    }

    #[inline(always)]
    fn fixed_add(self, a: Self::H, b: Self::H) -> Self::H {
        self.half.fixed_add(a, b)
    }

    #[inline(always)]
    fn fixed_sub(self, a: Self::H, b: Self::H) -> Self::H {
        self.half.fixed_sub(a, b)
    }

    #[inline(always)]
    fn fixed_scale(self, a: Self::H, b: Self::H) -> Self::H {
        self.half.fixed_scale(a, b)
    }

    #[inline(always)]
    fn fixed_mul(self, a: Self::H, b: Self::H) -> Self::H {
        self.half.fixed_mul(a, b)
    }

    #[inline(always)]
    fn fixed_shift<const BITS: i32>(self, x: Self::H) -> Self::H {
        self.half.fixed_shift::<BITS>(x)
    }

    #[inline(always)]
    fn fixed_min(self, a: Self::H, b: Self::H) -> Self::H {
        self.half.fixed_min(a, b)
    }

    #[inline(always)]
    fn fixed_max(self, a: Self::H, b: Self::H) -> Self::H {
        self.half.fixed_max(a, b)
    }

    #[inline(always)]
    fn fixed_abs(self, x: Self::H) -> Self::H {
        self.half.fixed_abs(x)
    }

    #[inline(always)]
    fn fixed_store_int8<const BITS: i32>(self, to: &mut [u8; LANES], x: Self::H) {
        // SAFETY: `Avx512` is proof of the instructions.
        let bytes = unsafe {
            let bytes = _mm256_cvtsepi16_epi8(self.fixed_shift::<BITS>(x));
            _mm_max_epi8(bytes, _mm_set1_epi8(-S8_MAX as i8))
        };
        store_unsigned(to, bytes);
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(
        self,
        mut sums: [Self::I; R],
        rows: *const u8,
        stride: usize,
        weight: *const i8,
        inputs: usize,
    ) -> [Self::I; R] {
        // SAFETY: by this function's contract each row has `inputs` values, a multiple of eight,
        // and there are `inputs * LANES` weights; no group of eight reaches beyond.
        unsafe {
            // Two sums for each row: a single one would have to wait for the previous addition.
            let mut others = [_mm512_setzero_si512(); R];
            for eight in 0..inputs / 8 {
                let weight = weight.add(eight * 8 * LANES);
                let first = _mm512_loadu_epi8(weight);
                let second = _mm512_loadu_epi8(weight.add(4 * LANES));
                for row in 0..R {
                    let x: *const i32 = rows.add(row * stride + eight * 8).cast();
                    let [a, b] = [x.read_unaligned(), x.add(1).read_unaligned()];
                    sums[row] = _mm512_dpbusd_epi32(sums[row], _mm512_set1_epi32(a), first);
                    others[row] = _mm512_dpbusd_epi32(others[row], _mm512_set1_epi32(b), second);
                }
            }
            for (sum, other) in sums.iter_mut().zip(others) {
                *sum = _mm512_add_epi32(*sum, other);
            }
            sums
        }
    }
}
