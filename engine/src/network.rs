//! An ONNX file in tract, loaded as hostile input and checked against its expected inputs and
//! outputs.

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use medsa_kernels::Pool;
use tract_linalg::multithread::Executor;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceModelExt, RunOptions, TValue, TractResult, TypedFact,
    TypedModel, TypedRunnableModel,
};

use crate::block::{self, Fusion, Inlined};
use crate::error::Error;
use crate::inline::inline;

/// Size limit of a file, in bytes.
const MAX_BYTES: usize = 512 << 20;

/// Limit of nodes in a graph passed to the optimizer, whose time grows with their number.
const MAX_NODES: usize = 50_000;

/// Names and shapes of a network's inputs and outputs; `None` is any size. All are f32.
pub(super) struct Signature {
    pub inputs: Vec<(&'static str, Vec<Option<usize>>)>,
    pub outputs: Vec<(&'static str, Vec<Option<usize>>)>,
}

/// A runnable ONNX file whose inputs and outputs are in the order of its [`Signature`].
pub(super) struct Network {
    file: &'static str,
    runnable: Arc<TypedRunnableModel>,
    /// For each input of the file, the index in the signature.
    input_order: Vec<usize>,
    /// For each output of the signature, the index in the file.
    output_order: Vec<usize>,
    output_shapes: Vec<Vec<usize>>,
    /// Function calls that are computed node by node.
    pub inlined: Vec<Inlined>,
}

impl Network {
    pub(super) fn load(
        file: &'static str,
        bytes: &[u8],
        signature: Signature,
        threads: &Threads,
    ) -> Result<Self, Error> {
        within(file, bytes.len(), MAX_BYTES, "bytes")?;
        // The loader was not written for hostile files and may panic. In that case, the partial
        // model is dropped.
        guarded(file, || Self::load_unguarded(file, bytes, signature, threads))?
    }

    /// Runs the network; `inputs` and outputs are in the order of the signature.
    pub(super) fn run(&self, inputs: Vec<TValue>) -> Result<Vec<TValue>, Error> {
        let inputs = self.input_order.iter().map(|&ours| inputs[ours].clone()).collect();
        let outputs = guarded(self.file, || self.runnable.run(inputs))?;
        let outputs = outputs.map_err(|error| runtime_error(self.file, &error))?;
        Ok(self.output_order.iter().map(|&theirs| outputs[theirs].clone()).collect())
    }

    /// Shape of an output of the signature.
    pub(super) fn output_shape(&self, output: usize) -> &[usize] {
        &self.output_shapes[output]
    }

    fn load_unguarded(
        file: &'static str,
        bytes: &[u8],
        signature: Signature,
        threads: &Threads,
    ) -> Result<Self, Error> {
        let runtime = |error| runtime_error(file, &error);
        let mut onnx = tract_onnx::onnx();
        block::register(&mut onnx);
        let mut proto = onnx.proto_model_for_read(&mut Cursor::new(bytes)).map_err(runtime)?;
        let nodes = proto.graph.as_ref().map(|graph| graph.node.len());
        let Some(nodes) = nodes else {
            let reason = "not an ONNX model: it holds no graph".to_owned();
            return Err(Error::Network { file, reason });
        };
        within(file, nodes, MAX_NODES, "nodes")?;
        let Fusion { operations, inlined } = block::fuse(file, &mut proto, &threads.pool)?;
        let proto = inline(proto, MAX_NODES).map_err(|reason| Error::Network { file, reason })?;
        let outputs = proto.graph.iter().flat_map(|graph| &graph.output);
        let output_names: Vec<String> = outputs.map(|output| output.name.clone()).collect();
        let inference = block::with_operations(operations, || onnx.model_for_proto_model(&proto));
        let inference = inference.map_err(runtime)?;
        let model = inference.into_typed().map_err(runtime)?;
        let input_names = input_names(&model);
        let input_facts = facts(&model, model.inputs.len(), TypedModel::input_fact, file)?;
        let output_facts = facts(&model, model.outputs.len(), TypedModel::output_fact, file)?;
        let inputs = check(file, "input", &signature.inputs, &input_names, &input_facts)?;
        let output_order = check(file, "output", &signature.outputs, &output_names, &output_facts)?;
        // An input that is not in the signature would fail at the first frame.
        if let Some(extra) = (0..input_names.len()).find(|theirs| !inputs.contains(theirs)) {
            return Err(Error::NetworkTensor {
                file,
                tensor: format!("input {}", input_names[extra]),
                found: describe(&input_facts[extra]),
                expected: "no such input".into(),
            });
        }
        let output_shapes =
            output_order.iter().map(|&theirs| output_facts[theirs].1.clone()).collect();
        let input_order = (0..inputs.len())
            // The check above makes `inputs` a permutation, so each is found.
            .filter_map(|theirs| inputs.iter().position(|&i| i == theirs))
            .collect();
        let options =
            RunOptions { executor: Some(threads.executor.clone()), ..RunOptions::default() };
        let runnable = model
            .into_optimized()
            .and_then(|model| model.into_runnable_with_options(&options))
            .map_err(runtime)?;
        Ok(Self { file, runnable, input_order, output_order, output_shapes, inlined })
    }
}

/// Threads on which networks compute.
pub(super) struct Threads {
    /// Threads for tract's loops.
    executor: Executor,
    /// Threads for kernels.
    pool: Arc<Pool>,
}

impl Threads {
    pub(super) fn new(threads: NonZeroUsize) -> Self {
        let executor = match threads.get() {
            1 => Executor::SingleThread,
            threads => Executor::multithread_with_name(threads, "medsa-tract"),
        };
        Self { executor, pool: Arc::new(Pool::new(threads)) }
    }
}

type Shape = Vec<usize>;

fn input_names(model: &TypedModel) -> Vec<String> {
    model.inputs.iter().map(|outlet| model.nodes()[outlet.node].name.clone()).collect()
}

fn facts(
    model: &TypedModel,
    count: usize,
    fact: impl Fn(&TypedModel, usize) -> TractResult<&TypedFact>,
    file: &'static str,
) -> Result<Vec<(DatumType, Shape)>, Error> {
    let known = |fact: &TypedFact| {
        let shape = fact.shape.as_concrete();
        shape.map(|shape| (fact.datum_type, shape.to_vec()))
    };
    (0..count)
        .map(|index| {
            let fact = fact(model, index).map_err(|error| runtime_error(file, &error))?;
            known(fact).ok_or_else(|| Error::Network {
                file,
                reason: format!("shape {:?} is not static", fact.shape),
            })
        })
        .collect()
}

/// Index in the file of each tensor in the signature.
fn check(
    file: &'static str,
    side: &str,
    signature: &[(&'static str, Vec<Option<usize>>)],
    names: &[String],
    facts: &[(DatumType, Shape)],
) -> Result<Vec<usize>, Error> {
    signature
        .iter()
        .map(|(name, shape)| {
            let error = |found: String| Error::NetworkTensor {
                file,
                tensor: format!("{side} {name}"),
                found,
                expected: expectation(shape),
            };
            let index = names.iter().position(|found| found == name);
            let index = index.ok_or_else(|| error("missing".into()))?;
            let (datum, found) = &facts[index];
            let fits = found.len() == shape.len()
                && shape.iter().zip(found).all(|(want, have)| want.is_none_or(|w| w == *have));
            if *datum != DatumType::F32 || !fits {
                return Err(error(describe(&facts[index])));
            }
            Ok(index)
        })
        .collect()
}

fn describe((datum, shape): &(DatumType, Shape)) -> String {
    format!("{datum:?} {shape:?}").to_lowercase()
}

fn expectation(shape: &[Option<usize>]) -> String {
    let sides: Vec<_> =
        shape.iter().map(|side| side.map_or("any".to_owned(), |n| n.to_string())).collect();
    format!("f32 [{}]", sides.join(", "))
}

fn within(file: &'static str, found: usize, limit: usize, unit: &'static str) -> Result<(), Error> {
    if found > limit {
        return Err(Error::NetworkTooLarge { file, found, limit, unit });
    }
    Ok(())
}

/// Converts a panic inside the runtime to an error.
fn guarded<T>(file: &'static str, work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Error::Network { file, reason: format!("the runtime panicked: {said}") }
    })
}

pub(super) fn runtime_error(file: &'static str, error: &impl std::fmt::Display) -> Error {
    // The alternate form prints the whole chain in one line.
    let reason = format!("{error:#}").replace('\n', " ");
    Error::Network { file, reason }
}
