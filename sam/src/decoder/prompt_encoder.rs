//! Prompt encoder: points, boxes and masks as embeddings.

use std::f32::consts::PI;

use ndarray::{Array3, Axis};

use super::config::{DecoderConfig, PointOrder};
use crate::backend::{Backend, Output};
use crate::block::{Block, BlockKind};
use crate::error::Error;
use crate::layers::{ConvBias, LayerNorm, Linear, depth_patches, pixel_patches};
use crate::prompt::label;
use crate::weights::{Param, Reader, VisitParams};

/// Input of the decoder as tensors, for `B` prompts.
pub struct PromptInput<T> {
    /// `[B, N, 2]`, (x, y) in input pixels.
    pub coords: T,
    /// `[B, N]`, values of [`crate::prompt::label`].
    pub labels: T,
    /// Mask prompt, `None` if this call never has one.
    pub mask: Option<MaskPrompt<T>>,
}

/// A mask prompt, usually the logits of an earlier prediction.
pub struct MaskPrompt<T> {
    /// `[B, 1, 4h, 4w]` logits for an embedding of h x w.
    pub logits: T,
    /// `[B]`: 1 if the prompt has a mask, 0 if it has none.
    pub present: T,
}

#[derive(Clone, Debug)]
pub(crate) struct PromptEncoder {
    /// Random spatial frequencies, `[2, C/2]`.
    frequencies: Param,
    /// Embeddings `[1, 1, C]` with their labels.
    by_label: [(f32, Param); 5],
    mask_downscaling: MaskDownscaling,
    /// Embedding of a missing mask, `[1, 1, 1, C]`.
    no_mask: Param,
    /// Position of each cell of the embedding in input pixels, `[1, h * w, 2]`.
    cells: Param,
    input_size: usize,
}

impl PromptEncoder {
    /// For inputs of side `input_size` and embeddings of side `grid`.
    pub(crate) fn read(
        from: &Reader,
        config: &DecoderConfig,
        input_size: usize,
        grid: usize,
    ) -> Result<Self, Error> {
        let DecoderConfig { dim, mask_channels, points, .. } = *config;
        let pe_layer = from.at("pe_layer");
        let name = "positional_encoding_gaussian_matrix";
        let mut frequencies = pe_layer.array(name, &[2, dim / 2])?;
        let mut cells = cells(input_size, grid);
        if points == PointOrder::Yx {
            // Swapping the frequencies replaces swapping the points. Cells were never swapped, so
            // they are swapped here.
            frequencies = frequencies.select(Axis(0), &[1, 0]);
            cells = cells.select(Axis(2), &[1, 0]);
        }
        let embedding = |from: &Reader| -> Result<Param, Error> {
            let weight = from.array("weight", &[1, dim])?;
            let weight = weight.into_shape_with_order((1, 1, dim)).expect("1 x C is 1 x 1 x C");
            Ok(Param::new(from.name("weight"), weight))
        };
        let point = |i: usize| embedding(&from.at("point_embeddings").at(i));
        let no_mask = from.at("no_mask_embed");
        let no_mask_weight = no_mask.array("weight", &[1, dim])?;
        let no_mask_weight =
            no_mask_weight.into_shape_with_order((1, 1, 1, dim)).expect("1 x C is 1 x 1 x 1 x C");
        Ok(Self {
            by_label: [
                (label::NOT_A_POINT, embedding(&from.at("not_a_point_embed"))?),
                (label::NEGATIVE, point(0)?),
                (label::POSITIVE, point(1)?),
                (label::BOX_MIN, point(2)?),
                (label::BOX_MAX, point(3)?),
            ],
            mask_downscaling: MaskDownscaling::read(
                &from.at("mask_downscaling"),
                mask_channels,
                dim,
            )?,
            no_mask: Param::new(no_mask.name("weight"), no_mask_weight),
            cells: Param::new(from.name("cells"), cells),
            frequencies: Param::new(pe_layer.name(name), frequencies),
            input_size,
        })
    }

    /// Sparse embeddings of points and box corners, `[B, N, C]`.
    pub(crate) fn sparse<B: Backend>(
        &self,
        b: &B,
        coords: &B::Tensor,
        labels: &B::Tensor,
    ) -> Output<B> {
        let shape = b.shape(labels);
        let labels = b.reshape(labels, &[shape[0], shape[1], 1])?;
        let is = |value: f32| b.indicator(&labels, value);
        let placeless = b.add(&is(label::NOT_A_POINT)?, &is(label::UNUSED)?)?;
        let placed = b.affine(&placeless, -1.0, 1.0)?;
        let mut sparse = b.mul(&self.positions(b, coords)?, &placed)?;
        for (value, embedding) in &self.by_label {
            sparse = b.add(&sparse, &b.mul(&is(*value)?, &b.param(embedding)?)?)?;
        }
        Ok(sparse)
    }

