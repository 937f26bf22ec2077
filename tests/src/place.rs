//! Where tests find what is not in the repository.

use std::env;
use std::path::{Path, PathBuf};

/// The folder with reference tensors and real images, which stands beside the repository. Where
/// it does not exist, tests that need it say so and pass.
pub fn shared() -> Option<PathBuf> {
    let folder = repository().parent()?.join("shared");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} does not exist", folder.display());
    None
}

/// The original LiteMedSAM checkpoint, which `make setup` fetches.
///
/// # Panics
/// If it is not there: without it hardly anything is tested.
pub fn lite_medsam() -> PathBuf {
    asset("lite_medsam.pth")
}

/// The echocardiography cine (30 frames of 320x240, JPEG), which `make setup` fetches.
///
/// # Panics
/// If it is not there.
pub fn cine() -> PathBuf {
    asset("examples_ybr_color.dcm")
}

/// Python with what checks exported files, in the virtual environment that `make setup` makes.
///
/// # Panics
/// If it is not there.
pub fn python() -> PathBuf {
    let path = cache().join("venv/bin/python");
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

/// A fresh folder for a test's files.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("the system's folder for temporary files is writable")
}

fn asset(name: &str) -> PathBuf {
    let path = cache().join("assets").join(name);
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

/// As in the Makefile.
fn cache() -> PathBuf {
    if let Some(folder) = env::var_os("MEDSA_CACHE") {
        return folder.into();
    }
    let home = env::home_dir().expect("tests run as a user who has a home folder");
    home.join(".cache").join("medsa")
}

/// The repository as it is now: a build may be shared by clones in different places.
///
/// # Panics
/// If it is not run by cargo.
pub fn repository() -> PathBuf {
    let this_crate = env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let repository = Path::new(&this_crate).parent();
    repository.expect("this crate is a folder of the repository").to_owned()
}
