//! Grey values are shown as the standard says: modality transform, then window or lookup table.

mod common;

use common::{DicomFile, EXPLICIT_VR};
use medsa_frames::{Clip, PixelSpacing};
use tempfile::tempdir;

#[test]
fn signed_values_pass_through_rescale_and_window() {
    // Values in Hounsfield units: stored -100, 0, 100, 300 minus 50.
    let file = signed(&[-100, 0, 100, 300])
        .text(0x0028, 0x1050, b"DS", "50\\400")
        .text(0x0028, 0x1051, b"DS", "201\\2000")
        .text(0x0028, 0x1052, b"DS", "-50")
        .text(0x0028, 0x1053, b"DS", "1");
    // Linear from -50.5 to 149.5.
    assert_eq!(shades(file, &words(&[-100, 0, 100, 300])), [0, 1, 128, 255]);
}

#[test]
fn window_functions_are_told_apart() {
    let values = [0, 50, 100, 200];
    let file = |function| {
        signed(&values)
            .text(0x0028, 0x1050, b"DS", "50")
            .text(0x0028, 0x1051, b"DS", "100")
            .text(0x0028, 0x1056, b"CS", function)
    };
    assert_eq!(shades(file("LINEAR"), &words(&values)), [0, 129, 255, 255]);
    assert_eq!(shades(file("LINEAR_EXACT"), &words(&values)), [0, 128, 255, 255]);
    assert_eq!(shades(file("SIGMOID"), &words(&values)), [30, 128, 225, 254]);
}

#[test]
fn lookup_table_is_preferred_to_the_window() {
    let table = DicomFile::bare().words(0x0028, 0x3002, b"US", &[3, 10, 12]).words(
        0x0028,
        0x3006,
        b"US",
        &[4095, 1000, 0],
    );
    let file = unsigned()
        .text(0x0028, 0x1050, b"DS", "50")
        .text(0x0028, 0x1051, b"DS", "100")
        .sequence(0x0028, 0x3010, table);
    // Below, at the second entry, at the last and above.
    assert_eq!(shades(file, &words(&[0, 11, 12, 500])), [255, 62, 0, 0]);
}

#[test]
fn modality_table_precedes_the_window() {
    let table = DicomFile::bare().words(0x0028, 0x3002, b"US", &[4, 0, 16]).words(
        0x0028,
        0x3006,
        b"OW",
        &[0, 20, 100, 1000],
    );
    let file = unsigned()
        .text(0x0028, 0x1050, b"DS", "50")
        .text(0x0028, 0x1051, b"DS", "100")
        .text(0x0028, 0x1056, b"CS", "LINEAR_EXACT")
        .sequence(0x0028, 0x3000, table);
    assert_eq!(shades(file, &words(&[0, 1, 2, 3])), [0, 51, 255, 255]);
}

#[test]
fn each_frame_has_the_window_and_spacing_of_its_functional_groups() {
    let group = |centre: &str, spacing: &str| {
        let window =
            DicomFile::bare().text(0x0028, 0x1050, b"DS", centre).text(0x0028, 0x1051, b"DS", "2");
        let measures = DicomFile::bare().text(0x0028, 0x0030, b"DS", spacing);
        DicomFile::bare()
            .sequence(0x0028, 0x9110, measures)
            .sequence(0x0028, 0x9132, window)
            .into_item()
    };
    let rescale =
        DicomFile::bare().text(0x0028, 0x1052, b"DS", "-1000").text(0x0028, 0x1053, b"DS", "1");
    let shared = DicomFile::bare().sequence(0x0028, 0x9145, rescale);
    let groups = [group("0", "0.5\\0.5"), group("100", "0.25\\0.75")].concat();
    let file = DicomFile::new(EXPLICIT_VR)
        .cine(1, "MONOCHROME2", 2, [1, 2], 16)
        .sequence(0x5200, 0x9229, shared)
        .element(0x5200, 0x9230, b"SQ", &groups)
        .element(0x7fe0, 0x0010, b"OW", &words(&[900, 1050, 1050, 1150]));
    let clip = open(file);
    assert!(clip.warnings().is_empty());
    let frames = [0, 1].map(|index| clip.frame(index).unwrap());
    assert_eq!(frames[0].rgb, [0, 0, 0, 255, 255, 255]);
    assert_eq!(frames[1].rgb, [0, 0, 0, 255, 255, 255]);
    assert_eq!(frames[0].pixel_spacing_mm, Some(PixelSpacing::Uniform([0.5, 0.5])));
    assert_eq!(frames[1].pixel_spacing_mm, Some(PixelSpacing::Uniform([0.25, 0.75])));
}

