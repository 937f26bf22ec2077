//! The network in use, which can be replaced while frames go on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use medsa_bundle::Manifest;
use medsa_wire::{Degradation, MAX_DEGRADATION};
use tokio::sync::watch;

/// What tells a build from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildIdentity {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: [u8; 32],
    /// Names of the structures that it was trained on.
    pub classes: Vec<String>,
}

impl fmt::Display for BuildIdentity {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.name, self.version)
    }
}

/// A network, and the build that it was made of.
pub struct Network<S> {
    /// What turns frames and prompts into masks.
    pub segmenter: S,
    /// What tells its build from others.
    pub build: Arc<BuildIdentity>,
    /// What its build says about itself; `None` of a stand-in, which has no build.
    pub manifest: Option<Manifest>,
}

/// Where the network in use is, and how much it is used. A frame is encoded and its prompts are
/// answered by the one that was there when its encoding began.
pub struct Slot<S>(Arc<Inner<S>>);

struct Inner<S> {
    choice: Mutex<Choice<S>>,
    current: watch::Sender<Arc<Network<S>>>,
    degradation: watch::Sender<Option<Degradation>>,
    /// Held by who computes with an encoder. Tokio's, because it is fair: of two who want it again
    /// and again, both get it.
    turn: tokio::sync::Mutex<()>,
}

/// What there is to choose from.
struct Choice<S> {
    whole: Arc<Network<S>>,
    smaller: Option<Arc<Network<S>>>,
}

/// The level of degradation from which on the smaller network is used.
const SMALLER_FROM: u8 = 2;

impl<S> Slot<S> {
    /// Begins with a network; `smaller` is one to fall back on.
    pub fn new(network: Network<S>, smaller: Option<Network<S>>) -> Self {
        let whole = Arc::new(network);
        Self(Arc::new(Inner {
            current: watch::Sender::new(whole.clone()),
            choice: Mutex::new(Choice { whole, smaller: smaller.map(Arc::new) }),
            degradation: watch::Sender::new(None),
            turn: tokio::sync::Mutex::new(()),
        }))
    }

    /// The network for a frame.
    pub fn current(&self) -> Arc<Network<S>> {
        self.0.current.borrow().clone()
    }

    /// The network that is used unless the device is degraded.
    pub fn whole(&self) -> Arc<Network<S>> {
        self.choice().whole.clone()
    }

    /// Puts another in the place of [`Slot::whole`], from the next frame on.
    pub fn replace(&self, network: Network<S>) {
        let mut choice = self.choice();
        choice.whole = Arc::new(network);
        self.choose(&choice);
    }

    /// Gives up as much as that, from the next frame on.
    pub fn degrade(&self, degradation: Option<Degradation>) {
        let choice = self.choice();
        self.0.degradation.send_replace(degradation);
        self.choose(&choice);
    }

    /// The network in use, for those who have to tell when it is another.
    pub fn changes(&self) -> watch::Receiver<Arc<Network<S>>> {
        self.0.current.subscribe()
    }

    /// What is given up.
    pub fn degradation(&self) -> watch::Receiver<Option<Degradation>> {
        self.0.degradation.subscribe()
    }

    /// Of how many frames that could be encoded live one is.
    pub fn one_of(&self) -> u32 {
        match self.level() {
            0 => 1,
            1..MAX_DEGRADATION => 2,
            _ => 4,
        }
    }

    /// Waits until no encoder runs, and keeps it so until what this returns is dropped. Not to be
    /// called on a thread of the asynchronous runtime.
    pub fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.turn.blocking_lock()
    }

    fn level(&self) -> u8 {
        self.0.degradation.borrow().map_or(0, |degradation| degradation.level)
    }

    fn choose(&self, choice: &Choice<S>) {
        let smaller = choice.smaller.as_ref().filter(|_| self.level() >= SMALLER_FROM);
        let chosen = smaller.unwrap_or(&choice.whole);
        self.0.current.send_if_modified(|current| {
            let another = !Arc::ptr_eq(current, chosen);
            *current = chosen.clone();
            another
        });
    }

    /// A panic elsewhere leaves it whole: its parts are only ever assigned.
    fn choice(&self) -> MutexGuard<'_, Choice<S>> {
        self.0.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
