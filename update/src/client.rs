//! The device's side of a repository: its list of builds, and downloads.
//!
//! A device accepts only metadata that is signed by the keys of the root that it was shipped with,
//! or of a root that these keys have signed. The name of a target is never used as a path here.
//!
//! # Without a clock
//! Metadata expires, so that nobody can keep a device on an old repository for ever. A board
//! without a battery does not know the time after a start. Its clock counts as unknown if it is
//! earlier than the last successful look at the repository, or than the repository's publication.
//! [`WithoutClock`] decides then; signatures and versions are verified in either case.

use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};
use jiff::Timestamp;
use medsa_bundle::{Build, Limits};
use semver::Version;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tough::schema::Target;
use tough::{Bytes, ExpirationEnforcement, RepositoryLoader, TargetName};
use url::Url;

use crate::disk::{Disk, Folder};
use crate::error::{Error, whole};
use crate::slots::{Offer, Permit, Slots};
use crate::state::Installed;
use crate::transport::Reach;
use crate::trust::Trust;

/// Field of the timestamp's metadata: time of the publication.
pub(crate) const PUBLISHED: &str = "published";

/// Largest size in bytes of a file of metadata. A build takes about 300 bytes of the list.
const METADATA_BYTES: u64 = 1 << 20;

/// Source of builds.
#[derive(Clone, Debug)]
pub struct Source {
    /// Address of the folder with `metadata` and `targets`: `file://`, or `https://` with a
    /// certificate that the system trusts.
    pub url: Url,
    /// Root metadata that the device was shipped with.
    pub root: Vec<u8>,
    /// Behaviour if the time is not known.
    pub without_clock: WithoutClock,
    /// Limits of a build.
    pub limits: Limits,
    /// Longest time for a file from a server. A download that takes longer is resumed up to three
    /// times.
    pub patience: Duration,
}

/// Address of a repository, given as an address or as a folder, relative to `base`.
///
/// # Errors
/// [`Error::Repository`].
pub fn address(repository: &str, base: &Path) -> Result<Url, Error> {
    let found = if repository.contains("://") {
        Url::parse(repository).ok()
    } else {
        let folder = std::path::absolute(base.join(repository)).ok();
        folder.and_then(|folder| Url::from_directory_path(folder).ok())
    };
    // Signatures are verified whatever the transport.
    let reached = |url: &Url| matches!(url.scheme(), "file" | "http" | "https");
    found.filter(reached).ok_or_else(|| Error::Repository {
        repository: repository.to_owned(),
        reason: "expected a folder, file:///folder or https://server/folder".into(),
    })
}

/// Behaviour if the time is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutClock {
    /// Refuse the update: an attacker who can change the clock cannot show an old repository.
    #[default]
    Refuse,
    /// Ignore expiry, for devices that get updates from a USB stick only. An attacker with an old
    /// stick can keep them on their present build, but cannot bring them back to an older one.
    IgnoreExpiry,
}

/// A device's view of a repository.
pub struct Client {
    source: Source,
    folder: Folder,
    runtime: Runtime,
}

/// Verified list of the builds in a repository.
pub struct Listing<'a> {
    client: &'a Client,
    repository: tough::Repository,
    offers: Vec<(TargetName, Offer)>,
    /// Folder in which tough keeps its memory.
    _work: TempDir,
}

