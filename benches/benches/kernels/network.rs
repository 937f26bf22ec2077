//! The kernels of LiteMedSAM at 256 px with pseudo-random weights: their time depends on shapes
//! only.

use medsa_kernels::{
    Block, ConvBlock, ConvLayers, Depthwise, FinalAttention, FinalAttentionLayers, InputScales,
    Isa, LinearS8, Map, MaskHead, MaskHeadLayers, MaskMemory, MaskPrompt, MaskPromptLayers, Misfit,
    Neck, NeckLayers, Norm, Packed, PlainNorm, Pointwise, PointwiseLayers, Pool, Products,
    Projections, Prompt, TinyVitBlock, TinyVitLayers, TwoWayBlock, TwoWayInput, TwoWayLayers,
    TwoWayMemory,
};

/// Arithmetic of linear layers and convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Int8.
    Int8,
    /// 32-bit floats.
    Float,
}

impl Precision {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Float => "f32",
        }
    }
}

/// A kernel at one shape.
pub struct Kernel {
    /// Name in tables.
    pub name: &'static str,
    /// Multiply-accumulates of a run, in layers and attention.
    pub macs: u64,
    /// Creates the kernel, and returns a function that runs it.
    pub make: Make,
}

type Make = Box<dyn Fn(Isa, Precision, &Pool) -> Run>;
type Run = Box<dyn FnMut(&Pool)>;

/// Side of the network's input, in pixels.
const SIDE: usize = 256;
/// Side of the embedding, in positions.
const GRID: usize = SIDE / 4;
/// Positions of the embedding.
const POSITIONS: usize = GRID * GRID;
/// Channels of the embedding.
const CHANNELS: usize = 256;
/// Tokens of the decoder: 18 prompt slots, and 5 for masks, IoU and object.
const TOKENS: usize = 18 + 5;
/// Heads of the decoder's attentions.
const HEADS: usize = 8;
/// Channels of all heads of an attention between tokens and image.
const INNER: usize = CHANNELS / 2;

/// The kernels of the network, in their order.
pub fn kernels() -> Vec<Kernel> {
    let mut kernels = encoder();
    kernels.extend(decoder());
    kernels
}

fn encoder() -> Vec<Kernel> {
    let map = |side: usize, channels: usize| Map { height: side, width: side, channels };
    let stem = |isa: Isa, weights: &mut Weights| {
        let first = weights.linear(isa, 3, 32);
        let second = weights.linear(isa, 32, 64);
        Pointwise::new(isa, PointwiseLayers { first, second })
    };
    let neck = |isa: Isa, weights: &mut Weights| {
        let layers = NeckLayers {
            reduce: weights.linear(isa, 320, CHANNELS),
            norm1: norm(CHANNELS),
            conv: weights.linear(isa, 9 * CHANNELS, CHANNELS),
            norm2: norm(CHANNELS),
        };
        Neck::new(isa, layers)
    };
    let neck_macs = POSITIONS * (320 + 9 * CHANNELS) * CHANNELS;
    vec![
        on_map("stem", map(SIDE, 3), SIDE * SIDE * (3 * 32 + 32 * 64), stem),
        conv_block("MBConv", map(SIDE, 64), 256, 64, 1),
        conv_block("patch merging 1", map(SIDE, 64), 128, 128, 2),
        tiny_vit("TinyViT block, stage 1", map(SIDE / 2, 128), 7, 4),
        conv_block("patch merging 2", map(SIDE / 2, 128), 160, 160, 2),
        tiny_vit("TinyViT block, stage 2", map(GRID, 160), 14, 5),
        conv_block("patch merging 3", map(GRID, 160), 320, 320, 1),
        tiny_vit("TinyViT block, stage 3", map(GRID, 320), 7, 10),
        on_map("neck", map(GRID, 320), neck_macs, neck),
    ]
}

fn on_map<B: Block + 'static>(
    name: &'static str,
    map: Map,
    macs: usize,
    make: impl Fn(Isa, &mut Weights) -> Result<B, Misfit> + 'static,
) -> Kernel {
    let make = move |isa, precision, pool: &Pool| -> Run {
        let mut weights = Weights { noise: 1, precision };
        let block = make(isa, &mut weights).expect(FITS);
        pool.reserve(block.scratch_bytes());
        let input = weights.values(map.len(), 1.0);
        let mut output = vec![0.0; block.output(map).len()];
        let mut between = vec![0.0; block.between_len(map)];
        Box::new(move |pool| block.run(pool, map, &input, &mut output, &mut between))
    };
    Kernel { name, macs: macs as u64, make: Box::new(make) }
}

fn conv_block(
    name: &'static str,
    map: Map,
    hidden: usize,
    outputs: usize,
    stride: usize,
) -> Kernel {
    let pixels = map.height * map.width;
    let after = pixels / stride / stride;
    let macs = pixels * map.channels * hidden + after * hidden * (9 + outputs);
    on_map(name, map, macs, move |isa, weights| {
        let layers = ConvLayers {
            expand: weights.linear(isa, map.channels, hidden),
            depthwise: weights.depthwise(hidden),
            project: weights.linear(isa, hidden, outputs),
        };
        ConvBlock::new(isa, layers, stride, map.channels == outputs)
    })
}

