//! Convolutions of `[B, H, W, C]` that do not train.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::{stored, tensor, tensor_values, values, vectorize};

/// Depthwise convolution; `weight` is `[C, 1, k, k]`.
pub(crate) fn depthwise_conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let geometry = Geometry::new(x, weight, stride, padding)?;
    // [k * k, C], so that a tap is a row.
    let taps = weight.reshape((geometry.channels, ()))?.t()?.contiguous()?;
    x.contiguous()?.apply_op1(Depthwise { geometry, taps, bias: bias.cloned() })
}

/// Dense convolution; `weight` is `[out, in, k, k]`.
pub(crate) fn dense_conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let geometry = Geometry::new(x, weight, stride, padding)?;
    let outputs = weight.dim(0)?;
    // [out, k * k * in], as the columns are laid out.
    let weight = weight.permute((0, 2, 3, 1))?.reshape((outputs, ()))?.contiguous()?;
    x.contiguous()?.apply_op1(Dense { geometry, weight, bias: bias.cloned() })
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

struct Depthwise {
    geometry: Geometry,
    taps: Tensor,
    bias: Option<Tensor>,
}

impl CustomOp1 for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise_conv"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Geometry { batch, channels, out_height, out_width, .. } = self.geometry;
        let shape = [batch, out_height, out_width, channels];
        let y = self.run(values(x, layout)?, Towards::Input)?;
        stored(y, shape.as_slice())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let grads = grad.storage_and_layout();
        tensor(self.run(tensor_values(&grads)?, Towards::Output)?, x.dims()).map(Some)
    }
}

impl Depthwise {
    /// The convolution, or its transpose: each position gathers from those that it meets.
    fn run(&self, from: &[f32], towards: Towards) -> Result<Vec<f32>> {
        let g = self.geometry;
        let (c, kernel) = (g.channels, g.kernel);
        let ((height, width), (from_height, from_width)) = match towards {
            Towards::Input => ((g.out_height, g.out_width), (g.height, g.width)),
            Towards::Output => ((g.height, g.width), (g.out_height, g.out_width)),
        };
        let taps = self.taps.storage_and_layout();
        let taps = tensor_values(&taps)?;
        let bias = match (&self.bias, towards) {
            (Some(bias), Towards::Input) => Some(bias.flatten_all()?.to_vec1::<f32>()?),
            _ => None,
        };
        let mut to = vec![0.0; g.batch * height * width * c];
        to.par_chunks_mut(width * c).enumerate().for_each(|(row, to)| {
            let (map, y) = (row / height, row % height);
            vectorize(
                #[inline(always)]
                || {
                    for (x, to) in to.chunks_exact_mut(c).enumerate() {
                        if let Some(bias) = &bias {
                            to.copy_from_slice(bias);
                        }
                        for (dy, from_y) in g.meets(y, from_height, towards) {
                            for (dx, from_x) in g.meets(x, from_width, towards) {
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
        Ok(to)
    }
}

struct Dense {
    geometry: Geometry,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl CustomOp1 for Dense {
    fn name(&self) -> &'static str {
        "dense_conv"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Geometry { batch, out_height, out_width, .. } = self.geometry;
        let columns = CpuStorage::F32(self.columns(values(x, layout)?));
        let rows = batch * out_height * out_width;
        let (outputs, width) = self.weight.dims2()?;
        let weight = self.weight.storage_and_layout();
        let Storage::Cpu(w) = &*weight.0 else { bail!("a weight is not in CPU memory") };
        let columns_layout = Layout::contiguous((rows, width));
        let transposed = weight.1.transpose(0, 1)?;
        let product = columns.matmul(w, (1, rows, outputs, width), &columns_layout, &transposed)?;
        let CpuStorage::F32(mut y) = product else { bail!("a convolution's input is not f32") };
        if let Some(bias) = &self.bias {
            let bias = bias.storage_and_layout();
            let bias = tensor_values(&bias)?;
            for row in y.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
        stored(y, [batch, out_height, out_width, outputs].as_slice())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (outputs, _) = self.weight.dims2()?;
        let grad = grad.contiguous()?.reshape(((), outputs))?;
        let columns = grad.matmul(&self.weight)?;
        let columns = columns.storage_and_layout();
        tensor(self.gather(tensor_values(&columns)?), x.dims()).map(Some)
    }
}

impl Dense {
    /// For each output position the input values under the kernel, `[B * H' * W', k * k * C]`.
    fn columns(&self, x: &[f32]) -> Vec<f32> {
        let g = self.geometry;
        let (c, width) = (g.channels, g.kernel * g.kernel * g.channels);
        let mut columns = vec![0.0; g.batch * g.out_height * g.out_width * width];
        columns.par_chunks_mut(g.out_width * width).enumerate().for_each(|(row, columns)| {
            let (map, y) = (row / g.out_height, row % g.out_height);
            for (x_out, column) in columns.chunks_exact_mut(width).enumerate() {
                for (dy, y) in g.meets(y, g.height, Towards::Input) {
                    for (dx, x_in) in g.meets(x_out, g.width, Towards::Input) {
                        let start = ((map * g.height + y) * g.width + x_in) * c;
                        column[(dy * g.kernel + dx) * c..][..c].copy_from_slice(&x[start..][..c]);
                    }
                }
            }
        });
        columns
    }

    /// The transpose of [`Dense::columns`].
    fn gather(&self, columns: &[f32]) -> Vec<f32> {
        let g = self.geometry;
        let (c, width) = (g.channels, g.kernel * g.kernel * g.channels);
        let mut x = vec![0.0; g.batch * g.height * g.width * c];
        x.par_chunks_mut(g.width * c).enumerate().for_each(|(row, x)| {
            let (map, y) = (row / g.height, row % g.height);
            for (x_in, x) in x.chunks_exact_mut(c).enumerate() {
                for (dy, y) in g.meets(y, g.out_height, Towards::Output) {
                    for (dx, x_out) in g.meets(x_in, g.out_width, Towards::Output) {
                        let column = (map * g.out_height + y) * g.out_width + x_out;
                        let from = &columns[column * width + (dy * g.kernel + dx) * c..][..c];
                        x.iter_mut().zip(from).for_each(|(x, from)| *x += from);
                    }
                }
            }
        });
        x
    }
}
