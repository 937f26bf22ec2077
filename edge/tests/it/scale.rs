//! Scales by place: a DICOM file with two ultrasound regions, 0.2 mm/px up to column 212 and
//! 0.5 mm/px from column 213 on.

use std::path::Path;
use std::process::Output;

use medsa_edge::config::Protocol;
use medsa_edge::records::{RecordedRegion, Records};
use medsa_frames::Clip;
use medsa_test_inputs::{data, needs};
use medsa_wire::{Command, MaskMessage, Message as _, RecordMessage};
use serde_json::Value;

use crate::harness::{Edge, Mosquitto, Observer, Place, edge_command, external};
use crate::service::BUDGET;

const LEFT: [f32; 2] = [0.2, 0.2];
const RIGHT: [f32; 2] = [0.5, 0.5];

/// A disc of 60 px around each of these is in the left region, in the right one, and in both.
const CLICKS: [&str; 3] = ["100,120", "300,120", "213,120"];

fn file() -> String {
    data("field/us-regions-mm/regions_two_sizes.dcm").to_str().unwrap().to_owned()
}

/// Runs the service on the file.
pub fn configured(
    place: &Place,
    broker: &Mosquitto,
    source: &str,
    clicks: &[&str],
    more: &str,
) -> Edge {
    let prompt = |(object, click): (usize, &&str)| {
        format!("[[prompt]]\nobject = {object}\npoints = [\"{click}\"]\n")
    };
    let prompts: String = clicks.iter().enumerate().map(prompt).collect();
    let text = format!(
        "[device]\nid = \"bench\"\n\
         [build]\npath = \"tiny.medsa\"\nthreads = 1\n\
         [source]\nkind = \"dicom\"\npath = {:?}\nloop = true\nrate_fps = 20\nblank = []\n{source}\n\
         {prompts}\
         [broker]\n{}\n\
         [records]\nfolder = \"kept\"\n{more}\n",
        file(),
        external(&broker.url())
    );
    Edge::run(&place.write("edge.toml", &text))
}

/// The longest distance in mm of a mask must be that in pixels times the scale.
fn check(mask: &MaskMessage, expected: Option<[f32; 2]>) {
    let measured = mask.measured.as_ref().unwrap();
    let found = measured.physical.map(|physical| physical.longest_mm / measured.longest_px);
    match (found, expected) {
        (Some(found), Some([mm, _])) => assert!((found - mm).abs() < 1e-4, "{found}, {mm}"),
        (found, expected) => assert_eq!((found, expected), (None, None)),
    }
}

#[test]
fn segment_measures_with_the_scale_of_the_region() {
    let place = Place::new(1);
    let (build, out) = (place.build.to_str().unwrap(), place.path("mask.png"));
    let segment = |click: &str| -> Output {
        let file = file();
        let arguments =
            ["segment", "--build", build, "--image", &file, "--out", &out, "--point", click];
        edge_command(&arguments).output().unwrap()
    };
    let expected = [Some(LEFT), Some(RIGHT), None];
    for (click, expected) in CLICKS.into_iter().zip(expected) {
        let output = segment(click);
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let measured = &report["measured"];
        let pixels = measured["longest_px"].as_f64().unwrap();
        let Some([mm, _]) = expected else {
            assert_eq!(
                (&measured["pixel_spacing_mm"], &measured["longest_mm"]),
                (&Value::Null, &Value::Null)
            );
            continue;
        };
        let found = measured["longest_mm"].as_f64().unwrap();
        assert!((found - pixels * f64::from(mm)).abs() < 1e-3, "{measured}");
        assert!((measured["pixel_spacing_mm"][0].as_f64().unwrap() - f64::from(mm)).abs() < 1e-6);
    }
}

#[test]
fn masks_and_records_have_the_scale_of_the_region() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let outbox = "[outbox]\npath = \"outbox.redb\"";
    let edge = configured(&place, &broker, "", &CLICKS, outbox);
    let expected = [Some(LEFT), Some(RIGHT), None];
    for (object, expected) in (0..).zip(expected) {
        let mask = observer.wait_for_mask("a mask", |mask| mask.object == object && mask.segmented);
        check(&mask, expected);
    }
    observer.send("medsa/bench/command", &Command::Capture);
    let message = observer.wait("a record", |message| {
        message.topic.ends_with("/record").then(|| RecordMessage::decode(&message.payload).unwrap())
    });
    drop(edge);
    let folder = place.folder.path().join("kept");
    let records = Records::open(&folder, BUDGET).unwrap();
    let record = records.read(&records.list(1).unwrap()[0]).unwrap();
    assert_eq!(record.id, message.id.as_str());
    let spacings: Vec<_> = record
        .objects
        .iter()
        .map(|object| object.measured.as_ref().unwrap().pixel_spacing_mm)
        .collect();
    assert_eq!(spacings, expected);
    assert_eq!(record.frame.pixel_spacing_mm, None);
    let region = |x0, x1, mm| RecordedRegion { x0, y0: 0, x1, y1: 240, pixel_spacing_mm: Some(mm) };
    assert_eq!(record.frame.regions, [region(213, 320, RIGHT), region(0, 213, LEFT)]);
    // The stored frame states the same scales as the file of the scanner.
    let spacing = |path: &Path| Clip::open(path).unwrap().frame(0).unwrap().pixel_spacing_mm;
    let kept = spacing(&folder.join(&record.id).join("frame.dcm"));
    assert_eq!(kept, spacing(Path::new(&file())));
}

#[test]
fn scale_stays_with_the_pixels_in_a_cropped_frame() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    // Column 13 of the part is the first of the right region.
    let crop = "region = [200, 0, 120, 240]";
    let _edge = configured(&place, &broker, crop, &["100,120", "20,120"], "");
    for (object, expected) in [(0, Some(RIGHT)), (1, None)] {
        let mask = observer.wait_for_mask("a mask", |mask| mask.object == object && mask.segmented);
        assert_eq!((mask.frame_width_px, mask.frame_height_px), (120, 240));
        check(&mask, expected);
    }
}
