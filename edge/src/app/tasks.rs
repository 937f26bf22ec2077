//! Supervision of the service's tasks: a task that panics or ends early is logged, counted, shown
//! in `/health`, and restarted. The service ends if that is not possible or does not help.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep;

use crate::back_off::LimitedBackOff;
use crate::error::Error;
use crate::fault;
use crate::port::Failures;
use crate::threads::Panic;

/// Number of consecutive failures of a task after which the service ends.
const MAX_FAILURES: usize = 6;

/// Timing of restarts.
#[derive(Clone, Copy)]
pub(super) struct Restarts {
    /// First wait before a failed task is restarted; it doubles with each failure.
    pub min_wait: Duration,
    /// Time without a failure after which earlier failures do not count.
    pub stable: Duration,
}

impl Default for Restarts {
    /// With these values the service ends about 3 s after the first of consecutive failures.
    fn default() -> Self {
        Self { min_wait: Duration::from_millis(100), stable: Duration::from_secs(60) }
    }
}

/// Work of a task; an error is the reason of a failure, to follow the name of the task.
type Work = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Running tasks; they end when this is dropped.
pub(super) struct Tasks {
    running: JoinSet<Result<(), String>>,
    known: HashMap<Id, Task>,
    failures: Failures,
    restarts: Restarts,
}

struct Task {
    name: &'static str,
    /// `None` if it cannot be restarted.
    restart: Option<Restart>,
}

struct Restart {
    start: Box<dyn Fn() -> Work + Send>,
    waits: LimitedBackOff,
    /// Time of the last start.
    since: Instant,
}

impl Restart {
    /// The restart after another failure, and the wait before it; `None` after too many in a row.
    /// Failures before a time `stable` without one do not count.
    fn after(mut self, stable: Duration) -> Option<(Duration, Self)> {
        if self.since.elapsed() >= stable {
            self.waits.reset();
        }
        let wait = self.waits.wait()?;
        Some((wait, Self { since: Instant::now(), ..self }))
    }
}

/// End of a task that concerns the service.
pub(super) enum Event {
    /// A task that ends by itself has finished.
    Finished(&'static str),
    /// The service must end.
    Failed(Error),
}

impl Tasks {
    pub(super) fn new(failures: Failures, restarts: Restarts) -> Self {
        Self { running: JoinSet::new(), known: HashMap::new(), failures, restarts }
    }

    /// Runs a task that never ends by itself; `start` is called again after a failure.
    pub(super) fn restartable<W: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &'static str,
        start: impl Fn() -> W + Send + 'static,
    ) {
        let start = Box::new(move || {
            let work = start();
            Box::pin(async move {
                work.await;
                Err("ended early".to_owned())
            }) as Work
        });
        let waits = LimitedBackOff::new(self.restarts.min_wait, MAX_FAILURES - 1);
        let (work, since) = (start(), Instant::now());
        let restart = Some(Restart { start, waits, since });
        self.spawn(Duration::ZERO, work, Task { name, restart });
    }

    /// Runs a task that ends by itself. If it panics, the service ends.
    pub(super) fn once(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let work = async move {
            work.await;
            Ok(())
        };
        self.spawn(Duration::ZERO, Box::pin(work), Task { name, restart: None });
    }

    /// Watches a thread that never ends by itself and cannot be restarted: when `ended` completes
    /// with the reason, the service ends.
    pub(super) fn thread(
        &mut self,
        name: &'static str,
        ended: impl Future<Output = String> + Send + 'static,
    ) {
        let work = async move { Err(ended.await) };
        self.spawn(Duration::ZERO, Box::pin(work), Task { name, restart: None });
    }

