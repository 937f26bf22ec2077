//! Prompts: clicks and a box in frame pixels, checked once, and their tokens for the prompt
//! encoder.

use ndarray::{Array2, Array3};

use crate::image::Geometry;

/// Largest number of clicks in one prompt.
pub const MAX_POINTS: usize = 16;

/// Token slots of a deployed decoder: one per point and two for the box corners.
pub const TOKEN_SLOTS: usize = MAX_POINTS + 2;

/// Token labels: SAM's own, and [`UNUSED`](label::UNUSED).
pub mod label {
    /// An empty slot. It takes no part in any attention, so a decoder of fixed shape gives the same
    /// result as a decoder with exactly as many slots as tokens.
    pub const UNUSED: f32 = -2.0;
    /// SAM's padding point, which does take part in attention; added to prompts without a box.
    pub const NOT_A_POINT: f32 = -1.0;
    /// A click outside the structure.
    pub const NEGATIVE: f32 = 0.0;
    /// A click on the structure.
    pub const POSITIVE: f32 = 1.0;
    /// Upper left corner of a box.
    pub const BOX_MIN: f32 = 2.0;
    /// Lower right corner of a box.
    pub const BOX_MAX: f32 = 3.0;
}

/// A click, in frame pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Column, from the left.
    pub x: f32,
    /// Row, from the top.
    pub y: f32,
    /// True for a click on the structure, false for a click outside it.
    pub positive: bool,
}

/// A box prompt `[x0, y0, x1, y1]`, in frame pixels.
pub type BoxXyxy = [f32; 4];

/// A prompt that does not fit its frame. The message can be shown to the client that sent the
/// prompt.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PromptError {
    /// The prompt has neither a click nor a box.
    #[error("prompt has neither a point nor a box")]
    Empty,
    /// The prompt has more clicks than the decoder has slots for.
    #[error("prompt has {found} points, at most {} are allowed", MAX_POINTS)]
    TooManyPoints {
        /// Number of clicks given.
        found: usize,
    },
    /// A click is outside the frame, or not a number.
    #[error("point ({x}, {y}) is outside the frame of {width} x {height} pixels")]
    PointOutside {
        /// Column.
        x: f32,
        /// Row.
        y: f32,
        /// Width of the frame.
        width: usize,
        /// Height of the frame.
        height: usize,
    },
    /// A box corner is outside the frame, or not a number.
    #[error("box corner ({x}, {y}) is outside the frame of {width} x {height} pixels")]
    BoxOutside {
        /// Column.
        x: f32,
        /// Row.
        y: f32,
        /// Width of the frame.
        width: usize,
        /// Height of the frame.
        height: usize,
    },
    /// The corners of a box are in the wrong order or on one line.
    #[error("box {bbox:?} has no area: expected x0 < x1 and y0 < y1")]
    BoxWithoutArea {
        /// The box as given.
        bbox: [f32; 4],
    },
}

/// A prompt that fits its frame: one to sixteen clicks, a box, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    points: Vec<Point>,
    bbox: Option<BoxXyxy>,
}

impl Prompt {
    /// Checks a prompt for a frame of `frame` = (width, height) pixels.
    ///
    /// # Errors
    /// A [`PromptError`] that names the click or corner outside the frame, a box without area, the
    /// number of clicks above the limit, or an empty prompt.
    pub fn new(
        points: Vec<Point>,
        bbox: Option<BoxXyxy>,
        frame: (usize, usize),
    ) -> Result<Self, PromptError> {
        let (width, height) = frame;
        if points.is_empty() && bbox.is_none() {
            return Err(PromptError::Empty);
        }
        if points.len() > MAX_POINTS {
            return Err(PromptError::TooManyPoints { found: points.len() });
        }
        let inside = |x: f32, y: f32| {
            (0.0..=width as f32).contains(&x) && (0.0..=height as f32).contains(&y)
        };
        if let Some(p) = points.iter().find(|p| !inside(p.x, p.y)) {
            return Err(PromptError::PointOutside { x: p.x, y: p.y, width, height });
        }
        if let Some([x0, y0, x1, y1]) = bbox {
            if let Some((x, y)) = [(x0, y0), (x1, y1)].into_iter().find(|&(x, y)| !inside(x, y)) {
                return Err(PromptError::BoxOutside { x, y, width, height });
            }
            if x0 >= x1 || y0 >= y1 {
                return Err(PromptError::BoxWithoutArea { bbox: [x0, y0, x1, y1] });
            }
        }
        Ok(Self { points, bbox })
    }

