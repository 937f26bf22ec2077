//! Engine: runs the networks of a build on tract, with kernels for their blocks. It turns frames
//! into embeddings, and embeddings with prompts into masks.
//!
//! **Architecture invariant:** this crate knows nothing of the device service, so that the exporter
//! measures a build with exactly the engine of a device.
// Not `forbid`: ndarray's `s!` expands to an `allow`.
#![deny(unsafe_code)]

pub mod acceptance;
mod block;
mod error;
mod inline;
mod network;

use std::num::NonZeroUsize;

use medsa_bundle::{Build, Manifest};
use medsa_frames::Frame;
use medsa_sam::image::{Preprocess, RgbView};
use medsa_sam::prompt::{PromptTokens, TOKEN_SLOTS};
use ndarray::{Array3, Array4, ArrayView2, ArrayView4, Axis, Ix2, Ix4};
use tract_onnx::prelude::{IntoTensor, TValue, Tensor, tract_ndarray};

pub use self::block::{Inlined, Mismatch, canonical_hash};
pub use self::error::Error;
pub use self::inline::inline;
use self::network::{Network, Signature, Threads};

/// A loaded build: encoder, decoder and their preprocessing.
pub struct Engine {
    encoder: Network,
    decoder: Network,
    preprocess: Preprocess,
    mask_side_px: usize,
}

impl Engine {
    /// Loads a build on `threads` threads.
    ///
    /// # Errors
    /// [`Error::BuildTooNew`], [`Error::BuildUnfit`], [`Error::Manifest`] and those of
    /// [`Engine::from_onnx`].
    pub fn load(build: &Build, threads: NonZeroUsize) -> Result<Self, Error> {
        Self::load_on(build, &Workers::new(threads))
    }

    /// Like [`Engine::load`], on existing worker threads.
    ///
    /// # Errors
    /// Same as [`Engine::load`].
    pub fn load_on(build: &Build, workers: &Workers) -> Result<Self, Error> {
        let manifest = build.manifest();
        check_version(manifest)?;
        if !manifest.unfit.is_empty() {
            let build = format!("{} {}", manifest.name, manifest.version);
            return Err(Error::BuildUnfit { build, reasons: manifest.unfit.clone() });
        }
        // Reading a build checked that it lists both files and contains all listed files.
        let file = |name| build.file(name).unwrap_or_default();
        let (encoder, decoder) = (file(Manifest::ENCODER), file(Manifest::DECODER));
        Self::from_onnx_on(encoder, decoder, manifest.preprocess, workers)
    }

    /// Makes an engine of two ONNX files; see [`Manifest::ENCODER`] and [`Manifest::DECODER`] for
    /// their inputs and outputs.
    ///
    /// # Errors
    /// [`Error::Network`] if the runtime cannot load a file, [`Error::NetworkTooLarge`],
    /// [`Error::NetworkTensor`] if an input or output is missing, misshapen or not f32.
    pub fn from_onnx(
        encoder: &[u8],
        decoder: &[u8],
        preprocess: Preprocess,
        threads: NonZeroUsize,
    ) -> Result<Self, Error> {
        Self::from_onnx_on(encoder, decoder, preprocess, &Workers::new(threads))
    }

    fn from_onnx_on(
        encoder: &[u8],
        decoder: &[u8],
        preprocess: Preprocess,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let side = preprocess.input_size;
        let encoder = Network::load(
            Manifest::ENCODER,
            encoder,
            Signature {
                inputs: vec![("image", vec![Some(1), Some(3), Some(side), Some(side)])],
                outputs: vec![("embedding", vec![Some(1), None, None, None])],
            },
            &workers.encoder,
        )?;
        // The encoder determines channels and grid; the decoder has to match.
        let [channels, height, width] = [1, 2, 3].map(|axis| encoder.output_shape(0)[axis]);
        let exactly = |shape: &[usize]| shape.iter().copied().map(Some).collect::<Vec<_>>();
        let (mask_height, mask_width) = (4 * height, 4 * width);
        let decoder = Network::load(
            Manifest::DECODER,
            decoder,
            Signature {
                inputs: vec![
                    ("embedding", exactly(&[1, channels, height, width])),
                    ("point_coords", exactly(&[1, TOKEN_SLOTS, 2])),
                    ("point_labels", exactly(&[1, TOKEN_SLOTS])),
                    ("mask_input", exactly(&[1, 1, mask_height, mask_width])),
                    ("has_mask", exactly(&[1])),
                ],
                outputs: vec![
                    ("masks", exactly(&[1, MASKS, mask_height, mask_width])),
                    ("iou", exactly(&[1, MASKS])),
                ],
            },
            &workers.decoder,
        )?;
        if height != width {
            let [found, expected] =
                [format!("f32 [1, {channels}, {height}, {width}]"), "a square grid".to_owned()];
            let tensor = "output embedding".to_owned();
            return Err(Error::NetworkTensor { file: Manifest::ENCODER, tensor, found, expected });
        }
        Ok(Self { encoder, decoder, preprocess, mask_side_px: mask_height })
    }

    /// Blocks without a kernel, which are computed node by node and therefore slowly.
    pub fn inlined(&self) -> impl Iterator<Item = &Inlined> {
        [&self.encoder, &self.decoder].into_iter().flat_map(|network| &network.inlined)
    }

    /// Preprocessing of frames to the encoder's input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Side of the decoder's square masks, in pixels.
    pub fn mask_side_px(&self) -> usize {
        self.mask_side_px
    }

