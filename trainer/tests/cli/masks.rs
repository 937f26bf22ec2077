//! Values of masks on the command line and in the configuration, and warnings of readers.

use std::fs;
use std::io::Write;

use image::{GrayImage, Luma};
use medsa_test_inputs::{asset, needs};

use crate::fixtures::{Folder, IMAGES, SIDE_PX};

/// Changes the pixels of all masks: those of class 1 in the left half get `left`, the others `right`.
fn recolour(folder: &Folder, left: u8, right: u8) {
    for number in 0..IMAGES {
        let path = folder.at(&format!("data/masks/p{number}.png"));
        let mask = image::open(&path).unwrap().into_luma8();
        let mask = GrayImage::from_fn(SIDE_PX, SIDE_PX, |x, y| {
            let inside = mask.get_pixel(x, y).0 == [1];
            Luma([if !inside {
                0
            } else if x < SIDE_PX / 2 {
                left
            } else {
                right
            }])
        });
        mask.save(path).unwrap();
    }
}

#[test]
fn check_lists_values_and_refuses_ambiguous_ones() {
    let folder = Folder::new();
    let listed = folder.succeed("check --data data");
    assert!(listed.contains(" px in 10 masks: background\n"), "{listed}");
    assert!(listed.contains(" px in 10 masks: class 1\n"), "{listed}");

    recolour(&folder, 1, 255);
    let listed = folder.succeed("check --data data --classes 1");
    assert!(listed.contains("value 255, ") && listed.contains(": ignored\n"), "{listed}");

    recolour_all(&folder);
    let output = folder.run("check --data data --classes 1");
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(listed.contains("value 127, "), "{listed}");
    let expected = "data/masks/p0.png: value 127 (";
    assert!(listed.contains(expected) && listed.contains("--values 127=1"), "{listed}");
    folder.succeed("check --data data --values 127=1,255=2");
    let error = folder.fail("eval --base base.safetensors --data data --classes a,b");
    assert!(error.contains("p0.png: value 127"), "{error}");
    let refused = folder.run("check --data data --values 300=1");
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("expected a value from 0 to 255"), "{error}");
}

/// Gives class 1 and ignored pixels the values 127 and 255.
fn recolour_all(folder: &Folder) {
    for number in 0..IMAGES {
        let path = folder.at(&format!("data/masks/p{number}.png"));
        let mut mask = image::open(&path).unwrap().into_luma8();
        mask.pixels_mut().filter(|pixel| pixel.0 == [1]).for_each(|pixel| pixel.0 = [127]);
        mask.save(path).unwrap();
    }
}

#[test]
fn training_ignores_pixels_and_maps_values_of_the_configuration() {
    let folder = Folder::new();
    folder.split();
    recolour(&folder, 1, 255);
    folder.succeed("fit --config fit.toml --set fit.steps=2 --set out=ignoring");
    recolour_all(&folder);
    let error = folder.fail("fit --config fit.toml --set fit.steps=2 --set out=refused");
    assert!(error.contains("p0.png: value 127"), "{error}");
    let config = fs::read_to_string(folder.at("fit.toml")).unwrap();
    let mapped = config.replace("[fit]", "values = { 127 = \"ellipse\" }\n[fit]");
    fs::write(folder.at("mapped.toml"), mapped).unwrap();
    folder.succeed("fit --config mapped.toml --set fit.steps=2 --set out=mapping");
    // The same pixels are trained on in both cases.
    let weights = |run: &str| fs::read(folder.at(run).join("last.safetensors")).unwrap();
    let tensors = |file: &[u8]| {
        let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        file[start..].to_vec()
    };
    assert_eq!(tensors(&weights("ignoring")), tensors(&weights("mapping")));
    let kept = fs::read_to_string(folder.at("mapping/config.toml")).unwrap();
    assert!(kept.contains("127 = \"ellipse\""), "{kept}");
}

#[test]
fn tolerated_faults_of_dicom_files_are_printed_once() {
    needs!("dicom");
    let folder = Folder::new();
    for part in ["images", "masks"] {
        fs::create_dir_all(folder.at("cine").join(part)).unwrap();
    }
    let path = folder.at("cine/images/one.dcm");
    fs::copy(asset("examples_rgb_color.dcm"), &path).unwrap();
    let mask = GrayImage::from_fn(320, 240, |x, _| Luma([u8::from(x < 50)]));
    mask.save(folder.at("cine/masks/one.png")).unwrap();
    let warnings = || {
        let output = folder.run("check --data cine");
        assert!(output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        errors.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = warnings();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&[0; 40]).unwrap();
    let padded = warnings();
    let added: Vec<_> = padded.iter().filter(|warning| !whole.contains(warning)).collect();
    let expected = "warning: cine/images/one.dcm: 40 bytes of padding at the end";
    assert!(added.len() == 1 && added[0].starts_with(expected), "{padded:?}");
}
