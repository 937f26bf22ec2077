//! Blocks computed in sequence.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use medsa_kernels::{Block, Map, Pool};

use super::operator::{Operation, Shape};

/// A sequence of blocks; each takes the map of the previous one.
pub struct Chain {
    blocks: Vec<Box<dyn Block>>,
    pool: Arc<Pool>,
    /// Maps between blocks, and between the halves of a block.
    buffers: Mutex<[Vec<f32>; 3]>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} fused blocks", self.blocks.len())
    }
}

impl Chain {
    pub(super) fn new(blocks: Vec<Box<dyn Block>>, pool: Arc<Pool>) -> Self {
        Self { blocks, pool, buffers: Mutex::default() }
    }

    fn compute(&self, mut map: Map, input: &[f32], output: &mut [f32]) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let [from, to, between] = &mut *buffers;
        let last = self.blocks.len() - 1;
        for (i, block) in self.blocks.iter().enumerate() {
            let next = block.output(map);
            let input = if i == 0 { input } else { &from[..map.len()] };
            let output = if i == last { &mut *output } else { &mut to[..next.len()] };
            block.run(&self.pool, map, input, output, between);
            std::mem::swap(from, to);
            map = next;
        }
    }
}

impl Operation for Chain {
    fn inputs(&self) -> usize {
        1
    }

    fn outputs(&self, shapes: &[&[usize]]) -> Option<Vec<Shape>> {
        let mut map = map_of(shapes[0])?;
        for block in &self.blocks {
            if block.channels() != map.channels || map.is_empty() {
                return None;
            }
            map = block.output(map);
        }
        Some(vec![vec![1, map.height, map.width, map.channels]])
    }

    fn reserve(&self, shapes: &[&[usize]]) {
        let most = self.blocks.iter().map(|block| block.scratch_bytes()).max();
        self.pool.reserve(most.unwrap_or_default());
        let Some(mut map) = map_of(shapes[0]) else { return };
        let [mut maps, mut halves] = [0, 0];
        for (i, block) in self.blocks.iter().enumerate() {
            halves = halves.max(block.between_len(map));
            map = block.output(map);
            if i + 1 < self.blocks.len() {
                maps = maps.max(map.len());
            }
        }
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        for (buffer, len) in buffers.iter_mut().zip([maps, maps, halves]) {
            buffer.resize(len, 0.0);
        }
    }

    fn run(&self, shapes: &[&[usize]], inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        // Invariant: `outputs` accepted the same shapes.
        if let Some(map) = map_of(shapes[0]) {
            self.compute(map, inputs[0], outputs[0]);
        }
    }
}

fn map_of(shape: &[usize]) -> Option<Map> {
    let [1, height, width, channels] = *shape else { return None };
    Some(Map { height, width, channels })
}