fn tiny_vit(name: &'static str, map: Map, window: usize, heads: usize) -> Kernel {
    let (pixels, channels, tokens) = (map.height * map.width, map.channels, window * window);
    let windows = map.height.div_ceil(window) * map.width.div_ceil(window);
    let attention = 2 * windows * tokens * tokens * channels;
    // Queries, keys, values and projection; the MLP's two layers; the local convolution.
    let macs = pixels * channels * ((4 + 2 * 4) * channels + 9) + attention;
    on_map(name, map, macs, move |isa, weights| {
        let layers = TinyVitLayers {
            norm: norm(channels),
            qkv: weights.linear(isa, channels, 3 * channels),
            qkv_of_padding: &weights.values(3 * channels, 0.5),
            bias: &weights.values(heads * tokens * tokens, 1.0),
            products: match weights.precision {
                Precision::Int8 => Products::Int8,
                Precision::Float => Products::Float,
            },
            projection: weights.linear(isa, channels, channels),
            space: None,
            local_conv: weights.depthwise(channels),
            mlp_norm: norm(channels),
            mlp: [
                weights.linear(isa, channels, 4 * channels),
                weights.linear(isa, 4 * channels, channels),
            ],
        };
        TinyVitBlock::new(isa, window, heads, layers)
    })
}

/// Hidden channels of the MLP of a two-way block.
const MLP: usize = 2048;
/// Masks of the mask head.
const MASKS: usize = 4;
/// Channels after the first and the second upscaling by two.
const UPSCALED: [usize; 2] = [64, 32];

fn decoder() -> Vec<Kernel> {
    let self_attention = 4 * TOKENS * CHANNELS * CHANNELS + 2 * TOKENS * TOKENS * CHANNELS;
    // Two layers for tokens and two for positions, whichever of them are the queries.
    let across = 2 * (TOKENS + POSITIONS) * CHANNELS * INNER + 2 * TOKENS * POSITIONS * INNER;
    let two_way_macs = self_attention + 2 * across + 2 * TOKENS * CHANNELS * MLP;
    let head_macs = POSITIONS * CHANNELS * 4 * UPSCALED[0]
        + 4 * POSITIONS * UPSCALED[0] * 4 * UPSCALED[1]
        + 16 * POSITIONS * UPSCALED[1] * MASKS
        + MASKS * (2 * CHANNELS + UPSCALED[1]) * CHANNELS;
    let prompt_macs = POSITIONS * (4 * 4 * 4 + 16 * 16 + 16 * CHANNELS);
    let kernel = |name, macs, make| Kernel { name, macs: macs as u64, make };
    vec![
        kernel("two-way block", two_way_macs, Box::new(two_way)),
        kernel("final attention", across, Box::new(final_attention)),
        kernel("mask head", head_macs, Box::new(mask_head)),
        kernel("mask prompt", prompt_macs, Box::new(mask_prompt)),
    ]
}

fn two_way(isa: Isa, precision: Precision, pool: &Pool) -> Run {
    let mut weights = Weights { noise: 1, precision };
    let layers = TwoWayLayers {
        self_attention: weights.projections(isa, CHANNELS),
        token_to_image: weights.projections(isa, INNER),
        after_tokens: None,
        mlp: [weights.linear(isa, CHANNELS, MLP), weights.linear(isa, MLP, CHANNELS)],
        parallel_mlp: None,
        image_to_token: weights.projections(isa, INNER),
        after_image: None,
        norms: [(); 4].map(|()| norm(CHANNELS)),
    };
    let block = TwoWayBlock::new(isa, HEADS, true, layers).expect(FITS);
    pool.reserve(block.scratch_bytes(TOKENS, POSITIONS));
    let sides = Sides::new(&mut weights);
    let mut outputs = [TOKENS, POSITIONS].map(|rows| vec![0.0; rows * CHANNELS]);
    let mut memory = TwoWayMemory::default();
    Box::new(move |pool| {
        let prompt = Prompt { tokens: &[], is_place: &[] };
        let [tokens, image] = &mut outputs;
        let outputs = [&mut tokens[..], &mut image[..]];
        block.run(pool, sides.input(), &[0.0; TOKENS], prompt, &mut memory, outputs);
    })
}

fn final_attention(isa: Isa, precision: Precision, pool: &Pool) -> Run {
    let mut weights = Weights { noise: 1, precision };
    let token_to_image = weights.projections(isa, INNER);
    let layers = FinalAttentionLayers { token_to_image, norm: norm(CHANNELS) };
    let last = FinalAttention::new(isa, HEADS, layers).expect(FITS);
    pool.reserve(last.scratch_bytes(TOKENS, POSITIONS));
    let sides = Sides::new(&mut weights);
    let mut output = vec![0.0; TOKENS * CHANNELS];
    let mut memory = TwoWayMemory::default();
    Box::new(move |pool| last.run(pool, sides.input(), &mut memory, &mut output))
}

