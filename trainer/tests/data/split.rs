//! Splits of whole data sets.

use std::collections::BTreeSet;
use std::path::Path;

use medsa_test_inputs::{data, needs, shared};
use medsa_trainer::data::{Dataset, Folds, Split, SplitError, SplitPlan};
use ndarray::Array3;
use nifti::writer::WriterOptions;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixtures::Folder;

/// Thirty scenes named `scene-frame`, with one to three frames each. The probe moves by a few
/// pixels between frames, and every tenth scene has class 2.
fn scans() -> Folder {
    let folder = Folder::new();
    for scene in 0..30u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(scene);
        let dots: Vec<[f32; 2]> = (0..150).map(|_| [0; 2].map(|_| rng.random())).collect();
        for frame in 0..=scene % 3 {
            let name = format!("{scene:02}-{frame}.png");
            let value = |x: u32, y: u32| {
                let light = dots.iter().map(|[dx, dy]| {
                    let (dx, dy) =
                        (dx * 150.0 - (x as f32 + 4.0 * frame as f32), dy * 96.0 - y as f32);
                    (-(dx * dx + dy * dy) / 12.0).exp()
                });
                (30.0 + 90.0 * light.sum::<f32>()).min(255.0) as u8
            };
            folder.grey(&format!("images/{name}"), (128, 96), value);
            let class = if scene % 10 == 0 { 2 } else { 1 };
            folder.grey(&format!("masks/{name}"), (128, 96), |x, _| u8::from(x > 60) * class);
        }
    }
    folder
}

/// A split by similarity without a test part.
fn by_similarity(dataset: &Dataset, validation: f64, seed: u64) -> Split {
    let plan = SplitPlan { validation, seed, ..SplitPlan::default() };
    Split::make(dataset, &plan).unwrap().split
}

#[test]
fn scenes_stay_in_one_part_and_every_class_is_in_both() {
    let folder = scans();
    let (dataset, problems) = Dataset::open(folder.root()).unwrap();
    assert!(problems.is_empty());
    assert_eq!(dataset.items().len(), 60);
    for seed in 0..5 {
        let split = by_similarity(&dataset, 0.25, seed);
        let scenes = |names: &[String]| -> BTreeSet<u32> {
            names.iter().map(|name| name[..2].parse().unwrap()).collect()
        };
        let (train, validation) = (scenes(&split.train), scenes(&split.validation));
        assert!(train.is_disjoint(&validation), "{train:?} and {validation:?}");
        assert_eq!((split.train.len(), split.validation.len()), (45, 15));
        for side in [&train, &validation] {
            assert!(side.iter().any(|scene| scene % 10 == 0), "class 2 with seed {seed}");
            assert!(side.iter().any(|scene| scene % 10 != 0), "class 1 with seed {seed}");
        }
        assert_eq!(by_similarity(&dataset, 0.25, seed), split);
    }
}

#[test]
fn slices_of_a_volume_stay_together_even_if_they_look_different() {
    let folder = Folder::new();
    for (volume, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(volume as u64);
        let noise = Array3::from_shape_fn((48, 48, 8), |_| rng.random::<u8>());
        let labels = noise.mapv(|value| u8::from(value > 200));
        WriterOptions::new(folder.at(&format!("images/{name}.nii"))).write_nifti(&noise).unwrap();
        WriterOptions::new(folder.at(&format!("masks/{name}.nii"))).write_nifti(&labels).unwrap();
    }
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let split = by_similarity(&dataset, 0.2, 0);
    assert_eq!((split.train.len(), split.validation.len()), (32, 8));
    assert!(split.validation.iter().all(|name| name[..1] == split.validation[0][..1]));
}

/// Pairs of frames of real scans that show the same scene, found by visual inspection: neighbouring
/// frames, the same frame annotated twice and, at the end, a moved probe.
const SAME_SCENE: [[&str; 2]; 10] = [
    ["0043", "0077"],
    ["0055", "0058"],
    ["0003", "0050"],
    ["0127", "0145"],
    ["0025", "0116"],
    ["0021", "0104"],
    ["0038", "0151"],
    ["0069", "0076"],
    ["0212", "0221"],
    ["0195", "0229"],
];

