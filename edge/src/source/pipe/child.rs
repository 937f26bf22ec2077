//! A child process whose output is read, and that is killed with all processes it started.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::config::PipeConfig;

/// Number of last lines of standard error that are part of the reason when the program ends.
const LAST_LINES: usize = 3;

/// Longest line that is logged, in bytes; the rest becomes another line.
const MAX_LINE_BYTES: usize = 300;

/// Bytes of standard error read at a time; a pipe holds [`PIPE_PARTS`] times as much.
const PART_BYTES: usize = 4096;
const PIPE_PARTS: usize = 16;

/// Longest wait for the program to end after it closed its output.
const EXIT_WAIT: Duration = Duration::from_millis(500);

/// A running program, killed and reaped when it is dropped.
pub(super) struct Child {
    process: process::Child,
    stdout: ChildStdout,
    /// `None` after the program closed it.
    stderr: Option<ChildStderr>,
    log: Log,
}

/// Result of reading the output.
pub(super) enum Output {
    /// Number of bytes read.
    Bytes(usize),
    /// Nothing arrived within the wait.
    Nothing,
    /// The program has closed its output.
    End,
}

impl Child {
    pub(super) fn start(config: &PipeConfig) -> Result<Self, String> {
        let mut command = Command::new(&config.program);
        command
            .args(&config.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own process group, so that its children are killed with it and Ctrl-C in a
            // terminal reaches only this service.
            .process_group(0);
        if !config.folder.as_os_str().is_empty() {
            command.current_dir(&config.folder);
        }
        let mut process = command.spawn().map_err(|error| format!("cannot start it: {error}"))?;
        tracing::info!("{} runs as process {}", config.program, process.id());
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        // Invariant: both are there, because they were requested as pipes.
        let stdout = stdout.ok_or("it has no standard output")?;
        Ok(Self { process, stdout, stderr, log: Log::new(&config.program) })
    }

    /// Reads output of the program, waiting at most `wait`.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn read(&mut self, space: &mut [u8], wait: Duration) -> Result<Output, String> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (stdout_ready, stderr_ready) = self.wait(left)?;
            if stderr_ready {
                self.read_stderr();
            }
            if stdout_ready {
                return match self.stdout.read(space) {
                    Ok(0) => Ok(Output::End),
                    Ok(count) => Ok(Output::Bytes(count)),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => Err(error.to_string()),
                };
            }
            if left.is_zero() {
                return Ok(Output::Nothing);
            }
        }
    }

    /// The reason why the program closed its output.
    pub(super) fn exit_reason(&mut self) -> String {
        let status = self.wait_for_end();
        // Reads what the program wrote before it ended: at most what a pipe holds.
        for _ in 0..PIPE_PARTS {
            if self.wait_for_stderr(None, Duration::ZERO) == Ok(true) {
                self.read_stderr();
            }
        }
        let ended = status.unwrap_or_else(|| "closed its output".to_owned());
        match self.log.last_lines() {
            lines if lines.is_empty() => ended,
            lines => format!("{ended}: {lines}"),
        }
    }

    /// Waits until the program ends, at most [`EXIT_WAIT`], and returns its exit status. Reads its
    /// errors meanwhile, because a full pipe would keep it from ending.
    fn wait_for_end(&mut self) -> Option<String> {
        // Before Linux 5.3, the whole time is waited.
        let process = pidfd_open(Pid::from_child(&self.process), PidfdFlags::empty()).ok();
        let deadline = Instant::now() + EXIT_WAIT;
        loop {
            let status = self.status();
            let left = deadline.saturating_duration_since(Instant::now());
            if status.is_some() || left.is_zero() {
                return status;
            }
            if self.wait_for_stderr(process.as_ref(), left).ok()? {
                self.read_stderr();
            }
        }
    }

    /// Exit status of the program, if it has ended. It is not reaped here, so that no other
    /// process group can get its number.
    fn status(&self) -> Option<String> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.process)), options).ok()??;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("ended with exit status {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        })
    }

    /// Waits until output or errors can be read; returns which.
    fn wait(&self, wait: Duration) -> Result<(bool, bool), String> {
        let mut ready = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        ready.extend(self.stderr.as_ref().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
        wait_for(&mut ready, wait)?;
        let is_ready = |index: usize| ready.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok((is_ready(0), is_ready(1)))
    }

    /// Waits until errors can be read or `other` is ready; true for errors.
    fn wait_for_stderr(&self, other: Option<&OwnedFd>, wait: Duration) -> Result<bool, String> {
        let stderr = self.stderr.as_ref().map(|stderr| PollFd::new(stderr, PollFlags::IN));
        let mut ready = Vec::from_iter(stderr);
        ready.extend(other.map(|other| PollFd::new(other, PollFlags::IN)));
        wait_for(&mut ready, wait)?;
        Ok(self.stderr.is_some() && ready.first().is_some_and(|fd| !fd.revents().is_empty()))
    }

    /// Reads standard error, which must be ready.
    fn read_stderr(&mut self) {
        let mut part = [0; PART_BYTES];
        match self.stderr.as_mut().map(|stderr| stderr.read(&mut part)) {
            Some(Ok(count)) if count > 0 => self.log.push(&part[..count]),
            Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            _ => self.stderr = None,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The process was not reaped yet, so the group number is still its own.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Waits until one can be read or is closed; a signal ends the wait early.
fn wait_for(ready: &mut [PollFd<'_>], wait: Duration) -> Result<(), String> {
    // Invariant: waits are at most some seconds, so the conversion succeeds.
    let wait = Timespec::try_from(wait).map_err(|error| error.to_string())?;
    match poll(ready, Some(&wait)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Lines that a program writes to its standard error.
struct Log {
    program: String,
    line: Vec<u8>,
    last: VecDeque<String>,
}

impl Log {
    fn new(program: &str) -> Self {
        Self { program: program.to_owned(), line: Vec::new(), last: VecDeque::new() }
    }

    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // Programs use a carriage return to overwrite a progress line.
            if byte == b'\n' || byte == b'\r' {
                self.end_line();
                continue;
            }
            self.line.push(byte);
            if self.line.len() == MAX_LINE_BYTES {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let line = line.replace(char::is_control, " ").trim().to_owned();
        if line.is_empty() {
            return;
        }
        tracing::debug!("{}: {line}", self.program);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Returns the last lines joined, and forgets them.
    fn last_lines(&mut self) -> String {
        self.end_line();
        let lines: Vec<_> = self.last.drain(..).collect();
        lines.join(" / ")
    }
}
