//! Failures of the service's tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::task::JoinError;

use crate::fault;
use crate::threads::Panic;

/// Failures of all tasks, by name.
#[derive(Clone, Default)]
pub struct Failures(Arc<Mutex<BTreeMap<&'static str, TaskFailures>>>);

/// Failures of one task since the start of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskFailures {
    /// Number of failures.
    pub count: u64,
    /// Reason of the last one.
    pub last: String,
}

impl Failures {
    /// Counts and logs a failure.
    pub fn record(&self, task: &'static str, reason: &str) {
        let none = TaskFailures { count: 0, last: String::new() };
        {
            let mut failures = self.lock();
            let failures = failures.entry(task).or_insert(none);
            failures.count += 1;
            failures.last = reason.to_owned();
        }
        // Only now, so that a logged failure is also in every report.
        tracing::error!("the task {task} {reason}");
    }

    /// Counts and logs a panic.
    pub(crate) fn panicked(&self, panic: &Panic) {
        self.record(panic.name, &panic.reason);
    }

    /// Runs `work` as a task that is not restarted, such as a connection. A panic is recorded.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let failures = self.clone();
        let task = tokio::spawn(async move {
            fault::inject(name);
            work.await;
        });
        tokio::spawn(async move {
            if let Some(Ok(thrown)) = task.await.err().map(JoinError::try_into_panic) {
                failures.panicked(&Panic::of(name, &*thrown));
            }
        });
    }

    /// Failures since the start; tasks without failures are not listed.
    pub fn all(&self) -> BTreeMap<&'static str, TaskFailures> {
        self.lock().clone()
    }

    /// The entries are consistent after every statement.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, TaskFailures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
