//! Files with the usual faults are read, with a warning; bombs are refused before memory of their
//! size is taken.

mod common;

use std::fs;
use std::io::Write;

use common::{DicomFile, EXPLICIT_VR, IMPLICIT_VR};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use medsa_frames::{Clip, FramesError, PixelSpacing};
use tempfile::tempdir;

#[test]
fn file_without_preamble_or_meta_group_is_read() {
    let elements = image(DicomFile::bare()).pixels(&PIXELS);
    let with_group_8 = DicomFile::bare().text(0x0008, 0x0016, b"UI", "1.2").raw(elements.bytes());
    let clip = open(with_group_8);
    assert_eq!(clip.frame(0).unwrap().rgb, rgb());
    assert_warned(&clip, "the preamble is missing");
    assert_warned(&clip, "the transfer syntax is missing; Explicit VR Little Endian is assumed");

    let implicit = DicomFile::bare().raw(&implicit_image());
    let clip = open(implicit);
    assert_eq!(clip.frame(0).unwrap().rgb, rgb());
    assert_warned(&clip, "Implicit VR Little Endian is assumed");
}

#[test]
fn elements_in_another_form_than_stated_are_read() {
    let clip = open(DicomFile::new(EXPLICIT_VR).raw(&implicit_image()));
    assert_eq!(clip.frame(0).unwrap().rgb, rgb());
    assert_warned(&clip, "the elements are not in Explicit VR Little Endian");
    let clip = open(image(DicomFile::new(IMPLICIT_VR)).pixels(&PIXELS));
    assert_eq!(clip.frame(0).unwrap().rgb, rgb());
}

#[test]
fn meta_group_without_its_length_is_read() {
    let whole = image(DicomFile::new(EXPLICIT_VR)).pixels(&PIXELS);
    // The length is the first element: 12 bytes.
    let mut bytes = whole.bytes().to_vec();
    bytes.drain(132..144);
    assert_eq!(open_bytes(&bytes).unwrap().frame(0).unwrap().rgb, rgb());
}

#[test]
fn bytes_after_the_pixels_are_ignored() {
    let whole = || image(DicomFile::new(EXPLICIT_VR)).pixels(&PIXELS);
    for (tail, warning) in [
        (&[0; 40][..], "40 bytes of padding at the end"),
        (&[0; 3], "3 bytes of padding at the end"),
        (&[7; 40], "is ignored: truncated or damaged: (0707,0707)"),
    ] {
        let clip = open(whole().raw(tail));
        assert_eq!(clip.frame(0).unwrap().rgb, rgb());
        assert_warned(&clip, warning);
    }
    assert!(open(whole()).warnings().is_empty());
}

#[test]
fn missing_delimiter_after_the_fragments_is_tolerated() {
    let mut stream = vec![0; 64];
    stream[..8].copy_from_slice(&[1, 0, 0, 0, 64, 0, 0, 0]);
    stream.extend_from_slice(&[3, 1, 2, 3, 4, 0]);
    let file = || image(DicomFile::new(common::RLE)).fragments(&[&stream]);
    let whole = file();
    let without = &whole.bytes()[..whole.bytes().len() - 8];
    let clip = open_bytes(without).unwrap();
    assert_eq!(clip.frame(0).unwrap().rgb, rgb());
    assert_warned(&clip, "the delimiter after the last fragment is missing");
    // Another element follows.
    let clip = open(DicomFile::bare().raw(without).text(0xfffc, 0xfffc, b"OB", "xx"));
    assert_warned(&clip, "the delimiter after the last fragment is missing");
    assert!(open(file()).warnings().is_empty());
}

#[test]
fn zero_frames_are_one_frame() {
    let file = DicomFile::new(EXPLICIT_VR).cine(1, "MONOCHROME2", 0, [2, 2], 8).pixels(&PIXELS);
    let clip = open(file);
    assert_eq!((clip.len(), clip.frame(0).unwrap().rgb), (1, rgb()));
    assert_warned(&clip, "NumberOfFrames is 0; one frame is read");
}

#[test]
fn sequences_of_unknown_type_are_read() {
    // An item in implicit form, as required within UN: (0009,1002) with 4 bytes.
    let item =
        [&implicit(0x0009, 0x1002, b"abcd")[..], &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0]].concat();
    let unknown = [
        &[0x09, 0, 0x01, 0x10, b'U', b'N', 0, 0, 255, 255, 255, 255][..],
        &[0xfe, 0xff, 0x00, 0xe0, 255, 255, 255, 255],
        &item,
        &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
    ]
    .concat();
    let clip = open(image(DicomFile::new(EXPLICIT_VR).raw(&unknown)).pixels(&PIXELS));
    assert_eq!(clip.frame(0).unwrap().rgb, rgb());
    // An implicit item in an explicit file: PixelSpacing in the shared functional groups.
    let measures =
        [&[0xfe, 0xff, 0x00, 0xe0, 16, 0, 0, 0][..], &implicit(0x0028, 0x0030, b"0.5\\0.25")[..]]
            .concat();
    let groups = DicomFile::bare().element(0x0028, 0x9110, b"SQ", &measures);
    let file = image(DicomFile::new(EXPLICIT_VR)).sequence(0x5200, 0x9229, groups);
    let clip = open(file.pixels(&PIXELS));
    assert_eq!(clip.frame(0).unwrap().pixel_spacing_mm, Some(PixelSpacing::Uniform([0.5, 0.25])));
    // Known tags keep their meaning: PixelSpacing as UN.
    let spacing = DicomFile::new(EXPLICIT_VR).element(0x0028, 0x0030, b"UN", b"0.5\\0.25");
    let clip = open(image(spacing).pixels(&PIXELS));
    assert_eq!(clip.frame(0).unwrap().pixel_spacing_mm, Some(PixelSpacing::Uniform([0.5, 0.25])));
}

