//! GELU in 16-bit fixed point, before an int8 layer.
//!
//! GELU(x) = max(x, 0) - R(|x|), where R is at most 0.17 and nearly 0 beyond 4. The next layer's
//! quantization steps are fine enough for the first term, and a polynomial for the second.

use crate::simd::{LANES, Simd, with_zeros};

/// Fractional bits of the fixed-point numbers, in units of the next layer's quantization step.
pub(crate) const FRACTION: i32 = 6;

const ONE: f32 = (1 << FRACTION) as f32;

/// |x| from which on R is taken to be constant.
const END: f32 = 3.9;

/// Largest inverse scale: 16 bits must hold the lowest value of GELU.
const MAX_INVERSE_SCALE: f32 = 3000.0;

/// Coefficients of R in 2^-16, for powers of `2 |x| / END - 1`, the highest first. The maximum
/// error, 1.7e-4, is the smallest possible.
const R: [i16; 8] = [-4800, 4009, 13_739, -20_922, 2714, 13_645, -11_646, 3264];

/// GELU in fixed point for the quantization of the layer after it. All vectors have one value for
/// each channel, padded to whole [`LANES`].
pub(crate) struct FixedGelu {
    /// From floats to fixed point: the inverse scale with [`FRACTION`], halved until 16 bits reach
    /// as far as [`END`].
    scale: Vec<f32>,
    /// [`END`] in fixed point.
    limit: Vec<i16>,
    /// A whole number and a fraction whose product maps `limit` to 2^14.
    widen: Vec<i16>,
    narrow: Vec<i16>,
    /// From 2^-16 to fixed point.
    rest: Vec<i16>,
    /// Undoes the halving of `scale`.
    double: Vec<i16>,
    /// Largest value that `double` may multiply.
    highest: Vec<i16>,
}

impl FixedGelu {
    /// GELU for a layer with these inverse scales of its input channels. `None` if one is too
    /// large for 16 bits, or not positive.
    pub(crate) fn new(inverse_scale: &[f32]) -> Option<Self> {
        const MAX: f32 = i16::MAX as f32;
        if !inverse_scale.iter().all(|scale| *scale > 0.0 && *scale <= MAX_INVERSE_SCALE) {
            return None;
        }
        let double: Vec<f32> = inverse_scale
            .iter()
            .map(|inverse_scale| (END * inverse_scale * ONE / MAX).log2().ceil().max(0.0).exp2())
            .collect();
        let scale = inverse_scale.iter().zip(&double);
        let scale: Vec<f32> =
            scale.map(|(inverse_scale, double)| inverse_scale * ONE / double).collect();
        let limit: Vec<f32> = scale.iter().map(|scale| (END * scale).round()).collect();
        let widen: Vec<f32> = limit.iter().map(|limit| (MAX / limit.max(1.0)).floor()).collect();
        let narrow = scale.iter().zip(&widen);
        // `fixed_mul` divides by 2^15.
        let narrow = narrow.map(|(scale, widen)| 32768.0 * 16384.0 / (END * scale * widen));
        let whole = |values: &[f32]| -> Vec<i16> {
            with_zeros(values).iter().map(|x| x.round() as i16).collect()
        };
        let highest: Vec<f32> = double.iter().map(|double| (MAX / double).floor()).collect();
        Some(Self {
            limit: whole(&limit),
            widen: whole(&widen),
            narrow: whole(&narrow.collect::<Vec<_>>()),
            rest: whole(&scale.iter().map(|scale| scale / 2.0).collect::<Vec<_>>()),
            double: whole(&double),
            highest: whole(&highest),
            scale: with_zeros(&scale),
        })
    }

    /// Factor from floats to the fixed point of [`FixedGelu::forward`], for the [`LANES`] channels
    /// from `channel` on.
    ///
    /// # Panics
    /// If there are fewer channels.
    #[inline(always)]
    pub(crate) fn scale<S: Simd>(&self, s: S, channel: usize) -> S::F {
        s.load(lanes(&self.scale, channel))
    }

