//! Results of an evaluation, as the log and adapters keep them and as people read them.

use medsa_trainer::metrics::Mean;
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::Row;
use serde::{Deserialize, Serialize};

/// Means of one class and setting; a [`Row`] that can be read again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Name of the class.
    pub class: String,
    /// The setting.
    pub prompt: PromptKind,
    /// Overlap.
    pub dice: Interval,
    /// Intersection over union.
    pub iou: Interval,
    /// Distance of outlines, in pixels of the frame.
    pub hd95_px: Interval,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Values.
    pub count: usize,
}

/// As columns, for terminals.
pub fn text(lines: &[Line]) -> String {
    let mut text = format!(
        "{:16} {:8} {:>4}  {:22} {:22} {:22}\n",
        "class", "prompt", "n", "Dice (95 %)", "IoU (95 %)", "HD95 px (95 %)"
    );
    for line in lines {
        text += &format!(
            "{:16} {:8} {:>4}  {:22} {:22} {:22}\n",
            line.class,
            line.prompt.name(),
            line.dice.count,
            line.dice.text(3),
            line.iou.text(3),
            line.hd95_px.text(1)
        );
    }
    text
}

/// As a Markdown table.
pub fn markdown(lines: &[Line]) -> String {
    let head = ["class", "prompt", "n", "Dice (95 %)", "IoU (95 %)", "HD95 px (95 %)"];
    let mut text = format!("| {} |\n|---|---|---|---|---|---|\n", head.join(" | "));
    for line in lines {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            line.class.replace('|', "\\|"),
            line.prompt.name(),
            line.dice.count,
            line.dice.text(3),
            line.iou.text(3),
            line.hd95_px.text(1)
        );
    }
    text
}

impl Interval {
    fn text(&self, digits: usize) -> String {
        format!("{:.digits$} [{:.digits$}, {:.digits$}]", self.mean, self.low, self.high)
    }
}

impl From<&Row> for Line {
    fn from(Row { class, prompt, dice, iou, hd95_px }: &Row) -> Self {
        let interval =
            |&Mean { mean, low, high, count }: &Mean| Interval { mean, low, high, count };
        Self {
            class: class.clone(),
            prompt: *prompt,
            dice: interval(dice),
            iou: interval(iou),
            hd95_px: interval(hd95_px),
        }
    }
}
