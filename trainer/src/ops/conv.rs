//! Convolutions of `[B, H, W, C]` that do not train.

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
    // [k * k, C], so that a tap is a row.
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
    // [out, k * k * in], as the columns are laid out.
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

    /// The input position of kernel position `tap` for output position `out`.
    fn input(&self, out: usize, tap: usize, side: usize) -> Option<usize> {
        (out * self.stride + tap).checked_sub(self.padding).filter(|&input| input < side)
    }

    /// The output position for which kernel position `tap` meets `input`.
    fn output(&self, input: usize, tap: usize, side: usize) -> Option<usize> {
        let position = (input + self.padding).checked_sub(tap)?;
        let out = position / self.stride;
        (position.is_multiple_of(self.stride) && out < side).then_some(out)
    }

    /// For a row of one map the rows of the other map that meet it, with the kernel's row.
    fn meets(&self, row: usize, side: usize, to: Towards) -> impl Iterator<Item = (usize, usize)> {
        let this = *self;
        (0..self.kernel).filter_map(move |tap| {
            let other = match to {
                Towards::Input => this.input(row, tap, side),
                Towards::Output => this.output(row, tap, side),
            };
            Some((tap, other?))
        })
    }
}

#[derive(Clone, Copy)]
enum Towards {
    Input,
    Output,
}

impl Geometry {
    /// The depthwise convolution, or its transpose: each position gathers from those it meets.
    fn depthwise(
        &self,
        from: &Tensor,
        taps: &Tensor,
        bias: Option<&[f32]>,
        towards: Towards,
    ) -> Result<Tensor> {
        let (c, kernel) = (self.channels, self.kernel);
        let (small, large) = ((self.out_height, self.out_width), (self.height, self.width));
        let ((height, width), (from_height, from_width)) = match towards {
            Towards::Input => (small, large),
            Towards::Output => (large, small),
        };
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
                        for (dy, from_y) in self.meets(y, from_height, towards) {
                            for (dx, from_x) in self.meets(x, from_width, towards) {
                                let start =
                                    ((map * from_height + from_y) * from_width + from_x) * c;
                                let (from, tap) =
                                    (&from[start..][..c], &taps[(dy * kernel + dx) * c..][..c]);
                                for ((to, from), tap) in to.iter_mut().zip(from).zip(tap) {
                                    *to = from.mul_add(*tap, *to);
                                }
                            }
                        }
                    }
                },
            );
        });
        tensor(to, &[self.batch, height, width, c])
    }

    /// For each output position the input values under the kernel, `[B * H' * W', k * k * C]`.
    fn columns(&self, x: &Tensor) -> Result<Tensor> {
        let (c, width) = (self.channels, self.kernel * self.kernel * self.channels);
        let rows = self.batch * self.out_height * self.out_width;
        let x = x.storage_and_layout();
        let x = tensor_values(&x)?;
        let mut columns = vec![0.0; rows * width];
        columns.par_chunks_mut(self.out_width * width).enumerate().for_each(|(row, columns)| {
            let (map, y) = (row / self.out_height, row % self.out_height);
            for (x_out, column) in columns.chunks_exact_mut(width).enumerate() {
                for (dy, y) in self.meets(y, self.height, Towards::Input) {
                    for (dx, x_in) in self.meets(x_out, self.width, Towards::Input) {
                        let start = ((map * self.height + y) * self.width + x_in) * c;
                        let tap = (dy * self.kernel + dx) * c;
                        column[tap..][..c].copy_from_slice(&x[start..][..c]);
                    }
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
                for (dy, y) in self.meets(y, self.out_height, Towards::Output) {
                    for (dx, x_out) in self.meets(x_in, self.out_width, Towards::Output) {
                        let column = (map * self.out_height + y) * self.out_width + x_out;
                        let tap = (dy * self.kernel + dx) * c;
                        let from = &columns[column * width + tap..][..c];
                        x.iter_mut().zip(from).for_each(|(x, from)| *x += from);
                    }
                }
            }
        });
        tensor(x, &[self.batch, self.height, self.width, c])
    }
}
