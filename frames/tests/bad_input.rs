//! Damaged, foreign and oversized files give errors that name the file, the value found and the
//! value expected.

mod common;

use std::fs;
use std::path::Path;

use common::{DicomFile, EXPLICIT_VR, RLE};
use medsa_frames::{Clip, FramesError};
use medsa_test_inputs::{asset, needs};
use tempfile::tempdir;

#[test]
fn missing_file_is_named() {
    let error = Clip::open("no/such/cine.dcm").unwrap_err();
    assert!(matches!(error, FramesError::Read { .. }));
    assert!(error.to_string().starts_with("no/such/cine.dcm: cannot be read"), "{error}");
}

#[test]
fn foreign_files_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("notes.dcm");
    for content in ["", "not an image", &"x".repeat(5000)] {
        fs::write(&path, content).unwrap();
        let error = Clip::open(&path).unwrap_err();
        assert!(matches!(error, FramesError::Unrecognized { .. }), "{error}");
        assert!(error.to_string().contains("expected a DICOM file"), "{error}");
    }
}

#[test]
fn folder_without_images_is_refused() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let error = Clip::open(folder.path()).unwrap_err();
    assert!(matches!(error, FramesError::EmptyFolder { .. }), "{error}");
}

#[test]
fn dicom_files_truncated_anywhere_are_refused() {
    needs!("dicom");
    let folder = tempdir().unwrap();
    let path = folder.path().join("cut.dcm");
    for name in ["examples_rgb_color.dcm", "examples_ybr_color.dcm", "gdcm-US-ALOKA-16.dcm"] {
        let whole = fs::read(asset(name)).unwrap();
        for tenths in 1..10 {
            fs::write(&path, &whole[..whole.len() * tenths / 10]).unwrap();
            let error = Clip::open(&path).unwrap_err().to_string();
            assert!(error.contains("cut.dcm: truncated or damaged: ("), "{name}: {error}");
        }
    }
}

#[test]
fn truncated_images_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("cut.png");
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]))
        .save(&path)
        .unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = Clip::open(&path).unwrap().frame(0).unwrap_err();
    assert!(matches!(error, FramesError::Image { .. }), "{error}");
    fs::write(&path, &whole[..10]).unwrap();
    assert!(matches!(Clip::open(&path), Err(FramesError::Image { .. })));
}

#[test]
fn frame_index_out_of_range_is_named() {
    let clip = Clip::open(write(grey(2, [4, 4]).pixels(&[7; 32])).1).unwrap();
    assert_eq!(clip.len(), 2);
    assert!(clip.frame(1).is_ok());
    let error = clip.frame(2).unwrap_err();
    assert!(matches!(error, FramesError::FrameRange { index: 2, len: 2, .. }));
    assert!(error.to_string().ends_with("frame 2 requested, expected below 2"), "{error}");
    assert_eq!(clip.frame_name(2), None);
}

#[test]
fn sizes_beyond_limits_are_refused_before_decoding() {
    for (file, expected) in [
        (grey(1, [4097, 4]), "frame of 4 x 4097 px, expected 1 to 4096"),
        (grey(1, [0, 4]), "frame of 4 x 0 px"),
        (grey(20_001, [4, 4]), "20001 frames, expected 1 to 20000"),
        (grey(3, [4, 4]), "PixelData has 16 bytes, expected 48"),
        (grey(20_000, [4096, 4096]), "expected 335544320000"),
    ] {
        assert_refused(file.pixels(&[0; 16]), expected);
    }
}

#[test]
fn image_sizes_beyond_limits_are_refused_before_decoding() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("wide.png");
    image::GrayImage::new(4097, 1).save(&path).unwrap();
    let error = Clip::open(&path).unwrap_err();
    assert!(matches!(error, FramesError::FrameSize { width: 4097, height: 1, .. }), "{error}");
}

#[test]
fn lengths_beyond_the_file_are_refused_before_allocation() {
    let element =
        |len: u32| [&[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0][..], &len.to_le_bytes()].concat();
    let file = grey(1, [4, 4]).raw(&element(0xffff_fff0)).raw(&[0; 16]);
    assert_refused(file, "(7FE0,0010) at byte");
    let file = grey(1, [4, 4]).raw(&element(u32::MAX)).raw(&[0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0x7f]);
    assert_refused(file, "(FFFE,E000) at byte");
}

#[test]
fn partial_values_are_refused() {
    let partial = [0x28, 0, 2, 1, b'F', b'D', 2, 0, 7, 0];
    let file = || grey(1, [4, 4]).raw(&partial);
    assert_refused(file().pixels(&[0; 16]), "(0028,0102) at byte");
    assert_refused(file().pixels(&[0; 16]), "has 2 bytes, expected a multiple of 8 (FD)");
    // Faults after the pixels are only reported.
    let (_folder, path) = write(grey(1, [4, 4]).pixels(&[0; 16]).raw(&partial));
    assert!(Clip::open(path).is_ok());
}

#[test]
fn deep_nesting_is_refused() {
    // A sequence of undefined length that contains an item of undefined length, and so on.
    let level = [0x40, 0, 0x75, 0x02, b'S', b'Q', 0, 0, 255, 255, 255, 255];
    let item = [0xfe, 0xff, 0, 0xe0, 255, 255, 255, 255];
    let nested = [&level[..], &item].concat().repeat(50_000);
    assert_refused(DicomFile::new(EXPLICIT_VR).raw(&nested), "levels of nesting, expected at most");
}

