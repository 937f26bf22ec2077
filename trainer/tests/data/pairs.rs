//! Images with masks.

use medsa_trainer::data::{Dataset, Problem, ValueMap};

use crate::fixtures::{Folder, names, read};

const SIZE: (u32, u32) = (12, 8);

#[test]
fn images_and_masks_are_paired_by_stem() {
    let folder = Folder::new();
    folder.grey("images/a.png", SIZE, |x, y| (x * 20 + y) as u8);
    folder.grey("masks/a.png", SIZE, |x, _| u8::from(x > 5) * 2);
    folder.grey("images/b.jpg", SIZE, |_, _| 90);
    folder.grey("masks/b.png", SIZE, |_, y| u8::from(y < 3));
    folder.write("images/.hidden.png", b"not an image");
    folder.write("images/notes.txt", b"not an image either");
    let (dataset, problems) = folder.check(Some(&[1, 2]));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(names(&dataset), ["a", "b"]);
    let a = read(&dataset, 0);
    assert_eq!((a.width, a.height, a.classes.dim()), (12, 8, (8, 12)));
    assert_eq!(a.rgb[(3 * 12 + 7) * 3..][..3], [143; 3]);
    assert_eq!((a.classes[(3, 5)], a.classes[(3, 6)]), (0, 2));
    assert_eq!(a.class_indices().into_iter().collect::<Vec<_>>(), [2]);
    let b = read(&dataset, 1);
    assert_eq!((b.classes[(2, 0)], b.classes[(3, 0)]), (1, 0));
    assert!(dataset.items().iter().all(|item| item.sequence.is_none()));
    assert!(dataset.run(0, 2).is_none(), "two images are not a sequence");
}

#[test]
fn each_mask_of_a_folder_is_an_item() {
    let folder = Folder::new();
    folder.grey("images/a.png", SIZE, |_, _| 90);
    folder.grey("masks/a/0.png", SIZE, |x, _| u8::from(x > 5));
    folder.grey("masks/a/12.png", SIZE, |x, _| u8::from(x > 2) * 2);
    let (dataset, problems) = folder.check(None);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(names(&dataset), ["a#0000", "a#0012"]);
    assert!(dataset.run(0, 2).is_none(), "masks of one image are not a sequence");
    let areas = dataset.items().iter().map(|item| {
        let classes = item.read(&ValueMap::stored()).unwrap().classes;
        classes.iter().filter(|&&class| class > 0).count()
    });
    assert_eq!(areas.collect::<Vec<_>>(), [6 * 8, 9 * 8]);
}

#[test]
fn every_problem_is_reported_and_the_rest_is_read() {
    let folder = Folder::new();
    let good = |name: &str| {
        folder.grey(&format!("images/{name}.png"), SIZE, |_, _| 90);
        folder.grey(&format!("masks/{name}.png"), SIZE, |x, _| u8::from(x > 5));
    };
    good("good");
    good("twice");
    folder.grey("images/twice.jpg", SIZE, |_, _| 90);
    folder.grey("images/alone.png", SIZE, |_, _| 90);
    folder.grey("masks/orphan.png", SIZE, |_, _| 1);
    folder.grey("images/size.png", SIZE, |_, _| 90);
    folder.grey("masks/size.png", (8, 12), |_, _| 1);
    folder.grey("images/empty.png", SIZE, |_, _| 90);
    folder.grey("masks/empty.png", SIZE, |_, _| 0);
    folder.grey("images/class.png", SIZE, |_, _| 90);
    folder.grey("masks/class.png", SIZE, |x, _| (x % 4) as u8);
    good("kind");
    std::fs::remove_file(folder.at("masks/kind.png")).unwrap();
    folder.write("masks/kind.nii", b"");
    let (dataset, problems) = folder.check(Some(&[1, 2]));
    assert_eq!(
        problems,
        [
            "images/alone.png: no mask of the same name in masks",
            "images/twice.png: not used, images/twice.jpg has the same name",
            "masks/class.png: class 3 is not listed, expected one of [1, 2]",
            "masks/empty.png: empty, no pixel has a class",
            "masks/kind.nii: wrong kind of mask for images/kind.png, expected a .png, .jpg or \
             LabelMe .json file, or a folder of images",
            "masks/orphan.png: no image of the same name in images",
            "masks/size.png: size is 8 x 12 px, but that of its image is 12 x 8 px",
        ]
    );
    assert_eq!(names(&dataset), ["class", "empty", "good", "size", "twice"]);
    assert!(dataset.items()[2].read(&ValueMap::stored()).is_ok());
}

#[test]
fn files_truncated_anywhere_are_problems() {
    let folder = Folder::new();
    for ending in ["png", "jpg"] {
        folder.grey("images/a.png", (40, 30), |x, y| (x * y) as u8);
        folder.grey(&format!("whole.{ending}"), (40, 30), |x, y| (x * y) as u8);
        let whole = std::fs::read(folder.at(&format!("whole.{ending}"))).unwrap();
        for len in [0, 1, 7, 8, 20, 33, 60, whole.len() / 2] {
            let name = format!("masks/a.{ending}");
            folder.write(&name, &whole[..len]);
            let (dataset, _) = Dataset::open(folder.root()).unwrap();
            let found = dataset.items()[0].read(&ValueMap::stored());
            // A truncated JPEG can still be decoded.
            let allowed = ending == "jpg" && len == whole.len() / 2;
            match found {
                Err(Problem::Unreadable { path, .. }) => assert_eq!(path, folder.at(&name)),
                found => assert!(allowed, "{len} bytes of {ending}: {found:?}"),
            }
        }
        std::fs::remove_file(folder.at(&format!("masks/a.{ending}"))).unwrap();
    }
}

#[test]
fn image_with_huge_size_in_its_header_is_refused() {
    let folder = Folder::new();
    folder.grey("images/a.png", SIZE, |_, _| 90);
    folder.grey("masks/a.png", SIZE, |_, _| 1);
    let mut bytes = std::fs::read(folder.at("images/a.png")).unwrap();
    // Width and height in the header chunk, and its checksum.
    bytes[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    folder.write("images/a.png", &bytes);
    let (_, problems) = folder.check(None);
    let expected = "images/a.png: unreadable: 60000 x 60000 px, expected 1 to 16384 on each side";
    assert_eq!(problems, [expected]);
}

#[test]
fn coloured_mask_is_refused() {
    let folder = Folder::new();
    folder.grey("images/a.png", SIZE, |_, _| 90);
    let red = image::RgbImage::from_pixel(SIZE.0, SIZE.1, image::Rgb([128, 0, 0]));
    red.save(folder.at("masks/a.png")).unwrap();
    let (_, problems) = folder.check(None);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("a pixel has colour [128, 0, 0]"), "{problems:?}");
}

#[test]
fn folder_without_masks_is_named() {
    let folder = Folder::new();
    std::fs::remove_dir(folder.at("masks/x").parent().unwrap()).unwrap();
    let error = Dataset::open(folder.root()).unwrap_err();
    assert!(error.to_string().contains("masks"), "{error}");
}

/// CRC-32 as in PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}
