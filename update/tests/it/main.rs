//! Slots in a folder of the file system, and in a simulated one whose power can be cut at any
//! point.

mod folder;
mod formats;
mod power;
mod simulated;
mod status;

use std::path::Path;

use medsa_update::{Error, Installed, Offer};
use semver::Version;
use sha2::{Digest, Sha256};

/// Bytes of a build, and its offer.
fn build(version: &str) -> (Vec<u8>, Offer) {
    let bytes: Vec<u8> = version.bytes().cycle().take(200_000).collect();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let version = Version::parse(version).unwrap();
    let installed = Installed { name: "nerve".into(), version, sha256 };
    let offer = Offer { build: installed, bytes: bytes.len() as u64 };
    (bytes, offer)
}

/// Acceptance test that every build passes.
fn any(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Message of an error.
fn said<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "nothing".into(),
        Err(error) => error.to_string(),
    }
}
