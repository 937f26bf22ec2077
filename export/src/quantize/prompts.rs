//! Prompts generated for unlabelled calibration frames.

use medsa_frames::Frame;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};

use crate::error::Error;

/// Click prompts, box prompts and combined prompts for a frame. Each `number` gives different
/// positions.
///
/// # Errors
/// The frame has no pixels.
pub(super) fn prompts(frame: &Frame, number: usize) -> Result<Vec<Prompt>, Error> {
    let (width, height) = (frame.width as f32, frame.height as f32);
    let place = |at: usize| Place::of(at, [width, height]);
    let click = |place: Place, positive| Point { x: place.x, y: place.y, positive };
    let round = |round: usize| {
        let at = PLACES * (ROUNDS * number + round);
        [
            (vec![click(place(at), true)], None),
            (vec![], Some(place(at + 1).bbox)),
            (vec![click(place(at + 2), true)], None),
            (vec![], Some(place(at + 3).bbox)),
            (vec![click(place(at + 4), true), click(place(at + 5), false)], None),
            (vec![click(place(at + 6), true)], Some(place(at + 6).bbox)),
        ]
    };
    let size = (frame.width as usize, frame.height as usize);
    let prompts = (0..ROUNDS).flat_map(round);
    prompts.map(|(points, bbox)| Ok(Prompt::new(points, bbox, size)?)).collect()
}

/// Number of rounds per frame; each round has one prompt of every kind.
const ROUNDS: usize = 2;

/// Positions used in a round.
const PLACES: usize = 7;

/// A position in a frame and a box around it, in pixels.
#[derive(Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
    bbox: BoxXyxy,
}

impl Place {
    /// Element `at` of a low-discrepancy sequence, which covers the frame evenly: multiples of
    /// powers of the root of x^4 = x + 1 (Roberts' R_d, d = 3).
    fn of(at: usize, [width, height]: [f32; 2]) -> Self {
        let part = |step: f64| (0.5 + step * at as f64).fract() as f32;
        let (x, y) = (0.1 + 0.8 * part(0.819_172_513_4), 0.1 + 0.8 * part(0.671_043_606_7));
        let reach = 0.05 + 0.2 * part(0.549_700_477_9);
        let [left, top, right, bottom] =
            [x - reach, y - reach, x + reach, y + reach].map(|side| side.clamp(0.0, 1.0));
        Self {
            x: x * width,
            y: y * height,
            bbox: [left * width, top * height, right * width, bottom * height],
        }
    }
}
