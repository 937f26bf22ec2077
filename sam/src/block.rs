//! The contract of blocks: parts of a network that an exporter writes as local functions of a
//! model file and that a runtime may compute with one kernel.
//!
//! The network says of each block its kind, its variant and the role of each layer. An exporter
//! writes that down as a [`BlockSchema`] beside the call of the function, and a runtime reads it
//! with a `match`: nobody guesses from names, the order of statements or counted operators.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::layers::{Activation, Conv2d, LayerNorm, Linear};
use crate::weights::{Indices, Param};

/// Version of [`BlockSchema`] and of the roles of all kinds. It grows when a reader of the version
/// before would misunderstand a block.
pub const SCHEMA_VERSION: u32 = 1;

/// Domain of the local functions in a model file.
pub const DOMAIN: &str = "medsa";

/// Attribute of a call that holds the [`BlockSchema`], as JSON.
pub const SCHEMA_ATTRIBUTE: &str = "medsa_block";

/// A kind of block, with what neither its inputs nor its weights tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum BlockKind {
    /// Two pointwise layers with GELU between them: the stem of a TinyViT.
    PatchEmbed,
    /// Inverted bottleneck with a residual (TinyViT, stage 0).
    MbConv,
    /// From one TinyViT stage to the next.
    PatchMerging {
        /// Stride of the depthwise convolution: 1 or 2.
        stride: usize,
    },
    /// Window attention, depthwise convolution and MLP.
    TinyVitBlock {
        /// Side of a window, in positions.
        window: usize,
        /// Attention heads.
        heads: usize,
        /// Activation of the `Space` adapter after the attention.
        space: Option<Activation>,
    },
    /// Attention with decomposed relative positions, and MLP.
    VitBlock {
        /// Side of a window, in positions; a global block has one window.
        window: usize,
        /// Attention heads.
        heads: usize,
        /// Activation of the `Space` adapter after the attention.
        space: Option<Activation>,
    },
    /// SAM's neck.
    Neck,
    /// Tokens attend to the image and the image to tokens.
    TwoWayBlock {
        /// Attention heads.
        heads: usize,
        /// The first block: self-attention replaces the tokens.
        first: bool,
        /// The adapter after the attention of the tokens to the image.
        after_tokens: Option<Bottleneck>,
        /// Activation of the adapter parallel to the MLP.
        beside_mlp: Option<Activation>,
        /// Activation of the adapter after the attention of the image to the tokens.
        after_image: Option<Activation>,
    },
    /// The last attention of the tokens to the image.
    FinalAttention {
        /// Attention heads.
        heads: usize,
    },
    /// From a mask prompt to an embedding.
    MaskPrompt,
    /// From tokens and image to mask logits.
    MaskHead {
        /// Height of the embedding.
        height: usize,
        /// Width of the embedding.
        width: usize,
    },
}

/// What an adapter computes between its projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Bottleneck {
    /// An activation.
    Activation(Activation),
    /// Maps that the prompt generates (HyP-Adpt).
    Hyper {
        /// How many.
        maps: usize,
    },
}

impl BlockKind {
    /// Names of all kinds, as they stand in a schema.
    pub const NAMES: [&str; 10] = [
        "patch-embed",
        "mb-conv",
        "patch-merging",
        "tiny-vit-block",
        "vit-block",
        "neck",
        "two-way-block",
        "final-attention",
        "mask-prompt",
        "mask-head",
    ];

    /// Name of the kind, as it stands in a schema.
    pub fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::PatchEmbed => 0,
            Self::MbConv => 1,
            Self::PatchMerging { .. } => 2,
            Self::TinyVitBlock { .. } => 3,
            Self::VitBlock { .. } => 4,
            Self::Neck => 5,
            Self::TwoWayBlock { .. } => 6,
            Self::FinalAttention { .. } => 7,
            Self::MaskPrompt => 8,
            Self::MaskHead { .. } => 9,
        }]
    }

    /// Name of the local function in a model file.
    pub fn function(&self) -> &'static str {
        match self {
            Self::PatchEmbed => "PatchEmbed",
            Self::MbConv => "MBConv",
            Self::PatchMerging { .. } => "PatchMerging",
            Self::TinyVitBlock { .. } => "TinyViTBlock",
            Self::VitBlock { .. } => "ViTBlock",
            Self::Neck => "Neck",
            Self::TwoWayBlock { .. } => "TwoWayBlock",
            Self::FinalAttention { .. } => "FinalAttention",
            Self::MaskPrompt => "MaskPrompt",
            Self::MaskHead { .. } => "MaskHead",
        }
    }

    /// The kind with its variant and without its sizes: what two bodies of the same form share.
    pub fn variant(&self) -> Variant<'_> {
        Variant(self)
    }
}

/// Displays a kind with its variant and without its sizes.
pub struct Variant<'a>(&'a BlockKind);

