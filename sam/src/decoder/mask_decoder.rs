//! Mask decoder: from an embedding and a prompt to masks and their predicted quality.

use ndarray::{Array3, Axis, concatenate};

use super::PromptInput;
use super::prompt_encoder::PromptEncoder;
use super::two_way::{Positions, TwoWayTransformer};
use crate::adapter::{AdapterConfig, PromptSummary};
use crate::backend::{Backend, Output};
use crate::block::{Block, BlockKind};
use crate::error::Error;
use crate::fold::{Fold, Folding};
use crate::layers::{Activation, LayerNorm, Linear, Mlp, NO_ATTENTION, Upscale2x};
use crate::prompt::label;
use crate::weights::{Param, Reader, VisitParams};

/// Predictions of the decoder.
pub struct Masks<T> {
    /// `[B, 4, 4h, 4w]`: logits of the single mask, then of the three masks of multi-mask output.
    pub logits: T,
    /// `[B, 4]`: predicted intersection over union of each mask.
    pub iou: T,
}

#[derive(Clone, Debug)]
pub(crate) struct MaskDecoder {
    /// `[1, 5, C]`: the quality token, then one token for each mask.
    output_tokens: Param,
    transformer: TwoWayTransformer,
    upscale1: Upscale2x,
    upscale_norm: LayerNorm,
    upscale2: Upscale2x,
    /// For each mask, the MLP from its token to the weights of its channels.
    hypernetworks: Vec<Mlp>,
    iou_head: Mlp,
}

impl MaskDecoder {
    /// The single mask and the three of multi-mask output.
    const MASKS: usize = 4;

