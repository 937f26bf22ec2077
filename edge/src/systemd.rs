//! Messages to systemd for a service of `Type=notify`: ready, status, stopping, and with
//! `WatchdogSec=` signs of life. Without systemd nothing is sent. [`stderr_is_journal`] tells if
//! systemd has connected standard error to its journal.
//!
//! The crate sd-notify would block on a full socket, and does not support abstract addresses.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
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

/// True if systemd has connected standard error to the journal. A child process inherits the
/// variable `JOURNAL_STREAM`, but may have another standard error.
pub(crate) fn stderr_is_journal() -> bool {
    env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stream(io::stderr(), &stream))
}

/// True if `stream` names the open file: numbers of its device and its inode, as in `8:12345`.
fn is_stream(open: impl AsFd, stream: &str) -> bool {
    rustix::fs::fstat(open).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::linux::fs::MetadataExt;

    use super::*;

    #[test]
    fn stream_is_known_by_device_and_inode() {
        let open = File::open("/proc/self/exe").unwrap();
        let (device, inode) = {
            let file = open.metadata().unwrap();
            (file.st_dev(), file.st_ino())
        };
        assert!(is_stream(&open, &format!("{device}:{inode}")));
        for other in [format!("{device}:{}", inode + 1), inode.to_string(), String::new()] {
            assert!(!is_stream(&open, &other), "{other}");
        }
    }
}
