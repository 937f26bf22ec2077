//! Scenes: frames in an order, with truth where it is known.

use std::path::Path;

use medsa_engine::Engine;
use medsa_frames::{Clip, Frame};
use ndarray::Array2;

use super::Error;
use super::footage::{Footage, Play};
use super::measure::{Measured, around, click, middle};

/// Frames with known truth.
pub struct Scene<'a> {
    /// Name in tables.
    pub name: String,
    /// The frames.
    pub footage: Footage<'a>,
    /// Truth `[H, W]` of each frame; empty where the object is not there.
    pub truth: Vec<Array2<bool>>,
    /// Frames per second.
    pub rate: usize,
}

impl Scene<'_> {
    /// Plays the scene once, with a click in the middle of the first truth or a box around it, while
    /// an encoder run takes `encoder_ms` milliseconds; 0 if every frame is encoded.
    ///
    /// # Errors
    /// The prompt does not fit, or errors of the engine.
    pub fn measure(&self, by_box: bool, encoder_ms: usize) -> Result<Measured, Error> {
        let first = &self.truth[0];
        let prompt = if by_box { around(first) } else { click(middle(first)) };
        let order: Vec<_> = (0..self.footage.len()).collect();
        let encoder_frames = (encoder_ms * self.rate).div_ceil(1000);
        let seen = self.footage.play(Play {
            order: &order,
            encoder_frames,
            rate: self.rate,
            prompt: &prompt,
        })?;
        Ok(Measured::of(&seen, &self.truth.iter().collect::<Vec<_>>()))
    }

    /// Mean overlap (IoU) of what a click at the last true place gives, on frames with the object.
    ///
    /// # Errors
    /// As [`Scene::measure`].
    pub fn clicked_anew(&self) -> Result<f32, Error> {
        let (mut sum, mut count) = (0.0, 0.0);
        let mut last = middle(&self.truth[0]);
        for (index, truth) in self.truth.iter().enumerate() {
            if truth.iter().any(|&inside| inside) {
                let seen = self.footage.single(index, &click(last))?;
                sum += seen.map_or(0.0, |seen| super::overlap(&seen.mask, truth));
                count += 1.0;
                last = middle(truth);
            }
        }
        Ok(sum / f32::max(count, 1.0))
    }
}

/// Figures of one click on the echocardiography cine.
#[derive(Clone, Debug)]
pub struct CineMeasured {
    /// Share of the frames on which the ventricle is outlined, after the first second.
    pub outlined: f32,
    /// Overlap (IoU) with the outline of the first frame, each time this frame returns.
    pub overlaps: Vec<f32>,
}

/// Places in the left ventricle of the cine, in pixels.
pub const PLACES: [[f32; 2]; 10] = [
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

/// Frames per second of the cine.
const CINE_RATE: usize = 20;

/// Forms of each frame of the cine with noise.
const FORMS: usize = 4;

/// Plays the cine `clip` forth and back for `seconds`, with one click at each of `places` in turn,
/// while an encoder run takes `encoder_ms` milliseconds. With `noise`, in grey values, a frame never
/// returns as it was shortly before, and its gain differs by up to 5 %.
///
/// # Errors
/// The clip cannot be read, or errors of the engine.
pub fn cine(
    engine: &Engine,
    clip: &Path,
    seconds: usize,
    places: &[[f32; 2]],
    encoder_ms: &[usize],
    noise: f32,
) -> Result<Vec<Vec<CineMeasured>>, Error> {
    let clip = Clip::open(clip)?;
    let forms = if noise > 0.0 { FORMS } else { 1 };
    let count = clip.len();
    let mut frames = Vec::new();
    for number in 0..count * forms {
        let mut frame = clip.frame(number / forms)?;
        if noise > 0.0 {
            disturb(&mut frame, noise, number);
        }
        frames.push(frame);
    }
    let footage = Footage::new(engine, frames)?;
    let period = (0..count).chain((1..count - 1).rev()).cycle().take(seconds * CINE_RATE);
    // The form of the first frame does not return.
    let form = |time: usize| if time == 0 || forms == 1 { 0 } else { 1 + time % (forms - 1) };
    let order: Vec<_> =
        period.enumerate().map(|(time, frame)| frame * forms + form(time)).collect();
    let measure = |place: &[f32; 2], encoder_ms: usize| {
        let prompt = &click(*place);
        let encoder_frames = encoder_ms * CINE_RATE / 1000;
        let seen = footage.play(Play { order: &order, encoder_frames, rate: CINE_RATE, prompt })?;
        let first = footage.single(0, prompt)?.ok_or("no mask on the first frame")?;
        let later = &seen[CINE_RATE..];
        let outlined = later.iter().filter(|seen| seen.is_some()).count() as f32;
        let returns = seen.iter().zip(&order).skip(1).filter(|(_, frame)| **frame < forms);
        let overlap = |seen: &Option<super::Seen>| {
            seen.as_ref().map_or(0.0, |seen| super::overlap(&seen.mask, &first.mask))
        };
        Ok(CineMeasured {
            outlined: outlined / later.len().max(1) as f32,
            overlaps: returns.map(|(seen, _)| overlap(seen)).collect(),
        })
    };
    let of_speed = |&ms: &usize| places.iter().map(|place| measure(place, ms)).collect();
    encoder_ms.iter().map(of_speed).collect()
}

/// Adds uniform noise with this standard deviation, and changes the gain.
fn disturb(frame: &mut Frame, noise: f32, seed: usize) {
    let mut state = seed as u64 + 1;
    // A linear congruential generator, from which the upper bits are taken.
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 * 2.0 - 1.0
    };
    let gain = 1.0 + 0.05 * random();
    for pixel in frame.rgb.chunks_exact_mut(3) {
        let noise = 3.0f32.sqrt() * noise * random();
        pixel.iter_mut().for_each(|value| *value = (f32::from(*value) * gain + noise) as u8);
    }
}
