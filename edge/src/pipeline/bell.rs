//! A counter that wakes threads which wait for one of several changes.

use std::sync::{Condvar, Mutex, PoisonError};

/// Rung when something changed; the waiting thread checks what.
#[derive(Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Wakes all waiting threads.
    pub fn ring(&self) {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.rung.notify_all();
    }

    /// Waits until the bell was rung more than `heard` times; returns the number of rings.
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
    fn ring_before_wait_is_not_lost() {
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
