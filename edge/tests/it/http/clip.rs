//! The cine buffer kept as a clip: frames, masks on each, and an animation for people.

use medsa_test_inputs::needs;
use serde_json::{Value, json};

use super::capture::{FROZEN, newest, open, place, start};
use super::page::notice;
use super::request;
use crate::harness::{FRAME, Mosquitto, external};
use crate::records::dicom::{complaints, read_by_python};

#[test]
fn clip_holds_the_frames_of_the_buffer_with_their_masks() {
    needs!("browser", "mosquitto", "venv", "dciodvfy");
    let (place, broker) = (place(), Mosquitto::start());
    let (_edge, address) = start(&place, "loop = true", &external(&broker.url()), "");
    for (body, expected, code) in [
        (r#"{"frame_id": 5, "clip": true}"#, 422, "not-frozen"),
        (r#"{"clip": true}"#, 400, "frame_id is missing"),
    ] {
        let kind = "Content-Type: application/json\r\n";
        let (status, answer) = request(&address, "POST", "/capture", kind, body.as_bytes());
        assert!(status == expected && answer.contains(code), "{status} {answer}");
    }

    let mut browser = open(&address);
    // A second of frames.
    browser.wait_until("Number(document.querySelector('#stage').dataset.frame) > 20");
    browser.tap("#freeze");
    browser.wait_until(FROZEN);
    browser.tap("#cine [name=save]");
    browser.wait_until(&notice("Saved."));
    let (folder, record) = newest(&place, &address, 1);
    let (clip, frames) = (&record["clip"], record["clip"]["frames"].as_u64().unwrap());
    let span_ms = (clip["last_us"].as_f64().unwrap() - clip["first_us"].as_f64().unwrap()) / 1e3;
    assert!(frames > 10 && span_ms > 500.0, "{clip}");
    assert_eq!(clip["last_us"], record["captured_us"]);

    let found = read_by_python("read_clip.py", &folder);
    let number = |key: &str| found[key].as_f64().unwrap();
    assert_eq!(found["class"], "Multi-frame True Color Secondary Capture Image Storage");
    assert_eq!(found["photometric"], "YBR_FULL_422");
    assert_eq!(found["lossy"], json!(["01", "ISO_10918_1"]));
    assert_eq!(found["frames"], frames);
    assert_eq!(found["size"], json!([FRAME.1, FRAME.0]));
    assert!((number("milliseconds") - span_ms).abs() < 0.01 * frames as f64, "{found} {span_ms}");
    assert_eq!(found["same_study"], true);
    // JPEG; the frame before differs by 16 in blue alone, which would be 5 on average.
    assert!(number("difference") < 3.0, "{found}");
    // Objects without a mask at first have fewer.
    assert!(number("masks") > frames as f64 && number("masks") <= 2.0 * frames as f64, "{found}");
    assert_eq!(found["places_differ"], true);
    let overlaps = found["overlaps"].as_object().unwrap();
    assert_eq!(overlaps.keys().collect::<Vec<_>>(), ["0", "3"]);
    assert!(overlaps.values().all(|overlap| overlap.as_f64() > Some(0.9)), "{found}");
    // The last image stays for a second.
    assert!((number("gif_ms") - span_ms - 1000.0).abs() < 150.0, "{found} {span_ms}");
    for file in ["clip.dcm", "clip-segmentation.dcm"] {
        assert_eq!(complaints(&folder.join(file)), [""; 0], "{file}");
    }

    browser.tap("#showCaptures");
    browser.wait_until("document.querySelectorAll('#list li button').length === 1");
    browser.tap("#list li button");
    browser.wait_until("!document.querySelector('#playClip').hidden");
    browser.tap("#playClip");
    browser.wait_until("document.querySelector('#shots img').naturalWidth > 0");
    assert_eq!(browser.value("document.querySelector('#shots img').hidden"), Value::Bool(false));
    browser.screenshot("clip");
    browser.tap("#playClip");
    browser.wait_until("document.querySelector('#shots img').hidden");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}
