//! Weights of a block by role, converted to layers of kernels.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use medsa_kernels::{Depthwise, InputScales, Isa, LinearS8, Misfit, Norm, Packed, Products};
use medsa_sam::block::{BlockSchema, part};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{FunctionProto, NodeProto, TensorProto};

use super::mismatch::Mismatch;

/// Weights of one call; each must be taken once.
pub(super) struct Weights<'a> {
    isa: Isa,
    tensors: BTreeMap<&'a str, &'a TensorProto>,
    int8: BTreeSet<&'a str>,
    /// Epsilons of norms, by the role of the norm.
    epsilons: HashMap<&'a str, f32>,
    taken: RefCell<BTreeSet<String>>,
}

impl<'a> Weights<'a> {
    /// The weights of `call`, a call of `function`, among the model's `tensors`.
    pub(super) fn new(
        isa: Isa,
        schema: &'a BlockSchema,
        call: &'a NodeProto,
        function: &'a FunctionProto,
        tensors: &HashMap<&str, &'a TensorProto>,
    ) -> Result<Self, Mismatch> {
        // There are at most as many roles as inputs, since the hash of the body was computed with
        // them.
        let data = call.input.len().saturating_sub(schema.weights.len());
        let mut by_role = BTreeMap::new();
        let mut formal = HashMap::new();
        for (i, role) in schema.weights.iter().enumerate() {
            let name = call.input.get(data + i).map_or("", String::as_str);
            let tensor = tensors.get(name).copied();
            let tensor = tensor.ok_or_else(|| {
                Mismatch::new(role, format!("{name}, a computed value"), "a weight of the model")
            })?;
            if by_role.insert(role.as_str(), tensor).is_some() {
                return Err(Mismatch::new(role, "two weights", "one"));
            }
            if let Some(input) = function.input.get(data + i) {
                formal.insert(input.as_str(), role.as_str());
            }
        }
        let norms = function.node.iter().filter(|node| node.op_type == "LayerNormalization");
        let epsilon = |node: &'a NodeProto| {
            let (role, _) = formal.get(node.input.get(1)?.as_str())?.rsplit_once('.')?;
            let found = node.attribute.iter().find(|attribute| attribute.name == "epsilon");
            // Default in ONNX.
            Some((role, found.map_or(1e-5, |attribute| attribute.f)))
        };
        Ok(Self {
            isa,
            tensors: by_role,
            int8: schema.int8.iter().map(String::as_str).collect(),
            epsilons: norms.filter_map(epsilon).collect(),
            taken: RefCell::default(),
        })
    }

    /// Instruction set to compute with.
    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// True if there is a weight with that role.
    pub(super) fn has(&self, role: &str) -> bool {
        self.tensors.contains_key(role)
    }

    /// Takes a linear layer.
    pub(super) fn linear(&self, role: &str) -> Result<Packed, Mismatch> {
        if self.is_int8(role) {
            let mut layer = self.int8(role, &|shape| shape[0])?;
            let [inputs, outputs] = self.sides(role, part::INT8, &layer.shape)?;
            layer.weight = transposed(&layer.weight, inputs, outputs);
            return Packed::int8(self.isa, &layer.linear()).map_err(of(role));
        }
        let (shape, weight) = self.floats(&at(role, part::WEIGHT))?;
        let [inputs, outputs] = self.sides(role, part::WEIGHT, &shape)?;
        let bias = self.float_bias(role, outputs)?;
        Packed::float(&transposed(&weight, inputs, outputs), &bias).map_err(of(role))
    }

    /// Takes a dense 3x3 convolution, as a linear layer of the nine neighbours, row by row,
    /// channels last.
    pub(super) fn convolution(&self, role: &str) -> Result<Packed, Mismatch> {
        // From `[out, in, 9]` to `[out, 9, in]`.
        let channels_last = |outputs: usize, inputs: usize| {
            (0..outputs * 9 * inputs).map(move |at| {
                let (tap, input) = (at / inputs % 9, at % inputs);
                (at / (9 * inputs) * inputs + input) * 9 + tap
            })
        };
        if self.is_int8(role) {
            let mut layer = self.int8(role, &|shape| shape[1])?;
            let [outputs, inputs, 3, 3] = self.sides(role, part::INT8, &layer.shape)? else {
                return Err(not_3x3(role, &layer.shape));
            };
            self.padding(role, &layer.zero_point)?;
            layer.weight = channels_last(outputs, inputs).map(|at| layer.weight[at]).collect();
            layer.inverse_scale = layer.inverse_scale.repeat(9);
            layer.zero_point = layer.zero_point.repeat(9);
            // A convolution subtracts the zero point of its input; a linear layer does not.
            for ((bias, scale), weight) in
                layer.bias.iter_mut().zip(&layer.scale).zip(layer.weight.chunks(9 * inputs))
            {
                let products = weight.iter().zip(&layer.zero_point);
                let zero_sum: f32 = products.map(|(w, zero)| f32::from(*w) * zero).sum();
                *bias -= scale * zero_sum;
            }
            return Packed::int8(self.isa, &layer.linear()).map_err(of(role));
        }
        let (shape, weight) = self.floats(&at(role, part::WEIGHT))?;
        let [outputs, inputs, 3, 3] = self.sides(role, part::WEIGHT, &shape)? else {
            return Err(not_3x3(role, &shape));
        };
        let bias = self.float_bias(role, outputs)?;
        let by_tap: Vec<f32> = channels_last(outputs, inputs).map(|at| weight[at]).collect();
        Packed::float(&by_tap, &bias).map_err(of(role))
    }

    /// Takes a depthwise 3x3 convolution.
    pub(super) fn depthwise(&self, role: &str) -> Result<Depthwise, Mismatch> {
        if self.is_int8(role) {
            let Int8 { shape, weight, scale, bias, inverse_scale, zero_point } =
                self.int8(role, &|shape| shape[0])?;
            let [_, 1, 3, 3] = self.sides(role, part::INT8, &shape)? else {
                return Err(not_3x3(role, &shape));
            };
            self.padding(role, &zero_point)?;
            let scales = InputScales { inverse_scale: &inverse_scale, zero_point: &zero_point };
            return Depthwise::int8(&weight, &scale, &bias, scales).map_err(of(role));
        }
        let (shape, weight) = self.floats(&at(role, part::WEIGHT))?;
        let [channels, 1, 3, 3] = self.sides(role, part::WEIGHT, &shape)? else {
            return Err(not_3x3(role, &shape));
        };
        Depthwise::float(&weight, &self.float_bias(role, channels)?).map_err(of(role))
    }

    /// Takes a layer normalization.
    pub(super) fn norm(&self, role: &str) -> Result<Norm, Mismatch> {
        let (gamma, beta, epsilon) = self.norm_parts(role)?;
        Norm::new(&gamma, &beta, epsilon).map_err(of(role))
    }

    /// Takes gamma, beta and epsilon of a layer normalization.
    pub(super) fn norm_parts(&self, role: &str) -> Result<(Vec<f32>, Vec<f32>, f32), Mismatch> {
        let gamma = self.vector(&at(role, part::WEIGHT))?;
        let beta = self.vector(&at(role, part::BIAS))?;
        let epsilon = self.epsilons.get(role).copied();
        let epsilon = epsilon.ok_or_else(|| {
            Mismatch::new(role, "no LayerNormalization with its weight", "one in the body")
        })?;
        if !(epsilon > 0.0 && epsilon < 1.0) {
            let found = epsilon.to_string();
            return Err(Mismatch::new(format!("{role}.epsilon"), found, "a number from 0 to 1"));
        }
        Ok((gamma, beta, epsilon))
    }

    /// Arithmetic of the products of an attention.
    pub(super) fn products(&self, role: &str) -> Products {
        if self.is_int8(role) { Products::Int8 } else { Products::Float }
    }

    /// Takes a float tensor; returns shape and values.
    pub(super) fn floats(&self, role: &str) -> Result<(Vec<usize>, Vec<f32>), Mismatch> {
        let tensor = self.take(role)?;
        let shape = shape(role, tensor)?;
        let values = raw::<4>(role, tensor, DataType::Float)?.map(f32::from_le_bytes).collect();
        Ok((shape, values))
    }

    /// Takes a float tensor with one axis.
    pub(super) fn vector(&self, role: &str) -> Result<Vec<f32>, Mismatch> {
        Ok(self.floats(role)?.1)
    }

    /// Takes a tensor of indices.
    pub(super) fn indices(&self, role: &str) -> Result<Vec<usize>, Mismatch> {
        let tensor = self.take(role)?;
        let values = raw::<8>(role, tensor, DataType::Int64)?.map(i64::from_le_bytes);
        let index = |value: i64| {
            usize::try_from(value)
                .map_err(|_| Mismatch::new(role, value.to_string(), "an index of 0 or more"))
        };
        values.map(index).collect()
    }

    /// Checks that every weight and int8 layer was taken, since a kernel would ignore the others.
    pub(super) fn finish(self) -> Result<(), Mismatch> {
        let taken = self.taken.into_inner();
        let unused = self.tensors.keys().chain(&self.int8).find(|role| !taken.contains(**role));
        match unused {
            Some(role) => Err(Mismatch::new(*role, "a weight or int8 layer", "none of that role")),
            None => Ok(()),
        }
    }

    fn is_int8(&self, role: &str) -> bool {
        let found = self.int8.contains(role);
        if found {
            self.taken.borrow_mut().insert(role.to_owned());
        }
        found
    }

    /// Takes the parts of an int8 layer. `inputs` returns the number of inputs for a weight's
    /// shape.
    fn int8(&self, role: &str, inputs: &dyn Fn(&[usize]) -> usize) -> Result<Int8, Mismatch> {
        let name = at(role, part::INT8);
        let tensor = self.take(&name)?;
        let shape = shape(&name, tensor)?;
        let weight = raw::<1>(&name, tensor, DataType::Int8)?.map(i8::from_le_bytes).collect();
        if !matches!(shape.len(), 2 | 4) {
            return Err(Mismatch::new(name, format!("shape {shape:?}"), "2 or 4 axes"));
        }
        let zero_point = at(role, part::ZERO_POINT);
        let zero_point = if self.has(&zero_point) {
            self.vector(&zero_point)?
        } else {
            vec![0.0; inputs(&shape)]
        };
        Ok(Int8 {
            weight,
            scale: self.vector(&at(role, part::SCALE))?,
            bias: self.vector(&at(role, part::BIAS))?,
            inverse_scale: self.vector(&at(role, part::INVERSE_SCALE))?,
            zero_point,
            shape,
        })
    }

    /// Checks that a convolution pads its map with the zero point of every channel, which is the
    /// only padding that kernels support.
    fn padding(&self, role: &str, zero_point: &[f32]) -> Result<(), Mismatch> {
        let name = at(role, part::PADDING);
        let mut values = raw::<1>(&name, self.take(&name)?, DataType::Int8)?.map(i8::from_le_bytes);
        let (Some(padding), None) = (values.next(), values.next()) else {
            return Err(Mismatch::new(name, "several values", "one"));
        };
        match zero_point.iter().find(|zero| **zero != f32::from(padding)) {
            Some(zero) => Err(Mismatch::new(name, padding.to_string(), format!("{zero}"))),
            None => Ok(()),
        }
    }

    fn float_bias(&self, role: &str, outputs: usize) -> Result<Vec<f32>, Mismatch> {
        let bias = at(role, part::BIAS);
        if self.has(&bias) { self.vector(&bias) } else { Ok(vec![0.0; outputs]) }
    }

    /// Shape of a weight, which must have `N` axes, none of them empty.
    fn sides<const N: usize>(
        &self,
        role: &str,
        part: &str,
        shape: &[usize],
    ) -> Result<[usize; N], Mismatch> {
        let sides = <[usize; N]>::try_from(shape).ok().filter(|sides| !sides.contains(&0));
        sides.ok_or_else(|| {
            Mismatch::new(at(role, part), format!("shape {shape:?}"), format!("{N} axes"))
        })
    }

    fn take(&self, role: &str) -> Result<&'a TensorProto, Mismatch> {
        self.taken.borrow_mut().insert(role.to_owned());
        let tensor = self.tensors.get(role).copied();
        tensor.ok_or_else(|| Mismatch::new(role, "missing", "a weight of that role"))
    }
}

