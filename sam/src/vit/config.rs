//! Shape of a SAM ViT, detected from its weights.

use serde::{Deserialize, Serialize};

use crate::check::check_lengths;
use crate::error::Error;
use crate::weights::Weights;

/// Shape of a ViT encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// Channels.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden width of the MLPs.
    pub mlp_dim: usize,
    /// Side of a window in the windowed blocks, in positions.
    pub window: usize,
    /// Indices of the blocks that attend to the whole map.
    pub global_blocks: Vec<usize>,
    /// Side of the map at which absolute positions were trained, in patches.
    pub trained_grid: usize,
}

impl VitConfig {
    /// Detects the shape from the weights of an image encoder whose names start with `prefix`, and
    /// the side of the map that it was made for, in patches.
    pub(crate) fn detect(weights: &Weights, prefix: &str) -> Result<(Self, usize), Error> {
        let shape = |name: &str, axes: usize| -> Result<&[usize], Error> {
            let name = format!("{prefix}.{name}");
            let unknown = |what: String| Error::UnknownNetwork(format!("tensor {name} {what}"));
            let found = weights.get(&name).ok_or_else(|| unknown("is missing".into()))?.shape();
            if found.len() != axes {
                return Err(unknown(format!("has shape {found:?}, expected {axes} axes")));
            }
            Ok(found)
        };
        let trained_grid = shape("pos_embed", 4)?[1];
        let patches = shape("patch_embed.proj.weight", 4)?;
        let (dim, patch) = (patches[0], patches[2]);
        // Relative positions range from -(side - 1) to side - 1.
        let sides: Vec<usize> = (0..)
            .map_while(|i| shape(&format!("blocks.{i}.attn.rel_pos_h"), 2).ok())
            .map(|shape| shape[0].div_ceil(2))
            .collect();
        let Some(&last) = sides.last() else {
            return Err(shape("blocks.0.attn.rel_pos_h", 2).expect_err("no block has one"));
        };
        // The released Med-SA code stores relative positions of global blocks for its own map size
        // and interpolates the absolute ones. The last block of every SAM is global.
        let grid = if sides.contains(&trained_grid) { trained_grid } else { last };
        let is_global = |side: usize| side == grid && (grid == trained_grid || side != sides[0]);
        let global_blocks: Vec<usize> = (0..sides.len()).filter(|&i| is_global(sides[i])).collect();
        let window = sides.iter().copied().find(|&side| !is_global(side));
        let config = Self {
            patch,
            dim,
            depth: sides.len(),
            heads: dim / shape("blocks.0.attn.rel_pos_h", 2)?[1],
            mlp_dim: shape("blocks.0.mlp.lin1.weight", 2)?[0],
            window: window.unwrap_or(grid),
            global_blocks,
            trained_grid,
        };
        Ok((config, grid))
    }

    /// Part of [`crate::SamConfig::check`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_lengths(&[
            ("encoder.patch", self.patch, 1),
            ("encoder.dim", self.dim, self.heads),
            ("encoder.mlp_dim", self.mlp_dim, 1),
            ("encoder.window", self.window, 1),
            ("encoder.trained_grid", self.trained_grid, 1),
        ])
    }
}
