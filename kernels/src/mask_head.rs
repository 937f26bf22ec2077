//! From the transformer's image and tokens to masks: the image upscaled twice, and for each mask
//! the product with what a small network makes of its token.

use crate::block::Output;
use crate::norm::Norm;
use crate::packed::{Packed, tile, tiles};
use crate::pool::Pool;
use crate::rows::linear;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

/// Positions of the image that are computed at once, at most.
const POSITIONS: usize = 32;

/// Upscaling by four, and masks.
pub struct MaskHead {
    /// Instructions.
    pub isa: Isa,
    /// Transposed convolutions of kernel and stride 2, outputs in the order `[2, 2, C]`. GELU
    /// after each.
    pub upscale: [Packed; 2],
    /// After the first.
    pub norm: Norm,
    /// For each mask, from its token to the weights of its channels; ReLU between layers.
    pub hypernetworks: Vec<[Packed; 3]>,
}

/// Memory for a head, as large as it is needed once it was used.
#[derive(Default)]
pub struct MaskMemory {
    row: Vec<f32>,
    next: Vec<f32>,
    weights: Vec<f32>,
}

impl MaskHead {
    /// Whether its layers fit each other.
    pub fn fits(&self) -> bool {
        let [first, second] = &self.upscale;
        let (inputs, channels) = (first.inputs(), self.norm.channels());
        let pixels = second.outputs() / 4;
        first.outputs() == 4 * channels
            && second.inputs() == channels
            && [inputs, second.outputs(), pixels].iter().all(|count| count.is_multiple_of(LANES))
            && second.outputs() == 4 * pixels
            && (1..=LANES).contains(&self.hypernetworks.len())
            && self.hypernetworks.iter().all(|[a, b, c]| {
                a.inputs() == inputs
                    && a.outputs() == b.inputs()
                    && b.outputs() == c.inputs()
                    && c.outputs() == pixels
                    && [a, b].iter().all(|layer| layer.outputs().is_multiple_of(LANES))
            })
    }

    /// Channels of image and tokens.
    pub fn channels(&self) -> usize {
        self.upscale[0].inputs()
    }

    fn parts(&self) -> [usize; 5] {
        let [first, second] = &self.upscale;
        let float = size_of::<f32>();
        [
            first.operand_bytes(POSITIONS),
            POSITIONS * first.outputs() * float,
            second.operand_bytes(4 * POSITIONS),
            4 * POSITIONS * second.outputs() * float,
            LANES * float,
        ]
    }

    /// Memory that each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        let layers = self.hypernetworks.iter().flatten().map(|layer| layer.operand_bytes(1));
        layers.max().unwrap_or_default().max(total(self.parts()))
    }

    /// Logits `[masks, 4h, 4w]` of an image `[h, w, C]`; the token of the first mask is
    /// the second of `tokens` `[N, C]`.
    ///
    /// # Panics
    /// If slices are shorter than the shapes say, or the pool has less scratch memory.
    pub fn run(
        &self,
        pool: &Pool,
        (tokens, image): (&[f32], &[f32]),
        [height, width]: [usize; 2],
        memory: &mut MaskMemory,
        logits: &mut [f32],
    ) {
        let (channels, masks) = (self.channels(), self.hypernetworks.len());
        let pixels = self.upscale[1].outputs() / 4;
        assert!(image.len() >= height * width * channels);
        assert!(logits.len() >= 16 * masks * height * width);
        let MaskMemory { row, next, weights } = memory;
        // A column for each mask.
        weights.clear();
        weights.resize(pixels * LANES, 0.0);
        for (mask, [first, second, third]) in self.hypernetworks.iter().enumerate() {
            let token = &tokens[(1 + mask) * channels..(2 + mask) * channels];
            linear(pool, self.isa, first, (token, None), row);
            row.iter_mut().for_each(|x| *x = x.max(0.0));
            linear(pool, self.isa, second, (row, None), next);
            next.iter_mut().for_each(|x| *x = x.max(0.0));
            linear(pool, self.isa, third, (next, None), row);
            for (weight, column) in row.iter().zip(weights[mask..].iter_mut().step_by(LANES)) {
                *column = *weight;
            }
        }
        let output = Output::new(logits);
        let positions = height * width;
        pool.run(positions.div_ceil(POSITIONS), &|part, scratch| {
            let first = part * POSITIONS;
            self.isa.run(Pixels {
                head: self,
                image,
                weights,
                output,
                side: [height, width],
                first,
                count: POSITIONS.min(positions - first),
                scratch,
            });
        });
    }
}

struct Pixels<'a> {
    head: &'a MaskHead,
    image: &'a [f32],
    /// `[C, LANES]`.
    weights: &'a [f32],
    output: Output<'a>,
    /// Of the image.
    side: [usize; 2],
    first: usize,
    count: usize,
    scratch: &'a mut Scratch,
}

impl Task for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { head, image, weights, output, side: [height, width], first: start, .. } = self;
        let Self { count, scratch, .. } = self;
        let MaskHead { upscale: [first, second], norm, hypernetworks, .. } = head;
        let (inputs, channels) = (first.inputs(), norm.channels());
        let (between, pixel) = (first.outputs(), second.outputs() / 4);
        let [operand, once, hidden, twice, lanes] = scratch.parts(head.parts());
        let [once, twice, lanes]: [*mut f32; 3] = [once.cast(), twice.cast(), lanes.cast()];
        // SAFETY: all is as long as its shape says; no other part has these positions.
        unsafe {
            for position in 0..count {
                let from = image.as_ptr().add((start + position) * inputs);
                for channel in (0..inputs).step_by(LANES) {
                    first.put(s, operand, position, channel, s.load(from.add(channel)));
                }
            }
            first.forward(
                s,
                operand,
                count,
                #[inline(always)]
                |position, channel, y| s.store(once.add(position * between + channel), y),
            );
            // From here on, the four parts of a position are rows of their own.
            for row in 0..4 * count {
                norm.forward(
                    s,
                    once.add(row * channels),
                    #[inline(always)]
                    |channel, x| second.put(s, hidden, row, channel, second.gelu(s, x)),
                );
            }
            second.forward(
                s,
                hidden,
                4 * count,
                #[inline(always)]
                |row, channel, y| s.store(twice.add(row * 4 * pixel + channel), second.gelu(s, y)),
            );
            tiles!(16 * count, first, R => {
                        let nothing = [s.splat(0.0); R];
                        let of_pixels = twice.add(first * pixel);
                        let weights = weights.as_ptr();
                        let sums = tile(s, nothing, of_pixels, pixel, weights, LANES, pixel);
                        for (row, sum) in sums.into_iter().enumerate() {
                            s.store(lanes, sum);
                            let at = first + row;
                            let (position, part) = (start + at / 16, at % 16);
                            let y = 4 * (position / width) + part / 8 * 2 + part / 2 % 2;
                            let x = 4 * (position % width) + part / 4 % 2 * 2 + part % 2;
                            for mask in 0..hypernetworks.len() {
                                let at = (mask * 4 * height + y) * 4 * width + x;
                                *output.at(at) = *lanes.add(mask);
                            }
                        }
            });
        }
    }
}
