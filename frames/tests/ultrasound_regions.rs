//! Scales of ultrasound images by place: the Sequence of Ultrasound Regions.

mod common;

use common::{DicomFile, EXPLICIT_VR};
use medsa_frames::{Clip, PixelSpacing};
use medsa_test_inputs::{asset, data, needs};
use tempfile::tempdir;

/// Units of an axis.
const CM: u16 = 3;
const SECONDS: u16 = 4;
const CM_PER_S: u16 = 7;

/// Spatial formats.
const IMAGE: u16 = 1;
const M_MODE: u16 = 2;

/// Columns and rows of the made files.
const SIZE: [u16; 2] = [40, 20];

/// An ultrasound region.
#[derive(Clone, Copy)]
struct Region {
    corners: [u32; 4],
    format: u16,
    units: [u16; 2],
    /// Distance of pixels along a row and down the rows, in these units.
    deltas: [f64; 2],
}

fn image(corners: [u32; 4], deltas: [f64; 2]) -> Region {
    Region { corners, format: IMAGE, units: [CM, CM], deltas }
}

impl Region {
    fn item(self) -> Vec<u8> {
        let [x0, y0, x1, y1] = self.corners;
        let mut item = DicomFile::bare().u16(0x0018, 0x6012, self.format);
        for (element, value) in [(0x6018, x0), (0x601a, y0), (0x601c, x1), (0x601e, y1)] {
            item = item.element(0x0018, element, b"UL", &value.to_le_bytes());
        }
        item.u16(0x0018, 0x6024, self.units[0])
            .u16(0x0018, 0x6026, self.units[1])
            .element(0x0018, 0x602c, b"FD", &self.deltas[0].to_le_bytes())
            .element(0x0018, 0x602e, b"FD", &self.deltas[1].to_le_bytes())
            .into_item()
    }
}

fn open(regions: &[Region], more: impl FnOnce(DicomFile) -> DicomFile) -> Clip {
    let items = regions.iter().flat_map(|region| region.item()).collect::<Vec<_>>();
    let [columns, rows] = SIZE;
    let file = DicomFile::new(EXPLICIT_VR).element(0x0018, 0x6011, b"SQ", &items);
    let file = more(file.image(1, "MONOCHROME2", [rows, columns], 8));
    let pixels = vec![0; usize::from(columns) * usize::from(rows)];
    let folder = tempdir().unwrap();
    Clip::open(file.pixels(&pixels).write(folder.path())).unwrap()
}

fn spacing(regions: &[Region]) -> Option<PixelSpacing> {
    open(regions, |file| file).frame(0).unwrap().pixel_spacing_mm
}

#[test]
fn each_region_has_its_own_scale() {
    let path = data("field/us-regions-mm/regions_two_sizes.dcm");
    let spacing = Clip::open(path).unwrap().frame(0).unwrap().pixel_spacing_mm.unwrap();
    assert_eq!(spacing.at(0, 0), Some([0.2, 0.2]));
    assert_eq!(spacing.at(212, 239), Some([0.2, 0.2]));
    assert_eq!(spacing.at(213, 0), Some([0.5, 0.5]));
    assert_eq!(spacing.at(319, 239), Some([0.5, 0.5]));
    assert_eq!(spacing.of_structure([(100, 200..212)]), Some([0.2, 0.2]));
    assert_eq!(spacing.of_structure([(100, 200..220)]), None);
    assert_eq!(spacing.uniform(), None);
}

#[test]
fn zoom_inset_wins_in_either_order() {
    let (whole, inset) = (image([0, 0, 39, 19], [0.05, 0.05]), image([5, 5, 14, 9], [0.01, 0.02]));
    for regions in [[whole, inset], [inset, whole]] {
        let spacing = spacing(&regions).unwrap();
        assert_eq!(spacing.at(4, 5), Some([0.5, 0.5]));
        assert_eq!(spacing.at(5, 5), Some([0.2, 0.1]));
        assert_eq!(spacing.at(14, 9), Some([0.2, 0.1]));
        assert_eq!(spacing.at(15, 9), Some([0.5, 0.5]));
    }
}

