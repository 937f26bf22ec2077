//! Linear layers whose weights are packed in the order in which they are read.

mod forward;
mod operand;
mod tile;

use crate::gelu::{FRACTION, FixedGelu};
use crate::limits;
use crate::linear::LinearS8;
use crate::misfit::{Misfit, check, check_size};
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, LANES, Simd, Task, gelu, padded, quick_gelu, with_zeros};

pub(crate) use operand::Operand;
pub(crate) use tile::{ROWS, tile, tiles};

/// A linear layer, int8 or float.
///
/// It reads its input from an operand: rows of int8 values or of floats in scratch memory.
pub struct Packed {
    inputs: usize,
    outputs: usize,
    /// `[out]`. Like all vectors of one value for each input or output, it is padded with zeros to
    /// whole [`LANES`].
    bias: Vec<f32>,
    arithmetic: Arithmetic,
}

enum Arithmetic {
    Int8 {
        /// Instruction set that the weights are packed for.
        isa: Isa,
        /// `[out / LANES, in / GROUP, LANES, GROUP]`.
        weight: Vec<i8>,
        /// First summand of the sums of products, `[out]`.
        start: Vec<i32>,
        /// Scale of the input times scale of the weight, `[out]`.
        scale: Vec<f32>,
        /// 1 / scale of the input, `[in]`.
        inverse_scale: Vec<f32>,
        /// Int8 value of 0.0, `[in]`.
        zero_point: Vec<f32>,
        /// GELU before the layer in fixed point, and the zero points in it; `None` where 16 bits
        /// do not suffice.
        gelu: Option<Box<(FixedGelu, Vec<i16>)>>,
    },
    Float {
        /// `[out / LANES, in, LANES]`.
        weight: Vec<f32>,
    },
}

impl Packed {
    /// An int8 layer for this instruction set.
    ///
    /// # Errors
    /// If the lengths do not match or exceed [`limits`].
    pub fn int8(isa: Isa, layer: &LinearS8) -> Result<Self, Misfit> {
        let [inputs, outputs] = layer.shape()?;
        let (group, offset) = isa.run(Layout);
        let mut start = vec![0; padded(outputs)];
        for (start, weight) in start.iter_mut().zip(layer.weight.chunks_exact(inputs)) {
            *start = -offset * weight.iter().map(|w| i32::from(*w)).sum::<i32>();
        }
        let packed = |at: usize| {
            let (within, at) = (at % group, at / group);
            let (lane, at) = (at % LANES, at / LANES);
            let groups = padded(inputs) / group;
            let (input, output) = (at % groups * group + within, at / groups * LANES + lane);
            let is_padding = input >= inputs || output >= outputs;
            if is_padding { 0 } else { layer.weight[output * inputs + input] }
        };
        let gelu = FixedGelu::new(layer.inverse_scale).map(|gelu| {
            let zero_point = with_zeros(layer.zero_point);
            let fixed = zero_point.iter().map(|zero| (*zero as i16) << FRACTION);
            Box::new((gelu, fixed.collect()))
        });
        let arithmetic = Arithmetic::Int8 {
            isa,
            weight: (0..padded(inputs) * padded(outputs)).map(packed).collect(),
            start,
            scale: with_zeros(layer.scale),
            inverse_scale: with_zeros(layer.inverse_scale),
            zero_point: with_zeros(layer.zero_point),
            gelu,
        };
        Ok(Self { inputs, outputs, bias: with_zeros(layer.bias), arithmetic })
    }

