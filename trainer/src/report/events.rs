//! Event files of TensorBoard: records of scalars over steps.
//!
//! A record is the length of its data as u64, a checksum of these eight bytes, the data, and a
//! checksum of the data, in little-endian order. The data is a message of Protocol Buffers.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

/// An event file that is being written.
pub struct EventFile {
    file: File,
    is_empty: bool,
}

impl EventFile {
    /// Creates the file, replacing an earlier one. TensorBoard finds files whose names contain
    /// `tfevents`.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, is_empty: true })
    }

    /// Appends the values of one step, each with its tag. Tags with the same text before their first
    /// slash are shown together. `unix_s` is the time in seconds. Values are stored with 32 bits.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(
        &mut self,
        unix_s: f64,
        step: usize,
        values: impl IntoIterator<Item = (String, f64)>,
    ) -> io::Result<()> {
        if self.is_empty {
            // The time of the first record is the start of the run.
            let file_version = Some("brain.Event:2".to_owned());
            self.write(&Event { wall_time: unix_s, step: 0, file_version, summary: None })?;
            self.is_empty = false;
        }
        let values = values.into_iter();
        let values = values.map(|(tag, value)| Value { tag, simple_value: value as f32 }).collect();
        let summary = Some(Summary { values });
        self.write(&Event { wall_time: unix_s, step: step as i64, file_version: None, summary })
    }

    /// Appends a record with a single write, so that readers of a growing file see whole records.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let checksums = [&length[..], &data].map(|bytes| masked_checksum(bytes).to_le_bytes());
        self.file.write_all(&[&length[..], &checksums[0], &data, &checksums[1]].concat())
    }
}

/// CRC-32C, rotated and shifted by a constant, so that data that contains checksums can itself be
/// protected by one.
fn masked_checksum(bytes: &[u8]) -> u32 {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

// The parts that are used of TensorFlow's messages `Event`, `Summary` and `Summary.Value`.

#[derive(Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}
