//! Hiding and cropping of a recording as configured.

use image::{Rgb, RgbImage};

use super::{Played, try_open};

/// A folder with one image of 40 x 30 px whose pixels hold their column and row.
fn folder_with_image() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8, y as u8, 200]));
    image.save(folder.path().join("image.png")).unwrap();
    folder
}

const IMAGE: &str = "kind = \"images\"\npath = \"image.png\"";

#[test]
fn intake_determines_the_size_of_frames() {
    let folder = folder_with_image();
    let lines = format!(
        "{IMAGE}\nframe_size = [40, 30]\nblank = [[0, 0, 40, 4]]\nregion = [10, 2, 20, 16]"
    );
    let opened = try_open(folder.path(), &lines).unwrap();
    assert_eq!(opened.frame_size, Some((20, 16)));
    let received = Played(opened.source).frame();
    assert_eq!((received.frame.width, received.frame.height), (40, 30));
}

#[test]
fn recording_of_another_size_is_refused_at_start() {
    let folder = folder_with_image();
    let refusal = |lines: &str| match try_open(folder.path(), &format!("{IMAGE}\n{lines}")) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        refusal("frame_size = [30, 40]\nblank = [[0, 0, 30, 4]]"),
        "source.frame_size: frame is 40 x 30 px, expected 30 x 40 px"
    );
    assert_eq!(
        refusal("region = [30, 0, 20, 16]"),
        "source.region: frame is 40 x 30 px, expected 50 x 16 px at least"
    );
}

#[test]
fn configuration_determines_the_size_of_live_frames() {
    let folder = tempfile::tempdir().unwrap();
    let size = |lines: &str| {
        let lines = format!("kind = \"openigtlink\"\nserver = \"localhost:18944\"\n{lines}");
        try_open(folder.path(), &lines).unwrap().frame_size
    };
    assert_eq!(size(""), None);
    assert_eq!(size("frame_size = [40, 30]"), Some((40, 30)));
    assert_eq!(size("frame_size = [40, 30]\nregion = [1, 2, 3, 4]"), Some((3, 4)));
    assert_eq!(size("region = [1, 2, 3, 4]"), Some((3, 4)));
}
