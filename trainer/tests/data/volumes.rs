//! NIfTI volumes.

use std::fs;
use std::io::Read;

use medsa_test_inputs::data;
use medsa_trainer::data::{Dataset, ValueMap};
use ndarray::Array3;
use nifti::writer::WriterOptions;

use crate::fixtures::{Folder, names, read};

/// Width, height and number of slices.
const SHAPE: (usize, usize, usize) = (9, 7, 5);

fn intensity() -> Array3<i16> {
    Array3::from_shape_fn(SHAPE, |(x, y, z)| (x * 100 + y * 10 + z) as i16)
}

/// Labels: class 3 on two pixels of slices 1 to 3.
fn labels() -> Array3<u8> {
    Array3::from_shape_fn(SHAPE, |at| {
        if (1..4).contains(&at.2) && at.1 == 2 && at.0 < 2 { 3 } else { 0 }
    })
}

/// A data set of one volume, whose files have the given extensions.
fn folder(image: &str, mask: &str) -> Folder {
    let folder = Folder::new();
    WriterOptions::new(folder.at(image)).write_nifti(&intensity()).unwrap();
    WriterOptions::new(folder.at(mask)).write_nifti(&labels()).unwrap();
    folder
}

#[test]
fn each_slice_is_an_item_and_the_first_axis_is_the_width() {
    let folder = folder("images/liver.nii", "masks/liver.nii.gz");
    let (dataset, problems) = folder.check(Some(&[3]));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        names(&dataset),
        ["liver#0000", "liver#0001", "liver#0002", "liver#0003", "liver#0004"]
    );
    let item = &dataset.items()[3];
    assert_eq!(item.sequence, Some(("liver".to_owned(), 3)));
    let image = read(&dataset, 3);
    assert_eq!((image.width, image.height, image.classes.dim()), (9, 7, (7, 9)));
    // Values from 0 to 864: the percentiles of these 315 values are the second and the last but
    // one.
    let (low, high) = (2.0, 862.0);
    for (y, x) in [(0, 0), (2, 1), (6, 8), (3, 5)] {
        let value = (x * 100 + y * 10 + 3) as f32;
        let expected = ((value - low) * (255.0 / (high - low)) + 0.5).clamp(0.0, 255.0) as u8;
        assert_eq!(image.rgb[(y * 9 + x) * 3..][..3], [expected; 3], "row {y}, column {x}");
        assert_eq!(image.classes[(y, x)], if y == 2 && x < 2 { 3 } else { 0 });
    }
    assert!(read(&dataset, 0).class_indices().is_empty());
}

#[test]
fn sequences_do_not_cross_volumes() {
    let folder = folder("images/a.nii", "masks/a.nii");
    fs::copy(folder.at("images/a.nii"), folder.at("images/b.nii")).unwrap();
    fs::copy(folder.at("masks/a.nii"), folder.at("masks/b.nii")).unwrap();
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let run = |start, depth| {
        let items = dataset.run(start, depth)?;
        Some(items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>())
    };
    assert_eq!(run(1, 3), Some(vec!["a#0001", "a#0002", "a#0003"]));
    assert_eq!(run(3, 3), None, "two of these are of the next volume");
    assert_eq!(run(5, 5).map(|items| items.len()), Some(5));
    assert_eq!(run(8, 3), None, "the data set ends before");
}

#[test]
fn item_names_are_unique() {
    let folder = folder("images/a.nii", "masks/a.nii");
    for part in ["images", "masks"] {
        folder.grey(&format!("{part}/a#0001.png"), (4, 4), |_, _| 1);
    }
    let (dataset, problems) = folder.check(Some(&[1, 3]));
    assert_eq!(problems, ["images/a#0001.png: not used, images/a.nii has the same name"]);
    assert_eq!(names(&dataset), ["a#0000", "a#0001", "a#0002", "a#0003", "a#0004"]);
}

