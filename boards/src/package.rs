//! Debian package of the service for a board: program, units, users and folders.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::Board;

/// Goal for the size of the program in bytes. No board depends on it.
pub const PROGRAM_BYTES_GOAL: u64 = 20_000_000;

/// Largest accepted program in bytes: a larger one is not the service.
const MAX_PROGRAM_BYTES: u64 = 100_000_000;

/// Libraries that every Debian system has.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-aarch64.so.1"];

/// Requirements of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Shared libraries that it loads.
    pub libraries: BTreeSet<String>,
    /// Oldest version of the C library that has all symbols it uses: major, minor.
    pub glibc: (u32, u32),
}

/// A finished package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Path of the package.
    pub path: PathBuf,
    /// Size of the package in bytes.
    pub bytes: u64,
    /// Size of the stripped program in bytes.
    pub program_bytes: u64,
    /// Requirements of the program.
    pub needs: Needs,
}

/// Parts of a package.
pub struct Parts<'a> {
    /// Folder of all boards.
    pub boards: &'a Path,
    /// Name of the board's folder.
    pub board: &'a str,
    /// Path of the program, as the compiler left it.
    pub program: &'a Path,
    /// Folder of the service, with its example configuration, manual pages and completions.
    pub service: &'a Path,
    /// Version of the package.
    pub version: &'a str,
}

/// Reason why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a folder or the board's description is unusable.
    #[error(transparent)]
    File(#[from] crate::Error),
    /// A tool of Debian is missing or failed.
    #[error("{tool}: {reason}")]
    Tool {
        /// Name of the tool.
        tool: &'static str,
        /// Error output of the tool.
        reason: String,
    },
    /// The program is too large.
    #[error("{path} has {bytes} bytes when stripped, at most {MAX_PROGRAM_BYTES} are accepted")]
    TooLarge {
        /// Path of the program.
        path: PathBuf,
        /// Size of the program in bytes.
        bytes: u64,
    },
    /// The program does not run on a board's system.
    #[error("{path} needs {found}, {board} has {expected}")]
    Unmet {
        /// Path of the program.
        path: PathBuf,
        /// Library that the program needs.
        found: String,
        /// Name of the board.
        board: String,
        /// Libraries that the board has.
        expected: String,
    },
}

/// Creates the package in `folder`.
///
/// # Errors
/// [`Error`]; nothing is left in `folder` then.
pub fn make(parts: &Parts, folder: &Path) -> Result<Package, Error> {
    let board = Board::read(&parts.boards.join(parts.board))?;
    fs::create_dir_all(folder).map_err(at(folder))?;
    let work = tempfile::tempdir_in(folder).map_err(at(folder))?;
    let root = Root(work.path().join("root"));

    let program = root.place("usr/bin/medsa-edge", &read(parts.program)?, 0o755)?;
    run("aarch64-linux-gnu-strip", Command::new("aarch64-linux-gnu-strip").arg(&program))?;
    let program_bytes = fs::metadata(&program).map_err(at(&program))?.len();
    if program_bytes > MAX_PROGRAM_BYTES {
        return Err(Error::TooLarge { path: parts.program.to_owned(), bytes: program_bytes });
    }
    let needs = needs(&program)?;
    check(parts.program, &needs, parts.board, &board)?;

    let common = parts.boards.join("common");
    for unit in ["medsa-edge.service", "medsa-kiosk.service", "medsa-stick@.service"] {
        root.place(&format!("usr/lib/systemd/system/{unit}"), &read(&common.join(unit))?, 0o644)?;
    }
    let limits = format!(
        "# Limits for {}.\n[Service]\nCPUAffinity={}\nMemoryMax={}M\n",
        board.name, board.inference.cpus, board.budget.memory_mb
    );
    root.place("usr/lib/systemd/system/medsa-edge.service.d/board.conf", limits.as_bytes(), 0o644)?;
    for (from, to) in [
        ("70-medsa.rules", "usr/lib/udev/rules.d/70-medsa.rules"),
        ("sysusers.conf", "usr/lib/sysusers.d/medsa.conf"),
        ("tmpfiles.conf", "usr/lib/tmpfiles.d/medsa.conf"),
    ] {
        root.place(to, &read(&common.join(from))?, 0o644)?;
    }
    root.place(
        "etc/medsa/edge.toml",
        configuration(&common, parts.board, &board)?.as_bytes(),
        0o644,
    )?;
    let documents = "usr/share/doc/medsa-edge";
    root.place(
        &format!("{documents}/edge.example.toml"),
        &read(&parts.service.join("edge.example.toml"))?,
        0o644,
    )?;
    let readme = parts.boards.join(parts.board).join("README.md");
    root.place(&format!("{documents}/README.md"), &read(&readme)?, 0o644)?;
    place_manual(&root, &parts.service.join("manual"))?;

    let (major, minor) = needs.glibc;
    let control = format!(
        "Package: medsa-edge\nVersion: {}\nArchitecture: arm64\nMaintainer: medsa-edge\n\
         Section: science\nPriority: optional\nDepends: libc6 (>= {major}.{minor}), libgcc-s1, systemd\n\
         Recommends: cage, chromium\nDescription: live segmentation beside the machine, for {}\n \
         Frames come in from a camera or a program, masks go out over MQTT and to a page on the\n \
         touchscreen.\n",
        parts.version, board.name
    );
    root.place("DEBIAN/control", control.as_bytes(), 0o644)?;
    root.place("DEBIAN/conffiles", b"/etc/medsa/edge.toml\n", 0o644)?;
    for script in ["postinst", "prerm"] {
        root.place(&format!("DEBIAN/{script}"), &read(&common.join(script))?, 0o755)?;
    }

    let name = format!("medsa-edge_{}_{}_arm64.deb", parts.version, parts.board);
    let made = work.path().join(&name);
    let mut build = Command::new("dpkg-deb");
    build.args(["--build", "--root-owner-group", "-Zxz"]).arg(&root.0).arg(&made);
    run("dpkg-deb", &mut build)?;
    let path = folder.join(name);
    fs::rename(&made, &path).map_err(at(&path))?;
    let bytes = fs::metadata(&path).map_err(at(&path))?.len();
    Ok(Package { path, bytes, program_bytes, needs })
}

