//! Keys of a repository: creation, lookup, and signatures of the root.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use tokio::runtime::Runtime;
use tough::editor::signed::SignedRole;
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::{KeyHolder, RoleKeys, RoleType, Root};
use url::Url;

use crate::error::{Error, whole};

/// File of the trusted root, beside the keys.
pub(super) const ROOT: &str = "root.json";

/// Role of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signs the list of keys.
    Root,
    /// Signs the list of builds.
    Targets,
    /// Signs `snapshot` and `timestamp`, which name the latest metadata.
    Online,
}

impl Role {
    pub(super) const ALL: [Self; 3] = [Self::Root, Self::Targets, Self::Online];

    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Online => "online",
        }
    }

    /// Roles of The Update Framework.
    pub(super) fn types(self) -> &'static [RoleType] {
        match self {
            Self::Root => &[RoleType::Root],
            Self::Targets => &[RoleType::Targets],
            Self::Online => &[RoleType::Snapshot, RoleType::Timestamp],
        }
    }
}

/// Reads the trusted root, from the first folder that has one.
pub(super) fn trusted_root(folders: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let mut roots = folders.iter().map(|folder| folder.join(ROOT));
    let Some(path) = roots.find(|path| path.exists()) else {
        let path = folders.first().cloned().unwrap_or_default();
        let reason = format!(
            "holds no {ROOT}, expected the one that was created with the keys; name their folder"
        );
        return Err(Error::Keys { path, reason });
    };
    fs::read(&path).map_err(Error::io(&path))
}

/// All keys in the folders.
pub(super) fn sources(folders: &[PathBuf]) -> Result<Vec<Box<dyn KeySource>>, Error> {
    let mut sources: Vec<Box<dyn KeySource>> = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
            let path = entry.map_err(Error::io(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "pk8") {
                sources.push(Box::new(LocalKeySource { path }));
            }
        }
    }
    Ok(sources)
}

/// Creates `number` keys for a role, of which `threshold` have to sign, and lists them in the root.
pub(super) fn add(
    runtime: &Runtime,
    root: &mut Root,
    role: Role,
    folder: &Path,
    (threshold, number): (NonZeroU64, u64),
) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut keyids = Vec::new();
    for _ in 0..number {
        let source = LocalKeySource { path: create(folder, role)? };
        let key = runtime.block_on(source.as_sign());
        let unusable = |reason: String| Error::Keys { path: source.path.clone(), reason };
        let key = key.map_err(|error| unusable(error.to_string()))?.tuf_key();
        let id = key.key_id().map_err(|error| unusable(whole(&error)))?;
        root.keys.insert(id.clone(), key);
        keyids.push(id);
    }
    for kind in role.types() {
        let keys = RoleKeys { keyids: keyids.clone(), threshold, _extra: HashMap::new() };
        root.roles.insert(*kind, keys);
    }
    Ok(())
}

/// Signs a root with its own keys, and with those of the root before.
pub(super) fn sign_root(
    runtime: &Runtime,
    repository: &Url,
    root: &Root,
    before: Option<&Root>,
    sources: &[Box<dyn KeySource>],
) -> Result<SignedRole<Root>, Error> {
    let sign = |by: &Root| {
        let (by, random) = (KeyHolder::Root(by.clone()), SystemRandom::new());
        let signing = SignedRole::new(root.clone(), &by, sources, &random);
        runtime.block_on(signing).map_err(Error::repository(repository))
    };
    let signed = sign(root)?;
    let Some(before) = before else { return Ok(signed) };
    let old = sign(before)?.signed().signatures.clone();
    signed.add_old_signatures(old).map_err(Error::repository(repository))
}

/// Creates an Ed25519 key that only its owner can read.
fn create(folder: &Path, role: Role) -> Result<PathBuf, Error> {
    let free = (1..).map(|i| folder.join(format!("{}-{i}.pk8", role.name())));
    let path = free.into_iter().find(|path| !path.exists()).expect("there is a free number");
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let key = key.map_err(|error| Error::Keys { path: path.clone(), reason: error.to_string() })?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(key.as_ref()).and_then(|()| file.sync_all()));
    written.map_err(Error::io(&path))?;
    Ok(path)
}
