//! Blocks that a model file writes as local functions, computed by kernels instead of node by
//! node.
//!
//! What a call's weights are, their names tell: `w.inverse`, `w.zero`, `w.s8`, `w.step` and
//! `w.bias` are a layer in 8 bits, `w` and its bias one in float. A function that is not quite
//! what a kernel computes stays a function, to be written out.

mod call;
mod chain;
mod decoder;
mod operator;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use medsa_kernels::{Block, Isa, Pool};
use tract_onnx::pb::{FunctionProto, ModelProto, NodeProto, TensorProto};

use self::call::{Call, Kernel};
use self::chain::Chain;
use self::operator::{OPERATOR, Operation, call_of};
pub(super) use self::operator::{register, with_operations};

/// What takes the place of calls.
enum Part {
    /// Blocks, each of what the one before it gives.
    Chain(Vec<Box<dyn Block>>),
    Operation(Arc<dyn Operation>),
}

/// What became of a model's calls of functions.
#[derive(Default)]
pub(super) struct Fusion {
    /// What the model calls in their place.
    pub operations: Vec<Arc<dyn Operation>>,
    /// Calls that are left: function and output.
    pub left: Vec<String>,
}

/// Replaces calls of functions that kernels know by calls of operations.
pub(super) fn fuse(model: &mut ModelProto, pool: &Arc<Pool>) -> Fusion {
    let isa = Isa::detect();
    let Some(graph) = &mut model.graph else { return Fusion::default() };
    let functions: HashMap<(&str, &str), &FunctionProto> =
        model.functions.iter().map(|f| ((f.domain(), f.name()), f)).collect();
    let tensors: HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut readers: BTreeMap<String, usize> = BTreeMap::new();
    let outputs = graph.output.iter().map(|output| &output.name);
    for name in graph.node.iter().flat_map(|node| &node.input).chain(outputs) {
        *readers.entry(name.clone()).or_default() += 1;
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut nodes: Vec<NodeProto> = Vec::new();
    let mut left = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let function = functions.get(&(node.domain.as_str(), node.op_type.as_str()));
        let kernel =
            function.and_then(|function| Call::new(&node, function, &tensors).kernel(isa, pool));
        match kernel {
            None => {
                if function.is_some() {
                    left.push(format!("{} {}", node.op_type, node.name));
                }
                nodes.push(node);
            }
            Some(Kernel::Operation(operation)) => {
                let inputs = &node.input[..operation.inputs()];
                nodes.push(call_of(parts.len(), inputs, &node.output));
                parts.push(Part::Operation(operation));
            }
            Some(Kernel::Block(block)) => {
                let input = &node.input[0];
                let before = nodes.last_mut().filter(|before| {
                    before.op_type == OPERATOR
                        && before.output[0] == *input
                        && readers.get(input) == Some(&1)
                });
                if let (Some(before), Some(Part::Chain(chain))) = (before, parts.last_mut()) {
                    before.output.clone_from(&node.output);
                    chain.push(block);
                } else {
                    nodes.push(call_of(parts.len(), &node.input[..1], &node.output));
                    parts.push(Part::Chain(vec![block]));
                }
            }
        }
    }
    graph.node = nodes;
    let operation = |part| -> Arc<dyn Operation> {
        match part {
            Part::Chain(blocks) => Arc::new(Chain::new(blocks, Arc::clone(pool))),
            Part::Operation(operation) => operation,
        }
    };
    Fusion { operations: parts.into_iter().map(operation).collect(), left }
}
