//! `medsa-edge segment`: segmentation of one frame.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use image::{DynamicImage, GrayImage, ImageFormat};
use medsa_bundle::{Build, Limits};
use medsa_frames::Clip;
use medsa_sam::mask::{self, CleanUp};
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use medsa_sam::typed::{parse_box, parse_point};
use ndarray::Array2;
use serde::Serialize;

use crate::error::Error;
use crate::measure::Measured;
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
    /// File for the mask, `.png`: size of the frame, values 0 and 255.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File for the frame with outline and prompts, `.png`, `.jpg` or `.jpeg`.
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
    /// Measurements of the largest part of the mask; `None` for an empty mask.
    pub measured: Option<MeasuredReport>,
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

/// Measurements of the largest part of the mask, as in records.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MeasuredReport {
    /// Number of parts of the mask.
    pub parts: u32,
    /// Area in pixels.
    pub area_px: u32,
    /// Largest Feret diameter in pixels.
    pub longest_px: f32,
    /// Smallest Feret diameter in pixels.
    pub shortest_px: f32,
    /// Pixel spacing in mm, `[down the rows, along a row]`; `None` if it is not known, or differs
    /// within the part.
    pub pixel_spacing_mm: Option<[f32; 2]>,
    /// Area in mm², if the pixel spacing is known.
    pub area_mm2: Option<f32>,
    /// Largest Feret diameter in mm, likewise.
    pub longest_mm: Option<f32>,
    /// Smallest Feret diameter in mm, likewise.
    pub shortest_mm: Option<f32>,
}

impl From<&Measured> for MeasuredReport {
    fn from(
        &Measured { parts, area_px, longest_px, shortest_px, physical, .. }: &Measured,
    ) -> Self {
        Self {
            parts,
            area_px,
            longest_px,
            shortest_px,
            pixel_spacing_mm: physical.map(|physical| physical.pixel_spacing_mm),
            area_mm2: physical.map(|physical| physical.area_mm2),
            longest_mm: physical.map(|physical| physical.longest_mm),
            shortest_mm: physical.map(|physical| physical.shortest_mm),
        }
    }
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
    // Files and prompt are checked before the build is loaded, so that a wrong one is reported at
    // once.
    let outputs = Outputs::check(args)?;
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
        measured: Measured::of(in_frame.view(), frame.pixel_spacing_mm.as_ref())
            .as_ref()
            .map(MeasuredReport::from),
        frame: FrameReport { index: args.frame, width_px: frame.width, height_px: frame.height },
        latency_ms: LatencyReport { load, decode_frame, preprocess, encode, decode, postprocess },
    };
    outputs.mask.save(mask_image(&mask).into())?;
    if let Some(overlay) = &outputs.overlay {
        let caption =
            format!("frame {}   score {score:.2}   area {} px", args.frame, report.area_px);
        let outlines = mask::rings(in_frame.view());
        let layer = Layer { object: 0, outlines, points: args.points.clone(), bbox: args.bbox };
        overlay.save(overlay::draw(view, &[layer], &caption).into())?;
    }
    Ok(report)
}

fn mask_image(mask: &Array2<bool>) -> GrayImage {
    let (height, width) = mask.dim();
    GrayImage::from_fn(width as u32, height as u32, |x, y| {
        image::Luma([if mask[[y as usize, x as usize]] { 255 } else { 0 }])
    })
}

/// Files to write.
struct Outputs<'a> {
    mask: Output<'a>,
    overlay: Option<Output<'a>>,
}

/// A file to write, in the format of its extension.
struct Output<'a> {
    path: &'a Path,
    format: ImageFormat,
}

impl<'a> Outputs<'a> {
    /// Checks extensions, and that no file of the command is overwritten.
    fn check(args: &'a Args) -> Result<Self, Error> {
        // JPEG would blur the border of a mask.
        let mask =
            Output::new("--out", &args.out, &[ImageFormat::Png], "a file that ends in .png")?;
        let expected = "a file that ends in .png, .jpg or .jpeg";
        let formats = [ImageFormat::Png, ImageFormat::Jpeg];
        let overlay = args.overlay.as_deref();
        let overlay = overlay.map(|path| Output::new("--overlay", path, &formats, expected));
        let overlay = overlay.transpose()?;
        for (argument, path) in [("--out", Some(&args.out)), ("--overlay", args.overlay.as_ref())] {
            let Some(path) = path else { continue };
            for (input, expected) in [
                (&args.image, "another file than --image, which would be overwritten"),
                (&args.build, "another file than --build, which would be overwritten"),
            ] {
                if is_in(path, input) {
                    return Err(refused(argument, path, expected));
                }
            }
        }
        if let Some(overlay) = &overlay
            && (overlay.path == mask.path || is_in(overlay.path, mask.path))
        {
            return Err(refused("--overlay", overlay.path, "another file than --out"));
        }
        Ok(Self { mask, overlay })
    }
}

impl<'a> Output<'a> {
    fn new(
        argument: &str,
        path: &'a Path,
        formats: &[ImageFormat],
        expected: &'static str,
    ) -> Result<Self, Error> {
        let format = ImageFormat::from_path(path).ok().filter(|format| formats.contains(format));
        let format = format.ok_or_else(|| refused(argument, path, expected))?;
        Ok(Self { path, format })
    }

    fn save(&self, image: DynamicImage) -> Result<(), Error> {
        image
            .save_with_format(self.path, self.format)
            .map_err(|source| Error::Image { path: self.path.to_owned(), source })
    }
}

fn refused(argument: &str, path: &Path, expected: &'static str) -> Error {
    Error::Argument { argument: argument.to_owned(), found: path.display().to_string(), expected }
}

/// True if `path` exists, and is `input` or a file in the folder `input`, by whatever names.
fn is_in(path: &Path, input: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let Some(found) = identity(path) else { return false };
    let mut files = fs::read_dir(input).into_iter().flatten().flatten();
    identity(input) == Some(found) || files.any(|file| identity(&file.path()) == Some(found))
}
