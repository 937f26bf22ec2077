//! What systemd hears, where it started the service with `Type=notify`: that it runs, how it is,
//! and, with `WatchdogSec=`, that it gets on. Elsewhere nothing is sent.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The service runs.
pub(crate) fn ready() {
    tell("READY=1");
}

/// How the service is.
pub(crate) fn status(text: &str) {
    // One line is one statement.
    tell(&format!("STATUS={}", text.replace('\n', " ")));
}

/// The service ends.
pub(crate) fn stopping() {
    tell("STOPPING=1");
}

/// Says again and again that the service is well, as often as systemd wants to hear it.
pub(crate) struct SignOfLife {
    /// `None` when systemd does not want to hear it.
    interval: Option<Duration>,
    last: Option<Instant>,
}

impl SignOfLife {
    /// As systemd wishes.
    pub(crate) fn new() -> Self {
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        // Children inherit the wish, which is not about them.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let limit_us = number("WATCHDOG_USEC").filter(|_| ours);
        // Half the time after which it acts, as its manual recommends.
        Self { interval: limit_us.map(|us| Duration::from_micros(us / 2)), last: None }
    }

    /// The service is well: tells so when it is due.
    pub(crate) fn well(&mut self) {
        let due = |interval| self.last.is_none_or(|last| last.elapsed() >= interval);
        if self.interval.is_some_and(due) {
            self.last = Some(Instant::now());
            tell("WATCHDOG=1");
        }
    }
}

fn tell(statement: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, statement) {
        tracing::warn!("NOTIFY_SOCKET {}: {error}: not told {statement}", socket.display());
    }
}

fn send(socket: &OsStr, statement: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let from = UnixDatagram::unbound()?;
    // Whoever does not read does not hold up the service.
    from.set_nonblocking(true)?;
    from.send_to_addr(statement.as_bytes(), &address).map(drop)
}
