//! Shared parts of the fuzz targets.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use medsa_bundle::sha256_hex;
use medsa_frames::{Clip, MAX_SIDE_PX, Segmentation};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("the folder for temporary files is writable"));

/// Opens the bytes as a recording, and decodes its first and last frame.
pub fn play(bytes: &[u8]) {
    let path = path("recording");
    fs::write(&path, bytes).expect("the folder is ours");
    let Ok(clip) = Clip::open(&path) else { return };
    for index in [0, clip.len() - 1] {
        let Ok(frame) = clip.frame(index) else { continue };
        assert!(frame.width.max(frame.height) <= MAX_SIDE_PX);
        assert_eq!(frame.rgb.len(), 3 * frame.width as usize * frame.height as usize);
    }
    let _ = (clip.frame_interval_ms(), clip.frame_name(0));
}

/// Opens the bytes as a Segmentation, and reads its first masks.
pub fn masks(bytes: &[u8]) {
    let path = path("segmentation");
    fs::write(&path, bytes).expect("the folder is ours");
    let Ok(segmentation) = Segmentation::open(&path) else { return };
    let pixels = segmentation.width() as usize * segmentation.height() as usize;
    for number in 0..4 {
        assert!(segmentation.mask(number).is_none_or(|mask| mask.len() == pixels));
    }
}

/// Path of a file in this process's folder.
pub fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

/// A state file in the format of `medsa-update`, with a correct checksum for any content.
pub fn sealed(json: &[u8]) -> Vec<u8> {
    [sha256_hex(json).as_bytes(), b"\n", json].concat()
}
