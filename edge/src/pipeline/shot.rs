//! The newest segmented frame, for those who want to keep it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use medsa_sam::prompt::Prompt;

use super::following::Seen;
use super::object::Shown;
use super::slot::BuildIdentity;

/// A frame and what the network found on it.
#[derive(Clone)]
pub struct Shot {
    /// The frame.
    pub seen: Arc<Seen>,
    /// What was found, by number.
    pub objects: BTreeMap<u8, ShotObject>,
    /// The build of the network that found it.
    pub build: Arc<BuildIdentity>,
}

/// An object on a frame.
#[derive(Clone)]
pub struct ShotObject {
    /// What the network was asked, in pixels of the frame.
    pub prompt: Prompt,
    /// What it answered, smoothed.
    pub shown: Shown,
}

/// Where the newest shot is.
#[derive(Clone, Default)]
pub struct Newest(Arc<Mutex<Option<Arc<Shot>>>>);

impl Newest {
    /// The newest shot; `None` before the first frame was segmented.
    pub fn shot(&self) -> Option<Arc<Shot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, shot: Shot) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shot));
    }
}
