//! Storing, refusing and reading records.

use std::fs;
use std::path::Path;

use medsa_edge::config::Deidentification;
use medsa_edge::port::Trigger;
use medsa_edge::records::{
    Capture, CapturedObject, ObjectState, Record, RecordId, RecordedMeasures, RecordedPoint,
    Records,
};
use medsa_frames::{Clip, PixelSpacing, ScaledRegion};
use medsa_wire::{Message, RecordMessage};
use sha2::{Digest, Sha256};

use super::captures::{AMPLE, CAPTURED_US, SIZE, capture, disc, object, without_objects};

#[test]
fn record_holds_the_capture() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let capture = capture();
    let kept = records.keep(&capture).unwrap();
    assert_eq!(kept.id.to_string(), "00000001-20261123T064433.123456Z");
    assert_eq!(kept.folder, folder.path().join(kept.id.to_string()));

    let clip = Clip::open(kept.folder.join("frame.dcm")).unwrap();
    assert_eq!((clip.len(), clip.frame(0).unwrap()), (1, capture.frame.clone()));
    let image = image::open(kept.folder.join("frame.png")).unwrap();
    assert_eq!(image.as_rgb8().unwrap().as_raw(), &capture.frame.rgb);
    for CapturedObject { object, mask, .. } in &capture.objects {
        let image = image::open(kept.folder.join(format!("mask-{}.png", object.get()))).unwrap();
        assert_eq!((image.width(), image.height()), SIZE);
        let pixels = image.as_luma8().unwrap().as_raw();
        let expected: Vec<u8> = mask.iter().map(|&inside| u8::from(inside) * 255).collect();
        assert_eq!(pixels, &expected);
    }

    let record = records.read(&kept.id).unwrap();
    assert_eq!((record.captured_us, record.trigger), (CAPTURED_US, Trigger::Touch));
    assert_eq!((record.frame.id, record.frame.width_px, record.frame.height_px), (300, 61, 35));
    assert_eq!(record.frame.pixel_spacing_mm, Some([0.382_653_06, 0.25]));
    assert!(record.frame.regions.is_empty());
    assert_eq!(
        (record.device.id.as_str(), record.device.board.as_str()),
        ("bedside-1", "raspberry-pi-5")
    );
    assert_eq!((record.build.name.as_str(), record.build.version.as_str()), ("plexus", "1.2.0"));
    assert_eq!(record.build.sha256, "ab".repeat(32));
    assert_eq!(record.build.classes, ["nerve", "artère"]);
    let files: Vec<&str> = record.files.keys().map(String::as_str).collect();
    assert_eq!(files, ["frame.dcm", "frame.png", "mask-2.png", "mask-5.png", "segmentation.dcm"]);
    let [nerve, artery] = &record.objects[..] else { panic!("{:?}", record.objects) };
    assert_eq!((nerve.object, nerve.label.as_str(), nerve.segment), (2, "nerve", Some(1)));
    assert_eq!((artery.object, artery.label.as_str(), artery.segment), (5, "artère", Some(2)));
    assert_eq!((nerve.state, artery.state), (ObjectState::Segmented, ObjectState::Followed));
    assert_eq!((nerve.score, artery.score), (0.9375, 0.5));
    assert_eq!(nerve.mask.as_deref(), Some("mask-2.png"));
    assert_eq!(nerve.prompt.bbox, Some([8.0, 5.0, 32.0, 29.0]));
    assert_eq!(nerve.prompt.points[0], RecordedPoint { x: 20.5, y: 17.0, positive: true });
    assert_eq!(nerve.prompt.points[1], RecordedPoint { x: 1.0, y: 2.0, positive: false });
    let measured = RecordedMeasures::from(&super::captures::measured());
    assert_eq!((measured.area_mm2, measured.contour_px.len()), (Some(42.25), 4));
    assert_eq!(nerve.measured.as_ref(), Some(&measured));
}

#[test]
fn scales_by_place_are_kept_with_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let region = |x0, x1, mm| ScaledRegion { x0, y0: 0, x1, y1: SIZE.1, mm };
    let regions = vec![
        region(0, 20, Some([0.382_653_06, 0.25])),
        region(20, 30, None),
        region(30, 60, Some([0.1, 0.1])),
    ];
    let pixel_spacing_mm = PixelSpacing::of_regions(regions, SIZE);
    let mut capture = capture();
    capture.frame.pixel_spacing_mm = pixel_spacing_mm.clone();
    let kept = records.keep(&capture).unwrap();
    let clip = Clip::open(kept.folder.join("frame.dcm")).unwrap();
    assert_eq!(clip.frame(0).unwrap().pixel_spacing_mm, pixel_spacing_mm);
    let record = records.read(&kept.id).unwrap();
    assert_eq!(record.frame.pixel_spacing_mm, None);
    let found: Vec<_> = record.frame.regions.iter().map(|r| (r.x0, r.pixel_spacing_mm)).collect();
    let expected = [(20, None), (0, Some([0.382_653_06, 0.25])), (30, Some([0.1, 0.1]))];
    assert_eq!(found, expected);
}

