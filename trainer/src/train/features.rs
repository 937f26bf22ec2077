//! Features: the output of frozen encoder steps for an image, kept on disk in half precision.
//!
//! Features always pass through half precision, whether kept or not, so that training after a
//! restart gives the same results.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use candle_core::{DType, Result, Tensor};
use half::f16;
use medsa_bundle::sha256_hex;

/// A folder with features.
pub struct FeatureCache {
    folder: Option<PathBuf>,
}

impl FeatureCache {
    /// Opens the subfolder of `folder` whose name is a hash of everything that the features depend
    /// on (`recipe`). Without a folder nothing is kept.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn open(folder: Option<&Path>, recipe: &str) -> std::io::Result<Self> {
        let folder = folder.map(|folder| folder.join(&sha256_hex(recipe.as_bytes())[..16]));
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("recipe.txt"), recipe)?;
        }
        Ok(Self { folder })
    }

    /// A cache that keeps nothing.
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// The features stored as `name`, or those that `compute` returns, which are then stored. The
    /// file contains their shape.
    ///
    /// # Errors
    /// The device failed. A file that cannot be read or written counts as missing.
    pub fn get(&self, name: &str, compute: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{name}.f16")));
        if let Some(found) = path.as_deref().and_then(read) {
            return found;
        }
        let computed = compute()?.to_dtype(DType::F16)?;
        if let Some(path) = path {
            // If the features cannot be stored, they only have to be computed again.
            let _ = write(&path, &computed);
        }
        computed.to_dtype(DType::F32)
    }
}

/// Size of the header: four axes as u32.
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
    // Another process may store the same features at the same time.
    let unique = RandomState::new().build_hasher().finish();
    let partial = path.with_extension(format!("{unique:016x}.partial"));
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)?;
    Ok(())
}
