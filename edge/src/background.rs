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