    /// Dense embedding of the mask prompt, `[B or 1, h, w, C]`; `[1, 1, 1, C]` without a mask
    /// prompt.
    pub(crate) fn dense<B: Backend>(
        &self,
        b: &B,
        mask: Option<&MaskPrompt<B::Tensor>>,
    ) -> Output<B> {
        let Some(MaskPrompt { logits, present }) = mask else { return b.param(&self.no_mask) };
        let MaskDownscaling { first, second, last } = &self.mask_downscaling;
        let block = Block::new(BlockKind::MaskPrompt)
            .with("first", &first.0)
            .with("norm1", &first.1)
            .with("second", &second.0)
            .with("norm2", &second.1)
            .with("last", last)
            .with("no_mask_embed", &self.no_mask);
        b.single_block(block, &[logits, present], || {
            let batch = b.shape(present)[0];
            let present = b.reshape(present, &[batch, 1, 1, 1])?;
            let absent = b.affine(&present, -1.0, 1.0)?;
            let embedded = self.mask_downscaling.forward(b, logits)?;
            let no_mask = b.mul(&b.param(&self.no_mask)?, &absent)?;
            b.add(&b.mul(&embedded, &present)?, &no_mask)
        })
    }

    /// Position encoding of each cell of the embedding, `[1, h * w, C]`; a constant.
    pub(crate) fn dense_positions<B: Backend>(&self, b: &B) -> Output<B> {
        self.positions(b, &b.param(&self.cells)?)
    }

    /// Position encoding: `[B, N, 2]` in input pixels -> `[B, N, C]`.
    fn positions<B: Backend>(&self, b: &B, coords: &B::Tensor) -> Output<B> {
        // Move to pixel centres, then scale to [-1, 1].
        let scale = 2.0 / self.input_size as f32;
        let unit = b.affine(coords, scale, 0.5 * scale - 1.0)?;
        let angles = b.affine(&b.matmul(&unit, &b.param(&self.frequencies)?)?, 2.0 * PI, 0.0)?;
        b.concat(&[&b.sin(&angles)?, &b.cos(&angles)?], 2)
    }
}

impl VisitParams for PromptEncoder {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.by_label.iter_mut().for_each(|(_, embedding)| f(embedding));
        let MaskDownscaling { first, second, last } = &mut self.mask_downscaling;
        for (linear, norm) in [first, second] {
            linear.visit(f);
            norm.visit(f);
        }
        last.visit(f);
        f(&mut self.no_mask);
    }
}

/// Downscales mask logits to a map of the embedding's size: two 2x2 convolutions of stride 2 and a
/// 1x1 convolution.
#[derive(Clone, Debug)]
struct MaskDownscaling {
    first: (Linear, LayerNorm),
    second: (Linear, LayerNorm),
    last: Linear,
}

impl MaskDownscaling {
    fn read(from: &Reader, channels: usize, dim: usize) -> Result<Self, Error> {
        let step = |conv: usize, inputs: usize, outputs: usize| -> Result<_, Error> {
            let bias = ConvBias::Yes;
            Ok((
                Linear::read_patch_conv(&from.at(conv), inputs, outputs, 2, bias)?,
                LayerNorm::read(&from.at(conv + 1), outputs, LayerNorm::EPSILON_SAM)?,
            ))
        };
        Ok(Self {
            first: step(0, 1, channels / 4)?,
            second: step(3, channels / 4, channels)?,
            last: Linear::read_patch_conv(&from.at(6), channels, dim, 1, ConvBias::Yes)?,
        })
    }

    fn forward<B: Backend>(&self, b: &B, mask: &B::Tensor) -> Output<B> {
        let step = |x: &B::Tensor, (linear, norm): &(Linear, LayerNorm)| {
            b.gelu(&b.layer_norm(&b.linear(x, linear)?, norm)?)
        };
        let x = step(&pixel_patches(b, mask, 2)?, &self.first)?;
        let x = step(&depth_patches(b, &x, 2)?, &self.second)?;
        b.linear(&x, &self.last)
    }
}

/// Positions of the cells of a `grid` x `grid` map in an input of side `input_size`, in pixel
/// coordinates, where a pixel's centre has whole-number coordinates.
fn cells(input_size: usize, grid: usize) -> Array3<f32> {
    let cell_size = input_size as f32 / grid as f32;
    Array3::from_shape_fn((1, grid * grid, 2), |(_, cell, axis)| {
        let index = if axis == 0 { cell % grid } else { cell / grid };
        (index as f32 + 0.5) * cell_size - 0.5
    })
}
