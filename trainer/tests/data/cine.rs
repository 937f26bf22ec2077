//! DICOM files with masks of their frames.

use medsa_frames::Clip;
use medsa_test_inputs::{asset, needs};
use medsa_trainer::data::{Dataset, ValueMap};

use crate::fixtures::{Folder, names, read};

#[test]
fn frames_with_a_mask_are_items_with_any_padding_of_numbers() {
    needs!("dicom");
    let path = asset("examples_ybr_color.dcm");
    let folder = Folder::new();
    std::fs::copy(&path, folder.at("images/heart.dcm")).unwrap();
    for name in ["3", "04", "0005", "29"] {
        folder.grey(&format!("masks/heart/{name}.png"), (320, 240), |x, _| u8::from(x < 50));
    }
    let (dataset, problems) = folder.check(Some(&[1]));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(names(&dataset), ["heart#0003", "heart#0004", "heart#0005", "heart#0029"]);
    assert_eq!(dataset.run(0, 3).map(<[_]>::len), Some(3));
    assert!(dataset.run(1, 3).is_none(), "frames 6 to 28 have no mask");
    let clip = Clip::open(&path).unwrap();
    for (item, index) in dataset.items().iter().zip([3, 4, 5, 29]) {
        assert_eq!(item.sequence, Some(("heart".to_owned(), index)));
        let image = item.read(&ValueMap::stored()).unwrap();
        assert_eq!(image.rgb, clip.frame(index).unwrap().rgb);
        assert_eq!((image.classes[(100, 49)], image.classes[(100, 50)]), (1, 0));
    }
}

#[test]
fn masks_without_a_frame_are_reported_and_the_others_are_read() {
    needs!("dicom");
    let path = asset("examples_ybr_color.dcm");
    let folder = Folder::new();
    std::fs::copy(&path, folder.at("images/heart.dcm")).unwrap();
    for name in ["3", "003", "30", "first", "+5"] {
        folder.grey(&format!("masks/heart/{name}.png"), (320, 240), |_, _| 1);
    }
    folder.grey("masks/heart/7.png", (320, 200), |_, _| 1);
    folder.write("masks/heart/8.png", b"nothing");
    let (dataset, problems) = folder.check(None);
    assert_eq!(problems.len(), 6, "{problems:#?}");
    for (problem, expected) in problems.iter().zip([
        "masks/heart/+5.png: name is not a frame number",
        "masks/heart/3.png: not used, masks/heart/003.png has the same name",
        "masks/heart/30.png: no frame 30 in images/heart.dcm, which has frames 0 to 29",
        "masks/heart/7.png: size is 320 x 200 px, but that of its image is 320 x 240 px",
        "masks/heart/8.png: unreadable",
        "masks/heart/first.png: name is not a frame number",
    ]) {
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert!(dataset.items()[0].read(&ValueMap::stored()).is_ok());
}

#[test]
fn single_frame_has_a_single_mask() {
    needs!("dicom");
    let [single, cine] = ["examples_rgb_color.dcm", "examples_ybr_color.dcm"].map(asset);
    let folder = Folder::new();
    std::fs::copy(single, folder.at("images/one.dcm")).unwrap();
    std::fs::copy(cine, folder.at("images/many.dcm")).unwrap();
    for name in ["one", "many"] {
        folder.grey(&format!("masks/{name}.png"), (320, 240), |x, _| u8::from(x < 50));
    }
    let (dataset, problems) = folder.check(None);
    assert_eq!(names(&dataset), ["many", "one"]);
    let expected = "masks/many.png: wrong kind of mask for images/many.dcm, expected a folder \
                    with a mask for each frame, since the recording has several frames";
    assert_eq!(problems, [expected]);
    let one = read(&dataset, 1);
    assert_eq!((one.width, one.height), (320, 240));
}

#[test]
fn damaged_recording_is_one_problem() {
    let folder = Folder::new();
    folder.write("images/heart.dcm", &[&[0; 128], &b"DICM"[..], &[0xff; 40]].concat());
    for frame in 0..5 {
        folder.grey(&format!("masks/heart/{frame}.png"), (320, 240), |_, _| 1);
    }
    let (_, problems) = folder.check(None);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("images/heart.dcm: unreadable: "), "{problems:?}");
    let (dataset, _) = Dataset::open(folder.root()).unwrap();
    assert!(dataset.items().iter().all(|item| item.read(&ValueMap::stored()).is_err()));
}