#[test]
fn announcement_has_the_hash_of_the_description() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Records::open(folder.path(), AMPLE).unwrap().keep(&capture()).unwrap();
    let message = kept.message;
    assert_eq!(message.id.as_str(), kept.id.to_string());
    assert_eq!((message.captured_us, message.frame_id), (CAPTURED_US, 300));
    assert_eq!((message.frame_width_px, message.frame_height_px), (61, 35));
    let area = |mask: ndarray::Array2<bool>| mask.iter().filter(|&&inside| inside).count() as u32;
    let objects: Vec<_> = message.objects.iter().map(|o| (o.object, o.score, o.area_px)).collect();
    let (left, right) = (area(disc([20.0, 17.0], 12.0)), area(disc([35.0, 17.0], 12.0)));
    assert_eq!(objects, [(2, 0.9375, left), (5, 0.5, right)]);
    let json = fs::read(kept.folder.join("record.json")).unwrap();
    assert_eq!(message.record_sha256[..], Sha256::digest(json)[..]);
    let mut buffer = [0; RecordMessage::MAX_ENCODED_LEN];
    assert_eq!(RecordMessage::decode(message.encode(&mut buffer).unwrap()), Ok(message.clone()));
}

#[test]
fn images_of_a_record_are_read_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let kept = records.keep(&capture()).unwrap();
    for name in ["frame.png", "mask-2.png", "mask-5.png"] {
        let stored = fs::read(kept.folder.join(name)).unwrap();
        assert_eq!(records.image(&kept.id, name).unwrap(), Some(stored), "{name}");
    }
    for name in ["mask-0.png", "frame.dcm", "record.json", "../frame.png", ".", ""] {
        assert_eq!(records.image(&kept.id, name).unwrap(), None, "{name}");
    }
    fs::write(kept.folder.join("mask-2.png"), "garbled").unwrap();
    assert!(records.image(&kept.id, "mask-2.png").unwrap_err().to_string().contains("mask-2.png"));
}

#[test]
fn empty_mask_has_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let empty = CapturedObject { measured: None, ..object(0, "nerve", disc([0.0, 0.0], 0.0)) };
    let with = |objects| Capture { objects, ..without_objects(SIZE) };

    let beside = vec![empty.clone(), object(1, "vein", disc([9.0, 9.0], 3.0))];
    let kept = records.keep(&with(beside)).unwrap();
    let [empty_one, full] = &records.read(&kept.id).unwrap().objects[..] else { panic!("two") };
    assert_eq!((empty_one.area_px, &empty_one.mask, empty_one.segment), (0, &None, None));
    assert_eq!(empty_one.prompt.points.len(), 2);
    assert_eq!(full.segment, Some(1));
    assert_eq!(kept.message.objects.len(), 2);

    for objects in [vec![empty], Vec::new()] {
        let kept = records.keep(&with(objects)).unwrap();
        let record = records.read(&kept.id).unwrap();
        assert!(record.dicom.segmentation.is_none());
        let files: Vec<&str> = record.files.keys().map(String::as_str).collect();
        assert_eq!(files, ["frame.dcm", "frame.png"]);
    }
}

#[test]
fn unmasked_frame_is_refused() {
    let deidentification = Deidentification::Unmasked;
    assert_refused(
        &Capture { deidentification, ..capture() },
        "frame not stored, because it is not deidentified: source.blank is missing; set it to the \
         rectangles that hide what identifies the patient, or to [] if there is nothing to hide",
    );
}

#[test]
fn inconsistent_captures_are_refused() {
    let changed = |change: fn(&mut Capture)| {
        let mut capture = capture();
        change(&mut capture);
        capture
    };
    for (capture, expected) in [
        (changed(|c| c.frame.width = 0), "capture: frame.width is 0, expected 1 to 4096"),
        (changed(|c| c.frame.height = 4097), "capture: frame.height is 4097, expected 1 to 4096"),
        (
            changed(|c| c.frame.rgb.truncate(12)),
            "capture: frame.rgb is 12 bytes, expected 6405 for 61 x 35 px",
        ),
        (
            changed(|c| c.frame.pixel_spacing_mm = Some(PixelSpacing::Uniform([0.1, 0.0]))),
            "capture: frame.pixel_spacing_mm is 0, expected a finite number above 0",
        ),
        (
            changed(|c| c.objects[1].object = c.objects[0].object),
            "capture: objects[1].object is 5, expected a number that no other object uses",
        ),
        (
            changed(|c| c.objects[0].mask = ndarray::Array2::from_elem((61, 35), true)),
            "capture: objects[0].mask is (61, 35), expected (35, 61), the rows and columns of \
             the frame",
        ),
        (
            changed(|c| c.objects[0].score = f32::NAN),
            "capture: objects[0].score is NaN, expected a finite number",
        ),
        (
            changed(|c| c.captured_us = u64::MAX),
            "capture: captured_us is 18446744073709551615, expected microseconds since 1970, \
             before the year 10000",
        ),
    ] {
        assert_refused(&capture, expected);
    }
    let no_number = changed(|c| c.objects[0].measured.as_mut().unwrap().longest_px = f32::NAN);
    let folder = tempfile::tempdir().unwrap();
    let error = Records::open(folder.path(), AMPLE).unwrap().keep(&no_number).unwrap_err();
    assert!(
        error.to_string().starts_with("record not stored: cannot encode record.json: "),
        "{error}"
    );
}

