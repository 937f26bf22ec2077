use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use medsa_trainer::data::Targets;
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{
    DataConfig, Evaluation, FeatureCache, Network, Row, Stock, Summary, evaluate,
};
use medsa_trainer::{Adapter, Checkpoint};

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
    /// The split whose validation part is measured; without it all pictures
    #[arg(long)]
    split: Option<PathBuf>,
    /// Names of the classes 1, 2, ...
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Prompts
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [PromptKind::Center, PromptKind::Box75])]
    prompt: Vec<PromptKind>,
    /// What one prompt asks for: class, component or largest component of a class
    #[arg(long, default_value = "largest")]
    targets: String,
    /// Side of the network input, in pixels; by default what it was trained at
    #[arg(long)]
    input_size: Option<usize>,
    /// Slices that are seen together
    #[arg(long, default_value_t = 1)]
    slices: usize,
    /// Keep features of frozen steps here
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Print JSON
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
        let targets: Targets = serde_json::from_value(self.targets.clone().into())
            .with_context(|| format!("--targets {}", self.targets))?;
        let stock = match &self.split {
            Some(split) => Stock::open(&DataConfig::new(&self.data, split, &self.classes))?,
            None => Stock::whole(&self.data, &self.classes)?,
        };
        let network = Network::new(sam, super::device()?);
        let recipe = format!(
            "evaluation\nbase {}\ninput {} px\nsteps {}\ndata {}\nslices {}\n",
            base.origin.sha256,
            network.sam().config().preprocess.input_size,
            network.frozen_steps(),
            self.data.display(),
            self.slices
        );
        let cache = FeatureCache::open(self.cache.as_deref(), &recipe)?;
        let evaluation = Evaluation { kinds: &self.prompt, targets, slices: self.slices, seed: 0 };
        let progress = indicatif::ProgressBar::new(stock.validation.len() as u64);
        let mut summary = Summary::default();
        evaluate(&network, &stock, &cache, &evaluation, |_, answers| {
            answers.iter().for_each(|answer| summary.add(answer));
            progress.inc(1);
        })?;
        progress.finish_and_clear();
        let rows = summary.rows();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else {
            print!("{}", table(&rows));
        }
        Ok(())
    }
}

/// One line for each class and setting.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:16} {:8} {:>4}  {:22} {:22} {:22}\n",
        "class", "prompt", "n", "Dice (95 %)", "IoU (95 %)", "HD95 px (95 %)"
    );
    for row in rows {
        let mean = |m: &medsa_trainer::metrics::Mean, digits: usize| {
            format!("{:.digits$} [{:.digits$}, {:.digits$}]", m.mean, m.low, m.high)
        };
        text += &format!(
            "{:16} {:8} {:>4}  {:22} {:22} {:22}\n",
            row.class,
            row.prompt.name(),
            row.dice.count,
            mean(&row.dice, 3),
            mean(&row.iou, 3),
            mean(&row.hd95_px, 1)
        );
    }
    text
}
