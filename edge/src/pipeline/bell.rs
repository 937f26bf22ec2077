//! Wakes a thread that waits for one of several things.

use std::sync::{Condvar, Mutex, PoisonError};

/// Rung when something has changed; who waits looks for itself what.
#[derive(Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Wakes those who wait.
    pub fn ring(&self) {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.rung.notify_all();
    }

    /// Waits until it was rung more often than `heard` times; how often it was.
    pub fn wait(&self, heard: u64) -> u64 {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let rings = self.rung.wait_while(rings, |rings| *rings <= heard);
        *rings.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_heard() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        assert_eq!(bell.wait(0), 2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| bell.wait(2));
            bell.ring();
            assert_eq!(waiting.join().unwrap(), 3);
        });
    }
}