#[test]
fn slope_and_intercept_apply_to_labels_and_not_to_images() {
    let folder = folder("images/a.nii", "masks/a.nii");
    let plain = read(&Dataset::open(folder.root()).unwrap().0, 2);
    let scale = |name: &str, slope: f32, inter: f32| {
        let mut bytes = fs::read(folder.at(name)).unwrap();
        bytes[112..116].copy_from_slice(&slope.to_ne_bytes());
        bytes[116..120].copy_from_slice(&inter.to_ne_bytes());
        folder.write(name, &bytes);
    };
    scale("images/a.nii", 0.5, -1000.0);
    scale("masks/a.nii", 2.0, 0.0);
    let scaled = read(&Dataset::open(folder.root()).unwrap().0, 2);
    assert_eq!(scaled.rgb, plain.rgb);
    assert_eq!(scaled.class_indices().into_iter().collect::<Vec<_>>(), [6]);
    scale("images/a.nii", -1.0, 0.0);
    let inverted = read(&Dataset::open(folder.root()).unwrap().0, 2);
    assert!(inverted.rgb.iter().zip(&plain.rgb).all(|(a, b)| a.abs_diff(255 - b) <= 1));
    scale("images/a.nii", f32::NAN, f32::NAN);
    let unscaled = read(&Dataset::open(folder.root()).unwrap().0, 2);
    assert_eq!(unscaled.rgb, plain.rgb);
}

#[test]
fn volume_is_read_once_for_all_slices_and_threads() {
    let folder = folder("images/a.nii", "masks/a.nii");
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let first = read(&dataset, 0);
    // Reading the file again would fail now.
    fs::remove_file(folder.at("images/a.nii")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for item in dataset.items() {
                    assert_eq!(item.read(&ValueMap::stored()).unwrap().width, 9);
                }
            });
        }
    });
    assert_eq!(read(&dataset, 0), first);
}

#[test]
fn volumes_that_do_not_match_their_labels_are_reported_once() {
    let folder = folder("images/a.nii", "masks/a.nii");
    WriterOptions::new(folder.at("masks/a.nii"))
        .write_nifti(&Array3::<u8>::ones((9, 7, 4)))
        .unwrap();
    let (dataset, problems) = folder.check(None);
    assert_eq!(
        problems,
        ["masks/a.nii: size is 9 x 7 x 4 px, but that of its image is 9 x 7 x 5 px"]
    );
    assert!(dataset.items().is_empty());
    for (labels, expected) in [
        (labels().mapv(|_| 0.0f32), "masks/a.nii: empty, no pixel has a class"),
        (
            labels().mapv(|label| f32::from(label) / 2.0),
            "masks/a.nii: unreadable: a label is 1.5, expected a whole number from 0 to 255",
        ),
        (
            labels().mapv(|label| -f32::from(label)),
            "masks/a.nii: unreadable: a label is -3, expected a whole number from 0 to 255",
        ),
        (
            labels().mapv(|label| f32::from(label / 3)),
            "masks/a.nii: class 1 is not listed, expected one of [3]",
        ),
    ] {
        WriterOptions::new(folder.at("masks/a.nii")).write_nifti(&labels).unwrap();
        assert_eq!(folder.check(Some(&[3])).1, [expected]);
    }
}

/// A NIfTI-1 header field at a byte offset: the affine of the sform, with its code.
fn set_sform(bytes: &mut [u8], rows: [[f32; 4]; 3]) {
    bytes[254..256].copy_from_slice(&2i16.to_ne_bytes());
    for (i, value) in rows.iter().flatten().enumerate() {
        bytes[280 + 4 * i..][..4].copy_from_slice(&value.to_ne_bytes());
    }
}