#[test]
fn unsupported_attributes_are_named() {
    let image = |samples, photometric, bits| {
        DicomFile::new(EXPLICIT_VR).image(samples, photometric, [4, 4], bits).pixels(&[0; 96])
    };
    assert_refused(image(3, "MONOCHROME2", 8), "SamplesPerPixel is 3");
    assert_refused(image(1, "RGB", 8), "SamplesPerPixel is 1");
    assert_refused(image(2, "RGB", 8), "SamplesPerPixel is 2, expected 1 or 3");
    assert_refused(image(3, "RGB", 12), "BitsAllocated is 12, expected 1, 8, 16 or 32");
    assert_refused(image(3, "RGB", 1), "BitsAllocated is 1, expected 8, 16 or 32 with colour");
    assert_refused(image(1, "PALETTE COLOR", 32), "BitsAllocated is 32, expected at most 16");
    assert_refused(image(3, "HSV", 8), "PhotometricInterpretation is HSV, expected MONOCHROME1");
    assert_refused(image(3, "YBR_ICT", 8), "PhotometricInterpretation is YBR_ICT");
    assert_refused(image(1, "PALETTE COLOR", 8), "RedPaletteColorLookupTableDescriptor is missing");
    assert_refused(grey(1, [4, 4]), "PixelData is missing");
    assert_refused(DicomFile::new(EXPLICIT_VR).pixels(&[0]), "Rows is missing");
}

#[test]
fn inconsistent_compressed_frames_are_refused() {
    let rle = |fragments: &[&[u8]], frames| {
        DicomFile::new(RLE).cine(1, "MONOCHROME2", frames, [4, 4], 8).fragments(fragments)
    };
    assert_refused(rle(&[&[0; 64]], 2), "PixelData has 0 frames, expected 2");
    assert_refused(rle(&[], 1), "PixelData has 0 frames, expected 1");
    // Empty fragments are passed over.
    assert_refused(rle(&[&[]], 1), "PixelData has 0 frames, expected 1");
    let mut short = [0; 68];
    short[..8].copy_from_slice(&[1, 0, 0, 0, 64, 0, 0, 0]);
    short[64..66].copy_from_slice(&[253, 9]);
    for (stream, expected) in
        [(&[1; 10][..], "damaged RLE stream"), (&short, "segment 0 ends early")]
    {
        let clip = Clip::open(write(rle(&[stream], 1)).1).unwrap();
        let error = clip.frame(0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn stream_of_another_size_than_the_header_is_refused() {
    needs!("dicom");
    for name in ["examples_ybr_color.dcm", "examples_jpeg2k.dcm"] {
        let mut bytes = fs::read(asset(name)).unwrap();
        let rows = [0x28, 0, 0x10, 0, b'U', b'S', 2, 0];
        let at = bytes.windows(8).position(|window| window == rows).expect("has Rows") + 8;
        // One row less: a decoder that ignored the header would write beyond a frame of that size.
        bytes[at] -= 1;
        let folder = tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = Clip::open(&path).unwrap().frame(0).unwrap_err().to_string();
        assert!(error.contains("frame 0: height of the compressed stream is"), "{error}");
    }
}

#[test]
fn truncated_streams_are_refused() {
    needs!("dicom");
    let files = [
        ("examples_ybr_color.dcm", "1.2.840.10008.1.2.4.50", "YBR_FULL_422", [240, 320]),
        ("examples_jpeg2k.dcm", "1.2.840.10008.1.2.4.90", "YBR_RCT", [480, 640]),
        ("US1_J2KI.dcm", "1.2.840.10008.1.2.4.91", "YBR_ICT", [480, 640]),
    ];
    for (name, transfer_syntax, photometric, size) in files {
        let stream = first_stream(&fs::read(asset(name)).unwrap());
        let clip = |stream: &[u8]| {
            let file = DicomFile::new(transfer_syntax).image(3, photometric, size, 8);
            Clip::open(write(file.fragments(&[stream])).1).unwrap()
        };
        assert!(clip(&stream).frame(0).is_ok(), "{name}: the whole stream decodes");
        for tenths in 1..10 {
            let error = clip(&stream[..stream.len() * tenths / 10]).frame(0).expect_err(name);
            let damaged = error.to_string().contains("frame 0: damaged JPEG");
            assert!(damaged, "{name}, {tenths} tenths: {error}");
        }
    }
}

/// Stream of the first frame; if it has several fragments, those before the next frame's start.
fn first_stream(file: &[u8]) -> Vec<u8> {
    let pixels = file.windows(4).position(|tag| tag == [0xe0, 0x7f, 0x10, 0]).expect("PixelData");
    let mut rest = &file[pixels + 12..];
    let mut stream = Vec::new();
    // The offset table is the first item.
    for item in 0.. {
        let (header, after) = rest.split_at(8);
        let len = u32::from_le_bytes(header[4..].try_into().expect("four bytes")) as usize;
        let next_frame = item > 1 && after.starts_with(&[0xff, 0xd8]);
        if header[..4] == [0xfe, 0xff, 0xdd, 0xe0] || next_frame {
            break;
        }
        if item > 0 {
            stream.extend_from_slice(&after[..len]);
        }
        rest = &after[len..];
    }
    stream
}

fn grey(frames: u32, size: [u16; 2]) -> DicomFile {
    DicomFile::new(EXPLICIT_VR).cine(1, "MONOCHROME2", frames, size, 8)
}

fn write(file: DicomFile) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempdir().unwrap();
    let path = file.write(folder.path());
    (folder, path)
}

fn assert_refused(file: DicomFile, expected: &str) {
    let (_folder, path) = write(file);
    let error = Clip::open(Path::new(&path)).expect_err(expected).to_string();
    assert!(error.contains(expected), "expected `{expected}`: {error}");
    assert!(error.contains("made.dcm: "), "{error}");
}
