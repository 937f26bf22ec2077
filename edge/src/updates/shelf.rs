//! The builds of the device: those that can be chosen, the one in use, and those kept in memory, so
//! that a switch to them takes no time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use medsa_bundle::Manifest;
use medsa_engine::Engine;
use tokio::sync::watch;

use crate::port::{BuildIdentity, Network, OfferedBuild};

/// Name of the build at `build.path`.
pub(crate) const MAIN: &str = "main";

/// Memory that a loaded network takes for each byte of its models, at most: 5.6 were measured for
/// LiteMedSAM in int8 at 128 px, 4.5 in float at 256 px.
const MEMORY_PER_BYTE: u64 = 6;

/// SHA-256 of a build file.
type Sha256 = [u8; 32];

/// The builds of the device.
pub(super) struct Shelf {
    /// Memory for kept networks, in bytes.
    keep_bytes: u64,
    content: Mutex<Content>,
    offered: watch::Sender<Vec<OfferedBuild>>,
}

struct Content {
    builds: BTreeMap<String, Entry>,
    in_use: String,
    /// Builds that passed their acceptance test since the start.
    passed: BTreeSet<Sha256>,
    /// Loaded networks that are not in use, the last used one at the end.
    kept: Vec<Arc<Network<Engine>>>,
}

/// A build that can be chosen.
#[derive(Default)]
struct Entry {
    /// Known once the build was checked or used.
    build: Option<Arc<BuildIdentity>>,
    unavailable: Option<String>,
}

impl Shelf {
    /// Holds the build in use, by its name, and the main one.
    pub fn new(keep_bytes: u64, in_use: &str, build: Arc<BuildIdentity>) -> Self {
        let used = Entry { build: Some(build), unavailable: None };
        let mut builds = BTreeMap::from([(MAIN.to_owned(), Entry::default())]);
        builds.insert(in_use.to_owned(), used);
        let (passed, kept) = (BTreeSet::new(), Vec::new());
        let content = Content { builds, in_use: in_use.to_owned(), passed, kept };
        let offered = watch::Sender::new(content.offered());
        Self { keep_bytes, content: Mutex::new(content), offered }
    }

    /// Subscribes to the builds that can be chosen; none if there is only one.
    pub fn offered(&self) -> watch::Receiver<Vec<OfferedBuild>> {
        self.offered.subscribe()
    }

    /// Replaces the names of the builds beside the main one and the one in use. What is known of
    /// builds whose names stay is kept, except that they are not available.
    pub fn list(&self, names: Vec<String>) {
        self.change(|content| {
            let stays = |name: &String| *name == MAIN || *name == content.in_use;
            content.builds.retain(|name, _| stays(name) || names.contains(name));
            for name in names {
                content.builds.entry(name).or_default().unavailable = None;
            }
        });
    }

    /// Names of the builds, the main one first.
    pub fn names(&self) -> Vec<String> {
        self.content().offers().into_iter().map(|build| build.name).collect()
    }

    /// A build by its name.
    pub fn get(&self, name: &str) -> Option<OfferedBuild> {
        self.content().offers().into_iter().find(|build| build.name == name)
    }

    /// Name of the build in use.
    pub fn in_use(&self) -> String {
        self.content().in_use.clone()
    }

    /// True for the name of the build in use.
    pub fn is_in_use(&self, name: &str) -> bool {
        self.content().in_use == name
    }

    /// SHA-256 of the main build; `None` until it is checked or used.
    pub fn main(&self) -> Option<Sha256> {
        Some(self.content().builds.get(MAIN)?.build.as_ref()?.sha256)
    }

    /// The kept network of a build file.
    pub fn kept(&self, sha256: &Sha256) -> Option<Arc<Network<Engine>>> {
        self.content().kept.iter().find(|network| network.build.sha256 == *sha256).cloned()
    }

    /// True for a build that passed its acceptance test.
    pub fn has_passed(&self, sha256: &Sha256) -> bool {
        self.content().passed.contains(sha256)
    }

