//! Inputs and tools that tests need in addition to what cargo provides.
//!
//! A test that needs one of [`NEEDS`] begins with [`needs!`]. It fails where the input is missing.
//! The environment variable `MEDSA_SKIP=name,...` skips such tests instead, and `make test` prints
//! what was skipped in its last lines.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An input or a tool.
pub struct Need {
    /// Name in `MEDSA_SKIP`.
    pub name: &'static str,
    parts: &'static [Part],
    /// Instruction to get it.
    remedy: &'static str,
}

/// A part of a [`Need`]; all parts must be present.
enum Part {
    /// A file that `tools/setup.sh` downloads to the cache.
    Asset(&'static str),
    /// A program in the search path or in a folder for administration programs.
    Program(&'static str),
    /// One of several programs.
    OneOf(&'static [&'static str]),
    /// A file of a Debian package.
    File(&'static str),
    /// A target of the Rust toolchain.
    Target(&'static str),
    /// A file of a package that `tools/setup.sh` installs with npm.
    Tool(&'static str),
    /// Python environment created by `tools/setup.sh`.
    Venv,
    /// Folder with whole data sets, next to the repository.
    Shared,
    /// Root privileges.
    Root,
}

use Part::{Asset, File, OneOf, Program, Root, Shared, Target, Tool, Venv};

/// Browsers that tests can control.
pub const BROWSERS: &[&str] =
    &["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// Plugin of Orthanc.
const DICOMWEB: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

const SETUP: &str = "run `tools/setup.sh test`";

/// All names that `MEDSA_SKIP` may list.
pub const NEEDS: &[Need] = &[
    // Tests of it are skipped on a processor without AVX-512 (`tools/test-avx512.sh`).
    Need { name: "avx512", parts: &[], remedy: "" },
    Need { name: "litemedsam", parts: &[Asset("lite_medsam.pth")], remedy: SETUP },
    Need {
        name: "dicom",
        parts: &[
            Asset("examples_ybr_color.dcm"),
            Asset("examples_rgb_color.dcm"),
            Asset("examples_palette.dcm"),
            Asset("examples_jpeg2k.dcm"),
            Asset("US1_UNCR.dcm"),
            Asset("US1_J2KI.dcm"),
            Asset("gdcm-US-ALOKA-16.dcm"),
            Asset("JPGExtended.dcm"),
            Asset("MR_small.dcm"),
            Asset("MR_small_RLE.dcm"),
            Asset("MR_small_bigendian.dcm"),
            Asset("MR_small_implicit.dcm"),
            Asset("MR_small_jp2klossless.dcm"),
            Asset("MR_small_jpeg_ls_lossless.dcm"),
            Asset("SC_rgb_jls_lossy_line.dcm"),
            Asset("SC_rgb_jls_lossy_sample.dcm"),
            Asset("image_dfl.dcm"),
            Asset("SC_rgb_jpeg_gdcm.dcm"),
            Asset("SC_rgb_rle.dcm"),
            Asset("emri_small.dcm"),
            Asset("emri_small_jpeg_ls_lossless.dcm"),
            Asset("J2K_pixelrep_mismatch.dcm"),
            Asset("liver_1frame.dcm"),
            Asset("liver_expb_1frame.dcm"),
            Asset("rtdose.dcm"),
            Asset("rtdose_rle.dcm"),
        ],
        remedy: SETUP,
    },
    Need { name: "venv", parts: &[Venv], remedy: SETUP },
    Need {
        name: "arm",
        parts: &[
            Target("aarch64-unknown-linux-gnu"),
            Program("aarch64-linux-gnu-gcc"),
            Program("qemu-aarch64"),
        ],
        remedy: "run `tools/setup.sh test` and `rustup target add aarch64-unknown-linux-gnu`",
    },
    Need { name: "browser", parts: &[OneOf(BROWSERS), Asset("axe.min.js")], remedy: SETUP },
    Need {
        name: "asyncapi",
        parts: &[Venv, Tool("@asyncapi/specs/schemas/3.0.0.json")],
        remedy: SETUP,
    },
    Need { name: "dcmtk", parts: &[Program("storescp"), Program("echoscu")], remedy: SETUP },
    Need { name: "dciodvfy", parts: &[Program("dciodvfy")], remedy: SETUP },
    Need { name: "dpkg", parts: &[Program("dpkg-deb")], remedy: "install dpkg" },
    Need { name: "ffmpeg", parts: &[Program("ffmpeg")], remedy: SETUP },
    Need { name: "mosquitto", parts: &[Program("mosquitto")], remedy: SETUP },
    Need { name: "mpi", parts: &[Program("mpirun")], remedy: SETUP },
    Need { name: "orthanc", parts: &[Program("Orthanc"), File(DICOMWEB)], remedy: SETUP },
    Need { name: "openssl", parts: &[Program("openssl")], remedy: SETUP },
    Need {
        name: "prometheus",
        parts: &[Program("prometheus"), Program("promtool")],
        remedy: SETUP,
    },
    Need { name: "python3", parts: &[Program("python3")], remedy: SETUP },
    Need { name: "rauc", parts: &[Program("rauc"), Program("mksquashfs")], remedy: SETUP },
    Need { name: "ssh", parts: &[Program("ssh"), Program("sshd")], remedy: SETUP },
    Need { name: "systemd", parts: &[Program("systemd-analyze")], remedy: SETUP },
    Need {
        name: "typescript",
        parts: &[Program("node"), Tool("typescript/bin/tsc")],
        remedy: SETUP,
    },
    Need {
        name: "root",
        parts: &[Root],
        remedy: "run the tests as root, or as a user of sudo without a password",
    },
    Need { name: "shared", parts: &[Shared], remedy: "put the data sets beside the repository" },
];

/// Returns from the test if `MEDSA_SKIP` lists one of these inputs; fails the test if one is
/// missing.
#[macro_export]
macro_rules! needs {
    ($($name:literal),+) => {
        $(
            if !$crate::require($name) {
                return;
            }
        )+
    };
}

/// Returns false, and records the skip, if `MEDSA_SKIP` lists the input. See [`needs!`].
///
/// # Panics
/// If the input is missing and `MEDSA_SKIP` does not list it.
pub fn require(name: &str) -> bool {
    let need = NEEDS.iter().find(|need| need.name == name);
    let Need { parts, remedy, .. } = need.unwrap_or_else(|| panic!("{name} is not in NEEDS"));
    if listed(name) {
        note(name);
        return false;
    }
    let missing = parts.iter().find_map(Part::missing);
    if let Some(what) = missing {
        panic!("{what}: {remedy}, or skip the tests that need it: MEDSA_SKIP={name}");
    }
    true
}

/// Runs `test` of this test binary again as root if the user is not root but may use sudo without a
/// password. Returns true if it has run there; the caller then returns.
///
/// # Panics
/// If the test fails there.
pub fn ran_by_sudo(test: &str) -> bool {
    let sudo = || {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n");
        sudo
    };
    let may = || sudo().arg("true").output().is_ok_and(|output| output.status.success());
    if is_root() || listed("root") || !may() {
        return false;
    }
    // By `env`, because sudo keeps only a few variables.
    let mut command = sudo();
    command.arg("env");
    for (name, value) in env::vars() {
        let prefixes = ["CARGO", "MEDSA_"];
        if ["PATH", "HOME"].contains(&name.as_str()) || prefixes.iter().any(|p| name.starts_with(p))
        {
            command.arg(format!("{name}={value}"));
        }
    }
    let binary = env::current_exe().expect("the path of a test is known");
    let status = command.arg(binary).args(["--exact", test, "--include-ignored"]).status();
    assert!(status.is_ok_and(|status| status.success()), "{test} has failed as root");
    true
}

/// Path of a file that `tools/setup.sh` downloads to the cache.
pub fn asset(name: &str) -> PathBuf {
    cache().join("assets").join(name)
}

/// Path of a file of a package that `tools/setup.sh` installs with npm for tests of messages.
pub fn tool(name: &str) -> PathBuf {
    cache().join("tools/wire/node_modules").join(name)
}

/// Path of Python with the packages that check exported models and records.
pub fn python() -> PathBuf {
    cache().join("venv/bin/python")
}

/// Path of a file or folder in `tests/data`.
pub fn data(name: &str) -> PathBuf {
    repository().join("tests/data").join(name)
}

/// Folder with whole data sets and reference tensors next to the repository; `None` if it does not
/// exist.
pub fn shared() -> Option<PathBuf> {
    let folder = repository().with_file_name("shared");
    folder.is_dir().then_some(folder)
}

/// The repository in which the tests run; several clones may share one build folder.
///
/// # Panics
/// If the tests are not run by cargo.
pub fn repository() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let mut folders = Path::new(&package).ancestors();
    let is_root = |folder: &&Path| folder.join("tests/data/README.md").exists();
    folders.find(is_root).expect("packages are folders of the repository").to_owned()
}

impl Part {
    /// Description of the part if it is missing.
    fn missing(&self) -> Option<String> {
        let absent =
            |path: PathBuf| (!path.exists()).then(|| format!("{} does not exist", path.display()));
        match self {
            Asset(name) => absent(asset(name)),
            File(path) => absent(path.into()),
            Program(name) => program(name).is_none().then(|| format!("{name} is not installed")),
            OneOf(names) => names
                .iter()
                .all(|name| program(name).is_none())
                .then(|| format!("none of {} is installed", names.join(", "))),
            Target(name) => {
                let rustlib = sysroot().join("lib/rustlib").join(name);
                (!rustlib.exists()).then(|| format!("this Rust has no target {name}"))
            }
            Tool(name) => absent(tool(name)),
            Venv => absent(python()),
            Shared => absent(repository().with_file_name("shared")),
            Root => (!is_root()).then(|| "the tests do not run as root".to_owned()),
        }
    }
}

/// Path of a program.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in folders that only root's path contains.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Folder of the Rust toolchain; empty without `rustc`.
fn sysroot() -> PathBuf {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
    let path = rustc.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&path).trim().into()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Cache folder of `tools/setup.sh`.
fn cache() -> PathBuf {
    if let Some(folder) = env::var_os("MEDSA_CACHE") {
        return folder.into();
    }
    let home = env::home_dir().expect("tests run as a user who has a home folder");
    home.join(".cache/medsa")
}

fn listed(name: &str) -> bool {
    let skip = env::var("MEDSA_SKIP").unwrap_or_default();
    skip.split(',').any(|listed| listed.trim() == name)
}

/// Appends the name to the file that `make test` reads at the end.
fn note(name: &str) {
    let Some(file) = env::var_os("MEDSA_SKIPPED") else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(file).expect("it is writable");
    file.write_all(format!("{name} (MEDSA_SKIP)\n").as_bytes()).expect("it is writable");
}
