//! Layers and norms of rows, computed by all threads.

use crate::norm::Norm;
use crate::output::Strips;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::scratch::Scratch;
use crate::simd::{Isa, Simd, Task};

/// Largest number of rows in a part, which one thread computes.
pub(crate) const ROWS: usize = 64;

/// The outputs of a layer whose inputs and outputs are in whole
/// [`LANES`](crate::simd::LANES), for rows `[N, in]`. `added` `[N, in]` is added to the rows first.
///
/// # Panics
/// If `added` has another length than `rows`.
pub(crate) fn linear(
    pool: &Pool,
    isa: Isa,
    layer: &Packed,
    (rows, added): (&[f32], Option<&[f32]>),
    output: &mut Vec<f32>,
) {
    let (inputs, outputs) = (layer.inputs(), layer.padded_outputs());
    let count = rows.len() / inputs;
    assert!(added.is_none_or(|added| added.len() == rows.len()), "values that are added");
    output.resize(count * outputs, 0.0);
    Strips::new(1, count, ROWS).run(pool, output, outputs, |strip, output, scratch| {
        let part = strip.first * inputs..(strip.first + strip.columns.len()) * inputs;
        let (rows, added) = (&rows[part.clone()], added.map(|added| &added[part]));
        isa.run(LinearRows { layer, rows, added, output, scratch });
    });
}

struct LinearRows<'a> {
    layer: &'a Packed,
    rows: &'a [f32],
    added: Option<&'a [f32]>,
    output: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Task for LinearRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { layer, rows, added, output, scratch } = self;
        let count = rows.len() / layer.inputs();
        let mut operand = layer.operand(&mut scratch.slices(), count);
        match added {
            Some(added) => layer.put_sums(s, &mut operand, (rows, added)),
            None => layer.put_rows(s, &mut operand, rows),
        }
        layer.forward_rows(s, &operand, count, output);
    }
}

/// `rows = norm(rows + added)`.
///
/// # Panics
/// If `added` has another length than `rows`, or they are not whole rows.
pub(crate) fn norm_rows(isa: Isa, norm: &Norm, rows: &mut [f32], added: Option<&[f32]>) {
    assert!(added.is_none_or(|added| added.len() == rows.len()), "values that are added");
    isa.run(NormRows { norm, rows, added });
}

struct NormRows<'a> {
    norm: &'a Norm,
    rows: &'a mut [f32],
    added: Option<&'a [f32]>,
}

impl Task for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { norm, rows, added } = self;
        if let Some(added) = added {
            for (x, added) in rows.as_chunks_mut().0.iter_mut().zip(added.as_chunks().0) {
                let sum = s.add(s.load(x), s.load(added));
                s.store(x, sum);
            }
        }
        for row in rows.chunks_exact_mut(norm.channels()) {
            norm.in_place(s, row);
        }
    }
}
