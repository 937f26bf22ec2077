//! `medsa-train predict`: one frame, one prompt, one mask.

mod overlay;

use medsa_console::println;
use medsa_sam::typed::{parse_box, parse_point};
use std::path::{Path, PathBuf};

use clap::Args;
use image::{DynamicImage, GrayImage, ImageFormat};
use medsa_frames::Clip;
use medsa_sam::PromptInput;
use medsa_sam::image::RgbView;
use medsa_sam::mask::CleanUp;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use medsa_trainer::{Adapter, CandleBackend, Checkpoint};
use ndarray::{Array2, Ix4, s};
use serde_json::json;

use super::at;

#[derive(Args)]
pub struct Predict {
    /// Base model, .pth or .safetensors
    #[arg(long)]
    base: PathBuf,
    /// Adapter
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// DICOM file, PNG, JPEG, or folder of images
    #[arg(long, value_name = "PATH")]
    image: PathBuf,
    /// Number of the frame, from 0
    #[arg(long, default_value_t = 0)]
    frame: usize,
    /// Click in frame pixels, on the structure (X,Y) or outside it (X,Y,-); repeatable
    #[arg(
        long = "point",
        value_name = "X,Y[,-]",
        value_parser = parse_point,
        allow_hyphen_values = true
    )]
    points: Vec<Point>,
    /// Box around the structure, in frame pixels
    #[arg(
        long = "box",
        value_name = "X0,Y0,X1,Y1",
        value_parser = parse_box,
        allow_hyphen_values = true
    )]
    bbox: Option<BoxXyxy>,
    /// PNG file to write: the mask at the frame's size, with values 0 and 255
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// PNG file to write: the frame with outline and prompts
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// Side of the network input, in pixels [default: that of training]
    #[arg(long)]
    input_size: Option<usize>,
}

impl Predict {
    pub fn run(self) -> anyhow::Result<()> {
        // The prompt is checked first, because that is fast.
        let frame = Clip::open(&self.image)?.frame(self.frame)?;
        let size = (frame.width as usize, frame.height as usize);
        let prompt = Prompt::new(self.points.clone(), self.bbox, size)?;
        let base = Checkpoint::read(&self.base)?;
        let sam = match &self.adapter {
            Some(adapter) => Adapter::read(adapter)?.sam(&base, self.input_size)?,
            None => base.sam(self.input_size)?,
        };
        let backend = CandleBackend::new(super::device()?);
        let view = RgbView::new(size.0, size.1, &frame.rgb).expect("a decoded frame is whole");
        let (image, geometry) = sam.config().preprocess.run(view);
        let embedding = sam.encode(&backend, &backend.tensor(image)?)?;
        let tokens = prompt.tokens(&geometry);
        let coords = backend.tensor(tokens.coords)?;
        let input = PromptInput { coords, labels: backend.tensor(tokens.labels)?, mask: None };
        let masks = sam.decode(&backend, &embedding, &input)?;
        let score: f32 = masks.iou.value().get(0)?.get(0)?.to_scalar()?;
        let logits = backend.array(&masks.logits)?;
        let logits = logits.into_dimensionality::<Ix4>().expect("logits have four axes");
        let mut logits = logits.slice_move(s![0, 0, .., ..]);
        CleanUp::default().run(&mut logits, &geometry, &prompt);
        let mask = geometry.mask_in_frame(logits.view());
        save(&self.out, mask_image(&mask).into())?;
        if let Some(path) = &self.overlay {
            let (logits, points) = (logits.view(), &self.points);
            let image = overlay::draw(&frame, logits, geometry, points, self.bbox);
            save(path, image.into())?;
        }
        let area_px = mask.iter().filter(|&&inside| inside).count();
        let report = json!({
            "score": score,
            "area_px": area_px,
            "frame": {"index": self.frame, "width_px": size.0, "height_px": size.1},
        });
        println!("{report:#}");
        Ok(())
    }
}

fn mask_image(mask: &Array2<bool>) -> GrayImage {
    let (height, width) = mask.dim();
    GrayImage::from_fn(width as u32, height as u32, |x, y| {
        image::Luma([if mask[[y as usize, x as usize]] { 255 } else { 0 }])
    })
}

fn save(path: &Path, image: DynamicImage) -> anyhow::Result<()> {
    image.save_with_format(path, ImageFormat::Png).map_err(at(path))
}