/// Places manual pages and completions where the system looks for them.
fn place_manual(root: &Root, folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let to = match name.rsplit_once('.') {
            Some((_, "1")) => format!("usr/share/man/man1/{name}"),
            Some((program, "bash")) => format!("usr/share/bash-completion/completions/{program}"),
            Some((_, "fish")) => format!("usr/share/fish/vendor_completions.d/{name}"),
            // Named after the function, as zsh expects: `_medsa-edge`.
            _ => format!("usr/share/zsh/vendor-completions/{name}"),
        };
        root.place(&to, &read(&path)?, 0o644)?;
    }
    Ok(())
}

/// First configuration of a board, for `/etc/medsa/edge.toml`.
///
/// # Errors
/// [`Error::File`].
pub fn configuration(common: &Path, folder: &str, board: &Board) -> Result<String, Error> {
    let path = common.join("edge.toml");
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    Ok(text.replace("@BOARD@", folder).replace("@THREADS@", &board.inference.threads.to_string()))
}

/// Requirements of the ELF file at `path`.
///
/// # Errors
/// [`Error::Tool`].
pub fn needs(path: &Path) -> Result<Needs, Error> {
    let tool = "aarch64-linux-gnu-readelf";
    let text =
        run(tool, Command::new(tool).args(["--dynamic", "--version-info", "--wide"]).arg(path))?;
    let mut needs = Needs { libraries: BTreeSet::new(), glibc: (0, 0) };
    for line in text.lines() {
        if let Some((_, library)) = line.split_once("Shared library: [") {
            needs.libraries.insert(library.trim_end_matches(']').to_owned());
        }
        for version in line.split("Name: GLIBC_").skip(1) {
            let version = version.split_whitespace().next().and_then(version_of);
            needs.glibc = needs.glibc.max(version.unwrap_or_default());
        }
    }
    Ok(needs)
}

fn check(program: &Path, needs: &Needs, name: &str, board: &Board) -> Result<(), Error> {
    let unmet = |found: String, expected: String| Error::Unmet {
        path: program.to_owned(),
        found,
        board: name.to_owned(),
        expected,
    };
    if let Some(library) = needs.libraries.iter().find(|name| !LIBRARIES.contains(&&***name)) {
        return Err(unmet(library.clone(), LIBRARIES.join(", ")));
    }
    let (major, minor) = needs.glibc;
    if version_of(&board.glibc).is_none_or(|has| needs.glibc > has) {
        return Err(unmet(format!("glibc {major}.{minor}"), format!("glibc {}", board.glibc)));
    }
    Ok(())
}

/// Parses a version into major and minor.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Root folder of the package's files.
struct Root(PathBuf);

impl Root {
    fn place(&self, name: &str, content: &[u8], mode: u32) -> Result<PathBuf, Error> {
        let path = self.0.join(name);
        let folder = path.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder).map_err(at(folder))?;
        fs::write(&path, content).map_err(at(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(at(&path))?;
        Ok(path)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    |source| Error::File(crate::Error::Io { path: path.to_owned(), source })
}

fn run(tool: &'static str, command: &mut Command) -> Result<String, Error> {
    let failed = |reason: String| Error::Tool { tool, reason };
    let Output { status, stdout, stderr } =
        command.env("LC_ALL", "C").output().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("{status}: {}", String::from_utf8_lossy(&stderr).trim())));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
