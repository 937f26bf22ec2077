//! Memory of the repository: what a device has verified, so that it never accepts an older state.
//!
//! tough keeps its memory in a folder of files that it overwrites in place, and ignores a damaged
//! one: a power cut could erase it. So tough gets a copy in a temporary folder, and what it leaves
//! there is kept as one file that is replaced as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tough::schema::{Root, Signed};

use crate::disk::Folder;
use crate::durable::{Durable, Unknown};
use crate::error::Error;

const TRUST: Durable = Durable {
    name: "trust.json",
    unfinished: "trust.new",
    // Format 1 is format 0 with the number.
    migrations: &[|_| ()],
    damaged: |path, reason| Error::Trust { path, reason },
    otherwise: "remove the file; the device then trusts the root that it was shipped with, and \
                could be shown an older repository than it has seen",
};

/// Files of verified metadata. Delegations are not used.
const METADATA: [&str; 4] = [ROOT, "timestamp.json", "snapshot.json", "targets.json"];
const ROOT: &str = "root.json";

/// Memory of the repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trust {
    /// The latest point in time that has certainly passed.
    pub known: Option<Timestamp>,
    /// The latest verified metadata, by name of its file.
    pub metadata: BTreeMap<String, String>,
    /// Fields that a newer program has added.
    #[serde(flatten)]
    unknown: Unknown,
}

impl Trust {
    pub fn read(disk: &Folder) -> Result<Self, Error> {
        Ok(TRUST.read(disk)?.unwrap_or_default())
    }

    pub fn write(&self, disk: &mut Folder) -> Result<(), Error> {
        TRUST.write(disk, self)
    }

    /// Root to begin with: the last one seen, unless the device was shipped with a later one. tough
    /// forgets what it has seen at each key rotation that it goes through, so an earlier root would
    /// erase its memory.
    pub fn root(&self, shipped: &[u8]) -> Vec<u8> {
        let version = |root: &[u8]| {
            serde_json::from_slice::<Signed<Root>>(root).ok().map(|root| root.signed.version)
        };
        match self.metadata.get(ROOT) {
            Some(seen) if version(seen.as_bytes()) > version(shipped) => seen.clone().into_bytes(),
            _ => shipped.to_owned(),
        }
    }

    /// Writes the metadata to the folder in which tough looks for it.
    pub fn unpack(&self, folder: &Path) -> Result<(), Error> {
        for (name, text) in self.metadata.iter().filter(|(name, _)| METADATA.contains(&&***name)) {
            let path = folder.join(name);
            fs::write(&path, text).map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// Takes over what tough has verified, and drops what it has found to be obsolete.
    pub fn take(&mut self, folder: &Path) -> Result<(), Error> {
        for name in METADATA {
            let path = folder.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => drop(self.metadata.insert(name.to_owned(), text)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.metadata.remove(name);
                }
                Err(source) => return Err(Error::Io { path, source }),
            }
        }
        Ok(())
    }
}
