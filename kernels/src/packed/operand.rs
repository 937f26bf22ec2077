//! Operands: rows of a layer's input, as the layer reads them.

use super::{Arithmetic, Packed};
use crate::gelu::FRACTION;
use crate::norm::Norm;
use crate::scratch::Slices;
use crate::simd::{LANES, Simd, padded};

/// Rows of a layer's input in scratch memory: int8 values ([`Simd::Int8`]) for an int8 layer,
/// floats for a float layer. Each row is padded to whole [`LANES`].
///
/// The memory is that of floats, for their alignment. An int8 value takes at most two bytes.
pub(crate) struct Operand<'a>(&'a mut [f32]);

impl Operand<'_> {
    pub(super) fn as_ptr(&self) -> *const f32 {
        self.0.as_ptr()
    }
}

impl Packed {
    /// Takes memory for rows of this layer's operand.
    pub(crate) fn operand<'a>(&self, slices: &mut Slices<'a>, rows: usize) -> Operand<'a> {
        Operand(slices.take(self.operand_len(rows)))
    }

    /// Length of the memory for these rows, in floats.
    fn operand_len(&self, rows: usize) -> usize {
        let values = rows.saturating_mul(padded(self.inputs));
        match self.arithmetic {
            Arithmetic::Int8 { .. } => values / (size_of::<f32>() / size_of::<i16>()),
            Arithmetic::Float { .. } => values,
        }
    }

    /// # Panics
    /// If the operand has not this number of rows of this layer.
    #[inline(always)]
    pub(crate) fn check_rows(&self, operand: &Operand, rows: usize) {
        assert!(operand.0.len() >= self.operand_len(rows), "an operand of less than {rows} rows");
    }

    /// Writes rows `[N, inputs]` to the operand, from its first row on.
    ///
    /// # Panics
    /// If the operand has fewer rows.
    #[inline(always)]
    pub(crate) fn put_rows<S: Simd>(&self, s: S, operand: &mut Operand, rows: &[f32]) {
        let rows = rows.chunks_exact(self.inputs);
        self.check_rows(operand, rows.len());
        let mut last = [0.0; LANES];
        for (row, values) in rows.enumerate() {
            let (vectors, rest) = values.as_chunks();
            for (i, x) in vectors.iter().enumerate() {
                // SAFETY: the operand has the row, and the layer the channels of a row.
                unsafe { self.put(s, operand, row, i * LANES, s.load(x)) };
            }
            if !rest.is_empty() {
                last.iter_mut().zip(rest).for_each(|(to, x)| *to = *x);
                // SAFETY: the operand has the row, which is padded to whole `LANES`.
                unsafe { self.put(s, operand, row, vectors.len() * LANES, s.load(&last)) };
            }
        }
    }

    /// [`Packed::put_rows`] of rows that are `stride` values apart, with inputs in whole [`LANES`].
    ///
    /// # Panics
    /// If the operand has fewer rows, or `stride` is less than the layer's inputs.
    #[inline(always)]
    pub(crate) fn put_strided<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        (rows, stride): (&[f32], usize),
    ) {
        assert!(self.inputs.is_multiple_of(LANES), "{} inputs", self.inputs);
        let rows = rows.chunks_exact(stride);
        self.check_rows(operand, rows.len());
        for (row, values) in rows.enumerate() {
            for (i, x) in values[..self.inputs].as_chunks().0.iter().enumerate() {
                // SAFETY: the operand has the row, and the layer the channels of a row.
                unsafe { self.put(s, operand, row, i * LANES, s.load(x)) };
            }
        }
    }

    /// Writes the sums of rows `[N, inputs]` and `added` to the operand, from its first row on.
    ///
    /// # Panics
    /// If the operand has fewer rows, `added` has another length than `rows`, or inputs are not in
    /// whole [`LANES`].
    #[inline(always)]
    pub(crate) fn put_sums<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        (rows, added): (&[f32], &[f32]),
    ) {
        assert_eq!(rows.len(), added.len(), "rows and what is added to them");
        assert!(self.inputs.is_multiple_of(LANES), "{} inputs", self.inputs);
        let rows = rows.chunks_exact(self.inputs).zip(added.chunks_exact(self.inputs));
        self.check_rows(operand, rows.len());
        for (row, (values, added)) in rows.enumerate() {
            let vectors = values.as_chunks().0.iter().zip(added.as_chunks().0);
            for (i, (x, added)) in vectors.enumerate() {
                let x = s.add(s.load(x), s.load(added));
                // SAFETY: the operand has the row, and the layer the channels of a row.
                unsafe { self.put(s, operand, row, i * LANES, x) };
            }
        }
    }

    /// Writes normalized rows `[N, inputs]` to the operand, from its row `first` on.
    ///
    /// # Panics
    /// If the operand has fewer rows, or `norm` not the channels of the layer.
    #[inline(always)]
    pub(crate) fn put_normed<S: Simd>(
        &self,
        s: S,
        (operand, first): (&mut Operand, usize),
        norm: &Norm,
        rows: &[f32],
    ) {
        assert_eq!(norm.channels(), self.inputs, "channels of the norm");
        let rows = rows.chunks_exact(self.inputs);
        self.check_rows(operand, first + rows.len());
        for (row, values) in rows.enumerate() {
            norm.forward(
                s,
                values,
                // SAFETY: the operand has the row, and the layer the channels of the norm.
                #[inline(always)]
                |channel, x| unsafe { self.put(s, operand, first + row, channel, x) },
            );
        }
    }

    /// Writes rows `[N, inputs]`, normalized and with GELU, to the operand, from its first row on.
    ///
    /// # Panics
    /// If the operand has fewer rows, or `norm` not the channels of the layer.
    #[inline(always)]
    pub(crate) fn put_normed_gelu<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        norm: &Norm,
        rows: &[f32],
    ) {
        assert_eq!(norm.channels(), self.inputs, "channels of the norm");
        let rows = rows.chunks_exact(self.inputs);
        self.check_rows(operand, rows.len());
        for (row, values) in rows.enumerate() {
            norm.forward(
                s,
                values,
                // SAFETY: the operand has the row, and the layer the channels of the norm.
                #[inline(always)]
                |channel, x| unsafe { self.put(s, operand, row, channel, self.gelu(s, x)) },
            );
        }
    }

    /// Writes a vector of values into a row of the operand, from `channel` on.
    ///
    /// # Safety
    /// The operand has this row ([`Packed::check_rows`]). `channel` is a multiple of [`LANES`] and
    /// less than the layer's padded inputs.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        row: usize,
        channel: usize,
        x: S::F,
    ) {
        let at = row * padded(self.inputs) + channel;
        // SAFETY: by this function's contract `at` is the first of `LANES` values of the operand.
        unsafe { self.put_at(s, operand.0.as_mut_ptr(), at, channel, x) }
    }

    /// Writes a vector of values of the channels from `channel` on, at the index `at` of an
    /// operand in memory that this thread shares.
    ///
    /// # Safety
    /// The memory has room for `at + LANES` values of the operand, and no other thread accesses
    /// those that are written. `channel` is a multiple of [`LANES`] and less than the layer's
    /// padded inputs.
    #[inline(always)]
    pub(crate) unsafe fn put_at<S: Simd>(
        &self,
        s: S,
        operand: *mut f32,
        at: usize,
        channel: usize,
        x: S::F,
    ) {
        // SAFETY: by this function's contract there is room in the operand; vectors of one value
        // for each input have the padded length (`int8`).
        unsafe {
            match &self.arithmetic {
                Arithmetic::Int8 { inverse_scale, zero_point, .. } => {
                    let inverse_scale = s.load_ptr(inverse_scale.as_ptr().add(channel));
                    let zero_point = s.load_ptr(zero_point.as_ptr().add(channel));
                    let x = s.mul_add(x, inverse_scale, zero_point);
                    s.store_int8(&mut *operand.cast::<S::Int8>().add(at).cast(), x);
                }
                Arithmetic::Float { .. } => s.store_ptr(operand.add(at), x),
            }
        }
    }

    /// Pointer to the value `at` of an operand in memory that this thread shares.
    ///
    /// # Safety
    /// The memory has room for at least `at` values of the operand.
    #[inline(always)]
    pub(crate) unsafe fn value_at<S: Simd>(&self, operand: *const f32, at: usize) -> *const f32 {
        // SAFETY: by this function's contract the pointer stays within the memory or at its end.
        unsafe {
            match self.arithmetic {
                Arithmetic::Int8 { .. } => operand.cast::<S::Int8>().add(at).cast(),
                Arithmetic::Float { .. } => operand.add(at),
            }
        }
    }

    /// Writes a vector of values in the fixed point of [`Packed::fixed_gelu`] into a row of the
    /// operand, from `channel` on. Does nothing without `fixed_gelu`.
    ///
    /// # Safety
    /// As [`Packed::put`].
    #[inline(always)]
    pub(crate) unsafe fn put_fixed<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        row: usize,
        channel: usize,
        x: S::H,
    ) {
        let Arithmetic::Int8 { gelu: Some(gelu), .. } = &self.arithmetic else { return };
        let at = row * padded(self.inputs) + channel;
        // SAFETY: by this function's contract `at` is the first of `LANES` values of the operand,
        // and `channel` of `LANES` zero points, which have the padded length (`int8`).
        unsafe {
            let zero_point = s.fixed_load(&*gelu.1.as_ptr().add(channel).cast());
            let to = operand.0.as_mut_ptr().cast::<S::Int8>().add(at);
            s.fixed_store_int8::<FRACTION>(&mut *to.cast(), s.fixed_add(x, zero_point));
        }
    }
}
