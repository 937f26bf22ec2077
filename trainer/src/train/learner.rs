//! A network in training: its trained tensors and their gradients.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Var};
use medsa_sam::{AdapterConfig, AdapterPlan, Init, Sam, Weights};
use ndarray::ArrayD;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::network::Network;
use super::optimizer::Gradients;
use crate::released::has_repeated_bias;
use crate::tape::Node;

/// A network with trainable tensors.
pub struct Learner {
    network: Network,
    vars: BTreeMap<String, Var>,
}

/// A network that cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum LearnerError {
    /// A tensor does not fit the network.
    #[error(transparent)]
    Network(#[from] medsa_sam::Error),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}

/// Initial values of a plan's tensors, reproducible from the seed. The last layer of an adapter is
/// zero, so that training starts exactly at the base.
pub fn initial_weights(sam: &Sam, plan: &AdapterPlan, seed: u64) -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Weights::new();
    for new in plan.tensors(sam.config()) {
        let length: usize = new.shape.iter().product();
        let side = length.isqrt();
        let value = |i: usize| match new.init {
            Init::Zeros => 0.0,
            Init::Ones => 1.0,
            Init::Uniform { bound } => rng.random_range(-bound..bound),
            Init::Identity => f32::from(i / side == i % side),
        };
        let values = (0..length).map(value).collect();
        let array = ArrayD::from_shape_vec(new.shape, values).expect("as many as the shape says");
        weights.insert(new.name, array.into_shared());
    }
    for param in sam.decoder_params() {
        if plan.train_base.iter().any(|prefix| param.name().starts_with(prefix.as_str())) {
            weights.insert(param.name().to_owned(), param.value().clone());
        }
    }
    weights
}

impl Learner {
    /// Adds the tensors `trained` to the network `base`; all of them are trained.
    ///
    /// # Errors
    /// A tensor that does not fit the network, or the device's.
    pub fn new(
        base: Sam,
        trained: &Weights,
        config: &AdapterConfig,
        device: Device,
    ) -> std::result::Result<Self, LearnerError> {
        Self::train(Network::new(base.with_adapters(trained, config)?, device), trained)
    }

    /// Trains the tensors `trained` of a network that already has its adapters.
    ///
    /// # Errors
    /// The device failed.
    pub fn train(network: Network, trained: &Weights) -> std::result::Result<Self, LearnerError> {
        let var = |(name, value): (&String, &ndarray::ArcArray<f32, _>)| {
            Ok((name.clone(), Var::from_tensor(&network.tensor(value.to_owned())?)?))
        };
        let vars: BTreeMap<String, Var> = trained.iter().map(var).collect::<Result<_>>()?;
        network.backend.train(vars.clone());
        Ok(Self { network, vars })
    }

    /// The network whose predictions have gradients.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Trained tensors by name.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// Current values of the trained tensors.
    ///
    /// # Errors
    /// The device failed.
    pub fn weights(&self) -> Result<Weights> {
        let array = |(name, var): (&String, &Var)| {
            Ok((name.clone(), self.network.array(var.as_tensor())?.into_shared()))
        };
        self.vars.iter().map(array).collect()
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.vars.values().map(|var| var.elem_count()).sum()
    }

    /// Adds the gradients of `loss`, computed from a prediction of this network, to `sum`.
    ///
    /// # Errors
    /// The device failed.
    pub fn collect(&self, loss: Node, sum: &mut Gradients) -> Result<()> {
        for (name, gradient) in loss.backward()? {
            let total = match sum.remove(&name) {
                Some(total) => (total + gradient)?,
                None => gradient,
            };
            sum.insert(name, total);
        }
        Ok(())
    }
}

/// Gives all copies of a repeated bias the mean of their gradients, so that they stay equal, as the one
/// bias of PyTorch's layer.
///
/// # Errors
/// The device failed.
pub(super) fn tie_repeated_biases(gradients: &mut Gradients) -> Result<()> {
    for (_, gradient) in gradients.iter_mut().filter(|(name, _)| has_repeated_bias(name)) {
        let channels = gradient.elem_count() / 4;
        *gradient = gradient.reshape((4, channels))?.mean(0)?.repeat(4)?;
    }
    Ok(())
}
