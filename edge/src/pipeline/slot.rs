//! The network in use, which can be replaced while frames are segmented.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use medsa_bundle::Manifest;
use medsa_wire::{Degradation, MAX_DEGRADATION};
use tokio::sync::watch;

/// Identity of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildIdentity {
    /// Name of the build.
    pub name: String,
    /// Version of the build.
    pub version: String,
    /// SHA-256 of the build file.
    pub sha256: [u8; 32],
    /// Names of the structures that the build was trained on.
    pub classes: Vec<String>,
}

impl fmt::Display for BuildIdentity {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.name, self.version)
    }
}

/// A network and the build that it comes from.
pub struct Network<S> {
    /// Converts frames and prompts to masks.
    pub segmenter: S,
    /// Identity of the build.
    pub build: Arc<BuildIdentity>,
    /// Manifest of the build; `None` for a stand-in in tests.
    pub manifest: Option<Manifest>,
}

/// The network in use and its degradation. Each frame is encoded and decoded by the network that
/// was in use when its encoding began.
pub struct Slot<S>(Arc<Inner<S>>);

struct Inner<S> {
    choice: Mutex<Choice<S>>,
    current: watch::Sender<Arc<Network<S>>>,
    degradation: watch::Sender<Option<Degradation>>,
    /// Held while an encoder runs. The Tokio mutex is fair, so the pipeline and an acceptance test
    /// take turns.
    turn: tokio::sync::Mutex<()>,
}

/// Available networks.
struct Choice<S> {
    primary: Arc<Network<S>>,
    role: Role,
    smaller: Option<Arc<Network<S>>>,
}

/// Role of a build on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The main build. The smaller network stands in for it while the device is degraded.
    Main,
    /// A further build, for another task. No other network stands in for it.
    Other,
}

/// Degradation level from which the smaller network is used.
const SMALLER_FROM: u8 = 2;

impl<S> Slot<S> {
    /// Starts with `network` as the main one; `smaller` is used from degradation level 2.
    pub fn new(network: Network<S>, smaller: Option<Network<S>>) -> Self {
        let primary = Arc::new(network);
        Self(Arc::new(Inner {
            current: watch::Sender::new(primary.clone()),
            choice: Mutex::new(Choice {
                primary,
                role: Role::Main,
                smaller: smaller.map(Arc::new),
            }),
            degradation: watch::Sender::new(None),
            turn: tokio::sync::Mutex::new(()),
        }))
    }

    /// The network in use, for the next frame.
    pub fn current(&self) -> Arc<Network<S>> {
        self.0.current.borrow().clone()
    }

    /// The network that is used unless the device is degraded.
    pub fn primary(&self) -> Arc<Network<S>> {
        self.choice().primary.clone()
    }

    /// Replaces [`Slot::primary`], from the next frame on.
    pub fn replace(&self, network: Arc<Network<S>>, role: Role) {
        let mut choice = self.choice();
        choice.primary = network;
        choice.role = role;
        self.choose(&choice);
    }

    /// Sets the degradation, from the next frame on.
    pub fn degrade(&self, degradation: Option<Degradation>) {
        let choice = self.choice();
        self.0.degradation.send_replace(degradation);
        self.choose(&choice);
    }

    /// Subscribes to the network in use.
    pub fn changes(&self) -> watch::Receiver<Arc<Network<S>>> {
        self.0.current.subscribe()
    }

    /// Subscribes to the degradation.
    pub fn degradation(&self) -> watch::Receiver<Option<Degradation>> {
        self.0.degradation.subscribe()
    }

    /// Encode one of every N eligible live frames: 1, 2 or 4.
    pub fn encode_every(&self) -> u32 {
        match self.level() {
            0 => 1,
            1..MAX_DEGRADATION => 2,
            _ => 4,
        }
    }

    /// Waits until no encoder runs, and blocks other encoders until the returned guard is
    /// dropped. Must not be called on a thread of the asynchronous runtime.
    pub fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.turn.blocking_lock()
    }

    fn level(&self) -> u8 {
        self.0.degradation.borrow().map_or(0, |degradation| degradation.level)
    }

    fn choose(&self, choice: &Choice<S>) {
        let stands_in = choice.role == Role::Main && self.level() >= SMALLER_FROM;
        let smaller = choice.smaller.as_ref().filter(|_| stands_in);
        let chosen = smaller.unwrap_or(&choice.primary);
        self.0.current.send_if_modified(|current| {
            let another = !Arc::ptr_eq(current, chosen);
            *current = chosen.clone();
            another
        });
    }

    /// A panic elsewhere cannot leave it inconsistent, because its parts are only assigned.
    fn choice(&self) -> MutexGuard<'_, Choice<S>> {
        self.0.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use medsa_wire::Cause;

    use super::*;

    #[test]
    fn smaller_network_stands_in_for_the_main_build_only() {
        let network = |segmenter| Network { segmenter, build: Arc::default(), manifest: None };
        let slot = Slot::new(network("main"), Some(network("smaller")));
        slot.degrade(Some(Degradation { level: 2, cause: Cause::Heat }));
        let main = slot.primary();
        assert_eq!(slot.current().segmenter, "smaller");
        slot.replace(Arc::new(network("other")), Role::Other);
        assert_eq!(slot.current().segmenter, "other");
        slot.replace(main, Role::Main);
        assert_eq!(slot.current().segmenter, "smaller");
        slot.degrade(None);
        assert_eq!(slot.current().segmenter, "main");
    }
}
