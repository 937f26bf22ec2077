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

    /// Writes a row of the operand.
    ///
    /// # Panics
    /// If there is no such row, or `values` are not as many as the layer's inputs.
    #[inline(always)]
    pub(crate) fn put_row<S: Simd>(&self, s: S, operand: &mut Operand, row: usize, values: &[f32]) {
        self.check_rows(operand, row + 1);
        assert_eq!(values.len(), self.inputs, "values of a row");
        let (vectors, rest) = values.as_chunks();
        for (i, x) in vectors.iter().enumerate() {
            // SAFETY: the operand has the row, and the row this vector.
            unsafe { self.put(s, operand, row, i * LANES, s.load(x)) };
        }
        if !rest.is_empty() {
            let mut last = [0.0; LANES];
            last[..rest.len()].copy_from_slice(rest);
            // SAFETY: the operand has the row, which is padded to whole vectors.
            unsafe { self.put(s, operand, row, vectors.len() * LANES, s.load(&last)) };
        }
    }

    /// Writes the sum of two rows, of whole [`LANES`], as a row of the operand.
    ///
    /// # Panics
    /// If there is no such row, or `values` or `added` are not as many as the layer's inputs.
    #[inline(always)]
    pub(crate) fn put_sum<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        row: usize,
        (values, added): (&[f32], &[f32]),
    ) {
        self.check_rows(operand, row + 1);
        assert!(self.inputs.is_multiple_of(LANES), "{} inputs", self.inputs);
        assert_eq!([values.len(), added.len()], [self.inputs; 2], "values of rows");
        for (i, (x, added)) in values.as_chunks().0.iter().zip(added.as_chunks().0).enumerate() {
            // SAFETY: the operand has the row, and the row this vector.
            unsafe { self.put(s, operand, row, i * LANES, s.add(s.load(x), s.load(added))) };
        }
    }

    /// Writes a normalized row as a row of the operand.
    ///
    /// # Panics
    /// If there is no such row, or `norm` or `values` do not fit the layer's inputs.
    #[inline(always)]
    pub(crate) fn put_normed<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        row: usize,
        (norm, values): (&Norm, &[f32]),
    ) {
        self.check_rows(operand, row + 1);
        assert_eq!(norm.channels(), self.inputs, "channels of the norm");
        norm.forward(
            s,
            values,
            // SAFETY: the operand has the row, and the norm the channels of the layer.
            #[inline(always)]
            |channel, x| unsafe { self.put(s, operand, row, channel, x) },
        );
    }

    /// [`Packed::put_normed`] with GELU after the norm.
    ///
    /// # Panics
    /// As [`Packed::put_normed`].
    #[inline(always)]
    pub(crate) fn put_normed_gelu<S: Simd>(
        &self,
        s: S,
        operand: &mut Operand,
        row: usize,
        (norm, values): (&Norm, &[f32]),
    ) {
        self.check_rows(operand, row + 1);
        assert_eq!(norm.channels(), self.inputs, "channels of the norm");
        norm.forward(
            s,
            values,
            // SAFETY: the operand has the row, and the norm the channels of the layer.
            #[inline(always)]
            |channel, x| unsafe { self.put(s, operand, row, channel, self.gelu(s, x)) },
        );
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
    /// The memory has room for `at` values of the operand, at least.
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
