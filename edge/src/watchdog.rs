//! Detection of stuck stages. A stage that works on one piece for longer than a limit is stuck.
//! Only a new process helps then, because a thread cannot be ended from outside.
//!
//! Waiting does not count: for a frame, another stage, the broker or the disk. The source has
//! time limits of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::threads::{self, Panic};

/// Name of the thread.
const NAME: &str = "watchdog";

/// Time between two checks of the stages.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Activity of all stages.
#[derive(Clone)]
pub struct Watch {
    started: Instant,
    stages: Arc<Mutex<Vec<Stage>>>,
}

struct Stage {
    name: &'static str,
    working: Arc<AtomicU64>,
}

/// Handle with which a stage reports its work and its waits.
#[derive(Clone)]
pub struct Beat {
    started: Instant,
    /// Time from `started` to the beginning of the piece of work, in ms, plus 1; 0 while waiting.
    working: Arc<AtomicU64>,
}

/// A piece of work; it ends when this is dropped.
#[must_use = "the work ends when this is dropped"]
pub struct Work<'a> {
    beat: &'a Beat,
    outer: u64,
}

/// A stuck stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Name of the stage.
    pub stage: &'static str,
    /// Time it has worked on one piece.
    pub worked: Duration,
}

/// The thread that checks the stages; it ends when this is dropped.
pub struct Supervisor {
    _end: Sender<()>,
}

impl Watch {
    /// Starts without stages.
    pub fn new() -> Self {
        Self { started: Instant::now(), stages: Arc::default() }
    }

    /// Adds a stage, which is waiting at first.
    pub fn beat(&self, name: &'static str) -> Beat {
        let working = Arc::<AtomicU64>::default();
        let stage = Stage { name, working: working.clone() };
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).push(stage);
        Beat { started: self.started, working }
    }

    /// The stage that has worked longest on one piece, if that is longer than `limit`.
    pub fn stuck(&self, limit: Duration) -> Option<Stuck> {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = stages.iter().filter_map(|Stage { name, working }| {
            let begun_ms = working.load(Ordering::Relaxed).checked_sub(1)?;
            let begun = Duration::from_millis(begun_ms);
            // The work may have begun after the clock was read.
            let worked = self.started.elapsed().saturating_sub(begun);
            (worked > limit).then_some(Stuck { stage: name, worked })
        });
        stuck.max_by_key(|stuck| stuck.worked)
    }

    /// Checks every 100 ms: calls `healthy` if no stage works longer than `limit`, otherwise calls
    /// `stuck` and ends. After a panic it calls `panicked` and goes on.
    ///
    /// # Errors
    /// [`threads::Error`].
    pub fn supervise(
        self,
        limit: Duration,
        mut healthy: impl FnMut() + Send + 'static,
        mut stuck: impl FnMut(Stuck) + Send + 'static,
        panicked: impl Fn(&Panic) + Send + 'static,
    ) -> Result<Supervisor, threads::Error> {
        let (end, ended) = channel::<()>();
        let mut check = move || {
            while ended.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                match self.stuck(limit) {
                    None => healthy(),
                    Some(found) => return stuck(found),
                }
            }
        };
        let run = move || {
            while let Err(panic) = threads::caught(NAME, &mut check) {
                panicked(&panic);
            }
        };
        threads::spawn(NAME, run)?;
        Ok(Supervisor { _end: end })
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Beat {
    /// Begins a piece of work. A nested piece has its own time.
    pub fn work(&self) -> Work<'_> {
        Work { beat: self, outer: self.working.swap(self.now(), Ordering::Relaxed) }
    }

    /// Runs a wait, which does not count as work.
    pub fn wait<T>(&self, wait: impl FnOnce() -> T) -> T {
        let outer = self.working.swap(0, Ordering::Relaxed);
        let done = wait();
        self.resume(outer);
        done
    }

    /// Restores the previous state; the time of a piece of work starts again.
    fn resume(&self, outer: u64) {
        let working = if outer == 0 { 0 } else { self.now() };
        self.working.store(working, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.beat.resume(self.outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until a stage is seen to work, and returns its name.
    fn found(watch: &Watch) -> &'static str {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match watch.stuck(Duration::ZERO) {
                Some(stuck) => return stuck.stage,
                None => assert!(Instant::now() < deadline, "no stage works"),
            }
        }
    }

    #[test]
    fn stage_that_works_too_long_is_stuck_and_waiting_stage_is_not() {
        let watch = Watch::new();
        let (_waits, beat) = (watch.beat("following"), watch.beat("encoding"));
        assert_eq!(watch.stuck(Duration::ZERO), None);
        let work = beat.work();
        assert_eq!(found(&watch), "encoding");
        assert_eq!(watch.stuck(Duration::from_secs(60)), None);
        beat.wait(|| assert_eq!(watch.stuck(Duration::ZERO), None));
        // It works again, on a piece that has just begun.
        assert_eq!(found(&watch), "encoding");
        let piece = beat.work();
        drop(piece);
        assert_eq!(found(&watch), "encoding");
        drop(work);
        assert_eq!(watch.stuck(Duration::ZERO), None);
    }

    #[test]
    fn panicked_stage_is_not_stuck() {
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
