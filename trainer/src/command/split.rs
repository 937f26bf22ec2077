use std::path::{Path, PathBuf};

use clap::Args;
use medsa_console::{eprintln, println};
use medsa_trainer::data::{Dataset, Folds, Split, SplitPlan};
use regex::Regex;

#[derive(Args)]
pub struct SplitCommand {
    /// Folder with images/ and masks/, with annotations, or with records of a device
    #[arg(long)]
    data: PathBuf,
    /// Split file to write; with --folds, the number of the fold is added to each file's name
    #[arg(long)]
    out: PathBuf,
    /// Write this number of splits for cross-validation instead of one split: each image is in the
    /// test part of one of them, and the next fold is the validation part
    #[arg(long, value_name = "K", conflicts_with_all = ["validation", "test", "validation_groups",
        "test_groups"])]
    folds: Option<usize>,
    /// Share of the images for validation, which selects checkpoints
    #[arg(long, default_value_t = 0.15)]
    validation: f64,
    /// Share of the images for test, which is only reported
    #[arg(long, default_value_t = 0.15)]
    test: f64,
    /// Pattern of the subject in image names, for example '^[0-9]{4}'; images of one subject stay
    /// in one part. Without it, similar images stay in one part
    #[arg(long, value_name = "REGEX")]
    group: Option<Regex>,
    /// Subjects for the validation part, comma-separated
    #[arg(long, value_delimiter = ',', requires = "group", value_name = "SUBJECT")]
    validation_groups: Vec<String>,
    /// Subjects for the test part, comma-separated
    #[arg(long, value_delimiter = ',', requires = "group", value_name = "SUBJECT")]
    test_groups: Vec<String>,
    /// Seed of the split
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl SplitCommand {
    pub fn run(self) -> anyhow::Result<()> {
        let Self { validation, test, seed, .. } = self;
        if let Some(count) = self.folds {
            return self.write_folds(count);
        }
        if !(validation > 0.0 && validation < 1.0) {
            anyhow::bail!("--validation is {validation}, expected between 0 and 1");
        }
        if !(test >= 0.0 && validation + test < 1.0) {
            anyhow::bail!("--test is {test}, expected 0 to less than {}", 1.0 - validation);
        }
        let dataset = self.dataset()?;
        let plan = SplitPlan {
            validation,
            test,
            seed,
            subject: self.group,
            validation_subjects: self.validation_groups,
            test_subjects: self.test_groups,
        };
        let report = Split::make(&dataset, &plan)?;
        let split = &report.split;
        let counts = [&split.train, &split.validation, &split.test].map(Vec::len);
        let [train, validation, test] = counts;
        if train == 0 || validation == 0 || (test == 0 && plan.test > 0.0) {
            anyhow::bail!(
                "{}: {train} images for training, {validation} for validation and {test} for \
                 test, expected some in each part. Images that look alike, slices of a volume and \
                 frames of a recording stay together. If names contain the subject, pass its \
                 pattern (--group '^[0-9]{{4}}'); --test 0 asks for no test part",
                self.data.display(),
            );
        }
        split.write(&self.out)?;
        let what = unit(plan.subject.as_ref());
        let [a, b, c] = report.groups;
        println!(
            "{}: {train} images for training ({a} {what}), {validation} for validation ({b}), \
             {test} for test ({c})",
            self.out.display()
        );
        report_alike(report.alike_across, "parts");
        Ok(())
    }

    fn dataset(&self) -> anyhow::Result<Dataset> {
        let (dataset, problems) = Dataset::open(&self.data)?;
        problems.iter().for_each(|problem| eprintln!("skipped: {problem}"));
        Ok(dataset)
    }

    fn write_folds(&self, count: usize) -> anyhow::Result<()> {
        if count < 3 {
            anyhow::bail!(
                "--folds is {count}, expected 3 or more: for training, validation and test"
            );
        }
        let folds = Folds::make(&self.dataset()?, self.group.as_ref(), count, self.seed);
        let folds = folds.map_err(super::at(&self.data))?;
        let what = unit(self.group.as_ref());
        for (number, split) in (1..).zip(&folds.splits) {
            let path = numbered(&self.out, number);
            split.write(&path)?;
            println!(
                "{}: {} images for training, {} for validation, {} for test ({} {what})",
                path.display(),
                split.train.len(),
                split.validation.len(),
                split.test.len(),
                folds.groups[number - 1],
            );
        }
        report_alike(folds.alike_across, "folds");
        Ok(())
    }
}

/// Images that stay together.
fn unit(subject: Option<&Regex>) -> &'static str {
    if subject.is_some() { "subjects" } else { "groups" }
}

/// The path with a number: `split.json` becomes `split-1.json`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let numbered = path.with_file_name(format!("{stem}-{number}"));
    match path.extension() {
        Some(extension) => numbered.with_added_extension(extension),
        None => numbered,
    }
}

fn report_alike(pairs: Option<usize>, parts: &str) {
    if let Some(pairs) = pairs.filter(|&pairs| pairs > 0) {
        println!(
            "{pairs} pairs of similar images are in different {parts}, because a group holds at \
             most a tenth of the images; if names contain the subject, pass its pattern with \
             --group"
        );
    }
}
