//! Recording of a network as the two models of a build.

use std::convert::Infallible;

use medsa_sam::prompt::TOKEN_SLOTS;
use medsa_sam::{MaskPrompt, PromptInput, Quantization, Sam};

use crate::onnx::Recorder;

/// The ONNX models of a network, with static shapes and batch size 1.
pub struct Models {
    /// `image` `[1, 3, S, S]` -> `embedding` `[1, C, h, w]`.
    pub encoder: Vec<u8>,
    /// `embedding`, `point_coords` `[1, N, 2]`, `point_labels` `[1, N]`, `mask_input`
    /// `[1, 1, 4h, 4w]`, `has_mask` `[1]` -> `masks` `[1, 4, 4h, 4w]`, `iou` `[1, 4]`.
    pub decoder: Vec<u8>,
}

impl Models {
    /// Records both models. The layers that `quantization` names compute in int8. `metadata` is
    /// stored in the files' properties.
    pub fn record(sam: &Sam, quantization: &Quantization, metadata: &[(&str, &str)]) -> Self {
        let Ok(encoder) = record_encoder(sam, quantization, metadata);
        let Ok(decoder) = record_decoder(sam, quantization, metadata);
        Self { encoder, decoder }
    }
}

fn record_encoder(
    sam: &Sam,
    quantization: &Quantization,
    metadata: &[(&str, &str)],
) -> Result<Vec<u8>, Infallible> {
    let recorder = Recorder::new(quantization);
    let side = sam.config().preprocess.input_size;
    let image = recorder.input("image", &[1, 3, side, side]);
    recorder.output("embedding", &sam.encode(&recorder, &image)?);
    Ok(recorder.into_onnx("encoder", metadata))
}

fn record_decoder(
    sam: &Sam,
    quantization: &Quantization,
    metadata: &[(&str, &str)],
) -> Result<Vec<u8>, Infallible> {
    let recorder = Recorder::new(quantization);
    let config = sam.config();
    let (grid, side) = (config.grid(), config.mask_side());
    let embedding = recorder.input("embedding", &[1, config.decoder.dim, grid, grid]);
    let prompt = PromptInput {
        coords: recorder.input("point_coords", &[1, TOKEN_SLOTS, 2]),
        labels: recorder.input("point_labels", &[1, TOKEN_SLOTS]),
        mask: Some(MaskPrompt {
            logits: recorder.input("mask_input", &[1, 1, side, side]),
            present: recorder.input("has_mask", &[1]),
        }),
    };
    let masks = sam.decode(&recorder, &embedding, &prompt)?;
    recorder.output("masks", &masks.logits);
    recorder.output("iou", &masks.iou);
    Ok(recorder.into_onnx("decoder", metadata))
}
