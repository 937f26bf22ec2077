//! Measures how well objects are followed: plays images with known masks to the pipeline at the
//! rate of a camera, and compares the published masks with the known ones.
//!
//! `following BUILD IMAGES MASKS [--rate FPS] [--encoder-ms MS] [--motion] [--frames N]`
//!
//! IMAGES and MASKS are folders of images in the same order. `--encoder-ms` makes the encoder as
//! slow as on a small board. `--motion` plays the first image only, shifted, rotated and scaled back
//! and forth, with its mask. Prints a table of results with and without following.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use medsa_bundle::{Build, Limits};
use medsa_edge::Error;
use medsa_edge::config::{Following, Intake, Pace};
use medsa_edge::follow::Motion;
use medsa_edge::meter::Meter;
use medsa_edge::pipeline::{self, Bell, Change, Network, Objects, Pipeline, Segmenter, Slot};
use medsa_edge::source::{Event, Player, Received, Source};
use medsa_engine::{Decoded, Embedding, Engine};
use medsa_frames::{Clip, Frame};
use medsa_sam::image::Preprocess;
use medsa_sam::prompt::{Point, PromptTokens};
use medsa_wire::topic::ObjectId;
use medsa_wire::{MaskMessage, MaskState};
use ndarray::{Array2, Array4, ArrayView2};

#[derive(Parser)]
struct Args {
    build: PathBuf,
    images: PathBuf,
    masks: PathBuf,
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    #[arg(long, default_value_t = 0)]
    encoder_ms: u64,
    #[arg(long)]
    motion: bool,
    #[arg(long)]
    verbose: bool,
    /// Prompt with the bounding box of the first mask instead of a click at its centroid.
    #[arg(long)]
    bbox: bool,
    #[arg(long, default_value_t = 100)]
    frames: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let (images, masks) = (Clip::open(&args.images)?, Clip::open(&args.masks)?);
    let count = if args.motion { args.frames } else { images.len().min(args.frames) };
    let mut truth = Vec::new();
    let mut frames = Vec::new();
    for index in 0..count {
        let (frame, mask) = if args.motion {
            let moved = motion(index, images.frame(0)?);
            (warped(&images.frame(0)?, &moved), warped(&masks.frame(0)?, &moved))
        } else {
            (images.frame(index)?, masks.frame(index)?)
        };
        truth.push(inside(&mask));
        frames.push(frame);
    }
    println!(
        "| mode | frames with a mask | IoU of boxes, mean | lowest tenth | IoU of masks, mean | jitter px | flagged lost |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, following, pace) in [
        ("followed, live", Following::On, Pace::Live),
        ("not followed, live", Following::Off, Pace::Live),
        ("followed, every frame segmented", Following::On, Pace::EveryFrame),
        ("not followed, every frame segmented", Following::Off, Pace::EveryFrame),
    ] {
        let build = Build::read(&args.build, &Limits::default())?;
        let engine = Engine::load(&build, NonZeroUsize::new(1).ok_or("no thread")?)?;
        let encoder = Duration::from_millis(if pace == Pace::Live { args.encoder_ms } else { 0 });
        let interval = Duration::from_secs_f64(1.0 / args.rate);
        let published =
            play(engine, encoder, frames.clone(), interval, following, pace, &truth[0], args.bbox)?;
        if args.verbose {
            for (message, truth) in published.iter().zip(&truth) {
                let Some(m) = message else { continue };
                let found = in_frame(m, truth.dim());
                let (a, b) = (bounds(&found), bounds(truth));
                let iou = a.zip(b).map(|(a, b)| overlap_of_boxes(a, b));
                eprintln!(
                    "{} {:?} score {:.2} agreement {:.2?} IoU {iou:.2?} {a:?} truth {b:?}",
                    m.frame_id, m.state, m.score, m.agreement
                );
            }
        }
        println!("| {name} | {} |", report(&published, &truth));
    }
    Ok(())
}

