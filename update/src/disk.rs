//! Operations of a file system that the slots use: few enough that a test can cut the power between
//! any two.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A folder of files.
pub trait Disk {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::NotFound`] if there is no such file.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// Creates an empty file, or empties it.
    ///
    /// # Errors
    /// Those of the system.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Appends bytes to a file.
    ///
    /// # Errors
    /// Those of the system.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Returns when the content of a file survives a power cut.
    ///
    /// # Errors
    /// Those of the system.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Renames a file, at once or not at all. It replaces a file that has the new name.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Returns when all names survive a power cut.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_names(&mut self) -> io::Result<()>;

    /// Number of bytes that can still be written.
    ///
    /// # Errors
    /// Those of the system.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Path of a file, for programs that read it themselves.
    fn path(&self, name: &str) -> PathBuf;
}

/// A folder of the file system.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: Option<File>,
}

impl Folder {
    /// Opens or creates the folder for an update. One process at a time can do so.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::WouldBlock`] while another process updates the folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = path.join(".lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
        lock.try_lock().map_err(|error| match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::WouldBlock => {
                io::Error::new(error.kind(), "another process is updating the slots")
            }
            error => error,
        })?;
        Ok(Self { path: path.to_owned(), lock: Some(lock) })
    }

    /// The folder for a start of the service, without the lock: an update that hangs must not keep
    /// a device from starting. A start writes only while a build is on trial or damaged, and then
    /// updates are refused.
    pub fn to_start(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started has a copy of it for a moment.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
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
