//! Filling of polygons and circles: a pixel is inside if its centre is.

use ndarray::Array2;

/// Fills a polygon with corners at x and y by the even-odd rule.
pub(super) fn fill(classes: &mut Array2<u8>, corners: &[[f64; 2]], class: u8) {
    let mut crossings = Vec::new();
    for (row, mut pixels) in classes.rows_mut().into_iter().enumerate() {
        let y = row as f64 + 0.5;
        crossings.clear();
        for (i, &[x0, y0]) in corners.iter().enumerate() {
            let [x1, y1] = corners[(i + 1) % corners.len()];
            if (y0 <= y) != (y1 <= y) {
                crossings.push(x0 + (y - y0) / (y1 - y0) * (x1 - x0));
            }
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            // A cast saturates at 0.
            let [start, end] =
                [pair[0], pair[1]].map(|x| ((x - 0.5).ceil() as usize).min(pixels.len()));
            (start..end).for_each(|column| pixels[column] = class);
        }
    }
}

/// Fills a circle.
pub(super) fn fill_circle(classes: &mut Array2<u8>, [x, y]: [f64; 2], radius: f64, class: u8) {
    for ((row, column), pixel) in classes.indexed_iter_mut() {
        if (column as f64 + 0.5 - x).hypot(row as f64 + 0.5 - y) <= radius {
            *pixel = class;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a canvas of 6 x 4 px after `fill`.
    fn rows(fill: impl FnOnce(&mut Array2<u8>)) -> Vec<String> {
        let mut classes = Array2::zeros((4, 6));
        fill(&mut classes);
        let row = |row: ndarray::ArrayView1<u8>| row.iter().map(u8::to_string).collect();
        classes.rows().into_iter().map(row).collect()
    }

    #[test]
    fn pixels_whose_centres_are_inside_are_filled() {
        let square = [[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]];
        assert_eq!(rows(|c| fill(c, &square, 2)), ["000000", "022200", "022200", "000000"]);
        let between = square.map(|[x, y]| [x + 0.6, y + 0.4]);
        assert_eq!(rows(|c| fill(c, &between, 2)), ["000000", "002220", "002220", "000000"]);
        let triangle = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]];
        assert_eq!(rows(|c| fill(c, &triangle, 1)), ["111000", "110000", "100000", "000000"]);
    }

    #[test]
    fn polygons_reach_over_the_border_and_may_be_concave() {
        let wide = [[-1e9, -5.0], [1e9, -5.0], [1e9, 1.0], [-1e9, 1.0]];
        assert_eq!(rows(|c| fill(c, &wide, 7)), ["777777", "000000", "000000", "000000"]);
        let notch = [
            [0.0, 0.0],
            [6.0, 0.0],
            [6.0, 4.0],
            [4.0, 4.0],
            [4.0, 2.0],
            [2.0, 2.0],
            [2.0, 4.0],
            [0.0, 4.0],
        ];
        assert_eq!(rows(|c| fill(c, &notch, 1)), ["111111", "111111", "110011", "110011"]);
        for few in [&[][..], &[[1.0, 1.0]], &[[1.0, 1.0], [5.0, 3.0]]] {
            assert_eq!(rows(|c| fill(c, few, 1)), ["000000"; 4]);
        }
    }

    #[test]
    fn circle_is_filled_up_to_its_radius() {
        let found = rows(|c| fill_circle(c, [3.0, 2.0], 1.6, 3));
        assert_eq!(found, ["003300", "033330", "033330", "003300"]);
    }
}
