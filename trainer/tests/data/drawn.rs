//! Masks from annotations: LabelMe, COCO, and the folders of VOC.

use medsa_trainer::data::{Dataset, IGNORED};
use medsa_trainer::train::{DataConfig, Stock};

use crate::fixtures::{Folder, names, read};

const SIZE: (u32, u32) = (12, 8);

/// A LabelMe file of an image of 12 x 8 px with these shapes.
fn labelme(shapes: &str) -> String {
    format!(
        r#"{{"version": "5.4.1", "flags": {{}}, "shapes": [{shapes}], "imagePath": "a.png",
            "imageData": null, "imageHeight": 8, "imageWidth": 12}}"#
    )
}

/// A shape with corners.
fn shape(label: &str, kind: &str, points: &str) -> String {
    format!(
        r#"{{"label": "{label}", "points": {points}, "group_id": null, "shape_type": "{kind}",
            "flags": {{}}}}"#
    )
}

/// Rows of the mask of item `index`.
fn rows(dataset: &Dataset, index: usize) -> Vec<String> {
    let letter = |&class: &u8| if class == IGNORED { 'x' } else { char::from(b'0' + class) };
    read(dataset, index)
        .classes
        .rows()
        .into_iter()
        .map(|row| row.iter().map(letter).collect())
        .collect()
}

#[test]
fn labelme_shapes_are_drawn_in_order_and_labels_are_classes() {
    let vessel = shape("vessel", "polygon", "[[0, 0], [4, 0], [4, 2], [0, 2]]");
    let nerve = shape("nerve", "rectangle", "[[2, 1], [6.2, 3]]");
    let ignored = shape("__ignore__", "rectangle", "[[0, 4], [2, 5]]");
    let hole = shape("_background_", "rectangle", "[[0, 0], [1, 1]]");
    // Below masks/, beside the image in images/, and in a flat folder.
    for (images, masks) in [("images/", "masks/"), ("images/", "images/"), ("", "")] {
        let folder = Folder::new();
        if masks != "masks/" {
            std::fs::remove_dir(folder.root().join("masks")).unwrap();
        }
        if images.is_empty() {
            std::fs::remove_dir(folder.root().join("images")).unwrap();
        }
        folder.grey(&format!("{images}a.png"), SIZE, |_, _| 90);
        let text = labelme(&[&vessel[..], &nerve, &ignored, &hole].join(","));
        folder.write(&format!("{masks}a.json"), text.as_bytes());
        let (dataset, problems) = folder.check(Some(&[1, 2]));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            (names(&dataset), dataset.labels()),
            (vec!["a"], &["nerve", "vessel"].map(String::from)[..])
        );
        let found = rows(&dataset, 0);
        let expected = ["022200000000", "221111000000", "001111000000", "000000000000"];
        assert_eq!(found[..4], expected);
        assert_eq!(found[4], "xx0000000000");
    }
}

#[test]
fn labels_of_annotations_are_matched_with_configured_classes() {
    let folder = Folder::new();
    folder.grey("images/a.png", SIZE, |_, _| 90);
    let shapes = [
        shape("nerve", "rectangle", "[[0, 0], [3, 1]]"),
        shape("vessel", "circle", "[[8, 4], [9.6, 4]]"),
    ];
    folder.write("masks/a.json", labelme(&shapes.join(",")).as_bytes());
    let counts = |classes: &[&str]| {
        let classes: Vec<String> = classes.iter().map(|&name| name.to_owned()).collect();
        let stock = Stock::open(&DataConfig::new(folder.root(), None, &classes)).unwrap();
        let image = stock.read(0, 1).unwrap().swap_remove(0);
        let count = |class| image.classes.iter().filter(|&&found| found == class).count();
        ([1, 2].map(count), stock.class(1))
    };
    assert_eq!(counts(&[]), ([3, 12], "nerve".to_owned()));
    assert_eq!(counts(&["vessel", "nerve"]), ([12, 3], "vessel".to_owned()));
    assert_eq!(counts(&["vessel"]), ([12, 0], "vessel".to_owned()));
    let unknown = DataConfig::new(folder.root(), None, &["artery".to_owned()]);
    let error = Stock::open(&unknown).err().unwrap().to_string();
    assert!(error.contains("objects are labelled nerve, vessel"), "{error}");
}

