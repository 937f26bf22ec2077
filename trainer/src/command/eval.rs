use std::path::PathBuf;

use clap::Args;
use medsa_console::{print, println};
use medsa_trainer::data::{Part, Targets};
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{DataConfig, Evaluation, FeatureCache, Network, Stock};
use medsa_trainer::{Adapter, Checkpoint};

use super::masks::MaskOptions;
use super::measure::measure;
use super::{at, table, warn_of_problems};

#[derive(Args)]
pub struct Eval {
    /// Base model, .pth or .safetensors
    #[arg(long)]
    base: PathBuf,
    /// Adapter
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Folder with images/ and masks/, with annotations, or with records of a device
    #[arg(long)]
    data: PathBuf,
    /// Split file [default: evaluate all images]
    #[arg(long)]
    split: Option<PathBuf>,
    /// Part of the split to evaluate [default: test, or validation if there is no test part]
    #[arg(long, value_enum, requires = "split")]
    part: Option<Part>,
    /// Names of the classes 1, 2, ...
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    #[command(flatten)]
    masks: MaskOptions,
    /// Kinds of prompts, comma-separated
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [PromptKind::Center, PromptKind::Box75]
    )]
    prompt: Vec<PromptKind>,
    /// Target of one prompt
    #[arg(long, value_enum, default_value_t = Targets::Largest)]
    targets: Targets,
    /// Side of the network input, in pixels [default: that of training]
    #[arg(long)]
    input_size: Option<usize>,
    /// Slices of a volume or frames of a cine processed together
    #[arg(long, default_value_t = 1)]
    slices: usize,
    /// Folder to keep features of frozen encoder steps in
    #[arg(long)]
    cache: Option<PathBuf>,
    /// PNG file to write, with up to twelve predictions (worst, median and best)
    #[arg(long, value_name = "FILE")]
    gallery: Option<PathBuf>,
    /// Print JSON: a list with class and prompt and, for each of dice, iou, hd95_px and nsd_2px, the
    /// mean, the low and high end of its 95 % interval, and the number of predictions
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
        let data = DataConfig::new(&self.data, self.split.as_deref(), &self.classes);
        let data = self.masks.apply(data);
        let stock = match &self.split {
            Some(_) => Stock::open(&data)?,
            None => Stock::whole(&data)?,
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
        // Without a folder, opening the cache cannot fail.
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
