//! Gradients of every kind of adapter equal finite differences, with fused and with composed
//! operators; frozen tensors have none.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use medsa_sam::{AdapterConfig, AdapterPlan, Weights};
use medsa_tests::needs;
use medsa_trainer::train::{Gradients, Learner, Network, dice_bce, initial_weights};
use medsa_trainer::{CandleBackend, Node, Operators};
use ndarray::Array4;

use super::tiny::{Tiny, all};

#[test]
fn gradients_equal_finite_differences() {
    needs!("litemedsam");
    let [tiny, _] = Tiny::both();
    let learner = tiny.learner(Operators::Fused);
    // For each kind, the tensor with the largest gradient, where rounding matters least.
    let mut largest: BTreeMap<&str, (f64, String)> = BTreeMap::new();
    let gradients = tiny.gradients(&learner);
    for (name, gradient) in &gradients {
        let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let norm = f64::from(norm).sqrt();
        let entry = largest.entry(kind(name)).or_default();
        if norm > entry.0 {
            *entry = (norm, name.clone());
        }
    }
    assert_eq!(largest.keys().copied().collect::<BTreeSet<_>>(), KINDS.into_iter().collect());
    for (norm, name) in largest.values() {
        let (gradient, var) = (&gradients[name], &learner.vars()[name]);
        let value = var.as_tensor().copy().unwrap();
        // The loss changes fastest along the gradient.
        let step = 4e-3 / norm;
        let loss_at = |way: f64| {
            var.set(&(&value + (gradient * way).unwrap()).unwrap()).unwrap();
            tiny.exact_loss(learner.network())
        };
        let slope = (loss_at(step) - loss_at(-step)) / (2.0 * step);
        var.set(&value).unwrap();
        let error = (slope - norm * norm).abs() / (norm * norm);
        assert!(error < 0.03, "{name}: slope {slope}, the gradient says {}", norm * norm);
    }
}

#[test]
fn fused_operators_equal_composed_ones() {
    needs!("litemedsam");
    for tiny in Tiny::both() {
        let (fused, composed) = (tiny.learner(Operators::Fused), tiny.learner(Operators::Composed));
        let loss =
            |learner: &Learner| tiny.loss(learner.network()).value().to_scalar::<f32>().unwrap();
        assert!((loss(&fused) - loss(&composed)).abs() < 1e-4);
        let expected = tiny.gradients(&composed);
        for (name, gradient) in tiny.gradients(&fused) {
            let size = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            let difference = size(&(&gradient - &expected[&name]).unwrap());
            let limit = 2e-3 * size(&expected[&name]) + 1e-5;
            assert!(difference < limit, "{name}: differs by {difference}, limit {limit}");
        }
    }
}

/// On a GPU, the type is bf16, which candle does not multiply on a CPU.
#[test]
fn products_in_16_bits_change_gradients_little() {
    needs!("litemedsam");
    for tiny in Tiny::both() {
        let backend = || CandleBackend::with_operators(Device::Cpu, Operators::Composed);
        let gradients = |backend: CandleBackend| {
            let learner = tiny.learner_on(backend);
            // Scaled, because the exponents of f16 do not reach as far as those of bf16.
            let loss = tiny.loss(learner.network()).affine(1024.0, 0.0).unwrap();
            let mut gradients = Gradients::new();
            learner.collect(loss, &mut gradients).unwrap();
            gradients
        };
        let (exact, rough) = (gradients(backend()), gradients(backend().products_in(DType::F16)));
        let squares = |t: &Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let whole: f32 = exact.values().map(squares).sum();
        let off = |(name, g): (&String, &Tensor)| squares(&(g - &exact[name]).unwrap());
        let off: f32 = rough.iter().map(off).sum();
        let error = (off / whole).sqrt();
        assert!(error > 1e-6 && error < 0.05, "relative error {error}");
    }
}

