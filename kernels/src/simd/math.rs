//! Functions of vectors.

use super::Simd;

/// `x/2 (1 + erf(x / sqrt 2))`, with an error of at most `1e-6 (1 + |x|)`.
///
/// The tail of the normal distribution is formula 7.1.26 of Abramowitz and Stegun.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    /// Coefficients of the powers of `t`, the highest first.
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

/// GELU with an error of at most `5e-5 + 5e-6 |x|`, for int8 layers.
///
/// The normal distribution function is `1/2 + x P(x^2)` up to 4.25 and 1 beyond. Among the
/// polynomials that reach 1 there, P has the smallest maximum error of `x (1/2 + x P(x^2))`.
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

/// `e^x` for `x <= 0`, with an error of at most `3e-7 (15 - x) e^x + 1e-37`.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    /// Taylor coefficients of `2^x`, the highest power first, for `x` from -1/2 to 1/2.
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
    use crate::simd::{Isa, LANES, Task};

    /// A function and the values that it is applied to.
    struct Each<F>(F, Vec<f32>);

    trait Function {
        fn apply<S: Simd>(&self, s: S, x: S::F) -> S::F;
    }

    impl<F: Function> Task for Each<F> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            let Self(f, mut values) = self;
            for x in values.as_chunks_mut().0 {
                let y = f.apply(s, s.load(x));
                s.store(x, y);
            }
            values
        }
    }

    struct Gelu;

    impl Function for Gelu {
        #[inline(always)]
        fn apply<S: Simd>(&self, s: S, x: S::F) -> S::F {
            gelu(s, x)
        }
    }

    struct QuickGelu;

    impl Function for QuickGelu {
        #[inline(always)]
        fn apply<S: Simd>(&self, s: S, x: S::F) -> S::F {
            quick_gelu(s, x)
        }
    }

    struct Exp;

    impl Function for Exp {
        #[inline(always)]
        fn apply<S: Simd>(&self, s: S, x: S::F) -> S::F {
            exp(s, x)
        }
    }

    struct Sum;

    impl Function for Sum {
        #[inline(always)]
        fn apply<S: Simd>(&self, s: S, x: S::F) -> S::F {
            s.splat(s.sum(x))
        }
    }

    #[test]
    fn sums_are_the_same_to_the_last_bit_on_every_processor() {
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
        // The exact values, by numerical integration of the bell curve.
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
