//! What frozen steps of the encoder give for a picture, kept on disk in half precision.
//!
//! Features always pass through half precision, whether they were kept or not, so that training
//! goes on the same after a restart.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use candle_core::{DType, Result, Tensor};
use half::f16;
use medsa_bundle::sha256_hex;

/// A folder of features.
pub struct FeatureCache {
    folder: Option<PathBuf>,
}

impl FeatureCache {
    /// Features in a subfolder of `folder` whose name says all that they depend on (`recipe`);
    /// without a folder nothing is kept.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: Option<&Path>, recipe: &str) -> std::io::Result<Self> {
        let folder = folder.map(|folder| folder.join(&sha256_hex(recipe.as_bytes())[..16]));
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("recipe.txt"), recipe)?;
        }
        Ok(Self { folder })
    }

    /// Keeps nothing.
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// The features kept as `name`, or those that `compute` gives. The shape must be known
    /// beforehand only to those who read: it is kept with them.
    ///
    /// # Errors
    /// The device's. A file that cannot be read or written is as one that is not there.
    pub fn get(&self, name: &str, compute: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{name}.f16")));
        if let Some(found) = path.as_deref().and_then(read) {
            return found;
        }
        let computed = compute()?.to_dtype(DType::F16)?;
        if let Some(path) = path {
            // Only time is lost where it cannot be kept.
            let _ = write(&path, &computed);
        }
        computed.to_dtype(DType::F32)
    }
}

/// Four axes as u32, then the values.
const HEADER_BYTES: usize = 16;

fn read(path: &Path) -> Option<Result<Tensor>> {
    let bytes = fs::read(path).ok()?;
    let (header, values) = bytes.split_at_checked(HEADER_BYTES)?;
    let axis = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize;
    let shape: Vec<usize> = header.chunks_exact(4).map(axis).collect();
    if shape.iter().product::<usize>() * 2 != values.len() {
        return None;
    }
    let values: Vec<f32> =
        values.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect();
    Some(Tensor::from_vec(values, shape, &candle_core::Device::Cpu))
}

fn write(path: &Path, tensor: &Tensor) -> Result<()> {
    let (a, b, c, d) = tensor.dims4()?;
    let mut bytes: Vec<u8> = [a, b, c, d].iter().flat_map(|&n| (n as u32).to_le_bytes()).collect();
    bytes.extend(tensor.flatten_all()?.to_vec1::<f16>()?.iter().flat_map(|v| v.to_le_bytes()));
    // Another process may keep the same features at the same time.
    let unique = RandomState::new().build_hasher().finish();
    let partial = path.with_extension(format!("{unique:016x}.partial"));
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)?;
    Ok(())
}
