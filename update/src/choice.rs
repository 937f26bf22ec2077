//! The build that was chosen last on a device with several, as a file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::Folder;
use crate::durable::{Durable, Unknown};
use crate::error::Error;

/// The file.
const CHOICE: Durable = Durable {
    name: "chosen.json",
    unfinished: "chosen.new",
    // Format 1 is format 0 with the number.
    migrations: &[|_| ()],
    damaged: |path, reason| Error::Choice { path, reason },
    otherwise: "remove the file and choose a build again",
};

/// A chosen build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Name of the build.
    pub name: String,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    #[serde(flatten)]
    unknown: Unknown,
}

impl Choice {
    /// The choice stored in `folder`; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NewerFormat`], [`Error::Choice`].
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        CHOICE.read(&Folder::to_start(folder))
    }

    /// Stores the choice of a build in `folder`; it survives a power cut when this returns.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NewerFormat`] leaves the file of a newer program unchanged.
    pub fn write(folder: &Path, name: &str, sha256: &str) -> Result<(), Error> {
        let unknown = match Self::read(folder) {
            Err(error @ Error::NewerFormat { .. }) => return Err(error),
            Ok(Some(before)) => before.unknown,
            // A damaged file is replaced.
            Ok(None) | Err(_) => Unknown::new(),
        };
        let choice = Self { name: name.to_owned(), sha256: sha256.to_owned(), unknown };
        CHOICE.write(&mut Folder::to_start(folder), &choice)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn choice_is_replaced_and_a_newer_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chosen.json");
        assert_eq!(Choice::read(folder.path()).unwrap(), None);
        for name in ["main", "endoscopy"] {
            Choice::write(folder.path(), name, "00").unwrap();
            assert_eq!(Choice::read(folder.path()).unwrap().unwrap().name, name);
        }
        assert!(fs::read_to_string(&file).unwrap().contains("\"format\": 1"));
        fs::write(&file, "no checksum").unwrap();
        let said = Choice::read(folder.path()).unwrap_err().to_string();
        assert!(said.contains("choose a build again"), "{said}");
        Choice::write(folder.path(), "main", "00").unwrap();

        let json = r#"{"format": 2, "something": "else"}"#;
        let newer = format!("{}\n{json}", hex::encode(Sha256::digest(json)));
        fs::write(&file, &newer).unwrap();
        for refused in
            [Choice::read(folder.path()).map(drop), Choice::write(folder.path(), "a", "0")]
        {
            assert!(matches!(refused, Err(Error::NewerFormat { found: 2, .. })));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), newer);
    }
}
