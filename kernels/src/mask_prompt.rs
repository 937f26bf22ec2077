//! A mask as a prompt: its logits, at four times the resolution of the embedding, become an
//! embedding.

use crate::misfit::{Misfit, check, check_channels, check_lanes, check_len};
use crate::norm::Norm;
use crate::output::{Strip, Strips};
use crate::packed::{Operand, Packed};
use crate::pool::Pool;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, LANES, Simd, Task};

/// Two 2x2 convolutions of stride 2, with a norm and GELU after each, and a 1x1 convolution.
pub struct MaskPrompt {
    isa: Isa,
    first: Packed,
    first_norm: PlainNorm,
    second: Packed,
    second_norm: Norm,
    last: Packed,
    no_mask: Vec<f32>,
}

/// Layers of a [`MaskPrompt`] of C channels.
pub struct MaskPromptLayers {
    /// Linear layer of 2x2 pixels, to at most [`LANES`] channels.
    pub first: Packed,
    /// Norm after it.
    pub first_norm: PlainNorm,
    /// Linear layer of 2x2 outputs of the first: `[C, 2, 2]` of its channels.
    pub second: Packed,
    /// Norm after it.
    pub second_norm: Norm,
    /// 1x1 convolution to C channels.
    pub last: Packed,
    /// Embedding of every position without a mask, `[C]`.
    pub no_mask: Vec<f32>,
}

/// A norm of a few channels, which need not be whole [`LANES`].
pub struct PlainNorm {
    /// One for each channel.
    pub gamma: Vec<f32>,
    /// One for each channel.
    pub beta: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Largest number of embedding positions computed at once.
const POSITIONS: usize = 64;

impl MaskPrompt {
    /// A prompt of these layers.
    ///
    /// # Errors
    /// If their shapes do not match.
    pub fn new(isa: Isa, layers: MaskPromptLayers) -> Result<Self, Misfit> {
        let MaskPromptLayers { first, first_norm, second, second_norm, last, no_mask } = layers;
        let few = first.outputs();
        first.check("first", isa, 4, few)?;
        let found = format_args!("{few} outputs");
        check(few <= LANES, "first", found, format_args!("1 to {LANES}"))?;
        check_len("first_norm.gamma", first_norm.gamma.len(), few)?;
        check_len("first_norm.beta", first_norm.beta.len(), few)?;
        second.check("second", isa, 4 * few, second.outputs())?;
        check_lanes("second", "inputs", 4 * few)?;
        check_channels("second_norm", second_norm.channels(), second.outputs())?;
        last.check("last", isa, second_norm.channels(), last.outputs())?;
        check_lanes("last", "outputs", last.outputs())?;
        check_len("no_mask", no_mask.len(), last.outputs())?;
        Ok(Self { isa, first, first_norm, second, second_norm, last, no_mask })
    }

    /// Channels of the embedding.
    pub fn channels(&self) -> usize {
        self.last.outputs()
    }

    /// Bytes of scratch memory that each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        Slices::bytes(|slices| StripScratch::new(self, slices))
    }

    /// The embedding `[h, w, C]` of a mask `[4h, 4w]`, or of no mask.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say, or less scratch memory was reserved than
    /// [`MaskPrompt::scratch_bytes`].
    pub fn run(
        &self,
        pool: &Pool,
        mask: Option<&[f32]>,
        [height, width]: [usize; 2],
        output: &mut [f32],
    ) {
        let channels = self.channels();
        let positions = height.saturating_mul(width);
        let output = &mut output[..positions.saturating_mul(channels)];
        let Some(mask) = mask else {
            output.chunks_exact_mut(channels).for_each(|row| row.copy_from_slice(&self.no_mask));
            return;
        };
        let mask = &mask[..positions.saturating_mul(16)];
        Strips::new(height, width, POSITIONS).run(
            pool,
            output,
            channels,
            |strip, output, scratch| {
                self.isa.run(PromptStrip { prompt: self, mask, width, strip, output, scratch });
            },
        );
    }
}

