//! The network in use, which can be replaced while frames go on.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, watch};

use crate::records::BuildIdentity;

/// A network, and the build that it was made of.
pub struct Network<S> {
    /// What turns frames and prompts into masks.
    pub segmenter: S,
    /// What tells its build from others.
    pub build: Arc<BuildIdentity>,
}

/// Where the network in use is. A frame is encoded and its prompts are answered by the one that
/// was there when its encoding began.
pub struct Slot<S>(Arc<Inner<S>>);

struct Inner<S> {
    network: watch::Sender<Arc<Network<S>>>,
    /// Held by who computes with an encoder. Tokio's, because it is fair: of two who want it again
    /// and again, both get it.
    turn: Mutex<()>,
}

impl<S> Slot<S> {
    /// Begins with a network.
    pub fn new(network: Network<S>) -> Self {
        let network = watch::Sender::new(Arc::new(network));
        Self(Arc::new(Inner { network, turn: Mutex::new(()) }))
    }

    /// The network for a frame.
    pub fn current(&self) -> Arc<Network<S>> {
        self.0.network.borrow().clone()
    }

    /// Uses another from the next frame on.
    pub fn replace(&self, network: Network<S>) {
        self.0.network.send_replace(Arc::new(network));
    }

    /// The network in use, for those who have to tell when it is another.
    pub fn changes(&self) -> watch::Receiver<Arc<Network<S>>> {
        self.0.network.subscribe()
    }

    /// Waits until no encoder runs, and keeps it so until what this returns is dropped. Not to be
    /// called on a thread of the asynchronous runtime.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.blocking_lock()
    }
}

impl<S> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