    /// A float layer; `weight` is `[out, in]`, row-major, `bias` is `[out]`.
    ///
    /// # Errors
    /// If the lengths do not match or exceed [`limits`].
    pub fn float(weight: &[f32], bias: &[f32]) -> Result<Self, Misfit> {
        let outputs = bias.len();
        check_size("bias", outputs)?;
        let inputs = weight.len() / outputs;
        let most = limits::CHANNELS;
        check(
            weight.len() == inputs * outputs && (1..=most).contains(&inputs),
            "weight",
            format_args!("{} values", weight.len()),
            format_args!("1 to {most} for each of {outputs} outputs"),
        )?;
        let packed = |at: usize| {
            let (lane, at) = (at % LANES, at / LANES);
            let (input, output) = (at % padded(inputs), at / padded(inputs) * LANES + lane);
            let is_padding = input >= inputs || output >= outputs;
            if is_padding { 0.0 } else { weight[output * inputs + input] }
        };
        let weight = (0..padded(inputs) * padded(outputs)).map(packed).collect();
        let arithmetic = Arithmetic::Float { weight };
        Ok(Self { inputs, outputs, bias: with_zeros(bias), arithmetic })
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The outputs of one row.
    ///
    /// # Panics
    /// If the row is shorter than the layer's inputs, or the layer is packed for another
    /// instruction set.
    pub fn row(&self, isa: Isa, row: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        assert!(row.len() >= inputs, "a row of {} values, {inputs} needed", row.len());
        self.check("the layer", isa, inputs, outputs).unwrap_or_else(|misfit| panic!("{misfit}"));
        let mut scratch = Scratch::default();
        scratch.reserve(Slices::bytes(|slices| self.operand(slices, 1)));
        let mut output = vec![0.0; self.padded_outputs()];
        isa.run(Row { layer: self, row: &row[..inputs], output: &mut output, scratch });
        output.truncate(outputs);
        output
    }

    /// Checks instruction set, inputs and outputs.
    pub(crate) fn check(
        &self,
        layer: &str,
        isa: Isa,
        inputs: usize,
        outputs: usize,
    ) -> Result<(), Misfit> {
        let found @ [found_inputs, found_outputs] = [self.inputs, self.outputs];
        check(
            found == [inputs, outputs],
            layer,
            format_args!("{found_inputs} inputs and {found_outputs} outputs"),
            format_args!("{inputs} inputs and {outputs} outputs"),
        )?;
        self.check_isa(layer, isa)
    }

    /// Checks that the weights are packed for this instruction set, if they are int8.
    pub(crate) fn check_isa(&self, layer: &str, expected: Isa) -> Result<(), Misfit> {
        let Arithmetic::Int8 { isa, .. } = self.arithmetic else { return Ok(()) };
        let found = format_args!("int8 weights packed for {}", isa.name());
        check(isa == expected, layer, found, format_args!("{}", expected.name()))
    }

    /// Outputs, padded to whole [`LANES`].
    pub(crate) fn padded_outputs(&self) -> usize {
        padded(self.outputs)
    }

    /// GELU, as exact as the layer's arithmetic.
    #[inline(always)]
    pub(crate) fn gelu<S: Simd>(&self, s: S, x: S::F) -> S::F {
        match self.arithmetic {
            Arithmetic::Int8 { .. } => quick_gelu(s, x),
            Arithmetic::Float { .. } => gelu(s, x),
        }
    }

    /// GELU before the layer in fixed point, where 16 bits suffice for it.
    pub(crate) fn fixed_gelu(&self) -> Option<&FixedGelu> {
        match &self.arithmetic {
            Arithmetic::Int8 { gelu, .. } => gelu.as_deref().map(|(gelu, _)| gelu),
            Arithmetic::Float { .. } => None,
        }
    }
}

struct Row<'a> {
    layer: &'a Packed,
    row: &'a [f32],
    output: &'a mut [f32],
    scratch: Scratch,
}

impl Task for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let mut operand = self.layer.operand(&mut self.scratch.slices(), 1);
        self.layer.put_rows(s, &mut operand, self.row);
        self.layer.forward_rows(s, &operand, 1, self.output);
    }
}

/// [`Simd::GROUP`] and [`Simd::OFFSET`].
struct Layout;

impl Task for Layout {
    type Output = (usize, i32);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        (S::GROUP, S::OFFSET)
    }
}
