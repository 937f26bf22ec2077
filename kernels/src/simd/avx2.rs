//! AVX2: two registers of eight floats.
//!
//! Operands hold int8 values in 16 bits: products of 16-bit pairs are exact, where those of bytes
//! (`vpmaddubsw`) would saturate.

use std::arch::x86_64::*;

use super::{LANES, Simd};
use crate::quantize::S8_MAX;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor has AVX2 and FMA.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// Applies an instruction to both registers. Only for functions of [`Avx2`].
macro_rules! both {
    ($a:ident, $instruction:expr) => {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { [$instruction($a[0]), $instruction($a[1])] }
    };
    ($a:ident, $b:ident, $instruction:ident) => {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { [$instruction($a[0], $b[0]), $instruction($a[1], $b[1])] }
    };
}

impl Simd for Avx2 {
    type F = [__m256; 2];
    type I = [__m256i; 2];
    type H = __m256i;
    type Int8 = i16;
    const GROUP: usize = 2;
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: `Avx2` is proof of the instruction.
        [unsafe { _mm256_set1_ps(x) }; 2]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        let from = from.as_ptr();
        // SAFETY: the array holds two registers of eight floats.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], x: Self::F) {
        let to = to.as_mut_ptr();
        // SAFETY: the array holds two registers of eight floats.
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
        // SAFETY: `Avx2` is proof of the instruction.
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
        // SAFETY: `Avx2` is proof of the instruction.
        let bias = [unsafe { _mm256_set1_epi32(127) }; 2];
        let exponent = both!(whole, bias, _mm256_add_epi32);
        let bits = both!(exponent, _mm256_slli_epi32::<23>);
        both!(bits, _mm256_castsi256_ps)
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        // SAFETY: `Avx2` is proof of the instructions.
        unsafe {
            let x = _mm256_add_ps(x[0], x[1]);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    #[inline(always)]
    fn max_lane(self, x: Self::F) -> f32 {
        // SAFETY: `Avx2` is proof of the instructions.
        unsafe {
            let x = _mm256_max_ps(x[0], x[1]);
            let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32; LANES]) -> Self::I {
        let from = from.as_ptr();
        // SAFETY: the array holds two registers of eight 32-bit numbers.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())] }
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        both!(x, _mm256_cvtepi32_ps)
    }

    #[inline(always)]
    fn store_int8(self, to: &mut [i16; LANES], x: Self::F) {
        let most = self.splat(S8_MAX);
        let whole = self.to_fixed(self.min(x, most));
        // SAFETY: the array holds a register of sixteen 16-bit numbers.
        unsafe {
            let whole = _mm256_max_epi16(whole, _mm256_set1_epi16(-S8_MAX as i16));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), whole);
        }
    }

    #[inline(always)]
    fn store_i8(self, to: &mut [i8; LANES], x: Self::F) {
        let whole = self.to_fixed(x);
        // SAFETY: the array holds a register of sixteen bytes.
        unsafe {
            let low = _mm256_castsi256_si128(whole);
            let bytes = _mm_packs_epi16(low, _mm256_extracti128_si256::<1>(whole));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
    }

    #[inline(always)]
    fn to_fixed(self, x: Self::F) -> Self::H {
        // The conversion turns numbers beyond 32 bits into the lowest one.
        let x = self.min(x, self.splat(f32::from(i16::MAX)));
        // SAFETY: `Avx2` is proof of the instructions.
        unsafe {
            let packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            // The instruction packs the lower and the upper halves of its operands separately.
            _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
        }
    }

    #[inline(always)]
    fn fixed_to_float(self, x: Self::H) -> Self::F {
        // SAFETY: `Avx2` is proof of the instructions.
        unsafe {
            let low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(x));
            let high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(x));
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
        }
    }

    #[inline(always)]
    fn fixed_splat(self, x: i16) -> Self::H {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { _mm256_set1_epi16(x) }
    }

    #[inline(always)]
    fn fixed_load(self, from: &[i16; LANES]) -> Self::H {
        // SAFETY: the array holds a register of sixteen 16-bit numbers.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn fixed_store(self, to: &mut [i16; LANES], x: Self::H) {
        // SAFETY: the array holds a register of sixteen 16-bit numbers.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), x) }
    }

    #[inline(always)]
    fn fixed_add(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { _mm256_adds_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_sub(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { _mm256_subs_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_scale(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { _mm256_mullo_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_mul(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { _mm256_mulhrs_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_shift<const BITS: i32>(self, x: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instructions.
        unsafe {
            let half = _mm256_set1_epi16(1 << (BITS - 1));
            _mm256_srai_epi16::<BITS>(_mm256_adds_epi16(x, half))
        }
    }

    #[inline(always)]
    fn fixed_min(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { _mm256_min_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_max(self, a: Self::H, b: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instruction.
        unsafe { _mm256_max_epi16(a, b) }
    }

    #[inline(always)]
    fn fixed_abs(self, x: Self::H) -> Self::H {
        // SAFETY: `Avx2` is proof of the instructions. Of the lowest number, the magnitude is
        // itself, and as a number without sign the smaller of the two.
        unsafe { _mm256_min_epu16(_mm256_abs_epi16(x), _mm256_set1_epi16(i16::MAX)) }
    }

    #[inline(always)]
    fn fixed_store_int8<const BITS: i32>(self, to: &mut [i16; LANES], x: Self::H) {
        const MOST: i16 = S8_MAX as i16;
        let whole = self.fixed_shift::<BITS>(x);
        let whole = self.fixed_min(whole, self.fixed_splat(MOST));
        self.fixed_store(to, self.fixed_max(whole, self.fixed_splat(-MOST)));
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
        // SAFETY: by this function's contract each row has `inputs` values, an even number, and
        // there are `inputs * LANES` weights; no pair reaches beyond.
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
