//! Destinations of the service's log.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Edge, Place, edge_command};

const EMBEDDED: &str = "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"";

#[test]
fn log_file_continues_and_is_complete() {
    let place = Place::new(2);
    let log = "[log]\nto = \"file\"\nfile = \"edge.log\"\nlevel = \"medsa_edge=debug\"";
    let config = place.config("loop = false", &format!("{EMBEDDED}\n{log}"));
    let read = || fs::read_to_string(place.path("edge.log")).unwrap_or_default();
    for run in 1..=2 {
        let output = edge_command(&["run", "--config", config.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(read().matches("the source delivers frames").count(), run);
        assert_eq!(read().matches("the source has ended").count(), run);
    }
}

#[test]
fn start_errors_are_printed_on_standard_error() {
    let place = Place::new(1);
    fs::remove_file(&place.build).unwrap();
    let log = "[log]\nto = \"file\"\nfile = \"edge.log\"";
    let mut edge = Edge::run(&place.config("", &format!("{EMBEDDED}\n{log}")));
    edge.logged("tiny.medsa");
    assert_eq!(edge.wait().code(), Some(1));
}

#[test]
fn unreachable_journal_is_an_error() {
    let place = Place::new(1);
    let config = place.config("", &format!("{EMBEDDED}\n[log]\nto = \"journald\""));
    let config = config.to_str().unwrap();
    let mut edge = Edge::spawn(&mut without_journal(&["run", "--config", config]));
    edge.logged("log.to is \"journald\", but the journal cannot be reached: ");
    assert_eq!(edge.wait().code(), Some(1));
    let output = without_journal(&["check", config]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("log: log.to is \"journald\""));
}

/// systemd names the stream of the journal. A child with another standard error inherits the name.
#[test]
fn log_goes_to_the_terminal_unless_standard_error_is_the_journal() {
    let place = Place::new(2);
    let config = place.config("loop = false", EMBEDDED);
    let config = config.to_str().unwrap();
    let mut command = edge_command(&["run", "--config", config]);
    let mut edge = Edge::spawn(command.env("JOURNAL_STREAM", "8:1"));
    edge.logged("the source has ended");
    assert!(edge.wait().success());
    // Standard error is the named stream, but there is no journal.
    let lines = place.path("lines");
    let file = fs::File::create(&lines).unwrap();
    let stream =
        file.metadata().map(|file| format!("{}:{}", file.st_dev(), file.st_ino())).unwrap();
    let mut command = without_journal(&["run", "--config", config]);
    let status = command.env("JOURNAL_STREAM", stream).stderr(file).status().unwrap();
    assert!(status.success());
    assert!(fs::read_to_string(&lines).unwrap().contains("the source has ended"));
}

/// The program without a journal: an empty folder covers the journal's, if there is one.
fn without_journal(arguments: &[&str]) -> Command {
    let edge = edge_command(arguments);
    let journal = Path::new("/run/systemd/journal");
    if !journal.join("socket").exists() {
        return edge;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--map-root-user", "sh", "-c"]);
    unshare.arg("mount -t tmpfs none \"$0\" && exec \"$@\"").arg(journal);
    unshare.arg(edge.get_program()).args(edge.get_args());
    unshare
}