#[test]
fn axes_of_time_and_velocity_have_no_scale() {
    let mode = Region {
        corners: [20, 0, 39, 9],
        format: M_MODE,
        units: [SECONDS, CM],
        deltas: [0.01, 0.02],
    };
    let doppler =
        Region { corners: [20, 10, 39, 19], format: 3, units: [SECONDS, CM_PER_S], ..mode };
    // M-mode with two lengths is a mistake of the writer: its horizontal axis is time.
    let mistaken = Region { units: [CM, CM], ..mode };
    for other in [mode, doppler, mistaken] {
        let regions = [image([0, 0, 39, 19], [0.05, 0.05]), other];
        let spacing = spacing(&regions).unwrap();
        assert_eq!(spacing.at(19, 12), Some([0.5, 0.5]));
        let [x, y, ..] = other.corners;
        assert_eq!(spacing.at(x, y), None);
    }
    assert_eq!(spacing(&[mode, doppler]), None);
}

#[test]
fn one_region_of_the_whole_frame_is_a_uniform_spacing() {
    let whole = image([0, 0, 39, 19], [0.02, -0.03]);
    assert_eq!(spacing(&[whole]), Some(PixelSpacing::Uniform([0.3, 0.2])));
    // Some writers store the first pixel after the region.
    let whole = image([0, 0, 40, 20], [0.02, 0.03]);
    assert_eq!(spacing(&[whole]), Some(PixelSpacing::Uniform([0.3, 0.2])));
    let part = spacing(&[image([0, 0, 29, 19], [0.02, 0.03])]).unwrap();
    assert_eq!((part.at(29, 19), part.at(30, 19)), (Some([0.3, 0.2]), None));
}

#[test]
fn region_beyond_the_frame_gives_no_spacing() {
    let beyond = image([0, 0, 41, 19], [0.02, 0.03]);
    let inset = image([5, 5, 14, 9], [0.01, 0.02]);
    for regions in [vec![beyond], vec![beyond, inset], vec![inset, beyond]] {
        let clip = open(&regions, |file| file);
        assert_eq!(clip.frame(0).unwrap().pixel_spacing_mm, None);
        let expected = "an ultrasound region from (0, 0) to (41, 19) extends beyond the frame of \
                        40 x 20 px; the pixel spacing is not known";
        assert!(clip.warnings().iter().any(|warning| warning == expected));
    }
    let many = vec![inset; 65];
    let clip = open(&many, |file| file);
    assert_eq!(clip.frame(0).unwrap().pixel_spacing_mm, None);
    assert!(clip.warnings().iter().any(|warning| warning.contains("has 65 items")));
}

#[test]
fn pixel_spacing_counts_without_any_region() {
    let spacing = |regions: &[Region]| {
        let clip = open(regions, |file| file.text(0x0028, 0x0030, b"DS", "0.5\\0.25"));
        clip.frame(0).unwrap().pixel_spacing_mm
    };
    assert_eq!(spacing(&[]), Some(PixelSpacing::Uniform([0.5, 0.25])));
    let part = spacing(&[image([0, 0, 19, 19], [0.02, 0.02])]).unwrap();
    assert_eq!((part.at(19, 0), part.at(20, 0)), (Some([0.2, 0.2]), None));
}

#[test]
fn scanner_with_two_images_and_a_colour_bar_is_read() {
    needs!("dicom");
    let frame = Clip::open(asset("gdcm-US-ALOKA-16.dcm")).unwrap().frame(0).unwrap();
    let spacing = frame.pixel_spacing_mm.unwrap();
    let scale = Some([0.382_653_06, 0.382_653_06]);
    // Both images have one scale, the bar in the left one and the surroundings have none.
    assert_eq!(spacing.of_structure([(200, 100..500)]), scale);
    assert_eq!(spacing.at(63, 103), None);
    assert_eq!(spacing.at(64, 103), scale);
    assert_eq!(spacing.at(31, 200), None);
    assert_eq!(spacing.at(100, 416), None);
}
