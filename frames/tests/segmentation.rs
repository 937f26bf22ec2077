//! Segmentations made by the tests. Files of the service are read in `tests/tests/suite/records.rs`.

mod common;

use common::{DicomFile, EXPLICIT_VR, RLE};
use medsa_frames::Segmentation;
use tempfile::tempdir;

const SEGMENTATION: &str = "1.2.840.10008.5.1.4.1.1.66.4";
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

#[test]
fn masks_are_read_by_segment_number() {
    // 2 x 3 px: 100001 and 110001, the lowest bit first and without a gap.
    let made = file(SEGMENTATION, "BINARY", &[7, 2], 1).pixels(&[0b1110_0001, 0b1000]);
    let segmentation = open(made).unwrap();
    assert_eq!((segmentation.width(), segmentation.height()), (3, 2));
    let mask = |number| segmentation.mask(number);
    assert_eq!(mask(7), Some(vec![true, false, false, false, false, true]));
    assert_eq!(mask(2), Some(vec![true, true, false, false, false, true]));
    assert_eq!(mask(1), None);
}

#[test]
fn other_kinds_of_files_are_refused_with_what_they_are() {
    let refused = |file: DicomFile, expected: &str| {
        let error = open(file).unwrap_err();
        assert!(error.contains("made.dcm: ") && error.contains(expected), "{error}");
    };
    let pixels: &[u8] = &[0; 12];
    refused(
        file(SECONDARY_CAPTURE, "BINARY", &[1], 1).pixels(pixels),
        "SOPClassUID is 1.2.840.10008.5.1.4.1.1.7, expected 1.2.840.10008.5.1.4.1.1.66.4",
    );
    refused(
        file(SEGMENTATION, "FRACTIONAL", &[1], 1).pixels(pixels),
        "SegmentationType is FRACTIONAL, expected BINARY",
    );
    refused(file(SEGMENTATION, "BINARY", &[1], 8).pixels(pixels), "BitsAllocated is 8, expected 1");
    refused(
        file(SEGMENTATION, "BINARY", &[3, 3], 1).pixels(pixels),
        "ReferencedSegmentNumber is 3 twice",
    );
    refused(
        file(SEGMENTATION, "BINARY", &[1, 2, 3], 1).pixels(&[0]),
        "PixelData has 2 bytes, expected 3",
    );
    refused(file(SEGMENTATION, "BINARY", &[1], 1), "PixelData is missing");
    let one_group = DicomFile::new(EXPLICIT_VR)
        .text(0x0008, 0x0016, b"UI", SEGMENTATION)
        .cine(1, "MONOCHROME2", 2, [2, 3], 1)
        .text(0x0062, 0x0001, b"CS", "BINARY")
        .element(0x5200, 0x9230, b"SQ", &group(1));
    refused(one_group.pixels(pixels), "PerFrameFunctionalGroupsSequence is of 1 items");
    let packed = DicomFile::new(RLE)
        .text(0x0008, 0x0016, b"UI", SEGMENTATION)
        .text(0x0062, 0x0001, b"CS", "BINARY");
    refused(
        packed,
        "TransferSyntaxUID is RLE Lossless (1.2.840.10008.1.2.5), expected uncompressed",
    );
}

#[test]
fn file_without_the_letters_of_dicom_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("made.dcm");
    for (bytes, expected) in [
        (&b"short"[..], "truncated or damaged: preamble at byte 0 needs 128 bytes, 5 are left"),
        (&[b'x'; 400], "prefix at byte 128 is [78, 78, 78, 78], expected the letters DICM"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Segmentation::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A file of 2 x 3 px, whose pixels have to follow.
fn file(class: &str, kind: &str, segments: &[u16], bits: u16) -> DicomFile {
    let groups: Vec<u8> = segments.iter().flat_map(|&number| group(number)).collect();
    DicomFile::new(EXPLICIT_VR)
        .text(0x0008, 0x0016, b"UI", class)
        .cine(1, "MONOCHROME2", segments.len() as u32, [2, 3], bits)
        .text(0x0062, 0x0001, b"CS", kind)
        .element(0x5200, 0x9230, b"SQ", &groups)
}

/// Functional groups of the frame of a segment.
fn group(number: u16) -> Vec<u8> {
    let segment = DicomFile::bare().u16(0x0062, 0x000b, number).into_item();
    DicomFile::bare().element(0x0062, 0x000a, b"SQ", &segment).into_item()
}

fn open(file: DicomFile) -> Result<Segmentation, String> {
    let folder = tempdir().unwrap();
    Segmentation::open(file.write(folder.path())).map_err(|error| error.to_string())
}