#[test]
fn frozen_weights_get_no_gradients() {
    needs!("litemedsam");
    for tiny in Tiny::both() {
        for operators in [Operators::Fused, Operators::Composed] {
            let learner = tiny.learner(operators);
            let sum = tiny.predict(learner.network(), 1).sum_all().unwrap();
            let gradients = sum.backward().unwrap();
            assert!(!gradients.is_empty());
            let others: Vec<_> =
                gradients.keys().filter(|name| !learner.vars().contains_key(*name)).collect();
            assert!(others.is_empty(), "gradients are kept of what does not train: {others:?}");
            // Nothing is trained before the first adapter, so nothing is kept for it.
            let features = learner.network().features(&tiny.images, 2).unwrap();
            assert!(Node::constant(features).sum_all().unwrap().backward().unwrap().is_empty());
        }
    }
}

#[test]
fn untrained_adapters_equal_the_base_bit_for_bit() {
    needs!("litemedsam");
    for tiny in Tiny::both() {
        let plan = AdapterPlan { depth: false, ..all(&tiny.stages) };
        let fresh = initial_weights(&tiny.base, &plan, 1);
        let form = AdapterConfig::default();
        let learner = Learner::new(tiny.base.clone(), &fresh, &form, Device::Cpu).unwrap();
        let base = Network::new(tiny.base.clone(), Device::Cpu);
        let predict = |network: &Network| -> Vec<f32> {
            let logits = tiny.predict(network, 0);
            logits.value().flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(predict(learner.network()), predict(&base));
    }
}

#[test]
fn depth_adapters_do_nothing_with_one_slice() {
    needs!("litemedsam");
    for tiny in Tiny::both() {
        let image = tiny.images.slice(ndarray::s![..1, .., .., ..]).to_owned();
        let mut flat = tiny.trained.clone();
        flat.retain(|name, _| !name.contains(".depth."));
        let embed = |trained: &Weights, slices: usize, image: &Array4<f32>| -> Vec<f32> {
            let sam = tiny.base.clone().with_adapters(trained, &AdapterConfig::default());
            let network = Network::new(sam.unwrap(), Device::Cpu);
            let features = network.features(image, slices).unwrap();
            let embedding = network.embedding(&features, slices).unwrap();
            embedding.value().narrow(0, 0, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(embed(&tiny.trained, 1, &image), embed(&flat, 1, &image));
        assert_ne!(embed(&tiny.trained, 2, &tiny.images), embed(&flat, 2, &tiny.images));
    }
}

impl Tiny {
    fn learner(&self, operators: Operators) -> Learner {
        self.learner_on(CandleBackend::with_operators(Device::Cpu, operators))
    }

    fn learner_on(&self, backend: CandleBackend) -> Learner {
        let form = AdapterConfig::default();
        let sam = self.base.clone().with_adapters(&self.trained, &form).unwrap();
        Learner::train(Network::with_backend(sam, backend), &self.trained).unwrap()
    }

    fn loss(&self, network: &Network) -> Node {
        let truth = network.tensor(self.truth.clone()).unwrap();
        dice_bce(&self.predict(network, 1), &truth, None).unwrap()
    }

    /// Loss of the f32 logits, computed in f64, so that only the network's rounding remains.
    fn exact_loss(&self, network: &Network) -> f64 {
        let truth = network.tensor(self.truth.clone()).unwrap().to_dtype(DType::F64).unwrap();
        let logits = self.predict(network, 1).value().to_dtype(DType::F64).unwrap();
        dice_bce(&Node::constant(logits), &truth, None).unwrap().value().to_scalar().unwrap()
    }

    fn gradients(&self, learner: &Learner) -> Gradients {
        let mut gradients = Gradients::new();
        learner.collect(self.loss(learner.network()), &mut gradients).unwrap();
        gradients
    }
}

const KINDS: [&str; 19] = [
    "prompt_to_image.down",
    "prompt_to_image.up",
    "image_to_prompt.down",
    "image_to_prompt.up",
    "hyp.reduce",
    "hyp.maps",
    "hyp.norms",
    "space.down",
    "space.up",
    "mlp.down",
    "mlp.up",
    "depth.down",
    "depth.up",
    "q.a",
    "q.b",
    "v.a",
    "v.b",
    "mask_decoder",
    "prompt_encoder",
];

/// Kind of the tensor `name`.
fn kind(name: &str) -> &'static str {
    let kind = KINDS.into_iter().find(|kind| name.contains(kind));
    kind.unwrap_or_else(|| panic!("{name} is of an unknown kind"))
}
