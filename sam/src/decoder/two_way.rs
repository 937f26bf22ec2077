//! The two-way transformer, in which tokens attend to the image and the image attends to tokens.

use std::sync::Arc;

use crate::adapter::{AdapterConfig, AttentionLora, DecoderAdapters, Lora, PromptSummary};
use crate::backend::{Backend, Scores};
use crate::block::{Block, BlockKind, Layer, Roles};
use crate::error::Error;
use crate::fold::{Fold, Folding};
use crate::layers::{
    Activation, LayerNorm, Linear, Mlp, Projected, Projection, attention_scale, products_name,
};
use crate::weights::{Param, Reader, VisitParams};

#[derive(Clone, Debug)]
pub(super) struct TwoWayTransformer {
    layers: Vec<TwoWayBlock>,
    final_attention: Attention,
    final_norm: LayerNorm,
}

/// Inputs that are the same for every block.
pub(super) struct Positions<'a, T> {
    /// Initial tokens, `[B, N, C]`.
    pub tokens: &'a T,
    /// Position encoding of the image, `[1, h * w, C]`.
    pub image: &'a T,
    /// Bias of scores whose key is a token, `[B, 1, 1, N]`: 0, or a large negative number for
    /// unused tokens.
    pub token_bias: &'a T,
    /// Prompt, for adapters that are conditioned on it.
    pub prompt: PromptSummary<'a, T>,
}

/// Number of two-way blocks in SAM.
pub(crate) const TWO_WAY_DEPTH: usize = 2;

impl TwoWayTransformer {
    pub(super) fn read(
        from: &Reader,
        dim: usize,
        mlp_dim: usize,
        heads: usize,
    ) -> Result<Self, Error> {
        let layers = (0..TWO_WAY_DEPTH)
            .map(|i| TwoWayBlock::read(&from.at("layers").at(i), dim, mlp_dim, heads, i == 0))
            .collect::<Result<_, _>>()?;
        let final_attention = from.at("final_attn_token_to_image");
        Ok(Self {
            layers,
            final_attention: Attention::read(&final_attention, dim, dim / 2, heads)?,
            final_norm: LayerNorm::read(&from.at("norm_final_attn"), dim, LayerNorm::EPSILON)?,
        })
    }

    /// Puts adapters into blocks; `from` points to `decoder.layers`.
    pub(super) fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        let dim = self.final_attention.q.inputs();
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.adapters = DecoderAdapters::read(&from.at(i), dim, config)?;
        }
        Ok(())
    }

    /// Tokens `[B, N, C]` and image `[B, h * w, C]` after the transformer.
    pub(super) fn forward<B: Backend>(
        &self,
        b: &B,
        image: &B::Tensor,
        positions: &Positions<B::Tensor>,
    ) -> Result<(B::Tensor, B::Tensor), B::Error> {
        let mut tokens = positions.tokens.clone();
        let mut image = image.clone();
        for layer in &self.layers {
            let Positions { tokens: positions_of_tokens, image: of_image, token_bias, prompt } =
                positions;
            let inputs = [
                &tokens,
                &image,
                positions_of_tokens,
                of_image,
                token_bias,
                prompt.tokens,
                prompt.labels,
            ];
            [tokens, image] =
                b.block(layer.block(), &inputs, || layer.forward(b, &tokens, &image, positions))?;
        }
        let inputs = [&tokens, &image, positions.tokens, positions.image];
        let kind = BlockKind::FinalAttention { heads: self.final_attention.heads };
        let block =
            Block::new(kind).within("attn", &self.final_attention).with("norm", &self.final_norm);
        let attended = b.single_block(block, &inputs, || {
            let q = b.add(&tokens, positions.tokens)?;
            let k = b.add(&image, positions.image)?;
            let attended = self.final_attention.forward(b, [&q, &k, &image], None, None)?;
            b.layer_norm(&b.add(&tokens, &attended.x)?, &self.final_norm)
        })?;
        Ok((attended, image))
    }
}

