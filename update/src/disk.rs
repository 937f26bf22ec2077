//! What slots ask of a file system, few enough that a test can cut the power between any two.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// One folder of files.
pub trait Disk {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] when there is no such file.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// Makes an empty file, in place of one that may be there.
    ///
    /// # Errors
    /// The system's.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Writes at the end of a file.
    ///
    /// # Errors
    /// The system's.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Returns when the content of a file survives a power cut.
    ///
    /// # Errors
    /// The system's.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of one that may have it, at once or not at all.
    ///
    /// # Errors
    /// The system's.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Returns when all names survive a power cut.
    ///
    /// # Errors
    /// The system's.
    fn sync_names(&mut self) -> io::Result<()>;

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// The system's.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Where a file is, for those who read it by themselves.
    fn path(&self, name: &str) -> PathBuf;
}

/// A folder of the system.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    /// Opens the folder, or makes it, to update what is in it: one process at a time.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::WouldBlock`] while another process updates it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = path.join(".lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
        lock.try_lock().map_err(|error| match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::WouldBlock => {
                io::Error::new(error.kind(), "another process works on the slots")
            }
            error => error,
        })?;
        Ok(Self { path: path.to_owned(), _lock: Some(lock) })
    }

    /// The folder for who starts what is in it. Nobody can keep a device from its start: not even
    /// an update that hangs. Both write only while a build is on trial, or when one is damaged,
    /// and then nobody updates.
    pub fn to_start(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: None }
    }
}

impl Disk for Folder {
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.path(name))?))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        File::create(self.path(name)).map(drop)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(self.path(name))?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        File::open(self.path(name))?.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let status = rustix::fs::statvfs(&self.path)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
