//! The ultrasound files decode to the same pixels as with pydicom 3.0.2 (with Pillow and
//! pylibjpeg-openjpeg). Palettes are compared with the high bytes of its `apply_color_lut`.

use medsa_frames::{Clip, Frame};
use medsa_test_inputs::{asset, data, needs};
use sha2::{Digest, Sha256};

/// First frame of a file according to pydicom.
struct Expected {
    name: &'static str,
    size: [u32; 2],
    /// Pixels as row, column, colour.
    pixels: [(u32, u32, [u8; 3]); 3],
    /// Start of the SHA-256 of `[H, W, 3]`; `None` if decoders may differ.
    sha256: Option<&'static str>,
    /// In the middle of the left half.
    pixel_spacing_mm: Option<[f32; 2]>,
}

const FILES: [Expected; 7] = [
    Expected {
        name: "US1_UNCR.dcm",
        size: [640, 480],
        pixels: [(240, 320, [12, 12, 12]), (160, 320, [115; 3]), (153, 18, [255, 255, 0])],
        sha256: Some("e16892020c73095e42ff4cf7368de520"),
        pixel_spacing_mm: None,
    },
    Expected {
        name: "examples_jpeg2k.dcm",
        size: [640, 480],
        pixels: [(240, 320, [12, 12, 12]), (160, 320, [115; 3]), (153, 18, [255, 255, 0])],
        // Lossless: the same image as US1_UNCR.dcm.
        sha256: Some("e16892020c73095e42ff4cf7368de520"),
        pixel_spacing_mm: None,
    },
    Expected {
        name: "US1_J2KI.dcm",
        size: [640, 480],
        pixels: [(240, 320, [4, 8, 8]), (160, 320, [116, 115, 116]), (153, 20, [241, 255, 0])],
        sha256: None,
        pixel_spacing_mm: None,
    },
    Expected {
        name: "examples_rgb_color.dcm",
        size: [320, 240],
        pixels: [(120, 160, [10; 3]), (80, 160, [104; 3]), (78, 10, [255, 255, 0])],
        sha256: Some("a64f021b9093684b86aa47195ce0f9e3"),
        pixel_spacing_mm: None,
    },
    Expected {
        name: "examples_palette.dcm",
        size: [800, 350],
        pixels: [(175, 400, [1; 3]), (116, 400, [113; 3]), (96, 789, [90, 205, 255])],
        sha256: Some("322156a65198e9bee9b231c14fcb48d0"),
        // Its region extends to row 518, so the file was cropped.
        pixel_spacing_mm: None,
    },
    Expected {
        name: "gdcm-US-ALOKA-16.dcm",
        size: [640, 480],
        pixels: [(240, 320, [1; 3]), (160, 320, [14; 3]), (23, 32, [0, 250, 0])],
        sha256: Some("97697b719ccd7c15c9cfbee12cb1285b"),
        pixel_spacing_mm: Some([0.382_653_06, 0.382_653_06]),
    },
    Expected {
        name: "examples_ybr_color.dcm",
        size: [320, 240],
        pixels: [(120, 160, [7; 3]), (80, 160, [21; 3]), (20, 190, [73, 143, 119])],
        sha256: None,
        // Its region extends to column 595, so the file was scaled.
        pixel_spacing_mm: None,
    },
];

/// Mean of each frame of the cine, from pydicom.
const CINE_MEANS: [f64; 30] = [
    9.471, 9.316, 9.262, 9.232, 9.237, 9.343, 9.431, 9.536, 9.533, 9.920, 10.321, 10.321, 10.445,
    10.481, 10.606, 10.674, 10.888, 10.975, 11.161, 11.492, 11.721, 11.841, 11.792, 11.764, 11.534,
    11.290, 11.076, 10.733, 10.733, 10.595,
];

#[test]
fn every_file_decodes_as_in_pydicom() {
    needs!("dicom");
    for expected in FILES {
        let name = expected.name;
        let frame = Clip::open(asset(name)).unwrap().frame(0).unwrap();
        assert_eq!([frame.width, frame.height], expected.size, "{name}");
        let spacing = frame.pixel_spacing_mm.as_ref();
        let spacing_mm = spacing.and_then(|spacing| spacing.at(frame.width / 4, frame.height / 2));
        assert_eq!(spacing_mm, expected.pixel_spacing_mm, "{name}");
        for (row, column, colour) in expected.pixels {
            let found = pixel(&frame, row, column);
            let far = found.iter().zip(colour).any(|(a, b)| a.abs_diff(b) > 3);
            assert!(!far, "{name} at row {row}, column {column}: {found:?}, expected {colour:?}");
        }
        if let Some(sha256) = expected.sha256 {
            assert!(hex::encode(Sha256::digest(&frame.rgb)).starts_with(sha256), "{name}");
        }
    }
}

#[test]
fn lossy_jpeg_2000_is_close_to_its_original() {
    needs!("dicom");
    let frame = |name| Clip::open(asset(name)).unwrap().frame(0).unwrap();
    let (_, mean) = difference(&frame("US1_J2KI.dcm").rgb, &frame("US1_UNCR.dcm").rgb);
    assert!(mean < 3.0, "mean difference {mean}");
}

#[test]
fn cine_decodes_frame_by_frame() {
    needs!("dicom");
    let clip = Clip::open(asset("examples_ybr_color.dcm")).unwrap();
    assert_eq!(clip.len(), 30);
    assert_eq!(clip.frame_interval_ms(), Some(33.333));
    assert_eq!(clip.frame_name(7).unwrap(), "examples_ybr_color.dcm-07");
    for (index, expected) in CINE_MEANS.into_iter().enumerate() {
        let rgb = clip.frame(index).unwrap().rgb;
        let mean = rgb.iter().map(|&value| f64::from(value)).sum::<f64>() / rgb.len() as f64;
        // Most neighbouring frames differ by more than this, so a swapped frame is noticed.
        assert!((mean - expected).abs() < 0.02, "frame {index}: {mean}, expected {expected}");
    }
}

#[test]
fn first_frame_of_the_cine_equals_the_reference() {
    needs!("dicom");
    let golden = image::open(data("golden/frame.png")).unwrap().into_rgb8();
    assert_eq!(golden.dimensions(), (320, 240));
    let frame = Clip::open(asset("examples_ybr_color.dcm")).unwrap().frame(0).unwrap();
    // JPEG decoders round differently: by a few grey levels, and hardly any on average.
    let (max, mean) = difference(&frame.rgb, &golden);
    println!("max {max}, mean {mean}");
    assert!(max <= 3 && mean < 0.5, "max {max}, mean {mean}");
}

fn pixel(frame: &Frame, row: u32, column: u32) -> [u8; 3] {
    let at = ((row * frame.width + column) * 3) as usize;
    [frame.rgb[at], frame.rgb[at + 1], frame.rgb[at + 2]]
}

/// Largest and mean absolute difference.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = differences.clone().map(f64::from).sum();
    (differences.max().unwrap_or(0), sum / a.len() as f64)
}