/// Plays the frames; returns the mask on the screen during each frame.
#[allow(clippy::too_many_arguments)]
fn play(
    engine: Engine,
    encoder: Duration,
    frames: Vec<Frame>,
    interval: Duration,
    following: Following,
    pace: Pace,
    first: &Array2<bool>,
    bbox: bool,
) -> Result<Vec<Option<MaskMessage>>, Error> {
    let bell = Arc::new(Bell::default());
    let objects = Arc::new(Objects::new(bell.clone(), following));
    objects.fit((frames[0].width as usize, frames[0].height as usize), |_, _| {});
    let [x0, y0, x1, y1] = bounds(first).unwrap_or_default();
    let change = if bbox {
        Change::Set { points: Vec::new(), bbox: Some([x0, y0, x1, y1]) }
    } else {
        let (x, y) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
        Change::Add(Point { x, y, positive: true })
    };
    let object = ObjectId::new(0).unwrap_or_else(|_| unreachable!("0 is an object"));
    objects.change(object, change)?;
    let mut published: Vec<Option<MaskMessage>> = vec![None; frames.len()];
    let source = Camera { frames: frames.into_iter(), interval, due: Instant::now() };
    let player = Player::new(Box::new(source), pace, Intake::default());
    let segmenter = Slowed { engine, encoder };
    let slot = Slot::new(Network { segmenter, build: Arc::default(), manifest: None }, None);
    let meter = Arc::new(Meter::new());
    let (pipeline, mut masks) = Pipeline::start(player, slot, objects, bell, meter, 1024)?;
    while let Some(ready) = masks.blocking_recv() {
        let message = *ready.message;
        let frame_id = message.frame_id as usize;
        // The mask shown with a frame is the newest one published before the next frame.
        let age = ready.captured.elapsed().as_secs_f64() / interval.as_secs_f64();
        let seen_from = if pace == Pace::Live { frame_id + age as usize } else { frame_id };
        for shown in published.iter_mut().skip(seen_from) {
            if shown.as_ref().is_none_or(|shown| shown.frame_id <= message.frame_id) {
                *shown = Some(message.clone());
            }
        }
    }
    pipeline.join()?;
    Ok(published)
}

fn report(published: &[Option<MaskMessage>], truth: &[Array2<bool>]) -> String {
    let mut boxes = Vec::new();
    let mut masks = Vec::new();
    let mut centroids = Vec::new();
    let mut lost = 0;
    let mut count = 0;
    for (message, truth) in published.iter().zip(truth) {
        let Some(message) = message else { continue };
        count += 1;
        if message.state == MaskState::Lost {
            lost += 1;
            continue;
        }
        let found = in_frame(message, truth.dim());
        if let (Some(a), Some(b)) = (bounds(&found), bounds(truth)) {
            boxes.push(overlap_of_boxes(a, b));
        }
        masks.push(overlap(&found, truth));
        if let Some(measured) = &message.measured {
            let (frame, at) = (message.frame_id, measured.centroid_px);
            centroids.push((frame, [at.x, at.y]));
        }
    }
    // How much the centroid's velocity changes from frame to frame.
    let jitter: Vec<f32> = centroids
        .windows(3)
        .filter(|w| w[2].0 - w[0].0 == 2)
        .map(|w| {
            let change = |axis: usize| w[2].1[axis] - 2.0 * w[1].1[axis] + w[0].1[axis];
            change(0).hypot(change(1))
        })
        .collect();
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len().max(1) as f32;
    boxes.sort_by(f32::total_cmp);
    let lowest = boxes.get(boxes.len() / 10).copied().unwrap_or(0.0);
    format!(
        "{count} of {} | {:.3} | {lowest:.3} | {:.3} | {:.2} | {lost}",
        truth.len(),
        mean(&boxes),
        mean(&masks),
        mean(&jitter)
    )
}

struct Camera {
    frames: std::vec::IntoIter<Frame>,
    interval: Duration,
    due: Instant,
}

impl Source for Camera {
    fn next(&mut self, wait: Duration) -> Event {
        let left = self.due.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(wait));
        if left > wait {
            return Event::Nothing;
        }
        let captured = Instant::now();
        self.due = (self.due + self.interval).max(captured);
        let received = |frame| Received { frame, captured, source_us: None, missed: 0 };
        self.frames.next().map_or(Event::Ended, |frame| Event::Frame(received(frame)))
    }
}

/// An engine whose encoder takes at least `encoder` per frame.
struct Slowed {
    engine: Engine,
    encoder: Duration,
}

impl Segmenter for Slowed {
    type Embedding = Embedding;

    fn preprocess(&self) -> &Preprocess {
        self.engine.preprocess()
    }

    fn mask_side_px(&self) -> usize {
        self.engine.mask_side_px()
    }

    fn encode(&self, image: &Array4<f32>) -> Result<Embedding, pipeline::Error> {
        let begun = Instant::now();
        let embedding = self.engine.encode(image)?;
        std::thread::sleep(self.encoder.saturating_sub(begun.elapsed()));
        Ok(embedding)
    }

