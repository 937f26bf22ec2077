//! Dice plus binary cross-entropy.

use candle_core::{D, Result, Tensor};

/// Dice loss plus binary cross-entropy of `logits` against `truth` (0 or 1), both `[T, H, W]`;
/// each target counts the same.
///
/// # Errors
/// The device's.
pub fn dice_bce(logits: &Tensor, truth: &Tensor) -> Result<Tensor> {
    let (logits, truth) = (logits.flatten_from(1)?, truth.flatten_from(1)?);
    // log(1 + e^x) - x t, without overflow.
    let soft = logits.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?;
    let cross_entropy = ((logits.relu()? - (&logits * &truth)?)? + soft)?.mean(D::Minus1)?;
    let share = logits.neg()?.exp()?.affine(1.0, 1.0)?.recip()?;
    let both = (&share * &truth)?.sum(D::Minus1)?;
    let either = (share.sum(D::Minus1)? + truth.sum(D::Minus1)?)?;
    // One pixel of smoothing, so that an empty target has a gradient.
    let dice = (both.affine(2.0, 1.0)? / either.affine(1.0, 1.0)?)?;
    (cross_entropy - dice)?.affine(1.0, 1.0)?.mean_all()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn loss(logits: [f32; 4], truth: [f32; 4]) -> f32 {
        let tensor = |values: [f32; 4]| Tensor::new(&[[values]], &Device::Cpu).unwrap();
        dice_bce(&tensor(logits), &tensor(truth)).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn the_loss_is_what_the_formula_says() {
        // Shares 1/2: cross-entropy ln 2; Dice (2 * 1 + 1) / (2 + 2 + 1).
        let found = loss([0.0; 4], [1.0, 1.0, 0.0, 0.0]);
        assert!((found - (std::f32::consts::LN_2 + 1.0 - 3.0 / 5.0)).abs() < 1e-6, "{found}");
    }

    #[test]
    fn certainty_is_neither_infinite_nor_free() {
        let right = loss([80.0, 80.0, -80.0, -80.0], [1.0, 1.0, 0.0, 0.0]);
        assert!(right.abs() < 1e-6, "{right}");
        let wrong = loss([-80.0, -80.0, 80.0, 80.0], [1.0, 1.0, 0.0, 0.0]);
        assert!((wrong - (80.0 + 1.0 - 1.0 / 5.0)).abs() < 1e-4, "{wrong}");
    }
}
