//! Gradients: of every kind of adapter, equal to finite differences and to candle's composed
//! operations; and none for what is frozen.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use medsa_sam::prompt::PromptTokens;
use medsa_sam::{AdapterConfig, AdapterPlan, DecoderPlan, Sam, Weights};
use medsa_tests::place;
use medsa_trainer::train::{Gradients, Learner, Network, dice_bce, initial_weights};
use medsa_trainer::{Checkpoint, Node, Operators};
use ndarray::{Array3, Array4};

/// Everything that can train.
fn all(stages: &[usize]) -> AdapterPlan {
    AdapterPlan {
        depth: true,
        lora_rank: 2,
        reduction: 8,
        stages: stages.to_vec(),
        decoder: DecoderPlan { lora_rank: 2, hyp_reduction: 16, ..DecoderPlan::default() },
        train_base: vec!["prompt_encoder".into(), "mask_decoder".into()],
        ..AdapterPlan::default()
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let Some(tiny) = Tiny::vit() else { return };
    let learner = tiny.learner(Operators::Fused);
    // Of each kind the tensor with the largest gradient, where rounding matters least.
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
        // Along the gradient the loss changes fastest.
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
    for tiny in [Tiny::vit(), Tiny::litemedsam()].into_iter().flatten() {
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

#[test]
fn frozen_weights_get_no_gradients() {
    for tiny in [Tiny::vit(), Tiny::litemedsam()].into_iter().flatten() {
        let learner = tiny.learner(Operators::Fused);
        let gradients = tiny.answer(learner.network(), 1).sum_all().unwrap().backward().unwrap();
        let others: Vec<_> =
            gradients.keys().filter(|name| !learner.vars().contains_key(*name)).collect();
        assert!(others.is_empty(), "gradients are kept of what does not train: {others:?}");
        // Nothing trains before the first adapter, so nothing is kept for it.
        let features = learner.network().features(&tiny.images, 2).unwrap();
        assert!(Node::constant(features).sum_all().unwrap().backward().unwrap().is_empty());
    }
}

#[test]
fn before_the_first_step_the_adapted_model_equals_the_base_bit_for_bit() {
    for tiny in [Tiny::vit(), Tiny::litemedsam()].into_iter().flatten() {
        let plan = AdapterPlan { depth: false, ..all(&tiny.stages) };
        let fresh = initial_weights(&tiny.base, &plan, 1);
        let form = AdapterConfig::default();
        let learner = Learner::new(tiny.base.clone(), &fresh, &form, Device::Cpu).unwrap();
        let base = Network::new(tiny.base.clone(), Device::Cpu);
        let answer = |network: &Network| -> Vec<f32> {
            let logits = tiny.answer(network, 0);
            logits.value().flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(answer(learner.network()), answer(&base));
    }
}

#[test]
fn with_one_slice_depth_adapters_change_nothing() {
    for tiny in [Tiny::vit(), Tiny::litemedsam()].into_iter().flatten() {
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

/// A network with adapters of every kind, none of them zero, and something to answer.
struct Tiny {
    base: Sam,
    stages: Vec<usize>,
    trained: Weights,
    /// Two slices of one volume.
    images: Array4<f32>,
    truth: Array3<f32>,
}

impl Tiny {
    fn vit() -> Option<Self> {
        let path = place::shared()?.join("golden/sam_vit_weights.pth");
        let mut checkpoint = Checkpoint::read(&path).unwrap();
        checkpoint.config.decoder.heads = 4;
        Some(Self::new(checkpoint.sam(Some(64)).unwrap(), &[]))
    }

    fn litemedsam() -> Option<Self> {
        let checkpoint = Checkpoint::read(&place::lite_medsam()).unwrap();
        Some(Self::new(checkpoint.sam(Some(64)).unwrap(), &[3]))
    }

    fn new(base: Sam, stages: &[usize]) -> Self {
        let mut trained = initial_weights(&base, &all(stages), 0);
        for (seed, (name, value)) in trained.iter_mut().enumerate() {
            let is_base = name.starts_with("prompt_encoder") || name.starts_with("mask_decoder");
            if !is_base {
                let mut i = seed;
                // Strong in the decoder, whose weights are few, so that every part matters.
                let amount = if name.starts_with("decoder") { 0.5 } else { 0.1 };
                value.mapv_inplace(|v| {
                    i += 1;
                    v + amount * noise(i)
                });
            }
        }
        let config = base.config();
        let (size, side) = (config.preprocess.input_size, config.mask_side());
        let images = Array4::from_shape_fn((2, 3, size, size), |(slice, c, y, x)| {
            let (dy, dx) = (y as f32 - 25.0 - 3.0 * slice as f32, x as f32 - 30.0);
            (-(dy * dy + dx * dx) / 200.0).exp() + 0.1 * noise(c + 3 * (x + size * y))
        });
        let truth = Array3::from_shape_fn((1, side, side), |(_, y, x)| {
            let at = |i: usize| (i * size / side) as f32;
            f32::from((at(y) - 25.0).powi(2) + (at(x) - 30.0).powi(2) < 120.0)
        });
        Self { base, stages: stages.to_vec(), trained, images, truth }
    }

    fn learner(&self, operators: Operators) -> Learner {
        let form = AdapterConfig::default();
        let sam = self.base.clone().with_adapters(&self.trained, &form).unwrap();
        let network = Network::with_operators(sam, Device::Cpu, operators);
        Learner::train(network, &self.trained).unwrap()
    }

    fn answer(&self, network: &Network, slice: usize) -> Node {
        let features = network.features(&self.images, 2).unwrap();
        let embedding = network.embedding(&features, 2).unwrap().narrow(0, slice, 1).unwrap();
        let tokens =
            PromptTokens::new(&[([30.0, 25.0], 1.0), ([5.0, 6.0], 0.0), ([0.0, 0.0], -1.0)]);
        network.answer(&embedding, &tokens, None).unwrap()
    }

    fn loss(&self, network: &Network) -> Node {
        let truth = network.tensor(self.truth.clone()).unwrap();
        dice_bce(&self.answer(network, 1), &truth).unwrap()
    }

    /// The loss of the f32 logits in f64: what rounding is left is that of the network.
    fn exact_loss(&self, network: &Network) -> f64 {
        let truth = network.tensor(self.truth.clone()).unwrap().to_dtype(DType::F64).unwrap();
        let logits = self.answer(network, 1).value().to_dtype(DType::F64).unwrap();
        dice_bce(&Node::constant(logits), &truth).unwrap().value().to_scalar().unwrap()
    }

    fn gradients(&self, learner: &Learner) -> Gradients {
        let mut gradients = Gradients::new();
        learner.collect(self.loss(learner.network()), &mut gradients).unwrap();
        gradients
    }
}

fn noise(i: usize) -> f32 {
    ((i * 7919 + 11) % 1009) as f32 / 1009.0 - 0.5
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

/// What the tensor `name` belongs to.
fn kind(name: &str) -> &'static str {
    let kind = KINDS.into_iter().find(|kind| name.contains(kind));
    kind.unwrap_or_else(|| panic!("{name} is of no kind that is known here"))
}
