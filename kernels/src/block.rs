//! The interface of blocks that compute maps from maps.

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
    /// Number of values; `usize::MAX` if a `usize` cannot hold it. No slice is that long.
    pub fn len(self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }

    /// True for a map without values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A block that computes a map from a map.
pub trait Block: Send + Sync {
    /// Channels of its input.
    fn channels(&self) -> usize;

    /// Shape of the output for an input of this shape.
    fn output(&self, input: Map) -> Map;

    /// Bytes of scratch memory that each thread needs ([`Pool::reserve`]).
    fn scratch_bytes(&self) -> usize;

    /// Number of values that [`Block::run`] keeps in `between`, from the first half of the block
    /// to the second.
    fn between_len(&self, _input: Map) -> usize {
        0
    }

    /// Computes `output` from `input` `[H, W, C]`. Slices may be longer than needed. An empty map
    /// has an empty output.
    ///
    /// # Panics
    /// If `map` has other channels than the block, a slice is shorter than the shapes say, or less
    /// scratch memory was reserved than [`Block::scratch_bytes`].
    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]);
}

/// Height and width of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub height: usize,
    pub width: usize,
}

/// The slices of [`Block::run`], each as long as the shapes say.
pub(crate) struct Maps<'a> {
    pub input: &'a [f32],
    pub output: &'a mut [f32],
    pub between: &'a mut [f32],
}

impl<'a> Maps<'a> {
    /// # Panics
    /// If `map` has other channels than the block, or a slice is shorter than the shapes say.
    pub(crate) fn new(
        block: &impl Block,
        map: Map,
        input: &'a [f32],
        output: &'a mut [f32],
        between: &'a mut [f32],
    ) -> Self {
        assert_eq!(map.channels, block.channels(), "channels of the map and of the block");
        let needed = [map.len(), block.output(map).len(), block.between_len(map)];
        let found = [input.len(), output.len(), between.len()];
        assert!(
            found.iter().zip(needed).all(|(found, needed)| *found >= needed),
            "input, output and between have {found:?} values, {needed:?} needed"
        );
        Self {
            input: &input[..needed[0]],
            output: &mut output[..needed[1]],
            between: &mut between[..needed[2]],
        }
    }
}
