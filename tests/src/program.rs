//! The project's own programs, run as by a user.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::OnceLock;

use medsa_bundle::{Build, Limits};

use crate::place;

/// A command that runs one of the workspace's binaries.
///
/// # Panics
/// If it was not built; `make test` builds all of them first.
pub fn command(binary: &str) -> Command {
    // This test's binary is in `<profile>/deps`.
    let test = env::current_exe().expect("the system knows this program's path");
    let profile: PathBuf = test.ancestors().nth(2).expect("tests lie two folders deep").into();
    let path = profile.join(binary);
    assert!(path.exists(), "{} is missing: run `make test`", path.display());
    Command::new(path)
}

/// A command that runs one of the workspace's ARM programs on an emulated processor with a name of
/// `qemu-aarch64`. Tests that use it need `arm`.
///
/// # Panics
/// If the program was not built by `tools/build-arm.sh`.
pub fn on_arm(program: &str, cpu: &str) -> Command {
    let test = env::current_exe().expect("the system knows this program's path");
    let all: &Path = test.ancestors().nth(3).expect("tests lie three folders deep");
    let path = all.join("aarch64-unknown-linux-gnu/emulated").join(program);
    assert!(path.exists(), "{} is missing: run tools/build-arm.sh", path.display());
    let mut command = Command::new("qemu-aarch64");
    command.args(["-cpu", cpu, "-L", "/usr/aarch64-linux-gnu"]).arg(path);
    command
}

/// A command that runs a script of `tests/python`. Tests that use it need `venv`.
pub fn python(script: &str) -> Command {
    let mut command = Command::new(place::python());
    command.arg(place::repository().join("tests/python").join(script));
    command
}

/// Runs a command; returns its standard output.
///
/// # Panics
/// If it fails; the message contains its output.
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program can be started");
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{command:?}: {status}\n{stdout}\n{}",
        String::from_utf8_lossy(&stderr)
    );
    stdout
}

/// A program in the background, which is killed at the end of the test.
pub struct Background(Child);

impl Background {
    /// Starts the program.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program can be started"))
    }

    /// Waits until the program ends.
    ///
    /// # Panics
    /// If it failed.
    pub fn wait(mut self) {
        let status = self.0.wait().expect("a started program can be waited for");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The build of the demo: 128 px, int8, shipped adapter and calibration. It is made once for all
/// tests; those that use it need `litemedsam`.
///
/// # Panics
/// If the program fails.
pub fn demo_build() -> &'static Build {
    static MADE: OnceLock<Build> = OnceLock::new();
    MADE.get_or_init(|| {
        let adapter = place::repository().join("trainer/adapters/ultrasound-clicks");
        let folder = place::scratch();
        let out = folder.path().join("build.medsa");
        run(command("medsa-export")
            .args(["build", "--input-size", "128", "--precision", "int8", "--base"])
            .arg(place::lite_medsam())
            .arg("--adapter")
            .arg(adapter.join("adapter.safetensors"))
            .arg("--calibration")
            .arg(adapter.join("128px.calibration"))
            .arg("--out")
            .arg(&out));
        Build::read(&out, &Limits::default()).unwrap()
    })
}
