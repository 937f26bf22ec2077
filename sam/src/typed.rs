//! Parsers of clicks and boxes typed on command lines and in configurations.

use crate::prompt::{BoxXyxy, Point};

/// Parses a click: `X,Y` on the structure, `X,Y,-` outside it.
///
/// # Errors
/// The expected form.
pub fn parse_point(text: &str) -> Result<Point, &'static str> {
    const EXPECTED: &str = "X,Y for a click on the structure or X,Y,- for one outside it";
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

/// Parses a box: `X0,Y0,X1,Y1`.
///
/// # Errors
/// The expected form.
pub fn parse_box(text: &str) -> Result<BoxXyxy, &'static str> {
    const EXPECTED: &str = "X0,Y0,X1,Y1: the upper left and the lower right corner";
    let fields: Result<Vec<f32>, _> = text.split(',').map(|field| field.trim().parse()).collect();
    fields.ok().and_then(|fields| fields.try_into().ok()).ok_or(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_and_boxes_are_parsed() {
        let point = |x, y, positive| Ok(Point { x, y, positive });
        assert_eq!(parse_point("3,4.5"), point(3.0, 4.5, true));
        assert_eq!(parse_point("3, 4,+"), point(3.0, 4.0, true));
        assert_eq!(parse_point("3,4,-"), point(3.0, 4.0, false));
        assert_eq!(parse_box("1,2,3,4"), Ok([1.0, 2.0, 3.0, 4.0]));
        for text in ["", "3", "3,four", "3,4,5", "3,4,-,"] {
            assert!(parse_point(text).is_err(), "{text}");
        }
        for text in ["", "1,2,3", "1,2,3,4,5", "1,2,3,x"] {
            assert!(parse_box(text).is_err(), "{text}");
        }
    }
}
