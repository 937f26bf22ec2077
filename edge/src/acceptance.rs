//! Whether a build answers on this device as it did where it was made.

use std::io::Cursor;
use std::time::Instant;

use image::{ImageFormat, ImageReader, Limits};
use medsa_bundle::{AcceptanceVector, Build};
use medsa_frames::{Frame, MAX_SIDE_PX};
use medsa_sam::prompt::{Point, Prompt};
use ndarray::Array2;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::Error;
use crate::pipeline::frame_view;

/// Answers to all vectors of a build.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted {
    /// One for each vector.
    pub answers: Vec<Answered>,
    /// Longest time of the image encoder.
    pub encoder_ms: f64,
    /// Longest time of prompt encoder and mask decoder.
    pub decoder_ms: f64,
}

/// The answer to one vector.
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    /// Its frame.
    pub frame: String,
    /// Overlap with the mask that was expected.
    pub iou: f64,
    /// Least overlap that is accepted.
    pub min_iou: f64,
}

impl Accepted {
    /// Whether every answer is accepted.
    pub fn holds(&self) -> bool {
        // Written so that no number is not accepted.
        self.answers.iter().all(|answer| answer.iou >= answer.min_iou)
    }
}

/// Asks `engine`, made of `build`, all that the build says it must answer.
///
/// # Errors
/// [`Error::Acceptance`] when there is nothing to ask or a vector cannot be used; the engine's.
pub fn accept(build: &Build, engine: &Engine) -> Result<Accepted, Error> {
    let vectors = &build.acceptance().vectors;
    if vectors.is_empty() {
        let (vector, reason) = (0, "there is none, expected one at least".to_owned());
        return Err(Error::Acceptance { vector, reason });
    }
    let mut accepted = Accepted { answers: Vec::new(), encoder_ms: 0.0, decoder_ms: 0.0 };
    for (i, vector) in vectors.iter().enumerate() {
        let unusable = |reason: String| Error::Acceptance { vector: i, reason };
        let frame = frame(build, vector).map_err(unusable)?;
        let (width, height) = (frame.width as usize, frame.height as usize);
        let expected = vector.mask(width * height).ok_or_else(|| {
            unusable(format!(
                "mask_runs do not add up to the {width} x {height} pixels of its frame"
            ))
        })?;
        let expected = Array2::from_shape_vec((height, width), expected);
        let expected = expected.expect("a mask has as many cells as its frame");
        let click = |&[x, y]: &[f32; 2]| Point { x, y, positive: true };
        let clicks = vector.clicks.iter().map(click).collect();
        let prompt = Prompt::new(clicks, vector.bbox, (width, height));
        let prompt = prompt.map_err(|e| unusable(e.to_string()))?;
        let (image, geometry) = engine.preprocess().run(frame_view(&frame)?);
        let start = Instant::now();
        let embedding = engine.encode(&image)?;
        let encoded = Instant::now();
        let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None)?;
        let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        accepted.encoder_ms = accepted.encoder_ms.max(milliseconds(encoded - start));
        accepted.decoder_ms = accepted.decoder_ms.max(milliseconds(encoded.elapsed()));
        let found = geometry.mask_in_frame(decoded.single().0);
        let (frame, min_iou) = (vector.frame.clone(), vector.min_iou);
        accepted.answers.push(Answered { frame, iou: iou(&found, &expected), min_iou });
    }
    Ok(accepted)
}

/// Intersection over union; 1 for two empty masks.
pub fn iou(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    let count = |both: fn(bool, bool) -> bool| {
        a.iter().zip(b).filter(|&(&a, &b)| both(a, b)).count() as f64
    };
    let union = count(|a, b| a || b);
    if union == 0.0 { 1.0 } else { count(|a, b| a && b) / union }
}

/// Decodes a vector's frame, which may be hostile.
fn frame(build: &Build, vector: &AcceptanceVector) -> Result<Frame, String> {
    let name = &vector.frame;
    let bytes = build.file(name).ok_or_else(|| format!("its frame {name} is not in the build"))?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE_PX);
    limits.max_image_height = Some(MAX_SIDE_PX);
    reader.limits(limits);
    let rgb = reader.decode().map_err(|e| format!("{name}: {e}"))?.into_rgb8();
    let (width, height) = rgb.dimensions();
    Ok(Frame { width, height, rgb: rgb.into_raw(), pixel_spacing_mm: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn iou_counts_pixels() {
        let a = array![[true, true, false], [false, false, false]];
        let b = array![[true, false, true], [false, false, false]];
        assert_eq!(iou(&a, &b), 1.0 / 3.0);
        assert_eq!(iou(&a, &a), 1.0);
        let empty = Array2::from_elem((2, 3), false);
        assert_eq!((iou(&empty, &empty), iou(&a, &empty)), (1.0, 0.0));
    }
}
