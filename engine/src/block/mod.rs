//! Blocks that a model file stores as local functions. Kernels compute them as a whole instead of
//! node by node.
//!
//! Each call has a schema ([`medsa_sam::block`]): kind, variant, and the role of each weight. A
//! block without a known kernel is inlined and computed by tract.

mod canonical;
mod chain;
mod decoder;
mod kernel;
mod mismatch;
mod operator;
mod schema;
mod weights;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use medsa_kernels::{Block, Isa, Pool};
use tract_onnx::pb::{FunctionProto, ModelProto, NodeProto, TensorProto};

pub use self::canonical::canonical_hash;
use self::chain::Chain;
use self::kernel::{Kernel, kernel};
pub use self::mismatch::Mismatch;
use self::operator::{OPERATOR, Operation, call_of};
pub(super) use self::operator::{register, with_operations};
use self::schema::Reading;
use self::weights::Weights;
use crate::error::Error;

/// Replacement for calls of functions.
enum Part {
    /// Blocks in sequence; each takes the map of the previous one.
    Chain(Vec<Box<dyn Block>>),
    Operation(Arc<dyn Operation>),
}

/// Result of [`fuse`].
#[derive(Default)]
pub(super) struct Fusion {
    /// Operations that the model calls instead of functions.
    pub operations: Vec<Arc<dyn Operation>>,
    /// Calls that are computed node by node.
    pub inlined: Vec<Inlined>,
}

/// A function call that is computed node by node, which is slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inlined {
    /// Name of the call.
    pub block: String,
    /// Cause.
    pub reason: String,
}

/// Replaces calls of functions that have a kernel by calls of operations.
///
/// # Errors
/// [`Error::Block`] if a schema, weight or body does not fit.
pub(super) fn fuse(
    file: &'static str,
    model: &mut ModelProto,
    pool: &Arc<Pool>,
) -> Result<Fusion, Error> {
    let isa = Isa::detect();
    let Some(graph) = &mut model.graph else { return Ok(Fusion::default()) };
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
    let mut inlined = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let Some(function) = functions.get(&(node.domain.as_str(), node.op_type.as_str())) else {
            nodes.push(node);
            continue;
        };
        let name = format!("{} {}", node.op_type, node.name);
        let mismatch = |Mismatch { role, found, expected, .. }: Mismatch| {
            let block = name.clone();
            Error::Block { file, block, role, found, expected }
        };
        let schema = match schema::read(&node, function).map_err(mismatch)? {
            Reading::Known(schema) => schema,
            Reading::Foreign(reason) => {
                inlined.push(Inlined { block: name, reason });
                nodes.push(node);
                continue;
            }
        };
        let weights = Weights::new(isa, &schema, &node, function, &tensors).map_err(mismatch)?;
        let kernel = match kernel(&schema, weights, &node, function, pool) {
            Ok(kernel) => kernel,
            Err(Mismatch { role, found, expected, is_limit: true }) => {
                let reason = format!("no kernel supports {role} {found}, only {expected}");
                inlined.push(Inlined { block: name, reason });
                nodes.push(node);
                continue;
            }
            Err(error) => return Err(mismatch(error)),
        };
        match kernel {
            Kernel::Operation(operation) => {
                let inputs = &node.input[..operation.inputs()];
                nodes.push(call_of(parts.len(), inputs, &node.output));
                parts.push(Part::Operation(operation));
            }
            Kernel::Block(block) => {
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
    Ok(Fusion { operations: parts.into_iter().map(operation).collect(), inlined })
}
