//! What kernels are written in: sixteen lanes at a time, whatever the processor's registers hold.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(miri, target_arch = "x86_64"))]
mod interpreted;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

pub use isa::Isa;
pub(crate) use isa::Task;

/// Values that are computed at once. Channels come in groups of so many.
pub const LANES: usize = 16;

/// Operations on [`LANES`] values.
///
/// A value of a type that implements it is proof that the processor has the instructions: only
/// [`Isa::run`] makes one, where they were found.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Floats.
    type F: Copy;
    /// Sums of products of steps, 32 bits each.
    type I: Copy;
    /// Fixed-point numbers of 16 bits. What is too large becomes the largest.
    type H: Copy;
    /// A number of steps in memory, from -127 to 127, and [`Simd::OFFSET`].
    type Step: Copy;
    /// Inputs whose products are summed by one instruction: packed weights keep them together.
    const GROUP: usize;
    /// By how much steps in memory are too large: sums start with as much less.
    const OFFSET: i32;

    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// `from` points to [`LANES`] values.
    unsafe fn load(self, from: *const f32) -> Self::F;
    /// # Safety
    /// `to` points to room for [`LANES`] values.
    unsafe fn store(self, to: *mut f32, x: Self::F);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once or twice.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn abs(self, x: Self::F) -> Self::F;
    /// To the nearest whole number, ties to even.
    fn round(self, x: Self::F) -> Self::F;
    /// `2^x` of whole numbers from -126 to 127.
    fn pow2(self, x: Self::F) -> Self::F;
    /// Sum of the lanes: the upper half is added to the lower one until one is left, so that the
    /// last digit is the same on every processor.
    fn sum(self, x: Self::F) -> f32;
    /// The largest lane.
    fn largest(self, x: Self::F) -> f32;
    /// # Safety
    /// `from` points to [`LANES`] sums.
    unsafe fn sums(self, from: *const i32) -> Self::I;
    fn to_float(self, x: Self::I) -> Self::F;
    /// Rounds to steps, ties to even.
    ///
    /// # Safety
    /// `to` points to room for [`LANES`] steps.
    unsafe fn store_steps(self, to: *mut Self::Step, x: Self::F);
    /// The same as bytes; `x` is within 127 either way.
    ///
    /// # Safety
    /// `to` points to room for [`LANES`] bytes.
    unsafe fn store_bytes(self, to: *mut i8, x: Self::F);
    /// Rounds to whole numbers, ties to even.
    fn to_fixed(self, x: Self::F) -> Self::H;
    fn fixed_to_float(self, x: Self::H) -> Self::F;
    fn fixed_splat(self, x: i16) -> Self::H;
    /// # Safety
    /// `from` points to [`LANES`] values.
    unsafe fn fixed_load(self, from: *const i16) -> Self::H;
    /// # Safety
    /// `to` points to room for [`LANES`] values.
    unsafe fn fixed_store(self, to: *mut i16, x: Self::H);
    fn fixed_add(self, a: Self::H, b: Self::H) -> Self::H;
    fn fixed_sub(self, a: Self::H, b: Self::H) -> Self::H;
    /// The lower half of the product.
    fn fixed_scale(self, a: Self::H, b: Self::H) -> Self::H;
    /// `a * b / 2^15`, rounded to the nearest, ties up; not of the lowest number with itself.
    fn fixed_mul(self, a: Self::H, b: Self::H) -> Self::H;
    /// `x / 2^BITS`, rounded likewise.
    fn fixed_shift<const BITS: i32>(self, x: Self::H) -> Self::H;
    fn fixed_min(self, a: Self::H, b: Self::H) -> Self::H;
    fn fixed_max(self, a: Self::H, b: Self::H) -> Self::H;
    /// The magnitude; of the lowest number, the largest.
    fn fixed_abs(self, x: Self::H) -> Self::H;
    /// `x / 2^BITS`, rounded as [`Simd::fixed_shift`] does, as steps.
    ///
    /// # Safety
    /// `to` points to room for [`LANES`] steps.
    unsafe fn fixed_store_steps<const BITS: i32>(self, to: *mut Self::Step, x: Self::H);
    /// Adds to `sums` the products of `R` rows of steps as they are in memory, `stride` apart,
    /// with [`LANES`] rows of packed weights.
    /// `inputs` is a multiple of [`LANES`].
    ///
    /// # Safety
    /// Each row has `inputs` steps, `weight` `inputs * LANES` values.
    unsafe fn tile<const R: usize>(
        self,
        sums: [Self::I; R],
        rows: *const Self::Step,
        stride: usize,
        weight: *const i8,
        inputs: usize,
    ) -> [Self::I; R];
}