#[test]
fn unusable_annotations_are_named() {
    let folder = Folder::new();
    for name in ["line", "size", "text", "good"] {
        folder.grey(&format!("images/{name}.png"), SIZE, |_, _| 90);
    }
    let square = shape("nerve", "rectangle", "[[0, 0], [3, 1]]");
    folder.write("masks/good.json", labelme(&square).as_bytes());
    let line = shape("nerve", "linestrip", "[[0, 0], [3, 1]]");
    folder.write("masks/line.json", labelme(&line).as_bytes());
    let wide = labelme(&square).replace("\"imageWidth\": 12", "\"imageWidth\": 24");
    folder.write("masks/size.json", wide.as_bytes());
    folder.write("masks/text.json", b"{\"shapes\": 3}");
    let (dataset, problems) = folder.check(None);
    assert_eq!(names(&dataset), ["good", "size"]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, expected) in problems.iter().zip([
        "masks/line.json: unreadable: the shape of \"nerve\" is a linestrip with 2 points",
        "masks/size.json: size is 24 x 8 px, but that of its image is 12 x 8 px",
        "masks/text.json: unreadable: invalid type",
    ]) {
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn coco_polygons_and_run_lengths_are_drawn_and_crowds_are_ignored() {
    for (file, images) in [
        ("annotations.json", "images/"),
        ("annotations/instances_train.json", "images/"),
        ("_annotations.coco.json", ""),
    ] {
        let folder = Folder::new();
        std::fs::remove_dir(folder.root().join("masks")).unwrap();
        for name in ["a", "b", "empty"] {
            folder.grey(&format!("{images}{name}.png"), SIZE, |_, _| 90);
        }
        let coco = r#"{
            "categories": [{"id": 7, "name": "vessel"}, {"id": 3, "name": "nerve"}],
            "images": [
                {"id": 1, "file_name": "a.png", "width": 12, "height": 8},
                {"id": 2, "file_name": "b.png", "width": 12, "height": 8},
                {"id": 3, "file_name": "empty.png", "width": 12, "height": 8},
                {"id": 4, "file_name": "../secret.png", "width": 12, "height": 8},
                {"id": 5, "file_name": "gone.png", "width": 12, "height": 8}
            ],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 7, "iscrowd": 0,
                 "segmentation": [[0, 0, 2, 0, 2, 1, 0, 1], [4, 0, 6, 0, 6, 1, 4, 1]]},
                {"id": 2, "image_id": 1, "category_id": 3, "iscrowd": 0,
                 "segmentation": {"size": [8, 12], "counts": [1, 2, 93]}},
                {"id": 3, "image_id": 1, "category_id": 3, "iscrowd": 1,
                 "segmentation": {"size": [8, 12], "counts": [94, 2]}},
                {"id": 4, "image_id": 2, "category_id": 3, "iscrowd": 0,
                 "segmentation": {"size": [8, 12], "counts": "12m2"}},
                {"id": 5, "image_id": 2, "category_id": 9, "iscrowd": 0,
                 "segmentation": [[0, 0, 2, 0, 2, 1]]},
                {"id": 6, "image_id": 4, "category_id": 3, "segmentation": [[0, 0, 2, 0, 2, 1]]},
                {"id": 7, "image_id": 5, "category_id": 3, "segmentation": [[0, 0, 2, 0, 2, 1]]}
            ]
        }"#;
        folder.write(file, coco.as_bytes());
        let (dataset, problems) = folder.check(Some(&[1, 2]));
        assert_eq!(names(&dataset), ["a", "b"]);
        assert_eq!(dataset.labels(), ["nerve", "vessel"]);
        let found = rows(&dataset, 0);
        assert_eq!(found[..3], ["220022000000", "100000000000", "100000000000"]);
        assert_eq!(found[6..], ["00000000000x", "00000000000x"]);
        assert_eq!(rows(&dataset, 1)[..3], ["000000000000", "100000000000", "100000000000"]);
        let expected = [
            "annotation 5: category 9, which categories does not list",
            "image \"../secret.png\", expected a path below the data set",
            "image empty.png has no annotation",
            "image gone.png is missing in ",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(&format!("{file}: not used: {expected}")), "{problem}");
        }
    }
}

#[test]
fn folders_of_voc_are_read_without_their_unmasked_images() {
    let folder = Folder::new();
    for part in ["images", "masks"] {
        std::fs::remove_dir(folder.root().join(part)).unwrap();
    }
    for name in ["2007_000032", "2007_000033"] {
        folder.grey(&format!("JPEGImages/{name}.jpg"), (256, 192), |_, _| 90);
    }
    let mask = medsa_test_inputs::data("masks/palette.png");
    std::fs::copy(mask, folder.at("SegmentationClass/2007_000032.png")).unwrap();
    let (dataset, problems) = folder.check(Some(&[1, 2]));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(names(&dataset), ["2007_000032"]);
    let classes: Vec<u8> = read(&dataset, 0).class_indices().into_iter().collect();
    assert_eq!(classes, [1, 2]);
}
