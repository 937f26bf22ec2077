//! Quantization of queries, keys and values while they are used.

use super::MIN_RANGE;
use crate::quantize::S8_MAX;
use crate::simd::{LANES, Simd};

/// Scale of a query or key: its largest magnitude becomes 127.
#[inline(always)]
pub(super) fn row_scale<S: Simd>(s: S, row: &[f32]) -> f32 {
    let mut largest = s.splat(MIN_RANGE);
    for x in row.as_chunks().0 {
        largest = s.max(largest, s.abs(s.load(x)));
    }
    s.max_lane(largest) / S8_MAX
}

/// Quantizes a query of whole [`LANES`] channels.
///
/// # Safety
/// `to` points to as many int8 values as the query has channels.
#[inline(always)]
pub(super) unsafe fn put_query<S: Simd>(s: S, to: *mut S::Int8, query: &[f32], scale: f32) {
    let inverse_scale = s.splat(1.0 / scale);
    for (i, x) in query.as_chunks().0.iter().enumerate() {
        // SAFETY: by this function's contract there is room for `LANES` values of each vector.
        let to = unsafe { &mut *to.add(i * LANES).cast() };
        s.store_int8(to, s.mul(s.load(x), inverse_scale));
    }
}

/// Quantizes the key number `at` into the keys of its head, which are packed as weights of a layer
/// whose outputs are the keys. `starts` are the first summands of products with them.
///
/// # Panics
/// If there is no room for the key.
#[inline(always)]
pub(super) fn put_key<S: Simd>(
    s: S,
    (keys, starts): (&mut [i8], &mut [i32]),
    at: usize,
    key: &[f32],
    scale: f32,
) {
    let depth = key.len();
    let vector = at / LANES * LANES * depth;
    assert!(vector + LANES * depth <= keys.len() && at < starts.len(), "key {at} of {depth}");
    let inverse_scale = s.splat(1.0 / scale);
    let mut bytes = [0_i8; LANES];
    for (i, x) in key.as_chunks::<LANES>().0.iter().enumerate() {
        s.store_i8(&mut bytes, s.mul(s.load(x), inverse_scale));
        if S::OFFSET != 0 {
            let sum: i32 = bytes.iter().map(|byte| i32::from(*byte)).sum();
            starts[at] -= S::OFFSET * sum;
        }
        // SAFETY: groups are less than `depth / GROUP`, and `at % LANES` than `LANES`: all lie
        // within the `LANES * depth` bytes of the key's vector, which were checked.
        unsafe {
            let keys = keys.as_mut_ptr().add(vector + at % LANES * S::GROUP);
            for (group, byte) in bytes.chunks_exact(S::GROUP).enumerate() {
                let at = (i * LANES / S::GROUP + group) * LANES * S::GROUP;
                keys.add(at).copy_from_nonoverlapping(byte.as_ptr(), S::GROUP);
            }
        }
    }
}

/// Puts [`LANES`] channels of the value number `at`, in units of their scales, into `values`,
/// which are packed as weights of a layer whose inputs are the values. `starts` are the first
/// summands of products with them.
///
/// # Panics
/// If there is no room for the value.
#[inline(always)]
pub(super) fn put_value<S: Simd>(
    s: S,
    (values, starts): (&mut [i8], &mut [i32; LANES]),
    at: usize,
    x: S::F,
) {
    // All outputs of a group of inputs lie together.
    let group = at / S::GROUP * LANES * S::GROUP;
    assert!(group + LANES * S::GROUP <= values.len(), "value {at}");
    let mut bytes = [0_i8; LANES];
    s.store_i8(&mut bytes, x);
    // SAFETY: lanes are less than `LANES`, and `at % GROUP` than `GROUP`: all lie within the
    // `LANES * GROUP` bytes of the group, which were checked.
    unsafe {
        let values = values.as_mut_ptr().add(group + at % S::GROUP);
        for (lane, byte) in bytes.iter().enumerate() {
            *values.add(lane * S::GROUP) = *byte;
            if S::OFFSET != 0 {
                starts[lane] -= S::OFFSET * i32::from(*byte);
            }
        }
    }
}
