//! The operator's side of updates: a folder of builds with signed metadata, for a USB stick or any
//! server of files.
//!
//! Four roles sign, as in The Update Framework. `root` lists the keys of all roles, `targets` lists
//! the builds; both can require several keys, which should be kept offline. `snapshot` and
//! `timestamp` name the latest metadata, with one key that may stay where builds are published: a
//! thief of it can hold devices back, but not give them a build.
//!
//! Others can write to a repository: it is on a stick or a server. So publishing does not trust the
//! root in the repository but `root.json` beside the keys. Otherwise an attacker could put a root
//! of their own there, and the operator would sign a list with the attacker's build in it.

mod files;
mod keys;
mod terms;

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use medsa_bundle::{Build, Limits};
use semver::Version;
use tokio::runtime::Runtime;
use tough::editor::RepositoryEditor;
use tough::editor::signed::SignedRepository;
use tough::key_source::KeySource;
use tough::schema::{self, RoleKeys, Root, Target};
use tough::{ExpirationEnforcement, RepositoryLoader, TargetName};
use url::Url;

use crate::client::{PUBLISHED, part, runtime, target_name};
use crate::error::{Error, whole};
use crate::state::Installed;
use crate::transport::Reach;
use files::Files;
pub use keys::Role;
pub use terms::Terms;

/// Version of The Update Framework's specification.
const SPEC: &str = "1.0.0";

/// A repository in a folder.
pub struct Repository {
    files: Files,
    url: Url,
    runtime: Runtime,
}