/// Parts of an int8 layer.
struct Int8 {
    shape: Vec<usize>,
    weight: Vec<i8>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    inverse_scale: Vec<f32>,
    zero_point: Vec<f32>,
}

impl Int8 {
    /// The layer as a kernel takes it, with the weight by output.
    fn linear(&self) -> LinearS8<'_> {
        let Self { weight, scale, bias, inverse_scale, zero_point, .. } = self;
        LinearS8 { weight, scale, bias, inverse_scale, zero_point }
    }
}

/// Role of a part of a layer.
pub(super) fn at(role: &str, part: &str) -> String {
    format!("{role}.{part}")
}

/// Converts a kernel's error, adding the role of the layer.
fn of(role: &str) -> impl Fn(Misfit) -> Mismatch {
    move |Misfit { layer, found, expected, is_limit }| {
        let role = format!("{role}.{layer}");
        Mismatch { role, found, expected, is_limit }
    }
}

fn not_3x3(role: &str, shape: &[usize]) -> Mismatch {
    Mismatch::new(role, format!("shape {shape:?}"), "a 3x3 convolution")
}

/// `[in, out]` -> `[out, in]`.
fn transposed<T: Copy>(weight: &[T], inputs: usize, outputs: usize) -> Vec<T> {
    (0..inputs * outputs).map(|at| weight[at % inputs * outputs + at / inputs]).collect()
}

