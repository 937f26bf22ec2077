//! Two 1x1 convolutions with GELU between them: LiteMedSAM's stem.

use crate::block::{Block, Map, Output};
use crate::packed::{Packed, padded};
use crate::pool::Pool;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

/// Two 1x1 convolutions with GELU between them.
pub struct Pointwise {
    isa: Isa,
    layers: [Packed; 2],
}

/// Pixels that are computed at once, at most.
const PIXELS: usize = 64;

impl Pointwise {
    /// Its layers.
    ///
    /// # Panics
    /// If they do not fit each other.
    pub fn new(isa: Isa, layers: [Packed; 2]) -> Self {
        assert_eq!(layers[0].outputs(), layers[1].inputs());
        Self { isa, layers }
    }

    fn parts(&self) -> [usize; 4] {
        let [first, second] = &self.layers;
        [
            padded(first.inputs()) * size_of::<f32>(),
            first.operand_bytes(PIXELS),
            second.operand_bytes(PIXELS),
            PIXELS * LANES * size_of::<i16>(),
        ]
    }
}

impl Block for Pointwise {
    fn channels(&self) -> usize {
        self.layers[0].inputs()
    }

    fn output(&self, input: Map) -> Map {
        Map { channels: self.layers[1].outputs(), ..input }
    }

    fn scratch_bytes(&self) -> usize {
        total(self.parts())
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], _: &mut [f32]) {
        assert_eq!(map.channels, self.layers[0].inputs());
        let pixels = map.height * map.width;
        assert!(input.len() >= map.len() && output.len() >= self.output(map).len());
        let output = Output::new(output);
        pool.run(pixels.div_ceil(PIXELS), &|part, scratch| {
            let first = part * PIXELS;
            let count = PIXELS.min(pixels - first);
            self.isa.run(Pixels { block: self, input, output, first, count, scratch });
        });
    }
}

struct Pixels<'a> {
    block: &'a Pointwise,
    input: &'a [f32],
    output: Output<'a>,
    first: usize,
    count: usize,
    scratch: &'a mut Scratch,
}

impl Task for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, output, first: start, count, scratch } = self;
        let [first, second] = &block.layers;
        let (inputs, outputs) = (first.inputs(), second.outputs());
        let [row, operand, hidden, buffer] = scratch.parts(block.parts());
        let row: *mut f32 = row.cast();
        // SAFETY: all memory is as long as its shape says; no other part has these pixels.
        unsafe {
            row.write_bytes(0, padded(inputs));
            for pixel in 0..count {
                let from = input.as_ptr().add((start + pixel) * inputs);
                row.copy_from_nonoverlapping(from, inputs);
                for channel in (0..inputs).step_by(LANES) {
                    first.put(s, operand, pixel, channel, s.load(row.add(channel)));
                }
            }
            first.forward_into(s, (operand, count), (second, hidden), buffer.cast());
            let to = output.at(start * outputs);
            second.forward(
                s,
                hidden,
                count,
                #[inline(always)]
                |pixel, channel, y| s.store(to.add(pixel * outputs + channel), y),
            );
        }
    }
}
