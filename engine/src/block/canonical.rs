//! Hash of the computation of a function, without its shapes and weights.
//!
//! Each value is hashed together with the values from which it is computed. So neither the order of
//! independent statements nor unused statements matter. A layer is hashed as one step, in float or
//! int8; weights are identified by their roles.

use std::collections::HashMap;

use medsa_sam::block::{BlockKind, part};
use sha2::{Digest, Sha256};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, FunctionProto, NodeProto, TensorProto};

use super::mismatch::Mismatch;

/// Number of hexadecimal digits of a hash.
const DIGITS: usize = 32;

/// Hash of a block of kind `kind` with the body `function`, whose last inputs are weights with the
/// given roles.
///
/// # Errors
/// The function does not match the roles, or uses a value that is not computed.
pub fn canonical_hash(
    kind: &BlockKind,
    roles: &[String],
    function: &FunctionProto,
) -> Result<String, Mismatch> {
    let body = Body::new(roles, function)?;
    let mut values: HashMap<&str, String> = HashMap::new();
    for (i, input) in function.input.iter().enumerate() {
        let symbol = match body.roles.get(input.as_str()) {
            Some(role) => format!("weight {role}"),
            None => format!("input {i}"),
        };
        values.insert(input, symbol);
    }
    for node in &function.node {
        if node.op_type == "Constant" {
            continue;
        }
        let term = match body.layer(node).or_else(|| body.product(node)) {
            Some(Step { name, inputs }) => {
                let inputs = inputs.iter().map(|input| value(&values, input));
                format!("{name} {}", inputs.collect::<Result<Vec<_>, _>>()?.join(" "))
            }
            None => body.term(node, &values)?,
        };
        for (i, output) in node.output.iter().enumerate() {
            values.insert(output, hash(&format!("{i} {term}")));
        }
    }
    let outputs = function.output.iter().map(|output| value(&values, output));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?.join(" ");
    Ok(hash(&format!("{} {outputs}", kind.variant())))
}

/// Shapes with four sides that values of `function` have before a permutation by `axes`.
pub(super) fn shapes_before(function: &FunctionProto, axes: [i64; 4]) -> Vec<[i64; 4]> {
    let Ok(body) = Body::new(&[], function) else { return Vec::new() };
    let permuted = function.node.iter().filter(|node| is_permutation(node, axes));
    let shape = |node: &NodeProto| {
        let reshaped = body.producer(first(node)?).filter(|node| node.op_type == "Reshape")?;
        numbers(body.constant(second(reshaped)?)?)?.try_into().ok()
    };
    permuted.filter_map(shape).collect()
}

/// Shape with four sides to which `function` reshapes its first output.
pub(super) fn shape_of_output(function: &FunctionProto) -> Option<[i64; 4]> {
    let body = Body::new(&[], function).ok()?;
    let output = function.output.first()?;
    let reshaped = body.producer(output).filter(|node| node.op_type == "Reshape")?;
    numbers(body.constant(second(reshaped)?)?)?.try_into().ok()
}

fn value(values: &HashMap<&str, String>, name: &str) -> Result<String, Mismatch> {
    let found = values.get(name).cloned();
    found.ok_or_else(|| Mismatch::new("body", format!("{name} without a value"), "a value"))
}

fn hash(term: &str) -> String {
    hex::encode(Sha256::digest(term))[..DIGITS].to_owned()
}

/// A layer or product that is hashed as one step.
struct Step<'a> {
    name: String,
    inputs: Vec<&'a str>,
}

/// Statements of a function.
struct Body<'a> {
    /// Statement that computes a value, by the value's name.
    producers: HashMap<&'a str, &'a NodeProto>,
    /// Roles of the inputs that are weights.
    roles: HashMap<&'a str, &'a str>,
}

impl<'a> Body<'a> {
    fn new(roles: &'a [String], function: &'a FunctionProto) -> Result<Self, Mismatch> {
        let inputs = function.input.len();
        let data = inputs.checked_sub(roles.len()).ok_or_else(|| {
            let expected = format!("at most {inputs} roles, one for each input that is a weight");
            Mismatch::new("weights", format!("{} roles", roles.len()), expected)
        })?;
        let weights = function.input[data..].iter().map(String::as_str);
        let outputs =
            |node: &'a NodeProto| node.output.iter().map(move |output| (output.as_str(), node));
        Ok(Self {
            producers: function.node.iter().flat_map(outputs).collect(),
            roles: weights.zip(roles.iter().map(String::as_str)).collect(),
        })
    }

