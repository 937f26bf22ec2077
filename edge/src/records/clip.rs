//! The frames of a clip, compressed, with the masks that were shown on them.

use std::collections::BTreeMap;
use std::time::Duration;

use image::DynamicImage;
use image::codecs::gif::{GifEncoder, Repeat};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use medsa_engine::frame_view;
use medsa_frames::{Frame, PixelSpacing};
use medsa_sam::mask;

use super::bits::Bits;
use super::dicom;
use super::error::Error;
use super::outlined::Segment;
use crate::overlay::{self, Layer};
use crate::port::CineFrame;

/// File of the clip for people: small, with outlines.
pub(super) const CLIP_GIF: &str = "clip.gif";

/// JPEG quality of frames, of 100.
const JPEG_QUALITY: u8 = 90;

/// Largest width of the GIF, in pixels.
const GIF_WIDTH_PX: u32 = 480;

/// Shortest time between two images of the GIF.
const GIF_INTERVAL_US: u64 = 100_000;

/// Time for which the last frame is shown in the GIF.
const LAST: Duration = Duration::from_secs(1);

/// A compressed clip.
pub(super) struct Clip {
    /// Time of capture of each frame, in microseconds since 1970 (UTC).
    pub times_us: Vec<u64>,
    /// Each frame as JPEG.
    pub jpegs: Vec<Vec<u8>>,
    /// Size of all frames before compression, in bytes.
    pub bytes: u64,
    /// Segments by object number: objects that have a mask on any frame.
    pub segments: BTreeMap<u8, Segment>,
    /// Object and frame number, from 0, of each mask.
    pub masks: Vec<(u8, u32)>,
    /// The masks, one after the other.
    pub bits: Bits,
    /// Pixel spacing of each mask, if it is known.
    pub spacings_mm: Vec<Option<[f32; 2]>>,
    /// True if a pixel of a frame belongs to two objects.
    pub overlap: bool,
    /// The clip as GIF.
    pub gif: Vec<u8>,
}

impl Clip {
    /// Compresses `frames`, which have one size.
    pub(super) fn new(frames: &[CineFrame]) -> Result<Self, Error> {
        let mut clip = Self {
            times_us: frames.iter().map(CineFrame::captured_us).collect(),
            jpegs: Vec::new(),
            bytes: 0,
            segments: BTreeMap::new(),
            masks: Vec::new(),
            bits: Bits::default(),
            spacings_mm: Vec::new(),
            overlap: false,
            gif: Vec::new(),
        };
        let durations = gif_durations(&clip.times_us);
        let mut delays = overlay::gif_delays(durations.iter().copied().flatten()).into_iter();
        let mut gif = Vec::new();
        let mut animation = GifEncoder::new_with_speed(&mut gif, 30);
        animation.set_repeat(Repeat::Infinite).map_err(failed(CLIP_GIF))?;
        for ((number, frame), duration) in (0..).zip(frames).zip(durations) {
            let image = frame.frame();
            clip.bytes += image.rgb.len() as u64;
            clip.jpegs.push(jpeg(&image)?);
            let layers = clip.add_masks(number, frame, image.pixel_spacing_mm.as_ref());
            if duration.is_some() {
                let delay = delays.next().expect("one per duration");
                let view = frame_view(&image).map_err(failed(CLIP_GIF))?;
                let drawn = overlay::draw(view, &layers, "");
                let small = overlay::scaled(&drawn, GIF_WIDTH_PX.min(drawn.width()));
                let rgba = DynamicImage::from(small).into_rgba8();
                let frame = image::Frame::from_parts(rgba, 0, 0, delay);
                animation.encode_frame(frame).map_err(failed(CLIP_GIF))?;
            }
        }
        drop(animation);
        clip.gif = gif;
        for (number, segment) in (1..).zip(clip.segments.values_mut()) {
            segment.number = number;
        }
        Ok(clip)
    }

    /// Adds the masks of a frame, and returns them for a drawing.
    fn add_masks(
        &mut self,
        number: u32,
        frame: &CineFrame,
        spacing: Option<&PixelSpacing>,
    ) -> Vec<Layer> {
        let (mut layers, mut masks) = (Vec::new(), Vec::new());
        for (object, shown) in frame.masks() {
            let logits = shown.geometry.logits_in_frame(shown.logits.view());
            let mask = logits.mapv(|logit| logit > 0.0);
            if !mask.iter().any(|&inside| inside) {
                continue;
            }
            self.bits.extend(mask.iter().copied());
            self.masks.push((object, number));
            self.spacings_mm.push(dicom::mask_spacing_mm(spacing, &mask));
            // Numbered when all are known.
            self.segments
                .entry(object)
                .or_insert_with(|| Segment { number: 0, tracking_uid: dicom::new_uid() });
            let outlines = mask::rings(logits.view());
            layers.push(Layer { object, outlines, points: Vec::new(), bbox: None });
            masks.push(mask);
        }
        self.overlap |= dicom::overlap(&masks.iter().collect::<Vec<_>>());
        layers
    }
}

/// Duration of each frame in the GIF; `None` for those that are left out.
fn gif_durations(times_us: &[u64]) -> Vec<Option<Duration>> {
    let mut durations = vec![None; times_us.len()];
    let mut first = 0;
    for next in 1..=times_us.len() {
        let passed_us = times_us.get(next).map(|time| time.saturating_sub(times_us[first]));
        if passed_us.is_none_or(|passed_us| passed_us >= GIF_INTERVAL_US) {
            durations[first] = Some(passed_us.map_or(LAST, Duration::from_micros));
            first = next;
        }
    }
    durations
}

/// A frame as JPEG with half the horizontal resolution of colour, as DICOM asks for true colour.
fn jpeg(Frame { width, height, rgb, .. }: &Frame) -> Result<Vec<u8>, Error> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_2);
    // Checked: sides are at most 4096.
    let (width, height) = (*width as u16, *height as u16);
    encoder.encode(rgb, width, height, ColorType::Rgb).map_err(failed(dicom::CLIP_FILE))?;
    Ok(jpeg)
}

fn failed<E: ToString>(file: &str) -> impl Fn(E) -> Error {
    move |error| Error::Encoding { file: file.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gif_has_at_most_ten_images_a_second_and_the_time_of_the_clip() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let found = gif_durations(&[0, 40_000, 80_000, 120_000, 300_000, 310_000]);
        assert_eq!(found, [ms(120), None, None, ms(180), ms(1000), None]);
        assert_eq!(gif_durations(&[5]), [ms(1000)]);
        assert!(gif_durations(&[]).is_empty());
    }
}