impl fmt::Display for Variant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let activation = |activation: &Option<Activation>| match activation {
            None => "none",
            Some(Activation::Gelu) => "gelu",
            Some(Activation::Relu) => "relu",
        };
        f.write_str(self.0.name())?;
        match self.0 {
            BlockKind::PatchMerging { stride } => write!(f, " stride={stride}"),
            BlockKind::TinyVitBlock { space, .. } | BlockKind::VitBlock { space, .. } => {
                write!(f, " space={}", activation(space))
            }
            BlockKind::TwoWayBlock { first, after_tokens, beside_mlp, after_image, .. } => {
                write!(f, " first={first} after-tokens=")?;
                match after_tokens {
                    Some(Bottleneck::Hyper { maps }) => write!(f, "hyper-{maps}")?,
                    Some(Bottleneck::Activation(a)) => f.write_str(activation(&Some(*a)))?,
                    None => f.write_str("none")?,
                }
                let [mlp, image] = [beside_mlp, after_image].map(activation);
                write!(f, " beside-mlp={mlp} after-image={image}")
            }
            BlockKind::PatchEmbed
            | BlockKind::MbConv
            | BlockKind::Neck
            | BlockKind::FinalAttention { .. }
            | BlockKind::MaskPrompt
            | BlockKind::MaskHead { .. } => Ok(()),
        }
    }
}

/// What a model file says about a block, beside the call of its function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockSchema {
    /// [`SCHEMA_VERSION`] of the writer.
    pub version: u32,
    /// Kind and variant.
    pub kind: BlockKind,
    /// Roles of the call's last inputs, the weights, in their order: `mlp.fc1.weight`. See
    /// [`part`] for what follows the role of the layer.
    pub weights: Vec<String>,
    /// Roles of layers and attention products that are computed in int8; all others are in float.
    pub int8: Vec<String>,
    /// Hash of the function's body without shapes and weights.
    pub body: String,
}

/// Parts of a layer: the ends of names in [`BlockSchema::weights`].
pub mod part {
    /// Float: weights, `[in, out]` of a linear layer, `[out, in / groups, 3, 3]` of a convolution;
    /// gamma of a norm.
    pub const WEIGHT: &str = "weight";
    /// Bias `[out]`; beta of a norm.
    pub const BIAS: &str = "bias";
    /// Int8: weights, in the layout of [`WEIGHT`].
    pub const INT8: &str = "int8";
    /// Int8: scale of each output channel, `[out]`.
    pub const SCALE: &str = "scale";
    /// Int8: 1 / scale of each input channel, `[in]`.
    pub const INVERSE_SCALE: &str = "inverse_scale";
    /// Int8: zero point of each input channel, `[in]`; left out where all are 0.
    pub const ZERO_POINT: &str = "zero_point";
    /// Int8 convolutions: the quantized zero that pads the map, one number.
    pub const PADDING: &str = "padding";
}

/// A block in the network, for [`Backend::block`](crate::backend::Backend::block).
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// Kind and variant.
    pub kind: BlockKind,
    /// Layers by role, each once.
    pub layers: Vec<(String, Layer<'a>)>,
}

/// A layer or constant of a block.
#[derive(Clone, Copy, Debug)]
pub enum Layer<'a> {
    /// A linear layer.
    Linear(&'a Linear),
    /// A convolution.
    Conv(&'a Conv2d),
    /// A layer normalization.
    Norm(&'a LayerNorm),
    /// A tensor that is used as it is.
    Param(&'a Param),
    /// Constant indices.
    Indices(&'a Indices),
    /// The products of an attention, by their name.
    Products(&'a str),
}

impl<'a> Block<'a> {
    /// A block of a kind.
    pub(crate) fn new(kind: BlockKind) -> Self {
        Self { kind, layers: Vec::new() }
    }

    /// With one more layer.
    #[must_use]
    pub(crate) fn with(mut self, role: &str, layer: impl Into<Layer<'a>>) -> Self {
        self.layers.push((role.to_owned(), layer.into()));
        self
    }

    /// With the layers of a part of the network.
    #[must_use]
    pub(crate) fn within(mut self, role: &str, part: &'a impl Roles) -> Self {
        part.roles(&mut |inner, layer| self.layers.push((format!("{role}.{inner}"), layer)));
        self
    }
}

/// A part of the network that stands in blocks.
pub(crate) trait Roles {
    /// Hands over each layer with its role.
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>));
}

impl<'a> From<&'a Linear> for Layer<'a> {
    fn from(linear: &'a Linear) -> Self {
        Self::Linear(linear)
    }
}

impl<'a> From<&'a Conv2d> for Layer<'a> {
    fn from(conv: &'a Conv2d) -> Self {
        Self::Conv(conv)
    }
}

impl<'a> From<&'a LayerNorm> for Layer<'a> {
    fn from(norm: &'a LayerNorm) -> Self {
        Self::Norm(norm)
    }
}

impl<'a> From<&'a Param> for Layer<'a> {
    fn from(param: &'a Param) -> Self {
        Self::Param(param)
    }
}

impl<'a> From<&'a Indices> for Layer<'a> {
    fn from(indices: &'a Indices) -> Self {
        Self::Indices(indices)
    }
}
