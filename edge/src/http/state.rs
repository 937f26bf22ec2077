//! State that the guarded handlers share.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::guard::Guard;
use super::users::Users;
use crate::config::IntendedUse;
use crate::port::{Cine, Control, FollowedFrame, NewestMasks, Observer, Recent};

/// Control of the service, and frames and masks for the page.
#[derive(Clone)]
pub(crate) struct Controls {
    /// Applies prompts and commands.
    pub control: Arc<Control>,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// The newest frame.
    pub frames: watch::Receiver<Option<Arc<FollowedFrame>>>,
    /// Frames of the last seconds.
    pub recent: Recent,
    /// The cine buffer.
    pub cine: Cine,
    /// The newest masks.
    pub masks: watch::Receiver<NewestMasks>,
}

/// State of guarded handlers.
pub(super) struct Guarded {
    pub controls: Controls,
    pub guard: Arc<Guard>,
    pub observer: Observer,
    pub intended_use: IntendedUse,
    /// Users and their sessions; `None` if the page knows no users.
    pub users: Option<Arc<Users>>,
    /// Permits for clients of `/live`.
    pub viewers: Arc<Semaphore>,
}
