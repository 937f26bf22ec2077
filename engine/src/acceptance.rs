//! Acceptance test: checks that a build gives the same masks on this device as where it was made.

use std::io::Cursor;
use std::time::Instant;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use medsa_bundle::{AcceptanceVector, Build, LatencyLimits};
use medsa_frames::Frame;
use medsa_sam::prompt::{Point, Prompt};
use ndarray::Array2;
use serde::Serialize;

use crate::{Engine, Error, frame_view};

/// Results of a build's acceptance test.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted {
    /// Results by vector.
    pub vectors: Vec<TestedVector>,
    /// Median time of the image encoder per frame, in ms.
    pub encoder_ms: f64,
    /// Median time of prompt encoder and mask decoder per prompt, in ms.
    pub decoder_ms: f64,
}

/// Result of one vector.
#[derive(Clone, Debug, Serialize)]
pub struct TestedVector {
    /// Name of its frame.
    pub frame: String,
    /// IoU with the expected mask.
    pub iou: f64,
    /// Smallest accepted IoU.
    pub min_iou: f64,
}

impl Accepted {
    /// Checks the masks and, with `board`, the times against the limits of the board of that name.
    ///
    /// # Errors
    /// [`Error::WrongMask`], [`Error::TooSlow`].
    pub fn check(&self, board: Option<(&str, LatencyLimits)>) -> Result<(), Error> {
        // The comparison is written so that NaN is refused.
        let right = |tested: &TestedVector| tested.iou >= tested.min_iou;
        if let Some(vector) = self.vectors.iter().position(|tested| !right(tested)) {
            let TestedVector { frame, iou, min_iou } = self.vectors[vector].clone();
            return Err(Error::WrongMask { vector, frame, iou, min_iou });
        }
        let Some((board, limits)) = board else { return Ok(()) };
        let Self { encoder_ms, decoder_ms, .. } = *self;
        if encoder_ms <= limits.encoder_ms && decoder_ms <= limits.decoder_ms {
            return Ok(());
        }
        Err(Error::TooSlow { board: board.to_owned(), encoder_ms, decoder_ms, limits })
    }
}

/// Latency limits of `build` for `board`.
///
/// # Errors
/// [`Error::UnknownBoard`] names the boards that have limits.
pub fn limits_of(build: &Build, board: &str) -> Result<LatencyLimits, Error> {
    let boards = &build.acceptance().boards;
    boards.get(board).copied().ok_or_else(|| Error::UnknownBoard {
        board: board.to_owned(),
        known: boards.keys().cloned().collect(),
    })
}

/// Runs the acceptance test of `build` on `engine`, which must be made from it.
///
/// # Errors
/// [`Error::Acceptance`] if there are no vectors or one cannot be used; [`Error::Network`] if the
/// engine fails.
pub fn accept(build: &Build, engine: &Engine) -> Result<Accepted, Error> {
    accept_in_turns(build, engine, || ())
}

/// Like [`accept`], while other engines compute. `turn` is called before every vector and may wait;
/// its result is kept until the engine has finished, so that times are those of one engine alone.
///
/// # Errors
/// Same as [`accept`].
pub fn accept_in_turns<T>(
    build: &Build,
    engine: &Engine,
    turn: impl Fn() -> T,
) -> Result<Accepted, Error> {
    let vectors = &build.acceptance().vectors;
    if vectors.is_empty() {
        let (vector, reason) = (0, "there is none, expected at least one".to_owned());
        return Err(Error::Acceptance { vector, reason });
    }
    let (mut tested, mut encoder_ms, mut decoder_ms) = (Vec::new(), Vec::new(), Vec::new());
    for (i, vector) in vectors.iter().enumerate() {
        let Case { frame, prompt, expected } = case(build, i, vector)?;
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
        tested.push(TestedVector { frame, iou: iou(&found, &expected), min_iou });
    }
    Ok(Accepted { vectors: tested, encoder_ms: median(encoder_ms), decoder_ms: median(decoder_ms) })
}

/// Checks that all acceptance vectors of `build` can be used; returns their number.
///
/// # Errors
/// [`Error::Acceptance`].
pub fn check_vectors(build: &Build) -> Result<usize, Error> {
    let vectors = &build.acceptance().vectors;
    vectors.iter().enumerate().try_for_each(|(i, vector)| case(build, i, vector).map(drop))?;
    Ok(vectors.len())
}

/// Frame and prompt of a vector, with the expected mask.
struct Case {
    frame: Frame,
    prompt: Prompt,
    expected: Array2<bool>,
}

/// Frame, prompt and expected mask of vector `i`.
fn case(build: &Build, i: usize, vector: &AcceptanceVector) -> Result<Case, Error> {
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
    Ok(Case { frame, prompt, expected })
}

/// Median of `values`, the larger of the two middle ones if their number is even; NaN if there are
/// none.
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

/// Largest number of pixels of a vector's frame: more than in any live frame.
const MAX_PIXELS: u32 = 4 << 20;

/// Decodes a vector's frame, which may be hostile.
fn frame(build: &Build, vector: &AcceptanceVector) -> Result<Frame, String> {
    let name = &vector.frame;
    let bytes = build.file(name).ok_or_else(|| format!("its frame {name} is not in the build"))?;
    let failed = |error: image::ImageError| format!("{name}: {error}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = Limits::default();
    // Limits the decoder's memory in addition to the pixels: 16 bits for each of four channels.
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
    fn median_is_the_middle_value() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![2.0, 1.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
