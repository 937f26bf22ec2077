//! Size limits of the records.

use std::io;

use crate::config::Budget;

/// Reason why a record does not fit.
#[derive(Debug, thiserror::Error)]
pub enum Shortage {
    /// The records would exceed `records.max_bytes`.
    #[error("{used} bytes are used, and with it at most {max} are allowed (records.max_bytes)")]
    Used {
        /// Size of all records, in bytes.
        used: u64,
        /// Largest size allowed, in bytes.
        max: u64,
    },
    /// The disk would have less than `records.min_free_bytes` free.
    #[error("{free} bytes of the disk are free, and {min} must stay free (records.min_free_bytes)")]
    Free {
        /// Free space on the disk, in bytes.
        free: u64,
        /// Space that must stay free, in bytes.
        min: u64,
    },
    /// The disk became full while writing.
    #[error("the disk is full: {0}")]
    Disk(io::Error),
}

impl Budget {
    /// Reason why `needed` bytes do not fit, if they do not.
    pub(super) fn shortage(&self, used: u64, free: u64, needed: u64) -> Option<Shortage> {
        let Self { max_bytes: max, min_free_bytes: min } = *self;
        if used.saturating_add(needed) > max {
            Some(Shortage::Used { used, max })
        } else if free < min.saturating_add(needed) {
            Some(Shortage::Free { free, min })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_may_use_the_last_byte() {
        let budget = Budget { max_bytes: 100, min_free_bytes: 50 };
        assert!(budget.shortage(60, 90, 40).is_none());
        assert!(matches!(budget.shortage(60, 90, 41), Some(Shortage::Used { used: 60, max: 100 })));
        assert!(matches!(budget.shortage(0, 90, 41), Some(Shortage::Free { free: 90, min: 50 })));
        assert!(budget.shortage(u64::MAX, u64::MAX, 1).is_some());
    }
}
