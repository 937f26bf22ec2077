//! The operator's side: a folder of builds with signed metadata, for a USB stick or any server that
//! hands out files.
//!
//! Four roles sign, as The Update Framework has them. `root` says whose keys count, `targets` which
//! builds there are; both can ask for several keys, which are to be kept offline. `snapshot` and
//! `timestamp` say what is the latest, with one key that may stay where builds are published: who
//! steals it can hold devices back, but not give them a build.
//!
//! A repository is where others can write: on a stick, on a server. So the root that publishing
//! trusts is not the one that is there, but `root.json` beside the keys. Otherwise whoever can write
//! there could put a root of his own in front of what is signed next, and with it a build.

use std::collections::HashMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use jiff::{SignedDuration, Timestamp};
use medsa_bundle::{Build, Limits};
use semver::Version;
use tokio::runtime::Runtime;
use tough::editor::RepositoryEditor;
use tough::editor::signed::{SignedRepository, SignedRole};
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::{self, KeyHolder, RoleKeys, RoleType, Root, Target};
use tough::{ExpirationEnforcement, RepositoryLoader, TargetName};
use url::Url;

use crate::client::{PUBLISHED, part, runtime, target_name};
use crate::error::{Error, whole};
use crate::state::Installed;
use crate::transport::Reach;

/// Version of the specification.
const SPEC: &str = "1.0.0";

/// Beside the keys: the first root, which says what is trusted.
const ROOT: &str = "root.json";

/// What points to all else.
const TIMESTAMP: &str = "timestamp.json";

/// A repository in a folder.
pub struct Repository {
    folder: PathBuf,
    url: Url,
    runtime: Runtime,
}

/// Whose keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Say which keys count.
    Root,
    /// Say which builds there are.
    Targets,
    /// Says what is the latest: `snapshot` and `timestamp`.
    Online,
}

/// How long what is signed is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Now.
    pub now: Timestamp,
    /// Days until the root expires.
    pub root_days: i64,
    /// Days until the list of builds expires.
    pub targets_days: i64,
    /// Days until devices have to see a newer repository, or at least a newly signed one.
    pub online_days: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { now: Timestamp::now(), root_days: 1825, targets_days: 365, online_days: 90 }
    }
}

impl Terms {
    fn after(&self, days: i64) -> Timestamp {
        self.now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
    }
}

impl Role {
    const ALL: [Self; 3] = [Self::Root, Self::Targets, Self::Online];

    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Online => "online",
        }
    }

    fn types(self) -> &'static [RoleType] {
        match self {
            Self::Root => &[RoleType::Root],
            Self::Targets => &[RoleType::Targets],
            Self::Online => &[RoleType::Snapshot, RoleType::Timestamp],
        }
    }
}

