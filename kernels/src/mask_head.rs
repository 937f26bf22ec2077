//! From the transformer's image and tokens to masks: the image is upscaled twice, and a small
//! network turns the token of each mask into the weights of its channels.

use crate::misfit::{Misfit, check, check_channels, check_lanes, check_limit, check_number};
use crate::norm::Norm;
use crate::output::SharedOutput;
use crate::packed::{Operand, Packed, tile, tiles};
use crate::pool::Pool;
use crate::rows::linear;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, LANES, Simd, Task};

/// Largest number of image positions computed at once.
const POSITIONS: usize = 32;

/// Upscaling by four, and the masks.
pub struct MaskHead {
    isa: Isa,
    upscale: [Packed; 2],
    norm: Norm,
    hypernetworks: Vec<[Packed; 3]>,
}

/// Layers of a [`MaskHead`].
pub struct MaskHeadLayers {
    /// Transposed convolutions of kernel and stride 2, with outputs in the order `[2, 2, C]`. GELU
    /// after each.
    pub upscale: [Packed; 2],
    /// Norm after the first of them.
    pub norm: Norm,
    /// For each mask, 1 to [`LANES`] of them, the network from its token to the weights of the
    /// upscaled channels. ReLU between layers.
    pub hypernetworks: Vec<[Packed; 3]>,
}

/// Memory for a [`MaskHead`]; it grows in the first run.
#[derive(Default)]
pub struct MaskMemory {
    row: Vec<f32>,
    next: Vec<f32>,
    weights: Vec<f32>,
}

impl MaskHead {
    /// A head of these layers.
    ///
    /// # Errors
    /// If their shapes do not match.
    pub fn new(isa: Isa, layers: MaskHeadLayers) -> Result<Self, Misfit> {
        let MaskHeadLayers { upscale, norm, hypernetworks } = layers;
        let [first, second] = &upscale;
        let channels = first.inputs();
        check_lanes("upscale.layer1", "inputs", channels)?;
        first.check("upscale.layer1", isa, channels, first.outputs())?;
        let outputs = first.outputs();
        let found = format_args!("{outputs} outputs");
        check(outputs % 4 == 0, "upscale.layer1", found, format_args!("a multiple of 4"))?;
        check_channels("norm", norm.channels(), first.outputs() / 4)?;
        second.check("upscale.layer2", isa, norm.channels(), second.outputs())?;
        let (outputs, upscaled) = (second.outputs(), second.outputs() / 4);
        check_limit(
            outputs % (4 * LANES) == 0,
            "upscale.layer2",
            format_args!("{outputs} outputs"),
            format_args!("a multiple of {}", 4 * LANES),
        )?;
        check_number("hypernetworks", hypernetworks.len(), LANES)?;
        for (mask, [layer1, layer2, layer3]) in hypernetworks.iter().enumerate() {
            let name = |layer: usize| format!("hypernetworks[{mask}].layer{layer}");
            layer1.check(&name(1), isa, channels, layer1.outputs())?;
            check_lanes(&name(1), "outputs", layer1.outputs())?;
            layer2.check(&name(2), isa, layer1.outputs(), layer2.outputs())?;
            check_lanes(&name(2), "outputs", layer2.outputs())?;
            layer3.check(&name(3), isa, layer2.outputs(), upscaled)?;
        }
        Ok(Self { isa, upscale, norm, hypernetworks })
    }

    /// Channels of image and tokens.
    pub fn channels(&self) -> usize {
        self.upscale[0].inputs()
    }

    /// Number of masks.
    pub fn masks(&self) -> usize {
        self.hypernetworks.len()
    }

