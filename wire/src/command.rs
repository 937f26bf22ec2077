//! Commands to the device: topic `command`.

use serde::{Deserialize, Serialize};

use crate::message::Checked;
use crate::{Message, WireError};

/// A command to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Command {
    /// Stop segmenting: the device drops frames and publishes no masks. Prompts are kept.
    Pause,
    /// Resume segmenting, with the current prompts.
    Resume,
    /// Keep the current frame: the device segments it for prompts and drops new frames.
    Freeze,
    /// Resume with new frames.
    Unfreeze,
    /// Keep a record of the newest segmented frame: its pixels, masks and prompts.
    Capture,
    /// Read the build again, and switch to it if it passes its acceptance test.
    Reload,
    /// Look for a newer build, and switch to it if it passes its acceptance test.
    Update,
    /// Switch to the build in the other slot if it passes its acceptance test.
    SwitchBuild,
}

impl Message for Command {
    const NAME: &'static str = "command";
    /// One byte each for version and variant.
    const MAX_ENCODED_LEN: usize = 1 + 1;
}

impl Checked for Command {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}
