//! GELU on the way to 8 bits, in 16 bits.
//!
//! GELU(x) = max(x, 0) - R(|x|), where R is at most 0.17 and next to nothing beyond 4: steps that
//! the next layer takes are fine enough for the first, and a polynomial for the second.

use crate::packed::with_zeros;
use crate::simd::{LANES, Simd};

/// Bits after the point of what is computed in steps.
pub(crate) const FRACTION: i32 = 6;

const ONE: f32 = (1 << FRACTION) as f32;

/// From here on, R is taken for what it is here.
const END: f32 = 3.9;

/// Most steps in a unit: the lowest value of GELU must not be more than 16 bits hold.
const FINEST: f32 = 3000.0;

/// R in 2^-16 by powers of `2 |x| / END - 1`, the highest first: the least largest error, within
/// 1.7e-4.
const R: [i16; 8] = [-4800, 4009, 13_739, -20_922, 2714, 13_645, -11_646, 3264];

/// What GELU needs to know of the steps of the layer after it, one value for each channel.
pub(crate) struct GeluSteps {
    /// Steps in a unit, with [`FRACTION`], halved until 16 bits reach as far as [`END`].
    scale: Vec<f32>,
    /// [`END`] in such steps.
    limit: Vec<i16>,
    /// A whole number and a share of one that turn [`END`] into 2^14.
    widen: Vec<i16>,
    narrow: Vec<i16>,
    /// From 2^-16 to such steps.
    rest: Vec<i16>,
    /// What makes up for the halving, and the most that it may be done to.
    double: Vec<i16>,
    highest: Vec<i16>,
}

impl GeluSteps {
    /// For a layer of which `inverse` is one by the step size of each channel; none if steps
    /// are too fine, or not positive.
    pub(crate) fn new(inverse: &[f32]) -> Option<Self> {
        const MOST: f32 = i16::MAX as f32;
        if !inverse.iter().all(|inverse| *inverse > 0.0 && *inverse <= FINEST) {
            return None;
        }
        let double: Vec<f32> = inverse
            .iter()
            .map(|inverse| (END * inverse * ONE / MOST).log2().ceil().max(0.0).exp2())
            .collect();
        let scale: Vec<f32> =
            inverse.iter().zip(&double).map(|(inverse, double)| inverse * ONE / double).collect();
        let limit: Vec<f32> = scale.iter().map(|scale| (END * scale).round()).collect();
        let widen: Vec<f32> = limit.iter().map(|limit| (MOST / limit.max(1.0)).floor()).collect();
        let narrow = scale.iter().zip(&widen);
        // A half of it, as a share is less than one.
        let narrow = narrow.map(|(scale, widen)| 32768.0 * 16384.0 / (END * scale * widen));
        let whole = |values: &[f32]| -> Vec<i16> {
            with_zeros(values).iter().map(|x| x.round() as i16).collect()
        };
        let highest: Vec<f32> = double.iter().map(|double| (MOST / double).floor()).collect();
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

    /// By what [`LANES`] channels are multiplied on the way to [`GeluSteps::forward`].
    ///
    /// # Safety
    /// There are those channels.
    #[inline(always)]
    pub(crate) unsafe fn scale<S: Simd>(&self, s: S, channel: usize) -> S::F {
        // SAFETY: the caller's.
        unsafe { s.load(self.scale.as_ptr().add(channel)) }
    }

    /// GELU of `rows` of [`LANES`] channels, given in steps with [`FRACTION`] as
    /// `(row, values)`.
    ///
    /// # Safety
    /// There are so many rows, and those channels.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        channel: usize,
        from: *const i16,
        rows: usize,
        mut each: impl FnMut(usize, S::H),
    ) {
        // SAFETY: the caller's.
        unsafe {
            let Self { limit, widen, narrow, rest, double, highest, .. } = self;
            let [limit, widen, narrow, rest, double, highest] =
                [limit, widen, narrow, rest, double, highest].map(
                    #[inline(always)]
                    |values| s.fixed_load(values.as_ptr().add(channel)),
                );
            let half = s.fixed_splat(1 << 13);
            for row in 0..rows {
                let x = s.fixed_load(from.add(row * LANES));
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Task, gelu};

    struct Of<'a>(&'a GeluSteps, &'a [f32]);

    impl Task for Of<'_> {
        /// Exactly, and by 16 bits, in steps.
        type Output = Vec<(f32, f32)>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let Self(steps, values) = self;
            let mut found = Vec::new();
            for x in values.chunks_exact(LANES) {
                let (mut fixed, mut whole, mut exact) = ([0; LANES], [0.0; LANES], [0.0; LANES]);
                // SAFETY: all are that long.
                unsafe {
                    let (x, scale) = (s.load(x.as_ptr()), steps.scale(s, 0));
                    s.fixed_store(fixed.as_mut_ptr(), s.to_fixed(s.mul(x, scale)));
                    s.store(exact.as_mut_ptr(), gelu(s, x));
                    steps.forward(
                        s,
                        0,
                        fixed.as_ptr(),
                        1,
                        #[inline(always)]
                        |_, y| s.store(whole.as_mut_ptr(), s.fixed_to_float(y)),
                    );
                }
                let both = exact.into_iter().zip(whole);
                found.extend(both.map(|(exact, whole)| (exact, whole / ONE)));
            }
            found
        }
    }

    #[test]
    fn within_its_bound_and_the_same_on_every_processor() {
        // From the coarsest steps to the finest.
        for inverse in [0.5_f32, 8.4, 30.0, 100.0, 777.0, 2262.0, 3000.0] {
            let steps = GeluSteps::new(&[inverse; LANES]).unwrap();
            // As far as 256 steps, and beyond where it bends.
            let most = (256.0 / inverse).max(20.0);
            // An interpreter has time for few.
            let count = if cfg!(miri) { 16 } else { 8000 };
            let x = (-count..count).map(|i| i as f32 / count as f32 * most);
            let x: Vec<f32> = x.collect();
            let expected = Isa::SCALAR.run(Of(&steps, &x));
            for (x, (exact, found)) in x.iter().zip(&expected) {
                // The next layer takes no more than 255 steps.
                let [exact, found] = [exact * inverse, *found].map(|steps| steps.min(255.0));
                // Roundings, of fine steps to what 16 bits tell apart, and the polynomial.
                let most = 2.0 / ONE + 6e-4 * inverse;
                assert!((exact - found).abs() < most, "{inverse}: {x} {exact} {found}");
            }
            for isa in Isa::available() {
                let found = isa.run(Of(&steps, &x));
                let same = found.iter().zip(&expected).all(|(a, b)| a.1 == b.1);
                assert!(same, "{} at {inverse}", isa.name());
            }
        }
    }

    #[test]
    fn steps_that_16_bits_cannot_tell_apart_are_refused() {
        for inverse in [0.0, -1.0, f32::NAN, f32::INFINITY, 3100.0] {
            assert!(GeluSteps::new(&[100.0, inverse]).is_none(), "{inverse}");
        }
    }
}
