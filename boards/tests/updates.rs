//! The operator's commands: keygen, publish, stage, status and rollback.

#[path = "../../bundle/tests/small/mod.rs"]
mod small;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use medsa_bundle::Acceptance;
use medsa_update::{Folder, Slots};
use tempfile::TempDir;

#[test]
fn build_is_published_staged_and_rolled_back() {
    let desk = Desk::new();
    desk.publish("1.0.0");
    let said = desk.stage(&["--switch"]).unwrap();
    assert!(said.contains("staged liver 1.0.0: verified, and accepted"), "{said}");
    assert!(said.contains("switched to slot A"), "{said}");
    desk.publish("2.0.0");
    desk.stage(&[]).unwrap();
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert!(
        status.starts_with("slot A: liver 1.0.0, in use, confirmed\nslot B: liver 2.0.0, staged\n"),
        "{status}"
    );
    // Staged again, and switched to.
    desk.stage(&["--switch"]).unwrap();
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert!(
        status.starts_with(
            "slot A: liver 1.0.0, previous, for rollback\nslot B: liver 2.0.0, in use, on trial\n"
        ),
        "{status}"
    );
    let said = desk.run("rollback", &["--device", "device"]).unwrap();
    assert_eq!(said, "rolled back to liver 1.0.0 in slot A\n");
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert!(status.contains("slot B: liver 2.0.0, failed on this device\n"), "{status}");
    // A second rollback does not lead to the failed build.
    let again = ["--device", "device", "--danger-allow-downgrade"];
    let said = desk.run("rollback", &again).unwrap_err();
    assert_eq!(said, "medsa-flash: rollback: the previous build has failed on this device\n");
    let said = desk.stage(&[]).unwrap_err();
    assert!(said.contains("liver 2.0.0 has failed on this device before"), "{said}");
    desk.stage(&["--again"]).unwrap();
}

#[test]
fn downgrade_needs_its_option() {
    let desk = Desk::new();
    for version in ["1.0.0", "2.0.0"] {
        desk.publish(version);
        desk.stage(&["--switch"]).unwrap();
        desk.slots().start().unwrap();
        desk.slots().confirm().unwrap();
    }
    let said = desk.stage(&["--version", "1.0.0"]).unwrap_err();
    assert!(said.contains("liver 1.0.0 is older than 2.0.0"), "{said}");
    let said = desk.run("rollback", &["--device", "device"]).unwrap_err();
    assert_eq!(
        said,
        "medsa-flash: liver 2.0.0 is confirmed; use --danger-allow-downgrade to roll back from it anyway\n"
    );
    desk.stage(&["--version", "1.0.0", "--danger-allow-downgrade"]).unwrap();
    let said = desk.stage(&["--version", "3.0.0"]).unwrap_err();
    assert_eq!(
        said,
        "medsa-flash: liver 3.0.0 is not in the repository, expected one of liver 1.0.0, liver 2.0.0\n"
    );
}

#[test]
fn rollback_from_a_confirmed_build_needs_its_option() {
    let desk = Desk::new();
    for version in ["1.0.0", "2.0.0"] {
        desk.publish(version);
        desk.stage(&["--switch"]).unwrap();
        desk.slots().confirm().unwrap();
    }
    let said = desk.run("rollback", &["--device", "device", "--danger-allow-downgrade"]).unwrap();
    assert_eq!(said, "rolled back to liver 1.0.0 in slot A\n");
    assert_eq!(desk.slots().start().unwrap().build.version.to_string(), "1.0.0");
}

#[test]
fn build_that_fails_the_test_or_never_ends_it_is_not_staged() {
    let desk = Desk::new();
    desk.publish("1.0.0");
    desk.edge(
        "echo loading >&2; echo 'medsa-edge: IoU is 0.3112, expected at least 0.9' >&2; exit 1",
    );
    let said = desk.stage(&["--switch"]).unwrap_err();
    assert_eq!(
        said,
        "medsa-flash: liver 1.0.0 is not accepted: medsa-edge: IoU is 0.3112, expected at least \
         0.9 (exit status: 1)\n"
    );
    desk.edge("exec sleep 1000");
    let said = desk.stage(&["--within", "1"]).unwrap_err();
    assert!(said.contains("is not accepted: no answer within 1 s"), "{said}");
    let said = desk.stage(&["--edge", "/none"]).unwrap_err();
    assert!(said.contains("is not accepted: /none: No such file"), "{said}");
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert_eq!(status, "slot A: empty\nslot B: empty\n");
    // Arguments of the program.
    desk.edge("[ \"$1 $2 $4 $5\" = 'accept --build --board raspberry-pi-5' ] && [ -s \"$3\" ]");
    desk.stage(&["--board", "raspberry-pi-5"]).unwrap();
}