#[derive(Clone, Debug)]
struct TwoWayBlock {
    self_attention: Attention,
    norm1: LayerNorm,
    token_to_image: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    norm3: LayerNorm,
    image_to_token: Attention,
    norm4: LayerNorm,
    /// True for the first block: its tokens equal their positions, and the output of self-attention
    /// replaces them.
    first: bool,
    adapters: DecoderAdapters,
}

impl TwoWayBlock {
    fn read(
        from: &Reader,
        dim: usize,
        mlp_dim: usize,
        heads: usize,
        first: bool,
    ) -> Result<Self, Error> {
        let norm = |name: &str| LayerNorm::read(&from.at(name), dim, LayerNorm::EPSILON);
        let cross = |name: &str| Attention::read(&from.at(name), dim, dim / 2, heads);
        let mlp = from.at("mlp");
        let layers = vec![
            Linear::read(&mlp.at("lin1"), dim, mlp_dim)?,
            Linear::read(&mlp.at("lin2"), mlp_dim, dim)?,
        ];
        Ok(Self {
            self_attention: Attention::read(&from.at("self_attn"), dim, dim, heads)?,
            norm1: norm("norm1")?,
            token_to_image: cross("cross_attn_token_to_image")?,
            norm2: norm("norm2")?,
            mlp: Mlp::new(layers, Activation::Relu),
            norm3: norm("norm3")?,
            image_to_token: cross("cross_attn_image_to_token")?,
            norm4: norm("norm4")?,
            first,
            adapters: DecoderAdapters::default(),
        })
    }

    fn block(&self) -> Block<'_> {
        let Self { adapters, .. } = self;
        let kind = BlockKind::TwoWayBlock {
            heads: self.self_attention.heads,
            first: self.first,
            after_tokens: adapters.after_tokens(),
            parallel_mlp: adapters.mlp_activation(),
            after_image: adapters.after_image(),
        };
        Block::new(kind)
            .within("self_attn", &self.self_attention)
            .with("norm1", &self.norm1)
            .within("cross_attn_token_to_image", &self.token_to_image)
            .with("norm2", &self.norm2)
            .within("mlp", &self.mlp)
            .with("norm3", &self.norm3)
            .within("cross_attn_image_to_token", &self.image_to_token)
            .with("norm4", &self.norm4)
            .within("adapter", adapters)
    }

    fn forward<B: Backend>(
        &self,
        b: &B,
        tokens: &B::Tensor,
        image: &B::Tensor,
        positions: &Positions<B::Tensor>,
    ) -> Result<[B::Tensor; 2], B::Error> {
        let token_bias = Some(positions.token_bias);
        let Self { adapters, .. } = self;
        let lora = adapters.lora.self_attention.as_ref();
        let tokens = if self.first {
            self.self_attention.forward(b, [tokens; 3], token_bias, lora)?.x
        } else {
            let q = b.add(tokens, positions.tokens)?;
            let attended = self.self_attention.forward(b, [&q, &q, tokens], token_bias, lora)?;
            b.add(tokens, &attended.x)?
        };
        let tokens = b.layer_norm(&tokens, &self.norm1)?;

        let q = b.add(&tokens, positions.tokens)?;
        let k = b.add(image, positions.image)?;
        let lora = adapters.lora.prompt_to_image.as_ref();
        let attended = self.token_to_image.forward(b, [&q, &k, image], None, lora)?;
        let attended = adapters.after_prompt_to_image(b, attended, &positions.prompt)?;
        let tokens = b.layer_norm(&b.add(&tokens, &attended)?, &self.norm2)?;

        let mlp = adapters.add_parallel_to_mlp(b, &tokens, self.mlp.forward(b, &tokens)?)?;
        let tokens = b.layer_norm(&b.add(&tokens, &mlp)?, &self.norm3)?;

        let q = b.add(&tokens, positions.tokens)?;
        let lora = adapters.lora.image_to_prompt.as_ref();
        let attended = self.image_to_token.forward(b, [&k, &q, &tokens], token_bias, lora)?;
        let attended = adapters.after_image_to_prompt(b, attended)?;
        let image = b.layer_norm(&b.add(image, &attended)?, &self.norm4)?;
        Ok([tokens, image])
    }
}

