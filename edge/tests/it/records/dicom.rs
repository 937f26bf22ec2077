//! DICOM files checked by other software: highdicom, pydicom and dicom3tools.

use std::path::Path;
use std::process::Command;

use medsa_edge::records::{Capture, Record, Records};
use medsa_frames::{PixelSpacing, ScaledRegion};
use medsa_test_inputs::{needs, python, repository};
use serde_json::{Value, json};

use super::captures::{AMPLE, SIZE, capture, disc, object, without_objects};

#[test]
fn python_reads_pixels_masks_and_attributes() {
    needs!("venv");
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let capture = capture();
    let kept = records.keep(&capture).unwrap();
    let record = records.read(&kept.id).unwrap();
    let found = read_by_python("read_record.py", &kept.folder);

    let first_pixels: Vec<&[u8]> = capture.frame.rgb.chunks(3).take(4).collect();
    let expected = json!({
        "class": "Secondary Capture Image Storage",
        "photometric": "RGB",
        "size": [35, 61],
        "first_pixels": first_pixels,
        "is_the_image": true,
        "spacing": [0.38265306, 0.25],
        "captured": "20261123 064433.123456 +0000",
        "device": ["Med-SA", "medsa-edge on raspberry-pi-5", "bedside-1", "medsa-edge 0.1.0"],
        "patient": ["UNASSIGNED^bedside-1", unassigned(&record), "YES"],
        "uid": record.dicom.frame.instance,
    });
    assert_eq!(found["frame"], expected);

    let segment = |number: usize, label: &str| {
        let object = &record.objects[number - 1];
        json!({
            "number": number,
            "label": label,
            "category": ["85756007", "SCT", "Tissue"],
            "type": ["85756007", "SCT", "Tissue"],
            "algorithm": ["SEMIAUTOMATIC", "plexus 1.2.0"],
            "family": "Artificial Intelligence",
            "tracking_id": format!("{}-object-{}", kept.id, object.object),
            "tracking_uid": object.tracking_uid,
            "pixels": object.area_px,
            "is_the_mask": true,
        })
    };
    let expected = json!({
        "class": "Segmentation Storage",
        "type": "BINARY",
        "overlap": "YES",
        "same_study": true,
        "same_patient": true,
        "source": [record.dicom.frame.instance],
        "segments": [segment(1, "nerve"), segment(2, "artère")],
    });
    assert_eq!(found["segmentation"], expected);
}

