//! Prompts for training and evaluation, made from masks: clicks, boxes, corrections.
//!
//! Masks are `[H, W]` in whatever pixel grid the caller uses, and prompts are in the same pixels,
//! for `medsa_sam::prompt::Prompt`. A click on pixel (row, column) has `x = column`, `y = row`:
//! coordinates name the middles of pixels, and SAM's prompt encoder adds the half pixel itself.
//! (`Geometry::to_input` multiplies by the scale without that half, as SAM does; at half the size
//! a click so lands a quarter of an input pixel off.) The edges of a box lie between pixels: one
//! that covers columns 3 to 5 goes from `x0 = 3` to `x1 = 6`.
//!
//! The settings are those of the paper's training and evaluation, and besides a central click and
//! clicks on errors, which are the same every time.

mod boxes;
mod clicks;
mod mix;
mod plan;

pub use boxes::{jittered_box, tight_box};
pub use clicks::{central_click, error_click, random_click};
pub use mix::{MixError, PromptMix};
pub use plan::{BoxPlan, FirstClicks, PromptKind, PromptPlan, Prompting};
