//! Blocks as local functions of the model. Any runtime can inline them; the engine computes each
//! with one kernel. Each call carries its schema ([`medsa_sam::block`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use medsa_engine::canonical_hash;
use medsa_sam::block::{BlockKind, BlockSchema, DOMAIN, SCHEMA_ATTRIBUTE, SCHEMA_VERSION};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{FunctionProto, NodeProto, TensorProto};

use super::proto::{OPSET, attribute_tensor, operator_set, string};

/// Largest number of values of an integer constant, such as a shape, that is stored in the function
/// itself; single floats are, too. Weights are inputs of the function, so that blocks that differ
/// only in weights share it and the engine finds their weights.
const OWN_VALUES: i64 = 8;

/// Nodes that form one block.
pub(super) struct Call {
    pub kind: BlockKind,
    /// Roles of the weights, by their names in the file.
    pub roles: BTreeMap<String, String>,
    /// Roles of layers and attention products in int8.
    pub int8: Vec<String>,
    /// Values that come first in the inputs. The weights follow in the order of use.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub nodes: Range<usize>,
}

/// Replaces the nodes of `calls`, which must not overlap, by calls of functions.
pub(super) fn call_functions(
    nodes: Vec<NodeProto>,
    calls: Vec<Call>,
    initializers: &[TensorProto],
) -> (Vec<NodeProto>, Vec<FunctionProto>) {
    let constants: HashMap<&str, &TensorProto> =
        initializers.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut functions: Vec<FunctionProto> = Vec::new();
    let mut kept = Vec::new();
    let mut next = 0;
    for call in calls {
        kept.extend_from_slice(&nodes[next..call.nodes.start]);
        next = call.nodes.end;
        let (mut function, inputs) = function(&call, &nodes[call.nodes.clone()], &constants);
        let schema = schema(&call, &function, &inputs);
        let same = functions.iter().find(|other| {
            function.name.clone_from(&other.name);
            **other == function
        });
        let name = match same {
            Some(same) => same.name().to_owned(),
            None => {
                let name = unused(call.kind.function(), &functions);
                functions.push(FunctionProto { name: Some(name.clone()), ..function });
                name
            }
        };
        kept.push(NodeProto {
            name: call.outputs[0].clone(),
            op_type: name,
            domain: DOMAIN.into(),
            input: inputs,
            output: call.outputs,
            attribute: vec![string(SCHEMA_ATTRIBUTE, &schema)],
            ..NodeProto::default()
        });
    }
    kept.extend_from_slice(&nodes[next..]);
    (kept, functions)
}

/// The schema of a call as JSON.
fn schema(call: &Call, function: &FunctionProto, inputs: &[String]) -> String {
    let role = |name: &String| {
        // Constants that the network computes inside the block belong to no layer. No kernel
        // accepts a body with such a constant.
        let role = call.roles.get(name).cloned();
        role.unwrap_or_else(|| format!("constant.{name}"))
    };
    let weights: Vec<String> = inputs[call.inputs.len()..].iter().map(role).collect();
    let body = canonical_hash(&call.kind, &weights, function);
    let body = body.unwrap_or_else(|e| panic!("{}: {e:?}", call.kind.name()));
    let (kind, int8) = (call.kind.clone(), call.int8.clone());
    let schema = BlockSchema { version: SCHEMA_VERSION, kind, weights, int8, body };
    serde_json::to_string(&schema).expect("a schema is plain data")
}

/// `name`, with a number appended if another function has that name.
fn unused(name: &str, functions: &[FunctionProto]) -> String {
    let taken: BTreeSet<&str> = functions.iter().map(FunctionProto::name).collect();
    let numbered = (2..).map(|number| format!("{name}{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates.find(|name| !taken.contains(name.as_str())).expect("numbers do not end")
}

/// The function of a call, without a name, and the values that the call passes to it.
fn function(
    call: &Call,
    nodes: &[NodeProto],
    constants: &HashMap<&str, &TensorProto>,
) -> (FunctionProto, Vec<String>) {
    let mut local: HashMap<&str, String> = HashMap::new();
    let (mut formal, mut actual) = (Vec::new(), Vec::new());
    for (i, input) in call.inputs.iter().enumerate() {
        // The same value may be passed twice; the body then uses the first.
        local.entry(input).or_insert_with(|| format!("x{i}"));
        formal.push(format!("x{i}"));
        actual.push(input.clone());
    }
    for (i, output) in call.outputs.iter().enumerate() {
        local.insert(output, format!("y{i}"));
    }
    let mut body = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        for input in &node.input {
            if local.contains_key(input.as_str()) {
                continue;
            }
            let constant = constants.get(input.as_str());
            let constant = constant.unwrap_or_else(|| {
                panic!("{}: {input} is neither an input nor a weight", call.kind.name())
            });
            let is_float = constant.data_type == DataType::Float as i32;
            let most = if is_float { 1 } else { OWN_VALUES };
            // Tensors of a layer are always inputs, however small.
            let is_own = !call.roles.contains_key(input);
            if is_own && constant.dims.iter().product::<i64>() <= most {
                let name = format!("c{}", body.len());
                let value = TensorProto { name: String::new(), ..(*constant).clone() };
                body.push(NodeProto {
                    op_type: "Constant".into(),
                    output: vec![name.clone()],
                    attribute: vec![attribute_tensor("value", value)],
                    ..NodeProto::default()
                });
                local.insert(input, name);
            } else {
                let name = format!("w{}", formal.len());
                formal.push(name.clone());
                actual.push(input.clone());
                local.insert(input, name);
            }
        }
        for output in &node.output {
            local.entry(output).or_insert_with(|| format!("v{number}"));
        }
        let renamed =
            |names: &[String]| names.iter().map(|name| local[name.as_str()].clone()).collect();
        body.push(NodeProto {
            name: String::new(),
            input: renamed(&node.input),
            output: renamed(&node.output),
            ..node.clone()
        });
    }
    let function = FunctionProto {
        domain: Some(DOMAIN.into()),
        input: formal,
        output: (0..call.outputs.len()).map(|i| format!("y{i}")).collect(),
        attribute: vec![SCHEMA_ATTRIBUTE.into()],
        node: body,
        opset_import: vec![operator_set("", OPSET)],
        ..FunctionProto::default()
    };
    (function, actual)
}
