//! Whether a build answers on this device as it did where it was made.

use std::io::Cursor;
use std::time::Instant;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use medsa_bundle::{AcceptanceVector, Build, LatencyLimits};
use medsa_frames::Frame;
use medsa_sam::prompt::{Point, Prompt};
use ndarray::Array2;
use serde::Serialize;

use crate::{Engine, Error, frame_view};

/// Answers to all vectors of a build.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted {
    /// One for each vector.
    pub answers: Vec<Answered>,
    /// Median time of the image encoder for a frame.
    pub encoder_ms: f64,
    /// Median time of prompt encoder and mask decoder for a prompt.
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
    /// Holds the answers to what was expected and, if `board` is given, the times to the limits of
    /// a board of that name.
    ///
    /// # Errors
    /// [`Error::WrongAnswer`], [`Error::TooSlow`].
    pub fn check(&self, board: Option<(&str, LatencyLimits)>) -> Result<(), Error> {
        // Written so that no number is not accepted.
        let right = |answer: &Answered| answer.iou >= answer.min_iou;
        if let Some(vector) = self.answers.iter().position(|answer| !right(answer)) {
            let Answered { frame, iou, min_iou } = self.answers[vector].clone();
            return Err(Error::WrongAnswer { vector, frame, iou, min_iou });
        }
        let Some((board, limits)) = board else { return Ok(()) };
        let Self { encoder_ms, decoder_ms, .. } = *self;
        if encoder_ms <= limits.encoder_ms && decoder_ms <= limits.decoder_ms {
            return Ok(());
        }
        Err(Error::TooSlow { board: board.to_owned(), encoder_ms, decoder_ms, limits })
    }
}

/// What `build` must hold on `board`.
///
/// # Errors
/// [`Error::UnknownBoard`] names the boards that it has limits for.
pub fn limits_of(build: &Build, board: &str) -> Result<LatencyLimits, Error> {
    let boards = &build.acceptance().boards;
    boards.get(board).copied().ok_or_else(|| Error::UnknownBoard {
        board: board.to_owned(),
        known: boards.keys().cloned().collect(),
    })
}

/// Asks `engine`, made of `build`, all that the build says it must answer.
///
/// # Errors
/// [`Error::Acceptance`] when there is nothing to ask or a vector cannot be used; the engine's.
pub fn accept(build: &Build, engine: &Engine) -> Result<Accepted, Error> {
    accept_in_turns(build, engine, || ())
}

/// As [`accept`], beside others who compute: `turn` is waited for before every vector, and what it
/// returns is kept until the engine has answered, so that times are those of an engine alone.
///
/// # Errors
/// As [`accept`].
pub fn accept_in_turns<T>(
    build: &Build,
    engine: &Engine,
    turn: impl Fn() -> T,
) -> Result<Accepted, Error> {
    let vectors = &build.acceptance().vectors;
    if vectors.is_empty() {
        let (vector, reason) = (0, "there is none, expected one at least".to_owned());
        return Err(Error::Acceptance { vector, reason });
    }
    let (mut answers, mut encoder_ms, mut decoder_ms) = (Vec::new(), Vec::new(), Vec::new());
    for (i, vector) in vectors.iter().enumerate() {
        let Question { frame, prompt, expected } = question(build, i, vector)?;
        let (image, geometry) = engine.preprocess().run(frame_view(&frame)?);
        let turn = turn();
        let start = Instant::now();
        let embedding = engine.encode(&image)?;
        let encoded = Instant::now();
        let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None)?;
        let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        encoder_ms.push(milliseconds(encoded - start));
        decoder_ms.push(milliseconds(encoded.elapsed()));
        drop(turn);
        let found = geometry.mask_in_frame(decoded.single().0);
        let (frame, min_iou) = (vector.frame.clone(), vector.min_iou);
        answers.push(Answered { frame, iou: iou(&found, &expected), min_iou });
    }
    Ok(Accepted { answers, encoder_ms: median(encoder_ms), decoder_ms: median(decoder_ms) })
}

/// Whether everything that `build` must answer can be asked; how much that is.
///
/// # Errors
/// [`Error::Acceptance`].
pub fn check_vectors(build: &Build) -> Result<usize, Error> {
    let vectors = &build.acceptance().vectors;
    vectors.iter().enumerate().try_for_each(|(i, vector)| question(build, i, vector).map(drop))?;
    Ok(vectors.len())
}

/// What a vector asks, and the answer that it expects.
struct Question {
    frame: Frame,
    prompt: Prompt,
    expected: Array2<bool>,
}

/// The question of vector `i`.
fn question(build: &Build, i: usize, vector: &AcceptanceVector) -> Result<Question, Error> {
    let unusable = |reason: String| Error::Acceptance { vector: i, reason };
    let frame = frame(build, vector).map_err(unusable)?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let expected = vector.mask(width * height).ok_or_else(|| {
        unusable(format!("mask_runs do not add up to the {width} x {height} pixels of its frame"))
    })?;
    let expected = Array2::from_shape_vec((height, width), expected);
    let expected = expected.expect("a mask has as many cells as its frame");
    let click = |&[x, y]: &[f32; 2]| Point { x, y, positive: true };
    let clicks = vector.clicks.iter().map(click).collect();
    let prompt = Prompt::new(clicks, vector.bbox, (width, height));
    let prompt = prompt.map_err(|e| unusable(e.to_string()))?;
    Ok(Question { frame, prompt, expected })
}

/// The middle one of `values`, the larger of two; no number if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Intersection over union; 1 for two empty masks.
pub fn iou(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    let count = |both: fn(bool, bool) -> bool| {
        a.iter().zip(b).filter(|&(&a, &b)| both(a, b)).count() as f64
    };
    let union = count(|a, b| a || b);
    if union == 0.0 { 1.0 } else { count(|a, b| a && b) / union }
}

/// Most pixels of a vector's frame: more than any device sees live.
const MAX_PIXELS: u32 = 4 << 20;

/// Decodes a vector's frame, which may be hostile.
fn frame(build: &Build, vector: &AcceptanceVector) -> Result<Frame, String> {
    let name = &vector.frame;
    let bytes = build.file(name).ok_or_else(|| format!("its frame {name} is not in the build"))?;
    let failed = |error: image::ImageError| format!("{name}: {error}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = Limits::default();
    // Of what the decoder keeps beside the pixels; 16 bits for each of four channels.
    limits.max_alloc = Some(2 * 8 * u64::from(MAX_PIXELS));
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if width.checked_mul(height).is_none_or(|pixels| pixels > MAX_PIXELS) {
        let limit = format!("at most {MAX_PIXELS} pixels are accepted");
        return Err(format!("{name} is {width} x {height}, {limit}"));
    }
    let rgb = DynamicImage::from_decoder(decoder).map_err(failed)?.into_rgb8();
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

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![2.0, 1.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