impl Repository {
    /// The repository in a folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let folder = fs::canonicalize(folder).map_err(Error::io(folder))?;
        let url = Url::from_directory_path(&folder).expect("is absolute");
        Ok(Self { folder, url, runtime: runtime()? })
    }

    /// A new, empty repository in `folder`, and its keys in `keys`: for root and targets
    /// `number` each, of which `threshold` have to sign, and one for what is online.
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
                "holds a repository, expected none: keys are replaced one role at a time",
            );
        }
        if number < threshold.get() {
            return refused(keys, "would hold fewer keys than have to sign");
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
            repository.add_keys(&mut root, role, keys, threshold, number)?;
        }
        let sources = sources(&[keys.to_owned()])?;
        let signed = repository.sign_root(&root, None, &sources)?;
        let root = repository.stage_root(&signed)?;
        let editor = repository.runtime.block_on(RepositoryEditor::new(&root));
        repository.finish(editor.map_err(repository.failed())?, root, 1, &sources, terms)?;
        let root = keys.join(ROOT);
        fs::copy(repository.first_root(), &root).map_err(Error::io(&root))?;
        Ok(repository)
    }

    /// Adds builds, and signs anew that all others are the latest. Without builds, this only keeps
    /// the repository from expiring.
    ///
    /// # Errors
    /// [`Error::Unpublishable`] for a build that devices would refuse; nothing is published then.
    pub fn publish(
        &self,
        keys: &[PathBuf],
        builds: &[PathBuf],
        terms: &Terms,
    ) -> Result<Vec<Installed>, Error> {
        let sources = sources(keys)?;
        let loaded = self.load(keys)?;
        let version = next(&loaded);
        let mut published = Vec::new();
        let mut targets = Vec::new();
        for path in builds {
            let (name, target) = self.target(path)?;
            if let Some(there) = loaded.targets().signed.targets.get(&name)
                && there.hashes != target.hashes
            {
                let reason = format!("{} is published with another content", name.raw());
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
        let root = self.put_root(&root.signed, &bytes)?;
        let mut editor = self
            .runtime
            .block_on(RepositoryEditor::from_repo(&root, loaded))
            .map_err(self.failed())?;
        for ((path, name, target), build) in targets.into_iter().zip(&published) {
            self.copy(path, &format!("{}.{}", build.sha256, name.raw()))?;
            editor.add_target(name, target).map_err(self.failed())?;
        }
        self.finish(editor, root, version, &sources, terms)?;
        Ok(published)
    }

    /// Replaces the keys of a role by as many new ones, which are put into `into`; all else is
    /// signed anew.
    ///
    /// # Errors
    /// [`Error::Keys`] if those of the root that have to sign are not in `keys`.
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
        self.add_keys(&mut root, role, into, threshold, keyids.len() as u64)?;
        let mut keys = keys.to_vec();
        if !keys.iter().any(|folder| folder == into) {
            keys.push(into.to_owned());
        }
        let sources = sources(&keys)?;
        let signed = self.sign_root(&root, Some(&old), &sources)?;
        let root = self.stage_root(&signed)?;
        let editor = self.runtime.block_on(RepositoryEditor::from_repo(&root, loaded));
        self.finish(editor.map_err(self.failed())?, root, version, &sources, terms)
    }

    /// The root that devices are to come with.
    pub fn first_root(&self) -> PathBuf {
        self.metadata().join("1.root.json")
    }

    fn metadata(&self) -> PathBuf {
        self.folder.join("metadata")
    }

    fn failed(&self) -> impl Fn(tough::error::Error) -> Error {
        Error::repository(&self.url)
    }

    /// The repository as it is, if those with the keys have signed it. What has expired can be
    /// signed anew.
    fn load(&self, keys: &[PathBuf]) -> Result<tough::Repository, Error> {
        let root = trusted_root(keys)?;
        self.complete()?;
        let loader =
            RepositoryLoader::new(&root, part(&self.url, "metadata")?, part(&self.url, "targets")?)
                .transport(Reach::new(Duration::ZERO))
                .expiration_enforcement(ExpirationEnforcement::Unsafe);
        self.runtime.block_on(loader.load()).map_err(self.failed())
    }

    /// Makes `number` keys, of which `threshold` have to sign for the role.
    fn add_keys(
        &self,
        root: &mut Root,
        role: Role,
        folder: &Path,
        threshold: NonZeroU64,
        number: u64,
    ) -> Result<(), Error> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let mut keyids = Vec::new();
        for _ in 0..number {
            let source = LocalKeySource { path: new_key(folder, role)? };
            let key = self.runtime.block_on(source.as_sign());
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

    /// Signed by its own keys and by those of the root before.
    fn sign_root(
        &self,
        root: &Root,
        before: Option<&Root>,
        keys: &[Box<dyn KeySource>],
    ) -> Result<SignedRole<Root>, Error> {
        let sign = |by: &Root| {
            let (by, random) = (KeyHolder::Root(by.clone()), SystemRandom::new());
            let signing = SignedRole::new(root.clone(), &by, keys, &random);
            self.runtime.block_on(signing).map_err(self.failed())
        };
        let mut signed = sign(root)?;
        if let Some(before) = before {
            let old = sign(before)?.signed().signatures.clone();
            signed = signed.add_old_signatures(old).map_err(self.failed())?;
        }
        for by in [Some(root), before].into_iter().flatten() {
            let too_few = |error: schema::Error| Error::Keys {
                path: self.folder.clone(),
                reason: format!("too few keys of the root were given: {}", whole(&error)),
            };
            by.verify_role(signed.signed()).map_err(too_few)?;
        }
        Ok(signed)
    }

    fn stage_root(&self, root: &SignedRole<Root>) -> Result<PathBuf, Error> {
        self.put_root(&root.signed().signed, root.buffer())
    }

    /// Where the editor of tough reads it, not yet where devices do.
    fn put_root(&self, root: &Root, bytes: &[u8]) -> Result<PathBuf, Error> {
        let folder = self.unfinished();
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join(format!("{}.root.json", root.version));
        fs::write(&path, bytes).map_err(Error::io(&path))?;
        Ok(path)
    }

    fn unfinished(&self) -> PathBuf {
        self.folder.join("metadata.new")
    }

    /// Signs all, and puts it where devices see it: each file at once, the one that points to all
    /// others last.
    fn finish(
        &self,
        mut editor: RepositoryEditor,
        root: PathBuf,
        version: u64,
        keys: &[Box<dyn KeySource>],
        terms: &Terms,
    ) -> Result<(), Error> {
        let version = NonZeroU64::new(version).unwrap_or(NonZeroU64::MAX);
        let online = terms.after(terms.online_days);
        let mut timestamp = schema::Timestamp::new(SPEC.into(), version, online);
        timestamp._extra.insert(PUBLISHED.into(), terms.now.to_string().into());
        editor.timestamp(timestamp).map_err(self.failed())?;
        editor.snapshot_version(version).snapshot_expires(online);
        editor.timestamp_version(version).timestamp_expires(online);
        let targets = terms.after(terms.targets_days);
        editor.targets_version(version).map_err(self.failed())?;
        editor.targets_expires(targets).map_err(self.failed())?;
        let signed: Result<SignedRepository, _> = self.runtime.block_on(editor.sign(keys));
        let signed = signed.map_err(self.failed())?;
        let (new, metadata) = (self.unfinished(), self.metadata());
        fs::create_dir_all(&metadata).map_err(Error::io(&metadata))?;
        self.runtime.block_on(signed.write(&new)).map_err(self.failed())?;
        let root = root.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let [targets, snapshot] =
            ["targets", "snapshot"].map(|role| format!("{version}.{role}.json"));
        let names = [targets, snapshot, root, TIMESTAMP.to_owned()];
        for name in &names {
            let from = new.join(name);
            let synced = fs::File::open(&from).and_then(|file| file.sync_all());
            synced.map_err(Error::io(&from))?;
        }
        for name in &names {
            let from = new.join(name);
            fs::rename(&from, metadata.join(name)).map_err(Error::io(&from))?;
        }
        fs::remove_dir_all(&new).map_err(Error::io(&new))
    }

    /// Does what is left where it was broken off between the new root and the timestamp, which
    /// the keys of that root have signed.
    fn complete(&self) -> Result<(), Error> {
        let new = self.unfinished();
        let Ok(entries) = fs::read_dir(&new) else { return Ok(()) };
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        let root_is_new = names.iter().any(|name| name.to_string_lossy().ends_with(".root.json"));
        if root_is_new || !names.iter().any(|name| name == TIMESTAMP) {
            return Ok(());
        }
        let from = new.join(TIMESTAMP);
        fs::rename(&from, self.metadata().join(TIMESTAMP)).map_err(Error::io(&from))
    }

    /// A build as it is listed.
    fn target(&self, path: &Path) -> Result<(TargetName, Target), Error> {
        let refused = |reason| Error::Unpublishable { path: path.to_owned(), reason };
        let build = Build::read(path, &Limits::default());
        let build = build.map_err(|error| refused(tail(path, &error.to_string())))?;
        let manifest = build.manifest();
        if !manifest.unfit.is_empty() {
            return Err(refused(format!("is marked as unfit: {}", manifest.unfit.join("; "))));
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

    /// Copies a build to where devices fetch it.
    fn copy(&self, from: &Path, name: &str) -> Result<(), Error> {
        let to = self.folder.join("targets").join(name);
        let new = to.with_extension("new");
        let copied = fs::copy(from, &new)
            .and_then(|_| fs::set_permissions(&new, Permissions::from_mode(0o644)))
            .and_then(|()| fs::File::open(&new)?.sync_all())
            .and_then(|()| fs::rename(&new, &to));
        copied.map_err(Error::io(&to))
    }
}

/// The version after all that there are.
fn next(repository: &tough::Repository) -> u64 {
    let versions = [
        repository.targets().signed.version,
        repository.snapshot().signed.version,
        repository.timestamp().signed.version,
    ];
    versions.into_iter().max().map_or(1, |version| version.get().saturating_add(1))
}

/// The root beside the keys.
fn trusted_root(keys: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let mut roots = keys.iter().map(|folder| folder.join(ROOT));
    let Some(path) = roots.find(|path| path.exists()) else {
        let path = keys.first().cloned().unwrap_or_default();
        let reason = format!("holds no {ROOT}, expected the one that was made with the keys");
        return Err(Error::Keys { path, reason });
    };
    fs::read(&path).map_err(Error::io(&path))
}

/// All keys in the folders.
fn sources(folders: &[PathBuf]) -> Result<Vec<Box<dyn KeySource>>, Error> {
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

/// Makes an Ed25519 key, which only its owner can read.
fn new_key(folder: &Path, role: Role) -> Result<PathBuf, Error> {
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

/// A message about a file without the file's name, which is told already.
fn tail(path: &Path, message: &str) -> String {
    let start = format!("{}: ", path.display());
    message.strip_prefix(&start).unwrap_or(message).to_owned()
}
