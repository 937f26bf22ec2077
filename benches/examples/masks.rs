//! Measures what each step of the clean-up of masks changes on images of data sets, and how long
//! it takes.
//!
//! `masks BASE ADAPTER DATA SPLITS [COUNT] [PART]`: base model, adapter, folder of data sets, folder
//! of their splits; at most COUNT images of each set (40), of `test` (default) or `validation`.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use candle_core::Device;
use medsa_sam::image::{Geometry, RgbView};
use medsa_sam::mask::{CleanUp, Ring, rings};
use medsa_sam::prompt::{Point, Prompt};
use medsa_trainer::data::{Part, Targets};
use medsa_trainer::metrics::Scores;
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{DataConfig, Network, Stock};
use medsa_trainer::{Adapter, Checkpoint};
use ndarray::{Array2, Axis, Ix3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const SETS: [&str; 5] = ["usgra-nerve", "hc18-fetal-head", "carotid", "vocalfolds", "kvasir-seg"];
const PROMPTS: [PromptKind; 2] = [PromptKind::Center, PromptKind::Box75];

/// Steps of the clean-up; each line of the table has all steps up to its own.
const STEPS: [&str; 5] = ["cells", "+ parts", "+ holes", "+ smoothing", "+ sub-pixel"];

/// Smallest target in pixels.
const MIN_PX: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [base, adapter, data, splits, rest @ ..] = &args[..] else {
        return Err("usage: masks BASE ADAPTER DATA SPLITS [COUNT] [PART]".into());
    };
    let count: usize = rest.first().map_or(Ok(40), |count| count.parse())?;
    let part = match rest.get(1).map(String::as_str) {
        None | Some("test") => Part::Test,
        Some("validation") => Part::Validation,
        Some(other) => return Err(format!("part {other}, expected test or validation").into()),
    };
    time()?;
    let sam = Adapter::read(Path::new(adapter))?.sam(&Checkpoint::read(Path::new(base))?, None)?;
    let network = Network::new(sam, Device::Cpu);
    println!("\n| set, prompt, masks | step | Dice | NSD 2 px | outlines | turns (annotator's) |");
    println!("|---|---|---|---|---|---|");
    for set in SETS {
        let (folder, split) = (Path::new(data).join(set), Path::new(splits).join(set));
        let split = split.with_extension("json");
        let stock = Stock::open(&DataConfig::new(&folder, Some(&split), &[]))?;
        let items = stock.expect(part)?;
        let used = count.min(items.len());
        let mut sums = [[Sums::default(); STEPS.len()]; PROMPTS.len()];
        for i in 0..used {
            measure(&network, &stock, items[i * items.len() / used], &mut sums)?;
        }
        for (prompt, sums) in PROMPTS.iter().zip(&sums) {
            for (step, sums) in STEPS.iter().zip(sums) {
                println!("| {set}, {}, {} | {step} | {sums} |", prompt.name(), sums.count);
            }
        }
    }
    Ok(())
}

/// Sums over masks.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: usize,
    dice: f64,
    nsd: f64,
    outlines: f64,
    turns: f64,
    true_turns: f64,
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let mean = |sum: f64| sum / self.count as f64;
        write!(f, "{:.3} | {:.3} | {:.2}", mean(self.dice), mean(self.nsd), mean(self.outlines))?;
        write!(f, " | {:.2} ({:.2})", mean(self.turns), mean(self.true_turns))
    }
}

/// Adds all masks of one image to `sums`.
fn measure(
    network: &Network,
    stock: &Stock,
    item: usize,
    sums: &mut [[Sums; STEPS.len()]; PROMPTS.len()],
) -> Result<(), Box<dyn Error>> {
    let sample = stock.read(item, 1)?.swap_remove(0);
    let frame = (sample.width, sample.height);
    let view = RgbView::new(frame.0, frame.1, &sample.rgb)?;
    let (image, geometry) = network.sam().config().preprocess.run(view);
    let embedding = network.embedding(&network.features(&image, 1)?, 1)?;
    let side = network.sam().config().mask_side();
    // Fine enough for corners of the cells of a mask, coarser than an annotator's pixels.
    let step_px = (frame.0.max(frame.1) as f32 / 256.0).max(2.0);
    let mut rng = ChaCha8Rng::seed_from_u64(item as u64);
    for (_, truth) in sample.targets(Targets::Largest, MIN_PX) {
        let true_turns = turns(&annotated(&truth, &geometry, side), step_px);
        for (kind, sums) in PROMPTS.iter().zip(&mut *sums) {
            let prompt = kind.plan().start(&mut rng, truth.view()).prompt(frame)?;
            let logits = network.predict(&embedding, &prompt.tokens(&geometry), None)?;
            let logits = network.array(logits.value())?.into_dimensionality::<Ix3>()?;
            let logits = logits.index_axis_move(Axis(0), 0);
            for (step, sums) in sums.iter_mut().enumerate() {
                let cleaned = cleaned_to(step, logits.clone(), &geometry, &prompt);
                let found = cleaned.mapv(|logit| logit > 0.0);
                let outlines = rings(cleaned.view());
                sums.count += 1;
                let scores = Scores::new(found.view(), truth.view());
                sums.dice += scores.dice;
                sums.nsd += scores.nsd_2px;
                sums.outlines += outlines.len() as f64;
                sums.turns += turns(&outlines, step_px);
                sums.true_turns += true_turns;
            }
        }
    }
    Ok(())
}

