use std::path::PathBuf;

use clap::Args;
use medsa_console::println;
use medsa_trainer::data::Dataset;

#[derive(Args)]
pub struct Check {
    /// Folder with images/ and masks/, or with records of a device
    #[arg(long)]
    data: PathBuf,
    /// Classes that masks may contain, as 1,2 [default: any]
    #[arg(long, value_delimiter = ',')]
    classes: Option<Vec<u8>>,
}

impl Check {
    pub fn run(self) -> anyhow::Result<()> {
        let (dataset, mut problems) = Dataset::open(&self.data)?;
        if let Some(records) = dataset.records() {
            println!("{records}");
        }
        problems.iter().for_each(|problem| println!("{problem}"));
        let before = problems.len();
        dataset.check(self.classes.as_deref(), |problem| {
            println!("{problem}");
            problems.push(problem);
        });
        let count = dataset.items().len();
        if problems.is_empty() {
            println!("{}: {count} images with masks, no problems", self.data.display());
            return Ok(());
        }
        let more = problems.len() - before;
        anyhow::bail!(
            "{}: {count} images with masks, {before} unusable files, {more} problems \
             with images and masks",
            self.data.display()
        );
    }
}
