//! Updates of the build from a signed repository: on command, by schedule, and by an operator while
//! the service runs.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Output, Stdio};

use medsa_bundle::Build;
use medsa_edge::config::Protocol;
use medsa_test_inputs::{needs, ran_by_sudo};
use medsa_update::{Repository, Terms};
use medsa_wire::{BuildStatus, Command, PromptChange, PromptMessage};
use serde_json::Value;

use crate::harness::{
    Edge, Mosquitto, Observer, Place, edge_command, external, free_port, wait_until,
};
use crate::http::request;
use crate::mqtt::pki::Pki;
use crate::reload::{build, right};
use crate::service::LOOP;
use crate::status::wait_for;

/// A device with slots, and a repository that it trusts.
pub struct Ward {
    pub place: Place,
    config: PathBuf,
}

impl Ward {
    /// Starts with version 1.0.0 in use; `update` holds further lines of `[update]`.
    pub fn new(broker: &Mosquitto, settings: &str, update: &str) -> Self {
        let place = Place::new(2);
        let terms = Terms::default();
        let repository = Path::new(&place.path("repository")).to_owned();
        let keys = Path::new(&place.path("keys")).to_owned();
        Repository::create(&repository, &keys, (NonZeroU64::MIN, 1), &terms).unwrap();
        let update = format!("[update]\nroot = \"keys/root.json\"\n{update}");
        let settings = format!("{}\n{settings}\n{update}", external(&broker.url()));
        let config = place.config(LOOP, &settings);
        let text = fs::read_to_string(&config).unwrap();
        let slots = text.replace("path = \"tiny.medsa\"", "path = \"slots\"\nconfirm_min = 0.04");
        fs::write(&config, slots).unwrap();
        let ward = Self { place, config };
        ward.publish(&right("1.0.0", 64));
        let said = ward.update(&["--repository", &ward.place.path("repository"), "--name", "tiny"]);
        assert_eq!(said.unwrap(), "tiny 1.0.0 is in use in slot A");
        ward
    }

    pub fn publish(&self, build: &Build) {
        let file = PathBuf::from(self.place.path("published.medsa"));
        build.write(&file).unwrap();
        let repository = Repository::open(Path::new(&self.place.path("repository"))).unwrap();
        let keys = [PathBuf::from(self.place.path("keys"))];
        repository.publish(&keys, &[file], &Terms::default()).unwrap();
    }

    pub fn start(&self) -> Edge {
        Edge::run(&self.config)
    }

    fn update(&self, arguments: &[&str]) -> Result<String, String> {
        self.run("update", arguments)
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Result<String, String> {
        said(&mut self.command(command, arguments))
    }

    /// A command about this device.
    fn command(&self, command: &str, arguments: &[&str]) -> process::Command {
        let config = self.config.to_str().unwrap();
        edge_command(&[&[command, "--config", config], arguments].concat())
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.run("status", &["--json"]).unwrap()).unwrap()
    }

    pub fn role(&self, slot: &str) -> String {
        self.status()["slots"][slot]["role"].as_str().unwrap_or("empty").to_owned()
    }
}

/// Output of a program, or its error message.
fn said(program: &mut process::Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = program.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
}

/// A server of the files of a folder over HTTPS.
struct Server {
    child: process::Child,
    port: u16,
}

