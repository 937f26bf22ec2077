//! Normalization of rows.

use crate::simd::{LANES, Simd};

/// Normalization over channels, then gamma and beta unless those leave it as it is.
pub struct Norm {
    channels: usize,
    affine: Option<[Vec<f32>; 2]>,
    epsilon: f32,
}

impl Norm {
    /// With `gamma` and `beta` `[C]`.
    ///
    /// # Panics
    /// If channels are not in whole [`LANES`].
    pub fn new(gamma: &[f32], beta: &[f32], epsilon: f32) -> Self {
        let channels = gamma.len();
        assert!(channels.is_multiple_of(LANES) && beta.len() == channels, "{channels} channels");
        let plain = gamma.iter().all(|g| *g == 1.0) && beta.iter().all(|b| *b == 0.0);
        let affine = (!plain).then(|| [gamma.to_vec(), beta.to_vec()]);
        Self { channels, affine, epsilon }
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Gives [`LANES`] normalized values of a row at a time as `(channel, values)`.
    ///
    /// # Safety
    /// The row has that many channels.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        row: *const f32,
        mut each: impl FnMut(usize, S::F),
    ) {
        let count = self.channels as f32;
        // SAFETY: the caller's.
        unsafe {
            let mut sum = s.splat(0.0);
            for channel in (0..self.channels).step_by(LANES) {
                sum = s.add(sum, s.load(row.add(channel)));
            }
            let mean = s.splat(s.sum(sum) / count);
            let mut squares = s.splat(0.0);
            for channel in (0..self.channels).step_by(LANES) {
                let x = s.sub(s.load(row.add(channel)), mean);
                squares = s.mul_add(x, x, squares);
            }
            let inverse = s.splat(1.0 / (s.sum(squares) / count + self.epsilon).sqrt());
            for channel in (0..self.channels).step_by(LANES) {
                let mut x = s.mul(s.sub(s.load(row.add(channel)), mean), inverse);
                if let Some([gamma, beta]) = &self.affine {
                    let gamma = s.load(gamma.as_ptr().add(channel));
                    x = s.mul_add(x, gamma, s.load(beta.as_ptr().add(channel)));
                }
                each(channel, x);
            }
        }
    }

    /// The same in place.
    ///
    /// # Safety
    /// The row has that many channels.
    #[inline(always)]
    pub(crate) unsafe fn in_place<S: Simd>(&self, s: S, row: *mut f32) {
        // SAFETY: the caller's; values are read before they are written.
        unsafe {
            self.forward(
                s,
                row,
                #[inline(always)]
                |channel, x| s.store(row.add(channel), x),
            );
        }
    }
}
