//! Measures how well an object stays outlined, on a virtual clock: frames arrive at a fixed rate,
//! and each run of the encoder takes a given time, whatever the speed of this machine.
//!
//! `following BUILD CLIP [SWEEPS]`
//!
//! - CLIP, the echocardiography cine of `make demo`, is played forth and back for 60 s at 20 frames/s,
//!   with one click at each of ten places in the left ventricle.
//! - SWEEPS is a folder with `images` and `masks` of recordings, named RECORDING_NUMBER.png: two
//!   pictures per second, each encoded, one click in the middle of the first mask.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use medsa_bundle::{Build, Limits};
use medsa_edge::follow::Pyramid;
use medsa_edge::pipeline::{Change, Rehearsal, Shown};
use medsa_engine::{Embedding, Engine, frame_view};
use medsa_frames::{Clip, Frame};
use medsa_sam::prompt::Point;
use medsa_wire::topic::ObjectId;
use ndarray::Array2;

#[derive(Parser)]
struct Args {
    build: PathBuf,
    clip: PathBuf,
    sweeps: Option<PathBuf>,
}

/// Frames per second of the cine.
const RATE: usize = 20;

/// Seconds for which it is played.
const SECONDS: usize = 60;

/// Places in the left ventricle, in pixels of the cine.
const PLACES: [[f32; 2]; 10] = [
    [182.0, 115.0],
    [174.0, 115.0],
    [190.0, 115.0],
    [182.0, 105.0],
    [182.0, 125.0],
    [176.0, 107.0],
    [188.0, 123.0],
    [182.0, 95.0],
    [186.0, 101.0],
    [178.0, 133.0],
];

/// Frames with everything that does not depend on prompts.
struct Footage {
    frames: Vec<Frame>,
    pyramids: Vec<Arc<Pyramid>>,
    embeddings: Vec<Embedding>,
}

impl Footage {
    fn new(engine: &Engine, frames: Vec<Frame>) -> Result<Self, Box<dyn Error>> {
        let mut pyramids = Vec::new();
        let mut embeddings = Vec::new();
        for frame in &frames {
            let view = frame_view(frame)?;
            pyramids.push(Arc::new(Pyramid::new(view)));
            embeddings.push(engine.encode(&engine.preprocess().run(view).0)?);
        }
        Ok(Self { frames, pyramids, embeddings })
    }

