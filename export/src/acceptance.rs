//! Synthetic frames on which a device must reproduce the masks computed here. Real frames would
//! copy patient images to every device.

use std::collections::BTreeMap;

use medsa_bundle::AcceptanceVector;
use medsa_frames::Frame;
use medsa_sam::prompt::{Point, Prompt};
use ndarray::Array2;

use crate::card::{Scene, ScenePrediction};
use crate::error::Error;
use crate::image_file;
use crate::runner::Runner;

/// Smallest IoU of a device's mask with ours. Runtimes round functions differently, and a value
/// close to the middle between two quantized values may be rounded either way.
const MIN_IOU: f64 = 0.9;

const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

/// Vessels: ellipses (centre and half axes, in pixels) with a bright wall in speckle.
const VESSELS: [[f32; 4]; 5] = [
    [80.0, 60.0, 27.0, 20.0],
    [47.0, 40.0, 20.0, 23.0],
    [113.0, 73.0, 32.0, 19.0],
    [73.0, 83.0, 40.0, 24.0],
    [100.0, 37.0, 18.0, 18.0],
];

/// A synthetic frame with its ground truth and prompts.
pub struct Phantom {
    /// Name of its file in a build.
    pub file: String,
    /// The frame.
    pub frame: Frame,
    /// Ground truth: the pixels of the vessel's wall and lumen, `[H, W]`.
    pub truth: Array2<bool>,
    /// The box around the vessel and, for networks that understand clicks, a click on its centre.
    pub prompts: Vec<Prompt>,
}

/// All synthetic frames; their prompts include clicks if `clicks` is true.
///
/// # Errors
/// None in practice, since the prompts fit the frames.
pub fn phantoms(clicks: bool) -> Result<Vec<Phantom>, Error> {
    let phantom = |(i, vessel): (usize, [f32; 4])| {
        let [x, y, a, b] = vessel;
        let size = (WIDTH as usize, HEIGHT as usize);
        let mut prompts = vec![Prompt::new(Vec::new(), Some([x - a, y - b, x + a, y + b]), size)?];
        if clicks {
            prompts.push(Prompt::new(vec![Point { x, y, positive: true }], None, size)?);
        }
        let truth = Array2::from_shape_fn((size.1, size.0), |(row, column)| {
            distance(vessel, column as u32, row as u32) < 1.0
        });
        let file = format!("acceptance/{i}.png");
        Ok(Phantom { file, frame: image(i as u32, vessel), truth, prompts })
    };
    VESSELS.into_iter().enumerate().map(phantom).collect()
}

/// One mask `[H, W]` for each prompt of a phantom.
pub type Masks = Vec<Array2<bool>>;

/// Masks predicted by `network`.
///
/// # Errors
/// The network failed.
pub fn predict(network: &Runner, phantoms: &[Phantom]) -> Result<Vec<Masks>, Error> {
    phantoms.iter().map(|phantom| network.masks(&phantom.frame, &phantom.prompts)).collect()
}

/// Acceptance vectors: the masks that a device must reproduce.
pub fn vectors(phantoms: &[Phantom], predictions: &[Masks]) -> Vec<AcceptanceVector> {
    let of_phantom = |(phantom, masks): (&Phantom, &Masks)| -> Vec<AcceptanceVector> {
        let prompted = phantom.prompts.iter().zip(masks);
        let vector = prompted.map(|(prompt, mask)| AcceptanceVector {
            frame: phantom.file.clone(),
            clicks: prompt.points().iter().map(|point| [point.x, point.y]).collect(),
            bbox: prompt.bbox(),
            mask_runs: AcceptanceVector::runs(mask.iter().copied()),
            min_iou: MIN_IOU,
        });
        vector.collect()
    };
    phantoms.iter().zip(predictions).flat_map(of_phantom).collect()
}

/// The frames as files of a build.
///
/// # Errors
/// An image cannot be encoded.
pub fn frames(phantoms: &[Phantom]) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let file = |phantom: &Phantom| Ok((phantom.file.clone(), image_file::png(&phantom.frame)?));
    phantoms.iter().map(file).collect()
}

/// The frames as scenes of the card. If `in_float` is given, `predictions` are compared with it.
pub fn scenes(
    phantoms: &[Phantom],
    predictions: &[Masks],
    in_float: Option<&[Masks]>,
) -> Vec<Scene> {
    let prediction = |frame: usize, number: usize| {
        let Phantom { prompts, truth, .. } = &phantoms[frame];
        let (prompt, found) = (prompts[number].clone(), predictions[frame][number].clone());
        let (reference, built) = match in_float {
            Some(in_float) => (in_float[frame][number].clone(), Some(found)),
            None => (found, None),
        };
        let kind = if prompt.bbox().is_some() { "a box" } else { "a click" }.to_owned();
        ScenePrediction { kind, prompt, truth: truth.clone(), reference, built }
    };
    let scene = |(i, phantom): (usize, &Phantom)| Scene {
        name: format!("Frame {}", i + 1),
        frame: phantom.frame.clone(),
        predictions: (0..phantom.prompts.len()).map(|number| prediction(i, number)).collect(),
    };
    phantoms.iter().enumerate().map(scene).collect()
}

fn image(seed: u32, vessel: [f32; 4]) -> Frame {
    let value = |column: u32, row: u32| {
        let depth = row as f32 / HEIGHT as f32;
        let tissue = 150.0 - 70.0 * depth;
        let level = match distance(vessel, column, row) {
            d if d < 0.92 => 14.0,
            d if d < 1.08 => 215.0,
            _ => tissue,
        };
        // Speckle: coarse and fine multiplicative noise.
        let speckle =
            0.55 + 0.5 * noise(seed, column / 3, row / 2) + 0.4 * noise(!seed, column, row);
        (level * speckle).clamp(0.0, 255.0) as u8
    };
    let pixels = (0..HEIGHT).flat_map(|row| (0..WIDTH).map(move |column| (column, row)));
    let rgb = pixels.flat_map(|(column, row)| [value(column, row); 3]).collect();
    Frame { width: WIDTH, height: HEIGHT, rgb, pixel_spacing_mm: None }
}

/// Distance from the vessel's centre, as a fraction of the distance to the middle of its wall.
fn distance([x, y, a, b]: [f32; 4], column: u32, row: u32) -> f32 {
    let (dx, dy) = ((column as f32 - x) / a, (row as f32 - y) / b);
    dx.hypot(dy)
}

/// Pseudorandom noise from 0 to 1.
fn noise(seed: u32, x: u32, y: u32) -> f32 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9) ^ x.wrapping_mul(0x85eb_ca6b) ^ (y << 16);
    for _ in 0..3 {
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d);
    }
    (mixed >> 8) as f32 / (1 << 24) as f32
}
