//! The contract of blocks: parts of a network that an exporter writes as local functions of a
//! model file and that a runtime may compute with one kernel.
//!
//! The network declares the kind, the variant and the role of each layer of a block. An exporter
//! writes these as a [`BlockSchema`] on the call of the function, and a runtime reads the schema
//! with a `match`. No reader has to infer a block from names, statement order or operator counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::layers::{Activation, Conv2d, LayerNorm, Linear};
use crate::weights::{Indices, Param};

/// Version of [`BlockSchema`] and of the roles of all kinds. It is raised when a reader of the
/// previous version would misinterpret a block.
pub const SCHEMA_VERSION: u32 = 2;

/// Domain of the local functions in a model file.
pub const DOMAIN: &str = "medsa";

/// Attribute of a function call that holds the [`BlockSchema`], as JSON.
pub const SCHEMA_ATTRIBUTE: &str = "medsa_block";

/// A kind of block, with the settings that neither its inputs nor its weights determine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum BlockKind {
    /// Two pointwise layers with GELU between them: the stem of a TinyViT.
    PatchEmbed,
    /// Inverted bottleneck with a residual (TinyViT, stage 0).
    MbConv,
    /// Transition from one TinyViT stage to the next.
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
    /// Two-way block: attention of the tokens to the image and of the image to the tokens.
    TwoWayBlock {
        /// Attention heads.
        heads: usize,
        /// True for the first block, where the output of self-attention replaces the tokens.
        first: bool,
        /// The adapter after the attention of the tokens to the image.
        after_tokens: Option<Bottleneck>,
        /// Activation of the adapter parallel to the MLP.
        parallel_mlp: Option<Activation>,
        /// Activation of the adapter after the attention of the image to the tokens.
        after_image: Option<Activation>,
    },
    /// Final attention of the tokens to the image.
    FinalAttention {
        /// Attention heads.
        heads: usize,
    },
    /// Downscaling of a mask prompt to an embedding.
    MaskPrompt,
    /// Mask head: from tokens and image to mask logits.
    MaskHead {
        /// Height of the embedding.
        height: usize,
        /// Width of the embedding.
        width: usize,
    },
}

/// The function that an adapter computes between its two projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Bottleneck {
    /// An activation.
    Activation(Activation),
    /// Maps that the prompt generates (HyP-Adpt).
    Hyper {
        /// Number of maps.
        maps: usize,
    },
}

impl BlockKind {
    /// Names of all kinds, as written in a schema.
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

    /// Name of the kind, as written in a schema.
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

    /// The kind with its variant but without its sizes. Bodies of the same form have equal
    /// variants.
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
            BlockKind::TwoWayBlock { first, after_tokens, parallel_mlp, after_image, .. } => {
                write!(f, " first={first} after-tokens=")?;
                match after_tokens {
                    Some(Bottleneck::Hyper { maps }) => write!(f, "hyper-{maps}")?,
                    Some(Bottleneck::Activation(a)) => f.write_str(activation(&Some(*a)))?,
                    None => f.write_str("none")?,
                }
                let [mlp, image] = [parallel_mlp, after_image].map(activation);
                write!(f, " parallel-mlp={mlp} after-image={image}")
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

/// Description of a block in a model file, stored on the call of its function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockSchema {
    /// [`SCHEMA_VERSION`] of the writer.
    pub version: u32,
    /// Kind and variant.
    pub kind: BlockKind,
    /// Roles of the call's last inputs, the weights, in their order; for example `mlp.fc1.weight`.
    /// A name is the role of the layer followed by one of [`part`].
    pub weights: Vec<String>,
    /// Roles of the layers and attention products that compute in int8. All others compute in
    /// float.
    pub int8: Vec<String>,
    /// Hash of the function's body without shapes and weights.
    pub body: String,
}

/// Parts of a layer: the last component of the names in [`BlockSchema::weights`].
pub mod part {
    /// Float weight: `[in, out]` of a linear layer, `[out, in / groups, 3, 3]` of a convolution;
    /// gamma of a norm.
    pub const WEIGHT: &str = "weight";
    /// Bias `[out]`; beta of a norm.
    pub const BIAS: &str = "bias";
    /// Int8 weight, in the layout of [`WEIGHT`].
    pub const INT8: &str = "int8";
    /// Scale of each output channel of an int8 layer, `[out]`.
    pub const SCALE: &str = "scale";
    /// Inverse scale of each input channel of an int8 layer, `[in]`.
    pub const INVERSE_SCALE: &str = "inverse_scale";
    /// Zero point of each input channel of an int8 layer, `[in]`; left out if all are 0.
    pub const ZERO_POINT: &str = "zero_point";
    /// Quantized zero that pads the map of an int8 convolution, one number.
    pub const PADDING: &str = "padding";
}

/// A block of the network, for [`Backend::block`](crate::backend::Backend::block).
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// Kind and variant.
    pub kind: BlockKind,
    /// Layers by role; each role occurs once.
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
    /// A tensor used directly.
    Param(&'a Param),
    /// Constant indices.
    Indices(&'a Indices),
    /// The products of an attention, by name.
    Products(&'a str),
}

impl<'a> Block<'a> {
    /// A block of `kind`, without layers.
    pub(crate) fn new(kind: BlockKind) -> Self {
        Self { kind, layers: Vec::new() }
    }

    /// Adds a layer.
    #[must_use]
    pub(crate) fn with(mut self, role: &str, layer: impl Into<Layer<'a>>) -> Self {
        self.layers.push((role.to_owned(), layer.into()));
        self
    }

    /// Adds the layers of a part of the network.
    #[must_use]
    pub(crate) fn within(mut self, role: &str, part: &'a impl Roles) -> Self {
        part.roles(&mut |inner, layer| self.layers.push((format!("{role}.{inner}"), layer)));
        self
    }
}

/// A part of the network whose layers have roles in a block.
pub(crate) trait Roles {
    /// Calls `add` for each layer with its role.
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
