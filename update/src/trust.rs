//! What a device remembers of the repository, so that it is never shown an older one.
//!
//! tough keeps this in a folder of files that it overwrites in place, and does not mind one that is
//! damaged: after a power cut it could be without its memory. So tough gets a copy in a temporary
//! folder, and what it leaves there is kept as one file that is replaced as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tough::schema::{Root, Signed};

use crate::disk::{Disk, Folder};
use crate::error::Error;
use crate::sealed::{replace, seal, unseal};

const TRUST: &str = "trust.json";
const NEW_TRUST: &str = "trust.new";

/// Metadata that was verified; delegations are not used.
const METADATA: [&str; 4] = [ROOT, "timestamp.json", "snapshot.json", "targets.json"];
const ROOT: &str = "root.json";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trust {
    /// The latest time that is known to have been.
    pub known: Option<Timestamp>,
    /// The latest metadata that was verified, by name of the file.
    pub metadata: BTreeMap<String, String>,
}

impl Trust {
    pub fn read(disk: &Folder) -> Result<Self, Error> {
        let path = disk.path(TRUST);
        let mut bytes = Vec::new();
        match disk.open(TRUST).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => unseal(&bytes).map_err(|reason| Error::Trust { path, reason }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    pub fn write(&self, disk: &mut Folder) -> Result<(), Error> {
        replace(disk, TRUST, NEW_TRUST, &seal(self))
    }

    /// The root to begin with: the one that was seen last, unless the device came with a later
    /// one. To begin with an early one each time would let tough forget at each key rotation in
    /// between what it has seen since.
    pub fn root(&self, shipped: &[u8]) -> Vec<u8> {
        let version = |root: &[u8]| {
            serde_json::from_slice::<Signed<Root>>(root).ok().map(|root| root.signed.version)
        };
        match self.metadata.get(ROOT) {
            Some(seen) if version(seen.as_bytes()) > version(shipped) => seen.clone().into_bytes(),
            _ => shipped.to_owned(),
        }
    }

    /// Puts the metadata where tough looks for it.
    pub fn unpack(&self, folder: &Path) -> Result<(), Error> {
        for (name, text) in self.metadata.iter().filter(|(name, _)| METADATA.contains(&&***name)) {
            let path = folder.join(name);
            fs::write(&path, text).map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// Takes over what tough has verified, and what it has found to be no longer of use.
    pub fn take(&mut self, folder: &Path) -> Result<(), Error> {
        self.metadata.clear();
        for name in METADATA {
            let path = folder.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => drop(self.metadata.insert(name.to_owned(), text)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Io { path, source }),
            }
        }
        Ok(())
    }
}
