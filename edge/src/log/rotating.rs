//! A log file of limited size: full files are renamed, and the oldest is removed.
//!
//! Lines stay whole, no file exceeds the limit, and errors are reported. The crate file-rotate splits
//! a line at the limit or exceeds it, and ignores that a file cannot be opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::config::LogFile;
use crate::files::{self, check_writable};

/// Files of a log: `edge.log`, the previous one `edge.log.1`, and so on.
pub(super) struct Rotating {
    config: LogFile,
    file: File,
    bytes: u64,
}

impl Rotating {
    /// Opens the file and continues at its end.
    pub(super) fn open(config: &LogFile) -> Result<Self, files::Error> {
        let config = config.clone();
        let open = || -> io::Result<_> {
            let file = append(&config.path)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(files::Error::io(&config.path))?;
        Ok(Self { config, file, bytes })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let path = &self.config.path;
        // The oldest file is overwritten.
        for number in (1..self.config.keep).rev() {
            rename(&aside(path, number), &aside(path, number + 1))?;
        }
        rename(path, &aside(path, 1))?;
        self.file = append(path)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Write for Rotating {
    /// Writes a whole line. If the files cannot be rotated, the line is lost rather than the disk
    /// filled.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.config.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Checks that the file could be opened, without changing anything.
pub(super) fn check(config: &LogFile) -> Result<(), files::Error> {
    let path = &config.path;
    if path.exists() {
        return append(path).map(drop).map_err(files::Error::io(path));
    }
    check_writable(path.parent().unwrap_or(path))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn aside(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Renames a file; one that does not exist is skipped.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_are_removed_and_none_exceeds_max_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.log");
        let config = LogFile { path: path.clone(), max_bytes: 20, keep: 2 };
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let mut log = Rotating::open(&config).unwrap();
        for number in 0..5 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "line 4\n");
        assert_eq!(read(&aside(&path, 1)), "line 2\nline 3\n");
        // Another process continues the file, and the oldest file is removed.
        drop(log);
        let mut log = Rotating::open(&config).unwrap();
        for number in 5..9 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        log.write_all(&[b'x'; 100]).unwrap();
        assert_eq!(read(&path).len(), 100);
        let aside = [1, 2].map(|number| read(&aside(&path, number)));
        assert_eq!(aside, ["line 8\n", "line 6\nline 7\n"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
