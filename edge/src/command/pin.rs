//! `medsa-edge pin`: hash of a PIN, for the configuration.

use std::io::{self, BufRead, IsTerminal, Stdin, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::config::{Pin, PinHash};
use crate::error::Error;
use crate::files;

/// Asks for a PIN twice, and prints the line with its hash for a `[[user]]` of the configuration.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the command: asks on standard error, reads standard input. Returns the line.
///
/// # Errors
/// [`Error::Argument`] if the PIN has other characters than 4 to 12 digits, or the two differ.
pub fn run(_: &Args) -> Result<String, Error> {
    let input = io::stdin();
    let _hidden = Hidden::begin(&input);
    let mut lines = input.lock().lines();
    let mut ask = |question: &str| -> Result<String, Error> {
        // Without a terminal, nobody reads the question.
        let _ = write!(io::stderr(), "{question}: ");
        let line = lines.next().unwrap_or_else(|| Ok(String::new()));
        let line = line.map_err(files::Error::io(Path::new("standard input")))?;
        let _ = writeln!(io::stderr());
        Ok(line.trim().to_owned())
    };
    let typed = ask("PIN, 4 to 12 digits")?;
    let pin: Pin = typed.parse().map_err(|expected| refused("unsuitable", expected))?;
    if ask("The same PIN again")? != typed {
        return Err(refused("different the second time", "the same PIN twice"));
    }
    Ok(format!("pin_hash = \"{}\"", PinHash::new(&pin)))
}

/// Does not quote the PIN.
fn refused(found: &str, expected: &'static str) -> Error {
    Error::Argument { argument: "the PIN".into(), found: found.into(), expected }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    /// `None` if the input is no terminal.
    fn begin(terminal: &'a Stdin) -> Option<Self> {
        let before = terminal.is_terminal().then(|| tcgetattr(terminal).ok()).flatten()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // Without the terminal, there is nothing to restore.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
