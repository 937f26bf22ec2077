//! Motion of a structure from one frame to another: translation, rotation and uniform scale.

/// A position before and after a motion.
pub type Pair = ([f32; 2], [f32; 2]);

/// x' = a x - b y + shift_x, y' = b x + a y + shift_y, in frame pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    a: f32,
    b: f32,
    shift: [f32; 2],
}

impl Motion {
    /// No motion.
    pub const NONE: Self = Self { a: 1.0, b: 0.0, shift: [0.0; 2] };

    /// A translation.
    pub fn shift(shift: [f32; 2]) -> Self {
        Self { shift, ..Self::NONE }
    }

    /// The motion that maps each pair's first position closest to its second, by weighted least
    /// squares. `None` if the pairs do not determine it.
    pub fn fit(pairs: &[Pair], weights: &[f32]) -> Option<Self> {
        let total: f32 = weights.iter().sum();
        let mean = |position: fn(&Pair) -> [f32; 2]| {
            let weighted = pairs.iter().zip(weights);
            let sum = weighted.fold([0.0; 2], |sum, (pair, weight)| {
                let [x, y] = position(pair);
                [sum[0] + weight * x, sum[1] + weight * y]
            });
            sum.map(|sum| sum / total)
        };
        let (from, to) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for ((p, q), weight) in pairs.iter().zip(weights) {
            let [px, py] = [p[0] - from[0], p[1] - from[1]];
            let [qx, qy] = [q[0] - to[0], q[1] - to[1]];
            along += weight * (px * qx + py * qy);
            across += weight * (px * qy - py * qx);
            spread += weight * (px * px + py * py);
        }
        // All pairs at one position do not determine a rotation.
        let (a, b) =
            if spread > 1e-3 * total { (along / spread, across / spread) } else { (1.0, 0.0) };
        let shift = [to[0] - a * from[0] + b * from[1], to[1] - b * from[0] - a * from[1]];
        let motion = Self { a, b, shift };
        [a, b, shift[0], shift[1]].iter().all(|value| value.is_finite()).then_some(motion)
    }

    /// Maps a position.
    pub fn apply(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [self.a * x - self.b * y + self.shift[0], self.b * x + self.a * y + self.shift[1]]
    }

    /// This motion followed by another.
    pub fn then(&self, next: &Self) -> Self {
        Self {
            a: next.a * self.a - next.b * self.b,
            b: next.b * self.a + next.a * self.b,
            shift: next.apply(self.shift),
        }
    }

    /// The inverse motion; [`Motion::NONE`] for one that shrinks everything to a point.
    pub fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        if square < 1e-12 {
            return Self::NONE;
        }
        let back = Self { a: self.a / square, b: -self.b / square, shift: [0.0; 2] };
        let shift = back.apply(self.shift).map(|side| -side);
        Self { shift, ..back }
    }

    /// Scale factor of lengths.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: [f32; 2], expected: [f32; 2]) {
        let distance = (found[0] - expected[0]).hypot(found[1] - expected[1]);
        assert!(distance < 1e-3, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn fit_recovers_the_motion() {
        let motion = Motion { a: 1.1, b: 0.2, shift: [5.0, -3.0] };
        let from = [[0.0, 0.0], [10.0, 0.0], [3.0, 8.0], [7.0, 2.0]];
        let pairs = from.map(|p| (p, motion.apply(p)));
        let found = Motion::fit(&pairs, &[1.0, 2.0, 0.5, 1.0]).unwrap();
        for p in from {
            close(found.apply(p), motion.apply(p));
            close(motion.then(&motion.inverse()).apply(p), p);
            close(motion.then(&Motion::shift([1.0, 2.0])).apply(p), {
                let [x, y] = motion.apply(p);
                [x + 1.0, y + 2.0]
            });
        }
    }

    #[test]
    fn one_pair_determines_a_shift_and_none_determines_nothing() {
        let found = Motion::fit(&[([2.0, 3.0], [5.0, 1.0])], &[1.0]).unwrap();
        assert_eq!(found, Motion::shift([3.0, -2.0]));
        assert_eq!(Motion::fit(&[], &[]), None);
        assert_eq!(Motion { a: 0.0, b: 0.0, shift: [1.0, 1.0] }.inverse(), Motion::NONE);
    }
}