    /// Waits for the end of a task that concerns the service, and restarts others meanwhile.
    /// Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            let Some(ended) = self.running.join_next_with_id().await else {
                // Nothing is running, so nothing can end.
                std::future::pending::<()>().await;
                continue;
            };
            let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
            // Invariant: every running task is in `known`.
            let Some(Task { name, restart }) = self.known.remove(&id) else { continue };
            let ended = ended.map_or_else(|error| Err(reason(name, error)), |(_, ended)| ended);
            let Err(reason) = ended else { return Event::Finished(name) };
            self.failures.record(name, &reason);
            let restart = restart.and_then(|restart| restart.after(self.restarts.stable));
            let Some((wait, restart)) = restart else {
                return Event::Failed(Error::Task { name, reason });
            };
            let work = (restart.start)();
            self.spawn(wait, work, Task { name, restart: Some(restart) });
        }
    }

    /// Aborts all tasks and waits for their end.
    pub(super) async fn abort(mut self) {
        self.running.shutdown().await;
    }

    fn spawn(&mut self, wait: Duration, work: Work, task: Task) {
        let name = task.name;
        let handle = self.running.spawn(async move {
            sleep(wait).await;
            fault::inject(name);
            work.await
        });
        self.known.insert(handle.id(), task);
    }
}

/// Reason of a failure, to follow the name of the task.
fn reason(name: &'static str, error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(thrown) => Panic::of(name, &*thrown).reason,
        Err(_) => "was aborted".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn failures(tasks: &Tasks, name: &str) -> (u64, String) {
        let failures = tasks.failures.all()[name].clone();
        (failures.count, failures.last)
    }

    const NO_WAIT: Restarts =
        Restarts { min_wait: Duration::ZERO, stable: Duration::from_secs(3600) };

    /// Starts a task that panics first, then ends early, `times` times in all, and then signals
    /// that it keeps running.
    fn fail(tasks: &mut Tasks, times: usize) -> Arc<Notify> {
        let (runs, healthy) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let signal = healthy.clone();
        tasks.restartable("restless", move || {
            let (run, healthy) = (runs.fetch_add(1, Ordering::Relaxed), signal.clone());
            async move {
                assert!(run != 0, "at first");
                if run >= times {
                    healthy.notify_one();
                    std::future::pending::<()>().await;
                }
            }
        });
        healthy
    }

    async fn end_of(tasks: &mut Tasks, healthy: Arc<Notify>) -> Event {
        tasks.once("signal", async move { healthy.notified().await });
        tasks.next().await
    }

    #[tokio::test]
    async fn task_that_panics_or_ends_early_is_restarted() {
        let mut tasks = Tasks::new(Failures::default(), NO_WAIT);
        let healthy = fail(&mut tasks, 2);
        assert!(matches!(end_of(&mut tasks, healthy).await, Event::Finished("signal")));
        assert_eq!(failures(&tasks, "restless"), (2, "ended early".into()));
    }

    #[tokio::test]
    async fn task_that_keeps_failing_ends_the_service() {
        let mut tasks = Tasks::new(Failures::default(), NO_WAIT);
        tasks.restartable("broken", || async { panic!("again") });
        let Event::Failed(error) = tasks.next().await else { panic!("expected a failure") };
        assert_eq!(error.to_string(), "the task broken panicked: again; the service ends");
        assert_eq!(failures(&tasks, "broken").0, MAX_FAILURES as u64);
    }

    #[tokio::test]
    async fn old_failures_do_not_count() {
        let restarts = Restarts { stable: Duration::ZERO, ..NO_WAIT };
        let mut tasks = Tasks::new(Failures::default(), restarts);
        let healthy = fail(&mut tasks, 2 * MAX_FAILURES);
        assert!(matches!(end_of(&mut tasks, healthy).await, Event::Finished("signal")));
        assert_eq!(failures(&tasks, "restless").0, 2 * MAX_FAILURES as u64);
    }

    #[tokio::test]
    async fn panic_of_task_that_cannot_be_restarted_ends_the_service() {
        let mut tasks = Tasks::new(Failures::default(), NO_WAIT);
        tasks.once("only", async { panic!("now") });
        assert!(matches!(tasks.next().await, Event::Failed(Error::Task { name: "only", .. })));
    }

    #[tokio::test]
    async fn end_of_a_thread_is_a_failure_and_ends_the_service() {
        let mut tasks = Tasks::new(Failures::default(), NO_WAIT);
        tasks.thread("broker", async { "ended early".to_owned() });
        let Event::Failed(error) = tasks.next().await else { panic!("expected a failure") };
        assert_eq!(error.to_string(), "the task broker ended early; the service ends");
        assert_eq!(failures(&tasks, "broker"), (1, "ended early".into()));
    }
}