impl Client {
    /// Creates a client that reads `source` and keeps its memory in `folder`. One process at a time
    /// can do so.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(source: Source, folder: &Path) -> Result<Self, Error> {
        let runtime = runtime()?;
        let folder = Folder::open(folder).map_err(Error::io(folder))?;
        Ok(Self { source, folder, runtime })
    }

    /// Reads the list of builds and verifies it.
    ///
    /// # Errors
    /// [`Error::Repository`], [`Error::Target`], [`Error::Clock`], [`Error::Trust`],
    /// [`Error::NewerFormat`], [`Error::Io`].
    pub fn look(&mut self) -> Result<Listing<'_>, Error> {
        let mut trust = Trust::read(&self.folder)?;
        let before = trust.clone();
        let now = Timestamp::now();
        let expiry = self.expiry(now, trust.known)?;
        let work = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?;
        trust.unpack(work.path())?;
        let loaded = self.load(&trust.root(&self.source.root), work.path(), expiry);
        // Even if the repository is refused, a part of its metadata may have been verified.
        trust.take(work.path())?;
        let seen = loaded.map(|repository| (published(&repository), repository));
        if let Ok((published, _)) = &seen {
            // With a clock that is ahead, everything would have expired.
            let clock = (expiry == ExpirationEnforcement::Safe).then_some(now);
            trust.known = trust.known.max(*published).max(clock);
        }
        if trust != before {
            trust.write(&mut self.folder)?;
        }
        let (published, repository) = seen?;
        self.expiry(now, published)?;
        let offers = self.offers(&repository)?;
        Ok(Listing { client: self, repository, offers, _work: work })
    }

    /// Decides whether expired metadata is refused.
    fn expiry(
        &self,
        now: Timestamp,
        known: Option<Timestamp>,
    ) -> Result<ExpirationEnforcement, Error> {
        match (known.filter(|known| now < *known), self.source.without_clock) {
            (None, _) => Ok(ExpirationEnforcement::Safe),
            (Some(_), WithoutClock::IgnoreExpiry) => Ok(ExpirationEnforcement::Unsafe),
            (Some(known), WithoutClock::Refuse) => {
                Err(Error::Clock { now: now.to_string(), known: known.to_string() })
            }
        }
    }

    fn load(
        &self,
        root: &[u8],
        work: &Path,
        expiry: ExpirationEnforcement,
    ) -> Result<tough::Repository, Error> {
        let url = &self.source.url;
        let limits = tough::Limits {
            max_root_size: METADATA_BYTES,
            max_targets_size: METADATA_BYTES,
            max_timestamp_size: METADATA_BYTES,
            max_snapshot_size: METADATA_BYTES,
            ..tough::Limits::default()
        };
        let loader = RepositoryLoader::new(&root, part(url, "metadata")?, part(url, "targets")?)
            .transport(Reach::new(self.source.patience))
            .limits(limits)
            .datastore(work)
            .expiration_enforcement(expiry);
        self.runtime.block_on(loader.load()).map_err(Error::repository(url))
    }

    fn offers(&self, repository: &tough::Repository) -> Result<Vec<(TargetName, Offer)>, Error> {
        let targets = repository.targets().signed.targets.iter();
        let offers = targets.map(|(name, target)| {
            let offer = offer(name, target, &self.source.limits);
            let refused = |reason| Error::Target {
                repository: self.source.url.to_string(),
                target: name.raw().to_owned(),
                reason,
            };
            Ok((name.clone(), offer.map_err(refused)?))
        });
        let mut offers = offers.collect::<Result<Vec<_>, Error>>()?;
        offers.sort_by(|(_, a), (_, b)| {
            (&a.build.name, &a.build.version).cmp(&(&b.build.name, &b.build.version))
        });
        Ok(offers)
    }
}

