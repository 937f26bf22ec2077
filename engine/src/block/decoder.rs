//! Blocks of the mask decoder.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use medsa_kernels::{
    FinalAttention, MaskHead, MaskMemory, MaskPrompt, Pool, Prompt, TwoWayBlock, TwoWayInput,
    TwoWayMemory,
};

use medsa_sam::prompt::label;

use super::operator::{Operation, Shape};

/// Two-way block. Inputs: tokens, image, positions of both, a bias of the tokens, the prompt's
/// tokens and their labels. Outputs: tokens and image.
pub(super) struct TwoWay {
    pub block: TwoWayBlock,
    pub pool: Arc<Pool>,
    pub memory: Mutex<(TwoWayMemory, Vec<bool>)>,
}

/// Attention after the last block. Inputs: tokens, image and positions of both. Output: tokens.
pub(super) struct Final {
    pub attention: FinalAttention,
    pub pool: Arc<Pool>,
    pub memory: Mutex<TwoWayMemory>,
}

/// Mask prompt. Inputs: a mask's logits, and 1 if there is a mask. Output: an embedding.
pub(super) struct Prompted {
    pub prompt: MaskPrompt,
    pub pool: Arc<Pool>,
}

/// Mask head. Inputs: tokens and image. Output: mask logits.
pub(super) struct Head {
    pub head: MaskHead,
    /// Height and width of the image.
    pub side: [usize; 2],
    pub pool: Arc<Pool>,
    pub memory: Mutex<MaskMemory>,
}

impl fmt::Debug for TwoWay {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("two-way block")
    }
}

impl fmt::Debug for Final {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("final attention")
    }
}

impl fmt::Debug for Prompted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("mask prompt")
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("mask head")
    }
}

/// Numbers of tokens and of positions; `None` if an input does not have `channels` channels.
fn counts(shapes: &[&[usize]], channels: usize) -> Option<[usize; 2]> {
    let [[1, tokens, c0], [1, positions, c1], [1, n, c2], [1, m, c3]] = shapes[..4] else {
        return None;
    };
    let fits = [*c0, *c1, *c2, *c3] == [channels; 4] && n == tokens && m == positions;
    fits.then_some([*tokens, *positions])
}

impl Operation for TwoWay {
    fn inputs(&self) -> usize {
        7
    }

    fn outputs_count(&self) -> usize {
        2
    }

    fn outputs(&self, shapes: &[&[usize]]) -> Option<Vec<Shape>> {
        let channels = self.block.channels();
        let [tokens, positions] = counts(shapes, channels)?;
        let values = |shape: &[usize]| shape.iter().product::<usize>();
        let [bias, prompt, labels] = [4, 5, 6].map(|input| values(shapes[input]));
        if bias != tokens || labels.checked_mul(channels) != Some(prompt) {
            return None;
        }
        Some(vec![vec![1, tokens, channels], vec![1, positions, channels]])
    }

    fn reserve(&self, shapes: &[&[usize]]) {
        self.pool.reserve(self.block.scratch_bytes(shapes[0][1], shapes[1][1]));
    }

    fn run(&self, _: &[&[usize]], inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let [tokens, image, token_positions, image_positions, token_bias, prompt, labels] =
            inputs[..]
        else {
            unreachable!("it has seven inputs")
        };
        let input = TwoWayInput { tokens, image, token_positions, image_positions };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (memory, is_place) = &mut *memory;
        is_place.clear();
        let empty = [label::NOT_A_POINT, label::UNUSED];
        is_place.extend(labels.iter().map(|label| !empty.contains(label)));
        let prompt = Prompt { tokens: prompt, is_place };
        let [tokens, image] = outputs else { unreachable!("it has two outputs") };
        self.block.run(&self.pool, input, token_bias, prompt, memory, [tokens, image]);
    }
}

impl Operation for Final {
    fn inputs(&self) -> usize {
        4
    }

    fn outputs(&self, shapes: &[&[usize]]) -> Option<Vec<Shape>> {
        let channels = self.attention.channels();
        let [tokens, _] = counts(shapes, channels)?;
        Some(vec![vec![1, tokens, channels]])
    }

    fn reserve(&self, shapes: &[&[usize]]) {
        self.pool.reserve(self.attention.scratch_bytes(shapes[0][1], shapes[1][1]));
    }

    fn run(&self, _: &[&[usize]], inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let [tokens, image, token_positions, image_positions] = inputs[..] else {
            unreachable!("it has four inputs")
        };
        let input = TwoWayInput { tokens, image, token_positions, image_positions };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        self.attention.run(&self.pool, input, &mut memory, outputs[0]);
    }
}

impl Operation for Prompted {
    fn inputs(&self) -> usize {
        2
    }

    fn outputs(&self, shapes: &[&[usize]]) -> Option<Vec<Shape>> {
        let ([1, 1, height, width], [1]) = (shapes[0], shapes[1]) else { return None };
        let fits = height.is_multiple_of(4) && width.is_multiple_of(4);
        fits.then(|| vec![vec![1, height / 4, width / 4, self.prompt.channels()]])
    }

    fn reserve(&self, _: &[&[usize]]) {
        self.pool.reserve(self.prompt.scratch_bytes());
    }

    fn run(&self, shapes: &[&[usize]], inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let side = [shapes[0][2] / 4, shapes[0][3] / 4];
        // The value is either 0 or 1.
        let mask = (inputs[1][0] != 0.0).then_some(inputs[0]);
        self.prompt.run(&self.pool, mask, side, outputs[0]);
    }
}

impl Operation for Head {
    fn inputs(&self) -> usize {
        2
    }

    fn outputs(&self, shapes: &[&[usize]]) -> Option<Vec<Shape>> {
        let ([1, tokens, c0], [1, positions, c1]) = (shapes[0], shapes[1]) else { return None };
        let [height, width] = self.side;
        let masks = self.head.masks();
        let fits = [*c0, *c1] == [self.head.channels(); 2]
            && *tokens > masks
            && height.checked_mul(width) == Some(*positions);
        fits.then(|| vec![vec![1, masks, 4 * height, 4 * width]])
    }

    fn reserve(&self, _: &[&[usize]]) {
        self.pool.reserve(self.head.scratch_bytes());
    }

    fn run(&self, _: &[&[usize]], inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let [tokens, image] = inputs[..] else { unreachable!("it has two inputs") };
        self.head.run(&self.pool, (tokens, image), self.side, &mut memory, outputs[0]);
    }
}
