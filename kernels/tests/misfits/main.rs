//! Shapes that do not fit are errors that name the layer, and never a panic of a constructor.

mod decoder;
mod encoder;
mod layers;
mod runs;
#[path = "../support/mod.rs"]
mod support;

use medsa_kernels::{Depthwise, Isa, LinearS8, Misfit, Norm, Packed};
use support::allocations;

/// Numbers that a broken or hostile model file may contain.
const HOSTILE: [usize; 4] = [0, usize::MAX, (1 << 60) + 1, 1_000_000_000_000];

/// An instruction set that every processor has.
const ISA: Isa = Isa::SCALAR;

/// Checks that `made` is an error with this message.
#[track_caller]
fn assert_misfit<T>(made: Result<T, Misfit>, message: &str) {
    match made {
        Ok(_) => panic!("fits, expected: {message}"),
        Err(misfit) => assert_eq!(misfit.to_string(), message),
    }
}

/// Checks that `make` is an error in the field `layer`, and allocates little.
#[track_caller]
fn assert_hostile<T>(layer: &str, make: impl FnOnce() -> Result<T, Misfit>) {
    let mut made = None;
    let largest = allocations::largest(|| made = Some(make()));
    match made {
        Some(Err(misfit)) => assert_eq!(misfit.layer, layer, "{misfit}"),
        _ => panic!("a hostile {layer} fits"),
    }
    assert!(largest < 1024, "a hostile {layer} allocates {largest} bytes");
}

fn linear(inputs: usize, outputs: usize) -> Packed {
    Packed::float(&vec![0.0; inputs * outputs], &vec![0.0; outputs]).unwrap()
}

/// A layer that is packed for another instruction set than [`ISA`], if the processor has one.
fn linear_for_other_isa(inputs: usize, outputs: usize) -> Option<Packed> {
    let isa = Isa::available().pop().filter(|isa| *isa != ISA)?;
    let layer = LinearS8 {
        weight: &vec![0; inputs * outputs],
        scale: &vec![1.0; outputs],
        bias: &vec![0.0; outputs],
        inverse_scale: &vec![1.0; inputs],
        zero_point: &vec![0.0; inputs],
    };
    Some(Packed::int8(isa, &layer).unwrap())
}

fn norm(channels: usize) -> Norm {
    Norm::new(&vec![1.0; channels], &vec![0.0; channels], 1e-5).unwrap()
}

fn depthwise(channels: usize) -> Depthwise {
    Depthwise::float(&vec![0.0; 9 * channels], &vec![0.0; channels]).unwrap()
}
