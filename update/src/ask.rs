//! Asking a program whether all is well, for who does not want to wait for ever or to die with it.

use std::fs::{self, File};
use std::io;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time between two looks at the program.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a program until it ends, or until it has taken too long and is killed. What it prints is
/// not looked at.
///
/// # Errors
/// What is wrong, for people: the last line of its standard error, where it has said anything.
pub fn ask(command: &mut Command, within: Duration) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let failed = |error: io::Error| format!("{program}: {error}");
    // A file, so that nobody has to read while the program runs.
    let said = tempfile::NamedTempFile::new().map_err(failed)?;
    let stderr = File::create(said.path()).map_err(failed)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let mut child = command.spawn().map_err(failed)?;
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            let said = fs::read_to_string(said.path()).unwrap_or_default();
            let reason = said.lines().next_back().unwrap_or("it says nothing").to_owned();
            return if status.success() { Ok(()) } else { Err(format!("{reason} ({status})")) };
        }
        if Instant::now() >= until {
            // It may end by itself just now.
            let _ = child.kill();
            child.wait().map_err(failed)?;
            return Err(format!("it has not answered within {} s", within.as_secs()));
        }
        sleep(LOOK);
    }
}
