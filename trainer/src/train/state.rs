//! State of a training on disk: trained tensors, the optimizer's moments, and the next step.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use medsa_sam::Weights;

use super::learner::Learner;
use super::optimizer::AdamW;
use crate::error::Error;
use crate::tensor_file::{TensorFile, from_metadata};

const STEP: &str = "medsa.step";
const BEST: &str = "medsa.best";
const MEAN: &str = "mean.";
const SQUARE: &str = "square.";
const VALUE: &str = "value.";

/// A state read from a file.
pub(super) struct State {
    pub step: usize,
    pub best: Option<f64>,
    pub weights: Weights,
    moments: Weights,
}

impl State {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let TensorFile { weights, metadata } = TensorFile::parse(path, &bytes)?;
        let step = from_metadata(path, &metadata, STEP)?
            .ok_or_else(|| Error::format(path, format!("metadata {STEP} is missing")))?;
        let best = from_metadata(path, &metadata, BEST)?.flatten();
        let (values, moments): (Weights, Weights) =
            weights.into_iter().partition(|(name, _)| name.starts_with(VALUE));
        let weights =
            values.into_iter().map(|(name, value)| (name[VALUE.len()..].to_owned(), value));
        Ok(Self { step, best, weights: weights.collect(), moments })
    }

    /// Optimizer of the state.
    pub(super) fn optimizer(&self, path: &Path, learner: &Learner) -> Result<AdamW, Error> {
        let mut moments = BTreeMap::new();
        for name in learner.vars().keys() {
            if ![MEAN, SQUARE]
                .iter()
                .any(|kind| self.moments.contains_key(&format!("{kind}{name}")))
            {
                // The tensor is trained, but no loss has reached it yet.
                continue;
            }
            let moment = |kind: &str| {
                let value = self.moments.get(&format!("{kind}{name}")).ok_or_else(|| {
                    Error::format(path, format!("tensor {kind}{name} is missing"))
                })?;
                let tensor = learner.network().tensor(value.to_owned());
                tensor.map_err(|e| Error::format(path, e))
            };
            moments.insert(name.clone(), (moment(MEAN)?, moment(SQUARE)?));
        }
        Ok(AdamW { steps: self.step, moments })
    }
}

/// Writes a state, replacing the previous one.
pub(super) fn write(
    path: &Path,
    learner: &Learner,
    optimizer: &AdamW,
    best: Option<f64>,
) -> Result<(), Error> {
    let device = |e: candle_core::Error| Error::format(path, e);
    let mut weights = Weights::new();
    for (name, value) in learner.weights().map_err(device)? {
        weights.insert(format!("{VALUE}{name}"), value);
    }
    for (name, (mean, square)) in &optimizer.moments {
        for (kind, tensor) in [(MEAN, mean), (SQUARE, square)] {
            let array = learner.network().array(tensor).map_err(device)?;
            weights.insert(format!("{kind}{name}"), array.into_shared());
        }
    }
    let json = |value: serde_json::Value| value.to_string();
    let metadata = HashMap::from([
        (STEP.to_owned(), json(optimizer.steps.into())),
        (BEST.to_owned(), json(best.into())),
    ]);
    TensorFile { weights, metadata }.write(path)
}
