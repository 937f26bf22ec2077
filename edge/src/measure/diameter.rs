//! Feret diameters of a contour.

/// Largest and smallest Feret diameter of the points: largest and smallest distance between two
/// parallel lines that enclose them.
pub(super) fn feret(points: &[[f32; 2]]) -> (f32, f32) {
    let hull = convex_hull(points);
    let longest = hull
        .iter()
        .flat_map(|a| hull.iter().map(|b| (a[0] - b[0]).hypot(a[1] - b[1])))
        .fold(0.0, f32::max);
    // The narrowest strip is parallel to one of the hull's edges.
    let edges = hull.iter().zip(hull.iter().cycle().skip(1));
    let widths = edges.filter(|(a, b)| a != b).map(|(a, b)| {
        let length = (b[0] - a[0]).hypot(b[1] - a[1]);
        hull.iter().map(|&point| cross(*a, *b, point).abs() / length).fold(0.0, f32::max)
    });
    (longest, widths.fold(longest, f32::min))
}

/// Corners of the convex hull, in order (Andrew's monotone chain).
fn convex_hull(points: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    if points.len() < 3 {
        return points;
    }
    let mut hull = half_hull(points.iter().copied());
    hull.extend(half_hull(points.iter().rev().copied()));
    hull
}

/// One side of the hull, without its last point.
fn half_hull(points: impl Iterator<Item = [f32; 2]>) -> Vec<[f32; 2]> {
    let mut chain: Vec<[f32; 2]> = Vec::new();
    for point in points {
        while let [.., a, b] = chain[..] {
            if cross(a, b, point) > 0.0 {
                break;
            }
            chain.pop();
        }
        chain.push(point);
    }
    chain.pop();
    chain
}

/// Twice the signed area of the triangle; the sign gives the side of a-b on which the point lies.
fn cross(a: [f32; 2], b: [f32; 2], point: [f32; 2]) -> f32 {
    (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feret_diameters_of_rectangle_are_diagonal_and_shorter_side() {
        let corners = [[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0], [2.0, 1.0]];
        assert_eq!(feret(&corners), (5.0, 3.0));
    }

    #[test]
    fn fewer_than_three_points_have_diameters() {
        assert_eq!(feret(&[]), (0.0, 0.0));
        assert_eq!(feret(&[[2.0, 2.0]]), (0.0, 0.0));
        assert_eq!(feret(&[[0.0, 0.0], [3.0, 4.0]]), (5.0, 0.0));
        assert_eq!(feret(&[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]).1, 0.0);
    }
}
