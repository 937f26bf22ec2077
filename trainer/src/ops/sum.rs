//! Sums and products with a constant, which may be broadcast: no gradient for the constant.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// `x + constant`, of the shape of `x`.
pub(crate) fn add_constant(x: &Tensor, constant: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(WithConstant { constant: constant.clone(), kind: Kind::Sum })
}

/// `x * constant`, of the shape of `x`.
pub(crate) fn mul_constant(x: &Tensor, constant: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(WithConstant { constant: constant.clone(), kind: Kind::Product })
}

struct WithConstant {
    constant: Tensor,
    kind: Kind,
}

enum Kind {
    Sum,
    Product,
}

impl CustomOp1 for WithConstant {
    fn name(&self) -> &'static str {
        "with_constant"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let constant = self.constant.broadcast_as(layout.shape())?.contiguous()?;
        let constant = constant.storage_and_layout();
        let constant = super::tensor_values(&constant)?;
        let x = super::values(x, layout)?;
        if x.len() != constant.len() {
            bail!("{} values and a constant of {}", x.len(), constant.len())
        }
        let y = super::zip_map(
            x,
            constant,
            #[inline(always)]
            |x, c, y| {
                let pairs = y.iter_mut().zip(x.iter().zip(c));
                match self.kind {
                    Kind::Sum => pairs.for_each(|(y, (x, c))| *y = x + c),
                    Kind::Product => pairs.for_each(|(y, (x, c))| *y = x * c),
                }
            },
        );
        super::stored(y, layout.shape())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        match self.kind {
            Kind::Sum => Ok(Some(grad.clone())),
            Kind::Product => grad.broadcast_mul(&self.constant).map(Some),
        }
    }
}
