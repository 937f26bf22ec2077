//! GELU in its exact form, `x/2 (1 + erf(x / sqrt 2))`.

use candle_core::{Result, Tensor};

use super::{exp, map, tensor, tensor_values, zip_map};
use crate::tape::Node;

/// GELU of every value.
pub(crate) fn gelu(x: &Node) -> Result<Node> {
    let x = x.contiguous()?;
    let kept = x.value().clone();
    Ok(x.then(forward(x.value())?, move |grad| backward(&kept, grad)))
}

fn forward(x: &Tensor) -> Result<Tensor> {
    let xs = x.storage_and_layout();
    let y = map(
        tensor_values(&xs)?,
        #[inline(always)]
        |x, y| {
            for (&x, y) in x.iter().zip(y) {
                *y = x * normal(x).0;
            }
        },
    );
    tensor(y, x.dims())
}

fn backward(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let grad = grad.contiguous()?;
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
    tensor(result, x.dims())
}

/// Cumulative distribution and density of the standard normal distribution at `x`. The distribution
/// is accurate to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
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
