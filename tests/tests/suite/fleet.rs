//! A real build to devices over ssh: two services that segment a clip, a signed repository, waves.

#[path = "../../../boards/tests/fleet/sshd.rs"]
mod sshd;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};

use medsa_bundle::{Acceptance, AcceptanceVector, Build, Limits, Manifest};
use medsa_tests::needs;
use medsa_tests::program::{Background, command, run};
use medsa_tests::{place, program};
use serde_json::Value;
use sshd::Sshd;
use tempfile::TempDir;

const DEVICES: [&str; 2] = ["bed-1", "bed-2"];

#[test]
fn segmenting_devices_take_a_build_in_waves_and_refuse_one_with_wrong_answers() {
    needs!("dicom", "litemedsam", "ssh");
    let ward = Ward::new();
    let _services = ward.services();
    ward.wait_until("services are healthy", |status| status["health"]["status"] == "ok");
    ward.publish("2.0.0", |_| ());
    let said = ward.push().unwrap();
    for device in DEVICES {
        let row = row(&said, device);
        assert!(row.ends_with("2.0.0  confirmed"), "{said}");
    }
    let said = ward.fleet("status", &["--json"]).unwrap();
    let statuses: Value = serde_json::from_str(&said).unwrap();
    for (status, device) in statuses.as_array().unwrap().iter().zip(DEVICES) {
        let status = &status["status"];
        assert_eq!(status["device"], device);
        assert_eq!(status["slots"]["b"]["role"], "in-use");
        let build = status["health"]["build"].as_str().unwrap();
        assert!(build.ends_with(" 2.0.0"), "{build}");
    }

    let said = ward.fleet("rollback", &["--danger-allow-downgrade"]).unwrap();
    assert!(said.contains("1.0.0 in slot A"), "{said}");
    ward.wait_until("the first build runs again", |status| {
        status["health"]["build"].as_str().is_some_and(|build| build.ends_with(" 1.0.0"))
    });

    // The expected masks are wrong.
    ward.publish("3.0.0", |vector| {
        let pixels = vector.mask_runs.iter().sum();
        vector.mask_runs = vec![0, pixels];
    });
    let said = ward.push().unwrap_err();
    let refused = row(&said, "bed-1");
    assert!(refused.contains("1.0.0  failed: ") && refused.contains("is not accepted"), "{said}");
    assert!(row(&said, "bed-2").ends_with("1.0.0  not begun"), "{said}");
}

/// Devices with a service each, and a desk with a repository that they trust.
struct Ward {
    folder: TempDir,
    sshd: Sshd,
    /// Build that is published under all versions.
    build: Build,
}

