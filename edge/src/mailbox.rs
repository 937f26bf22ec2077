//! A slot for one item between a producer and a consumer; a new item replaces an old one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::config::Pace;

/// A slot for one item.
pub struct Mailbox<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    slot: Option<T>,
    /// True while a consumer waits for an item.
    wanted: bool,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing more is put in; the item in the slot can still be taken.
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

    /// Puts an item in; returns the item it replaces.
    pub fn replace(&self, item: T) -> Option<T> {
        let mut state = self.lock();
        state.wanted = false;
        self.changed.notify_all();
        state.slot.replace(item)
    }

    /// Waits until a consumer waits for an item.
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

    /// Puts an item in: at once with live pace, otherwise when a consumer waits. Returns the item
    /// it replaces.
    pub fn pass(&self, item: T, pace: Pace) -> Option<T> {
        if pace == Pace::EveryFrame && self.until_wanted() == Wake::Stopped {
            return None;
        }
        self.replace(item)
    }

    /// Takes the item, if there is one. If not, marks the slot as wanted without blocking.
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

    /// Waits for an item; `None` if no more will come.
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

    /// Marks that nothing more will be put in.
    pub fn finish(&self) {
        let mut state = self.lock();
        if state.end == End::Open {
            state.end = End::Finished;
        }
        self.changed.notify_all();
    }

    /// Stops both sides; the item in the slot is lost.
    pub fn stop(&self) {
        self.lock().end = End::Stopped;
        self.changed.notify_all();
    }

    /// True after [`Mailbox::stop`].
    pub fn is_stopped(&self) -> bool {
        self.lock().end == End::Stopped
    }

    /// A panic of the other side cannot leave the slot inconsistent, because it is only assigned.
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

/// Result of [`Mailbox::poll`].
#[derive(Debug, PartialEq, Eq)]
pub enum Polled<T> {
    /// An item.
    Item(T),
    /// No item yet.
    Nothing,
    /// No item, and no more will come.
    Ended,
}

/// Reason why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The event occurred.
    Due,
    /// The mailbox was stopped.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_item_replaces_older_one() {
        let mailbox = Mailbox::new();
        assert_eq!(mailbox.replace(1), None);
        assert_eq!(mailbox.replace(2), Some(1));
        assert_eq!(mailbox.take(), Some(2));
    }

    #[test]
    fn item_before_the_end_is_taken() {
        let mailbox = Mailbox::new();
        mailbox.replace(1);
        mailbox.finish();
        assert_eq!(mailbox.take(), Some(1));
        assert_eq!(mailbox.take(), None);
    }

    #[test]
    fn item_is_wanted_once_a_consumer_waits() {
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
