//! Panics on request, to test how the service handles them.

use std::env;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Name of the task or thread that panics once, from the environment variable
/// `MEDSA_INJECT_PANIC`.
static PANICS: LazyLock<Mutex<Option<String>>> =
    LazyLock::new(|| Mutex::new(env::var("MEDSA_INJECT_PANIC").ok()));

/// Panics the first time that the task or thread named in `MEDSA_INJECT_PANIC` calls this.
pub(crate) fn inject(name: &str) {
    let due = PANICS.lock().unwrap_or_else(PoisonError::into_inner).take_if(|due| due == name);
    assert!(due.is_none(), "injected by MEDSA_INJECT_PANIC");
}
