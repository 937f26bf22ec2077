//! One slot between a producer and a consumer, where the newest wins.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::config::Pace;

/// A slot for one item.
pub struct Mailbox<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    slot: Option<T>,
    /// Whether a consumer waits for the slot to be filled.
    wanted: bool,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing more is put; what is in the slot is still taken.
    Finished,
    /// Both sides stop at once.
    Stopped,
}

impl<T> Mailbox<T> {
    /// An empty mailbox.
    pub fn new() -> Self {
        let state = State { slot: None, wanted: false, end: End::Open };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Puts an item in the place of the one that waits, which is returned.
    pub fn replace(&self, item: T) -> Option<T> {
        let mut state = self.lock();
        state.wanted = false;
        self.changed.notify_all();
        state.slot.replace(item)
    }

    /// Waits until somebody waits for an item, so that it is new when it is taken.
    pub fn until_wanted(&self) -> Wake {
        let mut state = self.lock();
        while !state.wanted {
            if state.end == End::Stopped {
                return Wake::Stopped;
            }
            state = self.wait(state);
        }
        Wake::Due
    }

    /// Puts an item at the producer's pace: at once when it is live, otherwise when somebody
    /// waits for it. The item whose place it took, if one was there.
    pub fn pass(&self, item: T, pace: Pace) -> Option<T> {
        if pace == Pace::EveryFrame && self.until_wanted() == Wake::Stopped {
            return None;
        }
        self.replace(item)
    }

    /// The item, if one is there. Otherwise it counts as waited for, by other means.
    pub fn poll(&self) -> Polled<T> {
        let mut state = self.lock();
        match (state.end, state.slot.take()) {
            (End::Stopped, _) | (End::Finished, None) => Polled::Ended,
            (_, Some(item)) => Polled::Item(item),
            (End::Open, None) => {
                state.wanted = true;
                self.changed.notify_all();
                Polled::Nothing
            }
        }
    }

    /// Waits for an item; `None` when no more will come.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            match (state.end, state.slot.take()) {
                (End::Stopped, _) => return None,
                (_, Some(item)) => return Some(item),
                (End::Finished, None) => return None,
                (End::Open, None) => {
                    state.wanted = true;
                    self.changed.notify_all();
                    state = self.wait(state);
                }
            }
        }
    }

    /// Says that nothing more will be put.
    pub fn finish(&self) {
        let mut state = self.lock();
        if state.end == End::Open {
            state.end = End::Finished;
        }
        self.changed.notify_all();
    }

    /// Stops both sides; what is in the slot is lost.
    pub fn stop(&self) {
        self.lock().end = End::Stopped;
        self.changed.notify_all();
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.lock().end == End::Stopped
    }

    /// A panic of the other side leaves the slot whole: it is only ever assigned.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a look into the mailbox found.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled<T> {
    /// An item, taken out.
    Item(T),
    /// Nothing yet.
    Nothing,
    /// Nothing, and nothing more will come.
    Ended,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// What was waited for has come.
    Due,
    /// The mailbox was stopped.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_item_wins() {
        let mailbox = Mailbox::new();
        assert_eq!(mailbox.replace(1), None);
        assert_eq!(mailbox.replace(2), Some(1));
        assert_eq!(mailbox.take(), Some(2));
    }

    #[test]
    fn what_came_before_the_end_is_taken() {
        let mailbox = Mailbox::new();
        mailbox.replace(1);
        mailbox.finish();
        assert_eq!(mailbox.take(), Some(1));
        assert_eq!(mailbox.take(), None);
    }

    #[test]
    fn an_item_is_wanted_once_somebody_waits_for_it() {
        let mailbox = Mailbox::new();
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| mailbox.take());
            assert_eq!(mailbox.until_wanted(), Wake::Due);
            mailbox.replace(1);
            assert_eq!(consumer.join().unwrap(), Some(1));
        });
        std::thread::scope(|scope| {
            let producer = scope.spawn(|| mailbox.until_wanted());
            mailbox.stop();
            assert_eq!(producer.join().unwrap(), Wake::Stopped);
        });
    }
}
