//! An operation computed by kernels, as an operator of tract.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::{InferenceResult, Solver, TensorProxy};
use tract_onnx::tract_hir::ops::expandable::{Expansion, expand};

/// Name of tract's operator for such operations.
pub(in super::super) const OPERATOR: &str = "MedsaKernel";

const OPERATION: &str = "operation";

/// Shape of a tensor.
pub(super) type Shape = Vec<usize>;

/// An operation that kernels compute in f32.
pub(in super::super) trait Operation: Debug + Send + Sync {
    /// Number of inputs.
    fn inputs(&self) -> usize;

    /// Number of outputs.
    fn outputs_count(&self) -> usize {
        1
    }

    /// Shapes of the outputs; `None` if the inputs are not accepted.
    fn outputs(&self, inputs: &[&[usize]]) -> Option<Vec<Shape>>;

    /// Allocates the memory needed for accepted inputs.
    fn reserve(&self, inputs: &[&[usize]]);

    /// Computes the operation.
    fn run(&self, shapes: &[&[usize]], inputs: &[&[f32]], outputs: &mut [&mut [f32]]);
}

thread_local! {
    /// Operations of the model that this thread is loading. Tract's loader constructs operators by
    /// plain functions, which have no context.
    static OPERATIONS: RefCell<Vec<Arc<dyn Operation>>> = const { RefCell::new(Vec::new()) };
}

/// Loads a model that calls these operations.
pub(in super::super) fn with_operations<T>(
    operations: Vec<Arc<dyn Operation>>,
    load: impl FnOnce() -> T,
) -> T {
    OPERATIONS.set(operations);
    let loaded = load();
    OPERATIONS.take();
    loaded
}

/// Registers the operator.
pub(in super::super) fn register(onnx: &mut tract_onnx::Onnx) {
    onnx.op_register.insert(OPERATOR, |_, node| {
        let index = node.get_attr::<usize>(OPERATION)?;
        let operation = OPERATIONS.with_borrow(|operations| operations.get(index).cloned());
        let operation = operation.with_context(|| format!("there is no operation {index}"))?;
        Ok((expand(Fused { operation, outputs: node.output.len(), given: Arc::default() }), vec![]))
    });
}

/// Node that calls an operation.
pub(super) fn call_of(operation: usize, inputs: &[String], outputs: &[String]) -> NodeProto {
    NodeProto {
        name: outputs[0].clone(),
        op_type: OPERATOR.into(),
        input: inputs.to_vec(),
        output: outputs.to_vec(),
        attribute: vec![AttributeProto {
            name: OPERATION.into(),
            r#type: AttributeType::Int as i32,
            i: operation as i64,
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    }
}

#[derive(Clone, Debug)]
struct Fused {
    operation: Arc<dyn Operation>,
    outputs: usize,
    /// Previous outputs, which are reused once nothing else refers to them.
    given: Arc<Mutex<Vec<Arc<Tensor>>>>,
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.operation, &other.operation)
    }
}

impl Eq for Fused {}

impl Fused {
    fn shapes(&self, inputs: &[&[usize]]) -> TractResult<Vec<Shape>> {
        let shapes = self.operation.outputs(inputs);
        shapes.with_context(|| {
            format!("{:?} does not accept inputs of the shapes {inputs:?}", self.operation)
        })
    }
}

impl Expansion for Fused {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.outputs)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for tensor in inputs.iter().chain(outputs) {
            s.equals(&tensor.datum_type, f32::datum_type())?;
        }
        let shapes: Vec<_> = inputs.iter().map(|input| &input.shape).collect();
        s.given_all(shapes, move |s, shapes: Vec<TVec<TDim>>| {
            let concrete = |shape: &TVec<TDim>| -> TractResult<Shape> {
                shape.iter().map(|side| Ok(side.to_usize()?)).collect()
            };
            let shapes: Vec<Shape> = shapes.iter().map(concrete).collect::<TractResult<_>>()?;
            let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
            for (output, shape) in outputs.iter().zip(self.shapes(&shapes)?) {
                let shape: TVec<TDim> = shape.iter().map(|side| side.to_dim()).collect();
                s.equals(&output.shape, shape)?;
            }
            Ok(())
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Fused {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Fused {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shapes: TVec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        // Shapes are static.
        if given.is_empty() || given.iter_mut().any(|tensor| Arc::get_mut(tensor).is_none()) {
            let tensors = self.shapes(&shapes)?;
            let tensors = tensors.iter().map(|shape| Ok(Arc::new(Tensor::zero::<f32>(shape)?)));
            *given = tensors.collect::<TractResult<_>>()?;
        }
        let views: TVec<_> = inputs
            .iter()
            .map(|input| input.to_plain_array_view::<f32>())
            .collect::<TractResult<_>>()?;
        let values: TVec<&[f32]> = views
            .iter()
            .map(|view| view.as_slice().context("tensors are contiguous"))
            .collect::<TractResult<_>>()?;
        let mut outer: TVec<_> = given
            .iter_mut()
            .map(|tensor| {
                let tensor = Arc::get_mut(tensor).context("nobody holds it")?;
                tensor.to_plain_array_view_mut::<f32>()
            })
            .collect::<TractResult<_>>()?;
        // Every operation writes all of its outputs.
        let mut slices: TVec<&mut [f32]> = outer
            .iter_mut()
            .map(|view| view.as_slice_mut().context("tensors are contiguous"))
            .collect::<TractResult<_>>()?;
        self.operation.run(&shapes, &values, &mut slices);
        drop(slices);
        drop(outer);
        Ok(given.iter().map(|tensor| Arc::clone(tensor).into_tvalue()).collect())
    }
}

impl TypedOp for Fused {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = |fact: &&TypedFact| fact.shape.as_concrete().map(<[usize]>::to_vec);
        let shapes: Option<Vec<Shape>> = inputs.iter().map(shape).collect();
        let shapes = shapes.context("shapes are static")?;
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let outputs = self.shapes(&shapes)?;
        self.operation.reserve(&shapes);
        Ok(outputs.iter().map(f32::fact).collect())
    }

    as_op!();
}