#[test]
fn subsampled_label_with_full_chroma_is_refused() {
    let file = DicomFile::new(EXPLICIT_VR).image(3, "YBR_FULL_422", [2, 2], 8).pixels(&[9; 12]);
    assert_refused(file.bytes(), "PixelData has 12 bytes, expected 8");
}

#[test]
fn more_bits_in_a_stream_than_in_the_header_do_not_panic() {
    let folder = tempdir().unwrap();
    let jpeg = folder.path().join("grey.jpg");
    image::GrayImage::from_pixel(8, 8, image::Luma([200])).save(&jpeg).unwrap();
    let file = DicomFile::new("1.2.840.10008.1.2.4.50")
        .u16(0x0028, 0x0002, 1)
        .text(0x0028, 0x0004, b"CS", "MONOCHROME2")
        .u16(0x0028, 0x0010, 8)
        .u16(0x0028, 0x0011, 8)
        .u16(0x0028, 0x0100, 8)
        .u16(0x0028, 0x0101, 4)
        .u16(0x0028, 0x0102, 3)
        .fragments(&[&fs::read(jpeg).unwrap()]);
    assert_eq!(open(file).frame(0).unwrap().rgb, [200; 192]);
}

#[test]
fn elements_that_take_much_more_memory_than_the_file_are_refused() {
    // A text of many empty values takes 25 bytes for each.
    let text = vec![b'\\'; 1 << 20];
    let mut file = DicomFile::new(EXPLICIT_VR);
    for element in 0..30 {
        file = file.element(0x0010, element, b"UC", &text);
    }
    assert_refused(file.bytes(), "bytes of memory for elements, expected at most");
}

#[test]
fn deflated_file_that_grows_too_much_is_refused() {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..70 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    let file = DicomFile::new("1.2.840.10008.1.2.1.99").raw(&encoder.finish().unwrap());
    assert_refused(file.bytes(), "bytes after inflating, expected at most");
    let damaged = DicomFile::new("1.2.840.10008.1.2.1.99").raw(&[0xff; 50]);
    assert_refused(damaged.bytes(), "the data set cannot be inflated");
}

#[test]
fn truncated_jpeg_files_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("cut.jpg");
    let turned = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 0]));
    turned.save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(Clip::open(&path).unwrap().frame(0).is_ok());
    fs::write(&path, [&whole[..], &[0, 1, 2, 3]].concat()).unwrap();
    assert!(Clip::open(&path).unwrap().frame(0).is_ok(), "bytes after the end are ignored");
    for tenths in 1..10 {
        fs::write(&path, &whole[..whole.len() * tenths / 10]).unwrap();
        let result = Clip::open(&path).and_then(|clip| clip.frame(0));
        assert!(matches!(result, Err(FramesError::Image { .. })), "{tenths} tenths");
    }
}

#[test]
fn orientation_of_a_jpeg_file_is_applied() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("turned.jpg");
    // Left half dark, right half bright.
    let stored = |x, _| image::Luma([if x < 16 { 20 } else { 220 }]);
    image::GrayImage::from_fn(32, 16, stored).save(&path).unwrap();
    let plain = fs::read(&path).unwrap();
    // Orientation 6: the stored image is shown turned clockwise by 90 degrees.
    let exif = [
        &[0xff, 0xe1, 0, 34][..],
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    ]
    .concat();
    fs::write(&path, [&plain[..2], &exif, &plain[2..]].concat()).unwrap();
    let frame = Clip::open(&path).unwrap().frame(0).unwrap();
    assert_eq!((frame.width, frame.height), (16, 32));
    assert!(frame.rgb[0] < 40 && frame.rgb[frame.rgb.len() - 1] > 200);
}

/// A picture of 2 x 2 px.
const PIXELS: [u8; 4] = [1, 2, 3, 4];

fn rgb() -> Vec<u8> {
    PIXELS.iter().flat_map(|&value| [value; 3]).collect()
}

fn image(file: DicomFile) -> DicomFile {
    file.image(1, "MONOCHROME2", [2, 2], 8)
}

/// The same picture in implicit form.
fn implicit_image() -> Vec<u8> {
    [
        implicit(0x0008, 0x0016, b"1.2\0"),
        implicit(0x0028, 0x0002, &[1, 0]),
        implicit(0x0028, 0x0004, b"MONOCHROME2 "),
        implicit(0x0028, 0x0010, &[2, 0]),
        implicit(0x0028, 0x0011, &[2, 0]),
        implicit(0x0028, 0x0100, &[8, 0]),
        implicit(0x0028, 0x0101, &[8, 0]),
        implicit(0x7fe0, 0x0010, &PIXELS),
    ]
    .concat()
}

fn implicit(group: u16, element: u16, value: &[u8]) -> Vec<u8> {
    let len = (value.len() as u32).to_le_bytes();
    [&group.to_le_bytes()[..], &element.to_le_bytes(), &len, value].concat()
}

fn open(file: DicomFile) -> Clip {
    open_bytes(file.bytes()).unwrap()
}

fn open_bytes(bytes: &[u8]) -> Result<Clip, FramesError> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("made.dcm");
    fs::write(&path, bytes).unwrap();
    Clip::open(path)
}

fn assert_warned(clip: &Clip, expected: &str) {
    let warnings = clip.warnings();
    assert!(warnings.iter().any(|warning| warning.contains(expected)), "{warnings:?}");
}

fn assert_refused(bytes: &[u8], expected: &str) {
    let error = open_bytes(bytes).expect_err(expected).to_string();
    assert!(error.contains(expected), "{error}");
}