    fn decode(
        &self,
        embedding: &Embedding,
        prompt: &PromptTokens,
        previous_mask: Option<ArrayView2<f32>>,
    ) -> Result<Decoded, pipeline::Error> {
        Ok(self.engine.decode(embedding, prompt, previous_mask)?)
    }
}

/// Motion of the image at a frame: shifted back and forth by a tenth of its width, rotated by up to
/// ten degrees, scaled by up to a tenth.
fn motion(index: usize, frame: Frame) -> Motion {
    let time = index as f32 / 20.0;
    let (width, height) = (frame.width as f32, frame.height as f32);
    let angle = 0.17 * (1.3 * time).sin();
    let scale = 1.0 + 0.1 * (0.9 * time).sin();
    let shift = [0.1 * width * (1.1 * time).sin(), 0.06 * height * (1.7 * time).sin()];
    let around = |[x, y]: [f32; 2]| {
        let (u, v) = (x - width / 2.0, y - height / 2.0);
        let (cos, sin) = (angle.cos() * scale, angle.sin() * scale);
        [width / 2.0 + u * cos - v * sin + shift[0], height / 2.0 + u * sin + v * cos + shift[1]]
    };
    let pairs = [[0.0, 0.0], [width, 0.0], [0.0, height]].map(|p| (p, around(p)));
    Motion::fit(&pairs, &[1.0; 3]).unwrap_or(Motion::NONE)
}

fn warped(frame: &Frame, motion: &Motion) -> Frame {
    let back = motion.inverse();
    let (width, height) = (frame.width as usize, frame.height as usize);
    let pixel = |x: usize, y: usize| -> [u8; 3] {
        let at = 3 * (y * width + x);
        [frame.rgb[at], frame.rgb[at + 1], frame.rgb[at + 2]]
    };
    let rgb = (0..width * height)
        .flat_map(|i| {
            let [x, y] = back.apply([(i % width) as f32, (i / width) as f32]);
            if x < 0.0 || y < 0.0 || x as usize + 1 >= width || y as usize + 1 >= height {
                return [0; 3];
            }
            let (left, top) = (x as usize, y as usize);
            let (fx, fy) = (x - x.floor(), y - y.floor());
            let corners = [
                (pixel(left, top), (1.0 - fx) * (1.0 - fy)),
                (pixel(left + 1, top), fx * (1.0 - fy)),
                (pixel(left, top + 1), (1.0 - fx) * fy),
                (pixel(left + 1, top + 1), fx * fy),
            ];
            [0, 1, 2].map(|c| {
                let sum: f32 = corners.iter().map(|(pixel, w)| f32::from(pixel[c]) * w).sum();
                sum.round() as u8
            })
        })
        .collect();
    Frame { rgb, ..frame.clone() }
}

fn inside(mask: &Frame) -> Array2<bool> {
    let (width, height) = (mask.width as usize, mask.height as usize);
    Array2::from_shape_fn((height, width), |(y, x)| mask.rgb[3 * (y * width + x)] > 0)
}

fn in_frame(message: &MaskMessage, (height, width): (usize, usize)) -> Array2<bool> {
    let mask = &message.mask;
    let cells: Vec<bool> = mask.bits().collect();
    let (columns, rows) = (usize::from(mask.width()), usize::from(mask.height()));
    Array2::from_shape_fn((height, width), |(y, x)| {
        cells[y * rows / height * columns + x * columns / width]
    })
}

fn bounds(mask: &Array2<bool>) -> Option<[f32; 4]> {
    let set =
        || mask.indexed_iter().filter(|(_, set)| **set).map(|((y, x), _)| (x as f32, y as f32));
    let x0 = set().map(|(x, _)| x).reduce(f32::min)?;
    let x1 = set().map(|(x, _)| x).reduce(f32::max)?;
    let y0 = set().map(|(_, y)| y).reduce(f32::min)?;
    let y1 = set().map(|(_, y)| y).reduce(f32::max)?;
    Some([x0, y0, x1 + 1.0, y1 + 1.0])
}

fn overlap_of_boxes(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let area = |c: [f32; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    let both = side(0) * side(1);
    both / (area(a) + area(b) - both)
}

fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f32 {
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let either = a.iter().zip(b).filter(|(a, b)| **a || **b).count();
    if either == 0 { 1.0 } else { both as f32 / either as f32 }
}
