//! The Python decoder, written from SPEC.md, reads the messages of this crate.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use medsa_test_inputs::needs;
use medsa_wire::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

#[test]
fn python_reads_generated_messages() {
    needs!("python3");
    let mut runner = TestRunner::deterministic();
    let messages: Vec<MaskMessage> = (0..60)
        .map(|_| common::mask_message().new_tree(&mut runner).expect("a value").current())
        .collect();
    let packed = messages.iter().filter(|m| m.mask.coding() == MaskCoding::Packed).count();
    assert!((5..55).contains(&packed), "both codings occur: {packed} of 60 are packed");

    let lines: String =
        messages.iter().map(|message| hex::encode(encode(message)) + "\n").collect();
    let output = run_python(&["--lines"], &lines);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded: Vec<Value> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(decoded.len(), messages.len());
    for (message, decoded) in messages.iter().zip(decoded) {
        assert_eq!(single(decoded), as_json(message));
    }
}

#[test]
fn python_reads_generated_records() {
    needs!("python3");
    let mut runner = TestRunner::deterministic();
    let records: Vec<RecordMessage> = (0..20)
        .map(|_| common::record().new_tree(&mut runner).expect("a value").current())
        .collect();
    let lines: String = records.iter().map(|record| hex::encode(encode(record)) + "\n").collect();
    let output = run_python(&["--record", "--lines"], &lines);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = String::from_utf8(output.stdout).expect("UTF-8");
    let decoded: Vec<Value> =
        decoded.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(decoded.len(), records.len());
    for (record, mut decoded) in records.iter().zip(decoded) {
        let objects = record.objects.iter().zip(decoded["objects"].as_array_mut().unwrap());
        for (object, decoded) in objects {
            // Compared separately, as above.
            let score = decoded["score"].take().as_f64().expect("a number");
            assert_eq!(score as f32, object.score);
        }
        let object =
            |o: &RecordObject| json!({ "object": o.object, "score": null, "area_px": o.area_px });
        let expected = json!({
            "id": record.id.as_str(),
            "captured_us": record.captured_us,
            "frame_id": record.frame_id,
            "frame_width_px": record.frame_width_px,
            "frame_height_px": record.frame_height_px,
            "objects": record.objects.iter().map(object).collect::<Vec<_>>(),
            "record_sha256": hex::encode(record.record_sha256),
        });
        assert_eq!(decoded, expected);
    }
}

#[test]
fn python_reads_generated_deletions() {
    needs!("python3");
    let mut runner = TestRunner::deterministic();
    let all: Vec<RecordDeleted> = (0..20)
        .map(|_| common::deleted().new_tree(&mut runner).expect("a value").current())
        .collect();
    let lines: String = all.iter().map(|deleted| hex::encode(encode(deleted)) + "\n").collect();
    let output = run_python(&["--deleted", "--lines"], &lines);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = String::from_utf8(output.stdout).expect("UTF-8");
    let decoded: Vec<Value> =
        decoded.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected: Vec<Value> =
        all.iter().map(|deleted| serde_json::to_value(deleted).expect("JSON")).collect();
    assert_eq!(decoded, expected);
}

#[test]
fn python_reads_generated_statistics() {
    needs!("python3");
    let mut runner = TestRunner::deterministic();
    let stats: Vec<Stats> = (0..20)
        .map(|_| common::stats().new_tree(&mut runner).expect("a value").current())
        .collect();
    let lines: String = stats.iter().map(|stats| hex::encode(encode(stats)) + "\n").collect();
    let output = run_python(&["--stats", "--lines"], &lines);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = String::from_utf8(output.stdout).expect("UTF-8");
    let decoded: Vec<Value> =
        decoded.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected: Vec<Value> =
        stats.iter().map(|stats| serde_json::to_value(stats).expect("JSON")).collect();
    assert_eq!(decoded, expected);
}

#[test]
fn python_reads_generated_status() {
    needs!("python3");
    let mut runner = TestRunner::deterministic();
    let all: Vec<Status> = (0..40)
        .map(|_| common::status().new_tree(&mut runner).expect("a value").current())
        .collect();
    let lines: String = all.iter().map(|status| hex::encode(encode(status)) + "\n").collect();
    let output = run_python(&["--status", "--lines"], &lines);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = String::from_utf8(output.stdout).expect("UTF-8");
    let decoded: Vec<Value> =
        decoded.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected: Vec<Value> =
        all.iter().map(|status| serde_json::to_value(status).expect("JSON")).collect();
    assert_eq!(decoded, expected);
}

#[test]
fn python_refuses_a_truncated_message() {
    needs!("python3");
    let mask = Mask::from_bits(2, 1, [true, false]).unwrap();
    let message = MaskMessage {
        frame_id: 1,
        captured_us: 2,
        age_us: 3,
        object: 4,
        state: MaskState::Tracking,
        reason: None,
        segmented: true,
        score: 0.5,
        agreement: None,
        frame_width_px: 20,
        frame_height_px: 10,
        measured: None,
        mask,
    };
    let bytes = encode(&message);
    let output = run_python(&[&hex::encode(&bytes[..bytes.len() - 1])], "");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("ends early"));
}

/// Rounds all numbers to single precision: reading a double from JSON may lose its last bit, which
/// an f32 does not have.
fn single(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            json!(number.as_f64().expect("a float") as f32)
        }
        Value::Array(values) => values.into_iter().map(single).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, single(value))).collect()
        }
        other => other,
    }
}

fn measured_as_json(measured: &Measurements) -> Value {
    let position = |position: &Position| json!([position.x, position.y]);
    json!({
        "parts": measured.parts,
        "area_px": measured.area_px,
        "centroid_px": position(&measured.centroid_px),
        "longest_px": measured.longest_px,
        "shortest_px": measured.shortest_px,
        "physical": measured.physical.map(|physical| json!({
            "area_mm2": physical.area_mm2,
            "longest_mm": physical.longest_mm,
            "shortest_mm": physical.shortest_mm,
        })),
        "contour_px": measured.contour_px.iter().map(position).collect::<Vec<_>>(),
    })
}

/// Expected output of the script.
fn as_json(message: &MaskMessage) -> Value {
    let mut runs = vec![0];
    let mut value = false;
    for bit in message.mask.bits() {
        if bit != value {
            runs.push(0);
            value = bit;
        }
        *runs.last_mut().expect("starts with one run") += 1;
    }
    json!({
        "frame_id": message.frame_id,
        "captured_us": message.captured_us,
        "age_us": message.age_us,
        "object": message.object,
        "state": format!("{:?}", message.state),
        "reason": message.reason.map(|reason| format!("{reason:?}")),
        "segmented": message.segmented,
        "score": message.score,
        "agreement": message.agreement,
        "frame_width_px": message.frame_width_px,
        "frame_height_px": message.frame_height_px,
        "measured": message.measured.as_ref().map(measured_as_json),
        "mask": {
            "width": message.mask.width(),
            "height": message.mask.height(),
            "coding": format!("{:?}", message.mask.coding()),
            "runs": runs,
            "area_cells": message.mask.area_cells(),
        },
    })
}

fn run_python(arguments: &[&str], input: &str) -> Output {
    let script = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap())
        .join("../tests/python/decode_wire.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // The script reads all its input before it prints, so neither side can block the other.
    stdin.write_all(input.as_bytes()).expect("the script reads its input");
    drop(stdin);
    child.wait_with_output().expect("the script ends")
}

fn encode<M: Message>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    message.encode(&mut buffer).expect("valid message").to_vec()
}