    /// Plays frames in `order` with one click on the first. An encoder run takes as long as
    /// `encoder_frames` frames; 0 means that each frame is encoded before it is shown. Returns the
    /// mask shown on each frame.
    fn play(
        &self,
        engine: &Engine,
        order: &[usize],
        encoder_frames: usize,
        [x, y]: [f32; 2],
    ) -> Result<Vec<Option<Array2<bool>>>, Box<dyn Error>> {
        let object = ObjectId::new(0)?;
        let mut rehearsal = Rehearsal::default();
        let mut shown = Vec::new();
        let mut running: Option<usize> = None;
        for (time, &index) in order.iter().enumerate() {
            let frame = &self.frames[index];
            let size = (frame.width as usize, frame.height as usize);
            let mut now = rehearsal.arrive(time as u64, &self.pyramids[index], size).pop();
            if time == 0 {
                rehearsal.change(object, Change::Add(Point { x, y, positive: true }))?;
            }
            if running.is_none_or(|begun| begun + encoder_frames <= time) {
                let done = if encoder_frames == 0 { Some(time) } else { running };
                if let Some(done) = done {
                    let at = order[done];
                    let (frame, embedding) = (&self.frames[at], &self.embeddings[at]);
                    rehearsal.encoded(done as u64, frame, engine, embedding)?;
                    if encoder_frames == 0 {
                        now = rehearsal.shown().pop();
                    }
                }
                running = Some(time);
            }
            shown.push(now.map(|(_, mask)| inside(&mask)));
        }
        Ok(shown)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let build = Build::read(&args.build, &Limits::default())?;
    let engine = Engine::load(&build, NonZeroUsize::MIN)?;
    println!(
        "| scene | encoder ms | outlined | J | overlap with the first outline, least | mean |"
    );
    println!("|---|---|---|---|---|---|");
    cine(&engine, &args.clip)?;
    if let Some(sweeps) = &args.sweeps {
        recordings(&engine, sweeps)?;
    }
    Ok(())
}

fn cine(engine: &Engine, clip: &Path) -> Result<(), Box<dyn Error>> {
    let clip = Clip::open(clip)?;
    let frames = (0..clip.len()).map(|i| clip.frame(i)).collect::<Result<Vec<_>, _>>()?;
    let footage = Footage::new(engine, frames)?;
    let count = footage.frames.len();
    let period: Vec<_> = (0..count).chain((1..count - 1).rev()).collect();
    let order: Vec<_> = period.iter().copied().cycle().take(SECONDS * RATE).collect();
    for milliseconds in [100, 250, 500] {
        let (mut outlined, mut least, mut overlaps) = (Vec::new(), f32::MAX, Vec::new());
        for place in PLACES {
            let shown = footage.play(engine, &order, milliseconds * RATE / 1000, place)?;
            // Nothing can be shown before the first encoder run.
            let first = footage.play(engine, &[0], 0, place)?.pop().flatten();
            let first = first.ok_or("no mask on the first frame")?;
            outlined.push(share(shown.iter().skip(RATE).map(Option::is_some)));
            for (mask, _) in shown.iter().zip(&order).skip(1).filter(|(_, frame)| **frame == 0) {
                let overlap = mask.as_ref().map_or(0.0, |mask| overlap(mask, &first));
                least = least.min(overlap);
                overlaps.push(overlap);
            }
        }
        let fewest = outlined.iter().copied().fold(f32::MAX, f32::min);
        let mean = overlaps.iter().sum::<f32>() / overlaps.len() as f32;
        println!(
            "| cine, ten places | {milliseconds} | {fewest:.3} at least | | {least:.2} | {mean:.2} |"
        );
    }
    Ok(())
}

fn recordings(engine: &Engine, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut names: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("images"))? {
        let name = entry?.file_name().into_string().map_err(|_| "a name is not UTF-8")?;
        let recording = name.split('_').next().unwrap_or(&name).to_owned();
        names.entry(recording).or_default().push(name.into());
    }
    let read = |part: &str, name: &Path| Clip::open(&folder.join(part).join(name))?.frame(0);
    let (mut all, mut all_clicked, mut outlined) = (Vec::new(), Vec::new(), Vec::new());
    for (recording, mut names) in names {
        names.sort();
        let images =
            names.iter().map(|name| read("images", name)).collect::<Result<Vec<_>, _>>()?;
        let truth = names.iter().map(|name| read("masks", name)).collect::<Result<Vec<_>, _>>()?;
        let truth: Vec<_> = truth.iter().map(bright).collect();
        let footage = Footage::new(engine, images)?;
        let order: Vec<_> = (0..names.len()).collect();
        let shown = footage.play(engine, &order, 0, middle(&truth[0]))?;
        let found: Vec<_> = shown
            .iter()
            .zip(&truth)
            .map(|(m, t)| m.as_ref().map_or(0.0, |m| overlap(m, t)))
            .collect();
        // For comparison: a click at the structure's place in the picture before.
        let mut clicked = Vec::new();
        for index in order {
            let place = middle(&truth[index.saturating_sub(1)]);
            let mask = footage.play(engine, &[index], 0, place)?.pop().flatten();
            clicked.push(mask.map_or(0.0, |mask| overlap(&mask, &truth[index])));
        }
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let visible = share(shown.iter().map(Option::is_some));
        println!(
            "| sweep {recording}, {} pictures | 500 | {visible:.3} | {:.3}, clicked anew {:.3} | | |",
            found.len(),
            mean(&found),
            mean(&clicked)
        );
        all.extend(found);
        all_clicked.extend(clicked);
        outlined.extend(shown.iter().map(Option::is_some));
    }
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len().max(1) as f32;
    println!(
        "| all sweeps | 500 | {:.3} | {:.3}, clicked anew {:.3} | | |",
        share(outlined.into_iter()),
        mean(&all),
        mean(&all_clicked)
    );
    Ok(())
}

fn inside(shown: &Shown) -> Array2<bool> {
    shown.geometry.logits_in_frame(shown.logits.view()).mapv(|logit| logit > 0.0)
}

/// Pixels of a mask image that are not black.
fn bright(mask: &Frame) -> Array2<bool> {
    let (height, width) = (mask.height as usize, mask.width as usize);
    Array2::from_shape_fn((height, width), |(y, x)| mask.rgb[3 * (y * width + x)] > 0)
}

/// Centroid of a mask.
fn middle(mask: &Array2<bool>) -> [f32; 2] {
    let inside = || mask.indexed_iter().filter(|(_, inside)| **inside);
    let count = inside().count().max(1) as f32;
    let (x, y) = inside().fold((0.0, 0.0), |(x, y), ((row, column), _)| {
        (x + column as f32 / count, y + row as f32 / count)
    });
    [x, y]
}

/// Intersection over union.
fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f32 {
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let either = a.iter().zip(b).filter(|(a, b)| **a || **b).count();
    if either == 0 { 1.0 } else { both as f32 / either as f32 }
}

fn share(of: impl ExactSizeIterator<Item = bool>) -> f32 {
    let count = of.len().max(1) as f32;
    of.filter(|yes| *yes).count() as f32 / count
}
