//! Availability and description of a device: topics `availability` and `info`, both retained.

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::message::{Checked, check_range};
use crate::{Message, WireError};

/// Availability of the device. `Offline` is also the last will, so the broker publishes it if the
/// device cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Availability {
    /// The device disconnected, or its connection broke.
    Offline,
    /// The device is connected.
    Online,
}

impl Message for Availability {
    const NAME: &'static str = "availability";
    /// One byte each for version and variant.
    const MAX_ENCODED_LEN: usize = 1 + 1;
}

impl Checked for Availability {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

/// Software and build on the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Info {
    /// Name of the loaded adapter build.
    #[cfg_attr(feature = "schema", schemars(with = "str", length(max = 64)))]
    pub build_name: String<64>,
    /// Version of the build.
    #[cfg_attr(feature = "schema", schemars(with = "str", length(max = 32)))]
    pub build_version: String<32>,
    /// SHA-256 of the build file.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sha256"))]
    pub build_sha256: [u8; 32],
    /// Name of the board, as in `boards/<name>`.
    #[cfg_attr(feature = "schema", schemars(with = "str", length(max = 32)))]
    pub board: String<32>,
    /// Version of the edge service.
    #[cfg_attr(feature = "schema", schemars(with = "str", length(max = 32)))]
    pub edge_version: String<32>,
    /// Side of the network's square input in pixels, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub input_size_px: u16,
}

impl Message for Info {
    const NAME: &'static str = "info";
    /// Version; four texts with one length byte each (all shorter than 128); hash; varint(u16).
    const MAX_ENCODED_LEN: usize = 1 + (1 + 64) + (1 + 32) + 32 + (1 + 32) + (1 + 32) + 3;
}

impl Checked for Info {
    fn check(&self) -> Result<(), WireError> {
        check_range("info.input_size_px", self.input_size_px, 1u8, u16::MAX)
    }
}
