//! Convolutions of `[B, H, W, C]` with frozen weights.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::linear::with_bias;
use super::{tensor, tensor_values, vectorize};
use crate::tape::Node;

/// Depthwise convolution; `weight` is `[C, 1, k, k]`.
pub(crate) fn depthwise_conv(
    x: &Node,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Node> {
    let x = x.contiguous()?;
    let geometry = Geometry::new(x.value(), weight, stride, padding)?;
    // `[k * k, C]`, so that a tap is a row.
    let taps = weight.reshape((geometry.channels, ()))?.t()?.contiguous()?;
    let bias = bias.map(|bias| bias.flatten_all()?.to_vec1()).transpose()?;
    let y = geometry.depthwise(x.value(), &taps, bias.as_deref(), Towards::Input)?;
    Ok(x.then(y, move |grad| geometry.depthwise(&grad.contiguous()?, &taps, None, Towards::Output)))
}

/// Dense convolution; `weight` is `[out, in, k, k]`.
pub(crate) fn dense_conv(
    x: &Node,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Node> {
    let x = x.contiguous()?;
    let geometry = Geometry::new(x.value(), weight, stride, padding)?;
    let outputs = weight.dim(0)?;
    // `[out, k * k * in]`, in the layout of the columns.
    let weight = weight.permute((0, 2, 3, 1))?.reshape((outputs, ()))?.contiguous()?;
    let Geometry { batch, out_height, out_width, .. } = geometry;
    let y = with_bias(&geometry.columns(x.value())?, &weight, bias)?;
    let y = y.reshape((batch, out_height, out_width, outputs))?;
    Ok(x.then(y, move |grad| {
        let grad = grad.contiguous()?.reshape(((), outputs))?;
        geometry.gather(&grad.matmul(&weight)?)
    }))
}

#[derive(Clone, Copy)]
struct Geometry {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    out_height: usize,
    out_width: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Geometry {
    fn new(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Self> {
        let (batch, height, width, channels) = x.dims4()?;
        let kernel = weight.dim(2)?;
        let out = |side: usize| (side + 2 * padding - kernel) / stride + 1;
        let (out_height, out_width) = (out(height), out(width));
        Ok(Self { batch, height, width, channels, out_height, out_width, kernel, stride, padding })
    }

    /// Input position of kernel position `tap` for output position `out`; `None` in the padding.
    fn input(&self, out: usize, tap: usize, side: usize) -> Option<usize> {
        (out * self.stride + tap).checked_sub(self.padding).filter(|&input| input < side)
    }

    /// Output position for which kernel position `tap` reads `input`, if there is one.
    fn output(&self, input: usize, tap: usize, side: usize) -> Option<usize> {
        let position = (input + self.padding).checked_sub(tap)?;
        let out = position / self.stride;
        (position.is_multiple_of(self.stride) && out < side).then_some(out)
    }

    /// Sides of the map on the side `to`.
    fn sides(&self, to: Towards) -> (usize, usize) {
        match to {
            Towards::Input => (self.height, self.width),
            Towards::Output => (self.out_height, self.out_width),
        }
    }

    /// For a position of one map, the connected positions of the other: index in the kernel, and
    /// index among all positions of batch entry `map`.
    #[inline(always)]
    fn connected(
        &self,
        [map, y, x]: [usize; 3],
        to: Towards,
    ) -> impl Iterator<Item = (usize, usize)> {
        let (this, (height, width)) = (*self, self.sides(to));
        let other = move |position, tap, side| match to {
            Towards::Input => this.input(position, tap, side),
            Towards::Output => this.output(position, tap, side),
        };
        let rows = (0..this.kernel).filter_map(move |dy| Some((dy, other(y, dy, height)?)));
        rows.flat_map(move |(dy, to_y)| {
            (0..this.kernel).filter_map(move |dx| {
                let to_x = other(x, dx, width)?;
                Some((dy * this.kernel + dx, (map * height + to_y) * width + to_x))
            })
        })
    }
}

#[derive(Clone, Copy)]
enum Towards {
    Input,
    Output,
}

impl Towards {
    fn back(self) -> Self {
        match self {
            Self::Input => Self::Output,
            Self::Output => Self::Input,
        }
    }
}

impl Geometry {
    /// Depthwise convolution or its transpose: each position gathers from those it is connected
    /// with.
    fn depthwise(
        &self,
        from: &Tensor,
        taps: &Tensor,
        bias: Option<&[f32]>,
        towards: Towards,
    ) -> Result<Tensor> {
        let c = self.channels;
        let (height, width) = self.sides(towards.back());
        let (taps, from) = (taps.storage_and_layout(), from.storage_and_layout());
        let (taps, from) = (tensor_values(&taps)?, tensor_values(&from)?);
        let mut to = vec![0.0; self.batch * height * width * c];
        to.par_chunks_mut(width * c).enumerate().for_each(|(row, to)| {
            let (map, y) = (row / height, row % height);
            vectorize(
                #[inline(always)]
                || {
                    for (x, to) in to.chunks_exact_mut(c).enumerate() {
                        if let Some(bias) = bias {
                            to.copy_from_slice(bias);
                        }
                        for (tap, position) in self.connected([map, y, x], towards) {
                            let (from, tap) = (&from[position * c..][..c], &taps[tap * c..][..c]);
                            for ((to, from), tap) in to.iter_mut().zip(from).zip(tap) {
                                *to = from.mul_add(*tap, *to);
                            }
                        }
                    }
                },
            );
        });
        tensor(to, &[self.batch, height, width, c])
    }

    /// Input values under the kernel for each output position, `[B * H' * W', k * k * C]`.
    fn columns(&self, x: &Tensor) -> Result<Tensor> {
        let (c, width) = (self.channels, self.kernel * self.kernel * self.channels);
        let rows = self.batch * self.out_height * self.out_width;
        let x = x.storage_and_layout();
        let x = tensor_values(&x)?;
        let mut columns = vec![0.0; rows * width];
        columns.par_chunks_mut(self.out_width * width).enumerate().for_each(|(row, columns)| {
            let (map, y) = (row / self.out_height, row % self.out_height);
            for (x_out, column) in columns.chunks_exact_mut(width).enumerate() {
                for (tap, position) in self.connected([map, y, x_out], Towards::Input) {
                    column[tap * c..][..c].copy_from_slice(&x[position * c..][..c]);
                }
            }
        });
        tensor(columns, &[rows, width])
    }

    /// The transpose of [`Geometry::columns`].
    fn gather(&self, columns: &Tensor) -> Result<Tensor> {
        let (c, width) = (self.channels, self.kernel * self.kernel * self.channels);
        let columns = columns.storage_and_layout();
        let columns = tensor_values(&columns)?;
        let mut x = vec![0.0; self.batch * self.height * self.width * c];
        x.par_chunks_mut(self.width * c).enumerate().for_each(|(row, x)| {
            let (map, y) = (row / self.height, row % self.height);
            for (x_in, x) in x.chunks_exact_mut(c).enumerate() {
                for (tap, position) in self.connected([map, y, x_in], Towards::Output) {
                    let from = &columns[position * width + tap * c..][..c];
                    x.iter_mut().zip(from).for_each(|(x, from)| *x += from);
                }
            }
        });
        tensor(x, &[self.batch, self.height, self.width, c])
    }
}
