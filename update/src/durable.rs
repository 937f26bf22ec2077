//! Small files that a device relies on: replaced as a whole, with a checksum and a format number.
//!
//! A file is one line with the SHA-256 of the rest, then a JSON object. Its field `format` is the
//! number of its format. A file without that field is of format 0, from before there were numbers.
//!
//! # Compatibility
//! - **An addition keeps the number.** A field that older programs can ignore is added without a
//!   new number. They keep the fields that they do not know when they write the file again.
//! - **Any other change raises the number** by one and adds a migration from the number before.
//!   Reading migrates in memory; the file changes with the next write.
//! - **A newer number is refused** with an error that names it. The caller has no content then, and
//!   so nothing to write: the file stays as it is for the program that understands it.
//!
//! The first line and the place of the number never change, so that every program can tell a newer
//! file from a damaged one.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::disk::Disk;
use crate::error::Error;

/// Fields of a JSON object that this program does not know, kept for the one that does.
pub(crate) type Unknown = Map<String, Value>;

/// Key of the format number.
const FORMAT: &str = "format";

/// One kind of file.
pub(crate) struct Durable {
    /// Name of the file.
    pub name: &'static str,
    /// Name of the file while it is being written.
    pub unfinished: &'static str,
    /// Migrations, from format 0 on: the first makes format 1 of it. Their number is the newest
    /// supported format.
    pub migrations: &'static [fn(&mut Unknown)],
    /// Error about a damaged file: its path, and what is wrong with it.
    pub damaged: fn(PathBuf, String) -> Error,
    /// Alternative to a newer program, and its price.
    pub otherwise: &'static str,
}

/// The content of a file, with the number of its format in front.
#[derive(Serialize)]
struct Numbered<'a, T> {
    format: u64,
    #[serde(flatten)]
    content: &'a T,
}

impl Durable {
    /// Newest format that this program supports, and the one that it writes.
    pub fn supported(&self) -> u64 {
        self.migrations.len() as u64
    }

    /// Reads the file, migrated to the newest format; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NewerFormat`], and the error about a damaged file.
    pub fn read<T: DeserializeOwned>(&self, disk: &impl Disk) -> Result<Option<T>, Error> {
        let path = disk.path(self.name);
        let mut bytes = Vec::new();
        match disk.open(self.name).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => self.parse(path, &bytes).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Replaces the file at once or not at all, whenever the power goes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, disk: &mut impl Disk, content: &impl Serialize) -> Result<(), Error> {
        let bytes = seal(&Numbered { format: self.supported(), content });
        let mut replace = || {
            disk.create(self.unfinished)?;
            disk.append(self.unfinished, &bytes)?;
            disk.sync(self.unfinished)?;
            disk.rename(self.unfinished, self.name)?;
            disk.sync_names()
        };
        let result = replace();
        result.map_err(Error::io(&disk.path(self.name)))
    }

    fn parse<T: DeserializeOwned>(&self, path: PathBuf, bytes: &[u8]) -> Result<T, Error> {
        let damaged = |reason| (self.damaged)(path.clone(), reason);
        let mut content = unseal(bytes).map_err(damaged)?;
        let format = match content.remove(FORMAT) {
            None => 0,
            Some(number) => number.as_u64().ok_or_else(|| {
                damaged(format!("its format is {number}, expected a number from 0"))
            })?,
        };
        if format > self.supported() {
            let (supported, otherwise) = (self.supported(), self.otherwise);
            return Err(Error::NewerFormat { path, found: format, supported, otherwise });
        }
        for migrate in self.migrations.iter().skip(format as usize) {
            migrate(&mut content);
        }
        T::deserialize(Value::Object(content)).map_err(|error| damaged(error.to_string()))
    }
}

/// Bytes of a file with this content.
fn seal(content: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(content).expect("names and numbers are JSON");
    json.push(b'\n');
    [hex::encode(Sha256::digest(&json)).as_bytes(), b"\n", &json].concat()
}

/// Content of a file's bytes; otherwise what is wrong with them.
fn unseal(bytes: &[u8]) -> Result<Unknown, String> {
    let newline = bytes.iter().position(|&byte| byte == b'\n');
    let (sha256, rest) = bytes.split_at(newline.ok_or("it has no first line")?);
    let json = &rest[1..];
    if sha256 != hex::encode(Sha256::digest(json)).as_bytes() {
        return Err("its content does not match its checksum".into());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde::Deserialize;

    use super::*;

    const KIND: Durable = Durable {
        name: "kind.json",
        unfinished: "kind.new",
        // Format 1 is the number itself; format 2 calls `old` `new`.
        migrations: &[
            |_| (),
            |content| {
                let value = content.remove("old").unwrap_or_default();
                content.insert("new".into(), value);
            },
        ],
        damaged: |path, reason| Error::State { path, reason },
        otherwise: "remove it",
    };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Content {
        new: u64,
        #[serde(flatten)]
        unknown: Unknown,
    }

    /// A disk with one file.
    struct One(Vec<u8>);

    impl Disk for One {
        fn open(&self, _: &str) -> io::Result<Box<dyn Read + '_>> {
            Ok(Box::new(&self.0[..]))
        }
        fn create(&mut self, _: &str) -> io::Result<()> {
            self.0.clear();
            Ok(())
        }
        fn append(&mut self, _: &str, bytes: &[u8]) -> io::Result<()> {
            self.0.extend(bytes);
            Ok(())
        }
        fn sync(&mut self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn sync_names(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn free_bytes(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn path(&self, name: &str) -> PathBuf {
            name.into()
        }
    }

    fn read(json: &str) -> Result<Content, String> {
        let sum = hex::encode(Sha256::digest(json));
        let found = KIND.read(&One(format!("{sum}\n{json}").into_bytes()));
        found.map(|content| content.expect("the file is there")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_older_format_is_migrated() {
        for json in [
            r#"{"old": 3, "more": [1]}"#,
            r#"{"format": 1, "old": 3, "more": [1]}"#,
            r#"{"format": 2, "new": 3, "more": [1]}"#,
        ] {
            let content = read(json).unwrap();
            assert_eq!(content.new, 3, "{json}");
            assert_eq!(content.unknown.keys().collect::<Vec<_>>(), ["more"], "{json}");
        }
    }

    #[test]
    fn file_is_written_with_number_and_unknown_fields() {
        let content = read(r#"{"old": 3, "more": [1]}"#).unwrap();
        let mut disk = One(Vec::new());
        KIND.write(&mut disk, &content).unwrap();
        assert_eq!(KIND.read(&disk).unwrap(), Some(content));
        let text = String::from_utf8(disk.0).unwrap();
        let (_, json) = text.split_once('\n').unwrap();
        let json: Value = serde_json::from_str(json).unwrap();
        assert_eq!(json, serde_json::json!({ "format": 2, "new": 3, "more": [1] }));
    }

    #[test]
    fn newer_format_is_refused_with_both_numbers() {
        assert_eq!(
            read(r#"{"format": 3, "something": "else"}"#).unwrap_err(),
            "cannot read kind.json: its format is 3, and this program supports formats up to 2. \
             It needs medsa-edge that supports format 3: install a newer one, or remove it"
        );
    }

    #[test]
    fn format_that_is_no_number_is_damage() {
        for format in ["-1", "1.5", "\"2\"", "null"] {
            let said = read(&format!("{{\"format\": {format}, \"new\": 3}}")).unwrap_err();
            let expected = format!("its format is {format}, expected a number");
            assert!(said.contains(&expected), "{said}");
        }
    }
}