/// `x/2 (1 + erf(x / sqrt 2))` within 1e-6 and 1e-6 of `x`.
///
/// The tail of the normal distribution is what Abramowitz and Stegun have (7.1.26).
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    /// Of `t / 2`.
    const P: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
    let far = s.abs(x);
    let a = s.mul(far, s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = s.div(s.splat(1.0), s.mul_add(a, s.splat(0.327_591_1), s.splat(1.0)));
    let mut p = s.splat(P[0]);
    for coefficient in &P[1..] {
        p = s.mul_add(p, t, s.splat(*coefficient));
    }
    let tail = s.mul(s.mul(p, s.mul(t, s.splat(0.5))), exp(s, s.sub(s.splat(0.0), s.mul(a, a))));
    s.sub(s.max(x, s.splat(0.0)), s.mul(far, tail))
}

/// The same within 5e-5 and 5e-6 of `x`.
///
/// The normal distribution is 1/2 + x P(x^2) up to 4.25, where it is cut off: P has the least
/// largest error of `x` times it among those that reach 1 there.
#[inline(always)]
pub(crate) fn quick_gelu<S: Simd>(s: S, x: S::F) -> S::F {
    const END: f32 = 4.25;
    const P: [f32; 9] = [
        4.552_638e-11,
        -4.5099765e-09,
        1.9810357e-07,
        -5.1321462e-06,
        8.8262528e-05,
        -1.0772783e-03,
        9.711_201e-3,
        -6.617_516e-2,
        3.9880886e-01,
    ];
    let near = s.max(s.min(x, s.splat(END)), s.splat(-END));
    let square = s.mul(near, near);
    let mut p = s.splat(P[0]);
    for coefficient in &P[1..] {
        p = s.mul_add(p, square, s.splat(*coefficient));
    }
    s.mul(x, s.mul_add(near, p, s.splat(0.5)))
}

