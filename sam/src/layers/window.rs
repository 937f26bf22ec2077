//! Non-overlapping windows of a map, for windowed attention.

use crate::backend::{Backend, Output};

/// How a map `[B, H, W, C]` is cut into windows, with zeros at the bottom and right where it
/// does not divide. Padded positions take part in attention, as in the original networks.
pub(crate) struct Windows {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    side: usize,
}

impl Windows {
    pub(crate) fn new<B: Backend>(b: &B, map: &B::Tensor, side: usize) -> Self {
        let [batch, height, width, channels] = b.shape(map)[..] else {
            unreachable!("maps have four axes")
        };
        Self { batch, height, width, channels, side }
    }

    /// `[B, H, W, C]` -> `[B * windows, side, side, C]`.
    pub(crate) fn split<B: Backend>(&self, b: &B, map: &B::Tensor) -> Output<B> {
        let (rows, columns) = self.grid();
        let mut x = map.clone();
        for (axis, missing) in
            [(1, rows * self.side - self.height), (2, columns * self.side - self.width)]
        {
            if missing > 0 {
                x = b.pad_end(&x, axis, missing)?;
            }
        }
        let x = b.reshape(&x, &[self.batch, rows, self.side, columns, self.side, self.channels])?;
        let x = b.permute(&x, &[0, 1, 3, 2, 4, 5])?;
        let windows = self.batch * rows * columns;
        b.reshape(&x, &[windows, self.side, self.side, self.channels])
    }

    /// `[B * windows, side, side, C]` -> `[B, H, W, C]`, the padding cut off.
    pub(crate) fn join<B: Backend>(&self, b: &B, windows: &B::Tensor) -> Output<B> {
        let (rows, columns) = self.grid();
        let shape = [self.batch, rows, columns, self.side, self.side, self.channels];
        let x = b.permute(&b.reshape(windows, &shape)?, &[0, 1, 3, 2, 4, 5])?;
        let (height, width) = (rows * self.side, columns * self.side);
        let mut x = b.reshape(&x, &[self.batch, height, width, self.channels])?;
        if height > self.height {
            x = b.narrow(&x, 1, 0, self.height)?;
        }
        if width > self.width {
            x = b.narrow(&x, 2, 0, self.width)?;
        }
        Ok(x)
    }

    fn grid(&self) -> (usize, usize) {
        (self.height.div_ceil(self.side), self.width.div_ceil(self.side))
    }
}