impl Repository {
    /// Opens the repository in a folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let folder = fs::canonicalize(folder).map_err(Error::io(folder))?;
        let url = Url::from_directory_path(&folder).expect("is absolute");
        Ok(Self { files: Files { folder }, url, runtime: runtime()? })
    }

    /// Creates a new, empty repository in `folder`, and its keys in `keys`: `number` each for root
    /// and targets, of which `threshold` have to sign, and one online key.
    ///
    /// # Errors
    /// [`Error::Keys`] if there is a repository already, or fewer keys than have to sign.
    pub fn create(
        folder: &Path,
        keys: &Path,
        (threshold, number): (NonZeroU64, u64),
        terms: &Terms,
    ) -> Result<Self, Error> {
        let refused = |path: &Path, reason: &str| {
            Err(Error::Keys { path: path.to_owned(), reason: reason.to_owned() })
        };
        if folder.join("metadata").exists() {
            return refused(
                folder,
                "holds a repository, expected none; to replace keys, name a role with --replace",
            );
        }
        if number < threshold.get() {
            return refused(
                keys,
                "would hold fewer keys than have to sign; create as many as the threshold or more",
            );
        }
        fs::create_dir_all(folder.join("targets")).map_err(Error::io(folder))?;
        let repository = Self::open(folder)?;
        let mut root = Root {
            spec_version: SPEC.into(),
            consistent_snapshot: true,
            version: NonZeroU64::MIN,
            expires: terms.after(terms.root_days),
            keys: HashMap::new(),
            roles: HashMap::new(),
            _extra: HashMap::new(),
        };
        for role in Role::ALL {
            let (threshold, number) =
                if role == Role::Online { (NonZeroU64::MIN, 1) } else { (threshold, number) };
            keys::add(&repository.runtime, &mut root, role, keys, (threshold, number))?;
        }
        let sources = keys::sources(&[keys.to_owned()])?;
        let root = repository.stage_root(&root, None, &sources)?;
        let editor = repository.runtime.block_on(RepositoryEditor::new(&root));
        repository.finish(editor.map_err(repository.failed())?, root, 1, &sources, terms)?;
        let root = keys.join(keys::ROOT);
        fs::copy(repository.first_root(), &root).map_err(Error::io(&root))?;
        Ok(repository)
    }

    /// Adds builds, and signs the metadata again. Without builds, this renews the metadata before
    /// it expires.
    ///
    /// # Errors
    /// [`Error::Unpublishable`] for a build that devices would refuse; nothing is published then.
    pub fn publish(
        &self,
        keys: &[PathBuf],
        builds: &[PathBuf],
        terms: &Terms,
    ) -> Result<Vec<Installed>, Error> {
        let sources = keys::sources(keys)?;
        let loaded = self.load(keys)?;
        let version = next(&loaded);
        let mut published = Vec::new();
        let mut targets = Vec::new();
        for path in builds {
            let (name, target) = self.target(path)?;
            if let Some(there) = loaded.targets().signed.targets.get(&name)
                && there.hashes != target.hashes
            {
                let reason = format!(
                    "{} is published with another content; raise the version of the build",
                    name.raw()
                );
                return Err(Error::Unpublishable { path: path.clone(), reason });
            }
            let sha256 = hex::encode(target.hashes.sha256.as_ref());
            let text = |key: &str| target.custom[key].as_str().expect("was a text").to_owned();
            let version = text("version").parse().expect("was a version");
            published.push(Installed { name: text("name"), version, sha256 });
            targets.push((path, name, target));
        }
        let root = loaded.root();
        let bytes = serde_json::to_vec_pretty(root).expect("was read from JSON");
        let root = self.files.put_root(&root.signed, &bytes)?;
        let mut editor = self
            .runtime
            .block_on(RepositoryEditor::from_repo(&root, loaded))
            .map_err(self.failed())?;
        for ((path, name, target), build) in targets.into_iter().zip(&published) {
            self.files.copy(path, &format!("{}.{}", build.sha256, name.raw()))?;
            editor.add_target(name, target).map_err(self.failed())?;
        }
        self.finish(editor, root, version, &sources, terms)?;
        Ok(published)
    }

    /// Replaces the keys of a role by as many new ones, puts these into `into`, and signs the
    /// metadata again.
    ///
    /// # Errors
    /// [`Error::Keys`] if `keys` lacks root keys that have to sign.
    pub fn replace_keys(
        &self,
        role: Role,
        keys: &[PathBuf],
        into: &Path,
        terms: &Terms,
    ) -> Result<(), Error> {
        let loaded = self.load(keys)?;
        let version = next(&loaded);
        let old = loaded.root().signed.clone();
        let mut root = old.clone();
        root.version = root.version.saturating_add(1);
        root.expires = terms.after(terms.root_days);
        let RoleKeys { keyids, threshold, .. } = old.roles[&role.types()[0]].clone();
        let others = Role::ALL.into_iter().filter(|other| *other != role);
        let kept: Vec<_> =
            others.flat_map(|other| old.roles[&other.types()[0]].keyids.clone()).collect();
        root.keys.retain(|id, _| kept.contains(id));
        keys::add(&self.runtime, &mut root, role, into, (threshold, keyids.len() as u64))?;
        let mut keys = keys.to_vec();
        if !keys.iter().any(|folder| folder == into) {
            keys.push(into.to_owned());
        }
        let sources = keys::sources(&keys)?;
        let root = self.stage_root(&root, Some(&old), &sources)?;
        let editor = self.runtime.block_on(RepositoryEditor::from_repo(&root, loaded));
        self.finish(editor.map_err(self.failed())?, root, version, &sources, terms)
    }

    /// Path of the first root, to ship devices with.
    pub fn first_root(&self) -> PathBuf {
        self.files.metadata().join("1.root.json")
    }

    fn failed(&self) -> impl Fn(tough::error::Error) -> Error {
        Error::repository(&self.url)
    }

    /// Loads the present metadata and verifies its signatures. Expired metadata is accepted: it is
    /// about to be signed again.
    fn load(&self, keys: &[PathBuf]) -> Result<tough::Repository, Error> {
        let root = keys::trusted_root(keys)?;
        self.files.complete()?;
        let loader =
            RepositoryLoader::new(&root, part(&self.url, "metadata")?, part(&self.url, "targets")?)
                .transport(Reach::new(Duration::ZERO))
                .expiration_enforcement(ExpirationEnforcement::Unsafe);
        self.runtime.block_on(loader.load()).map_err(self.failed())
    }

    /// Signs a root with its own keys and those of the root before, and writes it to the folder of
    /// unfinished metadata.
    fn stage_root(
        &self,
        root: &Root,
        before: Option<&Root>,
        sources: &[Box<dyn KeySource>],
    ) -> Result<PathBuf, Error> {
        let signed = keys::sign_root(&self.runtime, &self.url, root, before, sources)?;
        for by in [Some(root), before].into_iter().flatten() {
            let too_few = |error: schema::Error| Error::Keys {
                path: self.files.folder.clone(),
                reason: format!(
                    "too few keys of the root were given, give further folders of keys: {}",
                    whole(&error)
                ),
            };
            by.verify_role(signed.signed()).map_err(too_few)?;
        }
        self.files.put_root(&signed.signed().signed, signed.buffer())
    }

    /// Signs the metadata and publishes it.
    fn finish(
        &self,
        mut editor: RepositoryEditor,
        root: PathBuf,
        version: u64,
        sources: &[Box<dyn KeySource>],
        terms: &Terms,
    ) -> Result<(), Error> {
        let number = NonZeroU64::new(version).unwrap_or(NonZeroU64::MAX);
        let online = terms.after(terms.online_days);
        let mut timestamp = schema::Timestamp::new(SPEC.into(), number, online);
        timestamp._extra.insert(PUBLISHED.into(), terms.now.to_string().into());
        editor.timestamp(timestamp).map_err(self.failed())?;
        editor.snapshot_version(number).snapshot_expires(online);
        editor.timestamp_version(number).timestamp_expires(online);
        let targets = terms.after(terms.targets_days);
        editor.targets_version(number).map_err(self.failed())?;
        editor.targets_expires(targets).map_err(self.failed())?;
        let signed: Result<SignedRepository, _> = self.runtime.block_on(editor.sign(sources));
        let signed = signed.map_err(self.failed())?;
        let unfinished = self.files.unfinished();
        self.runtime.block_on(signed.write(unfinished)).map_err(self.failed())?;
        self.files.publish(&root, version)
    }

    /// List entry of a build.
    fn target(&self, path: &Path) -> Result<(TargetName, Target), Error> {
        let refused = |reason| Error::Unpublishable { path: path.to_owned(), reason };
        let build = Build::read(path, &Limits::default());
        let build = build.map_err(|error| refused(without_path(path, &error.to_string())))?;
        let manifest = build.manifest();
        if !manifest.unfit.is_empty() {
            return Err(refused(format!(
                "is marked as unfit: {}; make the build again within its limits",
                manifest.unfit.join("; ")
            )));
        }
        let (name, version) = (&manifest.name, &manifest.version);
        let parsed = Version::parse(version)
            .map_err(|e| refused(format!("version is {version:?}, expected as in 1.2.0: {e}")))?;
        let listed = target_name(name, &parsed).map_err(refused)?;
        let target = self.runtime.block_on(Target::from_path(path));
        let mut target = target.map_err(|error| refused(whole(&error)))?;
        target.custom.insert("name".into(), name.clone().into());
        target.custom.insert("version".into(), parsed.to_string().into());
        let listed = TargetName::new(listed).map_err(self.failed())?;
        Ok((listed, target))
    }
}

/// Version after the highest present one.
fn next(repository: &tough::Repository) -> u64 {
    let versions = [
        repository.targets().signed.version,
        repository.snapshot().signed.version,
        repository.timestamp().signed.version,
    ];
    versions.into_iter().max().map_or(1, |version| version.get().saturating_add(1))
}

/// Message about a file without the file's name, which the caller adds.
fn without_path(path: &Path, message: &str) -> String {
    let start = format!("{}: ", path.display());
    message.strip_prefix(&start).unwrap_or(message).to_owned()
}
