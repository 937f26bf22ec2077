//! What a device gives up when it is hot or slow, step by step, so that it goes on at all: whether
//! to, from what is read of it, and nothing else.
//!
//! A step is taken when trouble has lasted, and taken back when all has been well for as long. A
//! step that had to be taken again soon after it was taken back is kept twice as long as before:
//! what made it necessary is still there, and only cannot be seen while it is taken.

use std::time::Duration;

use medsa_wire::{Cause, Degradation, MAX_DEGRADATION};

use crate::config::Limits;

/// What is read of the device at one moment; what it does not tell is no trouble.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Temperature of the processor in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Whether the processor's clock is held down.
    pub throttled: Option<bool>,
    /// Time of the encoder for a frame, of late; `None` when there was no frame.
    pub encoder_ms: Option<f64>,
}

/// Decides from one reading after the other.
#[derive(Clone, Debug)]
pub struct Ladder {
    limits: Limits,
    /// Whether there is a smaller build: without, that step would give up nothing.
    smaller: bool,
    degradation: Option<Degradation>,
    verdict: Verdict,
    /// Since when the verdict has been the same on this step.
    since: Duration,
    /// How many times as long as usual a step is kept.
    patience: u32,
    /// When a step was last taken back.
    lowered: Option<Duration>,
}

/// What a reading says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Trouble,
    /// Neither so bad that more is given up, nor so good that less is.
    Bearable,
    Well,
}

/// The smaller build's step.
const SMALLER: u8 = 2;

/// Share of the longest time that the encoder takes when all is well.
const WELL_WITHIN: f64 = 0.8;

/// How many times the usual time after it was taken back a step is taken again soon.
const SOON: u32 = 4;

/// Most times as long as usual that a step is kept.
const MAX_PATIENCE: u32 = 16;

impl Ladder {
    /// Nothing is given up.
    pub fn new(limits: Limits, smaller: bool) -> Self {
        Self {
            limits,
            smaller,
            degradation: None,
            verdict: Verdict::Bearable,
            since: Duration::ZERO,
            patience: 1,
            lowered: None,
        }
    }