    /// The clicks.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The box.
    pub fn bbox(&self) -> Option<BoxXyxy> {
        self.bbox
    }

    /// SAM's tokens for this prompt: the clicks, then the box's corners, or one not-a-point if
    /// there is no box.
    pub fn tokens(&self, geometry: &Geometry) -> PromptTokens {
        let mut tokens: Vec<([f32; 2], f32)> = self
            .points
            .iter()
            .map(|p| {
                let label = if p.positive { label::POSITIVE } else { label::NEGATIVE };
                (geometry.to_input([p.x, p.y]), label)
            })
            .collect();
        match self.bbox {
            Some([x0, y0, x1, y1]) => tokens.extend([
                (geometry.to_input([x0, y0]), label::BOX_MIN),
                (geometry.to_input([x1, y1]), label::BOX_MAX),
            ]),
            None => tokens.push(([0.0; 2], label::NOT_A_POINT)),
        }
        PromptTokens::new(&tokens)
    }
}

/// Input of the prompt encoder for one object.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptTokens {
    /// `[1, N, 2]`, (x, y) in input pixels.
    pub coords: Array3<f32>,
    /// `[1, N]`, values of [`label`].
    pub labels: Array2<f32>,
}

impl PromptTokens {
    /// Makes tokens from points (x, y) in input pixels and their [`label`]s.
    pub fn new(tokens: &[([f32; 2], f32)]) -> Self {
        Self {
            coords: Array3::from_shape_fn((1, tokens.len(), 2), |(_, i, axis)| tokens[i].0[axis]),
            labels: Array2::from_shape_fn((1, tokens.len()), |(_, i)| tokens[i].1),
        }
    }

    /// The same tokens in `slots` slots; the remaining slots are [`label::UNUSED`].
    ///
    /// # Panics
    /// If there are more than `slots` tokens. A [`Prompt`] has at most [`TOKEN_SLOTS`].
    pub fn padded(&self, slots: usize) -> Self {
        let used = self.labels.ncols();
        assert!(used <= slots, "{used} prompt tokens do not fit {slots} slots");
        let token = |i: usize| {
            if i < used {
                ([self.coords[[0, i, 0]], self.coords[[0, i, 1]]], self.labels[[0, i]])
            } else {
                ([0.0; 2], label::UNUSED)
            }
        };
        Self::new(&(0..slots).map(token).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (usize, usize) = (320, 240);

    fn click(x: f32, y: f32) -> Point {
        Point { x, y, positive: true }
    }

    #[test]
    fn error_names_click_outside_the_frame() {
        let error = Prompt::new(vec![click(400.0, 10.0)], None, FRAME).unwrap_err();
        assert_eq!(error.to_string(), "point (400, 10) is outside the frame of 320 x 240 pixels");
        assert!(Prompt::new(vec![click(f32::NAN, 10.0)], None, FRAME).is_err());
    }

    #[test]
    fn box_without_area_and_empty_prompt_are_refused() {
        let flat = Prompt::new(vec![], Some([5.0, 5.0, 5.0, 9.0]), FRAME).unwrap_err();
        assert!(matches!(flat, PromptError::BoxWithoutArea { .. }));
        assert_eq!(Prompt::new(vec![], None, FRAME).unwrap_err(), PromptError::Empty);
        let many = Prompt::new(vec![click(1.0, 1.0); 17], None, FRAME).unwrap_err();
        assert_eq!(many, PromptError::TooManyPoints { found: 17 });
    }

    #[test]
    fn tokens_are_in_input_pixels_and_padding_is_unused() {
        let geometry = Geometry::new(FRAME, 256);
        let prompt = Prompt::new(vec![click(160.0, 120.0)], None, FRAME).unwrap();
        let tokens = prompt.tokens(&geometry).padded(TOKEN_SLOTS);
        assert_eq!(tokens.coords.dim(), (1, 18, 2));
        assert_eq!((tokens.coords[[0, 0, 0]], tokens.coords[[0, 0, 1]]), (128.0, 96.0));
        assert_eq!(tokens.labels.row(0).to_vec()[..3], [1.0, -1.0, -2.0]);
    }
}
