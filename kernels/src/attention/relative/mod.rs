//! Attention among the positions of a square, with decomposed relative positions.
//!
//! Tiles of queries attend to tiles of keys (FlashAttention), so that only a few rows of scores
//! exist at a time.

mod operands;
mod square;
mod tile;
mod workspace;

use crate::block::Side;
use crate::packed::tiles;
use crate::scratch::Slices;
use crate::simd::{LANES, Simd};

use workspace::RelativeWorkspace;

pub(crate) use square::RelativeAttention;

impl RelativeAttention {
    /// Takes memory for one head.
    pub(crate) fn workspace<'a>(&self, slices: &mut Slices<'a>) -> RelativeWorkspace<'a> {
        RelativeWorkspace::new(self, slices)
    }

    /// The attention of one head.
    ///
    /// `position` returns the queries, keys and values `[3, heads, depth]` of a row and column of
    /// the square. Only the positions of `map` are queries; the map begins where the square does.
    /// Calls `each` with [`LANES`] channels of a position at a time, as `(row, column, channel,
    /// values)`.
    ///
    /// # Panics
    /// If there is no such head, the map is larger than the square, or the workspace was taken for
    /// another attention.
    ///
    /// # Safety
    /// `position` returns pointers to `3 * heads * depth` values for all positions of the square.
    /// During the call nothing writes to this head's channels of these values, except that `each`
    /// may write to the queries of the position and channels that it is called with.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        head: usize,
        position: impl Fn(usize, usize) -> *const f32,
        map: Side,
        workspace: &mut RelativeWorkspace,
        mut each: impl FnMut(usize, usize, usize, S::F),
    ) {
        let Self { side, heads, depth, .. } = *self;
        assert!(head < heads && map.height <= side && map.width <= side, "head {head}, {map:?}");
        workspace.check(self);
        let part = |part: usize, row, column| -> &[f32] {
            // SAFETY: `part` is less than 3 and `head` than `heads`, so these are `depth` of the
            // position's values. Queries are not written before they were read for the last time:
            // a tile copies its queries before `each` is called for them.
            unsafe {
                let start = position(row, column).add((part * heads + head) * depth);
                std::slice::from_raw_parts(start, depth)
            }
        };
        let queries = |row, column| part(0, row, column);
        let (keys, values) =
            (|row, column| part(1, row, column), |row, column| part(2, row, column));
        self.prepare(s, keys, values, workspace);
        for top in (0..map.height).step_by(self.query_rows()) {
            let rows = top..(top + self.query_rows()).min(map.height);
            let count = rows.len() * map.width;
            self.take_queries(s, queries, rows, map.width, workspace);
            for first in (0..side).step_by(self.key_rows()) {
                let keys = first..(first + self.key_rows()).min(side);
                tiles!(count, query, R => {
                    // SAFETY: the workspace was checked and holds `count` queries and all keys.
                    unsafe { self.attend::<S, R>(s, query, keys.clone(), workspace) };
                });
            }
            let RelativeWorkspace { sums, attended, .. } = &*workspace;
            let attended = attended.chunks_exact(depth).zip(sums.as_chunks().0);
            for (query, (attended, sum)) in attended.take(count).enumerate() {
                let inverse = s.splat(1.0 / s.sum(s.load(sum)));
                let (row, column) = (top + query / map.width, query % map.width);
                for (i, y) in attended.as_chunks().0.iter().enumerate() {
                    each(row, column, i * LANES, s.mul(s.load(y), inverse));
                }
            }
        }
    }
}
