//! Captures that the service stores are data for the next training.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use medsa_bundle::sha256_hex;
use medsa_edge::config::{Budget, Deidentification};
use medsa_edge::pipeline::BuildIdentity;
use medsa_edge::port::Trigger;
use medsa_edge::records::{Capture, CapturedObject, ObjectState, Records};
use medsa_frames::Frame;
use medsa_sam::prompt::{Point, Prompt};
use medsa_tests::program;
use medsa_trainer::data::{Dataset, Part, Split, ValueMap};
use medsa_trainer::train::{DataConfig, Stock};
use medsa_wire::topic::{DeviceId, ObjectId};
use ndarray::Array2;
use serde_json::{Value, json};

/// 2026-11-23 06:44:33.123456 UTC.
const CAPTURED_US: u64 = 1_795_416_273_123_456;

const DAY_US: u64 = 86_400_000_000;

/// Width and height, not divisible by eight: rows of masks do not start with a byte.
const SIZE: (usize, usize) = (61, 35);

#[test]
fn captured_frames_and_masks_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let captures = [two_objects(), Capture { captured_us: CAPTURED_US + DAY_US, ..two_objects() }];
    keep(folder.path(), &captures);
    let (dataset, problems) = Dataset::open(folder.path()).unwrap();
    assert_eq!(problems, []);
    let names: Vec<&str> = dataset.items().iter().map(|item| item.name.as_str()).collect();
    let expected = [
        "00000001-20261123T064433.123456Z#0002",
        "00000001-20261123T064433.123456Z#0005",
        "00000002-20261124T064433.123456Z#0002",
        "00000002-20261124T064433.123456Z#0005",
    ];
    assert_eq!(names, expected);
    // By ascending number of the object.
    let objects = captures.iter().flat_map(|capture| capture.objects.iter().rev());
    for (item, (object, class)) in dataset.items().iter().zip(objects.zip([1, 2, 1, 2])) {
        let image = item.read(&ValueMap::stored()).unwrap();
        assert_eq!((image.width, image.height), SIZE);
        assert_eq!(image.rgb, captures[0].frame.rgb);
        assert_eq!(image.classes, object.mask.mapv(|inside| if inside { class } else { 0 }));
        assert_eq!(item.label.as_ref(), Some(&object.label));
    }
    let mut more = Vec::new();
    dataset.check(&ValueMap::stored(), Some(&[1, 2]), |problem| more.push(problem));
    assert_eq!(more, []);
}