impl Server {
    fn start(folder: &str, pki: &Pki) -> Self {
        let mut python = process::Command::new("python3");
        python.args(["-c", include_str!("https_files.py"), folder]);
        python.args([pki.path("server.pem"), pki.path("server.key")]);
        let mut child = python.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        Self { child, port: port.trim().parse().unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn build_is_downloaded_from_a_trusted_https_server() {
    needs!("mosquitto", "openssl", "python3");
    let (broker, pki) = (Mosquitto::start(), Pki::new());
    let ward = Ward::new(&broker, "", "");
    ward.publish(&right("2.0.0", 32));
    let server = Server::start(&ward.place.path("repository"), &pki);
    let repository = format!("https://localhost:{}", server.port);
    let refused = ward.update(&["--repository", &repository]).unwrap_err();
    assert!(refused.contains(&format!("medsa-edge: {repository}/: ")), "{refused}");
    assert!(refused.contains("certificate"), "{refused}");
    let mut update = ward.command("update", &["--repository", &repository, "--stage"]);
    let staged = said(update.env("SSL_CERT_FILE", pki.path("ca.pem"))).unwrap();
    assert_eq!(staged, "tiny 2.0.0 is staged: signature verified and accepted on this device");
}

#[test]
fn newer_build_is_used_on_command() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let ward = Ward::new(&broker, "", "repository = \"repository\"");
    let edge = ward.start();
    let observer = Observer::start(&broker.url(), Protocol::V4);
    observer.wait_for_mask("a mask of the first build", |mask| mask.mask.width() == 64);
    observer.send("medsa/bench/command", &Command::Update);
    edge.logged("already in use; nothing to do");

    ward.publish(&right("2.0.0", 32));
    observer.send("medsa/bench/command", &Command::Update);
    edge.logged("looking for a newer build in file:///");
    edge.logged("build tiny 2.0.0 replaces tiny 1.0.0");
    observer.wait_for_mask("a mask of the newer build", |mask| mask.mask.width() == 32);
    edge.logged("build tiny 2.0.0 was healthy on trial and is confirmed");
    assert_eq!((ward.role("a").as_str(), ward.role("b").as_str()), ("previous", "in-use"));

    // A build with wrong masks is not even put on trial.
    let wrong = build("3.0.0", 32, |vector| vector.mask_runs = vec![96 * 80], &[]);
    ward.publish(&wrong);
    observer.send("medsa/bench/command", &Command::Update);
    let reason = wait_for(&observer, |status| matches!(status.build, BuildStatus::Failed { .. }));
    let BuildStatus::Failed { reason } = reason.build else { unreachable!() };
    assert!(
        reason.starts_with("cannot update the build: tiny 3.0.0 is not accepted: "),
        "{reason}"
    );
    assert_eq!(ward.role("b"), "in-use");

    // Switches to the other build, which has not failed.
    ward.publish(&right("4.0.0", 32));
    let said = ward.update(&["--version", "4.0.0", "--stage"]).unwrap();
    assert_eq!(said, "tiny 4.0.0 is staged: signature verified and accepted on this device");
    observer.send("medsa/bench/command", &Command::SwitchBuild);
    edge.logged("build tiny 4.0.0 replaces tiny 2.0.0");
    edge.logged("build tiny 4.0.0 was healthy on trial and is confirmed");
    observer.send("medsa/bench/command", &Command::SwitchBuild);
    edge.logged("build tiny 2.0.0 replaces tiny 4.0.0");
    edge.logged("build tiny 2.0.0 was healthy on trial and is confirmed");
    assert_eq!((ward.role("a").as_str(), ward.role("b").as_str()), ("previous", "in-use"));
}

#[test]
fn scheduled_update_waits_until_no_object_is_segmented() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let ward = Ward::new(&broker, "", "repository = \"repository\"\nevery_h = 0.001");
    ward.publish(&right("2.0.0", 32));
    let edge = ward.start();
    let observer = Observer::start(&broker.url(), Protocol::V4);
    edge.logged("schedule: looking for a newer build in file:///");
    wait_until("the build is staged", || ward.role("b") == "staged");
    // The next check finds the staged build.
    edge.logged("schedule: looking for a newer build in file:///");
    let mask = observer.wait_for_mask("a mask", |_| true);
    assert_eq!((mask.mask.width(), ward.role("b").as_str()), (64, "staged"));
    let object = mask.object;
    let clear = PromptMessage { object, change: PromptChange::Clear };
    observer.send("medsa/bench/prompt", &clear);
    edge.logged("build tiny 2.0.0 replaces tiny 1.0.0");
    assert_eq!(ward.role("b"), "on-trial");
}

#[test]
fn running_service_follows_commands_of_an_operator() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let port = free_port();
    let http = format!("[http]\nlisten = \"127.0.0.1:{port}\"\ncontrol = true");
    let ward = Ward::new(&broker, &http, "");
    let report = ward.status();
    assert!(report["health_error"].as_str().unwrap().contains("Connection refused"), "{report}");
    let edge = ward.start();
    let observer = Observer::start(&broker.url(), Protocol::V4);
    observer.wait_for_mask("a mask", |mask| mask.mask.width() == 64);
    let said = ward.update(&[]).unwrap_err();
    assert!(
        said.contains("update.repository is missing, expected a repository, here or"),
        "{said}"
    );
    observer.send("medsa/bench/command", &Command::Update);
    edge.logged("update.repository is missing in");

