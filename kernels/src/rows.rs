//! Layers and norms of rows, shared by threads.

use crate::block::Output;
use crate::norm::Norm;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::scratch::Scratch;
use crate::simd::{Isa, LANES, Simd, Task};

/// Rows that are computed at once, at most.
pub(crate) const ROWS: usize = 64;

/// A layer of rows, to which others may be added first.
pub(crate) fn linear(
    pool: &Pool,
    isa: Isa,
    layer: &Packed,
    (input, added): (&[f32], Option<&[f32]>),
    output: &mut Vec<f32>,
) {
    let (inputs, outputs) = (layer.inputs(), layer.outputs());
    let rows = input.len() / inputs;
    assert!(inputs.is_multiple_of(LANES) && outputs.is_multiple_of(LANES));
    assert!(added.is_none_or(|added| added.len() >= rows * inputs));
    output.resize(rows * outputs, 0.0);
    let output = Output::new(output);
    pool.run(rows.div_ceil(ROWS), &|part, scratch| {
        let first = part * ROWS;
        let count = ROWS.min(rows - first);
        isa.run(LinearRows { layer, input, added, output, first, count, scratch });
    });
}

struct LinearRows<'a> {
    layer: &'a Packed,
    input: &'a [f32],
    added: Option<&'a [f32]>,
    output: Output<'a>,
    first: usize,
    count: usize,
    scratch: &'a mut Scratch,
}

impl Task for LinearRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { layer, input, added, output, first, count, scratch } = self;
        let (inputs, outputs) = (layer.inputs(), layer.outputs());
        let [operand] = scratch.parts([layer.operand_bytes(count)]);
        // SAFETY: all is as long as its shape says; no other part has these rows.
        unsafe {
            for row in 0..count {
                for channel in (0..inputs).step_by(LANES) {
                    let at = (first + row) * inputs + channel;
                    let mut x = s.load(input.as_ptr().add(at));
                    if let Some(added) = added {
                        x = s.add(x, s.load(added.as_ptr().add(at)));
                    }
                    layer.put(s, operand, row, channel, x);
                }
            }
            let to = output.at(first * outputs);
            layer.forward(
                s,
                operand,
                count,
                #[inline(always)]
                |row, channel, y| s.store(to.add(row * outputs + channel), y),
            );
        }
    }
}

/// `norm(rows + added)`.
pub(crate) fn norms(
    isa: Isa,
    norm: &Norm,
    rows: &[f32],
    added: Option<&[f32]>,
    output: &mut [f32],
) {
    assert!(output.len() >= rows.len() && added.is_none_or(|added| added.len() >= rows.len()));
    let added = added.map(<[f32]>::as_ptr);
    let (from, to, len) = (rows.as_ptr(), output.as_mut_ptr(), rows.len());
    isa.run(NormRows { norm, rows: from, added, output: to, len });
}

/// `rows = norm(rows + added)`.
pub(crate) fn norm_in_place(isa: Isa, norm: &Norm, added: &[f32], rows: &mut [f32]) {
    assert!(rows.len() >= added.len());
    let (to, len) = (rows.as_mut_ptr(), added.len());
    isa.run(NormRows { norm, rows: added.as_ptr(), added: Some(to.cast_const()), output: to, len });
}

/// Each row is read before it is written, so that it may be the same memory.
struct NormRows<'a> {
    norm: &'a Norm,
    rows: *const f32,
    added: Option<*const f32>,
    output: *mut f32,
    len: usize,
}

impl Task for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { norm, rows, added, output, len } = self;
        // SAFETY: whoever makes this has made sure of the lengths.
        unsafe {
            for start in (0..len).step_by(norm.channels()) {
                for at in (start..start + norm.channels()).step_by(LANES) {
                    let mut x = s.load(rows.add(at));
                    if let Some(added) = added {
                        x = s.add(x, s.load(added.add(at)));
                    }
                    s.store(output.add(at), x);
                }
                norm.in_place(s, output.add(start));
            }
        }
    }
}
