//! Results of an evaluation, as the log and adapters keep them and as people read them.

use medsa_trainer::metrics::Mean;
use medsa_trainer::train::Row;

/// As columns, for terminals.
pub fn text(rows: &[Row]) -> String {
    let mut text = format!(
        "{:16} {:8} {:>4}  {:22} {:22} {:22}\n",
        "class", "prompt", "n", "Dice (95 %)", "IoU (95 %)", "HD95 px (95 %)"
    );
    for row in rows {
        text += &format!(
            "{:16} {:8} {:>4}  {:22} {:22} {:22}\n",
            row.class,
            row.prompt.name(),
            row.dice.count,
            interval(&row.dice, 3),
            interval(&row.iou, 3),
            interval(&row.hd95_px, 1)
        );
    }
    text
}

/// As a Markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let head = ["class", "prompt", "n", "Dice (95 %)", "IoU (95 %)", "HD95 px (95 %)"];
    let mut text = format!("| {} |\n|---|---|---|---|---|---|\n", head.join(" | "));
    for row in rows {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            row.class.replace('|', "\\|"),
            row.prompt.name(),
            row.dice.count,
            interval(&row.dice, 3),
            interval(&row.iou, 3),
            interval(&row.hd95_px, 1)
        );
    }
    text
}

fn interval(mean: &Mean, digits: usize) -> String {
    format!("{:.digits$} [{:.digits$}, {:.digits$}]", mean.mean, mean.low, mean.high)
}
