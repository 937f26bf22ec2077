//! The newest segmented frame, for captures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use medsa_sam::prompt::Prompt;

use super::following::FollowedFrame;
use super::object::Shown;
use super::slot::BuildIdentity;

/// A frame and the masks found on it.
#[derive(Clone)]
pub struct Shot {
    /// The followed frame.
    pub seen: Arc<FollowedFrame>,
    /// Objects found, by number.
    pub objects: BTreeMap<u8, ShotObject>,
    /// Build of the network that segmented it.
    pub build: Arc<BuildIdentity>,
}

/// An object on a segmented frame.
#[derive(Clone)]
pub struct ShotObject {
    /// Prompt given to the network, in pixels of the frame.
    pub prompt: Prompt,
    /// Mask, as published.
    pub shown: Shown,
}

/// Holder of the newest shot.
#[derive(Clone, Default)]
pub struct Newest(Arc<Mutex<Option<Arc<Shot>>>>);

impl Newest {
    /// The newest shot; `None` before the first frame is segmented.
    pub fn shot(&self) -> Option<Arc<Shot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, shot: Shot) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shot));
    }
}
