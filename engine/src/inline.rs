//! Inlining of a model's local functions, which tract's loader does not support.

use std::collections::HashMap;

use tract_onnx::pb::{FunctionProto, ModelProto, NodeProto};

/// Replaces every call of a local function by the function's nodes, at most `limit` nodes in total.
/// Functions that call functions are refused.
///
/// # Errors
/// The problem of the model.
pub fn inline(mut model: ModelProto, limit: usize) -> Result<ModelProto, String> {
    let Some(graph) = &mut model.graph else { return Ok(model) };
    let functions: HashMap<(&str, &str), &FunctionProto> = model
        .functions
        .iter()
        .map(|function| ((function.domain(), function.name()), function))
        .collect();
    let function =
        |node: &NodeProto| functions.get(&(node.domain.as_str(), node.op_type.as_str())).copied();
    let mut nodes = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        match function(&node) {
            Some(called) => {
                if let Some(inner) = called.node.iter().find(|inner| function(inner).is_some()) {
                    let (name, inner) = (called.name(), &inner.op_type);
                    return Err(format!("function {name} calls {inner}, expected no such call"));
                }
                nodes.extend(body(called, &node)?);
            }
            None => nodes.push(node),
        }
        if nodes.len() > limit {
            return Err(format!("more than {limit} nodes after inlining all functions"));
        }
    }
    graph.node = nodes;
    model.opset_import.retain(|set| set.domain.is_empty());
    model.functions.clear();
    Ok(model)
}

/// Nodes of a function for one call.
fn body(function: &FunctionProto, call: &NodeProto) -> Result<Vec<NodeProto>, String> {
    for (what, formal, actual) in
        [("inputs", &function.input, &call.input), ("outputs", &function.output, &call.output)]
    {
        if formal.len() != actual.len() {
            return Err(format!(
                "{}, a call of {}, has {} {what}, expected {}",
                call.name,
                function.name(),
                actual.len(),
                formal.len()
            ));
        }
    }
    let passed: HashMap<&String, &String> = function
        .input
        .iter()
        .zip(&call.input)
        .chain(function.output.iter().zip(&call.output))
        .collect();
    let name = |local: &String| match passed.get(local) {
        Some(&outside) => outside.clone(),
        // An omitted optional input.
        None if local.is_empty() => String::new(),
        None => format!("{}/{local}", call.name),
    };
    let nodes = function.node.iter().map(|node| NodeProto {
        name: node.output.first().map(&name).unwrap_or_default(),
        input: node.input.iter().map(&name).collect(),
        output: node.output.iter().map(&name).collect(),
        ..node.clone()
    });
    Ok(nodes.collect())
}
