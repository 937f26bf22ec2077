//! `medsa-train teach`: writes masks that the base model finds as data sets.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use image::{GrayImage, RgbImage};
use medsa_console::println;
use medsa_frames::Clip;
use medsa_trainer::Checkpoint;
use medsa_trainer::data::{Dataset, Split, TrainingImage, ValueMap};
use medsa_trainer::train::{Lesson, Network, TeachConfig, Teacher, label_maps};
use ndarray::Array2;

use super::at;

#[derive(Args)]
pub struct Teach {
    /// Base model, .pth or .safetensors
    #[arg(long)]
    base: PathBuf,
    /// Data set whose images are used, without their masks
    #[arg(long, conflicts_with = "images")]
    data: Option<PathBuf>,
    /// Split of the data set: only training images are used
    #[arg(long, requires = "data")]
    split: Option<PathBuf>,
    /// Images without masks: a DICOM file, an image, or a folder of images; may be given several
    /// times
    #[arg(long, required_unless_present = "data")]
    images: Vec<PathBuf>,
    /// Folder to write, with two data sets: objects, which a click can select, and parts, which
    /// depend on the box that found them. Images that already exist there are skipped
    #[arg(long)]
    out: PathBuf,
    /// Side of the network input, in pixels [default: that of the base]
    #[arg(long)]
    input_size: Option<usize>,
    /// Largest number of images, evenly spread [default: all]
    #[arg(long)]
    count: Option<usize>,
    /// Random boxes tried per image
    #[arg(long, default_value_t = TeachConfig::default().random_boxes)]
    boxes: usize,
    /// Seed of the random boxes
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Names of the two data sets.
const KINDS: [&str; 2] = ["objects", "parts"];

/// An image in which to find masks.
struct Source {
    name: String,
    read: Box<dyn Fn() -> anyhow::Result<TrainingImage>>,
}

impl Teach {
    pub fn run(self) -> anyhow::Result<()> {
        let base = Checkpoint::read(&self.base)?;
        let network = Network::new(base.sam(self.input_size)?, super::device()?);
        let config =
            TeachConfig { random_boxes: self.boxes, seed: self.seed, ..TeachConfig::default() };
        let teacher = Teacher::new(&network, config);
        let mut sources = self.sources()?;
        if let Some(count) = self.count.filter(|&count| count < sources.len()) {
            let all = sources.len();
            let mut number = 0..;
            sources.retain(|_| {
                let i = number.next().unwrap_or(0);
                (i + 1) * count / all > i * count / all
            });
        }
        let progress = indicatif::ProgressBar::new(sources.len() as u64);
        let mut found = [0, 0];
        for (number, source) in sources.iter().enumerate() {
            progress.inc(1);
            if KINDS.iter().any(|kind| self.image(kind, &source.name).exists()) {
                continue;
            }
            let sample = (source.read)()?;
            let Lesson { objects, parts } = teacher.lesson(&sample, number)?;
            for ((kind, masks), found) in KINDS.iter().zip([objects, parts]).zip(&mut found) {
                *found += masks.len();
                if !masks.is_empty() {
                    self.write(kind, &source.name, &sample, &masks)?;
                }
            }
        }
        progress.finish_and_clear();
        let [objects, parts] = found;
        println!(
            "{}: {objects} objects and {parts} parts in {} images",
            self.out.display(),
            sources.len()
        );
        Ok(())
    }

    /// Path of an image in one of the two data sets.
    fn image(&self, kind: &str, name: &str) -> PathBuf {
        self.out.join(kind).join("images").join(format!("{name}.png"))
    }

    fn write(
        &self,
        kind: &str,
        name: &str,
        sample: &TrainingImage,
        masks: &[Array2<bool>],
    ) -> anyhow::Result<()> {
        let folder = self.out.join(kind).join("masks").join(name);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        for (number, map) in label_maps(masks).iter().enumerate() {
            write_map(&folder.join(format!("{number}.png")), map)?;
        }
        // The image is written last, so that an existing image has all its masks.
        let path = self.image(kind, name);
        let folder = path.parent().unwrap_or(&self.out);
        fs::create_dir_all(folder).map_err(at(folder))?;
        let (width, height) = (sample.width as u32, sample.height as u32);
        let image = RgbImage::from_raw(width, height, sample.rgb.clone());
        image.expect("a decoded image is whole").save(&path).map_err(at(&path))
    }

    fn sources(&self) -> anyhow::Result<Vec<Source>> {
        match &self.data {
            Some(data) => {
                let (dataset, _) = Dataset::open(data)?;
                let split = self.split.as_deref().map(Split::read).transpose()?;
                let indices = match split {
                    Some(split) => {
                        let [train, ..] = split.indices(&dataset)?;
                        train
                    }
                    None => (0..dataset.items().len()).collect(),
                };
                let source = |i: usize| {
                    let item = dataset.items()[i].clone();
                    let name = item.name.replace('#', "-");
                    Source { name, read: Box::new(move || Ok(item.read(&ValueMap::stored())?)) }
                };
                Ok(indices.into_iter().map(source).collect())
            }
            None => {
                let mut sources = Vec::new();
                for path in &self.images {
                    let clip = std::rc::Rc::new(Clip::open(path)?);
                    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    sources.extend((0..clip.len()).map(|frame| {
                        let clip = std::rc::Rc::clone(&clip);
                        let name = format!("{stem}-{frame:04}");
                        Source { name, read: Box::new(move || sample(&clip, frame)) }
                    }));
                }
                Ok(sources)
            }
        }
    }
}

fn sample(clip: &Clip, frame: usize) -> anyhow::Result<TrainingImage> {
    let frame = clip.frame(frame)?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    Ok(TrainingImage { width, height, rgb: frame.rgb, classes: Array2::zeros((height, width)) })
}

fn write_map(path: &Path, map: &Array2<u8>) -> anyhow::Result<()> {
    let (height, width) = map.dim();
    let values = map.iter().copied().collect();
    let image = GrayImage::from_raw(width as u32, height as u32, values);
    image.expect("a value for each pixel").save(path).map_err(at(path))
}
