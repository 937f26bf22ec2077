//! Optical flow of single points: the method of Lucas and Kanade on a pyramid (Bouguet's
//! form), with a check by following each point back.

use ndarray::Array2;

use super::pyramid::Pyramid;

/// Half the side of the compared window in pixels, without its centre.
const RADIUS: usize = 6;
const SIDE: usize = 2 * RADIUS + 1;
const AREA: f32 = (SIDE * SIDE) as f32;

/// Largest number of iterations per level. Few points need more, and those are unreliable.
const STEPS: usize = 12;

/// Iterations end with a step shorter than this, in pixels of the level.
const SHORT_STEP_PX: f32 = 0.02;

/// Least texture: the smaller eigenvalue of the window's mean structure tensor, in grey values
/// squared. Below it, noise dominates.
const TEXTURE: f32 = 1.5;

/// Largest distance between a point and its position after following it there and back, in
/// pixels of the finest level.
const RETURN_PX: f32 = 1.0;

/// Finds the position in `to` of a point of `from`, both in frame pixels, starting at `guess`.
/// `None` if there is too little texture, the point leaves the frame, or following it back ends
/// elsewhere.
pub(super) fn find(
    from: &Pyramid,
    to: &Pyramid,
    point: [f32; 2],
    guess: [f32; 2],
) -> Option<[f32; 2]> {
    let (start, guess) = (from.position(point), to.position(guess));
    let found = search(from, to, start, guess)?;
    let back = search(to, from, found, start)?;
    let astray = (back[0] - start[0]).hypot(back[1] - start[1]);
    (astray <= RETURN_PX).then(|| to.in_frame(found))
}

fn search(from: &Pyramid, to: &Pyramid, point: [f32; 2], guess: [f32; 2]) -> Option<[f32; 2]> {
    let levels = from.levels().iter().zip(to.levels()).enumerate().rev();
    let mut found = guess;
    for (level, (from, to)) in levels {
        let on_level = |position: [f32; 2]| {
            let size = (1 << level) as f32;
            position.map(|p| (p + 0.5) / size - 0.5)
        };
        let here = on_level(found);
        let Some(refined) = refine(from, to, on_level(point), here) else {
            // Coarse levels lack texture or cross the edge sooner; only the finest level decides.
            if level == 0 {
                return None;
            }
            continue;
        };
        let size = (1 << level) as f32;
        found = refined.map(|p| (p + 0.5) * size - 0.5);
    }
    Some(found)
}

/// Moves `guess` until the window around it in `to` matches that around `point` in `from`.
fn refine(
    from: &Array2<u8>,
    to: &Array2<u8>,
    point: [f32; 2],
    guess: [f32; 2],
) -> Option<[f32; 2]> {
    // With a border for central differences.
    let template: [[f32; SIDE + 2]; SIDE + 2] = window(from, point)?;
    let mut gradients = [[[0.0f32; 2]; SIDE]; SIDE];
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (y, row) in gradients.iter_mut().enumerate() {
        for (x, gradient) in row.iter_mut().enumerate() {
            let gx = (template[y + 1][x + 2] - template[y + 1][x]) / 2.0;
            let gy = (template[y + 2][x + 1] - template[y][x + 1]) / 2.0;
            *gradient = [gx, gy];
            xx += gx * gx;
            xy += gx * gy;
            yy += gy * gy;
        }
    }
    let smaller = (xx + yy - ((xx - yy).powi(2) + 4.0 * xy * xy).sqrt()) / 2.0;
    if smaller < TEXTURE * AREA {
        return None;
    }
    let determinant = xx * yy - xy * xy;
    let mut found = guess;
    for _ in 0..STEPS {
        let seen: [[f32; SIDE]; SIDE] = window(to, found)?;
        // The mean brightness may change, because gain follows depth and pressure.
        let mut difference = 0.0;
        let (mut ex, mut ey, mut gx_sum, mut gy_sum) = (0.0, 0.0, 0.0, 0.0);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let lacking = template[y + 1][x + 1] - seen[y][x];
                let [gx, gy] = gradients[y][x];
                difference += lacking;
                ex += lacking * gx;
                ey += lacking * gy;
                gx_sum += gx;
                gy_sum += gy;
            }
        }
        let mean = difference / AREA;
        let (ex, ey) = (ex - mean * gx_sum, ey - mean * gy_sum);
        let step = [(yy * ex - xy * ey) / determinant, (xx * ey - xy * ex) / determinant];
        found = [found[0] + step[0], found[1] + step[1]];
        if step[0].hypot(step[1]) < SHORT_STEP_PX {
            return Some(found);
        }
    }
    Some(found)
}

/// A square of `N` x `N` pixels around `centre`, interpolated between pixels; `None` if it
/// crosses the edge.
fn window<const N: usize>(level: &Array2<u8>, centre: [f32; 2]) -> Option<[[f32; N]; N]> {
    let (height, width) = level.dim();
    let corner = centre.map(|p| p - (N / 2) as f32);
    let whole = corner.map(f32::floor);
    let inside = |start: f32, side: usize| start >= 0.0 && start as usize + N < side;
    if !(inside(whole[0], width) && inside(whole[1], height)) {
        return None;
    }
    let [fx, fy] = [corner[0] - whole[0], corner[1] - whole[1]];
    let (left, top) = (whole[0] as usize, whole[1] as usize);
    // Invariant: levels are in standard layout, and the square lies within the level.
    let row = |y: usize| &level.as_slice().unwrap_or_default()[(top + y) * width + left..][..N + 1];
    let mut window = [[0.0; N]; N];
    for (y, out) in window.iter_mut().enumerate() {
        let (upper, lower) = (row(y), row(y + 1));
        for (x, out) in out.iter_mut().enumerate() {
            let [a, b] = [upper[x], upper[x + 1]].map(f32::from);
            let [c, d] = [lower[x], lower[x + 1]].map(f32::from);
            let (top, bottom) = (a + (b - a) * fx, c + (d - c) * fx);
            *out = top + (bottom - top) * fy;
        }
    }
    Some(window)
}
