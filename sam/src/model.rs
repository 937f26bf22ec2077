//! A whole SAM: its shape, read off a checkpoint, and the network.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::adapter::AdapterConfig;
use crate::backend::{Backend, Output};
use crate::decoder::{MaskDecoder, Masks, PromptEncoder, PromptInput};
use crate::error::Error;
use crate::fold::Folding;
use crate::image::{Fit, Normalization, Preprocess};
use crate::tiny_vit::{Stem, TinyVit, TinyVitConfig};
use crate::vit::{Vit, VitConfig};
use crate::weights::{Param, Reader, VisitParams, Weights};

/// Shape of a SAM-family network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamConfig {
    /// From a frame to the network's input.
    pub preprocess: Preprocess,
    /// The image encoder.
    pub encoder: EncoderConfig,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
}

/// Shape of an image encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// LiteMedSAM, MobileSAM.
    TinyVit(TinyVitConfig),
    /// SAM ViT-B, -L, -H.
    Vit(VitConfig),
}

/// Shape of prompt encoder and mask decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Channels of embedding and tokens.
    pub dim: usize,
    /// Hidden width of the two-way blocks' MLP.
    pub mlp_dim: usize,
    /// Attention heads. The one thing that weights do not tell: SAM has 8.
    pub heads: usize,
    /// Channels of the mask prompt's downscaling.
    pub mask_channels: usize,
    /// Which coordinate of a prompt's points the network has learned to be the first.
    #[serde(default)]
    pub points: PointOrder,
}

/// The order of a point's coordinates in training. Prompts are (x, y) everywhere; a network that
/// has learned them the other way round is given them so inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointOrder {
    /// Column, then row (SAM).
    #[default]
    Xy,
    /// Row, then column (the released Med-SA code).
    Yx,
}

impl SamConfig {
    pub(crate) const ENCODER: &'static str = "image_encoder";
    /// Attention heads of every published SAM's decoder.
    const DECODER_HEADS: usize = 8;

    /// Reads the shape off a checkpoint.
    ///
    /// # Errors
    /// [`Error::UnknownNetwork`] names the tensor that gives it away.
    pub fn detect(weights: &Weights) -> Result<Self, Error> {
        // What follows divides by lengths.
        if let Some((name, value)) = weights.iter().find(|(_, value)| value.is_empty()) {
            let found = format!("tensor {name} is empty, shape {:?}", value.shape());
            return Err(Error::UnknownNetwork(found));
        }
        let prefix = Self::ENCODER;
        let (encoder, input_size, normalization) =
            if weights.contains_key(&format!("{prefix}.pos_embed")) {
                let (vit, grid) = VitConfig::detect(weights, prefix)?;
                let input_size = grid.saturating_mul(vit.patch);
                (EncoderConfig::Vit(vit), input_size, Normalization::MeanStd)
            } else if weights.contains_key(&format!("{prefix}.patch_embed.seq.0.c.weight")) {
                let tiny = TinyVitConfig::detect(weights, prefix)?;
                let (size, normalization) = match tiny.stem {
                    Stem::Pointwise | Stem::Patches => (256, Normalization::MinMax),
                    Stem::Strided => (1024, Normalization::MeanStd),
                };
                (EncoderConfig::TinyVit(tiny), size, normalization)
            } else {
                let found = weights.keys().take(3).cloned().collect::<Vec<_>>().join(", ");
                return Err(Error::UnknownNetwork(format!(
                    "expected {prefix}.pos_embed (SAM ViT) or \
                     {prefix}.patch_embed.seq.0.c.weight (TinyViT), found {} tensors: {found} ...",
                    weights.len()
                )));
            };
        let decoder = DecoderConfig::detect(weights, Self::DECODER_HEADS)?;
        let preprocess = Preprocess { input_size, normalization, fit: Fit::Pad };
        Ok(Self { preprocess, encoder, decoder })
    }

    /// Checks a shape that came from a file: no length is 0, and heads divide channels.
    ///
    /// # Errors
    /// [`Error::UnknownNetwork`] names the key.
    pub fn check(&self) -> Result<(), Error> {
        let DecoderConfig { dim, mlp_dim, heads, mask_channels, points: _ } = self.decoder;
        // Upscaling goes to an eighth of the channels, cross-attention to half.
        check_lengths(&[
            ("decoder.dim", dim, 8),
            ("decoder.dim", dim, heads.saturating_mul(2)),
            ("decoder.mlp_dim", mlp_dim, 1),
            ("decoder.mask_channels", mask_channels, 4),
        ])?;
        match &self.encoder {
            EncoderConfig::TinyVit(tiny) => tiny.check()?,
            EncoderConfig::Vit(vit) => vit.check()?,
        }
        self.clone().with_input_size(self.preprocess.input_size).map(drop)
    }

    /// The same network for inputs of another side.
    ///
    /// # Errors
    /// [`Error::InputSize`].
    pub fn with_input_size(mut self, input_size: usize) -> Result<Self, Error> {
        let (min, max) = (64, 2048);
        let multiple = self.stride();
        if !(min..=max).contains(&input_size) || !input_size.is_multiple_of(multiple) {
            return Err(Error::InputSize { found: input_size, multiple, min, max });
        }
        self.preprocess.input_size = input_size;
        Ok(self)
    }

    /// Side of the embedding.
    pub fn grid(&self) -> usize {
        self.preprocess.input_size / self.stride()
    }

    /// Side of the mask logits.
    pub fn mask_side(&self) -> usize {
        4 * self.grid()
    }

    fn stride(&self) -> usize {
        match &self.encoder {
            EncoderConfig::TinyVit(tiny) => tiny.stride(),
            EncoderConfig::Vit(vit) => vit.patch,
        }
    }
}

/// Each length of a configuration must be a multiple of its divisor, and neither is 0.
pub(crate) fn check_lengths(lengths: &[(&str, usize, usize)]) -> Result<(), Error> {
    for &(key, length, divisor) in lengths {
        if length == 0 || divisor == 0 || !length.is_multiple_of(divisor) {
            let expected = if divisor == 0 {
                "heads above 0".into()
            } else {
                format!("a multiple of {divisor} above 0")
            };
            return Err(Error::UnknownNetwork(format!("{key} is {length}, expected {expected}")));
        }
    }
    Ok(())
}

impl DecoderConfig {
    fn detect(weights: &Weights, heads: usize) -> Result<Self, Error> {
        let rows = |name: &str| {
            let found = weights.get(name).and_then(|value| value.shape().first().copied());
            found.ok_or_else(|| Error::UnknownNetwork(format!("tensor {name} is missing")))
        };
        Ok(Self {
            dim: rows("prompt_encoder.mask_downscaling.6.weight")?,
            mlp_dim: rows("mask_decoder.transformer.layers.0.mlp.lin1.weight")?,
            heads,
            mask_channels: rows("prompt_encoder.mask_downscaling.3.weight")?,
            points: PointOrder::Xy,
        })
    }
}

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
