//! Validity of signed metadata.

use jiff::{SignedDuration, Timestamp};

/// Validity of signed metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Time of the signature.
    pub now: Timestamp,
    /// Days until the root expires.
    pub root_days: i64,
    /// Days until the list of builds expires.
    pub targets_days: i64,
    /// Days until snapshot and timestamp expire: the repository has to be published again before.
    pub online_days: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { now: Timestamp::now(), root_days: 1825, targets_days: 365, online_days: 90 }
    }
}

impl Terms {
    /// Time after that many days.
    pub(crate) fn after(&self, days: i64) -> Timestamp {
        self.now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
    }
}
