//! What people type on the command line and in the configuration: clicks and boxes.

use medsa_sam::prompt::{BoxXyxy, Point};

/// A click: `X,Y` on the structure, `X,Y,-` beside it.
///
/// # Errors
/// What was expected.
pub fn parse_point(text: &str) -> Result<Point, &'static str> {
    const EXPECTED: &str = "X,Y for a click on the structure or X,Y,- for one beside it";
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let (x, y, positive) = match fields[..] {
        [x, y] | [x, y, "+"] => (x, y, true),
        [x, y, "-"] => (x, y, false),
        _ => return Err(EXPECTED),
    };
    match (x.parse(), y.parse()) {
        (Ok(x), Ok(y)) => Ok(Point { x, y, positive }),
        _ => Err(EXPECTED),
    }
}

/// A box: `X0,Y0,X1,Y1`.
///
/// # Errors
/// What was expected.
pub fn parse_box(text: &str) -> Result<BoxXyxy, &'static str> {
    const EXPECTED: &str = "X0,Y0,X1,Y1: the upper left and the lower right corner";
    let fields: Result<Vec<f32>, _> = text.split(',').map(|field| field.trim().parse()).collect();
    fields.ok().and_then(|fields| fields.try_into().ok()).ok_or(EXPECTED)
}
