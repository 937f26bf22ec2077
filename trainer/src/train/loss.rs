//! Loss: Dice plus binary cross-entropy.

use candle_core::{D, Result, Tensor};

use crate::tape::Node;

/// Dice loss plus binary cross-entropy of `logits` against `truth` (0 or 1), both `[T, H, W]`; all
/// targets have the same weight. Pixels that are 0 in `scored` `[H, W]` have no part in it; without
/// `scored`, all have. The truth must be 0 at the others.
///
/// # Errors
/// The device failed.
pub fn dice_bce(logits: &Node, truth: &Tensor, scored: Option<&Tensor>) -> Result<Node> {
    let shape = logits.value().shape().clone();
    let (x, truth) = (logits.value().flatten_from(1)?, truth.flatten_from(1)?);
    let (targets, all) = x.dims2()?;
    let scored = scored.map(|scored| scored.reshape((1, all))).transpose()?;
    let pixels = match &scored {
        // At least 1, so that an image without any scored pixel has a loss.
        Some(scored) => f64::from(scored.sum_all()?.to_scalar::<f32>()?).max(1.0),
        None => all as f64,
    };
    let only = |values: Tensor| match &scored {
        Some(scored) => values.broadcast_mul(scored),
        None => Ok(values),
    };
    // log(1 + e^x) - x t, without overflow.
    let soft = x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?;
    let cross_entropy = only(((x.relu()? - (&x * &truth)?)? + soft)?)?;
    let cross_entropy = cross_entropy.sum_keepdim(D::Minus1)?.affine(1.0 / pixels, 0.0)?;
    let probability = only(x.neg()?.exp()?.affine(1.0, 1.0)?.recip()?)?;
    // Smoothing by one pixel, so that an empty target has a gradient.
    let both = (&probability * &truth)?.sum_keepdim(D::Minus1)?.affine(2.0, 1.0)?;
    let either = probability.sum_keepdim(D::Minus1)? + truth.sum_keepdim(D::Minus1)?;
    let either = either?.affine(1.0, 1.0)?;
    let dice = (&both / &either)?;
    let loss = (cross_entropy - &dice)?.affine(1.0, 1.0)?.mean_all()?;
    let backward = move |grad: &Tensor| {
        // Both terms are 0 at pixels that are not scored, since their probability is 0 here.
        let of_cross_entropy = (&probability - &truth)?.affine(1.0 / pixels, 0.0)?;
        // Gradient of the quotient, then through the sigmoid.
        let of_dice = truth.affine(2.0, 0.0)?.broadcast_sub(&dice)?.broadcast_div(&either)?;
        let slope = (&probability - probability.sqr()?)?;
        let sum = (of_cross_entropy - (of_dice * slope)?)?;
        sum.affine(1.0 / targets as f64, 0.0)?.broadcast_mul(grad)?.reshape(&shape)
    };
    Ok(logits.then(loss, backward))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn loss(logits: [f32; 4], truth: [f32; 4]) -> f32 {
        let tensor = |values: [f32; 4]| Tensor::new(&[[values]], &Device::Cpu).unwrap();
        let loss = dice_bce(&Node::constant(tensor(logits)), &tensor(truth), None).unwrap();
        loss.value().to_scalar().unwrap()
    }

    #[test]
    fn loss_equals_the_formula() {
        // Probabilities 1/2: cross-entropy ln 2; Dice (2 * 1 + 1) / (2 + 2 + 1).
        let found = loss([0.0; 4], [1.0, 1.0, 0.0, 0.0]);
        assert!((found - (std::f32::consts::LN_2 + 1.0 - 3.0 / 5.0)).abs() < 1e-6, "{found}");
    }

    #[test]
    fn confident_logits_have_finite_loss_and_gradient() {
        let right = loss([80.0, 80.0, -80.0, -80.0], [1.0, 1.0, 0.0, 0.0]);
        assert!(right.abs() < 1e-6, "{right}");
        let wrong = loss([-80.0, -80.0, 80.0, 80.0], [1.0, 1.0, 0.0, 0.0]);
        assert!((wrong - (80.0 + 1.0 - 1.0 / 5.0)).abs() < 1e-4, "{wrong}");
    }
}
