//! Results of an evaluation as text.

use medsa_trainer::metrics::Mean;
use medsa_trainer::train::Row;

const HEAD: [&str; 7] =
    ["class", "prompt", "n", "Dice (95 %)", "IoU (95 %)", "HD95 px (95 %)", "NSD 2 px (95 %)"];

/// Text table for terminals.
pub fn text(rows: &[Row]) -> String {
    let line = |[class, prompt, n, dice, iou, hd95, nsd]: [&str; 7]| {
        format!("{class:16} {prompt:8} {n:>4}  {dice:22} {iou:22} {hd95:22} {nsd:22}\n")
    };
    let mut text = line(HEAD);
    for row in rows {
        text += &line(cells(row).each_ref().map(String::as_str));
    }
    text
}

/// Markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = format!("| {} |\n|---|---|---|---|---|---|---|\n", HEAD.join(" | "));
    for row in rows {
        let cells = cells(row).map(|cell| cell.replace('|', "\\|"));
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text
}

fn cells(row: &Row) -> [String; 7] {
    [
        row.class.clone(),
        row.prompt.name().to_owned(),
        row.dice.count.to_string(),
        interval(&row.dice, 3),
        interval(&row.iou, 3),
        interval(&row.hd95_px, 1),
        row.nsd_2px.map_or_else(String::new, |nsd| interval(&nsd, 3)),
    ]
}

/// Mean with its interval.
pub fn interval(mean: &Mean, digits: usize) -> String {
    format!("{:.digits$} [{:.digits$}, {:.digits$}]", mean.mean, mean.low, mean.high)
}
