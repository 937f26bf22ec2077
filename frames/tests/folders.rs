//! Folders as clips.

mod common;

use std::fs;
use std::path::Path;

use common::{DicomFile, EXPLICIT_VR};
use medsa_frames::{Clip, FramesError};
use tempfile::tempdir;

#[test]
fn files_of_systems_are_passed_over() {
    let folder = tempdir().unwrap();
    image::RgbImage::new(3, 2).save(folder.path().join("a1.png")).unwrap();
    for name in ["._a1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "._a1.dcm"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let clip = Clip::open(folder.path()).unwrap();
    assert_eq!((clip.len(), clip.frame_name(0).unwrap().as_str()), (1, "a1.png"));
}

#[test]
fn dicom_files_of_a_folder_are_one_clip_in_the_order_of_instances() {
    let folder = tempdir().unwrap();
    write(folder.path(), "c.dcm", slice(1, 1));
    write(folder.path(), "b.DCM", slice(10, 1));
    // Two frames, without an extension.
    write(folder.path(), "a", slice(2, 2));
    write(
        folder.path(),
        "report.dcm",
        DicomFile::new(EXPLICIT_VR).text(0x0008, 0x0060, b"CS", "SR"),
    );
    for name in ["DICOMDIR", "._c.dcm", "notes.txt"] {
        fs::write(folder.path().join(name), "x".repeat(200)).unwrap();
    }
    let clip = Clip::open(folder.path()).unwrap();
    assert!(clip.is_dicom());
    assert_eq!(clip.len(), 4);
    assert_eq!(clip.frame_interval_ms(), Some(40.0));
    assert_eq!(clip.warnings(), ["report.dcm: passed over, because it has no image"]);
    for (index, (name, shade)) in
        [("c.dcm", 1), ("a-0", 2), ("a-1", 3), ("b.DCM", 10)].into_iter().enumerate()
    {
        assert_eq!(clip.frame_name(index).unwrap(), name);
        assert_eq!(clip.frame(index).unwrap().rgb, [shade; 3]);
    }
    assert_eq!(clip.frame_name(4), None);
    assert!(matches!(clip.frame(4), Err(FramesError::FrameRange { index: 4, len: 4, .. })));
}

#[test]
fn damaged_dicom_file_of_a_folder_is_named() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.dcm", slice(1, 1));
    fs::write(folder.path().join("b.dcm"), "not DICOM").unwrap();
    let error = Clip::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("b.dcm: truncated or damaged: preamble"), "{error}");
}

#[test]
fn images_are_preferred_to_dicom_files() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.dcm", slice(1, 1));
    image::RgbImage::new(3, 2).save(folder.path().join("b.png")).unwrap();
    let clip = Clip::open(folder.path()).unwrap();
    assert_eq!((clip.len(), clip.is_dicom()), (1, false));
    assert_eq!(clip.warnings(), ["1 DICOM files are passed over, because there are images"]);
}

/// Frames of one pixel, whose shade is the number of the instance and counts up.
fn slice(instance: u8, frames: u8) -> DicomFile {
    let pixels: Vec<u8> = (instance..instance + frames).collect();
    DicomFile::new(EXPLICIT_VR)
        .text(0x0018, 0x1063, b"DS", "40")
        .text(0x0020, 0x0013, b"IS", &instance.to_string())
        .cine(1, "MONOCHROME2", frames.into(), [1, 1], 8)
        .pixels(&pixels)
}

fn write(folder: &Path, name: &str, file: DicomFile) {
    fs::write(folder.join(name), file.bytes()).unwrap();
}