fn shape(role: &str, tensor: &TensorProto) -> Result<Vec<usize>, Mismatch> {
    let sides = tensor.dims.iter().map(|side| usize::try_from(*side).ok());
    sides.collect::<Option<_>>().ok_or_else(|| {
        Mismatch::new(role, format!("shape {:?}", tensor.dims), "sides of 0 or more")
    })
}

/// Values of `N` bytes each; their number must match the shape.
fn raw<'a, const N: usize>(
    role: &str,
    tensor: &'a TensorProto,
    kind: DataType,
) -> Result<impl Iterator<Item = [u8; N]> + use<'a, N>, Mismatch> {
    let sides = shape(role, tensor)?;
    let bytes = sides.iter().try_fold(N, |product, side| product.checked_mul(*side));
    let (values, _) = tensor.raw_data.as_chunks::<N>();
    if tensor.data_type != kind as i32 || bytes != Some(tensor.raw_data.len()) {
        let found = format!(
            "type {}, shape {sides:?} and {} bytes",
            tensor.data_type,
            tensor.raw_data.len()
        );
        let expected =
            format!("{} bytes of {kind:?}", bytes.map_or("too many".into(), |b| b.to_string()));
        return Err(Mismatch::new(role, found, expected));
    }
    Ok(values.iter().copied())
}