    /// Text of a single statement.
    fn term(&self, node: &NodeProto, values: &HashMap<&str, String>) -> Result<String, Mismatch> {
        let mut term = node.op_type.clone();
        for attribute in sorted(&node.attribute) {
            if let Some(text) = attribute_text(&node.op_type, attribute) {
                term += &format!(" {}={text}", attribute.name);
            }
        }
        if node.op_type == "Slice" {
            return Ok(format!("{term}{} {}", self.range(node), value(values, &node.input[0])?));
        }
        for (position, input) in node.input.iter().enumerate() {
            term += " ";
            term += &match self.constant(input) {
                Some(tensor) => constant_text(&node.op_type, position, tensor),
                None if input.is_empty() => "none".to_owned(),
                None => value(values, input)?,
            };
        }
        Ok(term)
    }

    /// Axis of a slice, and its index if it takes a single entry. Other bounds are sizes and do not
    /// matter.
    fn range(&self, node: &NodeProto) -> String {
        let number = |position: usize| {
            let tensor = node.input.get(position).and_then(|input| self.constant(input))?;
            numbers(tensor)?.first().copied()
        };
        let [start, end, axis] = [1, 2, 3].map(number);
        match (start, end) {
            (Some(start), Some(end)) if end - start == 1 => format!(" {axis:?} at {start}"),
            (Some(0), _) => format!(" {axis:?} from the start"),
            _ => format!(" {axis:?} from within"),
        }
    }