#[test]
fn labels_are_matched_with_configured_classes() {
    let folder = tempfile::tempdir().unwrap();
    keep(folder.path(), &[two_objects()]);
    let stock = |classes: &[&str]| {
        let classes: Vec<String> = classes.iter().map(|&class| class.to_owned()).collect();
        Stock::open(&DataConfig::new(folder.path(), None, &classes))
    };
    // Name and number of the class of each item.
    let classes = |stock: Stock| -> Vec<(String, u8)> {
        let class = |&item: &usize| {
            let class = stock.read(item, 1).unwrap()[0].classes.iter().copied().max().unwrap();
            (stock.class(class), class)
        };
        stock.part(Part::Train).iter().map(class).collect()
    };
    let [nerve, artery] = ["nerve", "artère"].map(str::to_owned);
    assert_eq!(classes(stock(&[]).unwrap()), [(nerve.clone(), 1), (artery.clone(), 2)]);
    let swapped = classes(stock(&["artère", "vein", "nerve"]).unwrap());
    assert_eq!(swapped, [(nerve, 3), (artery.clone(), 1)]);
    assert_eq!(classes(stock(&["artère"]).unwrap()), [(artery, 1)]);
    let error = stock(&["vein"]).err().unwrap().to_string();
    let expected = "objects are labelled nerve, artère, expected at least one of the classes vein";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn check_reports_device_time_build_and_objects() {
    let folder = tempfile::tempdir().unwrap();
    let later = CAPTURED_US + 2 * DAY_US;
    let by_mqtt = Capture { captured_us: later, trigger: Trigger::Mqtt, ..two_objects() };
    let nothing = Capture { objects: vec![], ..two_objects() };
    keep(folder.path(), &[two_objects(), by_mqtt]);
    let check = || {
        let mut command = program::command("medsa-train");
        command.args(["check", "--data"]).arg(folder.path()).output().unwrap()
    };
    let facts = |captures: usize, touched: usize| {
        format!(
            "captures: {captures}, from 2026-11-23 06:44:33 to 2026-11-25 06:44:33 UTC\n\
             captures by build plexus 1.2.0 (sha256 abababababab): {captures}\n\
             captures on bedside-1 (raspberry-pi-5, medsa-edge 0.1.0): {captures}\n\
             captures requested by mqtt: 1\n\
             captures requested by touch: {touched}\n\
             objects labelled nerve: 2\n\
             objects labelled artère: 2\n\
             prompts: 8 clicks (4 negative) and 4 boxes, not used: training draws its own from \
             the masks\n"
        )
    };
    let output = check();
    let path = folder.path().display();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, facts(2, 1) + &format!("{path}: 4 images with masks, no problems\n"));
    assert!(output.status.success());

    keep(folder.path(), &[nothing]);
    let output = check();
    let name = "00000003-20261123T064433.123456Z";
    let skipped = format!("{path}/{name}: not used: no object was captured\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), facts(3, 2) + &skipped);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn captures_of_one_day_stay_in_one_part_of_a_split() {
    let folder = tempfile::tempdir().unwrap();
    let at = |i: u64| Capture { captured_us: CAPTURED_US + i / 3 * DAY_US + i, ..two_objects() };
    keep(folder.path(), &(0..9).map(at).collect::<Vec<_>>());
    let out = folder.path().join("split.json");
    let mut command = program::command("medsa-train");
    command.args(["split", "--group", "([0-9]{8})T", "--test", "0.3", "--validation", "0.3"]);
    program::run(command.arg("--data").arg(folder.path()).arg("--out").arg(&out));
    let Split { train, validation, test } = Split::read(&out).unwrap();
    for part in [train, validation, test] {
        let mut days: Vec<&str> = part.iter().map(|name| &name[9..17]).collect();
        days.dedup();
        assert_eq!((part.len(), days.len()), (6, 1), "{part:?}");
    }
}

/// Change of a record in its folder.
type Damage = fn(&Path);

#[test]
fn damaged_record_is_refused_with_its_file_and_reason() {
    let cases: [(Damage, &str); 11] = [
        (
            |at| fs::remove_file(at.join("record.json")).unwrap(),
            "/record.json: unreadable: No such",
        ),
        (|at| fs::write(at.join("record.json"), "{}").unwrap(), "missing field `format`"),
        (
            |at| describe(at, |record| record["format"] = json!(3)),
            "/record.json: unreadable: format 3 is newer than this program supports (2): install a \
             newer medsa-train",
        ),
        (
            |at| describe(at, |record| record["id"] = json!("other")),
            "/record.json: unreadable: id is \"other\", expected the name of its folder",
        ),
        (
            |at| fs::remove_file(at.join("segmentation.dcm")).unwrap(),
            ": not used: object 2: segmentation.dcm is missing",
        ),
        (
            |at| fs::remove_file(at.join("frame.dcm")).unwrap(),
            ": not used: object 2: frame.dcm is missing",
        ),
        (
            |at| change(&at.join("frame.dcm"), |bytes| bytes.truncate(6000)),
            "/frame.dcm: unreadable: 6000 bytes, expected ",
        ),
        (
            |at| change(&at.join("segmentation.dcm"), |bytes| *bytes.last_mut().unwrap() ^= 1),
            "/segmentation.dcm: unreadable: sha256 is ",
        ),
        (
            |at| describe(at, |record| record["objects"][0]["segment"] = json!(9)),
            "/segmentation.dcm: unreadable: no segment 9, which record.json names",
        ),
        (
            |at| replace(at, "segmentation.dcm", &fs::read(at.join("frame.dcm")).unwrap()),
            "/segmentation.dcm: SOPClassUID is 1.2.840.10008.5.1.4.1.1.7, expected",
        ),
        (
            |at| {
                let folder = tempfile::tempdir().unwrap();
                let other = keep(folder.path(), &[of_size((64, 48))]);
                let other = folder.path().join(&other[0]).join("segmentation.dcm");
                replace(at, "segmentation.dcm", &fs::read(other).unwrap());
            },
            "/segmentation.dcm: size is 64 x 48 px, but that of its image is 61 x 35 px",
        ),
    ];
    for (damage, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let names = keep(folder.path(), &[two_objects(), two_objects()]);
        damage(&folder.path().join(&names[0]));
        let (dataset, mut problems) = Dataset::open(folder.path()).unwrap();
        dataset.check(&ValueMap::stored(), None, |problem| problems.push(problem));
        let problem = problems.first().unwrap_or_else(|| panic!("{expected}")).to_string();
        assert!(problem.contains(&names[0]) && problem.contains(expected), "{problem}");
        let whole = dataset.items().iter().filter(|item| item.name.starts_with(&names[1]));
        assert_eq!(
            whole.filter(|item| item.read(&ValueMap::stored()).is_ok()).count(),
            2,
            "{expected}"
        );
    }
}

#[test]
fn objects_without_a_trusted_mask_are_skipped_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Array2::from_elem((SIZE.1, SIZE.0), false);
    let mut capture = two_objects();
    capture.objects.push(object(7, "nerve", empty));
    let names = keep(folder.path(), &[capture]);
    let record = folder.path().join(&names[0]);
    describe(&record, |record| record["objects"][1]["state"] = json!("lost"));
    let (dataset, problems) = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.items().len(), 1);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        r#"object 5: state is "lost", expected segmented or followed"#,
        "object 7: the mask is empty",
    ];
    let expected = expected.map(|reason| format!("{}: not used: {reason}", record.display()));
    assert_eq!(problems, expected);
}

