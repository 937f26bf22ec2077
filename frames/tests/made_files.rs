//! Kinds of files that the real ones do not cover, made by the tests.

mod common;

use std::fs;

use common::{DicomFile, EXPLICIT_VR, RLE};
use medsa_frames::{Clip, Frame, PixelSpacing};
use tempfile::tempdir;

#[test]
fn grey_16_bit_frames_are_read_in_order() {
    let words: Vec<u8> = [0u16, 65535, 32768, 257].iter().flat_map(|v| v.to_le_bytes()).collect();
    let file = DicomFile::new(EXPLICIT_VR)
        .cine(1, "MONOCHROME2", 2, [1, 2], 16)
        .element(0x7fe0, 0x0010, b"OW", &words);
    let clip = open(file);
    assert_eq!(clip.frame(0).unwrap().rgb, [0, 0, 0, 255, 255, 255]);
    assert_eq!(clip.frame(1).unwrap().rgb, [128, 128, 128, 1, 1, 1]);
    assert_eq!(clip.frame_name(1).unwrap(), "made.dcm-1");
}

#[test]
fn native_ybr_becomes_rgb() {
    let full = DicomFile::new(EXPLICIT_VR)
        .image(3, "YBR_FULL", [1, 2], 8)
        .pixels(&[76, 85, 255, 100, 128, 128]);
    assert_eq!(open(full).frame(0).unwrap().rgb, [254, 0, 0, 100, 100, 100]);
    let pairs =
        DicomFile::new(EXPLICIT_VR).image(3, "YBR_FULL_422", [1, 2], 8).pixels(&[50, 60, 128, 128]);
    assert_eq!(open(pairs).frame(0).unwrap().rgb, [50, 50, 50, 60, 60, 60]);
}

#[test]
fn run_length_planes_become_rgb() {
    let mut stream = vec![0; 64];
    for (index, word) in [3u32, 64, 66, 70].iter().enumerate() {
        stream[4 * index..4 * index + 4].copy_from_slice(&word.to_le_bytes());
    }
    // Red: two of 9. Green: 1, 2. Blue: two of 5.
    stream.extend_from_slice(&[255, 9, 1, 1, 2, 0, 255, 5]);
    let file = DicomFile::new(RLE).image(3, "RGB", [1, 2], 8).fragments(&[&stream]);
    assert_eq!(open(file).frame(0).unwrap().rgb, [9, 1, 5, 9, 2, 5]);
}

#[test]
fn frame_interval_is_read_from_each_attribute() {
    let cases: [(DicomFile, Option<f64>); 5] = [
        (DicomFile::new(EXPLICIT_VR), None),
        (DicomFile::new(EXPLICIT_VR).text(0x0018, 0x1063, b"DS", "40"), Some(40.0)),
        (DicomFile::new(EXPLICIT_VR).text(0x0018, 0x0040, b"IS", "50"), Some(20.0)),
        (DicomFile::new(EXPLICIT_VR).text(0x0008, 0x2144, b"IS", "25"), Some(40.0)),
        (DicomFile::new(EXPLICIT_VR).text(0x0018, 0x1065, b"DS", "0\\33.5\\34"), Some(33.5)),
    ];
    for (file, expected) in cases {
        let clip = open(file.image(1, "MONOCHROME2", [1, 2], 8).pixels(&[0, 0]));
        assert_eq!(clip.frame_interval_ms(), expected);
    }
}

#[test]
fn pixel_spacing_is_row_then_column() {
    let file = DicomFile::new(EXPLICIT_VR).image(1, "MONOCHROME2", [1, 2], 8);
    // PixelSpacing belongs between the attributes of `image`; the parser accepts any order.
    let file = file.text(0x0028, 0x0030, b"DS", "0.5\\0.25").pixels(&[0, 0]);
    let expected = Some(PixelSpacing::Uniform([0.5, 0.25]));
    assert_eq!(open(file).frame(0).unwrap().pixel_spacing_mm, expected);
}

#[test]
fn folder_is_sorted_by_numbers_in_names() {
    let folder = tempdir().unwrap();
    for number in [10u8, 2, 1] {
        let image = image::RgbImage::from_pixel(3, 2, image::Rgb([number, 0, 255]));
        image.save(folder.path().join(format!("frame{number}.png"))).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "ignored").unwrap();
    let clip = Clip::open(folder.path()).unwrap();
    assert_eq!(clip.len(), 3);
    assert_eq!(clip.frame_interval_ms(), None);
    for (index, number) in [1u8, 2, 10].into_iter().enumerate() {
        let rgb = [number, 0, 255].repeat(6);
        let expected = Frame { width: 3, height: 2, rgb, pixel_spacing_mm: None };
        assert_eq!(clip.frame(index).unwrap(), expected);
        assert_eq!(clip.frame_name(index).unwrap(), format!("frame{number}.png"));
    }
}

#[test]
fn jpeg_file_is_a_clip_of_one_frame() {
    let folder = tempdir().unwrap();
    // The extension is wrong on purpose, since the content decides.
    let path = folder.path().join("image.dat");
    let image = image::RgbImage::from_pixel(16, 8, image::Rgb([200, 100, 50]));
    image.save_with_format(&path, image::ImageFormat::Jpeg).unwrap();
    let clip = Clip::open(&path).unwrap();
    assert_eq!((clip.len(), clip.frame_name(0).unwrap().as_str()), (1, "image.dat"));
    let frame = clip.frame(0).unwrap();
    assert_eq!((frame.width, frame.height), (16, 8));
    let far = frame.rgb.iter().zip([200u8, 100, 50].repeat(128)).any(|(a, b)| a.abs_diff(b) > 3);
    assert!(!far);
}

fn open(file: DicomFile) -> Clip {
    let folder = tempdir().unwrap();
    // The clip holds everything it needs in memory, so the file may be deleted.
    Clip::open(file.write(folder.path())).unwrap()
}
