//! Two registers of eight. Without a dot product of bytes, pairs of 16 bits are exact and as
//! fast as anything: `pmaddubsw` would saturate.

use std::arch::x86_64::*;

use super::{LANES, Simd};

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
    type Step = i16;
    const GROUP: usize = 2;
    const ROWS: usize = 6;

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
    fn nothing(self) -> Self::I {
        // SAFETY: the processor has the instruction.
        [unsafe { _mm256_setzero_si256() }; 2]
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        both!(x, _mm256_cvtepi32_ps)
    }

    #[inline(always)]
    unsafe fn store_steps(self, to: *mut i16, x: Self::F) {
        // SAFETY: the caller's.
        unsafe {
            let packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            // The instruction packs each half for itself.
            let steps = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            _mm256_storeu_si256(to.cast(), steps);
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut i8, x: Self::F) {
        // SAFETY: the caller's.
        unsafe {
            let packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            let steps = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            let low = _mm256_castsi256_si128(steps);
            let bytes = _mm_packs_epi16(low, _mm256_extracti128_si256::<1>(steps));
            _mm_storeu_si128(to.cast(), bytes);
        }
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
