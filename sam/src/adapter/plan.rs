//! Plan of the adapters of a network, and the tensors it creates.

use serde::{Deserialize, Serialize};

use crate::config::{EncoderConfig, SamConfig};

/// Adapters to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterPlan {
    /// Serial adapters after the attention of encoder blocks.
    pub space: bool,
    /// Adapters parallel to the MLP of encoder blocks.
    pub mlp: bool,
    /// Serial adapters after the attention over slices (volumes and cine loops).
    pub depth: bool,
    /// Reduction of these three: their bottleneck has channels / reduction values.
    pub reduction: usize,
    /// Rank of LoRA on q and v of encoder blocks; 0 for none.
    pub lora_rank: usize,
    /// Encoder stages that carry adapters; TinyViT has 1 to 3, ViT is all stage 0. Empty: all.
    pub stages: Vec<usize>,
    /// Adapters of the decoder.
    pub decoder: DecoderPlan,
    /// Beginnings of the names of weights of prompt encoder and mask decoder that are themselves
    /// trained. The released code trains `mask_decoder`.
    pub train_base: Vec<String>,
}

/// Adapters of the two-way blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecoderPlan {
    /// Serial adapters after the attention of the prompt to the image.
    pub prompt_to_image: bool,
    /// Adapters parallel to the MLP.
    pub mlp: bool,
    /// Serial adapters after the attention of the image to the prompt.
    pub image_to_prompt: bool,
    /// Reduction: the bottleneck has channels / reduction values.
    pub reduction: usize,
    /// Maps that the prompt generates in `prompt_to_image` (HyP-Adpt); 0 for a plain adapter.
    pub hyp_maps: usize,
    /// Reduction of the adapter with HyP-Adpt. Each map has the square of its bottleneck's length.
    pub hyp_reduction: usize,
    /// Rank of LoRA on q and v of the attentions; 0 for none.
    pub lora_rank: usize,
}

impl Default for AdapterPlan {
    fn default() -> Self {
        Self {
            space: true,
            mlp: true,
            depth: false,
            reduction: 4,
            lora_rank: 0,
            stages: Vec::new(),
            decoder: DecoderPlan::default(),
            train_base: Vec::new(),
        }
    }
}

impl Default for DecoderPlan {
    fn default() -> Self {
        Self {
            prompt_to_image: true,
            mlp: true,
            image_to_prompt: true,
            reduction: 4,
            hyp_maps: 3,
            hyp_reduction: 8,
            lora_rank: 0,
        }
    }
}

/// A tensor of a new adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTensor {
    /// Name in the adapter file.
    pub name: String,
    /// Shape of the values.
    pub shape: Vec<usize>,
    /// Values before the first training step.
    pub init: Init,
}

/// Values before the first training step. The last layer of every adapter starts at zero, so that
/// training starts exactly at the base network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Uniform in `-bound..bound`.
    Uniform {
        /// Largest absolute value.
        bound: f32,
    },
    /// A flattened square matrix with 1 on its diagonal.
    Identity,
}

impl AdapterPlan {
    /// Tensors of the planned adapters for a network of shape `config`, without those of
    /// [`AdapterPlan::train_base`].
    pub fn tensors(&self, config: &SamConfig) -> Vec<NewTensor> {
        let mut new = New::default();
        for (stage, i, dim) in blocks(&config.encoder) {
            if !self.stages.is_empty() && !self.stages.contains(&stage) {
                continue;
            }
            let block = format!("encoder.blocks.{stage}.{i}");
            let bottleneck = (dim / self.reduction.max(1)).max(1);
            for (wanted, name) in [(self.space, "space"), (self.mlp, "mlp"), (self.depth, "depth")]
            {
                if wanted {
                    new.adapter(&format!("{block}.{name}"), dim, bottleneck);
                }
            }
            new.lora(&format!("{block}.lora"), dim, dim, self.lora_rank);
        }
        for i in 0..crate::decoder::TWO_WAY_DEPTH {
            self.decoder.tensors(&mut new, &format!("decoder.layers.{i}"), config.decoder.dim);
        }
        new.0
    }
}

impl DecoderPlan {
    fn tensors(&self, new: &mut New, layer: &str, dim: usize) {
        let bottleneck = |reduction: usize| (dim / reduction.max(1)).max(1);
        let prompted = format!("{layer}.prompt_to_image");
        if self.prompt_to_image && self.hyp_maps > 0 {
            let length = bottleneck(self.hyp_reduction);
            new.adapter(&prompted, dim, length);
            new.linear(&format!("{prompted}.hyp.reduce"), dim, length);
            for k in 0..self.hyp_maps {
                let map = format!("{prompted}.hyp.maps.{k}");
                new.push(format!("{map}.weight"), vec![length * length, length], uniform(length));
                // Before training, a generated map is close to the identity.
                new.push(format!("{map}.bias"), vec![length * length], Init::Identity);
                new.push(format!("{prompted}.hyp.norms.{k}.weight"), vec![length], Init::Ones);
                new.push(format!("{prompted}.hyp.norms.{k}.bias"), vec![length], Init::Zeros);
            }
        } else if self.prompt_to_image {
            new.adapter(&prompted, dim, bottleneck(self.reduction));
        }
        for (wanted, name) in [(self.mlp, "mlp"), (self.image_to_prompt, "image_to_prompt")] {
            if wanted {
                new.adapter(&format!("{layer}.{name}"), dim, bottleneck(self.reduction));
            }
        }
        for (attention, inner) in
            [("self", dim), ("prompt_to_image", dim / 2), ("image_to_prompt", dim / 2)]
        {
            new.lora(&format!("{layer}.lora.{attention}"), dim, inner, self.lora_rank);
        }
    }
}

/// PyTorch's default initialization of linear layers.
fn uniform(inputs: usize) -> Init {
    Init::Uniform { bound: 1.0 / (inputs as f32).sqrt() }
}

/// Stage, index within the stage, and channels of every block that can have adapters.
fn blocks(encoder: &EncoderConfig) -> Vec<(usize, usize, usize)> {
    match encoder {
        EncoderConfig::TinyVit(tiny) => {
            let stages = (1..).zip(&tiny.stages);
            stages.flat_map(|(s, stage)| (0..stage.depth).map(move |i| (s, i, stage.dim))).collect()
        }
        EncoderConfig::Vit(vit) => (0..vit.depth).map(|i| (0, i, vit.dim)).collect(),
    }
}

#[derive(Default)]
struct New(Vec<NewTensor>);

impl New {
    fn push(&mut self, name: String, shape: Vec<usize>, init: Init) {
        self.0.push(NewTensor { name, shape, init });
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.push(format!("{name}.weight"), vec![outputs, inputs], uniform(inputs));
        self.push(format!("{name}.bias"), vec![outputs], uniform(inputs));
    }

    fn adapter(&mut self, name: &str, dim: usize, bottleneck: usize) {
        self.linear(&format!("{name}.down"), dim, bottleneck);
        self.push(format!("{name}.up.weight"), vec![dim, bottleneck], Init::Zeros);
        self.push(format!("{name}.up.bias"), vec![dim], Init::Zeros);
    }

    fn lora(&mut self, name: &str, inputs: usize, outputs: usize, rank: usize) {
        for part in if rank > 0 { ["q", "v"].as_slice() } else { &[] } {
            self.push(format!("{name}.{part}.a"), vec![rank, inputs], uniform(inputs));
            self.push(format!("{name}.{part}.b"), vec![outputs, rank], Init::Zeros);
        }
    }
}