    /// Bytes of scratch memory that each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        let layers = self.hypernetworks.iter().flatten();
        let layers = layers.map(|layer| Slices::bytes(|slices| layer.operand(slices, 1)));
        let pixels = Slices::bytes(|slices| PixelScratch::new(self, slices));
        layers.max().unwrap_or_default().max(pixels)
    }

    /// Channels after both upscalings.
    fn upscaled(&self) -> usize {
        self.upscale[1].outputs() / 4
    }

    /// Logits `[masks, 4h, 4w]` of an image `[h, w, C]`. The token of the first mask is the second
    /// of `tokens` `[N, C]`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say, or less scratch memory was reserved than
    /// [`MaskHead::scratch_bytes`].
    pub fn run(
        &self,
        pool: &Pool,
        (tokens, image): (&[f32], &[f32]),
        [height, width]: [usize; 2],
        memory: &mut MaskMemory,
        logits: &mut [f32],
    ) {
        let (channels, masks) = (self.channels(), self.masks());
        let positions = height.saturating_mul(width);
        assert!(
            tokens.len() >= (1 + masks) * channels
                && image.len() >= positions.saturating_mul(channels)
                && logits.len() >= positions.saturating_mul(16 * masks),
            "{} values of tokens, {} of the image and {} logits for an image of [{height}, {width}, \
             {channels}] and {masks} masks",
            tokens.len(),
            image.len(),
            logits.len()
        );
        let MaskMemory { row, next, weights } = memory;
        weights.clear();
        weights.resize(self.upscaled() * LANES, 0.0);
        let tokens = tokens.chunks_exact(channels).skip(1);
        for (mask, (token, layers)) in tokens.zip(&self.hypernetworks).enumerate() {
            let [first, second, third] = layers;
            linear(pool, self.isa, first, (token, None), row);
            row.iter_mut().for_each(|x| *x = x.max(0.0));
            linear(pool, self.isa, second, (row, None), next);
            next.iter_mut().for_each(|x| *x = x.max(0.0));
            linear(pool, self.isa, third, (next, None), row);
            for (weight, column) in row.iter().zip(weights[mask..].iter_mut().step_by(LANES)) {
                *column = *weight;
            }
        }
        let output = SharedOutput::new(&mut logits[..16 * masks * positions]);
        pool.run(positions.div_ceil(POSITIONS), &|part, scratch| {
            let first = part * POSITIONS;
            let count = POSITIONS.min(positions - first);
            self.isa.run(Pixels {
                head: self,
                image: &image[first * channels..][..count * channels],
                first,
                weights,
                output,
                side: [height, width],
                scratch,
            });
        });
    }
}

/// The masks at some positions of the image.
struct Pixels<'a> {
    head: &'a MaskHead,
    /// `[positions, C]`.
    image: &'a [f32],
    /// Index of the first position in the image.
    first: usize,
    /// A column for each mask, `[upscaled channels, LANES]`.
    weights: &'a [f32],
    /// Logits of the whole image.
    output: SharedOutput<'a>,
    /// Height and width of the image.
    side: [usize; 2],
    scratch: &'a mut Scratch,
}

/// Memory for [`Pixels`].
struct PixelScratch<'a> {
    operand: Operand<'a>,
    /// The image upscaled once, `[positions, 2, 2, C]` with C of the norm.
    once: &'a mut [f32],
    hidden: Operand<'a>,
    /// The image upscaled twice, `[positions, 2, 2, 2, 2, C]` with upscaled channels.
    twice: &'a mut [f32],
}

impl<'a> PixelScratch<'a> {
    fn new(head: &MaskHead, slices: &mut Slices<'a>) -> Self {
        let [first, second] = &head.upscale;
        Self {
            operand: first.operand(slices, POSITIONS),
            once: slices.take(POSITIONS * first.outputs()),
            hidden: second.operand(slices, 4 * POSITIONS),
            twice: slices.take(4 * POSITIONS * second.outputs()),
        }
    }
}

impl Task for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { head, image, first: start, weights, output, side, scratch } = self;
        let MaskHead { upscale: [first, second], norm, .. } = head;
        let [height, width] = side;
        let (masks, upscaled, outputs) = (head.masks(), head.upscaled(), second.outputs());
        let count = image.len() / first.inputs();
        let scratch = PixelScratch::new(head, &mut scratch.slices());
        let PixelScratch { mut operand, once, mut hidden, twice } = scratch;
        first.put_rows(s, &mut operand, image);
        first.forward_rows(s, &operand, count, once);
        // From here on, the four parts of a position are separate rows.
        let once = &once[..count * first.outputs()];
        second.put_normed_gelu(s, &mut hidden, norm, once);
        let twice = &mut twice[..4 * count * outputs];
        second.forward_map(
            s,
            &hidden,
            4 * count,
            twice,
            #[inline(always)]
            |y| second.gelu(s, y),
        );
        let weights = &weights[..upscaled * LANES];
        tiles!(16 * count, first, R => {
            let zeros = [s.splat(0.0); R];
            // SAFETY: `twice` has `upscaled` values for each of `16 * count` pixels, and `weights`
            // a vector for each of these channels.
            let sums = unsafe {
                let pixels = twice.as_ptr().add(first * upscaled);
                tile(s, zeros, pixels, upscaled, weights.as_ptr(), LANES, upscaled)
            };
            for (row, sum) in sums.into_iter().enumerate() {
                let mut logits = [0.0; LANES];
                s.store(&mut logits, sum);
                let at = first + row;
                let (position, part) = (start + at / 16, at % 16);
                let y = 4 * (position / width) + part / 8 * 2 + part / 2 % 2;
                let x = 4 * (position % width) + part / 4 % 2 * 2 + part % 2;
                for (mask, logit) in logits[..masks].iter().enumerate() {
                    let at = (mask * 4 * height + y) * 4 * width + x;
                    // SAFETY: `at` is a pixel of one of the masks; no other part has this position.
                    unsafe { *output.at(at) = *logit };
                }
            }
        });
    }
}
