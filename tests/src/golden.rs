//! Reference tensors, made with PyTorch and the original packages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use medsa_sam::Weights;
use medsa_sam::prompt::{PromptTokens, label};
use ndarray::{Array1, Array3, ArrayD, Axis, Dimension, Ix2, Ix3, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::place;

/// Distance in memory between samples of a summarised tensor (`tests/data/make.py`).
const STEP: usize = 7919;

/// Tiles per side whose means a summary contains.
const TILES: usize = 8;

/// A file of reference tensors; integers are read as f32.
pub struct Golden {
    tensors: BTreeMap<String, ArrayD<f32>>,
    /// All values of the tensors that are only summarised in this file; `None` if that file is not
    /// available.
    whole: Option<Box<Golden>>,
}

impl Golden {
    /// Opens a file of `tests/data/golden`, and the file of the same name with whole tensors in
    /// `../shared/golden`, if it exists.
    ///
    /// # Panics
    /// If the file is not as described in its README.
    pub fn open(name: &str) -> Self {
        let whole = place::shared().map(|shared| shared.join("golden").join(name));
        let whole = whole.filter(|path| path.exists());
        let whole = whole.map(|path| Box::new(Self::read(&path)));
        Self { whole, ..Self::read(&place::data("golden").join(name)) }
    }

    /// Reads a file.
    ///
    /// # Panics
    /// If the file is not as described in its README.
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
        let tensors = file.iter().map(|(name, view)| (name.to_owned(), array(&view))).collect();
        Self { tensors, whole: None }
    }

    /// Values of a tensor of which this file has only a summary; `None` if they are not available.
    pub fn whole(&self, name: &str) -> Option<ArrayD<f32>> {
        Some(self.whole.as_ref()?.get(name))
    }

    /// Asserts that `found` equals the tensor `name` within `tolerance`. All values are compared if
    /// they are available, otherwise samples, statistics and tiles.
    ///
    /// # Panics
    /// If it differs.
    pub fn assert_close(&self, name: &str, found: &ArrayD<f32>, tolerance: f32) {
        let off = |part: &str, difference: f32, tolerance: f32| {
            assert!(difference < tolerance, "{name}: {part} differ by {difference}");
        };
        if let Some(expected) = self.tensors.get(name).cloned().or_else(|| self.whole(name)) {
            off("values", max_difference(found, &expected), tolerance);
        }
        if self.tensors.contains_key(name) {
            return;
        }
        let part = |part: &str| self.get::<IxDyn>(&format!("{name}.{part}"));
        let shape: Vec<usize> = part("shape").iter().map(|&side| side as usize).collect();
        assert_eq!(found.shape(), shape, "{name}");
        let summary = Summary::new(found);
        let samples = part("samples");
        off("samples", max_difference(&summary.samples(samples.len()), &samples), tolerance);
        // None of the statistics changes by more than the values.
        off("statistics", max_difference(&summary.statistics(), &part("statistics")), tolerance);
        // Errors of neighbours differ, so errors of means are smaller.
        off("tiles", max_difference(&summary.tiles(), &part("tiles")), tolerance / 4.0);
    }

    /// A tensor with the expected number of axes.
    ///
    /// # Panics
    /// If it does not exist.
    pub fn get<D: Dimension>(&self, name: &str) -> ndarray::Array<f32, D> {
        let value = self.tensors.get(name).unwrap_or_else(|| panic!("no reference tensor {name}"));
        value.clone().into_dimensionality().unwrap()
    }

    /// All tensors whose names begin with `prefix`; the prefix is removed.
    pub fn part(&self, prefix: &str) -> Weights {
        let of_part = |(name, value): (&String, &ArrayD<f32>)| {
            Some((name.strip_prefix(prefix)?.to_owned(), value.clone().into_shared()))
        };
        self.tensors.iter().filter_map(of_part).collect()
    }

    /// Prompt of a case as tokens: points from the tensors `points` (coordinates, labels), and the
    /// box `bbox`.
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

/// Statistics of a tensor `[1, C, H, W]`, in f64, because sums of 65,536 values in f32 are not
/// exact enough.
struct Summary(Array3<f64>);

impl Summary {
    fn new(tensor: &ArrayD<f32>) -> Self {
        let maps = tensor.index_axis(Axis(0), 0).mapv(f64::from);
        Self(maps.into_dimensionality().expect("summarised tensors have four axes"))
    }

    /// Values at fixed positions.
    fn samples(&self, count: usize) -> ArrayD<f32> {
        let values = self.0.as_slice().expect("it was made in standard layout");
        (0..count).map(|k| values[k * STEP % values.len()] as f32).collect::<Array1<_>>().into_dyn()
    }

    /// Mean, standard deviation, smallest and largest value of each channel.
    fn statistics(&self) -> ArrayD<f32> {
        let channels = self.0.outer_iter();
        let rows = channels.flat_map(|map| {
            let mean = map.sum() / map.len() as f64;
            let [least, most] = map.fold([f64::MAX, f64::MIN], |[least, most], &value| {
                [least.min(value), most.max(value)]
            });
            [mean, map.std(0.0), least, most].map(|value| value as f32)
        });
        let shape = IxDyn(&[self.0.len_of(Axis(0)), 4]);
        ArrayD::from_shape_vec(shape, rows.collect()).expect("four for each channel")
    }

    /// Means of tiles, `[C, TILES, TILES]`.
    fn tiles(&self) -> ArrayD<f32> {
        let (channels, height, width) = self.0.dim();
        let size = (1, height / TILES, width / TILES);
        let tiles = self.0.exact_chunks(size).into_iter();
        let means = tiles.map(|tile| (tile.sum() / tile.len() as f64) as f32).collect();
        let shape = IxDyn(&[channels, TILES, TILES]);
        ArrayD::from_shape_vec(shape, means).expect("tiles divide maps")
    }
}

/// Largest absolute difference; NaN if any difference is NaN.
///
/// # Panics
/// If the shapes differ.
pub fn max_difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    assert_eq!(a.shape(), b.shape());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    // `f32::max` would ignore NaN.
    differences.fold(0.0, |largest, d| if largest.is_nan() || d <= largest { largest } else { d })
}

/// Cosine of the angle between two tensors, taken as vectors.
pub fn cosine(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    let dot = |a: &ArrayD<f32>, b: &ArrayD<f32>| (a * b).sum();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The single mask of `[B, 4, ..]`, or the three masks of multi-mask output.
pub fn select(predictions: &ArrayD<f32>, multi_mask: bool) -> ArrayD<f32> {
    let range = if multi_mask { 1..4 } else { 0..1 };
    predictions.slice_axis(Axis(1), range.into()).to_owned()
}