/// A volume of 256 x 192 x 4 voxels of 1 mm, whose first two axes point to the right and to the
/// front of the patient, with the mask `mask` of the repository's test data.
fn with_sform(mask: &str) -> Folder {
    let folder = Folder::new();
    let voxels = Array3::from_shape_fn((256, 192, 4), |(x, y, _)| (x + y) as i16);
    WriterOptions::new(folder.at("images/v.nii")).write_nifti(&voxels).unwrap();
    let mut bytes = fs::read(folder.at("images/v.nii")).unwrap();
    set_sform(&mut bytes, [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    folder.write("images/v.nii", &bytes);
    fs::copy(data("masks").join(mask), folder.at("masks/v.nii.gz")).unwrap();
    folder
}

#[test]
fn mask_with_flipped_axes_is_turned_into_the_grid_of_its_image() {
    let folder = with_sform("flipped.nii.gz");
    let (dataset, problems) = folder.check(None);
    assert_eq!(problems, Vec::<String>::new());
    // The same mask with the affine of the image: its voxels stay where they are stored.
    let stored = Folder::new();
    fs::copy(folder.at("images/v.nii"), stored.at("images/v.nii")).unwrap();
    let image = fs::read(folder.at("images/v.nii")).unwrap();
    WriterOptions::new(stored.at("masks/v.nii"))
        .write_nifti(&Array3::<u8>::zeros((256, 192, 4)))
        .unwrap();
    let mut mask = fs::read(stored.at("masks/v.nii")).unwrap();
    mask[252..328].copy_from_slice(&image[252..328]);
    mask.truncate(352);
    mask.extend(voxels_of(&folder.at("masks/v.nii.gz")));
    stored.write("masks/v.nii", &mask);
    let (unflipped, problems) = stored.check(None);
    assert_eq!(problems, Vec::<String>::new());
    let mut marked = 0;
    for slice in 0..4 {
        let (found, stored) = (read(&dataset, slice).classes, read(&unflipped, slice).classes);
        for ((y, x), &class) in found.indexed_iter() {
            assert_eq!(class, stored[(191 - y, 255 - x)], "row {y}, column {x}");
            marked += usize::from(class == 1);
        }
    }
    assert_eq!(marked, 11_236);
}

/// Voxels of a compressed NIfTI-1 file of bytes.
fn voxels_of(path: &std::path::Path) -> Vec<u8> {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap());
    let mut bytes = Vec::new();
    nifti::object::GzDecodedFile::new(file).read_to_end(&mut bytes).unwrap();
    bytes.split_off(352)
}

#[test]
fn mask_with_other_voxel_sizes_is_refused_with_both_affines() {
    let (dataset, problems) = with_sform("other-spacing.nii.gz").check(None);
    assert!(dataset.items().is_empty());
    assert_eq!(problems.len(), 1, "{problems:?}");
    for part in [
        "masks/v.nii.gz: does not fit images/v.nii: ",
        "as many voxels as its image, but of another size",
        "[[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]",
        "[[-3.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]",
    ] {
        assert!(problems[0].contains(part), "{problems:?}");
    }
}

#[test]
fn coarser_mask_of_the_same_place_is_enlarged_and_one_of_another_place_is_refused() {
    let folder = with_sform("flipped.nii.gz");
    fs::remove_file(folder.at("masks/v.nii.gz")).unwrap();
    let labels = Array3::from_shape_fn((128, 96, 4), |(x, y, _)| u8::from(x < 32 && y < 24));
    let write = |offset: f32| {
        WriterOptions::new(folder.at("masks/v.nii")).write_nifti(&labels).unwrap();
        let mut bytes = fs::read(folder.at("masks/v.nii")).unwrap();
        let rows = [[-2.0, 0.0, 0.0, offset], [0.0, -2.0, 0.0, -0.5], [0.0, 0.0, 1.0, 0.0]];
        set_sform(&mut bytes, rows);
        folder.write("masks/v.nii", &bytes);
    };
    write(-0.5);
    let (dataset, problems) = folder.check(None);
    assert_eq!(problems, Vec::<String>::new());
    for ((y, x), &class) in read(&dataset, 1).classes.indexed_iter() {
        assert_eq!(class, u8::from(x < 64 && y < 48), "row {y}, column {x}");
    }
    write(900.0);
    let (_, problems) = folder.check(None);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let expected = "none of its marked voxels lies in the image: the affine of the image is [[-1.0";
    assert!(problems[0].contains(expected), "{problems:?}");
    assert!(problems[0].contains("that of the mask [[-2.0, 0.0, 0.0, 900.0]"), "{problems:?}");
}

#[test]
fn truncated_files_are_problems() {
    for ending in ["nii", "nii.gz"] {
        let name = format!("images/a.{ending}");
        let folder = folder(&name, "masks/a.nii");
        let whole = fs::read(folder.at(&name)).unwrap();
        for len in [0, 1, 2, 20, 100, 347, 348, 352, 360, whole.len() - 9] {
            folder.write(&name, &whole[..len.min(whole.len() - 9)]);
            let (_, problems) = folder.check(Some(&[1, 3]));
            assert_eq!(problems.len(), 1, "{len} bytes: {problems:?}");
            assert!(problems[0].starts_with(&format!("{name}: unreadable: ")), "{problems:?}");
        }
    }
}

#[test]
fn extensions_are_skipped_regardless_of_their_declared_size() {
    let folder = folder("images/a.nii", "masks/a.nii");
    let plain = read(&Dataset::open(folder.root()).unwrap().0, 2);
    let whole = fs::read(folder.at("images/a.nii")).unwrap();
    for claimed in [16i32, 0, -1, i32::MAX] {
        let mut bytes = whole[..348].to_vec();
        bytes[108..112].copy_from_slice(&368f32.to_ne_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.extend([claimed.to_ne_bytes(), 4i32.to_ne_bytes(), [7; 4], [7; 4]].concat());
        bytes.extend(&whole[352..]);
        folder.write("images/a.nii", &bytes);
        assert_eq!(read(&Dataset::open(folder.root()).unwrap().0, 2), plain);
    }
}

#[test]
fn changing_any_header_byte_never_panics() {
    let folder = folder("images/a.nii", "masks/a.nii");
    let whole = fs::read(folder.at("images/a.nii")).unwrap();
    let mut refused = 0;
    for at in 0..352 {
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            folder.write("images/a.nii", &bytes);
            let (dataset, problems) = folder.check(None);
            refused += usize::from(!problems.is_empty());
            assert!(dataset.items().len() <= 5, "byte {at} as {value:#x}");
        }
    }
    assert!(refused > 50, "{refused} of 1408 refused");
}

#[test]
fn small_file_with_a_gigabyte_in_its_header_is_refused() {
    let folder = folder("images/a.nii", "masks/a.nii");
    let header = |dim: [u16; 8]| {
        let mut bytes = fs::read(folder.at("masks/a.nii")).unwrap();
        for (i, side) in dim.iter().enumerate() {
            bytes[40 + 2 * i..42 + 2 * i].copy_from_slice(&side.to_ne_bytes());
        }
        bytes
    };
    folder.write("images/a.nii", &header([3, 16_000, 16_000, 16_000, 1, 1, 1, 1]));
    let (_, problems) = folder.check(None);
    let expected = "images/a.nii: unreadable: [16000, 16000, 16000] voxels take 16384000000000 \
                    bytes, expected at most 1073741824";
    assert_eq!(problems, [expected]);
    // Within the limit, but the data is missing in the file.
    let claimed = header([3, 1000, 1000, 200, 1, 1, 1, 1]);
    folder.write("images/a.nii", &claimed);
    folder.write("masks/a.nii", &claimed);
    let (dataset, problems) = folder.check(None);
    assert_eq!((dataset.items().len(), problems.len()), (200, 1), "{problems:?}");
}

#[test]
fn header_without_voxels_is_refused() {
    let folder = folder("images/a.nii", "masks/a.nii");
    let mut bytes = fs::read(folder.at("images/a.nii")).unwrap();
    bytes[344..348].copy_from_slice(b"ni1\0");
    folder.write("images/a.nii", &bytes);
    let (_, problems) = folder.check(None);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("voxels in another file"), "{problems:?}");
}

#[test]
fn damaged_compressed_file_fails_its_checksum() {
    let folder = folder("images/a.nii.gz", "masks/a.nii");
    let mut bytes = fs::read(folder.at("images/a.nii.gz")).unwrap();
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    folder.write("images/a.nii.gz", &bytes);
    let (_, problems) = folder.check(Some(&[1, 3]));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("images/a.nii.gz: unreadable: "), "{problems:?}");
}