    pub(crate) fn read(
        from: &Reader,
        dim: usize,
        mlp_dim: usize,
        heads: usize,
    ) -> Result<Self, Error> {
        let iou_token = from.at("iou_token").array("weight", &[1, dim])?;
        let mask_tokens = from.at("mask_tokens").array("weight", &[Self::MASKS, dim])?;
        let tokens = concatenate(Axis(0), &[iou_token.view(), mask_tokens.view()])
            .expect("both have C columns")
            .insert_axis(Axis(0));
        let upscaling = from.at("output_upscaling");
        let mlp = |from: &Reader, outputs: usize| -> Result<Mlp, Error> {
            let layers = from.at("layers");
            let layers = vec![
                Linear::read(&layers.at(0), dim, dim)?,
                Linear::read(&layers.at(1), dim, dim)?,
                Linear::read(&layers.at(2), dim, outputs)?,
            ];
            Ok(Mlp::new(layers, Activation::Relu))
        };
        let hypernetworks = (0..Self::MASKS)
            .map(|i| mlp(&from.at("output_hypernetworks_mlps").at(i), dim / 8))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            output_tokens: Param::new(from.name("output_tokens"), tokens),
            transformer: TwoWayTransformer::read(&from.at("transformer"), dim, mlp_dim, heads)?,
            upscale1: Upscale2x::read(&upscaling.at(0), dim, dim / 4)?,
            upscale_norm: LayerNorm::read(&upscaling.at(1), dim / 4, LayerNorm::EPSILON_SAM)?,
            upscale2: Upscale2x::read(&upscaling.at(3), dim / 4, dim / 8)?,
            hypernetworks,
            iou_head: mlp(&from.at("iou_prediction_head"), Self::MASKS)?,
        })
    }

    /// Puts adapters into the two-way blocks; `from` points to `decoder.layers`.
    pub(crate) fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        self.transformer.adapt(from, config)
    }

    /// Applies a folding rule to the two-way blocks.
    pub(crate) fn fold(&mut self, rule: Folding) {
        self.transformer.fold(rule);
    }

    /// Predicts masks for an embedding `[B, h, w, C]`.
    pub(crate) fn forward<B: Backend>(
        &self,
        b: &B,
        prompt_encoder: &PromptEncoder,
        embedding: &B::Tensor,
        prompt: &PromptInput<B::Tensor>,
    ) -> Result<Masks<B::Tensor>, B::Error> {
        let [_, h, w, c] = b.shape(embedding)[..] else { unreachable!("maps have four axes") };
        let batch = b.shape(&prompt.labels)[0];
        let sparse = prompt_encoder.sparse(b, &prompt.coords, &prompt.labels)?;
        let dense = prompt_encoder.dense(b, prompt.mask.as_ref())?;
        let image = b.reshape(&b.add(embedding, &dense)?, &[batch, h * w, c])?;
        let tokens = b.concat(&[&self.output_tokens(b, batch)?, &sparse], 1)?;
        let positions = Positions {
            tokens: &tokens,
            image: &prompt_encoder.dense_positions(b)?,
            token_bias: &self.token_bias(b, &prompt.labels)?,
            prompt: PromptSummary { tokens: &sparse, labels: &prompt.labels },
        };
        let (tokens, image) = self.transformer.forward(b, &image, &positions)?;

        let mut block = Block::new(BlockKind::MaskHead { height: h, width: w })
            .with("upscale1", &self.upscale1)
            .with("norm", &self.upscale_norm)
            .with("upscale2", &self.upscale2);
        for (mask, mlp) in self.hypernetworks.iter().enumerate() {
            block = block.within(&format!("hypernetworks.{mask}"), mlp);
        }
        let logits = b.single_block(block, &[&tokens, &image], || {
            let x = self.upscale1.forward(b, &b.reshape(&image, &[batch, h, w, c])?)?;
            let x = b.gelu(&b.layer_norm(&x, &self.upscale_norm)?)?;
            let x = b.gelu(&self.upscale2.forward(b, &x)?)?;
            let pixels = b.reshape(&x, &[batch, 16 * h * w, c / 8])?;
            let channels = self
                .hypernetworks
                .iter()
                .enumerate()
                .map(|(i, mlp)| mlp.forward(b, &b.narrow(&tokens, 1, 1 + i, 1)?))
                .collect::<Result<Vec<_>, _>>()?;
            let channels = b.concat(&channels.iter().collect::<Vec<_>>(), 1)?;
            let logits = b.matmul(&channels, &b.permute(&pixels, &[0, 2, 1])?)?;
            b.reshape(&logits, &[batch, Self::MASKS, 4 * h, 4 * w])
        })?;
        let iou = self.iou_head.forward(b, &b.narrow(&tokens, 1, 0, 1)?)?;
        Ok(Masks { logits, iou: b.reshape(&iou, &[batch, Self::MASKS])? })
    }

    /// Output tokens of a batch, `[B, 5, C]`.
    fn output_tokens<B: Backend>(&self, b: &B, batch: usize) -> Output<B> {
        let tokens = b.param(&self.output_tokens)?;
        b.concat(&vec![&tokens; batch], 0)
    }

    /// Bias of the attention scores, `[B, 1, 1, 5 + N]`: 0, or a large negative number that
    /// excludes unused tokens.
    fn token_bias<B: Backend>(&self, b: &B, labels: &B::Tensor) -> Output<B> {
        let [batch, slots] = b.shape(labels)[..] else { unreachable!("labels have two axes") };
        let unused = b.affine(&b.indicator(labels, label::UNUSED)?, NO_ATTENTION, 0.0)?;
        let outputs = Param::new("mask_decoder.used", Array3::zeros((1, 1, 1 + Self::MASKS)));
        let outputs = b.reshape(&b.param(&outputs)?, &[1, 1 + Self::MASKS])?;
        let bias = b.concat(&[&b.concat(&vec![&outputs; batch], 0)?, &unused], 1)?;
        b.reshape(&bias, &[batch, 1, 1, 1 + Self::MASKS + slots])
    }
}

impl VisitParams for MaskDecoder {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        f(&mut self.output_tokens);
        self.transformer.visit(f);
        self.upscale1.visit(f);
        self.upscale_norm.visit(f);
        self.upscale2.visit(f);
        self.hypernetworks.iter_mut().for_each(|mlp| mlp.visit(f));
        self.iou_head.visit(f);
    }
}
