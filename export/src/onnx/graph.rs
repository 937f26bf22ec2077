//! The graph of an ONNX file.

use std::collections::BTreeSet;

use medsa_sam::block::DOMAIN;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};

use super::functions::{Call, call_functions};
use super::proto::{OPSET, f32_tensor, i64_tensor, operator_set, value_info};

/// Version of the ONNX file format that belongs to it.
const IR_VERSION: i64 = 9;

/// A graph that grows node by node.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    initializer_names: BTreeSet<String>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
    calls: Vec<Call>,
}

impl Graph {
    /// Number of nodes so far.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Marks nodes as one block.
    pub(super) fn call(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// Adds a node with one output; returns the output's name.
    pub(super) fn node(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let name = format!("{op_type}_{}", self.nodes.len());
        self.nodes.push(NodeProto {
            name: name.clone(),
            op_type: op_type.into(),
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![name.clone()],
            attribute: attributes,
            ..NodeProto::default()
        });
        name
    }

    /// Adds a constant unless one of this name exists; returns the name.
    pub(super) fn initializer(&mut self, name: &str, make: impl FnOnce() -> TensorProto) -> String {
        if self.initializer_names.insert(name.to_owned()) {
            self.initializers.push(TensorProto { name: name.into(), ..make() });
        }
        name.to_owned()
    }

    /// Adds a constant with a name derived from its values; returns the name.
    pub(super) fn i64s(&mut self, values: &[i64]) -> String {
        let words: Vec<_> = values.iter().map(i64::to_string).collect();
        self.initializer(&format!("i64.{}", words.join("_")), || i64_tensor(values))
    }

    /// Adds a scalar with a name derived from its value; returns the name.
    pub(super) fn scalar(&mut self, value: f32) -> String {
        self.initializer(&format!("f32.{value}"), || f32_tensor(&[], [value]))
    }

    pub(super) fn input(&mut self, name: &str, shape: &[usize]) {
        self.inputs.push(value_info(name, shape));
    }

    /// Makes a value an output of the graph, named `name`.
    pub(super) fn output(&mut self, value: &str, name: &str, shape: &[usize]) {
        self.nodes.push(NodeProto {
            name: name.into(),
            op_type: "Identity".into(),
            input: vec![value.into()],
            output: vec![name.into()],
            ..NodeProto::default()
        });
        self.outputs.push(value_info(name, shape));
    }

    pub(super) fn into_model(self, name: &str, metadata: &[(&str, &str)]) -> ModelProto {
        let Self { nodes, mut initializers, inputs, outputs, calls, .. } = self;
        let (nodes, functions) = call_functions(nodes, calls, &initializers);
        let used: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.input).collect();
        initializers.retain(|tensor| used.contains(&tensor.name));
        let mut opset_import = vec![operator_set("", OPSET)];
        if !functions.is_empty() {
            opset_import.push(operator_set(DOMAIN, 1));
        }
        let property = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        ModelProto {
            ir_version: IR_VERSION,
            opset_import,
            producer_name: "medsa-export".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(GraphProto {
                name: name.into(),
                node: nodes,
                initializer: initializers,
                input: inputs,
                output: outputs,
                ..GraphProto::default()
            }),
            metadata_props: metadata.iter().map(property).collect(),
            functions,
            ..ModelProto::default()
        }
    }
}
