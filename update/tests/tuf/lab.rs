//! An operator, a device, and an attacker who controls the repository between them.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use medsa_bundle::{Acceptance, Build, Limits, Manifest};
use medsa_update::{Client, Error, Folder, Permit, Repository, Slots, Source, Terms, WithoutClock};
use serde::Serialize;
use tempfile::TempDir;
use tough::editor::signed::SignedRole;
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::{KeyHolder, Role, Root, Signed, Snapshot, Targets, Timestamp};
use url::Url;

use crate::small;

pub struct Lab {
    place: TempDir,
    pub repository: Repository,
}

impl Lab {
    /// Creates a repository with liver 1.0.0.
    pub fn new() -> Self {
        Self::with_keys(1, 1)
    }

    pub fn with_keys(threshold: u64, number: u64) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (repository, keys) = (place.path().join("repository"), place.path().join("keys"));
        let keys_to_sign = (NonZeroU64::new(threshold).unwrap(), number);
        let repository =
            Repository::create(&repository, &keys, keys_to_sign, &Terms::default()).unwrap();
        fs::copy(repository.first_root(), place.path().join("root.json")).unwrap();
        let lab = Self { place, repository };
        lab.publish("1.0.0");
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn keys(&self) -> Vec<PathBuf> {
        vec![self.path("keys")]
    }

    pub fn publish(&self, version: &str) {
        self.publish_on(version, &Terms::default());
    }

    pub fn publish_on(&self, version: &str, terms: &Terms) {
        let path = self.build("liver", version);
        self.repository.publish(&self.keys(), &[path], terms).unwrap();
    }

    /// Writes the file of a build and returns its path.
    pub fn build(&self, name: &str, version: &str) -> PathBuf {
        let path = self.path(&format!("{name} {version}.medsa"));
        build(name, version, Vec::new()).write(&path).unwrap();
        path
    }

    /// The device after a start: its memory is on its disk.
    pub fn device(&self) -> Client {
        self.device_with(&self.url(), WithoutClock::Refuse)
    }

    pub fn device_with(&self, url: &Url, without_clock: WithoutClock) -> Client {
        self.device_of(Source { url: url.clone(), without_clock, ..self.source() })
    }

    pub fn device_of(&self, source: Source) -> Client {
        Client::open(source, &self.path("device/trust")).unwrap()
    }

    /// Configuration of the device.
    pub fn source(&self) -> Source {
        Source {
            url: self.url(),
            root: fs::read(self.path("root.json")).unwrap(),
            without_clock: WithoutClock::Refuse,
            limits: Limits::default(),
            patience: Duration::from_secs(60),
        }
    }

    pub fn url(&self) -> Url {
        Url::from_directory_path(self.path("repository")).unwrap()
    }

    /// Newest version that the device is offered, or its error.
    pub fn sees(&self) -> Result<String, String> {
        sees(self.device())
    }

    /// Installs the newest version on the device.
    pub fn installs(&self) -> Result<String, Error> {
        let mut client = self.device();
        let listing = client.look()?;
        let offer = listing.find("liver", None).unwrap();
        let mut slots = self.slots();
        listing.stage(offer, &mut slots, Permit::default(), &mut |_| Ok(()))?;
        Ok(slots.switch()?.build.version.to_string())
    }

    pub fn slots(&self) -> Slots<Folder> {
        Slots::open(Folder::open(&self.path("device")).unwrap()).unwrap()
    }

    /// Copies the present repository.
    pub fn record(&self) -> Recording {
        let folder = tempfile::tempdir().unwrap();
        copy(&self.path("repository"), folder.path());
        Recording(folder)
    }

    /// Replaces the repository by a copy.
    pub fn replay(&self, recording: &Recording) {
        fs::remove_dir_all(self.path("repository")).unwrap();
        copy(recording.0.path(), &self.path("repository"));
    }

    pub fn metadata(&self, name: &str) -> PathBuf {
        self.path("repository/metadata").join(name)
    }

    /// Reads a file of metadata.
    pub fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Signed<T> {
        serde_json::from_slice(&fs::read(self.metadata(name)).unwrap()).unwrap()
    }

    /// Signs metadata with the operator's keys of these names, and publishes it.
    pub fn sign<T: Role + Serialize>(&self, role: T, keys: &[&str]) -> SignedRole<T> {
        let root: Signed<Root> = self.read("1.root.json");
        let keys = keys.iter().map(|name| {
            let path = self.path("keys").join(name);
            Box::new(LocalKeySource { path }) as Box<dyn KeySource>
        });
        let (root, keys) = (KeyHolder::Root(root.signed), keys.collect::<Vec<_>>());
        let random = aws_lc_rs::rand::SystemRandom::new();
        block_on(async {
            let signed = SignedRole::new(role, &root, &keys, &random).await.unwrap();
            signed.write(self.path("repository/metadata"), true).await.unwrap();
            signed
        })
    }

    /// Changes the second list of targets, and signs it and all metadata that depends on it.
    /// Without keys, the list keeps its old signatures.
    pub fn relist(&self, keys: &[&str], change: impl FnOnce(&mut Targets)) {
        let mut targets = self.read::<Targets>("2.targets.json").signed;
        change(&mut targets);
        if keys.is_empty() {
            let signatures = self.read::<Targets>("2.targets.json").signatures;
            let forged = serde_json::to_vec(&Signed { signed: targets, signatures }).unwrap();
            fs::write(self.metadata("2.targets.json"), forged).unwrap();
        } else {
            self.sign(targets, keys);
        }
        let mut snapshot = self.read::<Snapshot>("2.snapshot.json").signed;
        let listed = snapshot.meta.get_mut("targets.json").unwrap();
        (listed.length, listed.hashes) = (None, None);
        self.sign(snapshot, &["online-1.pk8"]);
        let mut timestamp = self.read::<Timestamp>("timestamp.json").signed;
        let listed = timestamp.meta.get_mut("snapshot.json").unwrap();
        (listed.length, listed.hashes) = (None, None);
        self.sign(timestamp, &["online-1.pk8"]);
    }
}

pub struct Recording(TempDir);

impl Recording {
    pub fn metadata(&self, name: &str) -> PathBuf {
        self.0.path().join("metadata").join(name)
    }
}

pub fn sees(mut device: Client) -> Result<String, String> {
    match device.look() {
        Ok(listing) => Ok(listing.find("liver", None).unwrap().build.version.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Creates a small build.
pub fn build(name: &str, version: &str, unfit: Vec<String>) -> Build {
    let manifest = Manifest { unfit, ..small::manifest(name, version) };
    small::build(manifest, Acceptance::default())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Asserts that the result is an error with this text.
#[track_caller]
pub fn assert_says(found: &Result<String, String>, expected: &str) {
    let Err(said) = found else { panic!("accepted: {found:?}") };
    assert!(said.contains(expected), "{said}");
}
