//! Prompts for training and evaluation, made from masks: clicks, boxes and corrections.
//!
//! Masks are `[H, W]` in any pixel grid, and prompts are in the same pixels, for
//! `medsa_sam::prompt::Prompt`. A click on pixel (row, column) has `x = column`, `y = row`:
//! coordinates name the centres of pixels, and SAM's prompt encoder adds the half pixel itself.
//! (`Geometry::to_input` scales without that half, as SAM does; so at half the size a click is a
//! quarter of an input pixel off.) The edges of a box lie between pixels: a box that covers columns
//! 3 to 5 goes from `x0 = 3` to `x1 = 6`.
//!
//! The kinds of prompts are those of the paper's training and evaluation, plus a central click and
//! clicks on errors, which are deterministic.

mod boxes;
mod clicks;
mod mix;
mod plan;

pub use boxes::{jittered_box, tight_box};
pub use clicks::{central_click, error_click, random_click};
pub use mix::{MixError, PromptMix};
pub use plan::{BoxPlan, FirstClicks, PromptKind, PromptPlan, Prompting};
