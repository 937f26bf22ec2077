//! Instances to send, read from files.

use std::path::{Path, PathBuf};

use dicom_object::{DefaultDicomObject, OpenFileOptions};
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;

use crate::{Error, IMPLICIT_VR};

/// Explicit VR little endian: can be written in the transfer syntax that every peer accepts.
const EXPLICIT_VR: &str = "1.2.840.10008.1.2.1";

/// A DICOM file.
#[derive(Debug)]
pub struct Instance {
    path: PathBuf,
    class: String,
    uid: String,
    transfer_syntax: String,
    object: DefaultDicomObject,
}

impl Instance {
    /// Reads a file of this device. It is trusted: files of others may take memory out of proportion.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |reason: String| Error::File { path: path.to_owned(), reason };
        let object = OpenFileOptions::new().open_file(path);
        let object = object.map_err(|error| failed(crate::association::causes(&error)))?;
        let meta = object.meta();
        let trimmed = |uid: &str| uid.trim_end_matches(['\0', ' ']).to_owned();
        Ok(Self {
            path: path.to_owned(),
            class: trimmed(&meta.media_storage_sop_class_uid),
            uid: trimmed(&meta.media_storage_sop_instance_uid),
            transfer_syntax: trimmed(&meta.transfer_syntax),
            object,
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

    /// Transfer syntaxes in which it can be sent, its own first.
    pub(crate) fn transfer_syntaxes(&self) -> Vec<&str> {
        let own = self.transfer_syntax.as_str();
        if own == EXPLICIT_VR { vec![own, IMPLICIT_VR] } else { vec![own] }
    }

    /// The data set in one of these transfer syntaxes.
    pub(crate) fn data_set(&self, transfer_syntax: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let written = if transfer_syntax == self.transfer_syntax {
            self.object.write_dataset(&mut bytes)
        } else {
            let implicit = IMPLICIT_VR_LITTLE_ENDIAN.erased();
            self.object.write_dataset_with_ts(&mut bytes, &implicit)
        };
        written.map_err(|error| Error::File {
            path: self.path.clone(),
            reason: crate::association::causes(&error),
        })?;
        Ok(bytes)
    }
}
