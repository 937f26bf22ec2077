//! `medsa-train compare`: one table of several runs.

mod series;
mod text;

use std::path::PathBuf;

use clap::Args;
use medsa_console::print;
use medsa_trainer::train::Row;

use self::series::{Figure, Run, Series};
use super::csv;

#[derive(Args)]
pub struct Compare {
    /// Run folders
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Print CSV, with one line for each class and prompt of each run
    #[arg(long)]
    csv: bool,
}

impl Compare {
    pub fn run(self) -> anyhow::Result<()> {
        let runs = self.runs.iter().map(|path| Run::read(path));
        let series = Series::all(runs.collect::<anyhow::Result<_>>()?);
        print!("{}", if self.csv { csv_text(&series) } else { text::text(&series) });
        Ok(())
    }
}

/// A line for each class and prompt, with the values of the run repeated. Without validation, a run
/// has one line with empty cells.
fn csv_text(series: &[Series]) -> String {
    let metric = |name: &str| ["", "_low", "_high", "_sd"].map(|end| format!("{name}{end}"));
    let of_run = [
        "run",
        "seeds",
        "step",
        "steps",
        "trained_parameters",
        "share_of_base",
        "seconds_per_step",
        "mean_dice",
        "mean_dice_sd",
    ];
    let columns = of_run.into_iter().chain(["class", "prompt", "n"]).map(str::to_owned);
    let columns: Vec<_> = columns.chain(Row::METRICS.into_iter().flat_map(metric)).collect();
    let mut text = csv::line(&columns);
    for series in series {
        let score = series.score.as_ref().map_or([None; 4], Figure::parts);
        let mut start = vec![
            series.name.clone(),
            series.seeds.to_string(),
            series.step.to_string(),
            series.steps.to_string(),
            series.trained.to_string(),
            series.share.to_string(),
            series.seconds_per_step.to_string(),
        ];
        start.extend([score[0], score[3]].map(cell));
        for row in &series.rows {
            let key = [row.class.clone(), row.prompt.name().to_owned(), row.count.to_string()];
            let metrics = row
                .metrics
                .iter()
                .flat_map(|found| found.as_ref().map_or([None; 4], Figure::parts));
            let metrics = metrics.map(cell);
            text += &csv::line(start.iter().cloned().chain(key).chain(metrics));
        }
        if series.rows.is_empty() {
            start.resize(columns.len(), String::new());
            text += &csv::line(&start);
        }
    }
    text
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
