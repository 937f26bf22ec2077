//! Normalization of rows.

use crate::misfit::{Misfit, check, check_lanes, check_len, check_size};
use crate::simd::{LANES, Simd};

/// Layer normalization over channels, with gamma and beta.
pub struct Norm {
    channels: usize,
    /// Gamma and beta, `[C]` each; `None` for ones and zeros.
    affine: Option<[Vec<f32>; 2]>,
    epsilon: f32,
}

impl Norm {
    /// A norm with `gamma` and `beta` `[C]`.
    ///
    /// # Errors
    /// If the lengths differ, C is not a multiple of [`LANES`], or `epsilon` is negative or not
    /// finite.
    pub fn new(gamma: &[f32], beta: &[f32], epsilon: f32) -> Result<Self, Misfit> {
        let channels = gamma.len();
        check_size("gamma", channels)?;
        check_lanes("gamma", "values", channels)?;
        check_len("beta", beta.len(), channels)?;
        let expected = format_args!("a finite number of at least 0");
        let fits = epsilon.is_finite() && epsilon >= 0.0;
        check(fits, "epsilon", format_args!("{epsilon}"), expected)?;
        let is_identity = gamma.iter().all(|g| *g == 1.0) && beta.iter().all(|b| *b == 0.0);
        let affine = (!is_identity).then(|| [gamma.to_vec(), beta.to_vec()]);
        Ok(Self { channels, affine, epsilon })
    }

    /// C.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Calls `each` with [`LANES`] normalized values of a row at a time, as `(channel, values)`.
    /// Channels ascend in steps of [`LANES`] and stay below C.
    #[inline(always)]
    pub(crate) fn forward<S: Simd>(&self, s: S, row: &[f32], each: impl FnMut(usize, S::F)) {
        assert_eq!(row.len(), self.channels, "values of a row to be normalized");
        // SAFETY: the row has as many values as the norm has channels.
        unsafe { self.forward_ptr(s, row.as_ptr(), each) }
    }

    /// Normalizes a row in place.
    #[inline(always)]
    pub(crate) fn in_place<S: Simd>(&self, s: S, row: &mut [f32]) {
        assert_eq!(row.len(), self.channels, "values of a row to be normalized");
        let row = row.as_mut_ptr();
        // SAFETY: the row has as many values as the norm has channels. A vector is written after
        // its last read.
        unsafe {
            self.forward_ptr(
                s,
                row,
                #[inline(always)]
                |channel, x| s.store_ptr(row.add(channel), x),
            );
        }
    }

    /// [`Norm::forward`] through a pointer.
    ///
    /// # Safety
    /// `row` points to C values. `each` may write to the channels it is called with.
    #[inline(always)]
    unsafe fn forward_ptr<S: Simd>(
        &self,
        s: S,
        row: *const f32,
        mut each: impl FnMut(usize, S::F),
    ) {
        let count = self.channels as f32;
        // SAFETY: channels are less than C in steps of `LANES`, and C is a multiple of `LANES`
        // (`new`). The row has C values by this function's contract, gamma and beta by `new`.
        unsafe {
            let mut sum = s.splat(0.0);
            for channel in (0..self.channels).step_by(LANES) {
                sum = s.add(sum, s.load_ptr(row.add(channel)));
            }
            let mean = s.splat(s.sum(sum) / count);
            let mut squares = s.splat(0.0);
            for channel in (0..self.channels).step_by(LANES) {
                let x = s.sub(s.load_ptr(row.add(channel)), mean);
                squares = s.mul_add(x, x, squares);
            }
            let inverse = s.splat(1.0 / (s.sum(squares) / count + self.epsilon).sqrt());
            for channel in (0..self.channels).step_by(LANES) {
                let mut x = s.mul(s.sub(s.load_ptr(row.add(channel)), mean), inverse);
                if let Some([gamma, beta]) = &self.affine {
                    let gamma = s.load_ptr(gamma.as_ptr().add(channel));
                    x = s.mul_add(x, gamma, s.load_ptr(beta.as_ptr().add(channel)));
                }
                each(channel, x);
            }
        }
    }
}
