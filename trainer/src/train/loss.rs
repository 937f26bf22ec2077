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

    #[test]
    fn pixels_that_are_not_scored_change_neither_loss_nor_gradient() {
        let tensor = |values: &[f32]| {
            let shape = (1, 1, values.len());
            Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
        };
        let run = |logits: &[f32], truth: &[f32], scored: Option<&[f32]>| {
            let logits = Node::variable("x", tensor(logits));
            let scored = scored
                .map(|scored| Tensor::from_slice(scored, (1, scored.len()), &Device::Cpu).unwrap());
            let loss = dice_bce(&logits, &tensor(truth), scored.as_ref()).unwrap();
            let value: f32 = loss.value().to_scalar().unwrap();
            let gradient = loss.backward().unwrap().remove("x").unwrap();
            (value, gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let (expected, of_scored) = run(&[1.0, -0.5, 0.2], &[1.0, 0.0, 0.0], None);
        let truth = [1.0, 0.0, 0.0, 0.0];
        for ignored in [-9.0, 0.0, 7.0] {
            let logits = [1.0, -0.5, ignored, 0.2];
            let (found, gradient) = run(&logits, &truth, Some(&[1.0, 1.0, 0.0, 1.0]));
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
            assert_eq!(gradient[2], 0.0);
            for (found, expected) in [0, 1, 3].map(|i| gradient[i]).iter().zip(&of_scored) {
                assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
            }
        }
        let (found, gradient) = run(&[3.0, 2.0], &[0.0, 0.0], Some(&[0.0, 0.0]));
        assert!(found.abs() < 1e-6 && gradient == [0.0, 0.0], "{found}, {gradient:?}");
    }
}
