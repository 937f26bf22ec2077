//! One device, by the system's `ssh`: who may log in, where its keys and ports are, is told there
//! (`~/.ssh/config`), not here.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use medsa_update::Installed;

use super::PATIENCE;
use super::parcel::Parcel;
use super::report::Report;

/// Nobody is asked for a password, and a device that is gone is given up, also in between.
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

/// What takes a parcel on the device: unpacks what comes, runs the words behind it with the folder,
/// and removes it whatever happens. The owner of the slots reads it, whoever has logged in.
const UNPACK: &str = r#"set -eu
umask 022
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
tar -x -f - -C "$folder"
"$@" --repository "$folder""#;

/// Time between two looks at whether `ssh` has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Where it is, as `ssh` knows it.
    pub ssh: String,
    /// The service's configuration there.
    pub config: String,
    /// The service's program there.
    pub edge: String,
}

/// What a device is to take.
pub struct Update<'a> {
    /// The build, with all that is signed about it.
    pub parcel: &'a Parcel,
    /// Also when it is older than one that ran there.
    pub downgrade: bool,
    /// Also when it failed its trial there.
    pub again: bool,
}

impl Device {
    /// What it says of itself.
    ///
    /// # Errors
    /// Why it says nothing, for people.
    pub fn status(&self) -> Result<Report, String> {
        let said = self.ask(&self.edge_words("status", &["--json"]), None, PATIENCE)?;
        Report::parse(&said)
    }

    /// Lets it take a build; it is on trial there then.
    ///
    /// # Errors
    /// What is wrong, for people. It has the build that it had.
    pub fn update(&self, update: &Update, within: Duration) -> Result<(), String> {
        let Installed { name, version, .. } = &update.parcel.build;
        let version = version.to_string();
        let mut more = vec!["--name", name, "--version", &version];
        more.extend(update.downgrade.then_some("--danger-allow-downgrade"));
        more.extend(update.again.then_some("--again"));
        let mut words = vec!["sh", "-c", UNPACK, "medsa-flash"];
        words.extend(self.edge_words("update", &more));
        self.ask(&words, Some(update.parcel), within).map(drop)
    }

    /// Lets it go back to the build before; what it did.
    ///
    /// # Errors
    /// What is wrong, for people.
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

    /// Runs a program there; what it prints.
    fn ask(
        &self,
        words: &[&str],
        send: Option<&Parcel>,
        within: Duration,
    ) -> Result<String, String> {
        let failed = |error: io::Error| format!("ssh: {error}");
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        // Files, so that nobody has to read while it runs.
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
            let sending = send.zip(pipe).map(|(parcel, mut pipe)| {
                scope.spawn(move || parcel.write(&mut pipe).and_then(|()| pipe.flush()))
            });
            let ended = wait(&mut child, within);
            (ended, sending.map_or(Ok(()), |it| it.join().expect("writing does not panic")))
        });
        let status = ended.map_err(failed)?.ok_or_else(|| {
            let seconds = within.as_secs();
            format!("it has not answered within {seconds} s")
        })?;
        match sent {
            // What there is to read of it is why the other end has closed the pipe.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.to_string()),
            _ if status.success() => whole(&mut printed),
            _ => Err(reason(&whole(&mut said)?, status)),
        }
    }
}

/// Until it ends; `None` if it does not in time and is killed.
fn wait(child: &mut Child, within: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            // It may end by itself just now.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        sleep(LOOK);
    }
}

fn whole(file: &mut File) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.map_err(|error| format!("ssh: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last that was said: before it there may be a greeting.
fn reason(said: &str, status: ExitStatus) -> String {
    match said.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => line.strip_prefix("medsa-edge: ").unwrap_or(line).trim().to_owned(),
        None => format!("ssh: {status}, and it says nothing"),
    }
}

/// A word as a shell reads it: `ssh` hands over one line for the shell of the user there.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
