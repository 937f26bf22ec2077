//! Reference tensors, made with PyTorch and the original packages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use medsa_sam::Weights;
use medsa_sam::prompt::{PromptTokens, label};
use ndarray::{ArrayD, Axis, Dimension, Ix2, Ix3};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// A file of reference tensors; integers are read as f32.
pub struct Golden(BTreeMap<String, ArrayD<f32>>);

impl Golden {
    /// Reads the file.
    ///
    /// # Panics
    /// If it is not what its README says.
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let array = |view: &safetensors::tensor::TensorView| {
            let values = match view.dtype() {
                Dtype::U8 => view.data().iter().map(|&v| f32::from(v)).collect(),
                Dtype::F32 => {
                    let bytes = view.data().chunks_exact(4);
                    bytes.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
                }
                Dtype::I64 => {
                    let bytes = view.data().chunks_exact(8);
                    bytes.map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect()
                }
                other => panic!("{}: {other:?} is not expected", path.display()),
            };
            ArrayD::from_shape_vec(view.shape(), values).unwrap()
        };
        Self(file.iter().map(|(name, view)| (name.to_owned(), array(&view))).collect())
    }

    /// A tensor of the expected number of axes.
    ///
    /// # Panics
    /// If it is not there.
    pub fn get<D: Dimension>(&self, name: &str) -> ndarray::Array<f32, D> {
        let value = self.0.get(name).unwrap_or_else(|| panic!("no reference tensor {name}"));
        value.clone().into_dimensionality().unwrap()
    }

    /// All tensors whose names begin with `prefix`, without it.
    pub fn part(&self, prefix: &str) -> Weights {
        let of_part = |(name, value): (&String, &ArrayD<f32>)| {
            Some((name.strip_prefix(prefix)?.to_owned(), value.clone().into_shared()))
        };
        self.0.iter().filter_map(of_part).collect()
    }

    /// The prompt of a case, as tokens: points of `points` (coordinates, labels), and `bbox`.
    pub fn tokens(&self, points: Option<(&str, &str)>, bbox: Option<&str>) -> PromptTokens {
        let mut tokens = Vec::new();
        if let Some((coords, labels)) = points {
            let coords = self.get::<Ix3>(coords);
            let labels = self.get::<Ix2>(labels);
            tokens.extend(
                (0..labels.ncols())
                    .map(|i| ([coords[[0, i, 0]], coords[[0, i, 1]]], labels[[0, i]])),
            );
        }
        match bbox {
            Some(bbox) => {
                let bbox = self.get::<Ix2>(bbox);
                tokens.push(([bbox[[0, 0]], bbox[[0, 1]]], label::BOX_MIN));
                tokens.push(([bbox[[0, 2]], bbox[[0, 3]]], label::BOX_MAX));
            }
            None => tokens.push(([0.0; 2], label::NOT_A_POINT)),
        }
        PromptTokens::new(&tokens)
    }
}

/// Largest absolute difference.
///
/// # Panics
/// If the shapes differ.
pub fn max_difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Of the angle between two tensors, taken as vectors.
pub fn cosine(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    let dot = |a: &ArrayD<f32>, b: &ArrayD<f32>| (a * b).sum();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The single mask, or the three of multi-mask output, of `[B, 4, ..]`.
pub fn select(answers: &ArrayD<f32>, multi_mask: bool) -> ArrayD<f32> {
    let range = if multi_mask { 1..4 } else { 0..1 };
    answers.slice_axis(Axis(1), range.into()).to_owned()
}
