//! Supervision of the service's tasks: a task that panics or ends early is logged, counted, shown
//! in `/health`, and restarted. The service ends if that is not possible or does not help.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep;

use crate::error::Error;
use crate::fault;
use crate::port::Failures;

/// Number of consecutive failures of a task after which the service ends.
const MAX_FAILURES: u32 = 6;

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

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Running tasks; they end when this is dropped.
pub(super) struct Tasks {
    running: JoinSet<()>,
    known: HashMap<Id, Task>,
    failures: Failures,
    restarts: Restarts,
}

struct Task {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    /// Runs until it is aborted, and can be restarted.
    Restartable { start: Box<dyn Fn() -> Work + Send>, in_a_row: u32, since: Instant },
    /// Ends by itself, and cannot be restarted.
    Once,
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
        let start = Box::new(move || Box::pin(start()) as Work);
        let (in_a_row, since) = (0, Instant::now());
        self.spawn(
            Duration::ZERO,
            start(),
            Task { name, kind: Kind::Restartable { start, in_a_row, since } },
        );
    }

    /// Runs a task that ends by itself. If it panics, the service ends.
    pub(super) fn once(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(Duration::ZERO, Box::pin(work), Task { name, kind: Kind::Once });
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
            let id = match &ended {
                Ok((id, ())) => *id,
                Err(error) => error.id(),
            };
            // Invariant: every running task is in `known`.
            let Some(Task { name, kind }) = self.known.remove(&id) else { continue };
            match (ended, kind) {
                (Ok(_), Kind::Once) => return Event::Finished(name),
                (Err(error), Kind::Once) => {
                    let reason = reason(error);
                    self.failures.record(name, &reason);
                    return Event::Failed(Error::Task { name, reason });
                }
                (ended, Kind::Restartable { start, in_a_row, since }) => {
                    let reason = ended.map_or_else(reason, |_| "ended early".to_owned());
                    self.failures.record(name, &reason);
                    let in_a_row =
                        if since.elapsed() >= self.restarts.stable { 1 } else { in_a_row + 1 };
                    if in_a_row >= MAX_FAILURES {
                        return Event::Failed(Error::Task { name, reason });
                    }
                    let wait = self.restarts.min_wait * 2u32.pow(in_a_row - 1);
                    let since = Instant::now();
                    let work = start();
                    self.spawn(
                        wait,
                        work,
                        Task { name, kind: Kind::Restartable { start, in_a_row, since } },
                    );
                }
            }
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
            work.await;
        });
        self.known.insert(handle.id(), task);
    }
}

/// Reason of a failure, to follow the name of the task.
fn reason(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("panicked: {}", message(&*panic)),
        Err(_) => "was aborted".to_owned(),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

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
    fn fail(tasks: &mut Tasks, times: u32) -> Arc<Notify> {
        let (runs, healthy) = (AtomicU32::new(0), Arc::new(Notify::new()));
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
        assert_eq!(failures(&tasks, "broken").0, u64::from(MAX_FAILURES));
    }

    #[tokio::test]
    async fn old_failures_do_not_count() {
        let restarts = Restarts { stable: Duration::ZERO, ..NO_WAIT };
        let mut tasks = Tasks::new(Failures::default(), restarts);
        let healthy = fail(&mut tasks, 2 * MAX_FAILURES);
        assert!(matches!(end_of(&mut tasks, healthy).await, Event::Finished("signal")));
        assert_eq!(failures(&tasks, "restless").0, u64::from(2 * MAX_FAILURES));
    }

    #[tokio::test]
    async fn panic_of_task_that_cannot_be_restarted_ends_the_service() {
        let mut tasks = Tasks::new(Failures::default(), NO_WAIT);
        tasks.once("only", async { panic!("now") });
        assert!(matches!(tasks.next().await, Event::Failed(Error::Task { name: "only", .. })));
    }
}
