//! Waits between attempts to connect, and before restarts.

use std::iter::Peekable;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// First wait; the next ones double.
const MIN_WAIT: Duration = Duration::from_millis(250);

/// Waits that double up to a maximum.
pub(crate) struct BackOff {
    waits: ExponentialBuilder,
    next: Peekable<ExponentialBackoff>,
    max: Duration,
}

/// Waits that double, of a limited number.
pub(crate) struct LimitedBackOff {
    waits: ExponentialBuilder,
    next: ExponentialBackoff,
}

impl LimitedBackOff {
    /// Starts with the wait `min`; there are `times` waits.
    pub(crate) fn new(min: Duration, times: usize) -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(min)
            .without_max_delay()
            .with_max_times(times);
        Self { waits, next: waits.build() }
    }

    /// Returns the next wait; `None` after the last one.
    pub(crate) fn wait(&mut self) -> Option<Duration> {
        self.next.next()
    }

    /// Starts again with the shortest wait.
    pub(crate) fn reset(&mut self) {
        self.next = self.waits.build();
    }
}

impl BackOff {
    /// Starts with the shortest wait; `max` is the longest.
    pub(crate) fn new(max: Duration) -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(MIN_WAIT.min(max))
            .with_max_delay(max)
            .without_max_times();
        Self { waits, next: waits.build().peekable(), max }
    }

    /// The next wait, without using it up.
    pub(crate) fn upcoming(&mut self) -> Duration {
        self.next.peek().copied().unwrap_or(self.max)
    }

    /// Returns the next wait.
    pub(crate) fn wait(&mut self) -> Duration {
        // Invariant: the number of waits is not limited.
        self.next.next().unwrap_or(self.max)
    }

    /// Continues with the longest wait.
    pub(crate) fn lengthen(&mut self) {
        self.next = self.waits.with_min_delay(self.max).build().peekable();
    }

    /// Starts again with the shortest wait.
    pub(crate) fn reset(&mut self) {
        self.next = self.waits.build().peekable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut back_off = BackOff::new(Duration::from_secs(1));
        let mut waits = || [(); 4].map(|()| back_off.wait().as_millis());
        assert_eq!(waits(), [250, 500, 1000, 1000]);
        back_off.reset();
        assert_eq!((back_off.upcoming(), back_off.wait()), (MIN_WAIT, MIN_WAIT));
        back_off.lengthen();
        assert_eq!(back_off.wait().as_secs(), 1);
        assert_eq!(BackOff::new(Duration::from_millis(100)).wait().as_millis(), 100);
    }

    #[test]
    fn limited_waits_double_and_end() {
        let mut back_off = LimitedBackOff::new(Duration::from_millis(100), 3);
        let mut waits = || [(); 4].map(|()| back_off.wait().map(|wait| wait.as_millis()));
        assert_eq!(waits(), [Some(100), Some(200), Some(400), None]);
        back_off.reset();
        assert_eq!(back_off.wait(), Some(Duration::from_millis(100)));
    }
}