fn mask_head(isa: Isa, precision: Precision, pool: &Pool) -> Run {
    let mut weights = Weights { noise: 1, precision };
    let layers = MaskHeadLayers {
        upscale: [
            weights.linear(isa, CHANNELS, 4 * UPSCALED[0]),
            weights.linear(isa, UPSCALED[0], 4 * UPSCALED[1]),
        ],
        norm: norm(UPSCALED[0]),
        hypernetworks: (0..MASKS)
            .map(|_| [CHANNELS, CHANNELS, UPSCALED[1]].map(|to| weights.linear(isa, CHANNELS, to)))
            .collect(),
    };
    let head = MaskHead::new(isa, layers).expect(FITS);
    pool.reserve(head.scratch_bytes());
    let sides = Sides::new(&mut weights);
    let mut logits = vec![0.0; MASKS * 16 * POSITIONS];
    let mut memory = MaskMemory::default();
    Box::new(move |pool| {
        let input = (&sides.tokens[..], &sides.image[..]);
        head.run(pool, input, [GRID; 2], &mut memory, &mut logits);
    })
}

fn mask_prompt(isa: Isa, precision: Precision, pool: &Pool) -> Run {
    let mut weights = Weights { noise: 1, precision };
    let layers = MaskPromptLayers {
        first: weights.linear(isa, 4, 4),
        first_norm: PlainNorm { gamma: vec![1.0; 4], beta: vec![0.0; 4], epsilon: 1e-6 },
        second: weights.linear(isa, 16, 16),
        second_norm: norm(16),
        last: weights.linear(isa, 16, CHANNELS),
        no_mask: weights.values(CHANNELS, 1.0),
    };
    let prompt = MaskPrompt::new(isa, layers).expect(FITS);
    pool.reserve(prompt.scratch_bytes());
    let mask = weights.values(16 * POSITIONS, 8.0);
    let mut embedding = vec![0.0; POSITIONS * CHANNELS];
    Box::new(move |pool| prompt.run(pool, Some(&mask), [GRID; 2], &mut embedding))
}

/// Input of the decoder's blocks.
struct Sides {
    tokens: Vec<f32>,
    image: Vec<f32>,
    token_positions: Vec<f32>,
    image_positions: Vec<f32>,
}

impl Sides {
    fn new(weights: &mut Weights) -> Self {
        let [tokens, token_positions] =
            [1.0, 0.5].map(|most| weights.values(TOKENS * CHANNELS, most));
        let [image, image_positions] =
            [1.0, 0.5].map(|most| weights.values(POSITIONS * CHANNELS, most));
        Self { tokens, image, token_positions, image_positions }
    }

    fn input(&self) -> TwoWayInput<'_> {
        let Self { tokens, image, token_positions, image_positions } = self;
        TwoWayInput { tokens, image, token_positions, image_positions }
    }
}

fn norm(channels: usize) -> Norm {
    Norm::new(&vec![1.0; channels], &vec![0.0; channels], 1e-5).expect(FITS)
}

/// Invariant: shapes are those of the network.
const FITS: &str = "the layers of LiteMedSAM fit each other";

/// A generator of layers with pseudo-random weights.
struct Weights {
    noise: u64,
    precision: Precision,
}

impl Weights {
    /// From -1 to 1.
    fn next(&mut self) -> f32 {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.noise >> 40) as f32 / f32::from(1_u16 << 15) / 256.0 - 1.0
    }

    fn values(&mut self, count: usize, most: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * most).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.next() * 127.0) as i8).collect()
    }

    fn linear(&mut self, isa: Isa, inputs: usize, outputs: usize) -> Packed {
        let most = 1.0 / (inputs as f32).sqrt();
        let bias = self.values(outputs, 0.1);
        let layer = match self.precision {
            Precision::Float => Packed::float(&self.values(inputs * outputs, most), &bias),
            Precision::Int8 => {
                let layer = LinearS8 {
                    weight: &self.bytes(inputs * outputs),
                    scale: &vec![most / 127.0 / 40.0; outputs],
                    bias: &bias,
                    inverse_scale: &vec![40.0; inputs],
                    zero_point: &vec![-10.0; inputs],
                };
                Packed::int8(isa, &layer)
            }
        };
        layer.expect(FITS)
    }

    fn depthwise(&mut self, channels: usize) -> Depthwise {
        let bias = self.values(channels, 0.1);
        let layer = match self.precision {
            Precision::Float => Depthwise::float(&self.values(9 * channels, 0.3), &bias),
            Precision::Int8 => {
                let scale = vec![0.3 / 127.0 / 40.0; channels];
                let input = InputScales {
                    inverse_scale: &vec![40.0; channels],
                    zero_point: &vec![-90.0; channels],
                };
                Depthwise::int8(&self.bytes(9 * channels), &scale, &bias, input)
            }
        };
        layer.expect(FITS)
    }

    fn projections(&mut self, isa: Isa, inner: usize) -> Projections {
        Projections {
            q: self.linear(isa, CHANNELS, inner),
            k: self.linear(isa, CHANNELS, inner),
            v: self.linear(isa, CHANNELS, inner),
            out: self.linear(isa, inner, CHANNELS),
        }
    }
}
