//! Slices that several threads fill.

use std::marker::PhantomData;
use std::ops::Range;

use crate::pool::Pool;
use crate::scratch::Scratch;

/// A slice that several threads fill, each thread its own elements.
#[derive(Clone, Copy)]
pub(crate) struct SharedOutput<'a> {
    start: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: elements are accessed only through `at` and `part`, whose contracts forbid two threads
// to access the same element.
unsafe impl Send for SharedOutput<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for SharedOutput<'_> {}

impl<'a> SharedOutput<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// Pointer to an element.
    ///
    /// # Safety
    /// `index` is at most the length of the slice. What is accessed through the pointer lies
    /// within the slice, and no other thread accesses it while this one does.
    #[inline(always)]
    pub(crate) unsafe fn at(self, index: usize) -> *mut f32 {
        debug_assert!(index <= self.len, "{index} of {}", self.len);
        // SAFETY: by this function's contract the pointer stays within the slice or at its end.
        unsafe { self.start.add(index) }
    }

    /// A part of the slice.
    ///
    /// # Panics
    /// If the slice is shorter.
    ///
    /// # Safety
    /// Nothing else accesses this part while it is borrowed.
    pub(crate) unsafe fn part(self, range: Range<usize>) -> &'a mut [f32] {
        let Range { start, end } = range;
        assert!(start <= end && end <= self.len, "{start}..{end} of {}", self.len);
        // SAFETY: the range lies within the slice, which is borrowed for 'a; by this function's
        // contract nothing else accesses it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), end - start) }
    }
}

/// The positions of a map, cut into strips: each row into parts of nearly equal width.
#[derive(Clone, Copy)]
pub(crate) struct Strips {
    height: usize,
    width: usize,
    /// Strips of a row.
    across: usize,
}

/// Neighbouring positions of a row.
pub(crate) struct Strip {
    pub row: usize,
    pub columns: Range<usize>,
    /// Index of the first position in the map.
    pub first: usize,
}

impl Strips {
    /// Strips of at most `most` positions.
    pub(crate) fn new(height: usize, width: usize, most: usize) -> Self {
        Self { height, width, across: width.div_ceil(most) }
    }

    fn count(self) -> usize {
        self.height * self.across
    }

    /// Strips of ascending numbers follow each other without gap or overlap.
    fn strip(self, number: usize) -> Strip {
        let (row, part) = (number / self.across, number % self.across);
        let (least, wider) = (self.width / self.across, self.width % self.across);
        let start = |part: usize| part * least + part.min(wider);
        let columns = start(part)..start(part + 1);
        Strip { row, first: row * self.width + columns.start, columns }
    }

    /// Runs `work` for each strip on the threads of `pool`, with the strip's part of `output`
    /// `[H, W, depth]`.
    ///
    /// # Panics
    /// If `output` is shorter, or `work` panics.
    pub(crate) fn run(
        self,
        pool: &Pool,
        output: &mut [f32],
        depth: usize,
        work: impl Fn(Strip, &mut [f32], &mut Scratch) + Sync,
    ) {
        let output = SharedOutput::new(output);
        pool.run(self.count(), &|number, scratch| {
            let strip = self.strip(number);
            let end = strip.first + strip.columns.len();
            // SAFETY: the pool runs each number once, and strips do not overlap.
            let part = unsafe { output.part(strip.first * depth..end * depth) };
            work(strip, part, scratch);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn strips_cover_every_position_once() {
        for (height, width, most) in [(1, 1, 64), (3, 130, 64), (5, 7, 2), (0, 9, 4), (4, 0, 4)] {
            let mut output = vec![0.0; 2 * height * width];
            let pool = Pool::new(NonZeroUsize::MIN);
            Strips::new(height, width, most).run(&pool, &mut output, 2, |strip, part, _| {
                assert!(strip.columns.len() <= most);
                assert_eq!(strip.first, strip.row * width + strip.columns.start);
                part.iter_mut().for_each(|x| *x += 1.0);
            });
            assert!(output.iter().all(|x| *x == 1.0), "{height} {width} {most}");
        }
    }
}
