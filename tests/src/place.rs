//! Paths of inputs, and temporary folders.

use std::path::PathBuf;

pub use medsa_test_inputs::{data, python, repository, shared};

/// The original LiteMedSAM checkpoint. Tests that use it need `litemedsam`.
pub fn lite_medsam() -> PathBuf {
    medsa_test_inputs::asset("lite_medsam.pth")
}

/// The echocardiography cine: 30 frames of 320x240, JPEG. Tests that use it need `dicom`.
pub fn cine() -> PathBuf {
    medsa_test_inputs::asset("examples_ybr_color.dcm")
}

/// Weights of the small ViT from the reference tensors.
pub fn small_vit() -> PathBuf {
    data("golden/sam_vit_weights.pth")
}

/// A new temporary folder.
///
/// # Panics
/// If the system's folder for temporary files is not writable.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("the system's folder for temporary files is writable")
}