    /// The linear layer or convolution whose last statement is `node`.
    fn layer(&self, node: &'a NodeProto) -> Option<Step<'a>> {
        let (sum, role) = match node.op_type.as_str() {
            "Add" => (self.producer(first(node)?)?, self.role(second(node)?, part::BIAS)?),
            _ => (node, self.without_bias(node)?),
        };
        if let Some(input) = self.float_product(sum, role).or_else(|| self.int8_product(sum, role))
        {
            return Some(Step { name: format!("linear {role}"), inputs: vec![input] });
        }
        let (conv, input) =
            self.float_convolution(sum, role).or_else(|| self.int8_convolution(sum, role))?;
        Some(Step { name: convolution(conv, role), inputs: vec![input] })
    }

    /// Role of the layer without a bias whose last statement is `node`.
    fn without_bias(&self, node: &'a NodeProto) -> Option<&'a str> {
        let product = if node.op_type == "MatMul" { node } else { self.convolved(node)? };
        let role = self.role(second(product)?, part::WEIGHT)?;
        let is_bias = |other: &&str| other.rsplit_once('.') == Some((role, part::BIAS));
        (!self.roles.values().any(is_bias)).then_some(role)
    }

    /// Integer sums that `node` converts to float with the scale of `role`.
    fn scaled(&self, node: &'a NodeProto, role: &str) -> Option<&'a NodeProto> {
        let is_scaled =
            node.op_type == "Mul" && self.role(second(node)?, part::SCALE) == Some(role);
        self.cast(self.producer(first(node)?)?, DataType::Float).filter(|_| is_scaled)
    }

    fn int8_product(&self, node: &'a NodeProto, role: &str) -> Option<&'a str> {
        let sums = self.scaled(node, role)?;
        let is_layer =
            sums.op_type == "MatMulInteger" && self.role(second(sums)?, part::INT8) == Some(role);
        self.quantized(first(sums)?, role).filter(|_| is_layer)
    }

    fn int8_convolution(
        &self,
        node: &'a NodeProto,
        role: &str,
    ) -> Option<(&'a NodeProto, &'a str)> {
        let conv = self.convolved(self.scaled(node, role)?)?;
        let is_layer = conv.op_type == "ConvInteger"
            && self.role(second(conv)?, part::INT8) == Some(role)
            && self.role(conv.input.get(2)?, part::PADDING) == Some(role);
        let input = self.channels_first(first(conv)?).filter(|_| is_layer)?;
        Some((conv, self.quantized(input, role)?))
    }

    fn float_product(&self, node: &'a NodeProto, role: &str) -> Option<&'a str> {
        let is_layer =
            node.op_type == "MatMul" && self.role(second(node)?, part::WEIGHT) == Some(role);
        first(node).filter(|_| is_layer)
    }

    fn float_convolution(
        &self,
        node: &'a NodeProto,
        role: &str,
    ) -> Option<(&'a NodeProto, &'a str)> {
        let conv = self.convolved(node)?;
        let is_layer =
            conv.op_type == "Conv" && self.role(second(conv)?, part::WEIGHT) == Some(role);
        let input = self.channels_first(first(conv)?).filter(|_| is_layer)?;
        Some((conv, input))
    }

    /// The convolution whose result `node` permutes to channels last.
    fn convolved(&self, node: &'a NodeProto) -> Option<&'a NodeProto> {
        let conv = self.producer(first(node)?)?;
        let is_layer = is_permutation(node, [0, 2, 3, 1])
            && ["Conv", "ConvInteger"].contains(&conv.op_type.as_str());
        is_layer.then_some(conv)
    }

    /// The map `[B, H, W, C]` of which `name` is the version with channels first.
    fn channels_first(&self, name: &str) -> Option<&'a str> {
        let node = self.producer(name)?;
        first(node).filter(|_| is_permutation(node, [0, 3, 1, 2]))
    }

    /// The value of which `name` is the quantization with the scales of `role`.
    fn quantized(&self, name: &str, role: &str) -> Option<&'a str> {
        let clipped = self.cast(self.producer(name)?, DataType::Int8)?;
        let is_s8 = clipped.op_type == "Clip"
            && self.scalar(second(clipped)?) == Some(-127.0)
            && self.scalar(clipped.input.get(2)?) == Some(127.0);
        let mut steps = self.producer(first(clipped)?).filter(|_| is_s8)?;
        if steps.op_type == "Add" {
            self.role(second(steps)?, part::ZERO_POINT).filter(|found| *found == role)?;
            steps = self.producer(first(steps)?)?;
        }
        let scaled = self.producer(first(steps)?).filter(|_| steps.op_type == "Round")?;
        let is_scaled = scaled.op_type == "Mul"
            && self.role(second(scaled)?, part::INVERSE_SCALE) == Some(role);
        first(scaled).filter(|_| is_scaled)
    }

    /// A product of two values, in float, or in int8 with a scale for each row and column.
    fn product(&self, node: &'a NodeProto) -> Option<Step<'a>> {
        let step = |a: &'a str, b: &'a str| {
            let are_values = !self.roles.contains_key(a) && !self.roles.contains_key(b);
            are_values.then(|| Step { name: "product".into(), inputs: vec![a, b] })
        };
        if node.op_type == "MatMul" {
            return step(first(node)?, second(node)?);
        }
        let (by_row, column_scale) = (self.producer(first(node)?)?, second(node)?);
        let is_scaled = node.op_type == "Mul" && by_row.op_type == "Mul";
        let sums = self.producer(first(by_row)?).filter(|_| is_scaled)?;
        let sums = self.cast(sums, DataType::Float)?;
        let (rows, columns) = (first(sums)?, second(sums)?);
        let is_product = sums.op_type == "MatMulInteger";
        let a = self.by_row(rows, second(by_row)?).filter(|_| is_product)?;
        step(a, self.by_row(columns, column_scale)?)
    }

    /// The value of which `name` is the quantization with the scale `scale` for each row or column.
    fn by_row(&self, name: &str, scale: &str) -> Option<&'a str> {
        let rounded = self.cast(self.producer(name)?, DataType::Int8)?;
        let divided = self.producer(first(rounded)?).filter(|_| rounded.op_type == "Round")?;
        let is_divided = divided.op_type == "Div" && second(divided)? == scale;
        let x = first(divided).filter(|_| is_divided)?;
        let of_largest = self.producer(scale).filter(|node| node.op_type == "Div")?;
        let is_s8 = self.scalar(second(of_largest)?) == Some(127.0);
        let largest = self.producer(first(of_largest)?).filter(|_| is_s8)?;
        let reduced = self.producer(first(largest)?).filter(|_| largest.op_type == "Max")?;
        let magnitude =
            self.producer(first(reduced)?).filter(|_| reduced.op_type == "ReduceMax")?;
        let is_of_x = magnitude.op_type == "Abs" && first(magnitude)? == x;
        is_of_x.then_some(x)
    }

    /// The statement whose result `node` casts to `data_type`.
    fn cast(&self, node: &'a NodeProto, data_type: DataType) -> Option<&'a NodeProto> {
        let to = node.attribute.iter().find(|attribute| attribute.name == "to")?;
        let is_cast = node.op_type == "Cast" && to.i == data_type as i64;
        self.producer(first(node)?).filter(|_| is_cast)
    }

    fn producer(&self, name: &str) -> Option<&'a NodeProto> {
        self.producers.get(name).copied()
    }

    /// Layer of which `input` is the part `part`.
    fn role(&self, input: &str, part: &str) -> Option<&'a str> {
        let (layer, found) = self.roles.get(input)?.rsplit_once('.')?;
        (found == part).then_some(layer)
    }

    fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        let node = self.producer(name).filter(|node| node.op_type == "Constant")?;
        node.attribute.first()?.t.as_ref()
    }

    fn scalar(&self, name: &str) -> Option<f32> {
        let tensor = self.constant(name)?;
        let bytes = <[u8; 4]>::try_from(tensor.raw_data.as_slice()).ok()?;
        (tensor.data_type == DataType::Float as i32).then(|| f32::from_le_bytes(bytes))
    }
}

fn first(node: &NodeProto) -> Option<&str> {
    node.input.first().map(String::as_str)
}

fn second(node: &NodeProto) -> Option<&str> {
    node.input.get(1).map(String::as_str)
}

fn is_permutation(node: &NodeProto, axes: [i64; 4]) -> bool {
    let perm = node.attribute.iter().find(|attribute| attribute.name == "perm");
    node.op_type == "Transpose" && perm.is_some_and(|perm| perm.ints == axes)
}

/// Text of a convolution, with the attributes that are not sizes.
fn convolution(node: &NodeProto, role: &str) -> String {
    let mut name = format!("convolution {role}");
    for attribute in sorted(&node.attribute) {
        let text = match attribute.name.as_str() {
            "group" if attribute.i > 1 => "by channel".to_owned(),
            _ => plain_text(attribute),
        };
        name += &format!(" {}={text}", attribute.name);
    }
    name
}

fn sorted(attributes: &[AttributeProto]) -> Vec<&AttributeProto> {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_by_key(|attribute| &attribute.name);
    sorted
}

/// Text of an attribute; `None` for parameters, which are like weights.
fn attribute_text(operator: &str, attribute: &AttributeProto) -> Option<String> {
    let is_parameter = operator == "LayerNormalization" && attribute.name == "epsilon";
    (!is_parameter).then(|| plain_text(attribute))
}

fn plain_text(attribute: &AttributeProto) -> String {
    let AttributeProto { i, f, s, ints, floats, .. } = attribute;
    format!("{i} {f} {s:?} {ints:?} {floats:?}")
}

/// Text of a constant; sizes are left out.
fn constant_text(operator: &str, position: usize, tensor: &TensorProto) -> String {
    let values = numbers(tensor);
    match (operator, position, values) {
        ("Reshape", 1, Some(sides)) => format!("{} sides", sides.len()),
        ("Pad", 1, Some(pads)) => {
            let padded: Vec<bool> = pads.iter().map(|pad| *pad > 0).collect();
            format!("{padded:?}")
        }
        (_, _, Some(values)) => format!("{values:?}"),
        (_, _, None) => format!("{:?} {:?}", tensor.data_type, tensor.raw_data),
    }
}

/// Values of an i64 tensor.
fn numbers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let (values, rest) = tensor.raw_data.as_chunks::<8>();
    let is_whole = tensor.data_type == DataType::Int64 as i32 && rest.is_empty();
    is_whole.then(|| values.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
}