    /// Notes that a build passed its acceptance test.
    pub fn pass(&self, sha256: Sha256) {
        self.content().passed.insert(sha256);
    }

    /// Notes that a build cannot be used. The one in use goes on.
    pub fn refuse(&self, name: &str, reason: &str) {
        self.change(|content| {
            if let Some(entry) = content.builds.get_mut(name).filter(|_| content.in_use != name) {
                entry.unavailable = Some(reason.to_owned());
            }
        });
    }

    /// Notes that `network` of the build `name` is in use instead of `before`, which is kept.
    pub fn put_to_use(
        &self,
        name: &str,
        network: &Arc<Network<Engine>>,
        before: Arc<Network<Engine>>,
    ) {
        self.change(|content| {
            name.clone_into(&mut content.in_use);
            content.know(name, network);
            content.kept.push(before);
            content.kept.retain(|kept| !Arc::ptr_eq(kept, network));
            content.trim(self.keep_bytes);
        });
    }

    /// Notes that the build `name` can be used, and keeps its network if there is room.
    pub fn put_aside(&self, name: &str, network: Arc<Network<Engine>>) {
        self.change(|content| {
            content.know(name, &network);
            content.kept.retain(|kept| kept.build.sha256 != network.build.sha256);
            content.trim(self.keep_bytes);
            if memory(&content.kept) + memory(std::slice::from_ref(&network)) <= self.keep_bytes {
                content.kept.insert(0, network);
            }
        });
    }

    /// Changes the content and reports what can be chosen then.
    fn change(&self, change: impl FnOnce(&mut Content)) {
        let mut content = self.content();
        change(&mut content);
        let offered = content.offered();
        self.offered.send_if_modified(|now| std::mem::replace(now, offered.clone()) != offered);
    }

    /// A panic elsewhere leaves at worst a network that is not kept.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// Builds to report: none if there is only one.
    fn offered(&self) -> Vec<OfferedBuild> {
        if self.builds.len() > 1 { self.offers() } else { Vec::new() }
    }

    /// All builds, the main one first.
    fn offers(&self) -> Vec<OfferedBuild> {
        let offer = |(name, Entry { build, unavailable }): (&String, &Entry)| OfferedBuild {
            name: name.clone(),
            in_use: *name == self.in_use,
            build: build.as_ref().map(|build| build.to_string()),
            classes: build.as_ref().map(|build| build.classes.clone()).unwrap_or_default(),
            unavailable: unavailable.clone(),
        };
        let mut offers: Vec<_> = self.builds.iter().map(offer).collect();
        offers.sort_by_key(|offer| offer.name != MAIN);
        offers
    }

    /// Notes the identity of a build that can be used.
    fn know(&mut self, name: &str, network: &Network<Engine>) {
        let entry = self.builds.entry(name.to_owned()).or_default();
        *entry = Entry { build: Some(network.build.clone()), unavailable: None };
    }

    /// Drops kept networks that no build has any more, and the least recently used ones until the
    /// others fit.
    fn trim(&mut self, keep_bytes: u64) {
        let known = self.builds.values().filter_map(|entry| entry.build.as_ref());
        let known: BTreeSet<_> = known.map(|build| build.sha256).collect();
        self.kept.retain(|network| known.contains(&network.build.sha256));
        while memory(&self.kept) > keep_bytes {
            self.kept.remove(0);
        }
    }
}

/// Memory of loaded networks, in bytes, by the sizes of their models.
fn memory(networks: &[Arc<Network<Engine>>]) -> u64 {
    let models = |manifest: &Manifest| -> u64 {
        let file = |name| manifest.files.get(name).map_or(0, |entry| entry.bytes);
        file(Manifest::ENCODER) + file(Manifest::DECODER)
    };
    let each = networks.iter().filter_map(|network| network.manifest.as_ref());
    each.map(|manifest| MEMORY_PER_BYTE * models(manifest)).sum()
}