    /// GELU of rows of [`LANES`] channels, from `channel` on. Calls `each` with `(row, values)`;
    /// both its values and those of `rows` are in fixed point.
    ///
    /// # Panics
    /// If there are fewer channels.
    #[inline(always)]
    pub(crate) fn forward<S: Simd>(
        &self,
        s: S,
        channel: usize,
        rows: &[[i16; LANES]],
        mut each: impl FnMut(usize, S::H),
    ) {
        let Self { limit, widen, narrow, rest, double, highest, .. } = self;
        let [limit, widen, narrow, rest, double, highest] =
            [limit, widen, narrow, rest, double, highest].map(
                #[inline(always)]
                |values| s.fixed_load(lanes(values, channel)),
            );
        let half = s.fixed_splat(1 << 13);
        for (row, x) in rows.iter().enumerate() {
            let x = s.fixed_load(x);
            let near = s.fixed_min(s.fixed_abs(x), limit);
            let t = s.fixed_sub(s.fixed_mul(s.fixed_scale(near, widen), narrow), half);
            let t = s.fixed_add(t, t);
            let t = s.fixed_add(t, t);
            let mut r = s.fixed_splat(R[0]);
            for coefficient in &R[1..] {
                r = s.fixed_add(s.fixed_mul(r, t), s.fixed_splat(*coefficient));
            }
            let positive = s.fixed_max(x, s.fixed_splat(0));
            let y = s.fixed_sub(positive, s.fixed_mul(r, rest));
            each(row, s.fixed_scale(s.fixed_min(y, highest), double));
        }
    }
}

/// The [`LANES`] values from `channel` on.
#[inline(always)]
fn lanes<T>(values: &[T], channel: usize) -> &[T; LANES] {
    values[channel..].first_chunk().expect("channels come in whole vectors")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Task, gelu};

    struct Both<'a>(&'a FixedGelu, &'a [f32]);

    impl Task for Both<'_> {
        /// GELU in float and in fixed point, the latter in quantization steps.
        type Output = Vec<(f32, f32)>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let Self(fixed_gelu, values) = self;
            let mut found = Vec::new();
            for x in values.as_chunks().0 {
                let (mut fixed, mut whole, mut exact) = ([0; LANES], [0.0; LANES], [0.0; LANES]);
                let x = s.load(x);
                s.fixed_store(&mut fixed, s.to_fixed(s.mul(x, fixed_gelu.scale(s, 0))));
                s.store(&mut exact, gelu(s, x));
                fixed_gelu.forward(
                    s,
                    0,
                    &[fixed],
                    #[inline(always)]
                    |_, y| s.store(&mut whole, s.fixed_to_float(y)),
                );
                let both = exact.into_iter().zip(whole);
                found.extend(both.map(|(exact, whole)| (exact, whole / ONE)));
            }
            found
        }
    }

    #[test]
    fn error_is_within_its_bound_and_the_same_on_every_processor() {
        // From the coarsest quantization to the finest.
        for inverse_scale in [0.5_f32, 8.4, 30.0, 100.0, 777.0, 2262.0, 3000.0] {
            let fixed_gelu = FixedGelu::new(&[inverse_scale; LANES]).unwrap();
            // As far as 256 quantization steps, and beyond the bend of GELU.
            let most = (256.0 / inverse_scale).max(20.0);
            // The interpreter has time for few values.
            let count = if cfg!(miri) { 16 } else { 8000 };
            let x = (-count..count).map(|i| i as f32 / count as f32 * most);
            let x: Vec<f32> = x.collect();
            let expected = Isa::SCALAR.run(Both(&fixed_gelu, &x));
            for (x, (exact, found)) in x.iter().zip(&expected) {
                // The next layer clamps beyond 255 steps.
                let [exact, found] = [exact * inverse_scale, *found].map(|y| y.min(255.0));
                // Rounding, of fine steps to what 16 bits resolve, and the polynomial.
                let most = 2.0 / ONE + 6e-4 * inverse_scale;
                assert!((exact - found).abs() < most, "{inverse_scale}: {x} {exact} {found}");
            }
            for isa in Isa::available() {
                let found = isa.run(Both(&fixed_gelu, &x));
                let same = found.iter().zip(&expected).all(|(a, b)| a.1 == b.1);
                assert!(same, "{} at {inverse_scale}", isa.name());
            }
        }
    }

    #[test]
    fn scales_beyond_16_bits_are_rejected() {
        for inverse_scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 3100.0] {
            assert!(FixedGelu::new(&[100.0, inverse_scale]).is_none(), "{inverse_scale}");
        }
    }
}
