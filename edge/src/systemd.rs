//! Messages to systemd for a service of `Type=notify`: ready, status, stopping, and with
//! `WatchdogSec=` signs of life. Without systemd nothing is sent.
//!
//! The crate sd-notify would block on a full socket, and does not support abstract addresses.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// Reports that the service is ready.
pub(crate) fn ready() {
    notify("READY=1");
}

/// Reports the status of the service.
pub(crate) fn status(text: &str) {
    // A newline would start another assignment.
    notify(&format!("STATUS={}", text.replace('\n', " ")));
}

/// Reports that the service is stopping.
pub(crate) fn stopping() {
    notify("STOPPING=1");
}

/// Sends signs of life to systemd, as often as it expects them.
pub(crate) struct SignOfLife {
    /// Time between two signs of life; `None` if systemd expects none.
    interval: Option<Duration>,
    last: Option<Instant>,
}

impl SignOfLife {
    /// Reads the interval from `WATCHDOG_USEC`.
    pub(crate) fn new() -> Self {
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        // Child processes inherit the variables, which are not meant for them.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let limit_us = number("WATCHDOG_USEC").filter(|_| ours);
        // Half the timeout, as the manual of systemd recommends.
        Self { interval: limit_us.map(|us| Duration::from_micros(us / 2)), last: None }
    }

    /// Sends a sign of life if one is due.
    pub(crate) fn healthy(&mut self) {
        let due = |interval| self.last.is_none_or(|last| last.elapsed() >= interval);
        if self.interval.is_some_and(due) {
            self.last = Some(Instant::now());
            notify("WATCHDOG=1");
        }
    }
}

fn notify(statement: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, statement) {
        tracing::warn!("cannot send {statement} to NOTIFY_SOCKET {}: {error}", socket.display());
    }
}

fn send(socket: &OsStr, statement: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let from = UnixDatagram::unbound()?;
    // A full socket must not block the service.
    from.set_nonblocking(true)?;
    from.send_to_addr(statement.as_bytes(), &address).map(drop)
}
