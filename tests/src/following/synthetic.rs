//! Stills that move like a hand-held probe, with events: shadow, lifted probe, gain, occlusion, cut.

use std::path::Path;

use medsa_engine::Engine;
use medsa_frames::{Clip, Frame};
use ndarray::Array2;

use super::Error;
use super::footage::Footage;
use super::scene::Scene;

/// An annotated image.
pub struct Still {
    name: String,
    image: Frame,
    mask: Array2<bool>,
}

/// An event in the middle of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Only motion.
    None,
    /// A dark band passes over the image.
    Shadow,
    /// The probe is lifted: nothing but noise for two seconds, then the image is back.
    Lift,
    /// The gain falls by half and returns.
    Gain,
    /// Something bright covers the object for two seconds.
    Occlusion,
    /// Another image for two seconds.
    Cut,
}

impl Event {
    /// All events.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Shadow, Self::Lift, Self::Gain, Self::Occlusion, Self::Cut];
}

/// Frames per second.
const RATE: usize = 30;

/// Time at which an event begins and ends, and length of the scene, in seconds.
const TIMES: [f32; 3] = [3.0, 5.0, 8.0];

/// Largest shift as a share of the width, period in seconds, largest rotation in radians and change
/// of scale.
const SHIFT: f32 = 0.06;
const PERIOD: f32 = 3.1;
const ROTATION: f32 = 0.08;
const SCALE: f32 = 0.05;

