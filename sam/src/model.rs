//! A whole SAM.

use std::ops::Range;

use crate::adapter::AdapterConfig;
use crate::backend::{Backend, Output};
use crate::config::{EncoderConfig, SamConfig};
use crate::decoder::{DecoderConfig, MaskDecoder, Masks, PromptEncoder, PromptInput};
use crate::error::Error;
use crate::fold::Folding;
use crate::image::Preprocess;
use crate::tiny_vit::TinyVit;
use crate::vit::Vit;
use crate::weights::{Param, Reader, VisitParams, Weights};

/// A SAM: image encoder, prompt encoder and mask decoder.
#[derive(Clone, Debug)]
pub struct Sam {
    config: SamConfig,
    encoder: Encoder,
    prompt_encoder: PromptEncoder,
    mask_decoder: MaskDecoder,
}

#[derive(Clone, Debug)]
enum Encoder {
    TinyVit(TinyVit),
    Vit(Box<Vit>),
}

impl Sam {
    /// Reads the network of a checkpoint. `weights` must hold exactly its tensors, named as in the
    /// original PyTorch code.
    ///
    /// # Errors
    /// Names the first tensor that is missing, misshapen or unused.
    pub fn read(weights: &Weights, config: SamConfig) -> Result<Self, Error> {
        let from = Reader::new(weights);
        let Preprocess { input_size, .. } = config.preprocess;
        let DecoderConfig { dim, mlp_dim, heads, .. } = config.decoder;
        let encoder = from.at(SamConfig::ENCODER);
        let encoder = match &config.encoder {
            EncoderConfig::TinyVit(tiny) => Encoder::TinyVit(TinyVit::read(&encoder, tiny, dim)?),
            EncoderConfig::Vit(vit) => {
                Encoder::Vit(Box::new(Vit::read(&encoder, vit, input_size, dim)?))
            }
        };
        let grid = config.grid();
        let prompt = from.at("prompt_encoder");
        let prompt_encoder = PromptEncoder::read(&prompt, &config.decoder, input_size, grid)?;
        let mask_decoder = MaskDecoder::read(&from.at("mask_decoder"), dim, mlp_dim, heads)?;
        from.finish()?;
        Ok(Self { config, encoder, prompt_encoder, mask_decoder })
    }

    /// Adds the adapters of an adapter file, all of whose tensors must belong to the network.
    ///
    /// # Errors
    /// Names the first tensor that is missing, misshapen or unused; or [`Error::AlreadyAdapted`].
    pub fn with_adapters(
        mut self,
        adapters: &Weights,
        config: &AdapterConfig,
    ) -> Result<Self, Error> {
        if self.frozen_encoder_steps() < self.encoder_steps() {
            return Err(Error::AlreadyAdapted);
        }
        let from = Reader::new(adapters);
        let blocks = from.at("encoder").at("blocks");
        match &mut self.encoder {
            Encoder::TinyVit(tiny) => tiny.adapt(&blocks, config)?,
            Encoder::Vit(vit) => vit.adapt(&blocks, config)?,
        }
        self.mask_decoder.adapt(&from.at("decoder").at("layers"), config)?;
        let mut replaced = Ok(());
        self.visit(&mut |param| {
            if replaced.is_ok() {
                replaced = from.replace(param);
            }
        });
        replaced?;
        from.finish()?;
        Ok(self)
    }

    /// The same network with fewer operations. It is meant for export and takes no further
    /// adapters.
    #[must_use]
    pub fn folded(mut self, rules: &[Folding]) -> Self {
        for &rule in Folding::ALL.iter().filter(|rule| rules.contains(rule)) {
            match &mut self.encoder {
                Encoder::TinyVit(tiny) => tiny.fold(rule),
                Encoder::Vit(vit) => vit.fold(rule),
            }
            self.mask_decoder.fold(rule);
        }
        self
    }

    /// Weights of prompt encoder and mask decoder, which can themselves be trained.
    pub fn decoder_params(&self) -> Vec<Param> {
        let mut params = Vec::new();
        self.clone().visit(&mut |param| params.push(param.clone()));
        params
    }

    /// Weights of a [`Stem::Patches`](crate::tiny_vit::Stem::Patches) stem, which can themselves be trained; empty for other
    /// encoders.
    pub fn stem_params(&self) -> Vec<Param> {
        match &self.encoder {
            Encoder::TinyVit(tiny) => tiny.stem_params(),
            Encoder::Vit(_) => Vec::new(),
        }
    }

    /// Shape of the network.
    pub fn config(&self) -> &SamConfig {
        &self.config
    }

    /// Network input `[B, 3, S, S]` -> embedding `[B, C, h, w]`.
    pub fn encode<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        let embedding = self.encode_steps(b, image, 0..self.encoder_steps(), 1)?;
        b.permute(&embedding, &[0, 3, 1, 2])
    }

    /// Number of sequential encoder steps. The stem, each convolutional block, each merging and
    /// each attention block are one step; the last step is the neck.
    pub fn encoder_steps(&self) -> usize {
        match &self.encoder {
            Encoder::TinyVit(tiny) => tiny.steps(),
            Encoder::Vit(vit) => vit.steps(),
        }
    }

    /// Number of encoder steps before the first adapter. Their output for an image never changes
    /// during training.
    pub fn frozen_encoder_steps(&self) -> usize {
        match &self.encoder {
            Encoder::TinyVit(tiny) => tiny.frozen_steps(),
            Encoder::Vit(vit) => vit.frozen_steps(),
        }
    }

    /// Computes a range of encoder steps. The first step takes the network input `[B, 3, S, S]`,
    /// the others take the map `[B, H, W, C]` of the previous step. B counts volumes of `slices`
    /// images each, whose slices are connected by the depth adapters.
    pub fn encode_steps<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        steps: Range<usize>,
        slices: usize,
    ) -> Output<B> {
        match &self.encoder {
            Encoder::TinyVit(tiny) => tiny.forward(b, x, steps, slices),
            Encoder::Vit(vit) => vit.forward(b, x, steps, slices),
        }
    }

    /// Predicts masks for embeddings `[B, C, h, w]` and B prompts.
    pub fn decode<B: Backend>(
        &self,
        b: &B,
        embedding: &B::Tensor,
        prompt: &PromptInput<B::Tensor>,
    ) -> Result<Masks<B::Tensor>, B::Error> {
        let embedding = b.permute(embedding, &[0, 2, 3, 1])?;
        self.mask_decoder.forward(b, &self.prompt_encoder, &embedding, prompt)
    }

    /// Sparse prompt embeddings `[B, N, C]`, the first step of [`Sam::decode`].
    pub fn sparse_prompt<B: Backend>(
        &self,
        b: &B,
        coords: &B::Tensor,
        labels: &B::Tensor,
    ) -> Output<B> {
        self.prompt_encoder.sparse(b, coords, labels)
    }
}

impl VisitParams for Sam {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.prompt_encoder.visit(f);
        self.mask_decoder.visit(f);
    }
}
