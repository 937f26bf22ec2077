//! Damage anywhere in a real file gives frames or an error, never a panic.

use std::fs;

use medsa_frames::{Clip, MAX_SIDE_PX};
use medsa_test_inputs::{asset, needs};
use tempfile::tempdir;

/// Number of damaged copies of each file.
const COPIES: u64 = 60;

/// One file or more of each encoding.
const FILES: [&str; 14] = [
    "examples_ybr_color.dcm",
    "examples_jpeg2k.dcm",
    "US1_J2KI.dcm",
    "examples_palette.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "JPGExtended.dcm",
    "rtdose_rle.dcm",
    "image_dfl.dcm",
];

#[test]
fn damaged_files_never_panic() {
    needs!("dicom");
    let folder = tempdir().unwrap();
    let path = folder.path().join("damaged.dcm");
    let mut random = Random(1);
    let mut refused = 0;
    for name in FILES {
        let whole = fs::read(asset(name)).unwrap();
        let tags = [[0xe0, 0x7f, 0x10, 0], [0x7f, 0xe0, 0, 0x10]];
        // Those of a deflated file cannot be found.
        let pixels =
            whole.windows(4).position(|tag| tags.iter().any(|one| tag == one)).unwrap_or(400);
        for copy in 0..COPIES {
            let mut bytes = whole.clone();
            for _ in 0..=copy % 4 {
                // In turn: the attributes, the start of the compressed stream, anywhere.
                let at = match copy % 3 {
                    0 => 132 + random.below(pixels - 132),
                    1 => (pixels + random.below(800)).min(bytes.len() - 1),
                    _ => random.below(bytes.len()),
                };
                bytes[at] = random.below(256) as u8;
            }
            fs::write(&path, bytes).unwrap();
            let frame = Clip::open(&path).and_then(|clip| clip.frame(clip.len() - 1));
            match frame {
                Ok(frame) => {
                    assert!(frame.width.max(frame.height) <= MAX_SIDE_PX);
                    assert_eq!(frame.rgb.len() as u32, frame.width * frame.height * 3);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 20, "only {refused} damaged files refused: is the damage real?");
}

/// A reproducible pseudorandom sequence (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}