/// Stores captures; returns the names of their records.
fn keep(folder: &Path, captures: &[Capture]) -> Vec<String> {
    let budget = Budget { max_bytes: 1 << 40, min_free_bytes: 0 };
    let records = Records::open(folder, budget).unwrap();
    captures.iter().map(|capture| records.keep(capture).unwrap().id.to_string()).collect()
}

/// Changes `record.json`.
fn describe(record: &Path, change: impl FnOnce(&mut Value)) {
    let path = record.join("record.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

/// Replaces a file and its entry in `record.json`.
fn replace(record: &Path, file: &str, bytes: &[u8]) {
    fs::write(record.join(file), bytes).unwrap();
    let entry = json!({"bytes": bytes.len(), "sha256": sha256_hex(bytes)});
    describe(record, |record| record["files"][file] = entry);
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn two_objects() -> Capture {
    of_size(SIZE)
}

/// A frame with different values in all channels and two objects with common pixels, the higher
/// number first.
fn of_size((width, height): (usize, usize)) -> Capture {
    let disc = |x: f32| {
        Array2::from_shape_fn((height, width), |(row, column)| {
            (column as f32 - x).hypot(row as f32 - 17.0) < 12.0
        })
    };
    let pixel = |i: usize| [(i % 251) as u8, (i / width) as u8, 200 - (i % 7) as u8];
    let artery = object(5, "artère", disc(35.0));
    Capture {
        frame: Frame {
            width: width as u32,
            height: height as u32,
            rgb: (0..width * height).flat_map(pixel).collect(),
            pixel_spacing_mm: None,
        },
        deidentification: Deidentification::Masked,
        captured_us: CAPTURED_US,
        frame_id: 300,
        trigger: Trigger::Touch,
        operator: None,
        study: None,
        device: DeviceId::parse("bedside-1").unwrap(),
        board: "raspberry-pi-5".into(),
        edge_version: "0.1.0".into(),
        build: BuildIdentity {
            name: "plexus".into(),
            version: "1.2.0".into(),
            sha256: [0xab; 32],
            classes: vec!["nerve".into(), "artère".into()],
        },
        objects: vec![
            CapturedObject { state: ObjectState::Followed, ..artery },
            object(2, "nerve", disc(20.0)),
        ],
        clip: vec![],
        names: BTreeMap::new(),
    }
}

fn object(number: u8, label: &str, mask: Array2<bool>) -> CapturedObject {
    let points =
        vec![Point { x: 20.5, y: 17.0, positive: true }, Point { x: 1.0, y: 2.0, positive: false }];
    let size = (mask.ncols(), mask.nrows());
    CapturedObject {
        object: ObjectId::new(number).unwrap(),
        label: label.into(),
        prompt: Prompt::new(points, Some([8.0, 5.0, 32.0, 29.0]), size).unwrap(),
        mask,
        score: 0.9375,
        frame_id: 300,
        state: ObjectState::Segmented,
        measured: None,
    }
}
