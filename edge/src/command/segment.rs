//! `medsa-edge segment`: segmentation of one frame.

use medsa_sam::typed::{parse_box, parse_point};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use image::{DynamicImage, GrayImage};
use medsa_bundle::{Build, Limits};
use medsa_frames::Clip;
use medsa_sam::mask::{self, CleanUp};
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use ndarray::Array2;
use serde::Serialize;

use crate::error::Error;
use crate::overlay::{self, Layer};
use medsa_engine::Engine;
use medsa_engine::frame_view;

/// Segments one frame and prints score, area and the latency of each stage as JSON.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Build to run (`.medsa`).
    #[arg(long, value_name = "FILE")]
    build: PathBuf,
    /// DICOM file, PNG, JPEG, or folder of images.
    #[arg(long, value_name = "PATH")]
    image: PathBuf,
    /// Number of the frame, from 0.
    #[arg(long, default_value_t = 0)]
    frame: usize,
    /// A click in frame pixels, on the structure (`X,Y`) or outside it (`X,Y,-`); repeatable.
    #[arg(long = "point", value_name = "X,Y[,-]", value_parser = parse_point, allow_hyphen_values = true)]
    points: Vec<Point>,
    /// A box around the structure, in frame pixels.
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", value_parser = parse_box, allow_hyphen_values = true)]
    bbox: Option<BoxXyxy>,
    /// PNG for the mask: size of the frame, values 0 and 255.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// PNG for the frame with outline and prompts.
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// Threads of the runtime, 1 to 64; by default all cores.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
}

/// Printed result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Intersection over union that the network predicts.
    pub score: f32,
    /// Area of the mask in frame pixels.
    pub area_px: usize,
    /// Size of the frame.
    pub frame: FrameReport,
    /// Duration of each stage in ms.
    pub latency_ms: LatencyReport,
}

/// Size of the frame.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FrameReport {
    /// Number of the frame in the file.
    pub index: usize,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

/// Duration of each stage in ms.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LatencyReport {
    /// Reading, checking and optimizing the build.
    pub load: f64,
    /// Reading and decompressing the frame.
    pub decode_frame: f64,
    /// Resizing, normalizing, padding.
    pub preprocess: f64,
    /// Image encoder.
    pub encode: f64,
    /// Prompt encoder and mask decoder.
    pub decode: f64,
    /// Cleaning the mask up, and resampling it to frame pixels.
    pub postprocess: f64,
}

/// Runs the command. Files are written only after everything else succeeded.
///
/// # Errors
/// [`Error`].
pub fn run(args: &Args) -> Result<Report, Error> {
    let mut lap = Instant::now();
    let mut lap_ms = move || {
        let begun = std::mem::replace(&mut lap, Instant::now());
        begun.elapsed().as_secs_f64() * 1e3
    };
    // The prompt is checked before the build is loaded, so that a wrong one is reported at once.
    let clip = Clip::open(&args.image)?;
    let frame = clip.frame(args.frame)?;
    let decode_frame = lap_ms();
    let view = frame_view(&frame)?;
    let prompt = Prompt::new(args.points.clone(), args.bbox, view.size())?;
    lap_ms();
    let build = Build::read(&args.build, &Limits::default())?;
    let threads = args.threads.and_then(|threads| NonZeroUsize::new(threads.into()));
    let threads = threads.or_else(|| std::thread::available_parallelism().ok());
    let engine = Engine::load(&build, threads.unwrap_or(NonZeroUsize::MIN))?;
    let load = lap_ms();
    let (image, geometry) = engine.preprocess().run(view);
    let preprocess = lap_ms();
    let embedding = engine.encode(&image)?;
    let encode = lap_ms();
    let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None)?;
    let decode = lap_ms();
    let (logits, score) = decoded.single();
    let mut logits = logits.to_owned();
    CleanUp::default().run(&mut logits, &geometry, &prompt);
    let in_frame = geometry.logits_in_frame(logits.view());
    let mask = in_frame.mapv(|logit| logit > 0.0);
    let postprocess = lap_ms();
    let report = Report {
        score,
        area_px: mask.iter().filter(|&&inside| inside).count(),
        frame: FrameReport { index: args.frame, width_px: frame.width, height_px: frame.height },
        latency_ms: LatencyReport { load, decode_frame, preprocess, encode, decode, postprocess },
    };
    save(&args.out, mask_image(&mask).into())?;
    if let Some(path) = &args.overlay {
        let caption =
            format!("frame {}   score {score:.2}   area {} px", args.frame, report.area_px);
        let outlines = mask::rings(in_frame.view());
        let layer = Layer { object: 0, outlines, points: args.points.clone(), bbox: args.bbox };
        save(path, overlay::draw(view, &[layer], &caption).into())?;
    }
    Ok(report)
}

fn mask_image(mask: &Array2<bool>) -> GrayImage {
    let (height, width) = mask.dim();
    GrayImage::from_fn(width as u32, height as u32, |x, y| {
        image::Luma([if mask[[y as usize, x as usize]] { 255 } else { 0 }])
    })
}

fn save(path: &Path, image: DynamicImage) -> Result<(), Error> {
    let format = image::ImageFormat::Png;
    image
        .save_with_format(path, format)
        .map_err(|source| Error::Image { path: path.to_owned(), source })
}
