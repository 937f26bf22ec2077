//! Threads that share the parts of a block, each with memory of its own.

use std::any::Any;
use std::cell::UnsafeCell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::scratch::Scratch;

/// A few threads, and scratch memory for each. Nothing is allocated once it was reserved.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// One run at a time.
    running: Mutex<()>,
}

struct Shared {
    round: Mutex<Round>,
    start: Condvar,
    end: Condvar,
    /// The next part to be taken.
    next: AtomicUsize,
    /// One for each thread, that which runs a block included.
    scratch: Vec<PerThread>,
}

/// Used by one thread only while a round lasts, and by the one that holds `running` between.
struct PerThread(UnsafeCell<Scratch>);

// SAFETY: see above: no two threads use it at once.
unsafe impl Sync for PerThread {}

type Work<'a> = dyn Fn(usize, &mut Scratch) + Sync + 'a;

#[derive(Default)]
struct Round {
    number: u64,
    work: Option<Shares>,
    /// Threads that have not finished this round.
    busy: usize,
    panic: Option<Box<dyn Any + Send>>,
    stop: bool,
}

#[derive(Clone, Copy)]
struct Shares {
    work: &'static Work<'static>,
    count: usize,
}

impl Pool {
    /// A pool of so many threads, the caller of [`Pool::run`] among them.
    ///
    /// # Panics
    /// If the system has no thread left.
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
                builder.spawn(move || shared.serve(thread)).expect("the system has threads")
            })
            .collect();
        Self { shared, threads, running: Mutex::default() }
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Makes sure that each thread has so much memory of its own.
    pub fn reserve(&self, bytes: usize) {
        let _running = lock(&self.running);
        for scratch in &self.shared.scratch {
            // SAFETY: no round lasts while `running` is held, and this is its only holder.
            unsafe { (*scratch.0.get()).reserve(bytes) };
        }
    }

    /// Does the parts 0 to `count`, in any order and by any thread, and waits for all.
    ///
    /// # Panics
    /// If `work` does; all parts that had been begun are over then.
    pub fn run(&self, count: usize, work: &Work) {
        let _running = lock(&self.running);
        // SAFETY: every thread has let go of it when this function returns: `finish` waits.
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        let shares = Shares { work, count };
        self.shared.next.store(0, Ordering::Relaxed);
        let alone = count < 2 || self.threads.is_empty();
        if !alone {
            let mut round = lock(&self.shared.round);
            round.number += 1;
            round.work = Some(shares);
            round.busy = self.threads.len();
            drop(round);
            self.shared.start.notify_all();
        }
        let mut panic = self.shared.share(0, shares);
        if !alone {
            let mut round = lock(&self.shared.round);
            while round.busy > 0 {
                round = self.shared.end.wait(round).unwrap_or_else(PoisonError::into_inner);
            }
            round.work = None;
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
            // It catches what panics.
            let _ = thread.join();
        }
    }
}

impl Shared {
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
            let Some(shares) = round.work else { continue };
            drop(round);
            let panic = self.share(thread, shares);
            let mut round = lock(&self.round);
            round.panic = round.panic.take().or(panic);
            round.busy -= 1;
            if round.busy == 0 {
                self.end.notify_all();
            }
        }
    }

    /// Takes parts until none is left; what panicked, if something did.
    fn share(&self, thread: usize, Shares { work, count }: Shares) -> Option<Box<dyn Any + Send>> {
        // SAFETY: a thread uses its own during a round.
        let scratch = unsafe { &mut *self.scratch[thread].0.get() };
        let parts = AssertUnwindSafe(|| {
            loop {
                let part = self.next.fetch_add(1, Ordering::Relaxed);
                if part >= count {
                    return;
                }
                work(part, scratch);
            }
        });
        let panic = catch_unwind(parts).err();
        if panic.is_some() {
            self.next.store(count, Ordering::Relaxed);
        }
        panic
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What panics under a lock has left nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_part_is_done_once_by_any_number_of_threads() {
        for threads in 1..4 {
            let pool = Pool::new(NonZeroUsize::new(threads).unwrap());
            for count in [0, 1, 2, 100] {
                let done: Vec<_> = (0..count).map(|_| AtomicU32::new(0)).collect();
                pool.run(count, &|part, _| {
                    done[part].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
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
