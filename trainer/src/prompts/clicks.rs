//! Clicks on masks, as a person would place them.

use medsa_sam::prompt::Point;
use ndarray::{ArrayView2, Zip};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::region::{largest_component, most_interior};

/// A positive click on the most interior pixel of the mask's largest component; for an empty mask,
/// a negative click on the centre of the image. Deterministic.
///
/// # Panics
/// If the mask has no pixels.
pub fn central_click(mask: ArrayView2<bool>) -> Point {
    let largest = largest_component(mask).and_then(|(part, _)| most_interior(part.view()));
    match largest {
        Some(at) => click(at, true),
        None => click(middle(mask), false),
    }
}

/// A positive click on a random pixel of the mask, uniformly distributed; for an empty mask, a
/// negative click on a random pixel of the image.
///
/// # Panics
/// If the mask has no pixels.
pub fn random_click(rng: &mut ChaCha8Rng, mask: ArrayView2<bool>) -> Point {
    match random_pixel(rng, mask) {
        Some(at) => click(at, true),
        None => {
            let (height, width) = mask.dim();
            click((rng.random_range(0..height), rng.random_range(0..width)), false)
        }
    }
}

/// The click that corrects the prediction `found` towards `truth`, both `[H, W]`. It lies in the
/// largest connected wrong region; it is positive where the structure was missed, and negative
/// where another one was included. With `rng` it is on a random pixel of the region, without on the
/// most interior one. `None` if nothing is wrong.
///
/// # Panics
/// If the shapes differ.
pub fn error_click(
    rng: Option<&mut ChaCha8Rng>,
    found: ArrayView2<bool>,
    truth: ArrayView2<bool>,
) -> Option<Point> {
    let region = |missed: bool| {
        let wrong = Zip::from(found)
            .and(truth)
            .map_collect(|&found, &truth| found != truth && truth == missed);
        largest_component(wrong.view()).map(|(part, size)| (part, size, missed))
    };
    let (missed, taken) = (region(true), region(false));
    let size = |region: &Option<(_, usize, _)>| region.as_ref().map_or(0, |&(_, size, _)| size);
    // If both are equally large, the missed region is chosen.
    let (part, _, positive) = if size(&missed) >= size(&taken) { missed } else { taken }?;
    let at = match rng {
        Some(rng) => random_pixel(rng, part.view()),
        None => most_interior(part.view()),
    };
    at.map(|at| click(at, positive))
}

fn random_pixel(rng: &mut ChaCha8Rng, mask: ArrayView2<bool>) -> Option<(usize, usize)> {
    let count = mask.iter().filter(|&&inside| inside).count();
    if count == 0 {
        return None;
    }
    let nth = rng.random_range(0..count);
    mask.indexed_iter().filter(|(_, inside)| **inside).nth(nth).map(|(at, _)| at)
}

fn middle(mask: ArrayView2<bool>) -> (usize, usize) {
    let (height, width) = mask.dim();
    assert!(height > 0 && width > 0, "a image has pixels");
    (height / 2, width / 2)
}

fn click((row, column): (usize, usize), positive: bool) -> Point {
    Point { x: column as f32, y: row as f32, positive }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::SeedableRng;

    use super::*;

    fn rectangle(rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Array2<bool> {
        Array2::from_shape_fn((40, 60), |(y, x)| rows.contains(&y) && columns.contains(&x))
    }

    fn at(point: Point) -> (f32, f32, bool) {
        (point.x, point.y, point.positive)
    }

    #[test]
    fn central_click_is_in_the_middle_of_the_largest_component() {
        let mut mask = rectangle(10..15, 30..37);
        mask[(2, 2)] = true;
        assert_eq!(at(central_click(mask.view())), (32.0, 12.0, true));
    }

    #[test]
    fn random_clicks_reach_every_pixel_of_the_mask_and_no_other() {
        let mask = rectangle(4..7, 10..14);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut hits = Array2::from_elem(mask.dim(), 0);
        for _ in 0..1200 {
            let point = random_click(&mut rng, mask.view());
            assert!(point.positive);
            hits[(point.y as usize, point.x as usize)] += 1;
        }
        for (pixel, inside) in mask.indexed_iter() {
            // 100 hits are expected on each pixel; three standard deviations are 29.
            let expected = if *inside { 60..140 } else { 0..1 };
            assert!(expected.contains(&hits[pixel]), "{} on {pixel:?}", hits[pixel]);
        }
    }

    #[test]
    fn empty_mask_gives_a_negative_click() {
        let empty = rectangle(0..0, 0..0);
        assert_eq!(at(central_click(empty.view())), (30.0, 20.0, false));
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let points: Vec<_> = (0..20).map(|_| random_click(&mut rng, empty.view())).collect();
        assert!(points.iter().all(|p| !p.positive && p.x < 60.0 && p.y < 40.0));
        assert!(points.iter().any(|p| p != &points[0]));
    }

    #[test]
    fn correction_is_in_the_largest_wrong_region() {
        let truth = rectangle(10..20, 10..20);
        // Five rows missed: 50 px; five columns too many: 25 px.
        let found = rectangle(15..20, 10..25);
        let missed = error_click(None, found.view(), truth.view()).unwrap();
        assert_eq!(at(missed), (12.0, 12.0, true));
        let found = rectangle(10..20, 10..40);
        let taken = error_click(None, found.view(), truth.view()).unwrap();
        assert_eq!((taken.y, taken.positive), (14.0, false));
        assert!((24.0..=35.0).contains(&taken.x), "{taken:?}");
        assert_eq!(error_click(None, truth.view(), truth.view()), None);
    }

    #[test]
    fn random_corrections_stay_in_the_region() {
        let (truth, found) = (rectangle(10..20, 10..20), rectangle(10..20, 10..15));
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..100 {
            let point = error_click(Some(&mut rng), found.view(), truth.view()).unwrap();
            assert!(point.positive);
            assert!((15.0..20.0).contains(&point.x) && (10.0..20.0).contains(&point.y));
        }
    }

    #[test]
    fn false_positive_gets_a_negative_click() {
        let (truth, found) = (rectangle(0..0, 0..0), rectangle(5..8, 5..8));
        let point = error_click(None, found.view(), truth.view()).unwrap();
        assert_eq!(at(point), (6.0, 6.0, false));
        assert_eq!(error_click(None, truth.view(), truth.view()), None);
    }
}
