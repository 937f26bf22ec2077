//! Blocks match plain loops with every instruction set, and themselves with any number of threads.

mod decoder;
mod encoder;
#[path = "../support/mod.rs"]
mod support;

use std::num::NonZeroUsize;

use medsa_kernels::{Block, Isa, LinearS8, Map, Packed, Pool};
use support::noise::Noise;
use support::{Precision, allocations};

/// Channels of attentions, of at least two heads.
const CHANNELS: usize = if cfg!(miri) { 32 } else { 64 };

/// Hidden channels of their MLP, as odd as an adapter makes it.
const WIDE: usize = if cfg!(miri) { 20 } else { 265 };

const PRECISIONS: &[Precision] =
    if cfg!(miri) { &[Precision::Int8] } else { &[Precision::Float, Precision::Int8] };

/// True if there is time for a case with this number of values. The interpreter (Miri) takes only
/// the smallest.
fn has_time(values: usize) -> bool {
    !cfg!(miri) || values <= 64
}

/// Instruction sets to compare with plain loops: all, or in the interpreter the fastest.
fn variants() -> Vec<Isa> {
    let all = Isa::available();
    if cfg!(miri) { all.into_iter().next_back().into_iter().collect() } else { all }
}

/// Runs twice. The second run must not allocate.
fn twice(mut run: impl FnMut()) {
    run();
    if !cfg!(miri) {
        assert_eq!(allocations::count(run), 0, "allocations of the second run");
    }
}

/// Checks that the results of `run` are close to those of plain loops with every instruction set,
/// and the same to the last bit on one thread and on three.
fn compare(what: &str, run: impl Fn(Isa, &Pool, &mut Noise) -> Vec<f32>) {
    let run = |isa: Isa, threads: usize| {
        run(isa, &Pool::new(NonZeroUsize::new(threads).unwrap()), &mut Noise(3))
    };
    let expected = run(Isa::SCALAR, 1);
    assert!(expected.iter().all(|y| y.is_finite()), "{what}");
    let scale = (expected.iter().map(|y| y * y).sum::<f32>() / expected.len() as f32).sqrt();
    for isa in variants() {
        let found = run(isa, 1);
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let off = (off / expected.len() as f32).sqrt() / scale;
        // A value next to the boundary of two int8 values may be rounded to either.
        assert!(off < 2e-3, "{what} with {}: {off} off", isa.name());
        if !cfg!(miri) {
            assert!(run(isa, 3) == found, "{what} with {}: threads differ", isa.name());
        }
    }
}

/// [`compare`] for a block of maps.
fn compare_block<B: Block>(map: Map, what: &str, make: impl Fn(Isa, &mut Noise) -> B) {
    if !has_time(map.len()) {
        return;
    }
    let input = Noise(5).values(map.len(), 2.0);
    compare(what, |isa, pool, noise| {
        let block = make(isa, noise);
        pool.reserve(block.scratch_bytes());
        let mut output = vec![f32::NAN; block.output(map).len()];
        let mut between = vec![f32::NAN; block.between_len(map)];
        twice(|| block.run(pool, map, &input, &mut output, &mut between));
        output
    });
}

#[test]
fn int8_linear_layer_is_exact() {
    // Largest weights and inputs beyond all int8 values, shapes with and without remainders.
    for (inputs, outputs) in [(16, 16), (3, 5), (64, 48), (160, 33), (1300, 320)] {
        if !has_time(inputs) {
            continue;
        }
        let mut noise = Noise(9);
        for extreme in [false, true] {
            let weight = match extreme {
                true => {
                    (0..inputs * outputs).map(|i| if i % 3 == 0 { -127 } else { 127 }).collect()
                }
                false => noise.bytes(inputs * outputs),
            };
            let zero_point = noise.values(inputs, 20.0).into_iter().map(f32::round);
            let layer = LinearS8 {
                weight: &weight,
                scale: &vec![1.0; outputs],
                bias: &vec![0.0; outputs],
                inverse_scale: &vec![1.0; inputs],
                zero_point: &zero_point.collect::<Vec<_>>(),
            };
            let most = if extreme { 1e9 } else { 100.0 };
            let row = noise.values(inputs, most);
            let expected = layer.forward(&row);
            for isa in variants() {
                let packed = Packed::int8(isa, &layer).unwrap();
                assert_eq!(packed.row(isa, &row), expected, "{}", isa.name());
            }
        }
    }
}
