//! Files of PyTorch's `torch.save`: a zip archive with a pickle of the content and one file for the
//! values of each tensor.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use medsa_sam::Weights;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::error::Error;

/// Alignment of values in the archive, as in files of PyTorch, which maps them into memory.
const ALIGNMENT: u16 = 64;

/// Writes a checkpoint as the released Med-SA code saves it: a dict with the state dict, and the
/// progress of a training that has not started. The file is written next to `path` and renamed into
/// place.
pub(super) fn write(path: &Path, state_dict: &Weights) -> Result<(), Error> {
    let partial = path.with_extension("partial");
    let written = write_archive(&partial, state_dict).map_err(io::Error::from);
    written.and_then(|()| fs::rename(&partial, path)).map_err(|e| {
        // Remove a partial file. If that fails, the first error is more useful.
        let _ = fs::remove_file(&partial);
        Error::io(path, e)
    })
}

fn write_archive(path: &Path, state_dict: &Weights) -> ZipResult<()> {
    let mut archive = ZipWriter::new(BufWriter::new(File::create(path)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .with_alignment(ALIGNMENT);
    archive.start_file("archive/data.pkl", options)?;
    archive.write_all(&pickle(state_dict))?;
    archive.start_file("archive/byteorder", options)?;
    archive.write_all(b"little")?;
    for (key, (name, value)) in state_dict.iter().enumerate() {
        archive.start_file(format!("archive/data/{key}"), options)?;
        let bytes: Vec<u8> = match Kind::of(name) {
            Kind::Float => value.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Kind::Long => value.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect(),
        };
        archive.write_all(&bytes)?;
    }
    archive.start_file("archive/version", options)?;
    archive.write_all(b"3\n")?;
    archive.finish()?.flush()?;
    Ok(())
}

/// Type of a tensor's values.
enum Kind {
    Float,
    Long,
}

impl Kind {
    /// Batch norms count batches in integers. All other tensors of a SAM are f32.
    fn of(name: &str) -> Self {
        if name.ends_with(".num_batches_tracked") { Self::Long } else { Self::Float }
    }

    fn storage(&self) -> &'static str {
        match self {
            Self::Float => "FloatStorage",
            Self::Long => "LongStorage",
        }
    }
}

/// Pickle of the content. Readers of the released code want all of these keys.
fn pickle(state_dict: &Weights) -> Vec<u8> {
    let mut pickle = Pickle::new();
    pickle.dict(|pickle| {
        pickle.text("epoch");
        pickle.integer(0);
        pickle.text("best_tol");
        pickle.float(1e4);
        pickle.text("path_helper");
        pickle.dict(|pickle| {
            pickle.text("log_path");
            pickle.text(".");
        });
        pickle.text("state_dict");
        pickle.ordered_dict(|pickle| {
            for (key, (name, value)) in state_dict.iter().enumerate() {
                pickle.text(name);
                pickle.tensor(key, Kind::of(name), value.shape());
            }
        });
    });
    pickle.end()
}

/// A program for Python's `pickle`, protocol 2, which pushes values on a stack.
struct Pickle(Vec<u8>);

impl Pickle {
    fn new() -> Self {
        Self(vec![0x80, 2])
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'.');
        self.0
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.bytes());
    }

    /// A number below 2^63. Small ones are written as PyTorch does; not all readers take sizes in the
    /// long form.
    fn integer(&mut self, value: usize) {
        if let Ok(value) = i32::try_from(value) {
            self.0.push(b'J');
            self.0.extend(value.to_le_bytes());
        } else {
            self.0.extend([0x8a, 8]);
            self.0.extend((value as u64).to_le_bytes());
        }
    }

    fn float(&mut self, value: f64) {
        self.0.push(b'G');
        self.0.extend(value.to_be_bytes());
    }

    /// A class or a function.
    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").bytes());
    }

    fn tuple(&mut self, items: impl FnOnce(&mut Self)) {
        self.0.push(b'(');
        items(self);
        self.0.push(b't');
    }

    fn numbers(&mut self, numbers: &[usize]) {
        self.tuple(|pickle| numbers.iter().for_each(|&number| pickle.integer(number)));
    }

    /// A dict of alternating keys and values.
    fn dict(&mut self, items: impl FnOnce(&mut Self)) {
        self.0.push(b'}');
        self.items(items);
    }

    fn ordered_dict(&mut self, items: impl FnOnce(&mut Self)) {
        self.global("collections", "OrderedDict");
        self.0.extend(b")R");
        self.items(items);
    }

    /// Adds items to the dict on top of the stack.
    fn items(&mut self, items: impl FnOnce(&mut Self)) {
        self.0.push(b'(');
        items(self);
        self.0.push(b'u');
    }

    /// A tensor in standard layout, whose values are in the file `data/<key>`.
    fn tensor(&mut self, key: usize, kind: Kind, shape: &[usize]) {
        let strides: Vec<usize> =
            (1..=shape.len()).map(|axis| shape[axis..].iter().product()).collect();
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.tuple(|pickle| {
            pickle.tuple(|pickle| {
                pickle.text("storage");
                pickle.global("torch", kind.storage());
                pickle.text(&key.to_string());
                pickle.text("cpu");
                pickle.integer(shape.iter().product());
            });
            // Replaces the tuple by the storage that it identifies.
            pickle.0.push(b'Q');
            pickle.integer(0);
            pickle.numbers(shape);
            pickle.numbers(&strides);
            // It needs no gradient, and has no hooks.
            pickle.0.push(0x89);
            pickle.ordered_dict(|_| ());
        });
        self.0.push(b'R');
    }
}
