//! Fingerprint of the data of a training.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_bundle::sha256_hex;

use super::stock::Stock;
use crate::error::Error;

/// SHA-256 over one line `name image-sha256 mask-sha256` for each training item of all data sets,
/// sorted. The hashes are those of the files. The result depends neither on the location of the
/// data sets nor on their order.
///
/// # Errors
/// [`Error::Io`].
pub fn dataset_sha256<'a>(stocks: impl IntoIterator<Item = &'a Stock>) -> Result<String, Error> {
    let mut hashes = Hashes::default();
    let mut lines = Vec::new();
    for stock in stocks {
        for &index in &stock.train {
            let item = stock.item(index);
            let (image, mask) = (hashes.of(&item.image)?, hashes.of(&item.mask)?);
            lines.push(format!("{} {image} {mask}\n", item.name));
        }
    }
    lines.sort();
    Ok(sha256_hex(lines.concat().as_bytes()))
}

/// Hashes of files. Slices of a volume and frames of a recording are in one file, which is read
/// once.
#[derive(Default)]
struct Hashes(BTreeMap<PathBuf, String>);

impl Hashes {
    fn of(&mut self, path: &Path) -> Result<String, Error> {
        if let Some(hash) = self.0.get(path) {
            return Ok(hash.clone());
        }
        let hash = sha256_hex(&fs::read(path).map_err(|e| Error::io(path, e))?);
        self.0.insert(path.to_owned(), hash.clone());
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::DataConfig;
    use super::*;

    /// A data set of two images, both files of made-up bytes; `a` is for training.
    fn stock(root: &Path, masks: [&str; 2]) -> Stock {
        for part in ["images", "masks"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        for (name, mask) in ["a.png", "b.png"].iter().zip(masks) {
            fs::write(root.join("images").join(name), name).unwrap();
            fs::write(root.join("masks").join(name), mask).unwrap();
        }
        let mut stock = Stock::whole(&DataConfig::new(root, None, &[])).unwrap();
        stock.train = vec![0];
        stock
    }

    #[test]
    fn hash_depends_on_training_files_and_not_on_their_location() {
        let folder = tempfile::tempdir().unwrap();
        let hash =
            |name: &str, masks| dataset_sha256([&stock(&folder.path().join(name), masks)]).unwrap();
        let first = hash("first", ["x", "y"]);
        assert_eq!(first, hash("second", ["x", "y"]));
        assert_eq!(first, hash("third", ["x", "of validation"]));
        assert_ne!(first, hash("fourth", ["other", "y"]));
    }
}