    /// What is to be given up after a reading `at` a time since any beginning, later ones later.
    pub fn read(&mut self, at: Duration, reading: &Reading) -> Option<Degradation> {
        let trouble = self.trouble(reading);
        let verdict = match trouble {
            Some(_) => Verdict::Trouble,
            None if self.is_well(reading) => Verdict::Well,
            None => Verdict::Bearable,
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
                self.patience = if again { (self.patience * 2).min(MAX_PATIENCE) } else { 1 };
            }
            let level = if self.is_passed_over(level + 1) { level + 2 } else { level + 1 };
            (self.degradation, self.since) = (Some(Degradation { level, cause }), at);
        }
        if verdict == Verdict::Well && level > 0 && lasted >= hold * self.patience {
            let level = if self.is_passed_over(level - 1) { level - 2 } else { level - 1 };
            let less = |before: Degradation| Degradation { level, ..before };
            self.degradation = self.degradation.map(less).filter(|_| level > 0);
            (self.since, self.lowered) = (at, Some(at));
        }
        self.degradation
    }

    fn is_passed_over(&self, level: u8) -> bool {
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

    fn is_well(&self, reading: &Reading) -> bool {
        let Limits { cool_c, max_encoder_ms, .. } = self.limits;
        let fast = |(took, max): (f64, f64)| took <= max * WELL_WITHIN;
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

    const WELL: Reading =
        Reading { temperature_c: Some(60.0), throttled: Some(false), encoder_ms: Some(50.0) };

    /// A ladder that is read every second.
    struct Bench {
        ladder: Ladder,
        now_s: u64,
    }

    impl Bench {
        fn new(smaller: bool) -> Self {
            Self { ladder: Ladder::new(LIMITS, smaller), now_s: 0 }
        }

        /// Level and cause after reading the same for some seconds.
        fn read(&mut self, seconds: u64, reading: Reading) -> Option<(u8, Cause)> {
            let mut read = None;
            for _ in 0..seconds {
                self.now_s += 1;
                read = self.ladder.read(Duration::from_secs(self.now_s), &reading);
            }
            read.map(|Degradation { level, cause }| (level, cause))
        }

        /// Seconds until the level is another.
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
        Reading { temperature_c: Some(temperature_c), ..WELL }
    }

    #[test]
    fn steps_are_taken_while_it_is_hot_and_taken_back_when_it_is_cool() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.read(60, WELL), None);
        assert_eq!(bench.read(10, at(80.0)), None);
        assert_eq!(bench.read(1, at(80.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(9, at(90.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(1, at(90.0)), Some((2, Cause::Heat)));
        assert_eq!(bench.read(10, at(90.0)), Some((3, Cause::Heat)));
        // There is nothing more to give up.
        assert_eq!(bench.read(1000, at(90.0)), Some((3, Cause::Heat)));
        assert_eq!(bench.read(11, at(70.0)), Some((2, Cause::Heat)));
        assert_eq!(bench.read(10, at(70.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(10, at(70.0)), None);
        assert_eq!(bench.read(1000, at(70.0)), None);
    }

    #[test]
    fn between_hot_and_cool_nothing_changes() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.read(1000, at(79.9)), None);
        bench.read(11, at(80.0));
        assert_eq!(bench.read(1000, at(70.1)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(1000, at(79.9)), Some((1, Cause::Heat)));
    }

    #[test]
    fn what_does_not_last_is_no_reason() {
        let mut bench = Bench::new(true);
        for _ in 0..20 {
            assert_eq!(bench.read(9, at(90.0)), None);
            assert_eq!(bench.read(1, WELL), None);
        }
        bench.read(11, at(90.0));
        for _ in 0..20 {
            assert_eq!(bench.read(9, WELL), Some((1, Cause::Heat)));
            assert_eq!(bench.read(1, at(75.0)), Some((1, Cause::Heat)));
        }
    }

    #[test]
    fn each_kind_of_trouble_is_named_and_heat_before_all() {
        let throttled = Reading { throttled: Some(true), ..WELL };
        let slow = Reading { encoder_ms: Some(100.1), ..WELL };
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
        let just = Reading { encoder_ms: Some(100.0), ..WELL };
        assert_eq!(Bench::new(true).read(1000, just), None);
    }

    #[test]
    fn what_is_not_told_is_no_trouble() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.read(1000, Reading::default()), None);
        bench.read(11, at(90.0));
        assert_eq!(bench.read(11, Reading::default()), None);
        let limits = Limits { max_encoder_ms: None, ..LIMITS };
        let mut bench = Bench { ladder: Ladder::new(limits, true), now_s: 0 };
        assert_eq!(bench.read(1000, Reading { encoder_ms: Some(1e9), ..WELL }), None);
    }

    #[test]
    fn one_that_was_slow_is_well_again_with_time_to_spare() {
        let mut bench = Bench::new(true);
        let taking = |ms| Reading { encoder_ms: Some(ms), ..WELL };
        bench.read(11, taking(101.0));
        assert_eq!(bench.read(1000, taking(81.0)), Some((1, Cause::Slowness)));
        assert_eq!(bench.read(11, taking(80.0)), None);
    }

    #[test]
    fn without_a_smaller_build_its_step_is_passed_over() {
        let mut bench = Bench::new(false);
        assert_eq!(bench.read(11, at(90.0)), Some((1, Cause::Heat)));
        assert_eq!(bench.read(10, at(90.0)), Some((3, Cause::Heat)));
        assert_eq!(bench.read(11, WELL), Some((1, Cause::Heat)));
        assert_eq!(bench.read(10, WELL), None);
    }

    /// A smaller build is fast, and the larger one as slow as before.
    #[test]
    fn a_step_that_is_needed_again_and_again_is_kept_for_longer_each_time() {
        let mut bench = Bench::new(true);
        bench.read(11, at(90.0));
        for kept in [11, 21, 41, 81, 161, 161] {
            assert_eq!(bench.until_another(WELL), kept);
            assert_eq!(bench.until_another(at(90.0)), 11);
        }
        // After a long time of which nothing is left, it is as at the beginning.
        bench.until_another(WELL);
        assert_eq!(bench.read(100, WELL), None);
        bench.until_another(at(90.0));
        assert_eq!(bench.until_another(WELL), 11);
    }
}
