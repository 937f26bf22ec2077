//! `summary.md`: the description, the progress and the use of a training.

use std::fmt::Write;
use std::path::Path;

use medsa_trainer::train::Config;

use super::super::table;
use super::description::Description;
use super::entries::Entries;
use super::folder::RunFolder;

/// Summary as Markdown.
pub fn markdown(
    config: &Config,
    description: &Description,
    log: &Entries,
) -> anyhow::Result<String> {
    let mut text = format!("# {}\n\n", config.task);
    let (steps, all) = (log.steps.last().map_or(0, |e| e.train.step + 1), config.fit.steps);
    let training: f64 = log.steps.iter().map(|entry| entry.seconds).sum();
    let validation: f64 = log.validations.iter().map(|entry| entry.seconds).sum();
    let rate = (log.steps.len() * config.fit.batch) as f64 / training;
    let rows = [
        ("base", format!("{}, sha256 `{}`", description.base.name, description.base.sha256)),
        ("input", format!("{0} x {0} px", config.input_size)),
        ("trains", description.trained_part()),
        ("progress", format!("step {steps} of {all}, {} images per step", config.fit.batch)),
        ("time", format!("{} training, {} validation", duration(training), duration(validation))),
        ("speed", format!("{rate:.2} images/s in training")),
        ("seed", config.seed.to_string()),
    ];
    text += "| | |\n|---|---|\n";
    for (name, value) in rows {
        writeln!(text, "| {name} | {value} |")?;
    }

    text += "\n## Data\n| folder | training | validation | classes |\n|---|---|---|---|\n";
    for (data, (train, validation)) in config.data.iter().zip(&description.images) {
        let classes = data.classes.join(", ");
        writeln!(text, "| `{}` | {train} | {validation} | {classes} |", data.path.display())?;
    }
    writeln!(
        text,
        "\nSHA-256 of the training images and masks: `{}`.",
        description.dataset_sha256
    )?;

    text += "\n## Best validation\n";
    match log.best() {
        Some(best) => {
            writeln!(text, "After step {}, mean Dice {:.4}:\n", best.step, best.score)?;
            text += &table::markdown(&best.validation);
            text += "\n![Predictions of the best adapter](gallery.png)\n";
        }
        None => text += "None yet.\n",
    }
    text += "\n![Loss, validation and learning rate](curves.png)\n";
    text += &usage(config);
    Ok(text)
}

fn usage(config: &Config) -> String {
    let model = format!(
        "--base {} --adapter {}",
        word(&config.base),
        word(&RunFolder::new(&config.out).best())
    );
    let mut text = format!(
        "\n## Use\n```sh\n# One image.\nmedsa-train predict {model} \\\n    --image image.png \
         --point X,Y --out mask.png --overlay overlay.png\n\n# The validation again, or other \
         data.\n"
    );
    for data in &config.data {
        let Some(split) = &data.split else { continue };
        let classes = match data.classes.as_slice() {
            [] => String::new(),
            classes => format!(" --classes {}", word(Path::new(&classes.join(",")))),
        };
        text += &format!(
            "medsa-train eval {model} \\\n    --data {} --split {}{classes}\n",
            word(&data.path),
            word(split)
        );
    }
    text += &format!(
        "\n# A build for devices.\nmedsa-export build {model} \\\n    --calibration frames/ --out \
         build.medsa --input-size {}\n```\n",
        config.input_size
    );
    text
}

/// A path quoted for a shell.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn duration(seconds: f64) -> String {
    match seconds.round() as u64 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_use_suitable_units() {
        assert_eq!(duration(0.4), "0 s");
        assert_eq!(duration(59.9), "1 min 0 s");
        assert_eq!(duration(7265.0), "2 h 1 min");
    }

    #[test]
    fn paths_are_quoted_as_one_shell_word() {
        assert_eq!(word(Path::new("a/b-1.png")), "a/b-1.png");
        assert_eq!(word(Path::new("my data/it's")), "'my data/it'\\''s'");
    }
}