    /// Embedding of an `image` `[1, 3, S, S]` made by [`Engine::preprocess`].
    ///
    /// # Errors
    /// [`Error::Network`] if the runtime fails.
    pub fn encode(&self, image: &Array4<f32>) -> Result<Embedding, Error> {
        let values = image.as_standard_layout();
        // Invariant: the standard layout is one slice.
        let image = Tensor::from_shape(image.shape(), values.as_slice().unwrap_or_default());
        let image = image.map_err(|e| network::runtime_error(Manifest::ENCODER, &e))?;
        let mut outputs = self.encoder.run(vec![image.into()])?;
        Ok(Embedding(outputs.swap_remove(0)))
    }

    /// Predicts masks for one object's prompt. `previous_mask` `[4h, 4w]` holds the logits of an
    /// earlier prediction to refine.
    ///
    /// # Errors
    /// [`Error::Network`] if the runtime fails, or `previous_mask` has another size.
    pub fn decode(
        &self,
        embedding: &Embedding,
        prompt: &PromptTokens,
        previous_mask: Option<ArrayView2<f32>>,
    ) -> Result<Decoded, Error> {
        let tokens = prompt.padded(TOKEN_SLOTS);
        let side = self.mask_side_px;
        let mut mask = Array4::<f32>::zeros((1, 1, side, side));
        let has_mask = f32::from(u8::from(previous_mask.is_some()));
        if let Some(previous) = previous_mask {
            if previous.dim() != (side, side) {
                return Err(Error::NetworkTensor {
                    file: Manifest::DECODER,
                    tensor: "input mask_input".into(),
                    found: format!("f32 {:?}", previous.shape()),
                    expected: format!("f32 [{side}, {side}]"),
                });
            }
            mask.index_axis_mut(Axis(0), 0).index_axis_mut(Axis(0), 0).assign(&previous);
        }
        let mut outputs = self.decoder.run(vec![
            embedding.0.clone(),
            Tensor::from(tokens.coords).into(),
            Tensor::from(tokens.labels).into(),
            Tensor::from(mask).into(),
            Tensor::from(tract_ndarray::arr1(&[has_mask])).into(),
        ])?;
        let (iou, masks) = (outputs.swap_remove(1), outputs.swap_remove(0));
        let failed = |reason: String| Error::Network { file: Manifest::DECODER, reason };
        let masks = masks.into_tensor().into_plain_array().map_err(|e| failed(e.to_string()))?;
        let masks = masks.into_dimensionality::<Ix4>().map_err(|e| failed(e.to_string()))?;
        let iou = iou.to_plain_array_view().map_err(|e| failed(e.to_string()))?;
        let iou = iou.into_dimensionality::<Ix2>().map_err(|e| failed(e.to_string()))?;
        Ok(Decoded {
            masks: masks.index_axis_move(Axis(0), 0),
            iou: std::array::from_fn(|i| iou[[0, i]]),
        })
    }
}

/// View of a frame's pixels, for [`Preprocess::run`].
///
/// # Errors
/// [`Error::Frame`] if the number of bytes does not match the frame's size.
pub fn frame_view(frame: &Frame) -> Result<RgbView<'_>, Error> {
    Ok(RgbView::new(frame.width as usize, frame.height as usize, &frame.rgb)?)
}

/// Worker threads of an engine. Encoder and decoder have the same number each, so that a prompt can
/// be decoded while a frame is encoded. The threads have the priority of the thread that started
/// them.
pub struct Workers {
    encoder: Threads,
    decoder: Threads,
}

impl Workers {
    /// Starts the worker threads.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self { encoder: Threads::new(threads), decoder: Threads::new(threads) }
    }
}

/// Number of masks of a prediction: one for a clear prompt, three for an ambiguous one.
pub const MASKS: usize = 4;

/// Output of the encoder for a frame, `[1, C, h, w]`; cheap to clone.
#[derive(Clone)]
pub struct Embedding(TValue);

impl Embedding {
    /// The values `[1, C, h, w]`.
    ///
    /// # Errors
    /// [`Error::Network`] is never returned for an embedding made by the engine.
    pub fn view(&self) -> Result<ArrayView4<'_, f32>, Error> {
        let failed = |reason: String| Error::Network { file: Manifest::ENCODER, reason };
        let values = self.0.to_plain_array_view().map_err(|e| failed(e.to_string()))?;
        values.into_dimensionality().map_err(|e| failed(e.to_string()))
    }
}

/// Predictions of the decoder for one prompt.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Logits `[4, 4h, 4w]`. Mask 0 is for a clear prompt; masks 1 to 3 are whole, part and
    /// sub-part for an ambiguous one.
    pub masks: Array3<f32>,
    /// Predicted intersection over union of each mask.
    pub iou: [f32; MASKS],
}

impl Decoded {
    /// Logits `[4h, 4w]` and predicted IoU of the mask for a clear prompt.
    pub fn single(&self) -> (ArrayView2<'_, f32>, f32) {
        (self.masks.index_axis(Axis(0), 0), self.iou[0])
    }
}

fn check_version(manifest: &Manifest) -> Result<(), Error> {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let parse = |version: &str| {
        semver::Version::parse(version).map_err(|_| Error::Manifest {
            key: "min_edge_version",
            found: version.to_owned(),
            expected: "a version such as 1.2.3".into(),
        })
    };
    if parse(&manifest.min_edge_version)? <= parse(OURS)? {
        return Ok(());
    }
    Err(Error::BuildTooNew {
        build: format!("{} {}", manifest.name, manifest.version),
        needed: manifest.min_edge_version.clone(),
        found: OURS,
    })
}
