//! An operator's desk and devices: folders of this machine, behind one sshd of the test.
//!
//! Repositories and slots on a device are handled by the real code. The program on a device is a
//! script around `medsa-flash`, and its service is a thread.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use medsa_bundle::Acceptance;
use medsa_update::{Folder, Slots, TRIAL_STARTS};
use tempfile::TempDir;

use crate::small;
use crate::sshd::Sshd;

/// Name of the repository, with characters that a shell would misread.
const REPOSITORY: &str = "it's a \"stick\"";

const LIST: &str = "devices.toml";

/// Behaviour of a service with a build on trial.
#[derive(Clone, Copy)]
pub enum Service {
    /// Confirms the build.
    Confirms,
    /// Rolls back.
    RollsBack,
    /// Leaves the build on trial.
    Waits,
}

/// Output of a command.
#[derive(Debug)]
pub struct Said {
    pub stdout: String,
    pub stderr: String,
}

/// Desk and devices.
pub struct Field {
    folder: TempDir,
    devices: Vec<String>,
    does: Arc<Mutex<Service>>,
    sshd: Sshd,
}

/// Services that run until this is dropped.
pub struct Services {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Field {
    /// Devices with liver 1.0.0. One with the name `gone` cannot be reached.
    pub fn new(devices: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sshd = Sshd::start(folder.path());
        let devices = devices.iter().map(|&name| name.to_owned()).collect();
        let does = Arc::new(Mutex::new(Service::Waits));
        let field = Self { folder, devices, does, sshd };
        field.run("keygen", &["--repository", REPOSITORY, "--keys", "keys"]).unwrap();
        field.publish("1.0.0");
        let mut list = String::new();
        for name in &field.devices {
            let device = field.device(name);
            fs::create_dir_all(&device).unwrap();
            fs::copy(field.path("keys/root.json"), device.join("root.json")).unwrap();
            fs::write(device.join("edge.toml"), "").unwrap();
            let flash = env!("CARGO_BIN_EXE_medsa-flash");
            script(
                &device.join("medsa-edge"),
                &include_str!("medsa-edge.sh").replace("@FLASH@", flash),
            );
            field.accept(name, "exit 0");
            field.health(
                name,
                r#""status":"ok","uptime_s":7,"source":{"state":"playing","reason":null}"#,
            );
            let path = |name: &str| format!("'''{}'''", device.join(name).display());
            let (config, edge) = (path("edge.toml"), path("medsa-edge"));
            list += &format!("[[device]]\nssh = \"{name}\"\nconfig = {config}\nedge = {edge}\n");
            let mut stage = Command::new(flash);
            stage.args(["stage", "--name", "liver", "--switch", "--repository", REPOSITORY]);
            stage.arg("--device").arg(device.join("slots")).args(["--root", "keys/root.json"]);
            stage.arg("--edge").arg(device.join("accept"));
            said(stage.current_dir(field.folder.path())).unwrap();
        }
        fs::write(field.path(LIST), list).unwrap();
        field
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Folder of a device, whose name needs quotes in a shell.
    pub fn device(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}'s $HOME; exit")).join("medsa")
    }

    /// Publishes a build.
    pub fn publish(&self, version: &str) {
        let name = format!("{version}.medsa");
        let build = small::build(small::manifest("liver", version), Acceptance::default());
        build.write(&self.path(&name)).unwrap();
        self.run("publish", &["--repository", REPOSITORY, "--keys", "keys", &name]).unwrap();
    }

    /// Sets the acceptance test of a device.
    pub fn accept(&self, device: &str, does: &str) {
        script(&self.device(device).join("accept"), &format!("#!/bin/sh\n{does}\n"));
    }

    /// Sets the health report of a device's service.
    pub fn health(&self, device: &str, health: &str) {
        let reload = r#""reload":{"state":"idle","reason":null}"#;
        fs::write(self.device(device).join("health"), format!("{health},{reload}")).unwrap();
    }

    /// Starts services on all devices.
    pub fn services(&self, does: Service) -> Services {
        self.set_services(does);
        let end = Arc::new(AtomicBool::new(false));
        let run = |name: &String| {
            let slots = self.device(name).join("slots");
            let (end, does) = (Arc::clone(&end), Arc::clone(&self.does));
            thread::spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    let does = *does.lock().unwrap();
                    serve(&slots, does);
                    sleep(Duration::from_millis(50));
                }
            })
        };
        Services { threads: self.devices.iter().map(run).collect(), end }
    }

    /// Changes the behaviour of the services.
    pub fn set_services(&self, does: Service) {
        *self.does.lock().unwrap() = does;
    }

    /// Version of the build that a device uses.
    pub fn in_use(&self, device: &str) -> String {
        let slots = Slots::open(Folder::to_start(&self.device(device).join("slots"))).unwrap();
        slots.state().in_use().unwrap().version.to_string()
    }

    /// Files of the last payload that a device received.
    pub fn sent(&self, device: &str) -> Vec<String> {
        let sent = fs::read_to_string(self.device(device).join("sent")).unwrap();
        sent.lines().map(str::to_owned).collect()
    }

    /// Number of files in the devices' temporary folder.
    pub fn left_on_devices(&self) -> usize {
        fs::read_dir(self.path("tmp")).unwrap().count()
    }

    /// Pushes `liver` to all devices.
    pub fn push(&self, more: &[&str]) -> Result<Said, Said> {
        let arguments = ["--repository", REPOSITORY, "--name", "liver", "--devices", LIST];
        self.run("push", &[&arguments[..], more].concat())
    }

    /// Runs a command for all devices.
    pub fn fleet(&self, command: &str, more: &[&str]) -> Result<Said, Said> {
        self.run(command, &[&["--devices", LIST], more].concat())
    }

    /// Runs a command at the desk.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Result<Said, Said> {
        let mut flash = Command::new(env!("CARGO_BIN_EXE_medsa-flash"));
        flash.arg(command).args(arguments).current_dir(self.folder.path());
        self.sshd.known_to(&mut flash);
        said(&mut flash)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A failed service has printed its panic.
            let _ = thread.join();
        }
    }
}

/// One look of a service at its slots. It skips them while the program updates them.
fn serve(slots: &Path, does: Service) {
    let is_on_trial = || Some(Slots::open(Folder::to_start(slots)).ok()?.state().is_on_trial());
    if is_on_trial() != Some(true) {
        return;
    }
    let Ok(folder) = Folder::open(slots) else { return };
    let mut slots = Slots::open(folder).unwrap();
    match does {
        Service::Confirms => slots.confirm().unwrap(),
        Service::RollsBack => {
            for _ in 0..=TRIAL_STARTS {
                slots.start().unwrap();
            }
        }
        Service::Waits => {}
    }
}

fn script(path: &Path, text: &str) {
    // A script that still runs cannot be written: create a new file.
    let _ = fs::remove_file(path);
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn said(command: &mut Command) -> Result<Said, Said> {
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}: run tools/setup.sh test"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said { stdout: text(output.stdout), stderr: text(output.stderr) };
    if output.status.success() { Ok(said) } else { Err(said) }
}