/// Logits in the frame `[H, W]` after the steps up to `step`.
fn cleaned_to(
    step: usize,
    mut logits: Array2<f32>,
    geometry: &Geometry,
    prompt: &Prompt,
) -> Array2<f32> {
    let mut clean_up = CleanUp::default();
    if step >= 3 {
        clean_up.smooth(&mut logits, geometry);
    }
    if step >= 1 {
        clean_up.keep_supported(&mut logits, geometry, prompt);
    }
    if step >= 2 {
        clean_up.close_holes(&mut logits, geometry, prompt);
    }
    if step < 4 {
        logits.mapv_inplace(|logit| if logit > 0.0 { 1.0 } else { -1.0 });
    }
    geometry.logits_in_frame(logits.view())
}

/// Outlines of an annotator's mask at the resolution of a network's mask of `side` cells, without
/// the stairs of pixels.
fn annotated(truth: &Array2<bool>, geometry: &Geometry, side: usize) -> Vec<Ring> {
    let size = (side, side);
    let mut inside = Array2::<f32>::zeros(size);
    let mut pixels = inside.clone();
    for ((y, x), &truth) in truth.indexed_iter() {
        let [x, y] = geometry.to_cell([x as f32, y as f32], size).map(|at| at.round() as usize);
        inside[[y, x]] += f32::from(u8::from(truth));
        pixels[[y, x]] += 1.0;
    }
    // Cells without pixels are not in the frame.
    let logits = inside / pixels - 0.5;
    rings(geometry.logits_in_frame(logits.view()).view())
}

/// Total absolute curvature of outlines in turns of 360 degrees, 1 for each convex outline. Outlines
/// are sampled every `step_px`.
fn turns(outlines: &[Ring], step_px: f32) -> f64 {
    let turns = outlines.iter().map(|outline| {
        let points = sampled(outline, step_px);
        let at = |i: usize| points[i % points.len()];
        let angle = |i: usize| {
            let ([x0, y0], [x1, y1], [x2, y2]) = (at(i), at(i + 1), at(i + 2));
            let ((ux, uy), (vx, vy)) = ((x1 - x0, y1 - y0), (x2 - x1, y2 - y1));
            f64::from((ux * vy - uy * vx).atan2(ux * vx + uy * vy).abs())
        };
        (0..points.len()).map(angle).sum::<f64>()
    });
    turns.sum::<f64>() / std::f64::consts::TAU
}

/// Points on a closed polygon at equal distances of about `step_px`, at least eight.
fn sampled(outline: &[[f32; 2]], step_px: f32) -> Ring {
    let ends = outline.iter().zip(outline.iter().cycle().skip(1));
    let sides: Vec<_> = ends.map(|(a, b)| (a, b, (b[0] - a[0]).hypot(b[1] - a[1]))).collect();
    let length: f32 = sides.iter().map(|(_, _, side)| side).sum();
    let count = ((length / step_px) as usize).max(8);
    let (mut points, mut passed) = (Vec::new(), 0.0);
    for (a, b, side) in sides {
        while points.len() < count {
            let share = (length * points.len() as f32 / count as f32 - passed) / side;
            if share.is_nan() || share > 1.0 {
                break;
            }
            points.push([0, 1].map(|axis| a[axis] + (b[axis] - a[axis]) * share));
        }
        passed += side;
    }
    points
}

/// Prints the shortest of many times of the clean-up of a ragged mask with islands and holes.
fn time() -> Result<(), Box<dyn Error>> {
    const FRAME: (usize, usize) = (800, 600);
    const RUNS: usize = 500;
    let click = Point { x: 400.0, y: 225.0, positive: true };
    let prompt = Prompt::new(vec![click], None, FRAME)?;
    let mut clean_up = CleanUp::default();
    println!("| mask, cells | clean-up, µs |\n|---|---|");
    for side in [128, 256] {
        let geometry = Geometry::new(FRAME, side);
        let centre = side as f32 / 2.0;
        let ragged = Array2::from_shape_fn((side, side), |(y, x)| {
            let noise = ((x * 31 + y * 17) % 23) as f32 / 23.0 - 0.5;
            let distance = (x as f32 - centre).hypot(y as f32 - 0.75 * centre);
            0.4 * centre - distance + 0.2 * centre * noise
        });
        let times = (0..RUNS).map(|_| {
            let mut logits = ragged.clone();
            let begin = Instant::now();
            clean_up.run(&mut logits, &geometry, &prompt);
            begin.elapsed().as_secs_f64() * 1e6
        });
        let fastest = times.fold(f64::INFINITY, f64::min);
        println!("| {side} x {side} | {fastest:.0} |");
    }
    Ok(())
}
