//! Synthetic frames that a build must answer on a device as it did here. Real ones would carry
//! somebody's pictures to every device.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{GrayImage, ImageFormat};
use medsa_bundle::{Acceptance, AcceptanceVector};
use medsa_frames::Frame;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};

use crate::error::Error;
use crate::runner::Runner;

/// Least IoU of a device's mask with ours: runtimes differ in how they round functions, and a
/// value near the edge between two steps may fall either way.
const MIN_IOU: f64 = 0.9;

const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

/// A vessel: an ellipse (middle and half axes, in pixels) with a bright wall in speckle.
const VESSELS: [[f32; 4]; 5] = [
    [80.0, 60.0, 27.0, 20.0],
    [47.0, 40.0, 20.0, 23.0],
    [113.0, 73.0, 32.0, 19.0],
    [73.0, 83.0, 40.0, 24.0],
    [100.0, 37.0, 18.0, 18.0],
];

/// Asks `network` about synthetic frames: with a box each, and with a click if `clicks`. Gives what
/// a device is to answer, and the frames as files of the build.
///
/// # Errors
/// The network's.
pub fn vectors(
    network: &Runner,
    clicks: bool,
) -> Result<(Acceptance, BTreeMap<String, Vec<u8>>), Error> {
    let (mut acceptance, mut files) = (Acceptance::default(), BTreeMap::new());
    for (i, vessel) in VESSELS.into_iter().enumerate() {
        let frame = picture(i as u32, vessel);
        let name = format!("acceptance/{i}.png");
        let [x, y, a, b] = vessel;
        let mut asked: Vec<(Vec<[f32; 2]>, Option<BoxXyxy>)> =
            vec![(Vec::new(), Some([x - a, y - b, x + a, y + b]))];
        if clicks {
            asked.push((vec![[x, y]], None));
        }
        let size = (frame.width as usize, frame.height as usize);
        let prompt = |(clicks, bbox): &(Vec<[f32; 2]>, Option<BoxXyxy>)| {
            let point = |&[x, y]: &[f32; 2]| Point { x, y, positive: true };
            Prompt::new(clicks.iter().map(point).collect(), *bbox, size)
        };
        let prompts = asked.iter().map(prompt).collect::<Result<Vec<_>, _>>()?;
        let masks = network.masks(&frame, &prompts)?;
        for ((clicks, bbox), mask) in asked.into_iter().zip(masks) {
            acceptance.vectors.push(AcceptanceVector {
                frame: name.clone(),
                clicks,
                bbox,
                mask_runs: AcceptanceVector::runs(mask.iter().copied()),
                min_iou: MIN_IOU,
            });
        }
        let mut png = Cursor::new(Vec::new());
        let grey = frame.rgb.iter().step_by(3).copied().collect();
        let image = GrayImage::from_raw(frame.width, frame.height, grey);
        let image = image.expect("a picture has as many pixels as it says");
        image.write_to(&mut png, ImageFormat::Png)?;
        files.insert(name, png.into_inner());
    }
    Ok((acceptance, files))
}

fn picture(seed: u32, [x, y, a, b]: [f32; 4]) -> Frame {
    let value = |column: u32, row: u32| {
        let (dx, dy) = ((column as f32 - x) / a, (row as f32 - y) / b);
        let (distance, depth) = (dx.hypot(dy), row as f32 / HEIGHT as f32);
        let tissue = 150.0 - 70.0 * depth;
        let level = match distance {
            d if d < 0.92 => 14.0,
            d if d < 1.08 => 215.0,
            _ => tissue,
        };
        // Speckle: coarse and fine noise that multiplies.
        let speckle =
            0.55 + 0.5 * noise(seed, column / 3, row / 2) + 0.4 * noise(!seed, column, row);
        (level * speckle).clamp(0.0, 255.0) as u8
    };
    let pixels = (0..HEIGHT).flat_map(|row| (0..WIDTH).map(move |column| (column, row)));
    let rgb = pixels.flat_map(|(column, row)| [value(column, row); 3]).collect();
    Frame { width: WIDTH, height: HEIGHT, rgb, pixel_spacing_mm: None }
}

/// From 0 to 1, without a pattern.
fn noise(seed: u32, x: u32, y: u32) -> f32 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9) ^ x.wrapping_mul(0x85eb_ca6b) ^ (y << 16);
    for _ in 0..3 {
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d);
    }
    (mixed >> 8) as f32 / (1 << 24) as f32
}
