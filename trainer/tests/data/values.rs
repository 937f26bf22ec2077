//! Values of masks: classes, background and pixels to ignore.

use medsa_trainer::data::{IGNORED, IgnoredValue, MaskRule, Problem};
use medsa_trainer::train::{DataConfig, Stock, StockError};

use crate::fixtures::{Folder, read};

/// Number of pixels of each class of item 0, for the configuration that `change` makes.
fn pixels(
    folder: &Folder,
    classes: &[&str],
    change: impl FnOnce(&mut DataConfig),
) -> Result<Vec<(u8, usize)>, StockError> {
    let classes: Vec<String> = classes.iter().map(|&name| name.to_owned()).collect();
    let mut config = DataConfig::new(folder.root(), None, &classes);
    change(&mut config);
    let image = Stock::open(&config)?.read(0, 1)?.swap_remove(0);
    let count = |class| image.classes.iter().filter(|&&found| found == class).count();
    let counts = (0..=255u8).map(|class| (class, count(class)));
    Ok(counts.filter(|&(_, count)| count > 0).collect())
}

#[test]
fn rim_of_255_beside_classes_is_ignored() {
    let folder = Folder::new();
    folder.add_mask("p0", "classes-with-255.png");
    let expected = [(0, 43_806), (1, 2809), (2, 1941), (IGNORED, 596)];
    assert_eq!(pixels(&folder, &["nerve", "vessel"], |_| ()).unwrap(), expected);
    assert_eq!(folder.check(Some(&[1, 2])).1, Vec::<String>::new());

    // A mask of only a rim has no class, although its values are 0 and 255.
    folder.grey("images/p1.png", (8, 8), |_, _| 90);
    folder.grey("masks/p1.png", (8, 8), |x, _| u8::from(x < 2) * 255);
    assert_eq!(folder.check(None).1, ["masks/p1.png: empty, no pixel has a class"]);

    let off = |config: &mut DataConfig| config.ignore = IgnoredValue::Off;
    let error = pixels(&folder, &["nerve", "vessel"], off).unwrap_err().to_string();
    assert!(error.contains("value 255 (596 px) is neither a class nor ignored"), "{error}");
    let vessel = |config: &mut DataConfig| config.ignore = IgnoredValue::Value(2);
    let error = pixels(&folder, &["nerve", "vessel"], vessel).unwrap_err().to_string();
    assert!(error.contains("value 255"), "{error}");
}

#[test]
fn values_without_a_rule_are_refused_until_the_configuration_maps_them() {
    let folder = Folder::new();
    folder.add_mask("p0", "values-127-255.png");
    let names = ["nerve", "vessel"];
    let Err(StockError::Image(problem)) = pixels(&folder, &names, |_| ()) else {
        panic!("the values are ambiguous")
    };
    let expected = Problem::AmbiguousValues {
        mask: folder.at("masks/p0.png"),
        value: 127,
        pixels: 2809,
        found: vec![0, 127, 255],
    };
    assert_eq!(problem, expected);
    let (_, problems) = folder.check(None);
    assert!(problems[0].starts_with("masks/p0.png: value 127 (2809 px)"), "{problems:?}");
    assert!(problems[0].ends_with("or --values 127=1,255=2"), "{problems:?}");

    let by = |text: &str| {
        let values = text.parse().unwrap();
        pixels(&folder, &names, |config| config.values = values)
    };
    let two = [(0, 44_402), (1, 2809), (2, 1941)];
    assert_eq!(by("127=nerve,255=vessel").unwrap(), two);
    assert_eq!(by("255=vessel,127=1").unwrap(), two);
    // What the table does not list is ignored only at 255.
    assert_eq!(by("127=nerve").unwrap(), [(0, 44_402), (1, 2809), (IGNORED, 1941)]);
    assert_eq!(by("127-255=vessel").unwrap(), [(0, 44_402), (2, 4750)]);
    assert!(by("255=vessel").unwrap_err().to_string().contains("value 127"));
    let rule = MaskRule { values: "127=1,255=2".parse().unwrap(), ..MaskRule::default() };
    assert_eq!(folder.check_by(&rule, Some(&[1, 2])).1, Vec::<String>::new());
}

#[test]
fn palette_indices_are_classes() {
    let folder = Folder::new();
    folder.add_mask("p0", "palette.png");
    let expected = [(0, 44_402), (1, 2809), (2, 1941)];
    assert_eq!(pixels(&folder, &["nerve", "vessel"], |_| ()).unwrap(), expected);
    assert_eq!(folder.check(Some(&[1, 2])).1, Vec::<String>::new());
}

#[test]
fn values_are_counted_by_pixels_and_masks() {
    let folder = Folder::new();
    folder.add_mask("p0", "classes-with-255.png");
    folder.add_mask("p1", "palette.png");
    let (dataset, _) = folder.check(None);
    let counts = dataset.count_values();
    assert_eq!(counts.values(), [0, 1, 2, 255]);
    assert_eq!(counts.of(0), (43_806 + 44_402, 2));
    assert_eq!(counts.of(255), (596, 1));
    assert_eq!(counts.of(7), (0, 0));
    assert_eq!(read(&dataset, 1).classes.dim(), (192, 256));
}

#[test]
fn black_and_white_jpeg_masks_are_one_class_and_grey_ones_are_refused() {
    let folder = Folder::new();
    for name in ["a", "b"] {
        folder.grey(&format!("images/{name}.png"), (64, 48), |x, y| (x + y) as u8);
    }
    let disc = |x: u32, y: u32| (x as f32 - 30.0).hypot(y as f32 - 20.0) < 15.0;
    folder.grey("masks/a.jpg", (64, 48), |x, y| u8::from(disc(x, y)) * 255);
    folder.grey("masks/b.png", (64, 48), |x, y| u8::from(disc(x, y)) * 255);
    assert_eq!(folder.check(Some(&[1])).1, Vec::<String>::new());
    let (dataset, _) = folder.check(None);
    let [jpeg, png] = [0, 1].map(|index| read(&dataset, index).classes);
    let wrong = jpeg.iter().zip(&png).filter(|(jpeg, png)| jpeg != png).count();
    assert!(wrong < 20, "{wrong} px differ");
    folder.grey(
        "masks/a.jpg",
        (64, 48),
        |x, y| if disc(x, y) { (x * 8).min(255) as u8 } else { 0 },
    );
    let (_, problems) = folder.check(Some(&[1]));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("JPEG does not keep class numbers"), "{problems:?}");
}

#[test]
fn stray_files_are_named() {
    let folder = Folder::new();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4711\n";
    for (image, mask) in [("a.png", "a.png"), ("b.nii.gz", "b.nii.gz"), ("c.dcm", "c.png")] {
        folder.write(&format!("images/{image}"), pointer);
        folder.grey("masks/c.png", (8, 8), |_, _| 1);
        folder.grey("masks/a.png", (8, 8), |_, _| 1);
        if mask.ends_with("nii.gz") {
            folder.write(&format!("masks/{mask}"), pointer);
        }
    }
    let (_, problems) = folder.check(None);
    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, file) in problems.iter().zip(["a.png", "b.nii.gz", "c.dcm"]) {
        let expected = format!(
            "images/{file}: unreadable: this is a Git LFS pointer to a file of \
                                4711 bytes"
        );
        assert!(problem.starts_with(&expected), "{problem}");
    }
}
