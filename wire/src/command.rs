//! Orders to the device: topic `command`.

use serde::{Deserialize, Serialize};

use crate::message::Checked;
use crate::{Message, WireError};

/// An order to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Stop segmenting: frames are dropped and no masks leave. Prompts stay.
    Pause,
    /// Segment again, with the prompts that are set.
    Resume,
    /// Keep the frame that is there: prompts are answered on it, and new frames are dropped.
    Freeze,
    /// Go on with new frames.
    Unfreeze,
    /// Keep a record of the newest segmented frame: its pixels, masks and prompts.
    Capture,
    /// Read the build again, and go over to it when it has proved itself.
    Reload,
    /// Look for a newer build, and go over to it when it has proved itself.
    Update,
    /// Go over to the build in the other slot when it has proved itself.
    SwitchBuild,
}

impl Message for Command {
    const NAME: &'static str = "command";
    /// Version and variant.
    const MAX_ENCODED_LEN: usize = 1 + 1;
}

impl Checked for Command {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}