impl Ward {
    fn new() -> Self {
        let folder = place::scratch();
        let build = exported(folder.path());
        let ward = Self { sshd: Sshd::start(folder.path()), folder, build };
        ward.flash("keygen", &["--repository", "repository", "--keys", "keys"]).unwrap();
        ward.publish("1.0.0", |_| ());
        let mut list = String::new();
        for device in DEVICES {
            let at = |name: &str| ward.path(&format!("{device}/{name}"));
            fs::create_dir(ward.path(device)).unwrap();
            fs::copy(ward.path("keys/root.json"), at("root.json")).unwrap();
            let [http, broker] = [free_port(), free_port()];
            let config = format!(
                "[device]\nid = \"{device}\"\n\
                 [build]\npath = \"slots\"\nthreads = 1\nconfirm_min = 0.04\n\
                 [update]\nroot = \"root.json\"\n\
                 [source]\nkind = \"dicom\"\npath = {:?}\nloop = true\nrate_fps = 10\n\
                 [[prompt]]\nobject = 3\nbox = [75.0, 75.0, 225.0, 187.5]\n\
                 [http]\nlisten = \"127.0.0.1:{http}\"\n\
                 [broker]\nkind = \"embedded\"\nlisten = \"127.0.0.1:{broker}\"\n",
                place::cine()
            );
            fs::write(at("edge.toml"), config).unwrap();
            let edge = command("medsa-edge").get_program().to_owned();
            let (config, repository) = (at("edge.toml"), ward.path("repository"));
            let mut update = command("medsa-edge");
            update.arg("update").arg("--config").arg(&config);
            update.arg("--repository").arg(repository).args(["--name", ward.name()]);
            program::run(&mut update);
            list +=
                &format!("[[device]]\nssh = \"{device}\"\nconfig = {config:?}\nedge = {edge:?}\n");
        }
        fs::write(ward.path("devices.toml"), list).unwrap();
        ward
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn name(&self) -> &str {
        &self.build.manifest().name
    }

    fn services(&self) -> Vec<Background> {
        let start = |device: &str| {
            let config = self.path(&format!("{device}/edge.toml"));
            let log = fs::File::create(self.path(&format!("{device}/log"))).unwrap();
            let mut edge = command("medsa-edge");
            Background::start(edge.arg("run").arg("--config").arg(config).stdout(log))
        };
        DEVICES.map(start).into()
    }

    /// Publishes the build as another version, with a changed first acceptance vector.
    fn publish(&self, version: &str, change: impl FnOnce(&mut AcceptanceVector)) {
        let manifest = self.build.manifest().clone();
        let names = manifest.files.keys().filter(|name| *name != Acceptance::FILE);
        let files: BTreeMap<_, _> =
            names.map(|name| (name.clone(), self.build.file(name).unwrap().to_vec())).collect();
        let mut acceptance = self.build.acceptance().clone();
        change(&mut acceptance.vectors[0]);
        let manifest = Manifest { version: version.into(), ..manifest };
        Build::new(manifest, files, acceptance).write(&self.path("new.medsa")).unwrap();
        let arguments = ["--repository", "repository", "--keys", "keys", "new.medsa"];
        self.flash("publish", &arguments).unwrap();
    }

    fn push(&self) -> Result<String, String> {
        let more = ["--repository", "repository", "--name", self.name(), "--within", "5"];
        self.fleet("push", &more)
    }

    fn fleet(&self, command: &str, more: &[&str]) -> Result<String, String> {
        self.flash(command, &[&["--devices", "devices.toml"], more].concat())
    }

    /// Output of a command; that of a failed command is the error.
    fn flash(&self, command: &str, arguments: &[&str]) -> Result<String, String> {
        let mut flash = program::command("medsa-flash");
        flash.arg(command).args(arguments).current_dir(self.folder.path());
        self.sshd.known_to(&mut flash);
        let Output { status, stdout, stderr } = flash.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
        println!("{command}: {}{}", text(&stdout), text(&stderr));
        if status.success() { Ok(text(&stdout)) } else { Err(text(&stdout)) }
    }

    /// Waits until a condition holds on all devices.
    fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let said = self.fleet("status", &["--json"]).unwrap();
            let statuses: Value = serde_json::from_str(&said).unwrap();
            if statuses.as_array().unwrap().iter().all(|status| is_so(&status["status"])) {
                return;
            }
            assert!(Instant::now() < until, "{what}: {statuses}");
            sleep(Duration::from_millis(200));
        }
    }
}

/// Exports a real network, small enough for two services.
fn exported(folder: &Path) -> Build {
    let at = |name: &str| folder.join(name);
    run(command("medsa-train")
        .args(["import", "--base"])
        .arg(place::lite_medsam())
        .arg("--out")
        .arg(at("base.safetensors")));
    run(command("medsa-export")
        .args(["build", "--input-size", "64", "--precision", "f32", "--frames", "2", "--base"])
        .arg(at("base.safetensors"))
        .arg("--calibration")
        .arg(place::cine())
        .arg("--out")
        .arg(at("build.medsa")));
    Build::read(&at("build.medsa"), &Limits::default()).unwrap()
}

fn row<'a>(table: &'a str, device: &str) -> &'a str {
    table.lines().find(|line| line.starts_with(device)).unwrap_or_else(|| panic!("{table}"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