/// The embedding of a strip.
struct PromptStrip<'a> {
    prompt: &'a MaskPrompt,
    /// `[4h, 4w]`.
    mask: &'a [f32],
    /// w.
    width: usize,
    strip: Strip,
    /// `[positions, C]`.
    output: &'a mut [f32],
    scratch: &'a mut Scratch,
}

/// Memory for a [`PromptStrip`].
struct StripScratch<'a> {
    /// 2x2 pixels for each quarter of a position.
    pixels: Operand<'a>,
    /// Normalized outputs of the first layer, `[positions, C, 2, 2]` with its channels.
    once: &'a mut [f32],
    operand: Operand<'a>,
    /// Outputs of the second layer.
    twice: &'a mut [f32],
    last_operand: Operand<'a>,
}

impl<'a> StripScratch<'a> {
    fn new(prompt: &MaskPrompt, slices: &mut Slices<'a>) -> Self {
        let MaskPrompt { first, second, last, .. } = prompt;
        Self {
            pixels: first.operand(slices, 4 * POSITIONS),
            once: slices.take(POSITIONS * second.inputs()),
            operand: second.operand(slices, POSITIONS),
            twice: slices.take(POSITIONS * second.outputs()),
            last_operand: last.operand(slices, POSITIONS),
        }
    }
}

impl Task for PromptStrip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { prompt, mask, width, strip: Strip { row, columns, .. }, output, scratch } = self;
        let MaskPrompt { first, first_norm, second, second_norm, last, .. } = prompt;
        let PlainNorm { gamma, beta, epsilon } = first_norm;
        let (few, count) = (first.outputs(), columns.len());
        let scratch = StripScratch::new(prompt, &mut scratch.slices());
        let StripScratch { mut pixels, once, mut operand, twice, mut last_operand } = scratch;
        // The four quarters of a position are separate rows, each of 2x2 pixels.
        first.check_rows(&pixels, 4 * count);
        for half in 0..2 {
            let line = |y: usize| {
                let start = (4 * row + 2 * half + y) * 4 * width + 4 * columns.start;
                mask[start..start + 4 * count].as_chunks::<2>().0
            };
            for (i, (above, below)) in line(0).iter().zip(line(1)).enumerate() {
                let mut values = [0.0; LANES];
                values[..2].copy_from_slice(above);
                values[2..4].copy_from_slice(below);
                let quarter = i / 2 * 4 + 2 * half + i % 2;
                // SAFETY: the operand has a row for each quarter, padded to whole `LANES`.
                unsafe { first.put(s, &mut pixels, quarter, 0, s.load(&values)) };
            }
        }
        let once = &mut once[..count * 4 * few];
        let mut lanes = [0.0; LANES];
        first.forward(
            s,
            &pixels,
            4 * count,
            #[inline(always)]
            |quarter, _, y| {
                s.store(&mut lanes, y);
                let lanes = &lanes[..few];
                let mean = lanes.iter().sum::<f32>() / few as f32;
                let square = lanes.iter().map(|x| (x - mean).powi(2)).sum::<f32>();
                let inverse = 1.0 / (square / few as f32 + epsilon).sqrt();
                // The quarters of a position lie together, channel by channel.
                let position = &mut once[quarter / 4 * 4 * few..][..4 * few];
                let channels = lanes.iter().zip(gamma).zip(beta).zip(position.as_chunks_mut().0);
                for (((x, gamma), beta), quarters) in channels {
                    let quarters: &mut [f32; 4] = quarters;
                    quarters[quarter % 4] = (x - mean) * inverse * gamma + beta;
                }
            },
        );
        second.check_rows(&operand, count);
        for (position, values) in once.chunks_exact(4 * few).enumerate() {
            for (i, x) in values.as_chunks::<LANES>().0.iter().enumerate() {
                let x = second.gelu(s, s.load(x));
                // SAFETY: the operand has a row for each position, and the layer `4 * few` inputs
                // in whole `LANES` (`new`).
                unsafe { second.put(s, &mut operand, position, i * LANES, x) };
            }
        }
        second.forward_rows(s, &operand, count, twice);
        let twice = &twice[..count * second.outputs()];
        last.put_normed_gelu(s, &mut last_operand, second_norm, twice);
        last.forward_rows(s, &last_operand, count, output);
    }
}