#[test]
fn near_identical_frames_of_real_scans_never_straddle_the_split() {
    // The ten pairs, and 20 frames of other scenes.
    assert_scenes_stay_together(&data("usgra-nerve"), [32, 8]);
}

#[test]
#[ignore = "make long"]
fn whole_data_near_identical_frames_never_straddle_the_split() {
    needs!("shared");
    assert_scenes_stay_together(&shared().unwrap().join("data/usgra-nerve"), [163, 41]);
}

fn assert_scenes_stay_together(path: &Path, [train, validation]: [usize; 2]) {
    let (dataset, problems) = Dataset::open(path).unwrap();
    assert_eq!((dataset.items().len(), problems.len()), (train + validation, 0));
    for seed in 0..3 {
        let split = by_similarity(&dataset, 0.2, seed);
        assert_eq!((split.train.len(), split.validation.len()), (train, validation));
        for pair in SAME_SCENE {
            let [a, b] = pair.map(|name| split.train.iter().any(|n| n == name));
            assert_eq!(a, b, "{pair:?} with seed {seed}");
        }
    }
}

#[test]
fn split_round_trips_and_fits_only_its_data_set() {
    let folder = Folder::new();
    for name in ["a", "b", "c"] {
        folder.grey(&format!("images/{name}.png"), (8, 8), |_, _| 9);
        folder.grey(&format!("masks/{name}.png"), (8, 8), |_, _| 1);
    }
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let split = Split { train: names(&["c", "a"]), validation: names(&["b"]), ..Split::default() };
    let path = folder.at("split.json");
    split.write(&path).unwrap();
    assert_eq!(Split::read(&path).unwrap(), split);
    assert_eq!(split.indices(&dataset).unwrap(), [vec![2, 0], vec![1], vec![]]);
    let other = Split { train: names(&["z"]), ..Split::default() };
    assert_eq!(other.indices(&dataset).unwrap_err().to_string(), "z is not in the data set");
    let twice = Split { train: names(&["a"]), test: names(&["a"]), ..Split::default() };
    assert!(matches!(
        twice.indices(&dataset),
        Err(SplitError::NamedTwice { name }) if name == "a"
    ));
    folder.write("split.json", b"{\"train\": [], \"tests\": []}");
    let error = Split::read(&path).unwrap_err().to_string();
    assert!(error.contains("split.json") && error.contains("tests"), "{error}");
}

/// Ten subjects of three images each, named `subject_image`. All images look the same.
fn subjects() -> Folder {
    let folder = Folder::new();
    for (subject, image) in (0..10).flat_map(|subject| (0..3).map(move |image| (subject, image))) {
        let name = format!("{subject:02}_{image}.png");
        folder.grey(&format!("images/{name}"), (64, 64), |x, y| ((x * 7 + y * 13) % 200) as u8);
        folder.grey(&format!("masks/{name}"), (64, 64), |x, _| u8::from(x > 30));
    }
    folder
}

