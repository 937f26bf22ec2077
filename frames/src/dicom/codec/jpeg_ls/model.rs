//! Coding parameters and contexts (T.87 annex A).

use super::bits::Bits;

/// Coding parameters of an LSE segment; 0 stands for the default.
#[derive(Clone, Copy, Default)]
pub(super) struct Presets {
    pub(super) highest: u16,
    pub(super) thresholds: [u16; 3],
    pub(super) reset: u16,
}

/// Parameters of a scan (T.87 A.2.1, C.2.4.1.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    /// Highest sample, MAXVAL.
    pub(super) highest: i32,
    /// Largest error of a sample, NEAR.
    pub(super) near: i32,
    /// Number of different errors, RANGE.
    pub(super) range: i32,
    /// Bits of an error.
    pub(super) range_bits: u32,
    /// Longest code, LIMIT.
    pub(super) limit: u32,
    /// Thresholds of gradients, T1 to T3.
    pub(super) thresholds: [i32; 3],
    /// Occurrences of a context after which its statistics are halved.
    pub(super) reset: i32,
}

impl Parameters {
    /// # Errors
    /// The parameters are outside the limits of T.87.
    pub(super) fn new(bits: u32, near: i32, presets: Presets) -> Result<Self, String> {
        let largest = (1 << bits) - 1;
        let highest = if presets.highest == 0 { largest } else { presets.highest.into() };
        let reset = if presets.reset == 0 { 64 } else { presets.reset.into() };
        if highest > largest || near > 255.min(highest / 2) || reset < 3 {
            return Err("the coding parameters are not valid".to_owned());
        }
        let mut thresholds = default_thresholds(highest, near);
        for (threshold, preset) in thresholds.iter_mut().zip(presets.thresholds) {
            if preset != 0 {
                *threshold = preset.into();
            }
        }
        let [t1, t2, t3] = thresholds;
        if !(near < t1 && t1 <= t2 && t2 <= t3 && t3 <= highest.max(near + 1)) {
            return Err("the thresholds of gradients are not valid".to_owned());
        }
        let range = (highest + 2 * near) / (2 * near + 1) + 1;
        let sample_bits = bits_of(highest + 1).max(2);
        Ok(Self {
            highest,
            near,
            range,
            range_bits: bits_of(range),
            limit: 2 * (sample_bits + sample_bits.max(8)),
            thresholds,
            reset,
        })
    }

    /// Prediction plus error, within the range of samples.
    pub(super) fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut sample = prediction + error * step;
        if sample < -self.near {
            sample += self.range * step;
        } else if sample > self.highest + self.near {
            sample -= self.range * step;
        }
        sample.clamp(0, self.highest)
    }

    /// Class of a gradient, from -4 to 4.
    pub(super) fn class(&self, gradient: i32) -> i32 {
        let size = gradient.abs();
        let [t1, t2, t3] = self.thresholds;
        let class = match size {
            _ if size <= self.near => 0,
            _ if size < t1 => 1,
            _ if size < t2 => 2,
            _ if size < t3 => 3,
            _ => 4,
        };
        class * gradient.signum()
    }

    /// Reads the mapped error of a Golomb code.
    pub(super) fn code(&self, bits: &mut Bits<'_>, k: u32, limit: u32) -> Result<i32, String> {
        let escape = limit - self.range_bits - 1;
        let zeros = bits.zeros(limit)?;
        let mapped = if zeros < escape {
            zeros << k | bits.read(k)?
        } else {
            bits.read(self.range_bits)? + 1
        };
        // Errors have at most 16 bits, and `zeros` less than 2^6.
        i32::try_from(mapped)
            .ok()
            .filter(|mapped| *mapped <= 2 * self.range)
            .ok_or_else(|| "an error of prediction is larger than allowed".to_owned())
    }
}

/// Smallest number of bits that represent `count` different values.
fn bits_of(count: i32) -> u32 {
    32 - (count as u32 - 1).leading_zeros()
}

fn default_thresholds(highest: i32, near: i32) -> [i32; 3] {
    const BASIC: [i32; 3] = [3, 7, 21];
    let mut lowest = near + 1;
    [0, 1, 2].map(|index| {
        let basic = BASIC[index];
        let near_part = near * [3, 5, 7][index];
        let threshold = if highest >= 128 {
            let factor = (highest.min(4095) + 128) / 256;
            let smallest = [2, 3, 4][index];
            factor * (basic - smallest) + smallest + near_part
        } else {
            (basic / (256 / (highest + 1)) + near_part).max([2, 3, 4][index])
        };
        lowest = if threshold > highest || threshold < lowest { lowest } else { threshold };
        lowest
    })
}