#[test]
fn corrupt_truncated_and_oversized_builds_are_refused() {
    let desk = Desk::new();
    desk.publish("1.0.0");
    let target = fs::read_dir(desk.path("repository/targets")).unwrap().next().unwrap().unwrap();
    let whole = fs::read(target.path()).unwrap();
    let mut corrupt = whole.clone();
    corrupt[1000] ^= 1;
    let longer = [&whole[..], b"more"].concat();
    for (bytes, expected) in [
        (&corrupt[..], "ash mismatch"),
        (&whole[..whole.len() - 7], "ash mismatch"),
        (&longer[..], "aximum size"),
    ] {
        // Damaged on its way to the device.
        fs::write(target.path(), bytes).unwrap();
        let said = desk.stage(&[]).unwrap_err();
        assert!(
            said.starts_with("medsa-flash: liver 1.0.0: ") && said.contains(expected),
            "{said}"
        );
    }
    // Damaged before its publication.
    let large = desk.path("large.medsa");
    fs::File::create(&large).unwrap().set_len((1 << 30) + 1).unwrap();
    fs::write(desk.path("corrupt.medsa"), corrupt).unwrap();
    fs::write(desk.path("cut.medsa"), &whole[..whole.len() / 2]).unwrap();
    for (name, expected) in [
        ("corrupt.medsa", "corrupt.medsa: manifest.json has SHA-256"),
        ("cut.medsa", "cut.medsa: not a build: "),
        (
            "large.medsa",
            "large.medsa: the build has 1073741825 bytes, at most 1073741824 are accepted",
        ),
    ] {
        let said = desk.run("publish", &["--repository", "repository", "--keys", "keys", name]);
        let said = said.unwrap_err();
        assert!(said.starts_with(&format!("medsa-flash: cannot publish {expected}")), "{said}");
    }
}

#[test]
fn devices_follow_a_replacement_of_keys() {
    let desk = Desk::new();
    let keys = ["--repository", "repository", "--keys", "keys"];
    for role in ["online", "targets", "root"] {
        desk.run("keygen", &[&keys[..], &["--replace", role]].concat()).unwrap();
    }
    desk.publish("1.0.0");
    desk.stage(&[]).unwrap();
    let said = desk.run("keygen", &keys).unwrap_err();
    assert!(said.contains("holds a repository"), "{said}");
    // A device without its root trusts no repository.
    fs::remove_file(desk.path("root.json")).unwrap();
    let said = desk.stage(&[]).unwrap_err();
    assert_eq!(said, "medsa-flash: root.json: No such file or directory (os error 2)\n");
}

/// Folder of an operator, with the slots of a mounted device.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.run("keygen", &["--repository", "repository", "--keys", "keys"]).unwrap();
        fs::copy(desk.path("repository/metadata/1.root.json"), desk.path("root.json")).unwrap();
        desk.edge("exit 0");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Output of a command, or its error output.
    fn run(&self, command: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_medsa-flash"))
            .arg(command)
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Writes the program that stands in for the service: a script for `accept`.
    fn edge(&self, script: &str) {
        let path = self.path("edge");
        // A script that still runs cannot be written: create a new file.
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn publish(&self, version: &str) {
        let name = format!("{version}.medsa");
        let build = small::build(small::manifest("liver", version), Acceptance::default());
        build.write(&self.path(&name)).unwrap();
        let said = self.run("publish", &["--repository", "repository", "--keys", "keys", &name]);
        assert!(said.unwrap().starts_with(&format!("published liver {version} (SHA-256 ")));
    }

    fn stage(&self, more: &[&str]) -> Result<String, String> {
        let mut arguments = vec!["--device", "device", "--repository", "repository"];
        arguments.extend(["--root", "root.json", "--name", "liver"]);
        if !more.contains(&"--edge") {
            arguments.extend(["--edge", "./edge"]);
        }
        arguments.extend(more);
        self.run("stage", &arguments)
    }

    fn slots(&self) -> Slots<Folder> {
        Slots::open(Folder::open(&self.path("device")).unwrap()).unwrap()
    }
}
