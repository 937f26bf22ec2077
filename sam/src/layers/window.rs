//! Non-overlapping windows of a map, for windowed attention.

use ndarray::Array4;

use crate::backend::{Backend, Output};
use crate::weights::Param;

/// Division of a map `[B, H, W, C]` into windows. A map whose sides are not multiples of the window
/// is padded at the bottom and right; padded positions take part in attention, as in the original
/// networks.
pub(crate) struct Windows {
    batch: usize,
    height: usize,
    width: usize,
    side: usize,
}

impl Windows {
    pub(crate) fn new<B: Backend>(b: &B, map: &B::Tensor, side: usize) -> Self {
        let [batch, height, width, _] = b.shape(map)[..] else {
            unreachable!("maps have four axes")
        };
        Self { batch, height, width, side }
    }

    /// `[B, H, W, C]` -> `[B * windows, side, side, C]`, padded with `filling` `[1, 1, 1, C]`.
    pub(crate) fn split<B: Backend>(
        &self,
        b: &B,
        map: &B::Tensor,
        filling: impl FnOnce() -> Output<B>,
    ) -> Output<B> {
        let padded = self.pad(b, map)?;
        match self.padding() {
            Some(mask) => {
                let filling = b.mul(&b.param(&mask)?, &filling()?)?;
                self.cut(b, &b.add(&padded, &filling)?)
            }
            None => self.cut(b, &padded),
        }
    }

    /// `[B * windows, side, side, C]` -> `[B, H, W, C]`, without the padding.
    pub(crate) fn join<B: Backend>(&self, b: &B, windows: &B::Tensor) -> Output<B> {
        let (rows, columns) = self.grid();
        let channels = b.shape(windows).last().copied().unwrap_or(1);
        let shape = [self.batch, rows, columns, self.side, self.side, channels];
        let x = b.permute(&b.reshape(windows, &shape)?, &[0, 1, 3, 2, 4, 5])?;
        let (height, width) = self.padded();
        let mut x = b.reshape(&x, &[self.batch, height, width, channels])?;
        if height > self.height {
            x = b.narrow(&x, 1, 0, self.height)?;
        }
        if width > self.width {
            x = b.narrow(&x, 2, 0, self.width)?;
        }
        Ok(x)
    }

    fn pad<B: Backend>(&self, b: &B, map: &B::Tensor) -> Output<B> {
        let (height, width) = self.padded();
        let mut x = map.clone();
        for (axis, missing) in [(1, height - self.height), (2, width - self.width)] {
            if missing > 0 {
                x = b.pad_end(&x, axis, missing)?;
            }
        }
        Ok(x)
    }

    fn cut<B: Backend>(&self, b: &B, padded: &B::Tensor) -> Output<B> {
        let (rows, columns) = self.grid();
        let channels = b.shape(padded)[3];
        let shape = [self.batch, rows, self.side, columns, self.side, channels];
        let x = b.permute(&b.reshape(padded, &shape)?, &[0, 1, 3, 2, 4, 5])?;
        b.reshape(&x, &[self.batch * rows * columns, self.side, self.side, channels])
    }

    /// 1 at padded positions and 0 elsewhere, `[1, H', W', 1]`; `None` if nothing is padded.
    pub(crate) fn padding(&self) -> Option<Param> {
        let Self { height, width, .. } = *self;
        let (padded_height, padded_width) = self.padded();
        if (padded_height, padded_width) == (height, width) {
            return None;
        }
        let is_padded = |(_, y, x, _)| f32::from(y >= height || x >= width);
        let mask = Array4::from_shape_fn((1, padded_height, padded_width, 1), is_padded);
        let name = format!("padding.{height}x{width}.{padded_height}x{padded_width}");
        Some(Param::new(name, mask))
    }

    fn padded(&self) -> (usize, usize) {
        let (rows, columns) = self.grid();
        (rows * self.side, columns * self.side)
    }

    fn grid(&self) -> (usize, usize) {
        (self.height.div_ceil(self.side), self.width.div_ceil(self.side))
    }
}
