//! Licence texts in a build.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use medsa_bundle::Limits;

use crate::error::Error;

/// Folder of the licences in a build.
const FOLDER: &str = "licences/";

/// Largest accepted size in bytes, larger than any licence.
const MAX_BYTES: usize = 1 << 20;

/// Reads licence files; returns them by their names in a build.
///
/// # Errors
/// [`Error::Licence`]: a file is not text or too long, or two files have the same name.
pub fn read(paths: &[PathBuf]) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut licences = BTreeMap::new();
    for path in paths {
        let refused = |reason: String| Error::Licence { path: path.clone(), reason };
        let text = fs::read(path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let length = text.len();
        if length > MAX_BYTES {
            return Err(refused(format!("{length} bytes, at most {MAX_BYTES} are accepted")));
        }
        if std::str::from_utf8(&text).is_err() {
            return Err(refused("not a text in UTF-8".to_owned()));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refused("its name is not in UTF-8".to_owned()))?;
        let name = format!("{FOLDER}{name}");
        let limit = Limits::default().name_bytes;
        if name.len() > limit {
            return Err(refused(format!("the name {name} has more than {limit} bytes")));
        }
        if licences.insert(name, text).is_some() {
            return Err(refused("another licence has the same file name".to_owned()));
        }
    }
    Ok(licences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_must_be_texts_with_different_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let mit = file("MIT", b"as is");
        let read = |paths: &[&PathBuf]| -> Result<Vec<String>, String> {
            let paths: Vec<PathBuf> = paths.iter().map(|&path| path.clone()).collect();
            let licences = super::read(&paths).map_err(|error| error.to_string())?;
            Ok(licences.into_keys().collect())
        };
        assert_eq!(
            read(&[&mit, &file("Apache", b"as is")]).unwrap(),
            ["licences/Apache", "licences/MIT"]
        );
        for (path, reason) in [
            (file("other/MIT", b"as is"), "another licence has the same file name"),
            (file("image", b"\xff\xd8"), "not a text in UTF-8"),
            (file(&"n".repeat(100), b"as is"), "has more than 100 bytes"),
            (file("long", &vec![b' '; MAX_BYTES + 1]), "at most 1048576 are accepted"),
        ] {
            let error = read(&[&mit, &path]).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