/// Statistics of the errors after similar gradients.
#[derive(Clone, Copy)]
pub(super) struct Context {
    /// Sum of the sizes of errors, A.
    size: i64,
    /// Sum of errors, B.
    bias: i64,
    /// Correction of the prediction, C.
    pub(super) correction: i32,
    /// Occurrences, N.
    count: i64,
}

impl Context {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let size = i64::from((parameters.range + 32) / 64).max(2);
        Self { size, bias: 0, correction: 0, count: 1 }
    }

    /// Reads an error and updates the statistics.
    pub(super) fn error(
        &mut self,
        bits: &mut Bits<'_>,
        parameters: &Parameters,
    ) -> Result<i32, String> {
        let k = golomb(self.count, self.size)?;
        let mapped = parameters.code(bits, k, parameters.limit)?;
        let half = mapped >> 1;
        let mut error = if mapped & 1 == 0 { half } else { -half - 1 };
        if parameters.near == 0 && k == 0 && 2 * self.bias <= -self.count {
            error = -error - 1;
        }
        self.update(error, parameters);
        Ok(error)
    }

    fn update(&mut self, error: i32, parameters: &Parameters) {
        self.bias += i64::from(error * (2 * parameters.near + 1));
        self.size += i64::from(error.abs());
        if self.count == i64::from(parameters.reset) {
            self.size >>= 1;
            self.bias >>= 1;
            self.count >>= 1;
        }
        self.count += 1;
        if self.bias <= -self.count {
            self.bias = (self.bias + self.count).max(1 - self.count);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.count).min(0);
            self.correction = (self.correction + 1).min(127);
        }
    }
}

/// Statistics of the samples that end a run.
#[derive(Clone, Copy)]
pub(super) struct RunContext {
    /// True if the sample above is similar to that of the run (RItype 1).
    similar: bool,
    size: i64,
    count: i64,
    negative: i64,
}

impl RunContext {
    pub(super) fn new(parameters: &Parameters, similar: bool) -> Self {
        let Context { size, count, .. } = Context::new(parameters);
        Self { similar, size, count, negative: 0 }
    }

    /// Reads an error and updates the statistics; `run_bits` is J of the run.
    pub(super) fn error(
        &mut self,
        bits: &mut Bits<'_>,
        parameters: &Parameters,
        run_bits: u32,
    ) -> Result<i32, String> {
        let similar = i32::from(self.similar);
        let k = golomb(self.count, self.size + i64::from(similar) * (self.count >> 1))?;
        // The limit stays above the bits of an error: run codes have at most 15 bits.
        let limit = parameters.limit - run_bits - 1;
        if limit <= parameters.range_bits + 1 {
            return Err("a run is longer than its codes allow".to_owned());
        }
        let mapped = parameters.code(bits, k, limit)?;
        let odd = (mapped + similar) & 1;
        let size = (mapped + similar + odd) / 2;
        let negative_is_odd = i32::from(k != 0 || 2 * self.negative >= self.count);
        let error = if negative_is_odd == odd { -size } else { size };
        self.negative += i64::from(error < 0);
        self.size += i64::from((mapped + 1 - similar) >> 1);
        if self.count == i64::from(parameters.reset) {
            self.size >>= 1;
            self.count >>= 1;
            self.negative >>= 1;
        }
        self.count += 1;
        Ok(error)
    }
}

/// Golomb parameter: the smallest k for which `count` times 2^k is at least `size`.
fn golomb(count: i64, size: i64) -> Result<u32, String> {
    (0..=16)
        .find(|k| count << k >= size)
        .ok_or_else(|| "the statistics of a context are out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_parameters_are_those_of_the_standard() {
        let of = |bits, near| Parameters::new(bits, near, Presets::default()).unwrap();
        assert_eq!(of(8, 0).thresholds, [3, 7, 21]);
        assert_eq!(of(12, 0).thresholds, [18, 67, 276]);
        assert_eq!(of(16, 0).thresholds, [18, 67, 276]);
        assert_eq!(of(8, 2).thresholds, [9, 17, 35]);
        let eight = of(8, 0);
        assert_eq!((eight.range, eight.range_bits, eight.limit), (256, 8, 32));
        let near = of(8, 3);
        assert_eq!((near.range, near.range_bits), (38, 6));
        assert!(Parameters::new(8, 128, Presets::default()).is_err());
    }
}
