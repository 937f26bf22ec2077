//! Standard output and standard error of the programs.
//!
//! The macros of the standard library panic when a reader has gone (`medsa-edge segment ... | head
//! -1`) or a disk is full (`> /dev/full`). Those of this crate have the same names and never panic:
//! the program does its work, and says at its end that its output was lost.
//!
//! - [`println!`] and [`print!`] remember the first failure, and drop all output after it.
//! - [`finish`] is called at the end of `main`. It reports the failure; a reader that has gone is not
//!   one, because it has read what it wants.
//! - [`is_closed`] tells programs that print without end to stop.
//! - [`eprintln!`] drops what cannot be written: there is no place to report that.
#![forbid(unsafe_code)]

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// The first failure to write to standard output.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Standard output cannot be written.
#[derive(Debug)]
pub struct Lost(&'static io::Error);

impl std::fmt::Display for Lost {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for Lost {}

/// Writes a line to standard output; see the documentation of this crate.
#[macro_export]
macro_rules! println {
    ($($part:tt)*) => {
        $crate::write(::std::format_args!("{}\n", ::std::format_args!($($part)*)))
    };
}

/// Writes to standard output; see the documentation of this crate.
#[macro_export]
macro_rules! print {
    ($($part:tt)*) => {
        $crate::write(::std::format_args!($($part)*))
    };
}

/// Writes a line to standard error, if that is possible.
#[macro_export]
macro_rules! eprintln {
    ($($part:tt)*) => {
        $crate::write_error(::std::format_args!("{}\n", ::std::format_args!($($part)*)))
    };
}

/// Writes to standard output, unless that has failed before.
pub fn write(text: Arguments<'_>) {
    if FAILURE.get().is_some() {
        return;
    }
    if let Err(error) = io::stdout().write_fmt(text) {
        // Another thread may have been first.
        let _ = FAILURE.set(error);
    }
}

/// Writes to standard error, if that is possible.
pub fn write_error(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// Writes a text to standard output at once, and forgets a failure. For services, which go on without
/// their output.
///
/// # Errors
/// The failure.
pub fn try_print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// True after a failure to write to standard output, such as a reader that has gone.
pub fn is_closed() -> bool {
    FAILURE.get().is_some()
}

/// Writes what is still buffered.
///
/// # Errors
/// Standard output was lost, other than because its reader has gone.
pub fn finish() -> Result<(), Lost> {
    if FAILURE.get().is_none()
        && let Err(error) = io::stdout().flush()
    {
        let _ = FAILURE.set(error);
    }
    match FAILURE.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(Lost(error)),
        _ => Ok(()),
    }
}
