//! Operations of a tracked tensor with constants, through which no gradient for the constants is
//! computed.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

/// A tensor with the values of `forward(x)`, and `backward` as the way from its gradient to that
/// of `x`.
pub(crate) fn graft(
    x: &Tensor,
    forward: impl FnOnce(&Tensor) -> Result<Tensor>,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let value = forward(&x.detach())?.contiguous()?;
    x.apply_op1(Graft { value, backward })
}

/// `count` zeros after (or before) the entries of `axis`.
pub(crate) fn pad(x: &Tensor, axis: usize, before: usize, after: usize) -> Result<Tensor> {
    let length = x.dim(axis)?;
    let forward = |x: &Tensor| x.pad_with_zeros(axis, before, after);
    graft(x, forward, move |grad| grad.narrow(axis, before, length))
}

/// Sums a gradient over the axes along which a tensor of `shape` was broadcast.
pub(crate) fn sum_to(grad: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let leading = grad.rank() - shape.len();
    let mut sum = grad.clone();
    for _ in 0..leading {
        sum = sum.sum(0)?;
    }
    for (axis, &length) in shape.iter().enumerate() {
        if sum.dim(axis)? != length {
            sum = sum.sum_keepdim(axis)?;
        }
    }
    Ok(sum)
}

struct Graft<B> {
    value: Tensor,
    backward: B,
}

impl<B: Fn(&Tensor) -> Result<Tensor> + Send + Sync> CustomOp1 for Graft<B> {
    fn name(&self) -> &'static str {
        "graft"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("a tensor is not in CPU memory") };
        super::stored(super::values(storage, layout)?.to_vec(), layout.shape())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(grad).map(Some)
    }
}
