//! Level of degradation of a device that is hot or slow, computed from readings of the device and
//! nothing else.
//!
//! The level rises when trouble has lasted for the hold time, and falls when the device has been
//! healthy for as long. If a level is needed again soon after it was left, the next hold is twice
//! as long: the cause persists and is only hidden while the device is degraded.

use std::time::Duration;

use medsa_wire::{Cause, Degradation, MAX_DEGRADATION};

use crate::config::Limits;

/// Reading of the device at one moment. Unknown values count as healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Temperature of the processor in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// True while the firmware limits the processor's clock.
    pub throttled: Option<bool>,
    /// Mean time of the encoder per frame since the last reading, in ms; `None` without frames.
    pub encoder_ms: Option<f64>,
}

/// Computes the level from one reading after the other.
#[derive(Clone, Debug)]
pub struct Ladder {
    limits: Limits,
    /// True if there is a smaller build; without one, level 2 is skipped.
    smaller: bool,
    degradation: Option<Degradation>,
    verdict: Verdict,
    /// Time since which the verdict has been the same at this level.
    since: Duration,
    /// Factor of the hold time before the level falls.
    hold_factor: u32,
    /// Time at which the level last fell.
    lowered: Option<Duration>,
}

/// Evaluation of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Trouble,
    /// Neither trouble nor healthy: the level stays.
    Tolerable,
    Healthy,
}

/// Level from which the smaller build is used.
const SMALLER: u8 = 2;

/// Largest share of the encoder's time limit at which the encoder counts as fast again.
const HEALTHY_SHARE: f64 = 0.8;

/// Number of hold times within which a repeated rise counts as soon.
const SOON: u32 = 4;

/// Largest factor of the hold time.
const MAX_HOLD_FACTOR: u32 = 16;

impl Ladder {
    /// Starts without degradation.
    pub fn new(limits: Limits, smaller: bool) -> Self {
        Self {
            limits,
            smaller,
            degradation: None,
            verdict: Verdict::Tolerable,
            since: Duration::ZERO,
            hold_factor: 1,
            lowered: None,
        }
    }

    /// Degradation after a reading at time `at`, which must not decrease.
    pub fn read(&mut self, at: Duration, reading: &Reading) -> Option<Degradation> {
        let trouble = self.trouble(reading);
        let verdict = match trouble {
            Some(_) => Verdict::Trouble,
            None if self.is_healthy(reading) => Verdict::Healthy,
            None => Verdict::Tolerable,
        };
        if verdict != self.verdict {
            (self.verdict, self.since) = (verdict, at);
        }
        let (lasted, hold) = (at.saturating_sub(self.since), self.limits.hold);
        let level = self.degradation.map_or(0, |degradation| degradation.level);
        if let Some(cause) = trouble
            && level < MAX_DEGRADATION
            && lasted >= hold
        {
            if let Some(lowered) = self.lowered.take() {
                let again = at.saturating_sub(lowered) <= hold * SOON;
                self.hold_factor =
                    if again { (self.hold_factor * 2).min(MAX_HOLD_FACTOR) } else { 1 };
            }
            let level = if self.is_skipped(level + 1) { level + 2 } else { level + 1 };
            (self.degradation, self.since) = (Some(Degradation { level, cause }), at);
        }
        if verdict == Verdict::Healthy && level > 0 && lasted >= hold * self.hold_factor {
            let level = if self.is_skipped(level - 1) { level - 2 } else { level - 1 };
            let less = |before: Degradation| Degradation { level, ..before };
            self.degradation = self.degradation.map(less).filter(|_| level > 0);
            (self.since, self.lowered) = (at, Some(at));
        }
        self.degradation
    }

    fn is_skipped(&self, level: u8) -> bool {
        level == SMALLER && !self.smaller
    }

    fn trouble(&self, reading: &Reading) -> Option<Cause> {
        let Limits { hot_c, max_encoder_ms, .. } = self.limits;
        let slow = reading.encoder_ms.zip(max_encoder_ms).is_some_and(|(took, max)| took > max);
        if reading.temperature_c.is_some_and(|temperature_c| temperature_c >= hot_c) {
            Some(Cause::Heat)
        } else if reading.throttled == Some(true) {
            Some(Cause::Throttling)
        } else {
            slow.then_some(Cause::Slowness)
        }
    }

    fn is_healthy(&self, reading: &Reading) -> bool {
        let Limits { cool_c, max_encoder_ms, .. } = self.limits;
        let fast = |(took, max): (f64, f64)| took <= max * HEALTHY_SHARE;
        reading.temperature_c.is_none_or(|temperature_c| temperature_c <= cool_c)
            && reading.encoder_ms.zip(max_encoder_ms).is_none_or(fast)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        hot_c: 80.0,
        cool_c: 70.0,
        max_encoder_ms: Some(100.0),
        hold: Duration::from_secs(10),
    };

    const HEALTHY: Reading =
        Reading { temperature_c: Some(60.0), throttled: Some(false), encoder_ms: Some(50.0) };

    /// A ladder with one reading per second.
    struct Bench {
        ladder: Ladder,
        now_s: u64,
    }

    impl Bench {
        fn new(smaller: bool) -> Self {
            Self { ladder: Ladder::new(LIMITS, smaller), now_s: 0 }
        }