#[test]
fn subjects_stay_in_one_part_and_follow_the_plan() {
    let folder = subjects();
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let subject_of = |names: &[String]| -> BTreeSet<String> {
        names.iter().map(|name| name[..2].to_owned()).collect()
    };
    let plan = SplitPlan {
        validation: 0.2,
        test: 0.1,
        subject: Some("^([0-9]{2})_".parse().unwrap()),
        test_subjects: vec!["03".into(), "07".into()],
        ..SplitPlan::default()
    };
    let report = Split::make(&dataset, &plan).unwrap();
    let Split { train, validation, test } = &report.split;
    assert_eq!(subject_of(test), ["03".to_owned(), "07".to_owned()].into());
    assert_eq!((train.len(), validation.len(), test.len()), (18, 6, 6));
    assert_eq!((report.groups, report.alike_across), ([6, 2, 2], None));
    assert!(subject_of(train).is_disjoint(&subject_of(validation)));

    let named = SplitPlan { validation_subjects: vec!["00".into()], ..plan.clone() };
    let split = Split::make(&dataset, &named).unwrap().split;
    assert!(subject_of(&split.validation).contains("00"));

    let unknown = SplitPlan { test_subjects: vec!["99".into()], ..plan.clone() };
    let error = Split::make(&dataset, &unknown).unwrap_err().to_string();
    assert!(error.contains("subject 99") && error.contains("00, 01, 02"), "{error}");
    let unmatched = SplitPlan { subject: Some("^[a-z]".parse().unwrap()), ..plan.clone() };
    let error = Split::make(&dataset, &unmatched).unwrap_err().to_string();
    assert!(error.contains("^[a-z]") && error.contains("00_0"), "{error}");
    let without = SplitPlan { subject: None, ..plan };
    assert!(matches!(Split::make(&dataset, &without), Err(SplitError::NoPattern { .. })));
}

#[test]
fn similar_images_are_split_and_pairs_across_parts_are_counted() {
    let folder = subjects();
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let plan = SplitPlan { validation: 0.2, test: 0.2, ..SplitPlan::default() };
    let report = Split::make(&dataset, &plan).unwrap();
    let Split { train, validation, test } = &report.split;
    assert!(!train.is_empty() && !validation.is_empty() && !test.is_empty());
    let [a, b, c] = [train, validation, test].map(Vec::len);
    assert_eq!(report.alike_across, Some(a * b + b * c + a * c));
}

#[test]
fn each_image_is_tested_once_and_scenes_stay_in_one_fold() {
    let folder = scans();
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let folds = Folds::make(&dataset, None, 5, 0).unwrap();
    assert_eq!(folds, Folds::make(&dataset, None, 5, 0).unwrap());
    assert_eq!((folds.groups.iter().sum::<usize>(), folds.alike_across), (30, Some(0)));
    let all: BTreeSet<&String> = dataset.items().iter().map(|item| &item.name).collect();
    let mut tested = Vec::new();
    for (fold, split) in folds.splits.iter().enumerate() {
        let parts = split.indices(&dataset).unwrap().map(|part| part.len());
        assert_eq!(parts.iter().sum::<usize>(), 60);
        assert!((10..=14).contains(&parts[2]), "{parts:?} in fold {fold}");
        assert_eq!(split.validation, folds.splits[(fold + 1) % 5].test);
        let scenes = |names: &[String]| -> BTreeSet<String> {
            names.iter().map(|name| name[..2].to_owned()).collect()
        };
        let [train, test] = [&split.train, &split.test].map(|names| scenes(names));
        assert!(train.is_disjoint(&test), "fold {fold}: {train:?} and {test:?}");
        tested.extend(&split.test);
    }
    assert_eq!(tested.len(), all.len());
    assert_eq!(tested.into_iter().collect::<BTreeSet<_>>(), all);
}

#[test]
fn folds_keep_subjects_together_and_cap_similar_images() {
    let folder = subjects();
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    let pattern = "^[0-9]{2}".parse().unwrap();
    let folds = Folds::make(&dataset, Some(&pattern), 5, 0).unwrap();
    assert_eq!((folds.groups, folds.alike_across), (vec![2; 5], None));
    for split in &folds.splits {
        let subjects: BTreeSet<_> = split.test.iter().map(|name| &name[..2]).collect();
        assert_eq!((subjects.len(), split.test.len()), (2, 6));
    }
    // All 30 images look the same; a group holds at most eight of them.
    let folds = Folds::make(&dataset, None, 3, 0).unwrap();
    assert!(folds.alike_across > Some(0));
    let error = Folds::make(&dataset, Some(&pattern), 11, 0).unwrap_err().to_string();
    assert!(error.starts_with("10 groups of images") && error.contains("11 or more"), "{error}");
}