    let repository = ward.place.path("repository");
    let said = ward.update(&["--repository", &repository]).unwrap();
    assert_eq!(said, "tiny 1.0.0 is already in use");
    ward.publish(&right("2.0.0", 32));
    let said = ward.update(&["--repository", &repository]).unwrap();
    assert_eq!(said, "tiny 2.0.0 is in use in slot B, on trial until the service confirms it");
    edge.logged("build tiny 2.0.0 replaces tiny 1.0.0");
    edge.logged("build tiny 2.0.0 was healthy on trial and is confirmed");
    let report = ward.status();
    assert_eq!(report["device"], "bench");
    assert_eq!(report["slots"]["in_use"], "b");
    assert_eq!(report["slots"]["phase"], "settled");
    assert_eq!(report["slots"]["floors"]["tiny"], "2.0.0");
    assert_eq!(report["health"]["status"], "ok");
    assert_eq!(report["health"]["build"], "tiny 2.0.0");
    let people = ward.run("status", &[]).unwrap();
    assert!(people.contains("slot B: tiny 2.0.0, in use, confirmed\nservice: ok, "), "{people}");
    let address = format!("127.0.0.1:{port}");
    let page = request(&address, "GET", "/build", "", b"");
    let page: Value = serde_json::from_str(&page.1).unwrap();
    assert_eq!((&page["slots"]["a"]["role"], &page["update"]), (&"previous".into(), &false.into()));

    let said = ward.run("rollback", &[]).unwrap_err();
    assert!(said.contains("tiny 2.0.0 is confirmed; use --danger-allow-downgrade"), "{said}");
    let said = ward.run("rollback", &["--danger-allow-downgrade"]).unwrap();
    assert_eq!(said, "rolled back to tiny 1.0.0 in slot A");
    edge.logged("build tiny 1.0.0 replaces tiny 2.0.0");
    let said = ward.update(&["--repository", &repository]).unwrap_err();
    assert!(said.contains("tiny 2.0.0 has failed on this device before"), "{said}");
    let said = ward.update(&["--repository", "nowhere"]).unwrap_err();
    assert!(said.contains("nowhere/: ") && said.contains("No such file"), "{said}");
    fs::write(ward.place.path("keys/root.json"), "{}").unwrap();
    fs::remove_dir_all(ward.place.path("slots/trust")).unwrap();
    let said = ward.update(&["--repository", &repository]).unwrap_err();
    assert!(said.contains("repository/: "), "{said}");
}

#[test]
fn root_updates_as_the_owner_of_the_slots() {
    // Only root can change the owner of files.
    if ran_by_sudo("update::root_updates_as_the_owner_of_the_slots") {
        return;
    }
    needs!("mosquitto", "root");
    let broker = Mosquitto::start();
    let ward = Ward::new(&broker, "", "repository = \"repository\"");
    let path = |name: &str| PathBuf::from(ward.place.path(name));
    for folder in ["", "keys"] {
        fs::set_permissions(path(folder), Permissions::from_mode(0o755)).unwrap();
    }
    let all = || -> Vec<PathBuf> {
        let inside = [path("slots"), path("slots/trust")].map(|it| fs::read_dir(it).unwrap());
        let inside = inside.into_iter().flatten().map(|entry| entry.unwrap().path());
        inside.chain([path("slots")]).collect()
    };
    let owner = |path: PathBuf| path.symlink_metadata().unwrap().uid();
    // As an attacker who controls the service could do.
    let precious = path("precious");
    fs::write(&precious, "of the administrator").unwrap();
    symlink(&precious, path("slots/build.new")).unwrap();
    all().iter().for_each(|path| lchown(path, Some(1234), Some(1235)).unwrap());
    ward.publish(&right("2.0.0", 32));
    let refused = ward.update(&[]).unwrap_err();
    assert!(refused.contains("continuing as user 1234, the owner of "), "{refused}");
    assert!(refused.contains("build.new: Permission denied"), "{refused}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "of the administrator");
    fs::remove_file(path("slots/build.new")).unwrap();

    let said = ward.update(&[]).unwrap();
    assert!(said.starts_with("tiny 2.0.0 is in use in slot B, on trial"), "{said}");
    assert!(all().into_iter().map(owner).all(|uid| uid == 1234));
    assert_eq!(ward.run("rollback", &[]).unwrap(), "rolled back to tiny 1.0.0 in slot A");
    assert!(all().into_iter().map(owner).all(|uid| uid == 1234));
}

#[test]
fn update_without_slots_is_refused() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let place = Place::new(2);
    let update = "[update]\nroot = \"root.json\"\nrepository = \"repository\"";
    let config = place.config(LOOP, &format!("{}\n{update}", external(&broker.url())));
    let refused = edge_command(&["run", "--config", config.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("build.path is ") && said.contains("tiny.medsa, a file"), "{said}");
    assert!(said.contains("expected a folder of slots, for [update]"), "{said}");
}
