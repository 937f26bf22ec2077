//! Threads of the service: named, and optionally with lower priority.

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
    #[error("the thread {name} panicked")]
    Panicked {
        /// Name of the thread.
        name: &'static str,
    },
}

/// Starts a thread.
///
/// # Errors
/// [`Error::Start`].
pub(crate) fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let work = move || {
        fault::inject(name);
        work()
    };
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map_err(|source| Error::Start { name, source })
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
        thread.join().map_err(|_| Error::Panicked { name })
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
        assert!(matches!(panicked, Err(Error::Panicked { name: "test" })));
    }
}
