//! `medsa-train inspect`: describes a model file.

mod parts;

use std::path::PathBuf;

use clap::Args;
use medsa_bundle::Origin;
use medsa_console::{print, println};
use medsa_sam::{AdapterConfig, SamConfig, Weights};
use medsa_trainer::train::Row;
use medsa_trainer::{Adapter, Checkpoint, TrainingRecord};
use serde::Serialize;
use serde_json::Value;

use self::parts::Part;
use super::table;

#[derive(Args)]
pub struct Inspect {
    /// Base model or adapter
    file: PathBuf,
    /// Base model of an adapter, to check that it fits and to compare their sizes
    #[arg(long)]
    base: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Description of a file.
#[derive(Serialize)]
struct Report {
    /// Name without folder and extension; of the original file if this one was imported.
    name: String,
    /// Hash of the original file.
    sha256: String,
    tensors: usize,
    parameters: usize,
    parts: Vec<Part>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Kind {
    Base {
        network: SamConfig,
    },
    Adapter {
        base: Origin,
        /// Parameters of the adapter divided by those of the base; `None` without --base.
        share_of_base: Option<f64>,
        input_size: usize,
        form: AdapterConfig,
        training: Option<TrainingRecord>,
    },
}

impl Inspect {
    pub fn run(self) -> anyhow::Result<()> {
        let report = if Adapter::is_at(&self.file)? {
            self.adapter()?
        } else {
            if self.base.is_some() {
                anyhow::bail!(
                    "{} is a base model, expected an adapter together with --base",
                    self.file.display()
                );
            }
            let Checkpoint { origin, weights, config, .. } = Checkpoint::read(&self.file)?;
            Report::new(origin, &weights, Kind::Base { network: config })
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{}", report.text()?);
        }
        Ok(())
    }

    fn adapter(&self) -> anyhow::Result<Report> {
        let adapter = Adapter::read(&self.file)?;
        let share_of_base = match &self.base {
            Some(path) => {
                let base = Checkpoint::read(path)?;
                // Names the tensor that does not fit.
                adapter.sam(&base, None)?;
                Some(parameters(adapter.weights()) as f64 / parameters(&base.weights) as f64)
            }
            None => None,
        };
        let info = &adapter.info;
        let kind = Kind::Adapter {
            base: info.base.clone(),
            share_of_base,
            input_size: info.input_size,
            form: info.config,
            training: info.training.clone(),
        };
        Ok(Report::new(adapter.origin.clone(), adapter.weights(), kind))
    }
}

fn parameters(weights: &Weights) -> usize {
    weights.values().map(|value| value.len()).sum()
}

impl Report {
    fn new(origin: Origin, weights: &Weights, kind: Kind) -> Self {
        let Origin { name, sha256 } = origin;
        Self {
            name,
            sha256,
            tensors: weights.len(),
            parameters: parameters(weights),
            parts: parts::parts(weights),
            kind,
        }
    }

    fn text(&self) -> anyhow::Result<String> {
        let mut rows: Vec<(&str, String)> = Vec::new();
        let what = match &self.kind {
            Kind::Base { .. } => "base model",
            Kind::Adapter { .. } => "adapter",
        };
        rows.push((what, self.name.clone()));
        rows.push(("sha256", self.sha256.clone()));
        let size = format!("{} in {} tensors", self.parameters, self.tensors);
        rows.push(("parameters", size));
        let mut metrics = None;
        match &self.kind {
            Kind::Base { network } => {
                rows.push(("input", format!("{} px", network.preprocess.input_size)));
                rows.push(("encoder", words(&serde_json::to_value(&network.encoder)?)));
                rows.push(("decoder", words(&serde_json::to_value(&network.decoder)?)));
            }
            Kind::Adapter { base, share_of_base, input_size, form, training } => {
                if let Some(share) = share_of_base {
                    rows.push(("of the base", format!("{:.2} %", 100.0 * share)));
                }
                rows.push(("base", format!("{}, sha256 {}", base.name, base.sha256)));
                rows.push(("input", format!("{input_size} px")));
                rows.push(("form", words(&serde_json::to_value(form)?)));
                if let Some(record) = training {
                    metrics = Some(&record.metrics);
                    rows.extend(training_rows(record)?);
                }
            }
        }
        let mut text = String::new();
        for (name, value) in rows {
            text += &format!("{name:12} {value}\n");
        }
        text += &format!("\n{}", parts::table(&self.parts));
        if let Some(metrics) = metrics {
            text += "\nvalidation\n";
            // Another program may have stored something else.
            text += &match serde_json::from_value::<Vec<Row>>(metrics.clone()) {
                Ok(rows) => table::text(&rows),
                Err(_) => format!("{metrics}\n"),
            };
        }
        Ok(text)
    }
}

fn training_rows(record: &TrainingRecord) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut rows = vec![
        ("task", record.task.clone()),
        ("classes", record.classes.join(", ")),
        ("training", format!("{} steps, seed {}", record.steps, record.seed)),
        ("prompts", words(&serde_json::to_value(&record.prompts)?)),
    ];
    let more = [("data sha256", &record.dataset_sha256), ("commit", &record.commit)];
    rows.extend(more.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    Ok(rows)
}

/// Plain data as text, for example `vit (patch 16, dim 64, global_blocks 1 3)`.
fn words(value: &Value) -> String {
    let within = |value: &Value| match value {
        Value::Object(_) => format!("({})", words(value)),
        other => words(other),
    };
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name} {}", within(value));
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        Value::Array(values) => values.iter().map(within).collect::<Vec<_>>().join(" "),
        Value::String(text) => text.clone(),
        // Formatted as the author of the configuration wrote it; as JSON, an f32 would have more
        // digits.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{}", float as f32),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_data_is_formatted_as_text() {
        let value = json!({"vit": {"patch": 16, "global": [1, 3], "scale": 0.1f32}});
        assert_eq!(words(&value), "vit (global 1 3, patch 16, scale 0.1)");
    }
}
