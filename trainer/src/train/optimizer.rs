//! AdamW with a state that can be saved, gradient clipping, and the learning rate schedule.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use candle_core::{Result, Tensor, Var};
use serde::{Deserialize, Serialize};

/// Settings of the optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay of matrices; vectors have none.
    pub weight_decay: f64,
    /// Decay rate of the running mean of gradients.
    pub beta1: f64,
    /// Decay rate of the running mean of squared gradients.
    pub beta2: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// Learning rate at the end of the cosine, as a share of the highest one.
    pub final_share: f64,
    /// Limit of the norm of all gradients together.
    pub clip_norm: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            warmup_steps: 50,
            final_share: 0.01,
            clip_norm: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// Learning rate of step `step` (from 0) of `steps`: linear warm-up, then a cosine.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let span = steps.saturating_sub(self.warmup_steps).max(1);
        let progress = ((step - self.warmup_steps) as f64 / span as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (PI * progress).cos());
        self.learning_rate * (self.final_share + (1.0 - self.final_share) * cosine)
    }
}

/// Gradients by variable name.
pub type Gradients = BTreeMap<String, Tensor>;

/// AdamW (Loshchilov and Hutter, 2019).
#[derive(Clone, Debug, Default)]
pub struct AdamW {
    /// Number of steps taken.
    pub steps: usize,
    /// Running means of gradients and of their squares.
    pub moments: BTreeMap<String, (Tensor, Tensor)>,
}

impl AdamW {
    /// Takes one step with learning rate `rate`.
    ///
    /// # Errors
    /// The device failed.
    pub fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        gradients: &Gradients,
        rate: f64,
        config: &OptimizerConfig,
    ) -> Result<()> {
        const EPSILON: f64 = 1e-8;
        let OptimizerConfig { beta1, beta2, weight_decay, .. } = *config;
        self.steps += 1;
        let unbiased = |beta: f64| 1.0 - beta.powi(self.steps as i32);
        for (name, var) in vars {
            let Some(gradient) = gradients.get(name) else { continue };
            let (mean, square) = match self.moments.remove(name) {
                Some(moments) => moments,
                None => (gradient.zeros_like()?, gradient.zeros_like()?),
            };
            let mean = (mean.affine(beta1, 0.0)? + gradient.affine(1.0 - beta1, 0.0)?)?;
            let square =
                (square.affine(beta2, 0.0)? + gradient.sqr()?.affine(1.0 - beta2, 0.0)?)?;
            let deviation = square.affine(1.0 / unbiased(beta2), 0.0)?.sqrt()?;
            let update = mean.affine(rate / unbiased(beta1), 0.0)?;
            let update = (update / deviation.affine(1.0, EPSILON)?)?;
            let decay = if var.rank() > 1 { weight_decay } else { 0.0 };
            let value = var.as_tensor().detach().affine(1.0 - rate * decay, 0.0)?;
            var.set(&(value - update)?)?;
            self.moments.insert(name.clone(), (mean, square));
        }
        Ok(())
    }
}

/// Scales all gradients so that their common norm is at most `limit`; returns the norm before
/// scaling.
///
/// # Errors
/// The device failed.
pub fn clip(gradients: &mut Gradients, limit: f64) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients.values() {
        sum += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    let norm = sum.sqrt();
    if norm > limit {
        for gradient in gradients.values_mut() {
            *gradient = gradient.affine(limit / norm, 0.0)?;
        }
    }
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn rate_warms_up_and_follows_a_cosine() {
        let config = OptimizerConfig {
            learning_rate: 1.0,
            warmup_steps: 10,
            final_share: 0.1,
            ..OptimizerConfig::default()
        };
        let rate = |step| config.rate(step, 110);
        assert_eq!((rate(0), rate(9), rate(10)), (0.1, 1.0, 1.0));
        assert!((rate(60) - 0.55).abs() < 1e-9 && (rate(110) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn two_steps_equal_the_formula() {
        let var = Var::new(&[[1.0f32, -2.0]], &Device::Cpu).unwrap();
        let vars = BTreeMap::from([("w".to_owned(), var.clone())]);
        let config = OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::default() };
        let mut optimizer = AdamW::default();
        let (mut expected, mut m, mut v) = ([1.0f64, -2.0], [0.0; 2], [0.0; 2]);
        for (step, gradient) in [(1, [0.5f64, -0.1]), (2, [0.2, 0.4])] {
            let tensor = Tensor::new(&[gradient.map(|g| g as f32)], &Device::Cpu).unwrap();
            let gradients = Gradients::from([("w".to_owned(), tensor)]);
            optimizer.step(&vars, &gradients, 0.01, &config).unwrap();
            for i in 0..2 {
                m[i] = 0.9 * m[i] + 0.1 * gradient[i];
                v[i] = 0.999 * v[i] + 0.001 * gradient[i] * gradient[i];
                let unbiased = |x: f64, beta: f64| x / (1.0 - beta.powi(step));
                let update = unbiased(m[i], 0.9) / (unbiased(v[i], 0.999).sqrt() + 1e-8);
                expected[i] = expected[i] * (1.0 - 0.01 * 0.1) - 0.01 * update;
            }
        }
        let found: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn clipping_keeps_the_direction() {
        let tensor = |v: &[f32]| Tensor::new(v, &Device::Cpu).unwrap();
        let mut gradients =
            Gradients::from([("a".into(), tensor(&[3.0])), ("b".into(), tensor(&[0.0, 4.0]))]);
        assert_eq!(clip(&mut gradients, 1.0).unwrap(), 5.0);
        assert_eq!(gradients["b"].to_vec1::<f32>().unwrap(), [0.0, 0.8]);
        assert!((clip(&mut gradients, 1.0).unwrap() - 1.0).abs() < 1e-6);
    }
}
