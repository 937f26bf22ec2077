//! Memory of a thread for intermediate results.

/// Memory that is reused for every part of every block.
#[derive(Default)]
pub(crate) struct Scratch(Vec<Line>);

/// A cache line; each slice in scratch memory starts at one.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "accessed through slices of numbers")] [u8; LINE]);

const LINE: usize = 64;

impl Scratch {
    /// Provides at least this many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(LINE);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0; LINE]));
        }
    }

    /// The whole memory, to be divided into slices.
    pub(crate) fn slices(&mut self) -> Slices<'_> {
        Slices { memory: Some(&mut self.0), lines: 0 }
    }
}

/// Divides memory into slices of numbers, or counts the memory that they would take.
///
/// A block names its slices in a struct, which a function fills by [`Slices::take`]. With
/// [`Slices::bytes`], the same function counts the memory it needs.
pub(crate) struct Slices<'a> {
    /// The rest; `None` to count only.
    memory: Option<&'a mut [Line]>,
    /// Lines taken so far.
    lines: usize,
}

/// A number or an array of numbers.
///
/// # Safety
/// Every bit pattern is a valid value, and the alignment is at most 64 bytes.
pub(crate) unsafe trait Number: Copy + 'static {}

// SAFETY: every bit pattern is a valid byte.
unsafe impl Number for i8 {}
// SAFETY: every bit pattern is a valid integer.
unsafe impl Number for i16 {}
// SAFETY: every bit pattern is a valid integer.
unsafe impl Number for i32 {}
// SAFETY: every bit pattern is a valid float.
unsafe impl Number for f32 {}
// SAFETY: an array consists of its elements and has their alignment.
unsafe impl<T: Number, const N: usize> Number for [T; N] {}

impl<'a> Slices<'a> {
    /// Bytes that `take` takes. The slices that it gets are empty.
    pub(crate) fn bytes<T>(take: impl FnOnce(&mut Self) -> T) -> usize {
        let mut counted = Self { memory: None, lines: 0 };
        take(&mut counted);
        counted.lines.saturating_mul(LINE)
    }

    /// The next slice. Its values are those of earlier uses of the memory.
    ///
    /// # Panics
    /// If the memory is too small.
    pub(crate) fn take<T: Number>(&mut self, len: usize) -> &'a mut [T] {
        let lines = len.saturating_mul(size_of::<T>()).div_ceil(LINE);
        self.lines = self.lines.saturating_add(lines);
        let Some(memory) = self.memory.take() else { return &mut [] };
        assert!(
            lines <= memory.len(),
            "{} lines of scratch memory are missing",
            lines - memory.len()
        );
        let (slice, rest) = memory.split_at_mut(lines);
        self.memory = Some(rest);
        // SAFETY: the lines hold at least `len` values, are initialized, aligned for `T` and
        // borrowed for 'a by this slice alone; every bit pattern is a valid `T`.
        unsafe { std::slice::from_raw_parts_mut(slice.as_mut_ptr().cast(), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_do_not_overlap_and_fit_the_counted_bytes() {
        fn take<'a>(slices: &mut Slices<'a>) -> (&'a mut [i8], &'a mut [f32], &'a mut [i16]) {
            (slices.take(65), slices.take(3), slices.take(0))
        }
        let bytes = Slices::bytes(take);
        assert_eq!(bytes, 128 + 64);
        let mut scratch = Scratch::default();
        scratch.reserve(bytes);
        let (bytes, floats, none) = take(&mut scratch.slices());
        bytes.fill(-1);
        floats.fill(2.0);
        assert!(bytes.iter().all(|x| *x == -1) && floats.iter().all(|x| *x == 2.0));
        assert_eq!([bytes.len(), floats.len(), none.len()], [65, 3, 0]);
    }

    #[test]
    fn bytes_of_impossible_sizes_do_not_overflow() {
        let bytes = Slices::bytes(|slices| [slices.take::<f32>(usize::MAX), slices.take(9)]);
        assert_eq!(bytes, usize::MAX);
    }

    #[test]
    #[should_panic(expected = "scratch memory")]
    fn missing_memory_is_a_panic() {
        Scratch::default().slices().take::<f32>(1);
    }
}
