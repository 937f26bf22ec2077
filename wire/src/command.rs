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
