//! One device, reached by the system's `ssh`. Users, keys and ports are set there
//! (`~/.ssh/config`), not here.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use medsa_update::Installed;
use wait_timeout::ChildExt;

use super::payload::PushPayload;
use super::report::Report;

/// Longest time for an answer to a quick question.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options of `ssh`: it asks for no password, and ends when the device disappears.
const OPTIONS: [&str; 9] = [
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=5",
    "-o",
    "ServerAliveCountMax=3",
];

/// Script that receives a payload on the device: it unpacks its input into a folder, runs the
/// command in its arguments with that folder, and removes the folder whatever happens. The folder
/// is readable by the owner of the slots, who may be another user than the one who logged in.
const UNPACK: &str = r#"set -eu
umask 022
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
tar -x -f - -C "$folder"
"$@" --repository "$folder""#;

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Address of the device, as `ssh` knows it.
    pub ssh: String,
    /// Path of the service's configuration on the device.
    pub config: String,
    /// Program of the service on the device.
    pub edge: String,
}

/// Update of a device.
pub struct Update<'a> {
    /// The build, with its signed metadata.
    pub payload: &'a PushPayload,
    /// Install it even if it is older than the confirmed one.
    pub downgrade: bool,
    /// Install it even if it has failed its trial on the device.
    pub again: bool,
}

impl Device {
    /// Asks for the device's status.
    ///
    /// # Errors
    /// A message for people.
    pub fn status(&self) -> Result<Report, String> {
        let said = self.ask(&self.edge_words("status", &["--json"]), None, PATIENCE)?;
        Report::parse(&said)
    }

    /// Installs a build, which is on trial then.
    ///
    /// # Errors
    /// A message for people. The device keeps its present build.
    pub fn update(&self, update: &Update, within: Duration) -> Result<(), String> {
        let Installed { name, version, .. } = &update.payload.build;
        let version = version.to_string();
        let mut more = vec!["--name", name, "--version", &version];
        more.extend(update.downgrade.then_some("--danger-allow-downgrade"));
        more.extend(update.again.then_some("--again"));
        let mut words = vec!["sh", "-c", UNPACK, "medsa-flash"];
        words.extend(self.edge_words("update", &more));
        self.ask(&words, Some(update.payload), within).map(drop)
    }

    /// Rolls back to the previous build. Returns the output of the device.
    ///
    /// # Errors
    /// A message for people.
    pub fn rollback(&self, from_confirmed: bool) -> Result<String, String> {
        let more: &[&str] = if from_confirmed { &["--danger-allow-downgrade"] } else { &[] };
        let said = self.ask(&self.edge_words("rollback", more), None, PATIENCE)?;
        Ok(said.trim().to_owned())
    }

    fn edge_words<'a>(&'a self, command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec![&*self.edge, command, "--config", &*self.config];
        words.extend(more);
        words
    }

    /// Runs a command on the device and returns its output.
    fn ask(
        &self,
        words: &[&str],
        send: Option<&PushPayload>,
        within: Duration,
    ) -> Result<String, String> {
        let failed = |error: io::Error| format!("ssh: {error}");
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        // Files: a pipe would have to be read while the command runs.
        let [mut printed, mut said] =
            [tempfile::tempfile().map_err(failed)?, tempfile::tempfile().map_err(failed)?];
        let mut ssh = Command::new("ssh");
        ssh.args(OPTIONS).arg("--").arg(&self.ssh).arg(words.join(" "));
        ssh.stdin(if send.is_some() { Stdio::piped() } else { Stdio::null() });
        ssh.stdout(printed.try_clone().map_err(failed)?);
        ssh.stderr(said.try_clone().map_err(failed)?);
        let mut child = ssh.spawn().map_err(failed)?;
        let pipe = child.stdin.take();
        let (ended, sent) = thread::scope(|scope| {
            let sending = send.zip(pipe).map(|(payload, mut pipe)| {
                scope.spawn(move || payload.write(&mut pipe).and_then(|()| pipe.flush()))
            });
            let ended = wait(&mut child, within);
            (ended, sending.map_or(Ok(()), |it| it.join().expect("writing does not panic")))
        });
        let status = ended.map_err(failed)?.ok_or_else(|| {
            let seconds = within.as_secs();
            format!("no answer within {seconds} s")
        })?;
        match sent {
            // A broken pipe is a consequence: the output says why the device stopped reading.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.to_string()),
            _ if status.success() => whole(&mut printed),
            _ => Err(reason(&whole(&mut said)?, status)),
        }
    }
}

/// Waits until the process ends; `None` if it did not end in time and was killed.
fn wait(child: &mut Child, within: Duration) -> io::Result<Option<ExitStatus>> {
    let ended = child.wait_timeout(within)?;
    if ended.is_none() {
        // It may have ended by itself just now.
        let _ = child.kill();
        child.wait()?;
    }
    Ok(ended)
}

fn whole(file: &mut File) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.map_err(|error| format!("ssh: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last line of the error output: a greeting may stand before it.
fn reason(said: &str, status: ExitStatus) -> String {
    match said.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => line.strip_prefix("medsa-edge: ").unwrap_or(line).trim().to_owned(),
        None => format!("ssh: {status}, without a message"),
    }
}

/// A word in quotes of the shell: `ssh` passes one line to the shell of the user on the device.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
