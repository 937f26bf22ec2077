//! The prompts of an object: the one in force, earlier ones, and undone ones.

use medsa_sam::PromptError;
use medsa_sam::prompt::Prompt;

use super::places::carry;
use crate::follow::Motion;

/// Number of prompts kept for undo.
const HISTORY: usize = 32;

/// Prompts in pixels of the newest frame, which move with the image. `None` stands for a removed
/// prompt.
#[derive(Clone)]
pub(super) struct Prompts {
    /// The last is in force. Never empty.
    history: Vec<Option<Prompt>>,
    /// Undone prompts, the last of which was undone last.
    undone: Vec<Option<Prompt>>,
}

/// Position of the prompt in force after a motion.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// Within the frame, or there is none.
    Inside,
    /// Outside. The prompt stays where it was last inside.
    Left,
}

impl Prompts {
    /// The first prompt. Undoing it removes it.
    pub fn new(first: Prompt) -> Self {
        Self { history: vec![None, Some(first)], undone: Vec::new() }
    }

    /// The prompt in force.
    pub fn current(&self) -> Option<&Prompt> {
        self.history.last()?.as_ref()
    }

    /// Puts another prompt in force.
    pub fn push(&mut self, prompt: Option<Prompt>) {
        if self.history.len() == HISTORY {
            self.history.remove(0);
        }
        self.history.push(prompt);
        self.undone.clear();
    }

    /// Undoes the last change; false if none is left.
    pub fn undo(&mut self) -> bool {
        let possible = self.history.len() > 1;
        if possible {
            self.undone.extend(self.history.pop());
        }
        possible
    }

    /// Makes the last undone change again; false if there was another change since.
    pub fn redo(&mut self) -> bool {
        let undone = self.undone.pop();
        let possible = undone.is_some();
        self.history.extend(undone);
        possible
    }

    /// Keeps only prompts that fit frames of `size` = (width, height).
    ///
    /// # Errors
    /// The reason why the prompt in force does not fit; nothing is changed.
    pub fn fit(&mut self, size: (usize, usize)) -> Result<(), PromptError> {
        let fitted = |prompt: &Option<Prompt>| match prompt {
            Some(p) => Prompt::new(p.points().to_vec(), p.bbox(), size).map(drop),
            None => Ok(()),
        };
        self.history.last().map_or(Ok(()), fitted)?;
        self.history.retain(|prompt| fitted(prompt).is_ok());
        self.undone.retain(|prompt| fitted(prompt).is_ok());
        Ok(())
    }

    /// Moves all prompts with a frame of `size` = (width, height). Drops those that leave it, except
    /// the one in force.
    pub fn carry(&mut self, motion: &Motion, size: (usize, usize)) -> Carried {
        let carried = |prompt: &Option<Prompt>| match prompt {
            Some(prompt) => carry(prompt, motion, size).map(Some),
            None => Some(None),
        };
        let Some(in_force) = self.history.pop() else { return Carried::Inside };
        self.history = self.history.iter().filter_map(carried).collect();
        self.undone = self.undone.iter().filter_map(carried).collect();
        let moved = carried(&in_force);
        let position = if moved.is_some() { Carried::Inside } else { Carried::Left };
        self.history.push(moved.unwrap_or(in_force));
        position
    }

    /// Replaces the prompt in force by `moved` of it, if there is one. This is no change to undo.
    pub fn relocate(&mut self, moved: impl FnOnce(&Prompt) -> Option<Prompt>) {
        if let Some(Some(last)) = self.history.last_mut()
            && let Some(moved) = moved(last)
        {
            *last = moved;
        }
    }
}

#[cfg(test)]
mod tests {
    use medsa_sam::prompt::Point;

    use super::*;

    const FRAME: (usize, usize) = (320, 240);

    fn click(x: f32, y: f32) -> Prompt {
        Prompt::new(vec![Point { x, y, positive: true }], None, FRAME).unwrap()
    }

    #[test]
    fn undo_and_redo_restore_prompts_at_the_moved_position() {
        let mut prompts = Prompts::new(click(100.0, 100.0));
        prompts.push(Some(click(110.0, 100.0)));
        let down = |prompts: &mut Prompts| {
            assert_eq!(prompts.carry(&Motion::shift([0.0, 7.0]), FRAME), Carried::Inside);
        };
        down(&mut prompts);
        assert!(prompts.undo());
        assert_eq!(prompts.current(), Some(&click(100.0, 107.0)));
        assert!(prompts.undo());
        assert_eq!(prompts.current(), None);
        assert!(!prompts.undo());
        down(&mut prompts);
        assert!(prompts.redo());
        assert_eq!(prompts.current(), Some(&click(100.0, 114.0)));
        assert!(prompts.redo());
        assert_eq!(prompts.current(), Some(&click(110.0, 114.0)));
        assert!(!prompts.redo());
        // A removed prompt moves on, too.
        prompts.push(None);
        down(&mut prompts);
        assert!(prompts.undo());
        assert_eq!(prompts.current(), Some(&click(110.0, 121.0)));
        // After another change, an undone one cannot be made again.
        assert!(prompts.undo());
        prompts.push(Some(click(50.0, 50.0)));
        assert!(!prompts.redo());
        assert_eq!(prompts.current(), Some(&click(50.0, 50.0)));
    }

    #[test]
    fn prompt_in_force_stays_when_it_leaves_the_frame() {
        let mut prompts = Prompts::new(click(300.0, 100.0));
        prompts.push(Some(click(310.0, 100.0)));
        assert_eq!(prompts.carry(&Motion::shift([30.0, 0.0]), FRAME), Carried::Left);
        assert_eq!(prompts.current(), Some(&click(310.0, 100.0)));
        // The earlier one is gone; what is left to undo is that there was none.
        assert!(prompts.undo());
        assert_eq!(prompts.current(), None);
    }
}
