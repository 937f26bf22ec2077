use std::path::PathBuf;

use clap::Args;
use medsa_trainer::data::{Dataset, Split, SplitPlan};
use regex::Regex;

#[derive(Args)]
pub struct SplitCommand {
    /// Folder with images/ and masks/, or with records of a device
    #[arg(long)]
    data: PathBuf,
    /// Split file to write
    #[arg(long)]
    out: PathBuf,
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
        if !(validation > 0.0 && validation < 1.0) {
            anyhow::bail!("--validation is {validation}, expected between 0 and 1");
        }
        if !(test >= 0.0 && validation + test < 1.0) {
            anyhow::bail!("--test is {test}, expected 0 to less than {}", 1.0 - validation);
        }
        let (dataset, problems) = Dataset::open(&self.data)?;
        problems.iter().for_each(|problem| eprintln!("skipped: {problem}"));
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
                 frames of a recording stay together. If names tell the subjects, pass their \
                 pattern (--group '^[0-9]{{4}}'); --test 0 asks for no test part",
                self.data.display(),
            );
        }
        split.write(&self.out)?;
        let what = if plan.subject.is_some() { "subjects" } else { "groups" };
        let [a, b, c] = report.groups;
        println!(
            "{}: {train} images for training ({a} {what}), {validation} for validation ({b}), \
             {test} for test ({c})",
            self.out.display()
        );
        if let Some(pairs) = report.alike_across.filter(|&pairs| pairs > 0) {
            println!(
                "{pairs} pairs of similar images are in different parts, because a group \
                 holds at most a tenth of the images; if names tell the subjects, pass their \
                 pattern with --group"
            );
        }
        Ok(())
    }
}
