//! Small files that a device has to be able to rely on: replaced as a whole, with a checksum.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::disk::Disk;
use crate::error::Error;

/// As a file: the SHA-256 of what follows, then JSON.
pub(crate) fn seal(value: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value).expect("names and numbers are JSON");
    json.push(b'\n');
    [hex::encode(Sha256::digest(&json)).as_bytes(), b"\n", &json].concat()
}

/// Of a file; otherwise what is wrong with it.
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let newline = bytes.iter().position(|&byte| byte == b'\n');
    let (sha256, rest) = bytes.split_at(newline.ok_or("it has no first line")?);
    let json = &rest[1..];
    if sha256 != hex::encode(Sha256::digest(json)).as_bytes() {
        return Err("its content is not that of its checksum".into());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Replaces a file at once or not at all, whenever the power goes; `new` is a name for what is
/// unfinished.
pub(crate) fn replace<D: Disk>(
    disk: &mut D,
    name: &str,
    new: &str,
    bytes: &[u8],
) -> Result<(), Error> {
    let mut replaced = || {
        disk.create(new)?;
        disk.append(new, bytes)?;
        disk.sync(new)?;
        disk.rename(new, name)?;
        disk.sync_names()
    };
    let result = replaced();
    result.map_err(Error::io(&disk.path(name)))
}
