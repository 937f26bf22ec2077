use std::path::PathBuf;

use clap::Args;
use medsa_trainer::data::{Dataset, Split};

#[derive(Args)]
pub struct SplitCommand {
    /// The folder with images/ and masks/
    #[arg(long)]
    data: PathBuf,
    /// The file to write
    #[arg(long)]
    out: PathBuf,
    /// Share of the pictures for validation
    #[arg(long, default_value_t = 0.2)]
    validation: f64,
    /// Another number gives another split
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl SplitCommand {
    pub fn run(self) -> anyhow::Result<()> {
        if !(self.validation > 0.0 && self.validation < 1.0) {
            anyhow::bail!("--validation is {}, expected between 0 and 1", self.validation);
        }
        let (dataset, problems) = Dataset::open(&self.data)?;
        problems.iter().for_each(|problem| eprintln!("left out: {problem}"));
        let split = Split::by_similarity(&dataset, self.validation, self.seed)?;
        if split.train.is_empty() || split.validation.is_empty() {
            anyhow::bail!(
                "{}: {} pictures for training and {} for validation, expected some for each; \
                 pictures that look alike, slices of a volume and frames of a recording stay \
                 together",
                self.data.display(),
                split.train.len(),
                split.validation.len()
            );
        }
        split.write(&self.out)?;
        println!(
            "{}: {} pictures for training, {} for validation",
            self.out.display(),
            split.train.len(),
            split.validation.len()
        );
        Ok(())
    }
}