/// Attention with its own projections, to `inner` channels.
#[derive(Clone, Debug)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Projection,
    heads: usize,
    /// Name of its products.
    name: Arc<str>,
    /// Factor of the scores.
    scale: f32,
}

impl Attention {
    fn read(from: &Reader, dim: usize, inner: usize, heads: usize) -> Result<Self, Error> {
        Ok(Self {
            q: Linear::read(&from.at("q_proj"), dim, inner)?,
            k: Linear::read(&from.at("k_proj"), dim, inner)?,
            v: Linear::read(&from.at("v_proj"), dim, inner)?,
            out: Projection::read(&from.at("out_proj"), inner, dim)?,
            heads,
            name: products_name(&from.at("q_proj")),
            scale: attention_scale(inner / heads),
        })
    }

    fn forward<B: Backend>(
        &self,
        b: &B,
        [q, k, v]: [&B::Tensor; 3],
        bias: Option<&B::Tensor>,
        lora: Option<&Lora>,
    ) -> Result<Projected<B::Tensor>, B::Error> {
        let mut queries = b.linear(q, &self.q)?;
        let mut values = b.linear(v, &self.v)?;
        if let Some(lora) = lora {
            queries = b.add(&queries, &lora.q(b, q)?)?;
            values = b.add(&values, &lora.v(b, v)?)?;
        }
        let keys = b.linear(k, &self.k)?;
        let scores = Scores { name: &self.name, scale: self.scale, bias };
        self.out.forward(b, &b.attention([&queries, &keys, &values], self.heads, scores)?)
    }
}

impl Roles for Attention {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        let Self { q, k, v, out, name, .. } = self;
        add("q_proj".into(), q.into());
        add("k_proj".into(), k.into());
        add("v_proj".into(), v.into());
        add("products".into(), Layer::Products(name));
        add("out_proj".into(), out.into());
    }
}

impl Fold for TwoWayTransformer {
    fn fold(&mut self, rule: Folding) {
        self.layers.iter_mut().for_each(|layer| layer.fold(rule));
        self.final_attention.fold(rule, &mut None);
    }
}

impl Fold for TwoWayBlock {
    // Each norm's output also enters a residual sum, so gamma and beta cannot be folded into
    // layers.
    fn fold(&mut self, rule: Folding) {
        let Self { self_attention, token_to_image, image_to_token, mlp, adapters, .. } = self;
        let AttentionLora { self_attention: lora, prompt_to_image, image_to_prompt } =
            &mut adapters.lora;
        self_attention.fold(rule, lora);
        token_to_image.fold(rule, prompt_to_image);
        image_to_token.fold(rule, image_to_prompt);
        adapters.fold(rule, mlp, &mut token_to_image.out, &mut image_to_token.out);
    }
}

impl Attention {
    fn fold(&mut self, rule: Folding, lora: &mut Option<Lora>) {
        match rule {
            Folding::Lora => {
                if let Some(lora) = lora.take() {
                    [self.q, self.v] = lora.merged_apart(&self.q, &self.v);
                }
            }
            Folding::Scales => {
                self.q = self.q.scaled(0..self.q.outputs(), self.scale);
                if let Some(lora) = lora {
                    lora.scale_queries(self.scale);
                }
                self.scale = 1.0;
            }
            Folding::Norms | Folding::Mlp | Folding::Bottlenecks => {}
        }
    }
}

impl VisitParams for TwoWayTransformer {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        let Self { layers, final_attention, final_norm } = self;
        layers.iter_mut().for_each(|layer| layer.visit(f));
        final_attention.visit(f);
        final_norm.visit(f);
    }
}

impl VisitParams for TwoWayBlock {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        for attention in
            [&mut self.self_attention, &mut self.token_to_image, &mut self.image_to_token]
        {
            attention.visit(f);
        }
        for norm in [&mut self.norm1, &mut self.norm2, &mut self.norm3, &mut self.norm4] {
            norm.visit(f);
        }
        self.mlp.visit(f);
    }
}

impl VisitParams for Attention {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        for linear in [&mut self.q, &mut self.k, &mut self.v] {
            linear.visit(f);
        }
        self.out.visit(f);
    }
}