        /// Level and cause after the same reading for some seconds.
        fn read(&mut self, seconds: u64, reading: Reading) -> Option<(u8, Cause)> {
            let mut read = None;
            for _ in 0..seconds {
                self.now_s += 1;
                read = self.ladder.read(Duration::from_secs(self.now_s), &reading);
            }
            read.map(|Degradation { level, cause }| (level, cause))
        }

        /// Number of seconds until the level changes.
        fn until_another(&mut self, reading: Reading) -> u64 {
            let before = self.ladder.degradation;
            let begun = self.now_s;
            while self.ladder.degradation == before {
                assert!(self.now_s < begun + 1000, "{before:?} for ever");
                self.read(1, reading);
            }
            self.now_s - begun
        }
    }

    fn at(temperature_c: f64) -> Reading {
        Reading { temperature_c: Some(temperature_c), ..HEALTHY }
    }

    #[test]
    fn level_rises_while_hot_and_falls_when_cool() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.read(60, HEALTHY), None);
        assert_eq!(bench.read(10, at(80.0)), None);
        assert_eq!(bench.read(1, at(80.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(9, at(90.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(1, at(90.0)), Some((2, Cause::Heat)));
        assert_eq!(bench.read(10, at(90.0)), Some((3, Cause::Heat)));
        // The highest level.
        assert_eq!(bench.read(1000, at(90.0)), Some((3, Cause::Heat)));
        assert_eq!(bench.read(11, at(70.0)), Some((2, Cause::Heat)));
        assert_eq!(bench.read(10, at(70.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(10, at(70.0)), None);
        assert_eq!(bench.read(1000, at(70.0)), None);
    }

    #[test]
    fn level_stays_between_hot_and_cool() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.read(1000, at(79.9)), None);
        bench.read(11, at(80.0));
        assert_eq!(bench.read(1000, at(70.1)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(1000, at(79.9)), Some((1, Cause::Heat)));
    }

    #[test]
    fn short_changes_do_not_change_the_level() {
        let mut bench = Bench::new(true);
        for _ in 0..20 {
            assert_eq!(bench.read(9, at(90.0)), None);
            assert_eq!(bench.read(1, HEALTHY), None);
        }
        bench.read(11, at(90.0));
        for _ in 0..20 {
            assert_eq!(bench.read(9, HEALTHY), Some((1, Cause::Heat)));
            assert_eq!(bench.read(1, at(75.0)), Some((1, Cause::Heat)));
        }
    }

    #[test]
    fn cause_is_named_and_heat_comes_first() {
        let throttled = Reading { throttled: Some(true), ..HEALTHY };
        let slow = Reading { encoder_ms: Some(100.1), ..HEALTHY };
        let all = Reading { temperature_c: Some(90.0), throttled: Some(true), ..slow };
        for (reading, cause) in [
            (at(90.0), Cause::Heat),
            (throttled, Cause::Throttling),
            (slow, Cause::Slowness),
            (Reading { throttled: Some(true), ..slow }, Cause::Throttling),
            (all, Cause::Heat),
        ] {
            assert_eq!(Bench::new(true).read(11, reading), Some((1, cause)));
        }
        let just = Reading { encoder_ms: Some(100.0), ..HEALTHY };
        assert_eq!(Bench::new(true).read(1000, just), None);
    }

    #[test]
    fn unknown_values_are_no_trouble() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.read(1000, Reading::default()), None);
        bench.read(11, at(90.0));
        assert_eq!(bench.read(11, Reading::default()), None);
        let limits = Limits { max_encoder_ms: None, ..LIMITS };
        let mut bench = Bench { ladder: Ladder::new(limits, true), now_s: 0 };
        assert_eq!(bench.read(1000, Reading { encoder_ms: Some(1e9), ..HEALTHY }), None);
    }

    #[test]
    fn slow_encoder_is_healthy_again_below_four_fifths() {
        let mut bench = Bench::new(true);
        let taking = |ms| Reading { encoder_ms: Some(ms), ..HEALTHY };
        bench.read(11, taking(101.0));
        assert_eq!(bench.read(1000, taking(81.0)), Some((1, Cause::Slowness)));
        assert_eq!(bench.read(11, taking(80.0)), None);
    }

    #[test]
    fn level_2_is_skipped_without_smaller_build() {
        let mut bench = Bench::new(false);
        assert_eq!(bench.read(11, at(90.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(10, at(90.0)), Some((3, Cause::Heat)));
        assert_eq!(bench.read(11, HEALTHY), Some((1, Cause::Heat)));
        assert_eq!(bench.read(10, HEALTHY), None);
    }

    /// The smaller build is fast, and the larger one still slow.
    #[test]
    fn level_needed_repeatedly_is_held_longer_each_time() {
        let mut bench = Bench::new(true);
        bench.read(11, at(90.0));
        for kept in [11, 21, 41, 81, 161, 161] {
            assert_eq!(bench.until_another(HEALTHY), kept);
            assert_eq!(bench.until_another(at(90.0)), 11);
        }
        // After a long healthy time without degradation, the hold time is the usual one.
        bench.until_another(HEALTHY);
        assert_eq!(bench.read(100, HEALTHY), None);
        bench.until_another(at(90.0));
        assert_eq!(bench.until_another(HEALTHY), 11);
    }
}
