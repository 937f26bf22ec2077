//! Threads that compute the parts of a block, each with its own scratch memory.

use std::any::Any;
use std::cell::UnsafeCell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::scratch::Scratch;

/// A few threads with scratch memory for each. Blocks allocate nothing once it is reserved.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held during a run, so that there is one at a time.
    running: Mutex<()>,
}

struct Shared {
    round: Mutex<Round>,
    start: Condvar,
    end: Condvar,
    /// The next part that a thread will take.
    next: AtomicUsize,
    /// Memory of each thread. The first belongs to the caller of [`Pool::run`].
    scratch: Vec<PerThread>,
}

/// Memory that only its thread uses during a round, and only the holder of `running` between
/// rounds.
struct PerThread(UnsafeCell<Scratch>);

// SAFETY: by the rule above no two threads use it at once.
unsafe impl Sync for PerThread {}

type Work<'a> = dyn Fn(usize, &mut Scratch) + Sync + 'a;

/// One [`Pool::run`] with several threads.
#[derive(Default)]
struct Round {
    number: u64,
    parts: Option<Parts>,
    /// Threads that have not finished this round.
    busy: usize,
    /// The first panic of another thread than the caller's.
    panic: Option<Box<dyn Any + Send>>,
    /// The pool is dropped: threads end.
    stop: bool,
}

/// Parts 0 to `count` of a run.
#[derive(Clone, Copy)]
struct Parts {
    work: &'static Work<'static>,
    count: usize,
}

impl Pool {
    /// Starts a pool of this many threads, the caller of a block included.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn new(threads: NonZeroUsize) -> Self {
        let shared = Arc::new(Shared {
            round: Mutex::default(),
            start: Condvar::new(),
            end: Condvar::new(),
            next: AtomicUsize::new(0),
            scratch: (0..threads.get()).map(|_| PerThread(UnsafeCell::default())).collect(),
        });
        let threads = (1..threads.get())
            .map(|thread| {
                let shared = Arc::clone(&shared);
                let builder = std::thread::Builder::new().name(format!("medsa-{thread}"));
                builder.spawn(move || shared.serve(thread)).expect("the system starts a thread")
            })
            .collect();
        Self { shared, threads, running: Mutex::default() }
    }

    /// Number of threads, the caller of a block included.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Provides each thread with at least this many bytes of scratch memory.
    ///
    /// # Panics
    /// If there is not that much memory.
    pub fn reserve(&self, bytes: usize) {
        let _running = lock(&self.running);
        for scratch in &self.shared.scratch {
            // SAFETY: this thread holds `running`, so no round uses the memory.
            unsafe { (*scratch.0.get()).reserve(bytes) };
        }
    }

    /// Calls `work` once for each part from 0 to `count`, in any order and on any thread, and
    /// waits for all. `work` must not use the pool, because it would wait for itself.
    ///
    /// # Panics
    /// If `work` panics. No part is running any more then; some were not started.
    pub(crate) fn run(&self, count: usize, work: &Work) {
        let _running = lock(&self.running);
        // SAFETY: no thread uses `work` after this function returns: it waits until `busy` is 0
        // and clears `parts`.
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        let parts = Parts { work, count };
        self.shared.next.store(0, Ordering::Relaxed);
        let alone = count < 2 || self.threads.is_empty();
        if !alone {
            let mut round = lock(&self.shared.round);
            round.number += 1;
            round.parts = Some(parts);
            round.busy = self.threads.len();
            drop(round);
            self.shared.start.notify_all();
        }
        let mut panic = self.shared.work(0, parts);
        if !alone {
            let mut round = lock(&self.shared.round);
            while round.busy > 0 {
                round = self.shared.end.wait(round).unwrap_or_else(PoisonError::into_inner);
            }
            round.parts = None;
            panic = panic.or(round.panic.take());
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.round).stop = true;
        self.shared.start.notify_all();
        for thread in self.threads.drain(..) {
            // `serve` catches panics, so the thread did not end by one.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Takes part in rounds until the pool is dropped.
    fn serve(&self, thread: usize) {
        let mut seen = 0;
        loop {
            let mut round = lock(&self.round);
            while round.number == seen && !round.stop {
                round = self.start.wait(round).unwrap_or_else(PoisonError::into_inner);
            }
            if round.stop {
                return;
            }
            seen = round.number;
            let Some(parts) = round.parts else { continue };
            drop(round);
            let panic = self.work(thread, parts);
            let mut round = lock(&self.round);
            round.panic = round.panic.take().or(panic);
            round.busy -= 1;
            if round.busy == 0 {
                self.end.notify_all();
            }
        }
    }

    /// Works on parts until none is left. Returns the panic of a part.
    fn work(&self, thread: usize, Parts { work, count }: Parts) -> Option<Box<dyn Any + Send>> {
        // SAFETY: this is the memory of this thread, and a round lasts.
        let scratch = unsafe { &mut *self.scratch[thread].0.get() };
        let take_parts = AssertUnwindSafe(|| {
            loop {
                let part = self.next.fetch_add(1, Ordering::Relaxed);
                if part >= count {
                    return;
                }
                work(part, scratch);
            }
        });
        let panic = catch_unwind(take_parts).err();
        if panic.is_some() {
            self.next.store(count, Ordering::Relaxed);
        }
        panic
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A part that panics poisons `running`, which guards no state of its own.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_part_runs_once_with_any_number_of_threads() {
        for threads in 1..4 {
            let pool = Pool::new(NonZeroUsize::new(threads).unwrap());
            for count in [0, 1, 2, 100] {
                let runs: Vec<_> = (0..count).map(|_| AtomicU32::new(0)).collect();
                pool.run(count, &|part, _| {
                    runs[part].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn panic_reaches_the_caller_and_the_pool_stays_usable() {
        let pool = Pool::new(NonZeroUsize::new(3).unwrap());
        let run = AssertUnwindSafe(|| pool.run(50, &|part, _| assert_ne!(part, 20)));
        assert!(catch_unwind(run).is_err());
        let done = AtomicU32::new(0);
        pool.run(50, &|_, _| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 50);
    }
}