/// `e^x` of negative numbers, within `3e-7 (15 - x)` of the result; next to 0 for very low ones.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    /// Of 2^x, from -1/2 to 1/2: its first terms.
    const P: [f32; 6] =
        [1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 2.402_265e-1, 6.931_472e-1, 1.0];
    let x = s.max(s.mul(x, s.splat(std::f32::consts::LOG2_E)), s.splat(-126.0));
    let whole = s.round(x);
    let rest = s.sub(x, whole);
    let mut p = s.splat(P[0]);
    for coefficient in &P[1..] {
        p = s.mul_add(p, rest, s.splat(*coefficient));
    }
    s.mul(p, s.pow2(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of [`LANES`] values.
    struct Each<F>(F, Vec<f32>);

    trait Function {
        fn of<S: Simd>(&self, s: S, x: S::F) -> S::F;
    }

    impl<F: Function> Task for Each<F> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            let Self(f, mut values) = self;
            for x in values.chunks_exact_mut(LANES) {
                // SAFETY: chunks are that long.
                unsafe { s.store(x.as_mut_ptr(), f.of(s, s.load(x.as_ptr()))) };
            }
            values
        }
    }

    struct Gelu;

    impl Function for Gelu {
        #[inline(always)]
        fn of<S: Simd>(&self, s: S, x: S::F) -> S::F {
            gelu(s, x)
        }
    }

    struct QuickGelu;

    impl Function for QuickGelu {
        #[inline(always)]
        fn of<S: Simd>(&self, s: S, x: S::F) -> S::F {
            quick_gelu(s, x)
        }
    }

    struct Exp;

    impl Function for Exp {
        #[inline(always)]
        fn of<S: Simd>(&self, s: S, x: S::F) -> S::F {
            exp(s, x)
        }
    }

    struct Sum;

    impl Function for Sum {
        #[inline(always)]
        fn of<S: Simd>(&self, s: S, x: S::F) -> S::F {
            s.splat(s.sum(x))
        }
    }

    #[test]
    fn sums_have_the_same_last_digit_on_every_processor() {
        let x: Vec<f32> = (0..100 * LANES).map(|i| (i as f32 * 1.7).sin()).collect();
        let halves = |x: &[f32]| -> f32 {
            let mut sums = x.to_vec();
            while let Some(half) = Some(sums.len() / 2).filter(|half| *half > 0) {
                let upper = sums.split_off(half);
                sums.iter_mut().zip(upper).for_each(|(lower, upper)| *lower += upper);
            }
            sums[0]
        };
        let expected: Vec<f32> = x.chunks_exact(LANES).map(halves).collect();
        for isa in Isa::available() {
            let found = isa.run(Each(Sum, x.clone()));
            let found: Vec<f32> = found.chunks_exact(LANES).map(|sum| sum[0]).collect();
            assert_eq!(found, expected, "{}", isa.name());
        }
    }

    #[test]
    fn gelu_is_within_its_bound_on_every_processor() {
        // What it is, by summing up the bell curve.
        let step = 1e-4;
        let mut below = 0.5;
        let half: Vec<(f64, f64)> = (0..80_000)
            .map(|i| {
                let x = f64::from(i) * step;
                let found = (x, below);
                let middle = x + step / 2.0;
                below += step * (-middle * middle / 2.0).exp() / std::f64::consts::TAU.sqrt();
                found
            })
            .collect();
        let both = half.iter().flat_map(|(x, below)| [(*x, x * below), (-x, -x * (1.0 - below))]);
        let (x, expected): (Vec<f32>, Vec<f64>) = both.map(|(x, y)| (x as f32, y)).unzip();
        for isa in Isa::available() {
            let exact = isa.run(Each(Gelu, x.clone()));
            let quick = isa.run(Each(QuickGelu, x.clone()));
            for (i, (x, expected)) in x.iter().zip(&expected).enumerate() {
                for (found, most) in [(exact[i], [1e-6, 1e-6]), (quick[i], [5e-5, 5e-6])] {
                    let error = (f64::from(found) - expected).abs();
                    let most = most[0] + most[1] * expected.abs();
                    assert!(error < most, "{}: {x} {found} {expected}", isa.name());
                }
            }
            let x = [1e18, -1e18, 100.0, -100.0_f32];
            for found in [isa.run(Each(Gelu, x.repeat(4))), isa.run(Each(QuickGelu, x.repeat(4)))] {
                for (found, x) in found.iter().zip(x) {
                    let off = (found - x.max(0.0)).abs();
                    assert!(off < 5e-6 * x.abs(), "{}: {x} {found}", isa.name());
                }
            }
        }
    }

    #[test]
    fn exp_is_within_its_bound_on_every_processor() {
        let x: Vec<f32> = (0..16_000).map(|i| i as f32 * -0.005).collect();
        for isa in Isa::available() {
            let found = isa.run(Each(Exp, x.clone()));
            for (x, found) in x.iter().zip(found) {
                let expected = f64::from(*x).exp();
                let error = (f64::from(found) - expected).abs();
                assert!(
                    error < 3e-7 * f64::from(15.0 - x) * expected + 1e-37,
                    "{}: {x} {found}",
                    isa.name()
                );
            }
            assert!(isa.run(Each(Exp, vec![-1e30; LANES]))[0] < 1e-37);
        }
    }
}
