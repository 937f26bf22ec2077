//! A folder that knows all the forms in which it can be left after a power cut.
//!
//! Bytes that were written and not synced may be there, in part, as zeros, or not at all. Files
//! that were created or renamed and not synced may be there, and a later change without an earlier
//! one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::rc::Rc;

use medsa_update::Disk;

use crate::power::starts_with;

/// Disturbance of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails, and later ones work.
    Error,
    /// The process ends before the operation.
    Kill,
    /// The process hangs before the operation, and continues after another one has started from
    /// the folder.
    Hang,
    /// The power goes before the operation.
    CutBefore,
    /// The power goes during the operation.
    CutInside,
}

/// Remains of changes that were not synced.
#[derive(Clone, Copy, Debug)]
pub struct Leftover {
    /// Number of changes of names that are left.
    names: usize,
    /// Only the last one of these is left.
    last_only: bool,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Nothing,
    Half,
    Zeros,
    All,
}

#[derive(Clone, Default)]
struct File {
    synced: Vec<u8>,
    now: Vec<u8>,
}

#[derive(Clone, Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// Changes of names that are not synced: old name, new name, file.
    changes: Vec<(Option<String>, String, usize)>,
    operations: usize,
    fault: Option<(usize, Fault)>,
    dead: bool,
    /// Version that a process started with while another one hung.
    started_beside: Option<String>,
}

/// The folder; clones share it.
#[derive(Clone, Default)]
pub struct Simulated(Rc<RefCell<Inner>>);

impl Simulated {
    /// An independent copy.
    pub fn copy(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    /// Disturbs the operation of this number, counted from now.
    pub fn meet(&self, operation: usize, fault: Fault) {
        let mut inner = self.0.borrow_mut();
        inner.operations = 0;
        inner.fault = Some((operation, fault));
    }

    /// Operations since [`Simulated::meet`], or since the beginning.
    pub fn operations(&self) -> usize {
        self.0.borrow().operations
    }

    /// All forms in which the folder can be left after a cut.
    pub fn leftovers(&self) -> Vec<Leftover> {
        let changes = self.0.borrow().changes.len();
        let mut all = Vec::new();
        for content in [Content::Nothing, Content::Half, Content::Zeros, Content::All] {
            for names in 0..=changes {
                all.push(Leftover { names, last_only: false, content });
                if names > 1 {
                    all.push(Leftover { names, last_only: true, content });
                }
            }
        }
        all
    }

    /// The folder after the power came back.
    pub fn after(&self, leftover: Leftover) -> Self {
        let inner = self.0.borrow();
        let files = inner.files.iter().map(|File { synced, now }| {
            let left = match leftover.content {
                Content::Nothing => synced.clone(),
                Content::Half => now[..now.len() / 2].to_vec(),
                Content::Zeros => vec![0; now.len()],
                Content::All => now.clone(),
            };
            let left = if synced == now { synced.clone() } else { left };
            File { synced: left.clone(), now: left }
        });
        let files = files.collect();
        let mut names = inner.synced_names.clone();
        let first = if leftover.last_only { leftover.names - 1 } else { 0 };
        for (goes, comes, file) in &inner.changes[first..leftover.names] {
            if let Some(goes) = goes {
                names.remove(goes);
            }
            names.insert(comes.clone(), *file);
        }
        let inner = Inner { files, synced_names: names.clone(), names, ..Inner::default() };
        Self(Rc::new(RefCell::new(inner)))
    }

    /// The folder after the process ended: nothing is lost.
    pub fn after_kill(&self) -> Self {
        let copy = self.copy();
        {
            let mut inner = copy.0.borrow_mut();
            (inner.fault, inner.dead) = (None, false);
        }
        copy
    }

    /// Version that a process started with while another one hung.
    pub fn started_beside(&self) -> Option<String> {
        self.0.borrow().started_beside.clone()
    }

    /// The content of a file.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let inner = self.0.borrow();
        inner.files[inner.names[name]].now.clone()
    }

    /// The content of a file, if there is one.
    pub fn find(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.0.borrow();
        inner.names.get(name).map(|&file| inner.files[file].now.clone())
    }

    /// Replaces the content of a file, and syncs it.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut inner = self.0.borrow_mut();
        let file = inner.names[name];
        inner.files[file] = File { synced: bytes.to_owned(), now: bytes.to_owned() };
    }

    /// Flips a bit of a file.
    pub fn damage(&self, name: &str) {
        let mut inner = self.0.borrow_mut();
        let file = inner.names[name];
        let File { now, synced } = &mut inner.files[file];
        now[100] ^= 1;
        synced.clone_from(now);
    }

    /// Counts an operation. Returns whether the power goes during it.
    fn operation(&self) -> io::Result<bool> {
        let mut inner = self.0.borrow_mut();
        let dead = || Err(io::Error::other("the power is off"));
        if inner.dead {
            return dead();
        }
        inner.operations += 1;
        match inner.fault {
            Some((number, fault)) if number == inner.operations => match fault {
                Fault::Hang => {
                    inner.fault = None;
                    drop(inner);
                    let started = starts_with(self);
                    self.0.borrow_mut().started_beside = Some(started);
                    Ok(false)
                }
                Fault::Error => Err(io::Error::other("input/output error")),
                Fault::Kill | Fault::CutBefore => {
                    inner.dead = true;
                    dead()
                }
                Fault::CutInside => {
                    inner.dead = true;
                    Ok(true)
                }
            },
            _ => Ok(false),
        }
    }
}

impl Disk for Simulated {
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let inner = self.0.borrow();
        let file = inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(inner.files[*file].now.clone())))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.operation()?;
        let mut inner = self.0.borrow_mut();
        if let Some(&file) = inner.names.get(name) {
            inner.files[file].now.clear();
            return Ok(());
        }
        let file = inner.files.len();
        inner.files.push(File::default());
        inner.names.insert(name.into(), file);
        inner.changes.push((None, name.into(), file));
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let half = self.operation()?;
        let mut inner = self.0.borrow_mut();
        let file = *inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let length = if half { bytes.len() / 2 } else { bytes.len() };
        inner.files[file].now.extend(&bytes[..length]);
        if half { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.operation()?;
        let mut inner = self.0.borrow_mut();
        let file = *inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let File { synced, now } = &mut inner.files[file];
        synced.clone_from(now);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.operation()?;
        let mut inner = self.0.borrow_mut();
        let file = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.into(), file);
        inner.changes.push((Some(from.into()), to.into(), file));
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.operation()?;
        let mut inner = self.0.borrow_mut();
        inner.synced_names = inner.names.clone();
        inner.changes.clear();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }
}
