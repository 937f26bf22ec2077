//! TinyViT's block: attention in windows, a depthwise convolution over the map, an MLP.

mod layers;
mod tokens;
mod window;

use crate::block::{Block, Map, Maps, Side};
use crate::output::{SharedOutput, Strips};
use crate::pool::Pool;
use crate::scratch::Slices;
use tokens::{TOKENS, TokenScratch, Tokens};
use window::{Window, WindowScratch};

pub use layers::{TinyVitBlock, TinyVitLayers};

impl Block for TinyVitBlock {
    fn channels(&self) -> usize {
        self.norm.channels()
    }

    fn output(&self, input: Map) -> Map {
        input
    }

    fn scratch_bytes(&self) -> usize {
        let window = Slices::bytes(|slices| WindowScratch::new(self, slices));
        window.max(Slices::bytes(|slices| TokenScratch::new(self, slices)))
    }

    fn between_len(&self, input: Map) -> usize {
        input.len()
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        let Maps { input, output, between } = Maps::new(self, map, input, output, between);
        if map.is_empty() {
            return;
        }
        let Map { height, width, channels } = map;
        let across = width.div_ceil(self.window);
        let attended = SharedOutput::new(between);
        pool.run(across * height.div_ceil(self.window), &|part, scratch| {
            let (top, left) = (part / across * self.window, part % across * self.window);
            let until = |start: usize, end: usize| start..(start + self.window).min(end);
            self.isa.run(Window {
                block: self,
                input,
                output: attended,
                width,
                rows: until(top, height),
                columns: until(left, width),
                scratch,
            });
        });
        let attended = &*between;
        let side = Side { height, width };
        let strips = Strips::new(height, width, TOKENS);
        strips.run(pool, output, channels, |strip, output, scratch| {
            self.isa.run(Tokens { block: self, input: attended, side, strip, output, scratch });
        });
    }
}
