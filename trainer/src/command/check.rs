use std::path::PathBuf;

use clap::Args;
use medsa_console::println;
use medsa_trainer::data::{Dataset, ValueCounts, ValueMap};

use super::masks::MaskOptions;

#[derive(Args)]
pub struct Check {
    /// Folder with images/ and masks/, with annotations, or with records of a device
    #[arg(long)]
    data: PathBuf,
    /// Classes that masks may contain, as 1,2 [default: any]
    #[arg(long, value_delimiter = ',')]
    classes: Option<Vec<u8>>,
    #[command(flatten)]
    masks: MaskOptions,
}

impl Check {
    pub fn run(self) -> anyhow::Result<()> {
        let (dataset, mut problems) = Dataset::open(&self.data)?;
        if let Some(records) = dataset.records() {
            println!("{records}");
        }
        if dataset.records().is_none() {
            for (number, label) in (1..).zip(dataset.labels()) {
                println!("class {number}: {label}");
            }
        }
        problems.iter().for_each(|problem| println!("{problem}"));
        let before = problems.len();
        let counts = dataset.count_values();
        let listed = |value| self.classes.as_ref().is_some_and(|listed| listed.contains(&value));
        let resolved = self.masks.rule().resolve(&counts, &[], listed);
        print_values(&counts, resolved.as_ref().ok());
        let values = resolved.unwrap_or_else(|problem| {
            println!("{problem}");
            problems.push(problem);
            // The other problems are found all the same.
            ValueMap::stored()
        });
        let classes = self.classes.as_deref().filter(|_| problems.len() == before);
        dataset.check(&values, classes, |problem| {
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

/// Prints the values of the masks with their pixels and, if it is clear, their meaning.
fn print_values(counts: &ValueCounts, values: Option<&ValueMap>) {
    for value in counts.values() {
        let (pixels, masks) = counts.of(value);
        let meaning = values.map(|values| format!(": {}", values.describe(value)));
        let meaning = meaning.unwrap_or_default();
        let unit = if masks == 1 { "mask" } else { "masks" };
        println!("value {value}, {pixels} px in {masks} {unit}{meaning}");
    }
}
