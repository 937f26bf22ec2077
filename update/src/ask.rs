//! A question to a program: it runs with a time limit, and cannot take the caller down.

use std::fs::{self, File};
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use wait_timeout::ChildExt;

/// Runs a program until it ends, or kills it after a time. Its output is discarded.
///
/// # Errors
/// A message for people: the last line of the program's error output, and its exit status.
pub fn ask(command: &mut Command, within: Duration) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let failed = |error: io::Error| format!("{program}: {error}");
    // A file: a pipe would have to be read while the program runs.
    let said = tempfile::NamedTempFile::new().map_err(failed)?;
    let stderr = File::create(said.path()).map_err(failed)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let mut child = command.spawn().map_err(failed)?;
    let Some(status) = child.wait_timeout(within).map_err(failed)? else {
        // It may have ended by itself just now.
        let _ = child.kill();
        child.wait().map_err(failed)?;
        return Err(format!("no answer within {} s", within.as_secs()));
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(said.path()).unwrap_or_default();
    let reason = said.lines().next_back().unwrap_or("no message");
    Err(format!("{reason} ({status})"))
}