impl Listing<'_> {
    /// All builds, sorted by name and version.
    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.offers.iter().map(|(_, offer)| offer)
    }

    /// Finds the build of that name and version, or the newest of that name.
    ///
    /// # Errors
    /// [`Error::NotOffered`].
    pub fn find(&self, name: &str, version: Option<&Version>) -> Result<&Offer, Error> {
        let wanted = |offer: &&Offer| {
            let build = &offer.build;
            build.name == name && version.is_none_or(|version| build.version == *version)
        };
        self.offers().filter(wanted).last().ok_or_else(|| Error::NotOffered {
            wanted: version.map_or(name.to_owned(), |version| format!("{name} {version}")),
            offered: self.offers().map(|offer| offer.build.to_string()).collect(),
        })
    }

    /// Downloads a build into the slot that is not in use. Its size and hash are verified, its file
    /// is read as a build, and then `accept` runs its acceptance test and returns the reason for a failure.
    ///
    /// # Errors
    /// As [`Slots::stage`].
    pub fn stage<D: Disk>(
        &self,
        offer: &Offer,
        slots: &mut Slots<D>,
        permit: Permit,
        accept: &mut dyn FnMut(&Path) -> Result<(), String>,
    ) -> Result<(), Error> {
        let url = &self.client.source.url;
        let target = self.offers.iter().find(|(_, listed)| listed == offer);
        let stream = match target {
            Some((name, _)) => self.client.runtime.block_on(self.repository.read_target(name)),
            None => Ok(None),
        };
        let Some(stream) = stream.map_err(Error::repository(url))? else {
            let reason = "the repository does not list it".to_owned();
            let target = offer.build.to_string();
            return Err(Error::Target { repository: url.to_string(), target, reason });
        };
        let (runtime, stream) = (&self.client.runtime, Box::pin(stream));
        let mut content = Download { runtime, stream, rest: Bytes::new() };
        slots.stage(offer, &mut content, permit, &mut |path| {
            check(path, &offer.build, &self.client.source.limits)?;
            accept(path)
        })
    }
}

/// Checks that the file is the build of its signed metadata.
fn check(path: &Path, signed: &Installed, limits: &Limits) -> Result<(), String> {
    let build = Build::read(path, limits).map_err(|error| error.to_string())?;
    let (name, version) = (&build.manifest().name, &build.manifest().version);
    if *name != signed.name || *version != signed.version.to_string() {
        return Err(format!("it is {name} {version}, signed as {signed}"));
    }
    Ok(())
}

/// Offer of a listed target; otherwise what is wrong with it.
fn offer(target: &TargetName, listed: &Target, limits: &Limits) -> Result<Offer, String> {
    let text = |key: &str| {
        let value = listed.custom.get(key).and_then(serde_json::Value::as_str);
        value.ok_or_else(|| format!("has no {key}"))
    };
    let name = text("name")?.to_owned();
    let version = text("version")?;
    let version = Version::parse(version).map_err(|error| format!("version {version}: {error}"))?;
    let expected = target_name(&name, &version)?;
    if target.raw() != expected {
        return Err(format!("is not named as its build is, expected {expected:?}"));
    }
    let (found, limit) = (listed.length, limits.build_bytes);
    if found > limit {
        return Err(format!("has {found} bytes, at most {limit} are accepted"));
    }
    let sha256 = hex::encode(listed.hashes.sha256.as_ref());
    Ok(Offer { build: Installed { name, version, sha256 }, bytes: found })
}

/// Name under which a repository lists a build.
///
/// # Errors
/// A message about the build's name.
pub(crate) fn target_name(name: &str, version: &Version) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(format!(
            "name is {name:?}, expected letters, digits and - _ . and none of these at its front"
        ));
    }
    Ok(format!("{name}-{version}.medsa"))
}

/// Time of the repository's publication, if its metadata has it.
fn published(repository: &tough::Repository) -> Option<Timestamp> {
    repository.timestamp().signed._extra.get(PUBLISHED)?.as_str()?.parse().ok()
}

/// Address of a folder of a repository.
pub(crate) fn part(repository: &Url, name: &str) -> Result<Url, Error> {
    let mut url = repository.clone();
    let failed = || Error::Repository {
        repository: repository.to_string(),
        reason: "cannot be a folder, expected as in https://server/builds".into(),
    };
    url.path_segments_mut().map_err(|()| failed())?.pop_if_empty().push(name);
    Ok(url)
}

pub(crate) fn runtime() -> Result<Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io(Path::new("asynchronous runtime")))
}

/// A stream as a blocking reader.
struct Download<'a, S> {
    runtime: &'a Runtime,
    stream: Pin<Box<S>>,
    rest: Bytes,
}

impl<S: Stream<Item = tough::error::Result<Bytes>>> Read for Download<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(error)) => return Err(io::Error::other(whole(&error))),
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
