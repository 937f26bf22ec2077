//! Failures of the service's tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

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

    /// Failures since the start; tasks without failures are not listed.
    pub fn all(&self) -> BTreeMap<&'static str, TaskFailures> {
        self.lock().clone()
    }

    /// The entries are consistent after every statement.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, TaskFailures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
