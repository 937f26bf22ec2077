//! Metadata of a signed repository, and the state that a device keeps of it. The first byte selects
//! the file that the other bytes replace.
#![no_main]

use std::fs;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use medsa_bundle::Limits;
use medsa_fuzz::{path, sealed};
use medsa_update::{Client, Repository, Source, Terms, WithoutClock, address};

/// Files of an empty repository.
const METADATA: [&str; 4] = ["1.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"];

/// Metadata folder of the repository, and the root that devices ship with.
static REPOSITORY: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let (folder, keys) = (path("repository"), path("keys"));
    let one = (NonZeroU64::MIN, 1);
    let repository = Repository::create(&folder, &keys, one, &Terms::default());
    let root = fs::read(repository.expect("the folder is ours").first_root());
    (folder.join("metadata"), root.expect("it was written"))
});

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else { return };
    let (metadata, root) = &*REPOSITORY;
    let device = path("device");
    let _ = fs::remove_dir_all(&device);
    fs::create_dir_all(&device).expect("the folder is ours");
    match usize::from(kind) % (METADATA.len() + 3) {
        // The root that the device ships with.
        4 => drop(look(bytes)),
        // Saved state of the device.
        5 => remembers(bytes, root),
        // A newer root.
        6 => replaced(metadata.join("2.root.json"), bytes, root),
        file => replaced(metadata.join(METADATA[file]), bytes, root),
    }
});

fn replaced(file: PathBuf, bytes: &[u8], root: &[u8]) {
    let before = fs::read(&file).ok();
    fs::write(&file, bytes).expect("the folder is ours");
    let found = look(root);
    // Only signed metadata is accepted.
    assert!(found.is_none() || before.as_deref() == Some(bytes) || file.ends_with("1.root.json"));
    match before {
        Some(before) => fs::write(&file, before).expect("the folder is ours"),
        None => fs::remove_file(&file).expect("it was written"),
    }
}

fn remembers(json: &[u8], root: &[u8]) {
    fs::write(path("device/trust.json"), sealed(json)).expect("the folder is ours");
    look(root);
}

/// Number of builds that a device is offered.
fn look(root: &[u8]) -> Option<usize> {
    let source = Source {
        url: address("repository", &path("")).expect("it is a folder"),
        root: root.to_owned(),
        without_clock: WithoutClock::Refuse,
        limits: Limits::default(),
        patience: Duration::from_secs(1),
    };
    let mut client = Client::open(source, &path("device")).ok()?;
    let listing = client.look().ok()?;
    Some(listing.offers().count())
}
