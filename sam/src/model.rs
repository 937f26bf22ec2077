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
    /// The network of a checkpoint. `weights` must hold just its tensors, by the names of the
    /// original PyTorch code.
    ///
    /// # Errors
    /// A missing, misshapen or extra tensor, by name.
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

    /// The network with the adapters of an adapter file, whose tensors must all belong to it.
    ///
    /// # Errors
    /// A missing, misshapen or extra tensor, by name; or [`Error::AlreadyAdapted`].
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

    /// The same network with less to compute. It is made to be exported: it takes no adapters.
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

    /// The weights of prompt encoder and mask decoder, which can be trained themselves.
    pub fn decoder_params(&self) -> Vec<Param> {
        let mut params = Vec::new();
        self.clone().visit(&mut |param| params.push(param.clone()));
        params
    }

    /// The weights of a stem of [`Stem::Patches`], which can be trained themselves; none of other
    /// encoders.
    pub fn stem_params(&self) -> Vec<Param> {
        match &self.encoder {
            Encoder::TinyVit(tiny) => tiny.stem_params(),
            Encoder::Vit(_) => Vec::new(),
        }
    }

    /// The network's shape.
    pub fn config(&self) -> &SamConfig {
        &self.config
    }

    /// Network input `[B, 3, S, S]` -> embedding `[B, C, h, w]`.
    pub fn encode<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        let embedding = self.encode_steps(b, image, 0..self.encoder_steps(), 1)?;
        b.permute(&embedding, &[0, 3, 1, 2])
    }

    /// How many steps the encoder has, one after the other: stem, convolutions, merging or
    /// block each are one; the last is the neck.
    pub fn encoder_steps(&self) -> usize {
        match &self.encoder {
            Encoder::TinyVit(tiny) => tiny.steps(),
            Encoder::Vit(vit) => vit.steps(),
        }
    }

    /// How many of them come before the first adapter: what they give for a picture never
    /// changes.
    pub fn frozen_encoder_steps(&self) -> usize {
        match &self.encoder {
            Encoder::TinyVit(tiny) => tiny.frozen_steps(),
            Encoder::Vit(vit) => vit.frozen_steps(),
        }
    }

    /// Some steps of the encoder. The first takes the network input `[B, 3, S, S]`, the others
    /// the map `[B, H, W, C]` that the step before gave. B holds volumes of `slices` pictures
    /// each, which the Depth adapters connect.
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

    /// Embedding `[B, C, h, w]` and as many prompts -> masks.
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
