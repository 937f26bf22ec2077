//! `run.json`: the description of a training.

use medsa_bundle::Origin;
use medsa_trainer::Checkpoint;
use medsa_trainer::train::Fit;
use serde::{Deserialize, Serialize};

/// Description of a training, known before its first step.
#[derive(Deserialize, Serialize)]
pub struct Description {
    /// Base model.
    pub base: Origin,
    /// Number of parameters of the base.
    pub base_parameters: usize,
    /// Number of trained parameters.
    pub trained: usize,
    /// Number of trained tensors.
    pub tensors: usize,
    /// Training and validation images of each data set.
    pub images: Vec<(usize, usize)>,
    /// Hash of the training images and masks.
    pub dataset_sha256: String,
}

impl Description {
    /// Describes the training `fit`.
    pub fn new(base: &Checkpoint, fit: &Fit, dataset_sha256: String) -> Self {
        let images = fit.stocks().iter();
        Self {
            base: base.origin.clone(),
            base_parameters: base.weights.values().map(|value| value.len()).sum(),
            trained: fit.learner().parameters(),
            tensors: fit.learner().vars().len(),
            images: images.map(|(s, _)| (s.train.len(), s.validation.len())).collect(),
            dataset_sha256,
        }
    }

    /// Number of trained parameters divided by that of the base.
    pub fn share(&self) -> f64 {
        self.trained as f64 / self.base_parameters.max(1) as f64
    }

    /// Trained part of the network, as text.
    pub fn trained_part(&self) -> String {
        format!(
            "{:.3} M parameters in {} tensors, {:.1} % of the {:.2} M of the base",
            self.trained as f64 / 1e6,
            self.tensors,
            100.0 * self.share(),
            self.base_parameters as f64 / 1e6,
        )
    }
}
