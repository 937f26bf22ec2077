//! Two registers of eight. Without a dot product of bytes, pairs of 16 bits are exact and as
//! fast as anything: `pmaddubsw` would saturate.

use std::arch::x86_64::*;

use super::{LANES, Simd};
use crate::quantize::S8_MAX;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor has AVX2 and FMA.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// A value of [`Avx2`] is proof of its instructions: all that follows needs no more.
macro_rules! both {
    ($a:ident, $instruction:expr) => {
        // SAFETY: the processor has the instruction.
        unsafe { [$instruction($a[0]), $instruction($a[1])] }
    };
    ($a:ident, $b:ident, $instruction:ident) => {
        // SAFETY: the processor has the instruction.
        unsafe { [$instruction($a[0], $b[0]), $instruction($a[1], $b[1])] }
    };
}

impl Simd for Avx2 {
    type F = [__m256; 2];
    type I = [__m256i; 2];
    type H = __m256i;
    type Step = i16;
    const GROUP: usize = 2;
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: the processor has the instruction.
        [unsafe { _mm256_set1_ps(x) }; 2]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the caller's.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: Self::F) {
        // SAFETY: the caller's.
        unsafe {
            _mm256_storeu_ps(to, x[0]);
            _mm256_storeu_ps(to.add(8), x[1]);
        }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        both!(a, b, _mm256_add_ps)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        both!(a, b, _mm256_sub_ps)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        both!(a, b, _mm256_mul_ps)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the processor has the instruction.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        both!(a, b, _mm256_div_ps)
    }

    #[inline(always)]
    fn abs(self, x: Self::F) -> Self::F {
        let magnitude = self.splat(f32::from_bits(0x7fff_ffff));
        both!(x, magnitude, _mm256_and_ps)
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        both!(a, b, _mm256_min_ps)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        both!(a, b, _mm256_max_ps)
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        both!(x, _mm256_round_ps::<NEAREST>)
    }

    #[inline(always)]
    fn pow2(self, x: Self::F) -> Self::F {
        let whole = both!(x, _mm256_cvtps_epi32);
        // SAFETY: the processor has the instruction.
        let bias = [unsafe { _mm256_set1_epi32(127) }; 2];
        let exponent = both!(whole, bias, _mm256_add_epi32);
        let bits = both!(exponent, _mm256_slli_epi32::<23>);
        both!(bits, _mm256_castsi256_ps)
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        // SAFETY: the processor has the instructions.
        unsafe {
            let x = _mm256_add_ps(x[0], x[1]);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        // SAFETY: the processor has the instructions.
        unsafe {
            let x = _mm256_max_ps(x[0], x[1]);
            let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    #[inline(always)]
    unsafe fn sums(self, from: *const i32) -> Self::I {
        // SAFETY: the caller's.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())] }
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        both!(x, _mm256_cvtepi32_ps)
    }

    #[inline(always)]
    unsafe fn store_steps(self, to: *mut i16, x: Self::F) {
        let most = self.splat(S8_MAX);
        let steps = self.to_fixed(self.min(x, most));
        // SAFETY: the caller's.
        unsafe {
            let steps = _mm256_max_epi16(steps, _mm256_set1_epi16(-S8_MAX as i16));
            _mm256_storeu_si256(to.cast(), steps);
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut i8, x: Self::F) {
        let steps = self.to_fixed(x);
        // SAFETY: the caller's.
        unsafe {
            let low = _mm256_castsi256_si128(steps);
            let bytes = _mm_packs_epi16(low, _mm256_extracti128_si256::<1>(steps));
            _mm_storeu_si128(to.cast(), bytes);
        }
    }

    #[inline(always)]
    fn to_fixed(self, x: Self::F) -> Self::H {
        // What is too large for 32 bits would become the lowest number.
        let x = self.min(x, self.splat(f32::from(i16::MAX)));
        // SAFETY: the processor has the instructions.
        unsafe {
            let packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            // The instruction packs each half for itself.
            _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
        }
    }

    #[inline(always)]
    fn fixed_to_float(self, x: Self::H) -> Self::F {
        // SAFETY: the processor has the instructions.
        unsafe {
            let low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(x));
            let high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(x));
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
        }
    }

    #[inline(always)]
    fn fixed_splat(self, x: i16) -> Self::H {
        // SAFETY: the processor has the instruction.
        unsafe { _mm256_set1_epi16(x) }
    }

    #[inline(always)]
    unsafe fn fixed_load(self, from: *const i16) -> Self::H {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn fixed_store(self, to: *mut i16, x: Self::H) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_si256(to.cast(), x) }
    }

    #[inline(always)]
    fn fixed_add(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: the processor has the instruction.
        unsafe { _mm256_adds_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_sub(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: the processor has the instruction.
        unsafe { _mm256_subs_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_scale(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: the processor has the instruction.
        unsafe { _mm256_mullo_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_mul(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: the processor has the instruction.
        unsafe { _mm256_mulhrs_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_shift<const BITS: i32>(self, x: Self::H) -> Self::H {
        // SAFETY: the processor has the instructions.
        unsafe {
            let half = _mm256_set1_epi16(1 << (BITS - 1));
            _mm256_srai_epi16::<BITS>(_mm256_adds_epi16(x, half))
        }
    }

    #[inline(always)]
    fn fixed_min(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: the processor has the instruction.
        unsafe { _mm256_min_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_max(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: the processor has the instruction.
        unsafe { _mm256_max_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_abs(self, x: Self::H) -> Self::H {
        // SAFETY: the processor has the instructions. Of the lowest number, the magnitude is
        // itself, and as a number without sign the smaller of the two.
        unsafe { _mm256_min_epu16(_mm256_abs_epi16(x), _mm256_set1_epi16(i16::MAX)) }
    }

    #[inline(always)]
    unsafe fn fixed_store_steps<const BITS: i32>(self, to: *mut i16, x: Self::H) {
        const MOST: i16 = S8_MAX as i16;
        let steps = self.fixed_shift::<BITS>(x);
        let steps = self.fixed_min(steps, self.fixed_splat(MOST));
        // SAFETY: the caller's.
        unsafe { self.fixed_store(to, self.fixed_max(steps, self.fixed_splat(-MOST))) }
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(
        self,
        mut sums: [Self::I; R],
        rows: *const i16,
        stride: usize,
        weight: *const i8,
        inputs: usize,
    ) -> [Self::I; R] {
        // SAFETY: the caller's: pairs of inputs lie within rows and weights.
        unsafe {
            for pair in 0..inputs / 2 {
                let weight: *const __m128i = weight.add(pair * 2 * LANES).cast();
                let first = _mm256_cvtepi8_epi16(_mm_loadu_si128(weight));
                let second = _mm256_cvtepi8_epi16(_mm_loadu_si128(weight.add(1)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x: *const i32 = rows.add(row * stride + pair * 2).cast();
                    let x = _mm256_set1_epi32(x.read_unaligned());
                    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(x, first));
                    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(x, second));
                }
            }
            sums
        }
    }
}
