//! Threads of the service: named, and optionally with lower priority; and panics of threads and
//! tasks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crate::fault;

/// Difference in nice value between background and live work.
const LOWER_BY: i32 = 10;

/// A thread could not be started, or panicked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refuses another thread.
    #[error("cannot start the thread {name}: {source}")]
    Start {
        /// Name of the thread.
        name: &'static str,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The thread panicked, because of a defect of this program.
    #[error(transparent)]
    Panicked(#[from] Panic),
}

/// Panic of a thread or task.
#[derive(Debug, thiserror::Error)]
#[error("the thread {name} {reason}")]
pub struct Panic {
    /// Name of the thread or task.
    pub name: &'static str,
    /// The panic with its message, to follow the name.
    pub reason: String,
}

impl Panic {
    /// Describes a panic by the value that was thrown.
    pub(crate) fn of(name: &'static str, thrown: &(dyn Any + Send)) -> Self {
        let text = thrown.downcast_ref::<&str>().copied();
        let text = text.or_else(|| thrown.downcast_ref::<String>().map(String::as_str));
        Self { name, reason: format!("panicked: {}", text.unwrap_or("no message")) }
    }
}

/// Starts a thread.
///
/// # Errors
/// [`Error::Start`].
pub(crate) fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map_err(|source| Error::Start { name, source })
}

/// Runs `work` of the thread or task `name`, which must leave consistent state behind if it panics.
///
/// # Errors
/// Its panic.
pub(crate) fn caught<T>(name: &'static str, work: impl FnOnce() -> T) -> Result<T, Panic> {
    let work = || {
        fault::inject(name);
        work()
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(|thrown| Panic::of(name, &*thrown))
}

/// Runs `work` on a thread of lower priority and waits for it. Threads that it starts inherit the
/// priority and cannot raise it.
///
/// # Errors
/// [`Error`].
pub(crate) fn in_background<T: Send>(
    name: &'static str,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Error> {
    let lower = move || {
        // On Linux, the nice value applies to the calling thread.
        if let Err(error) = rustix::process::nice(LOWER_BY) {
            tracing::warn!("cannot lower the priority of {name}: {error}");
        }
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, lower);
        let thread = thread.map_err(|source| Error::Start { name, source })?;
        thread.join().map_err(|thrown| Panic::of(name, &*thrown).into())
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_background_work_has_lower_priority() {
        let priority = || getpriority_process(None).unwrap();
        let before = priority();
        let within = in_background("test", priority).unwrap();
        assert_eq!(within, (before + LOWER_BY).min(19));
        assert_eq!(priority(), before);
    }

    #[test]
    fn panic_is_an_error() {
        let panicked = in_background("test", || panic!("as work may")).map(|(): ()| ());
        assert_eq!(panicked.unwrap_err().to_string(), "the thread test panicked: as work may");
    }
}
