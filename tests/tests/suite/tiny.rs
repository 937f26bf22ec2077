//! Small networks with adapters of every kind, and inputs for them.

use medsa_sam::prompt::PromptTokens;
use medsa_sam::{AdapterPlan, DecoderPlan, Sam, Weights};
use medsa_tests::model::small_vit;
use medsa_tests::place;
use medsa_trainer::train::{Network, initial_weights};
use medsa_trainer::{Checkpoint, Node};
use ndarray::{Array3, Array4};

/// A plan of everything that can be trained.
pub fn all(stages: &[usize]) -> AdapterPlan {
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

/// A network with adapters of every kind, none of them zero, with inputs.
#[derive(Clone)]
pub struct Tiny {
    pub base: Sam,
    /// Encoder stages with adapters.
    pub stages: Vec<usize>,
    pub trained: Weights,
    /// Two slices of one volume.
    pub images: Array4<f32>,
    pub truth: Array3<f32>,
}

impl Tiny {
    /// A network with each kind of encoder. Tests that use them need `litemedsam`.
    pub fn both() -> [Self; 2] {
        let lite = Checkpoint::read(&place::lite_medsam()).unwrap();
        let [vit, lite] = [small_vit(), lite].map(|checkpoint| checkpoint.sam(Some(64)).unwrap());
        [Self::new(vit, &[]), Self::new(lite, &[3])]
    }

    fn new(base: Sam, stages: &[usize]) -> Self {
        let mut trained = initial_weights(&base, &all(stages), 0);
        for (seed, (name, value)) in trained.iter_mut().enumerate() {
            let is_base = name.starts_with("prompt_encoder") || name.starts_with("mask_decoder");
            if !is_base {
                let mut i = seed;
                // Larger values in the decoder, which has few weights, so that every part matters.
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

    /// Mask logits of one slice.
    pub fn predict(&self, network: &Network, slice: usize) -> Node {
        let features = network.features(&self.images, 2).unwrap();
        let embedding = network.embedding(&features, 2).unwrap().narrow(0, slice, 1).unwrap();
        let tokens =
            PromptTokens::new(&[([30.0, 25.0], 1.0), ([5.0, 6.0], 0.0), ([0.0, 0.0], -1.0)]);
        network.predict(&embedding, &tokens, None).unwrap()
    }
}

/// Pseudorandom values from -0.5 to 0.5.
pub fn noise(i: usize) -> f32 {
    ((i * 7919 + 11) % 1009) as f32 / 1009.0 - 0.5
}
