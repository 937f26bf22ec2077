//! Vectors of sixteen lanes, whatever the processor's registers hold.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(miri, target_arch = "x86_64"))]
mod interpreted;
mod isa;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

pub use isa::Isa;
pub(crate) use isa::Task;
pub(crate) use math::{exp, gelu, quick_gelu};

/// Number of values in a vector. Channels are processed in groups of this size.
pub const LANES: usize = 16;

/// The next whole number of [`LANES`].
pub(crate) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// The values, and zeros up to a whole number of [`LANES`].
pub(crate) fn with_zeros(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.resize(padded(values.len()), 0.0);
    values
}

/// Operations on vectors of [`LANES`] values.
///
/// A value of a type that implements this trait is proof that the processor has its instructions:
/// only [`Isa::run`] creates one, after the instructions were detected.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Floats.
    type F: Copy;
    /// Sums of products of int8 values, 32 bits each.
    type I: Copy;
    /// Fixed-point numbers of 16 bits; operations saturate.
    type H: Copy;
    /// An int8 value in an operand: -127 to 127, plus [`Simd::OFFSET`].
    type Int8: Copy;
    /// Number of inputs whose products one instruction sums. Packed weights keep them together.
    const GROUP: usize;
    /// Added to every int8 value in an operand. Sums start with minus this times the sum of the
    /// weights.
    const OFFSET: i32;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, from: &[f32; LANES]) -> Self::F;
    fn store(self, to: &mut [f32; LANES], x: Self::F);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once or twice.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn abs(self, x: Self::F) -> Self::F;
    /// The nearest whole number, ties to even.
    fn round(self, x: Self::F) -> Self::F;
    /// `2^x` of whole numbers from -126 to 127.
    fn pow2(self, x: Self::F) -> Self::F;
    /// Sum of the lanes. The upper half is added to the lower half until one lane is left, so that
    /// the result is the same on every processor to the last bit.
    fn sum(self, x: Self::F) -> f32;
    /// The largest lane.
    fn max_lane(self, x: Self::F) -> f32;
    fn load_i32(self, from: &[i32; LANES]) -> Self::I;
    fn to_float(self, x: Self::I) -> Self::F;
    /// Rounds to int8 values of an operand, ties to even; clamps to -127 and 127.
    fn store_int8(self, to: &mut [Self::Int8; LANES], x: Self::F);
    /// Rounds to bytes, ties to even; `x` is from -127 to 127.
    fn store_i8(self, to: &mut [i8; LANES], x: Self::F);
    /// Rounds to whole numbers, ties to even.
    fn to_fixed(self, x: Self::F) -> Self::H;
    fn fixed_to_float(self, x: Self::H) -> Self::F;
    fn fixed_splat(self, x: i16) -> Self::H;
    fn fixed_load(self, from: &[i16; LANES]) -> Self::H;
    fn fixed_store(self, to: &mut [i16; LANES], x: Self::H);
    fn fixed_add(self, a: Self::H, b: Self::H) -> Self::H;
    fn fixed_sub(self, a: Self::H, b: Self::H) -> Self::H;
    /// The lower 16 bits of the product.
    fn fixed_scale(self, a: Self::H, b: Self::H) -> Self::H;
    /// `a * b / 2^15`, rounded to the nearest, ties up; not for -32768 times itself.
    fn fixed_mul(self, a: Self::H, b: Self::H) -> Self::H;
    /// `x / 2^BITS`, rounded to the nearest, ties up.
    fn fixed_shift<const BITS: i32>(self, x: Self::H) -> Self::H;
    fn fixed_min(self, a: Self::H, b: Self::H) -> Self::H;
    fn fixed_max(self, a: Self::H, b: Self::H) -> Self::H;
    /// The magnitude; 32767 for -32768.
    fn fixed_abs(self, x: Self::H) -> Self::H;
    /// [`Simd::fixed_shift`] to int8 values of an operand; clamps to -127 and 127.
    fn fixed_store_int8<const BITS: i32>(self, to: &mut [Self::Int8; LANES], x: Self::H);
    /// Adds to `sums` the products of `R` rows of an operand, `stride` values apart, with
    /// [`LANES`] outputs of packed weights.
    ///
    /// # Safety
    /// `inputs` is a multiple of [`LANES`]. Each row has `inputs` values, and there are
    /// `inputs * LANES` weights.
    unsafe fn tile<const R: usize>(
        self,
        sums: [Self::I; R],
        rows: *const Self::Int8,
        stride: usize,
        weight: *const i8,
        inputs: usize,
    ) -> [Self::I; R];

    /// [`Simd::load`] through a pointer.
    ///
    /// # Safety
    /// `from` points to [`LANES`] floats.
    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> Self::F {
        // SAFETY: by this function's contract.
        self.load(unsafe { &*from.cast() })
    }

    /// [`Simd::store`] through a pointer.
    ///
    /// # Safety
    /// `to` points to [`LANES`] floats that no other thread accesses.
    #[inline(always)]
    unsafe fn store_ptr(self, to: *mut f32, x: Self::F) {
        // SAFETY: by this function's contract.
        self.store(unsafe { &mut *to.cast() }, x);
    }
}