#[test]
fn python_reads_a_record_without_spacing_and_with_all_objects() {
    needs!("venv");
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let kept = records.keep(&eight_objects()).unwrap();
    let found = read_by_python("read_record.py", &kept.folder);
    assert_eq!(found["frame"]["spacing"], Value::Null);
    let segmentation = &found["segmentation"];
    assert_eq!(segmentation["overlap"], "NO");
    let segments = segmentation["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 8);
    for (segment, object) in segments.iter().zip(&kept.message.objects) {
        assert_eq!(segment["is_the_mask"], true);
        assert_eq!(segment["pixels"], object.area_px);
    }
}

#[test]
fn dcmqi_and_highdicom_open_the_segmentation() {
    needs!("venv");
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let mut apart = eight_objects();
    let region = |x0, x1, mm| ScaledRegion { x0, y0: 0, x1, y1: SIZE.1, mm: Some(mm) };
    // All objects are in the first region.
    let regions = vec![region(0, 60, [0.5, 0.5]), region(60, 61, [0.1, 0.1])];
    apart.frame.pixel_spacing_mm = PixelSpacing::of_regions(regions, SIZE);
    for (capture, [row_mm, column_mm]) in [(capture(), [0.382_653_06, 0.25]), (apart, [0.5, 0.5])] {
        let kept = records.keep(&capture).unwrap();
        let found = read_by_python("open_segmentation.py", &kept.folder.join("segmentation.dcm"));
        let record = records.read(&kept.id).unwrap();
        let areas: Vec<u32> = record.objects.iter().map(|object| object.area_px).collect();
        let labels: Vec<&str> = record.objects.iter().map(|object| &*object.label).collect();
        let expected = json!({
            "dcmqi": {
                "size": [61, 35, 1],
                "directions_mm": [[column_mm, 0.0, 0.0], [0.0, row_mm, 0.0], [0.0, 0.0, 1.0]],
                "origin_mm": [0.0, 0.0, 0.0],
                "labels": labels,
                "pixels": areas,
            },
            "highdicom": { "spacing_mm": [1.0, row_mm, column_mm], "pixels": areas },
            "attributes": {
                "frame_of_reference": true,
                "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
                "positions": vec![[0.0; 3]; areas.len()],
                "referenced_series": 1,
            },
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn dciodvfy_reports_no_errors() {
    needs!("dciodvfy");
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let named = |label: &str| {
        let mut capture = capture();
        capture.objects[0].label = label.into();
        capture.build.name = "b\\".repeat(32);
        capture.build.version = "9".repeat(32);
        capture
    };
    for capture in [capture(), eight_objects(), named(""), without_objects((64, 48))] {
        let kept = records.keep(&capture).unwrap();
        for file in ["frame.dcm", "segmentation.dcm"] {
            let path = kept.folder.join(file);
            if !capture.objects.is_empty() || file == "frame.dcm" {
                assert_eq!(complaints(&path), [""; 0], "{file}");
            }
        }
    }
}

#[test]
fn regions_of_the_scale_extend_the_class_of_the_frame() {
    needs!("dciodvfy");
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let region = |x0, x1, mm| ScaledRegion { x0, y0: 0, x1, y1: SIZE.1, mm };
    let regions = vec![region(0, 40, Some([0.2, 0.2])), region(40, 61, None)];
    let mut capture = capture();
    capture.frame.pixel_spacing_mm = PixelSpacing::of_regions(regions, SIZE);
    let kept = records.keep(&capture).unwrap();
    let found = complaints(&kept.folder.join("frame.dcm"));
    let is_extension = |line: &String| line.contains("not present in standard DICOM IOD");
    assert!(!found.is_empty() && found.iter().all(is_extension), "{found:#?}");
    assert_eq!(complaints(&kept.folder.join("segmentation.dcm")), [""; 0]);
}

/// PatientID of a record: that of its study.
fn unassigned(record: &Record) -> String {
    format!("UNASSIGNED-{}", record.dicom.study.strip_prefix("2.25.").unwrap())
}

#[test]
fn studies_are_of_different_unassigned_patients() {
    needs!("venv");
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let patients = [(); 2].map(|()| {
        let kept = records.keep(&capture()).unwrap();
        let found = read_by_python("read_record.py", &kept.folder);
        let id = found["frame"]["patient"][1].as_str().unwrap().to_owned();
        assert_eq!(id, unassigned(&records.read(&kept.id).unwrap()));
        assert_eq!(found["segmentation"]["same_patient"], true);
        assert!(id.len() <= 64);
        id
    });
    assert_ne!(patients[0], patients[1]);
}

/// A capture without pixel spacing, whose objects do not touch.
fn eight_objects() -> Capture {
    let mut capture = without_objects(SIZE);
    capture.frame.pixel_spacing_mm = None;
    capture.objects = (0..8)
        .map(|number| object(number, "nerve", disc([4.0 + 7.0 * f32::from(number), 20.0], 3.0)))
        .collect();
    capture
}

/// Accepted warnings, about what the device cannot know: the side of the body.
const JUDGED: [&str; 1] = [
    "Warning - is only permitted to be empty when actually unknown; should be absent (not empty) \
     if an unpaired body part, and have a value if a paired body part - attribute <Laterality>",
];

/// Complaints of dicom3tools about a file, other than the accepted ones.
pub fn complaints(path: &Path) -> Vec<String> {
    let output = Command::new("dciodvfy").arg(path).output();
    let text = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(!text.is_empty(), "it names at least what it took the file for");
    let complaints = text.lines().filter(|line| line.contains(" - ") && !JUDGED.contains(line));
    complaints.map(str::to_owned).collect()
}

/// Output of a script of tests/python about a record, or a file of one.
pub fn read_by_python(script: &str, path: &Path) -> Value {
    let output = Command::new(python())
        .arg(repository().join("tests/python").join(script))
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
