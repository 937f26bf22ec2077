use std::path::PathBuf;

use clap::Args;
use medsa_trainer::data::Dataset;

#[derive(Args)]
pub struct Check {
    /// The folder with images/ and masks/
    #[arg(long)]
    data: PathBuf,
    /// The classes that masks may hold, as 1,2; without it any
    #[arg(long, value_delimiter = ',')]
    classes: Option<Vec<u8>>,
}

impl Check {
    pub fn run(self) -> anyhow::Result<()> {
        let (dataset, mut problems) = Dataset::open(&self.data)?;
        problems.iter().for_each(|problem| println!("{problem}"));
        let before = problems.len();
        dataset.check(self.classes.as_deref(), |problem| {
            println!("{problem}");
            problems.push(problem);
        });
        let count = dataset.items().len();
        if problems.is_empty() {
            println!("{}: {count} pictures with masks, nothing wrong", self.data.display());
            return Ok(());
        }
        let more = problems.len() - before;
        anyhow::bail!(
            "{}: {count} pictures with masks, {before} files that cannot be used, {more} problems \
             with pictures and masks",
            self.data.display()
        );
    }
}
