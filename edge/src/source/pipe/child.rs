//! A child process that is heard, and ended with all that it has started.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::config::PipeConfig;

/// Lines of its standard error that are told when it ends.
const LAST_LINES: usize = 3;

/// Longest line that is logged; the rest becomes another.
const MAX_LINE_BYTES: usize = 300;

/// Bytes of standard error that are read at a time, and how many times a pipe holds as much.
const PART_BYTES: usize = 4096;
const PIPE_PARTS: usize = 16;

/// Time that a program gets to end after it has closed its output.
const FAREWELL: Duration = Duration::from_millis(500);

/// Time between two looks at whether it has.
const GLANCE: Duration = Duration::from_millis(2);

/// A running program, killed and reaped when it is dropped.
pub(super) struct Child {
    process: process::Child,
    stdout: ChildStdout,
    /// Until it is closed.
    stderr: Option<ChildStderr>,
    log: Log,
}

/// What came of reading.
pub(super) enum Output {
    /// As many bytes.
    Bytes(usize),
    /// Nothing, for as long as was waited.
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
            // A shell's children are ended with it, and a terminal's Ctrl-C is ours to handle.
            .process_group(0);
        if !config.folder.as_os_str().is_empty() {
            command.current_dir(&config.folder);
        }
        let mut process = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
        tracing::info!("{} runs as process {}", config.program, process.id());
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        // Both are there: they were asked for.
        let stdout = stdout.ok_or("has no output")?;
        Ok(Self { process, stdout, stderr, log: Log::new(&config.program) })
    }

    /// Reads what the program has written, once there is anything.
    ///
    /// # Errors
    /// The system's answer.
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

    /// Why the program has ended its output.
    pub(super) fn last_words(&mut self) -> String {
        let deadline = Instant::now() + FAREWELL;
        let status = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(status) = self.status() {
                break Some(status);
            }
            if left.is_zero() {
                break None;
            }
            // Closed when the program ends, unless one that it has started holds it open.
            match self.wait_for_stderr(left.min(GLANCE)) {
                Ok(true) => self.read_stderr(),
                _ => thread::sleep(left.min(GLANCE)),
            }
        };
        // What it wrote before it ended: no more than a pipe holds.
        for _ in 0..PIPE_PARTS {
            if self.wait_for_stderr(Duration::ZERO) == Ok(true) {
                self.read_stderr();
            }
        }
        let ended = status.unwrap_or_else(|| "closed its output".to_owned());
        match self.log.last_lines() {
            lines if lines.is_empty() => ended,
            lines => format!("{ended}: {lines}"),
        }
    }

    /// How the program has ended, if it has. It stays to be reaped: until then, no other process
    /// group gets its number.
    fn status(&self) -> Option<String> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.process)), options).ok()??;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("ended with exit status {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        })
    }

    /// Whether output and errors can be read, once either can.
    fn wait(&self, wait: Duration) -> Result<(bool, bool), String> {
        let mut ready = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        ready.extend(self.stderr.as_ref().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
        wait_for(&mut ready, wait)?;
        let is_ready = |index: usize| ready.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok((is_ready(0), is_ready(1)))
    }

    fn wait_for_stderr(&self, wait: Duration) -> Result<bool, String> {
        let Some(stderr) = &self.stderr else { return Ok(false) };
        let mut ready = [PollFd::new(stderr, PollFlags::IN)];
        wait_for(&mut ready, wait)?;
        Ok(!ready[0].revents().is_empty())
    }

    /// Reads what is there; it must be ready.
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
        // The group is this program's: it was not reaped yet.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Waits until one can be read or is closed; a signal ends the wait too.
fn wait_for(ready: &mut [PollFd<'_>], wait: Duration) -> Result<(), String> {
    // Never longer than some seconds, so it fits.
    let wait = Timespec::try_from(wait).map_err(|error| error.to_string())?;
    match poll(ready, Some(&wait)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a program writes to its standard error, line by line.
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
            // Programs end lines that they write over with a carriage return.
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

    /// The last lines in one; begins anew.
    fn last_lines(&mut self) -> String {
        self.end_line();
        let lines: Vec<_> = self.last.drain(..).collect();
        lines.join(" / ")
    }
}
