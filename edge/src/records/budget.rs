//! How much room records may take.

use std::io;

use crate::config::Budget;

/// Why a record does not fit.
#[derive(Debug, thiserror::Error)]
pub enum Shortage {
    /// The records would take more than they may.
    #[error("{used} bytes are used, expected at most {max} with it (records.max_bytes)")]
    Used {
        /// What the records take.
        used: u64,
        /// What they may take.
        max: u64,
    },
    /// Their disk would have less room than it must.
    #[error(
        "{free} bytes of the disk are free, expected {min} to stay so (records.min_free_bytes)"
    )]
    Free {
        /// What is free.
        free: u64,
        /// What must stay free.
        min: u64,
    },
    /// Something else filled the disk first.
    #[error("the disk is full: {0}")]
    Disk(io::Error),
}

impl Budget {
    /// Why `needed` bytes do not fit.
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
    fn the_last_byte_may_be_used() {
        let budget = Budget { max_bytes: 100, min_free_bytes: 50 };
        assert!(budget.shortage(60, 90, 40).is_none());
        assert!(matches!(budget.shortage(60, 90, 41), Some(Shortage::Used { used: 60, max: 100 })));
        assert!(matches!(budget.shortage(0, 90, 41), Some(Shortage::Free { free: 90, min: 50 })));
        assert!(budget.shortage(u64::MAX, u64::MAX, 1).is_some());
    }
}
