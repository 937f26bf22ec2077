//! Whether the stages of the service get on: one that works at a piece for longer than a limit is
//! stuck, and only a new process helps, as no thread can be ended from outside.
//!
//! Waiting is never stuck: for a frame, for another stage, for the broker or the disk. What a
//! source takes to deliver is the source's own affair, which has limits of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::threads;

/// Time between two looks at the stages.
const LOOK: Duration = Duration::from_millis(100);

/// What all stages are doing.
#[derive(Clone)]
pub struct Watch {
    started: Instant,
    stages: Arc<Mutex<Vec<Stage>>>,
}

struct Stage {
    name: &'static str,
    working: Arc<AtomicU64>,
}

/// A stage's sign of life.
pub struct Beat {
    started: Instant,
    /// Milliseconds from `started` to when the piece of work began, and one more; 0: it waits.
    working: Arc<AtomicU64>,
}

/// A piece of work, which ends when this is dropped.
#[must_use = "the work ends when this is dropped"]
pub struct Work<'a> {
    beat: &'a Beat,
    outer: u64,
}

/// A stage that works longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Its name.
    pub stage: &'static str,
    /// How long it has worked at one piece.
    pub worked: Duration,
}

/// The thread that looks; it ends when this is dropped.
pub struct Supervisor {
    _end: Sender<()>,
}

impl Watch {
    /// Without stages.
    pub fn new() -> Self {
        Self { started: Instant::now(), stages: Arc::default() }
    }

    /// Another stage, which waits.
    pub fn beat(&self, name: &'static str) -> Beat {
        let working = Arc::<AtomicU64>::default();
        let stage = Stage { name, working: working.clone() };
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).push(stage);
        Beat { started: self.started, working }
    }

    /// The stage that has worked longest at one piece, if that is longer than `limit`.
    pub fn stuck(&self, limit: Duration) -> Option<Stuck> {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = stages.iter().filter_map(|Stage { name, working }| {
            let begun_ms = working.load(Ordering::Relaxed).checked_sub(1)?;
            let begun = Duration::from_millis(begun_ms);
            // Later than now when it has only just begun.
            let worked = self.started.elapsed().saturating_sub(begun);
            (worked > limit).then_some(Stuck { stage: name, worked })
        });
        stuck.max_by_key(|stuck| stuck.worked)
    }

    /// Looks several times a second: `well` is called when no stage works longer than `limit`,
    /// otherwise `stuck`, once.
    ///
    /// # Errors
    /// [`threads::Error`].
    pub fn supervise(
        self,
        limit: Duration,
        mut well: impl FnMut() + Send + 'static,
        stuck: impl FnOnce(Stuck) + Send + 'static,
    ) -> Result<Supervisor, threads::Error> {
        let (end, ended) = channel::<()>();
        let look = move || {
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                match self.stuck(limit) {
                    None => well(),
                    Some(found) => return stuck(found),
                }
            }
        };
        threads::spawn("watchdog", look)?;
        Ok(Supervisor { _end: end })
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Beat {
    /// Begins a piece of work. Within another, each piece counts for itself.
    pub fn work(&self) -> Work<'_> {
        Work { beat: self, outer: self.working.swap(self.now(), Ordering::Relaxed) }
    }

    /// Waits for others in the midst of work.
    pub fn wait<T>(&self, wait: impl FnOnce() -> T) -> T {
        let outer = self.working.swap(0, Ordering::Relaxed);
        let done = wait();
        self.go_on(outer);
        done
    }

    /// Back to what it was doing, at a new piece if that was work.
    fn go_on(&self, outer: u64) {
        let working = if outer == 0 { 0 } else { self.now() };
        self.working.store(working, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.beat.go_on(self.outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stage that is found to work, as soon as the clock shows that it does.
    fn found(watch: &Watch) -> &'static str {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match watch.stuck(Duration::ZERO) {
                Some(stuck) => return stuck.stage,
                None => assert!(Instant::now() < deadline, "nobody works"),
            }
        }
    }

    #[test]
    fn who_works_for_too_long_is_stuck_and_who_waits_is_not() {
        let watch = Watch::new();
        let (_waits, beat) = (watch.beat("following"), watch.beat("encoding"));
        assert_eq!(watch.stuck(Duration::ZERO), None);
        let work = beat.work();
        assert_eq!(found(&watch), "encoding");
        assert_eq!(watch.stuck(Duration::from_secs(60)), None);
        beat.wait(|| assert_eq!(watch.stuck(Duration::ZERO), None));
        // Works again, at a piece that has only begun now.
        assert_eq!(found(&watch), "encoding");
        let piece = beat.work();
        drop(piece);
        assert_eq!(found(&watch), "encoding");
        drop(work);
        assert_eq!(watch.stuck(Duration::ZERO), None);
    }

    #[test]
    fn a_stage_that_panics_is_not_stuck() {
        let watch = Watch::new();
        let beat = watch.beat("decoding");
        let panicked = std::thread::spawn(move || {
            let _work = beat.work();
            panic!("as a stage may");
        });
        assert!(panicked.join().is_err());
        assert_eq!(watch.stuck(Duration::ZERO), None);
    }
}
