//! An operator at the command line: keygen, publish, stage, status, rollback.

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
fn a_build_is_published_staged_and_rolled_back() {
    let desk = Desk::new();
    desk.publish("1.0.0");
    let said = desk.stage(&["--switch"]).unwrap();
    assert!(said.contains("liver 1.0.0 is staged: signed, whole and accepted"), "{said}");
    assert!(said.contains("it is in use in slot A"), "{said}");
    desk.publish("2.0.0");
    desk.stage(&[]).unwrap();
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert!(
        status.starts_with("slot A: liver 1.0.0, in use, confirmed\nslot B: liver 2.0.0, staged\n"),
        "{status}"
    );
    // The same once more, and used.
    desk.stage(&["--switch"]).unwrap();
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert!(
        status.starts_with(
            "slot A: liver 1.0.0, the way back\nslot B: liver 2.0.0, in use, on trial\n"
        ),
        "{status}"
    );
    let said = desk.run("rollback", &["--device", "device"]).unwrap();
    assert_eq!(said, "back to liver 1.0.0 in slot A\n");
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert!(status.contains("slot B: liver 2.0.0, failed here\n"), "{status}");
    // Going back once more does not lead to what failed.
    let again = ["--device", "device", "--danger-allow-downgrade"];
    let said = desk.run("rollback", &again).unwrap_err();
    assert_eq!(said, "medsa-flash: rollback: the build before has failed on this device\n");
    let said = desk.stage(&[]).unwrap_err();
    assert!(said.contains("liver 2.0.0 has failed on this device before"), "{said}");
    desk.stage(&["--again"]).unwrap();
}

#[test]
fn versions_go_back_only_when_the_operator_says_so() {
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
        "medsa-flash: liver 2.0.0 is confirmed; --danger-allow-downgrade goes back from it all the same\n"
    );
    desk.stage(&["--version", "1.0.0", "--danger-allow-downgrade"]).unwrap();
    let said = desk.stage(&["--version", "3.0.0"]).unwrap_err();
    assert_eq!(
        said,
        "medsa-flash: liver 3.0.0 is not in the repository, expected one of liver 1.0.0, liver 2.0.0\n"
    );
}

#[test]
fn a_confirmed_build_is_left_when_the_operator_insists() {
    let desk = Desk::new();
    for version in ["1.0.0", "2.0.0"] {
        desk.publish(version);
        desk.stage(&["--switch"]).unwrap();
        desk.slots().confirm().unwrap();
    }
    let said = desk.run("rollback", &["--device", "device", "--danger-allow-downgrade"]).unwrap();
    assert_eq!(said, "back to liver 1.0.0 in slot A\n");
    assert_eq!(desk.slots().start().unwrap().build.version.to_string(), "1.0.0");
}

#[test]
fn a_build_that_answers_wrongly_or_never_is_not_staged() {
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
    assert!(said.contains("is not accepted: it has not answered within 1 s"), "{said}");
    let said = desk.stage(&["--edge", "/none"]).unwrap_err();
    assert!(said.contains("is not accepted: /none: No such file"), "{said}");
    let status = desk.run("status", &["--device", "device"]).unwrap();
    assert_eq!(status, "slot A: empty\nslot B: empty\n");
    // What the program is asked.
    desk.edge("[ \"$1 $2 $4 $5\" = 'accept --build --board raspberry-pi-5' ] && [ -s \"$3\" ]");
    desk.stage(&["--board", "raspberry-pi-5"]).unwrap();
}

#[test]
fn corrupt_truncated_and_oversized_builds_are_refused_with_the_reason() {
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
        // On its way to the device,
        fs::write(target.path(), bytes).unwrap();
        let said = desk.stage(&[]).unwrap_err();
        assert!(
            said.starts_with("medsa-flash: liver 1.0.0: ") && said.contains(expected),
            "{said}"
        );
    }
    // and before it is published.
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
        assert!(said.starts_with(&format!("medsa-flash: {expected}")), "{said}");
    }
}

#[test]
fn keys_are_replaced_and_devices_follow() {
    let desk = Desk::new();
    let keys = ["--repository", "repository", "--keys", "keys"];
    for role in ["online", "targets", "root"] {
        desk.run("keygen", &[&keys[..], &["--replace", role]].concat()).unwrap();
    }
    desk.publish("1.0.0");
    desk.stage(&[]).unwrap();
    let said = desk.run("keygen", &keys).unwrap_err();
    assert!(said.contains("holds a repository"), "{said}");
    // A device without its root believes nobody.
    fs::remove_file(desk.path("root.json")).unwrap();
    let said = desk.stage(&[]).unwrap_err();
    assert_eq!(said, "medsa-flash: root.json: No such file or directory (os error 2)\n");
}

/// Where an operator works, with a device that is mounted.
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

    /// What a command prints, or what it says that is wrong.
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

    /// What stands in for the service: what it does about `accept`.
    fn edge(&self, script: &str) {
        let path = self.path("edge");
        // Anew, as one that still runs cannot be written.
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn publish(&self, version: &str) {
        let name = format!("{version}.medsa");
        let build = small::build(small::manifest("liver", version), Acceptance::default());
        build.write(&self.path(&name)).unwrap();
        let said = self.run("publish", &["--repository", "repository", "--keys", "keys", &name]);
        assert!(said.unwrap().starts_with(&format!("liver {version} is published (SHA-256 ")));
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
