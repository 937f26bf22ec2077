//! Comparison as text for terminals.

use std::collections::BTreeSet;
use std::iter::once;

use super::series::{Figure, Line, Series};

/// The runs, then their results by class and prompt.
pub fn text(series: &[Series]) -> String {
    let head = ["run", "step", "trained", "of base", "s/step", "mean Dice"];
    let run = |series: &Series| {
        let step = format!("{}/{}", series.step, series.steps);
        let trained = format!("{:.3} M", series.trained as f64 / 1e6);
        let share = format!("{:.2} %", 100.0 * series.share);
        let seconds = format!("{:.2}", series.seconds_per_step);
        let score = series.score.as_ref().map_or("-".to_owned(), |score| figure(score, 3));
        vec![name(series), step, trained, share, seconds, score]
    };
    let runs = once(head.map(str::to_owned).to_vec()).chain(series.iter().map(run));
    let mut text = columns(&runs.collect::<Vec<_>>());

    let keys =
        series.iter().flat_map(|series| series.rows.iter().map(|row| (&row.class, row.prompt)));
    let keys: BTreeSet<_> = keys.collect();
    let head = ["class", "prompt", "run", "n", "Dice", "IoU", "HD95 px", "NSD 2 px"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (class, prompt) in keys {
        for series in series {
            let of_key = |row: &&Line| (&row.class, row.prompt) == (class, prompt);
            let Some(row) = series.rows.iter().find(of_key) else { continue };
            let key =
                [class.clone(), prompt.name().to_owned(), name(series), row.count.to_string()];
            let metrics = row.metrics.iter().zip([3, 3, 1, 3]);
            let metrics = metrics.map(|(found, digits)| {
                found.as_ref().map_or("-".to_owned(), |found| figure(found, digits))
            });
            rows.push(key.into_iter().chain(metrics).collect());
        }
    }
    if rows.len() > 1 {
        text += "\n";
        text += &columns(&rows);
        text += "[low, high]: 95 % interval over images; +-: standard deviation over seeds\n";
    }
    text
}

fn name(series: &Series) -> String {
    match series.seeds {
        1 => series.name.clone(),
        seeds => format!("mean of {seeds} seeds"),
    }
}

fn figure(figure: &Figure, digits: usize) -> String {
    match figure {
        Figure::Plain(value) => format!("{value:.digits$}"),
        Figure::OfImages(mean) => super::super::table::interval(mean, digits),
        Figure::OfSeeds { mean, deviation } => format!("{mean:.digits$} +- {deviation:.digits$}"),
    }
}

/// Lines of cells, padded to the width of their column.
fn columns(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let pad = |(column, cell): (usize, &String)| {
        format!("{cell:0$}", width(column).expect("there is a head"))
    };
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> = cells.iter().enumerate().map(pad).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}
