use std::path::PathBuf;

use clap::Args;
use medsa_trainer::data::{Part, Targets};
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{DataConfig, Evaluation, FeatureCache, Network, Stock};
use medsa_trainer::{Adapter, Checkpoint};

use super::measure::measure;
use super::{at, table, warn_of_problems};

#[derive(Args)]
pub struct Eval {
    /// The base model, .pth or .safetensors
    #[arg(long)]
    base: PathBuf,
    /// The adapter
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// The folder with images/ and masks/
    #[arg(long)]
    data: PathBuf,
    /// The split; without it all images are measured
    #[arg(long)]
    split: Option<PathBuf>,
    /// Part of the split that is measured; by default test, or validation where there is no test
    #[arg(long, value_enum, requires = "split")]
    part: Option<Part>,
    /// Names of the classes 1, 2, ...
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Kinds of prompts, comma-separated
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [PromptKind::Center, PromptKind::Box75]
    )]
    prompt: Vec<PromptKind>,
    /// What one prompt asks for
    #[arg(long, value_enum, default_value_t = Targets::Largest)]
    targets: Targets,
    /// Side of the network input, in pixels; by default what it was trained at
    #[arg(long)]
    input_size: Option<usize>,
    /// Slices that are seen together
    #[arg(long, default_value_t = 1)]
    slices: usize,
    /// Keep features of frozen steps here
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Draw up to twelve answers (the worst, median and best) to this PNG file
    #[arg(long, value_name = "FILE")]
    gallery: Option<PathBuf>,
    /// Print JSON: a list with class and prompt, and for each of dice, iou and hd95_px the mean,
    /// low and high end of its 95 % interval, and the count of answers
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(self) -> anyhow::Result<()> {
        let base = Checkpoint::read(&self.base)?;
        let sam = match &self.adapter {
            Some(adapter) => Adapter::read(adapter)?.sam(&base, self.input_size)?,
            None => base.sam(self.input_size)?,
        };
        if self.slices == 0 {
            anyhow::bail!("--slices is 0, expected 1 or more");
        }
        warn_of_problems(&self.data)?;
        let stock = match &self.split {
            Some(split) => Stock::open(&DataConfig::new(&self.data, Some(split), &self.classes))?,
            None => Stock::whole(&self.data, &self.classes)?,
        };
        let part = self.part.unwrap_or(stock.reported());
        let images = stock.expect(part)?.len();
        let network = Network::new(sam, super::device()?);
        let recipe = format!(
            "evaluation\nbase {}\ninput {} px\nsteps {}\ndata {}\nslices {}\n",
            base.origin.sha256,
            network.sam().config().preprocess.input_size,
            network.frozen_steps(),
            self.data.display(),
            self.slices
        );
        let cache = FeatureCache::open(self.cache.as_deref(), &recipe);
        // Without a folder nothing can fail.
        let cache = cache.map_err(at(self.cache.as_deref().unwrap_or(&self.data)))?;
        let mut kinds = self.prompt;
        kinds.sort();
        kinds.dedup();
        let evaluation =
            Evaluation { part, kinds: &kinds, targets: self.targets, slices: self.slices, seed: 0 };
        let progress = indicatif::ProgressBar::new(images as u64);
        let measured = measure(&network, [(&stock, &cache)], &evaluation, || progress.inc(1))?;
        progress.finish_and_clear();
        if let Some(path) = &self.gallery {
            measured.sheet.draw(path)?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&measured.rows)?);
        } else {
            print!("{}", table::text(&measured.rows));
        }
        Ok(())
    }
}