impl Still {
    /// Reads an image, and of its mask the value `class`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(image: &Path, mask: &Path, class: u8) -> Result<Self, Error> {
        let name = image.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let (image, mask) = (Clip::open(image)?.frame(0)?, Clip::open(mask)?.frame(0)?);
        let width = mask.width as usize;
        let mask = Array2::from_shape_fn((mask.height as usize, width), |(y, x)| {
            mask.rgb[3 * (y * width + x)] == class
        });
        Ok(Self { name, image, mask })
    }

    /// A scene of this still with `event`; `other` is what a cut shows.
    ///
    /// # Errors
    /// The image is not consistent.
    pub fn scene<'a>(
        &self,
        engine: &'a Engine,
        event: Event,
        other: &Self,
    ) -> Result<Scene<'a>, Error> {
        let other = other.resized([self.image.width, self.image.height]);
        let count = (TIMES[2] * RATE as f32) as usize;
        let (mut frames, mut truth) = (Vec::new(), Vec::new());
        for index in 0..count {
            let time = index as f32 / RATE as f32;
            let during = (TIMES[0]..TIMES[1]).contains(&time);
            let gone = during && matches!(event, Event::Lift | Event::Cut | Event::Occlusion);
            let shown = if during && event == Event::Cut { &other } else { self };
            let mut frame = shown.moved(time);
            if during {
                self.disturb(&mut frame, event, time);
            }
            speckle(&mut frame, index as u32);
            frames.push(frame);
            let empty = || Array2::from_elem(self.mask.dim(), false);
            truth.push(if gone { empty() } else { self.moved_mask(time) });
        }
        let name = format!("{} {event:?}", self.name);
        Ok(Scene { name, footage: Footage::new(engine, frames)?, truth, rate: RATE })
    }

    /// The still stretched to another size, as in one stream of a machine that shows both.
    pub fn resized(&self, [width, height]: [u32; 2]) -> Self {
        let (from_width, from_height) = (self.image.width as usize, self.image.height as usize);
        let (to_width, to_height) = (width as usize, height as usize);
        let at = |x: usize, y: usize| [x * from_width / to_width, y * from_height / to_height];
        let mut rgb = Vec::with_capacity(3 * to_width * to_height);
        for y in 0..to_height {
            for x in 0..to_width {
                let [u, v] = at(x, y);
                rgb.extend_from_slice(&self.image.rgb[3 * (v * from_width + u)..][..3]);
            }
        }
        let mask = Array2::from_shape_fn((to_height, to_width), |(y, x)| {
            let [u, v] = at(x, y);
            self.mask[[v, u]]
        });
        let image = Frame { rgb, width, height, ..self.image.clone() };
        Self { name: self.name.clone(), image, mask }
    }

    /// Position in the still of a pixel of the frame at `time`.
    fn source(&self, time: f32) -> impl Fn([f32; 2]) -> [f32; 2] {
        let phase = std::f32::consts::TAU * time / PERIOD;
        let (width, height) = (self.image.width as f32, self.image.height as f32);
        let shift = [SHIFT * width * phase.sin(), 0.5 * SHIFT * width * (1.7 * phase).sin()];
        let (angle, scale) = (ROTATION * (0.6 * phase).sin(), 1.0 + SCALE * (0.8 * phase).sin());
        let (sin, cos) = angle.sin_cos();
        move |[x, y]| {
            let (u, v) = (x - width / 2.0 - shift[0], y - height / 2.0 - shift[1]);
            [(u * cos + v * sin) / scale + width / 2.0, (v * cos - u * sin) / scale + height / 2.0]
        }
    }

    fn moved(&self, time: f32) -> Frame {
        let (width, height) = (self.image.width as usize, self.image.height as usize);
        let at = |x: usize, y: usize| &self.image.rgb[3 * (y * width + x)..][..3];
        let source = self.source(time);
        let mut rgb = Vec::with_capacity(self.image.rgb.len());
        for y in 0..height {
            for x in 0..width {
                let [u, v] = source([x as f32, y as f32]);
                let (u, v) =
                    (u.clamp(0.0, width as f32 - 1.001), v.clamp(0.0, height as f32 - 1.001));
                let (left, top) = (u as usize, v as usize);
                let (fu, fv) = (u.fract(), v.fract());
                for channel in 0..3 {
                    let value = |dx: usize, dy: usize| f32::from(at(left + dx, top + dy)[channel]);
                    let upper = value(0, 0) * (1.0 - fu) + value(1, 0) * fu;
                    let lower = value(0, 1) * (1.0 - fu) + value(1, 1) * fu;
                    rgb.push((upper * (1.0 - fv) + lower * fv).round() as u8);
                }
            }
        }
        Frame { rgb, ..self.image.clone() }
    }

    fn moved_mask(&self, time: f32) -> Array2<bool> {
        let (height, width) = self.mask.dim();
        let source = self.source(time);
        Array2::from_shape_fn((height, width), |(y, x)| {
            let [u, v] = source([x as f32, y as f32]).map(f32::round);
            let within = u >= 0.0 && v >= 0.0 && u < width as f32 && v < height as f32;
            within && self.mask[[v as usize, u as usize]]
        })
    }

    fn disturb(&self, frame: &mut Frame, event: Event, time: f32) {
        let width = frame.width as usize;
        let share = (time - TIMES[0]) / (TIMES[1] - TIMES[0]);
        let mut change = |f: &dyn Fn(usize, usize, f32) -> f32| {
            for (i, value) in frame.rgb.iter_mut().enumerate() {
                let (x, y) = (i / 3 % width, i / 3 / width);
                *value = f(x, y, f32::from(*value)).clamp(0.0, 255.0) as u8;
            }
        };
        match event {
            Event::None | Event::Cut => {}
            Event::Lift => change(&|_, _, _| 12.0),
            Event::Gain => {
                let gain = 1.0 - 0.5 * (std::f32::consts::PI * share).sin();
                change(&|_, _, value| gain * value);
            }
            Event::Shadow => {
                let middle = share * width as f32;
                let half = 0.06 * width as f32;
                change(&|x, _, value| {
                    let inside = (x as f32 - middle).abs() < half;
                    if inside { 0.15 * value } else { value }
                });
            }
            Event::Occlusion => {
                let mask = self.moved_mask(time);
                let [x0, y0] = super::middle(&mask);
                let area = mask.iter().filter(|&&inside| inside).count() as f32;
                let radius = 1.6 * (area / std::f32::consts::PI).sqrt();
                change(&|x, y, value| {
                    let inside = (x as f32 - x0).hypot(y as f32 - y0) < radius;
                    if inside { 200.0 } else { value }
                });
            }
        }
    }
}

/// Noise that differs from frame to frame, as in ultrasound.
fn speckle(frame: &mut Frame, index: u32) {
    let mut state = 0x9e37_79b9_u32 ^ index.wrapping_mul(0x85eb_ca6b);
    for pixel in frame.rgb.chunks_exact_mut(3) {
        // Xorshift (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let factor = 0.92 + 0.16 * (state >> 8) as f32 / (1 << 24) as f32;
        for value in pixel {
            *value = (f32::from(*value) * factor).min(255.0) as u8;
        }
    }
}