#[test]
fn without_a_window_the_values_present_are_shown_with_a_warning() {
    let mut values: Vec<i16> = (0..400).map(|index| 1000 + index % 100).collect();
    // Outliers, and padding outside the image.
    values[0] = 30_000;
    values[1..100].fill(-2000);
    let size = [20, 20];
    let file = DicomFile::new(EXPLICIT_VR)
        .u16(0x0028, 0x0002, 1)
        .text(0x0028, 0x0004, b"CS", "MONOCHROME2")
        .u16(0x0028, 0x0010, size[0])
        .u16(0x0028, 0x0011, size[1])
        .u16(0x0028, 0x0100, 16)
        .u16(0x0028, 0x0101, 16)
        .u16(0x0028, 0x0102, 15)
        .u16(0x0028, 0x0103, 1)
        .element(0x0028, 0x0120, b"SS", &(-2000i16).to_le_bytes())
        .element(0x7fe0, 0x0010, b"OW", &words(&values));
    let clip = open(file);
    assert!(clip.warnings()[0].contains("no window or VOI lookup table"), "{:?}", clip.warnings());
    let rgb = clip.frame(0).unwrap().rgb;
    assert_eq!([rgb[0], rgb[3], rgb[3 * 150], rgb[3 * 199]], [255, 0, 129, 255]);
}

#[test]
fn eight_bits_without_a_window_are_shown_as_stored() {
    let file = DicomFile::new(EXPLICIT_VR).image(1, "MONOCHROME1", [1, 2], 8);
    let clip = open(file.pixels(&[10, 20]));
    assert!(clip.warnings().is_empty());
    assert_eq!(clip.frame(0).unwrap().rgb, [245, 245, 245, 235, 235, 235]);
}

#[test]
fn single_bits_continue_from_frame_to_frame() {
    let file = DicomFile::new(EXPLICIT_VR).cine(1, "MONOCHROME2", 2, [1, 3], 1);
    // 101 and 011, the lowest bit first.
    let clip = open(file.pixels(&[0b110_101]));
    let shades =
        |index| clip.frame(index).unwrap().rgb.iter().step_by(3).copied().collect::<Vec<_>>();
    assert_eq!(shades(0), [255, 0, 255]);
    assert_eq!(shades(1), [0, 255, 255]);
}

#[test]
fn values_above_the_lowest_bits_are_shifted() {
    let file = DicomFile::new(EXPLICIT_VR)
        .u16(0x0028, 0x0002, 1)
        .text(0x0028, 0x0004, b"CS", "MONOCHROME2")
        .u16(0x0028, 0x0010, 1)
        .u16(0x0028, 0x0011, 4)
        .u16(0x0028, 0x0100, 16)
        .u16(0x0028, 0x0101, 8)
        .u16(0x0028, 0x0102, 15);
    assert_eq!(shades(file, &words(&[0x0102, 0x10ff, 0x7f00, 0x2000])), [1, 16, 127, 32]);
}

fn unsigned() -> DicomFile {
    DicomFile::new(EXPLICIT_VR).image(1, "MONOCHROME2", [1, 4], 16)
}

fn signed(values: &[i16]) -> DicomFile {
    DicomFile::new(EXPLICIT_VR)
        .u16(0x0028, 0x0002, 1)
        .text(0x0028, 0x0004, b"CS", "MONOCHROME2")
        .u16(0x0028, 0x0010, 1)
        .u16(0x0028, 0x0011, values.len() as u16)
        .u16(0x0028, 0x0100, 16)
        .u16(0x0028, 0x0101, 16)
        .u16(0x0028, 0x0102, 15)
        .u16(0x0028, 0x0103, 1)
}

fn words(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Shades of the only frame.
fn shades(file: DicomFile, pixels: &[u8]) -> Vec<u8> {
    let rgb = open(file.element(0x7fe0, 0x0010, b"OW", pixels)).frame(0).unwrap().rgb;
    rgb.chunks(3).map(|pixel| pixel[0]).collect()
}

fn open(file: DicomFile) -> Clip {
    let folder = tempdir().unwrap();
    Clip::open(file.write(folder.path())).unwrap()
}
