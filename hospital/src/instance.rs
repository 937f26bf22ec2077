//! Instances to send, read from files.

use std::path::{Path, PathBuf};

use dicom_object::{FileMetaTable, InMemDicomObject};
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};

use crate::association::causes;
use crate::{Error, IMPLICIT_VR};

/// Explicit VR little endian: can be written in the transfer syntax that every peer accepts.
const EXPLICIT_VR: &str = "1.2.840.10008.1.2.1";

/// Length of the preamble in bytes; `DICM` follows.
const PREAMBLE_BYTES: usize = 128;

/// A DICOM file.
#[derive(Debug)]
pub struct Instance {
    path: PathBuf,
    class: String,
    uid: String,
    transfer_syntax: String,
    /// The file.
    bytes: Vec<u8>,
    /// Position of the data set in it.
    start: usize,
}

impl Instance {
    /// Reads a file of this device. It is trusted: files of others may take memory out of proportion.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |reason: String| Error::File { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let mut rest = bytes.get(PREAMBLE_BYTES..).unwrap_or_default();
        let meta = FileMetaTable::from_reader(&mut rest).map_err(|error| failed(causes(&error)))?;
        let trimmed = |uid: &str| uid.trim_end_matches(['\0', ' ']).to_owned();
        Ok(Self {
            path: path.to_owned(),
            class: trimmed(&meta.media_storage_sop_class_uid),
            uid: trimmed(&meta.media_storage_sop_instance_uid),
            transfer_syntax: trimmed(&meta.transfer_syntax),
            start: bytes.len() - rest.len(),
            bytes,
        })
    }

    /// UID of its SOP class.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// UID of the instance.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Transfer syntaxes in which it can be sent, its own first.
    pub(crate) fn transfer_syntaxes(&self) -> Vec<&str> {
        let own = self.transfer_syntax.as_str();
        if own == EXPLICIT_VR { vec![own, IMPLICIT_VR] } else { vec![own] }
    }

    /// The data set in one of these transfer syntaxes; in its own, the bytes of the file.
    pub(crate) fn data_set(&self, transfer_syntax: &str) -> Result<Vec<u8>, Error> {
        let data_set = &self.bytes[self.start..];
        if transfer_syntax == self.transfer_syntax {
            return Ok(data_set.to_vec());
        }
        let failed = |reason| Error::File { path: self.path.clone(), reason };
        let explicit = EXPLICIT_VR_LITTLE_ENDIAN.erased();
        let object = InMemDicomObject::read_dataset_with_ts(data_set, &explicit)
            .map_err(|error| failed(causes(&error)))?;
        let mut bytes = Vec::new();
        object
            .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
            .map_err(|error| failed(causes(&error)))?;
        Ok(bytes)
    }
}
