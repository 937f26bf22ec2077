//! GELU in its exact form, `x/2 (1 + erf(x / sqrt 2))`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{exp, map, stored, tensor, tensor_values, values, zip_map};

/// GELU of every value.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu)
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = map(
            values(x, layout)?,
            #[inline(always)]
            |x, y| {
                for (&x, y) in x.iter().zip(y) {
                    *y = x * normal(x).0;
                }
            },
        );
        stored(y, layout.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (x, grad) = (x.contiguous()?, grad.contiguous()?);
        let (xs, gs) = (x.storage_and_layout(), grad.storage_and_layout());
        let result = zip_map(
            tensor_values(&xs)?,
            tensor_values(&gs)?,
            #[inline(always)]
            |x, g, out| {
                for ((&x, &g), out) in x.iter().zip(g).zip(out) {
                    let (cumulative, density) = normal(x);
                    *out = g * x.mul_add(density, cumulative);
                }
            },
        );
        tensor(result, x.dims()).map(Some)
    }
}

/// Cumulative distribution and density of the standard normal distribution at `x`; the first to
/// 1.5e-7 (Abramowitz and Stegun, 7.1.26).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    const INV_SQRT_2: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const INV_SQRT_2_PI: f32 = 0.398_942_3;
    let e = exp(-0.5 * x * x);
    let t = 1.0 / (x.abs() * INV_SQRT_2).mul_add(0.327_591_1, 1.0);
    let p = 1.061_405_4f32;
    let p = p.mul_add(t, -1.453_152);
    let p = p.mul_add(t, 1.421_413_8);
    let p = p.mul_add(t, -0.284_496_72);
    let p = p.mul_add(t, 0.254_829_6);
    let tail = 0.5 * p * t * e;
    let cumulative = if x < 0.0 { tail } else { 1.0 - tail };
    (cumulative, INV_SQRT_2_PI * e)
}
