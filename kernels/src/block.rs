//! What all blocks have in common.

use std::marker::PhantomData;

use crate::pool::Pool;

/// Shape of a map `[H, W, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
    /// C.
    pub channels: usize,
}

impl Map {
    /// Values.
    pub fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether it has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A block that turns maps into maps.
pub trait Block: Send + Sync {
    /// Channels of its input.
    fn channels(&self) -> usize;

    /// The shape of what it gives.
    fn output(&self, input: Map) -> Map;

    /// Memory that each thread needs.
    fn scratch_bytes(&self) -> usize;

    /// Values between its two halves, if it has such.
    fn between(&self, _input: Map) -> usize {
        0
    }

    /// Computes it.
    ///
    /// # Panics
    /// If slices are shorter than the shapes say, or the pool has less scratch memory.
    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]);
}

#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub height: usize,
    pub width: usize,
}

/// A slice that threads fill together, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    start: *mut f32,
    len: usize,
    of: PhantomData<&'a mut [f32]>,
}

// SAFETY: `at` is where each use says that no other thread has its part.
unsafe impl Send for Output<'_> {}
// SAFETY: likewise.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(crate) fn new(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), of: PhantomData }
    }

    /// # Safety
    /// What is written from there on belongs to no other thread.
    #[inline(always)]
    pub(crate) unsafe fn at(self, index: usize) -> *mut f32 {
        debug_assert!(index <= self.len, "{index} of {}", self.len);
        // SAFETY: the caller's.
        unsafe { self.start.add(index) }
    }
}