#[test]
fn names_sort_in_storage_order_despite_clock_changes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |captured_us| Capture { captured_us, ..without_objects(SIZE) };
    let mut kept = Vec::new();
    // The clock is set back by a year, repeats, and is not set at all; reopened each time.
    for captured_us in [CAPTURED_US, CAPTURED_US - 31_536_000_000_000, CAPTURED_US, CAPTURED_US, 0]
    {
        let records = Records::open(folder.path(), AMPLE).unwrap();
        kept.push(records.keep(&at(captured_us)).unwrap().id);
    }
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let listed = records.list(usize::MAX).unwrap();
    kept.reverse();
    assert_eq!(listed, kept);
    assert!(listed.is_sorted_by(|a, b| a.to_string() > b.to_string()));
    assert_eq!(records.list(2).unwrap(), kept[..2]);
    for id in &listed {
        records.read(id).unwrap();
    }
}

#[test]
fn changed_files_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let kept = records.keep(&capture()).unwrap();
    let refusal = |file: &str| {
        let error = records.read(&kept.id).unwrap_err().to_string();
        let start = kept.folder.join(file).display().to_string();
        error.strip_prefix(&start).unwrap_or_else(|| panic!("{error}")).to_owned()
    };
    let change = |file: &str, change: fn(&mut Vec<u8>)| {
        let path = kept.folder.join(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    };

    change("mask-5.png", |bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(refusal("mask-5.png").contains(" bytes, "));
    fs::remove_file(kept.folder.join("frame.dcm")).unwrap();
    assert_eq!(refusal("frame.dcm"), ": No such file or directory (os error 2)");
    change("record.json", |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace("\"frame.dcm\"", "\"../frame.dcm\"").into_bytes();
    });
    assert_eq!(refusal("record.json"), ": a file named \"../frame.dcm\", expected a plain name");
    change("record.json", |bytes| bytes.truncate(100));
    assert!(refusal("record.json").ends_with(", expected the description of a record"));

    let other = RecordId::parse("00000007-20261123T064433.123456Z").unwrap();
    let error = records.read(&other).unwrap_err().to_string();
    assert!(error.contains("No such file or directory"), "{error}");
}

#[test]
fn records_of_newer_programs_are_read_if_compatible() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let kept = records.keep(&capture()).unwrap();
    let path = kept.folder.join("record.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["examination"] = "heart".into();
    json["frame"]["depth_mm"] = 120.into();
    fs::write(&path, json.to_string()).unwrap();
    assert_eq!(records.read(&kept.id).unwrap().id, kept.id.to_string());

    json["format"] = 3.into();
    json["objects"] = "another structure".into();
    fs::write(&path, json.to_string()).unwrap();
    let error = records.read(&kept.id).unwrap_err().to_string();
    let expected = "format 3 is newer than this program supports (2): install a newer medsa-edge";
    assert_eq!(error, format!("{}: {expected}", path.display()));
    // Other records, and new ones, are not affected.
    assert!(records.keep(&capture()).is_ok());
    assert_eq!(records.list(10).unwrap().len(), 2);
}

#[test]
fn records_of_format_1_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let kept = records.keep(&capture()).unwrap();
    let expected = records.read(&kept.id).unwrap();
    assert_eq!(expected.format, 2);
    let path = kept.folder.join("record.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["format"] = 1.into();
    for object in json["objects"].as_array_mut().unwrap() {
        assert_eq!(object.as_object_mut().unwrap().remove("frame_id"), Some(300.into()));
    }
    fs::write(&path, json.to_string()).unwrap();
    assert_eq!(records.read(&kept.id).unwrap(), Record { format: 1, ..expected });

    // Format 2 states the frame of every mask.
    json["format"] = 2.into();
    fs::write(&path, json.to_string()).unwrap();
    let error = records.read(&kept.id).unwrap_err().to_string();
    assert!(error.contains("missing field `frame_id`"), "{error}");
}

#[test]
fn folder_is_locked_for_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = Records::open(folder.path(), AMPLE).unwrap();
    let Err(error) = Records::open(folder.path(), AMPLE) else { panic!("opened twice") };
    let expected = "another process uses this folder; each medsa-edge needs its own records.folder";
    assert_eq!(error.to_string(), format!("{}: {expected}", folder.path().display()));
    drop(first);
    Records::open(folder.path(), AMPLE).unwrap();
}

fn assert_refused(capture: &Capture, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    assert_eq!(records.keep(capture).unwrap_err().to_string(), expected);
    assert_eq!(entries(folder.path()), [".lock"]);
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
