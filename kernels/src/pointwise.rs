//! Two 1x1 convolutions: LiteMedSAM's stem.

use crate::block::{Block, Map, Maps};
use crate::misfit::{Misfit, check_lanes};
use crate::output::Strips;
use crate::packed::{Operand, Packed};
use crate::pool::Pool;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, LANES, Simd, Task};

/// Two 1x1 convolutions with GELU between them.
pub struct Pointwise {
    isa: Isa,
    first: Packed,
    second: Packed,
}

/// Layers of a [`Pointwise`] block.
pub struct PointwiseLayers {
    /// To the hidden channels.
    pub first: Packed,
    /// To the output channels.
    pub second: Packed,
}

/// Largest number of pixels computed at once.
const PIXELS: usize = 64;

impl Pointwise {
    /// A block of these layers.
    ///
    /// # Errors
    /// If their shapes do not match.
    pub fn new(isa: Isa, layers: PointwiseLayers) -> Result<Self, Misfit> {
        let PointwiseLayers { first, second } = layers;
        first.check_isa("first", isa)?;
        second.check("second", isa, first.outputs(), second.outputs())?;
        check_lanes("second", "outputs", second.outputs())?;
        Ok(Self { isa, first, second })
    }
}

impl Block for Pointwise {
    fn channels(&self) -> usize {
        self.first.inputs()
    }

    fn output(&self, input: Map) -> Map {
        Map { channels: self.second.outputs(), ..input }
    }

    fn scratch_bytes(&self) -> usize {
        Slices::bytes(|slices| PixelScratch::new(self, slices))
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        let Maps { input, output, .. } = Maps::new(self, map, input, output, between);
        if map.is_empty() {
            return;
        }
        let (inputs, outputs) = (map.channels, self.second.outputs());
        let strips = Strips::new(1, map.height * map.width, PIXELS);
        strips.run(pool, output, outputs, |strip, output, scratch| {
            let input = &input[strip.first * inputs..][..strip.columns.len() * inputs];
            self.isa.run(Pixels { block: self, input, output, scratch });
        });
    }
}

/// Some pixels of input and output.
struct Pixels<'a> {
    block: &'a Pointwise,
    input: &'a [f32],
    output: &'a mut [f32],
    scratch: &'a mut Scratch,
}

/// Memory for [`Pixels`].
struct PixelScratch<'a> {
    operand: Operand<'a>,
    hidden: Operand<'a>,
    gelu_buffer: &'a mut [[i16; LANES]],
}

impl<'a> PixelScratch<'a> {
    fn new(block: &Pointwise, slices: &mut Slices<'a>) -> Self {
        Self {
            operand: block.first.operand(slices, PIXELS),
            hidden: block.second.operand(slices, PIXELS),
            gelu_buffer: slices.take(PIXELS),
        }
    }
}

impl Task for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, output, scratch } = self;
        let Pointwise { first, second, .. } = block;
        let count = input.len() / first.inputs();
        let scratch = PixelScratch::new(block, &mut scratch.slices());
        let PixelScratch { mut operand, mut hidden, gelu_buffer } = scratch;
        first.put_rows(s, &mut operand, input);
        first.forward_into(s, (&operand, count), (second, &mut hidden), gelu_buffer);
        second.forward_rows(s, &hidden, count, output);
    }
}
