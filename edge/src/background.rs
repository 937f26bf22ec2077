//! Work that may take its time, so that live work does not.

use crate::error::Error;

/// How much lower the priority of such work is, as nice values count.
const LOWER_BY: i32 = 10;

/// Waits for work on a thread of lower priority. Threads that it starts have that priority too,
/// and cannot be given a higher one.
///
/// # Errors
/// [`Error::Thread`], [`Error::Panicked`].
pub(crate) fn in_background<T: Send>(
    name: &'static str,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Error> {
    let lower = move || {
        // Of this thread only, on Linux.
        if let Err(error) = rustix::process::nice(LOWER_BY) {
            tracing::warn!("{name} goes on without a lower priority: {error}");
        }
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, lower);
        let thread = thread.map_err(|source| Error::Thread { name, source })?;
        thread.join().map_err(|_| Error::Panicked { name })
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_work_has_a_lower_priority() {
        let priority = || getpriority_process(None).unwrap();
        let before = priority();
        let within = in_background("test", priority).unwrap();
        assert_eq!(within, (before + LOWER_BY).min(19));
        assert_eq!(priority(), before);
    }

    #[test]
    fn a_panic_is_an_error() {
        let panicked = in_background("test", || panic!("as work may")).map(|(): ()| ());
        assert!(matches!(panicked, Err(Error::Panicked { name: "test" })));
    }
}
