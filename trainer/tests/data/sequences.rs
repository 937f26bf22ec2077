//! Sequence files of PLUS and 3D Slicer.

use medsa_trainer::data::ValueMap;

use crate::fixtures::{Folder, names, read};

/// A MetaImage of three frames of 4 x 2 px.
fn meta_image(kind: &str, samples: &[u8]) -> Vec<u8> {
    let header = format!(
        "ObjectType = Image\nNDims = 3\nDimSize = 4 2 3\nElementType = {kind}\nElementDataFile = LOCAL\n"
    );
    [header.as_bytes(), samples].concat()
}

/// Samples 0 to 23; those of a frame are 8.
fn samples() -> Vec<u8> {
    (0..24).collect()
}

#[test]
fn frames_of_images_and_masks_are_paired_by_number() {
    let folder = Folder::new();
    folder.write("images/sweep.igs.mha", &meta_image("MET_UCHAR", &samples()));
    let labels: Vec<u8> = samples().iter().flat_map(|&s| [u8::from(s == 10) * 2, 0]).collect();
    folder.write("masks/sweep.igs.mha", &meta_image("MET_USHORT", &labels));
    let (dataset, problems) = folder.check(Some(&[2]));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(names(&dataset), ["sweep.igs#0000", "sweep.igs#0001", "sweep.igs#0002"]);
    assert_eq!(dataset.items()[1].sequence, Some(("sweep.igs".to_owned(), 1)));
    let image = read(&dataset, 1);
    assert_eq!((image.width, image.height, image.rgb[3 * 2]), (4, 2, 10));
    assert_eq!((image.classes[(0, 2)], image.classes[(0, 1)]), (2, 0));
    assert!(read(&dataset, 0).class_indices().is_empty());
}

#[test]
fn masks_of_single_frames_may_be_images() {
    let folder = Folder::new();
    folder.write("images/sweep.mha", &meta_image("MET_UCHAR", &samples()));
    folder.grey("masks/sweep/2.png", (4, 2), |x, _| u8::from(x == 3));
    let (dataset, problems) = folder.check(Some(&[1]));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(names(&dataset), ["sweep#0002"]);
    assert_eq!(read(&dataset, 0).rgb[0], 16);
}

#[test]
fn masks_that_do_not_fit_are_reported() {
    let folder = Folder::new();
    let negative: Vec<u8> = samples().iter().flat_map(|_| (-1i16).to_le_bytes()).collect();
    folder.write("images/a.mha", &meta_image("MET_UCHAR", &samples()));
    folder.write("masks/a.mha", &meta_image("MET_SHORT", &negative));
    folder.write("images/b.mha", &meta_image("MET_UCHAR", &samples()[..23]));
    folder.grey("masks/b/0.png", (4, 2), |_, _| 1);
    let more = String::from_utf8(meta_image("MET_UCHAR", &samples())).unwrap();
    let more = more.replace("4 2 3", "2 2 6");
    folder.write("images/c.mha", &meta_image("MET_UCHAR", &samples()));
    folder.write("masks/c.mha", more.as_bytes());
    let (dataset, problems) = folder.check(None);
    let said = problems.join("\n");
    assert!(said.contains("masks/a.mha: unreadable: value -1, expected a whole number"), "{said}");
    assert!(said.contains("images/b.mha: 23 bytes of samples, expected 24"), "{said}");
    assert!(said.contains("size is 2 x 2 px, but that of its image is 4 x 2 px"), "{said}");
    let last = dataset.items().iter().find(|item| item.name == "c#0005").unwrap();
    let problem = last.read(&ValueMap::stored()).unwrap_err().to_string();
    assert!(problem.contains("no frame 5 in"), "{problem}");
}
