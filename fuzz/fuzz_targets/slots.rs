//! State of a device's two slots: operations, a line end, and the state file, with a correct
//! checksum.
#![no_main]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use medsa_fuzz::sealed;
use medsa_update::{Disk, Permit, Slots};

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (operations, json) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let files = [("state.json", sealed(json)), ("a.medsa", b"a".into()), ("b.medsa", b"b".into())];
    let mut memory = Memory::default();
    memory.files.extend(files.map(|(name, bytes)| (name.to_owned(), bytes)));
    let Ok(mut slots) = Slots::open(memory) else { return };
    let _ = slots.state().describe();
    for operation in operations.iter().take(16) {
        let _ = match operation % 6 {
            0 => slots.start().map(drop),
            1 => slots.switch().map(drop),
            2 => slots.confirm(),
            3 => slots.roll_back(Permit::default()).map(drop),
            4 => slots.change().map(drop),
            _ => slots.running().map(drop),
        };
        let _ = slots.state().describe();
    }
});

/// A folder in memory.
#[derive(Default)]
struct Memory {
    files: BTreeMap<String, Vec<u8>>,
}

impl Memory {
    fn missing() -> io::Error {
        ErrorKind::NotFound.into()
    }
}

impl Disk for Memory {
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self.files.get(name).ok_or_else(Self::missing)?[..]))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.files.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.get_mut(name).ok_or_else(Self::missing)?.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.files.remove(from).ok_or_else(Self::missing)?;
        self.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("memory").join(name)
    }
}
