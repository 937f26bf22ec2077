//! Memory for what lives as long as a part of a block.

/// Memory that is handed out from the start again and again.
#[derive(Default)]
pub struct Scratch(Vec<Line>);

/// A cache line: what parts of the memory start at.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "seen through pointers only")] [u8; 64]);

impl Scratch {
    /// Makes sure that there are so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(64);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0; 64]));
        }
    }

    /// Hands out parts from the start.
    ///
    /// # Panics
    /// If there are not so many bytes.
    pub(crate) fn parts<const N: usize>(&mut self, bytes: [usize; N]) -> [*mut u8; N] {
        let total: usize = bytes.iter().map(|bytes| bytes.next_multiple_of(64)).sum();
        assert!(
            total <= self.0.len() * 64,
            "{total} bytes of scratch, {} there",
            self.0.len() * 64
        );
        let mut at: *mut u8 = self.0.as_mut_ptr().cast();
        bytes.map(|bytes| {
            let part = at;
            // SAFETY: the sum of all is within the memory.
            at = unsafe { at.add(bytes.next_multiple_of(64)) };
            part
        })
    }
}

/// What [`Scratch::parts`] needs for parts of so many bytes.
pub(crate) fn total<const N: usize>(bytes: [usize; N]) -> usize {
    bytes.iter().map(|bytes| bytes.next_multiple_of(64)).sum()
}
