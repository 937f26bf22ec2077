//! The decoders in Python and TypeScript convert every message from the compact form to JSON and
//! back without a change.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Forms, converse, generate, strategies, try_converse};
use medsa_test_inputs::{needs, repository, tool};
use medsa_wire::{
    Activity, Availability, BuildStatus, Cause, DeletionReason, FramesDropped, Info, MAX_OBJECT,
    Mask, MaskMessage, MaskState, Measurements, Message, PromptChange, PromptMessage, PromptPoint,
    RecordDeleted, RecordMessage, SourceStatus, Stage, StageLatency, Stats, Status,
};
use serde_json::{Map, Number, Value, json};
use tempfile::tempdir;

const COMMANDS: [medsa_wire::Command; 8] = [
    medsa_wire::Command::Pause,
    medsa_wire::Command::Resume,
    medsa_wire::Command::Freeze,
    medsa_wire::Command::Unfreeze,
    medsa_wire::Command::Capture,
    medsa_wire::Command::Reload,
    medsa_wire::Command::Update,
    medsa_wire::Command::SwitchBuild,
];

#[test]
fn python_converts_all_messages_both_ways() {
    needs!("python3");
    convert_all_messages(python);
}

#[test]
fn typescript_converts_all_messages_both_ways() {
    needs!("typescript");
    let folder = tempdir().unwrap();
    let module = compile_typescript(folder.path().into());
    convert_all_messages(|kind| typescript(&module, kind));
}

#[test]
fn both_decoders_refuse_what_the_device_refuses() {
    needs!("python3", "typescript");
    let folder = tempdir().unwrap();
    let module = compile_typescript(folder.path().into());
    for (kind, lines) in invalid_messages() {
        for line in &lines {
            let answer = try_converse(&mut python(kind), std::slice::from_ref(line));
            assert!(answer.is_err(), "{kind} {line}: {answer:?}");
        }
        let answers = converse(&mut typescript(&module, kind), &lines);
        assert_eq!(answers.len(), lines.len());
        for (line, answer) in lines.iter().zip(answers) {
            assert!(answer.starts_with("error: "), "{kind} {line}: {answer}");
        }
    }
}

fn convert_all_messages(converter: impl Fn(&str) -> Command) {
    for (kind, messages) in all_messages() {
        let lines = messages.iter().flat_map(|forms| [forms.compact.clone(), forms.json.clone()]);
        let lines: Vec<String> = lines.collect();
        let converted = converse(&mut converter(kind), &lines);
        assert_eq!(converted.len(), lines.len(), "{kind}");
        for (forms, converted) in messages.iter().zip(converted.chunks(2)) {
            assert_same(&parsed(&converted[0]), &parsed(&forms.json), kind);
            assert_eq!(converted[1], forms.compact, "{kind} {}", forms.json);
        }
    }
}

/// Generated and extreme messages of each kind.
fn all_messages() -> Vec<(&'static str, Vec<Forms>)> {
    let with = |mut all: Vec<Forms>, extreme: Vec<Forms>| {
        all.extend(extreme);
        all
    };
    vec![
        ("availability", all(&[Availability::Offline, Availability::Online])),
        ("info", with(generate(20, strategies::info()), all(&extreme_infos()))),
        ("mask", with(generate(40, strategies::mask_message()), all(&extreme_masks()))),
        ("record", with(generate(20, strategies::record()), all(&extreme_records()))),
        ("record/deleted", with(generate(20, strategies::deleted()), all(&extreme_deletions()))),
        ("stats", with(generate(20, strategies::stats()), all(&extreme_stats()))),
        ("status", with(generate(20, strategies::status()), all(&all_statuses()))),
        ("prompt", with(generate(40, strategies::prompt()), all(&extreme_prompts()))),
        ("command", all(&COMMANDS)),
    ]
}

fn all<M: medsa_wire::json::ToJson>(messages: &[M]) -> Vec<Forms> {
    messages.iter().map(Forms::of).collect()
}

fn extreme_infos() -> [Info; 2] {
    let info = |name: &str, hash, side| Info {
        build_name: name.try_into().expect("at most 64 bytes"),
        build_version: "".try_into().expect("empty"),
        build_sha256: [hash; 32],
        board: "\u{1}1\\\"\n".try_into().expect("at most 32 bytes"),
        edge_version: "1234567890123456789".try_into().expect("at most 32 bytes"),
        input_size_px: side,
    };
    [info("", 0, 1), info(&"\u{1fac0}".repeat(16), 255, u16::MAX)]
}

/// Masks of the smallest and largest size in both codings, and the largest and smallest numbers.
fn extreme_masks() -> Vec<MaskMessage> {
    let mask = |side: u16, cell: fn(u32) -> bool| {
        let cells = (0..u32::from(side) * u32::from(side)).map(cell);
        Mask::from_bits(side, side, cells).expect("as many cells as needed")
    };
    let masks = [
        mask(1, |_| false),
        mask(1, |_| true),
        mask(256, |_| false),
        mask(256, |_| true),
        mask(256, |i| (i / 256 + i) % 2 == 1),
        mask(255, |i| (i / 255 + i) % 2 == 0),
    ];
    let message = |mask| MaskMessage {
        frame_id: u64::MAX,
        captured_us: u64::MAX,
        age_us: u32::MAX,
        object: MAX_OBJECT,
        state: MaskState::Lost,
        reason: None,
        segmented: false,
        score: f32::MAX,
        agreement: Some(f32::MIN_POSITIVE),
        frame_width_px: u16::MAX,
        frame_height_px: u16::MAX,
        measured: Some(Measurements {
            parts: 65_535 * 65_535,
            area_px: 65_535 * 65_535,
            centroid_px: medsa_wire::Position { x: f32::MIN, y: f32::MAX },
            longest_px: f32::from_bits(1),
            shortest_px: -0.0,
            physical: None,
            contour_px: heapless::Vec::new(),
        }),
        mask,
    };
    masks.map(message).into()
}

fn extreme_records() -> [RecordMessage; 1] {
    let object = |object| medsa_wire::RecordObject {
        object,
        score: f32::MIN,
        area_px: u32::from(object == 7) * 65_535 * 65_535,
    };
    [RecordMessage {
        id: "x".repeat(48).as_str().try_into().expect("48 bytes"),
        captured_us: u64::MAX,
        frame_id: (1 << 53) + 1,
        frame_width_px: u16::MAX,
        frame_height_px: u16::MAX,
        objects: (0..=MAX_OBJECT).map(object).collect(),
        record_sha256: [0xff; 32],
    }]
}

fn extreme_deletions() -> Vec<RecordDeleted> {
    let id: heapless::String<48> = "a".try_into().expect("one byte");
    let deleted = |reason| RecordDeleted { id: id.clone(), deleted_us: u64::MAX, reason };
    DeletionReason::ALL.map(deleted).into()
}

fn extreme_stats() -> [Stats; 1] {
    let stages = [
        Stage::Source,
        Stage::Preprocess,
        Stage::Encoder,
        Stage::Decoder,
        Stage::Postprocess,
        Stage::Total,
        Stage::Follow,
        Stage::PromptToMask,
    ];
    let most = u64::MAX;
    let latency = |stage| StageLatency { stage, p50_us: 0, p95_us: u32::MAX };
    [Stats {
        uptime_ms: most,
        frames_in: most,
        frames_segmented: most,
        frames_failed: most,
        frames_dropped: FramesDropped {
            source: most,
            follow: most,
            encoder: most,
            decoder: most,
            paused: most,
        },
        masks_out: most,
        refused_messages: most,
        masks_dropped: most,
        masks_unpublished: most,
        outbox_messages: Some(most),
        latency: stages.map(latency).into_iter().collect(),
    }]
}

/// Each variant at least once.
fn all_statuses() -> Vec<Status> {
    let sources = [
        SourceStatus::Starting,
        SourceStatus::Playing,
        SourceStatus::Refused,
        SourceStatus::Unreachable,
        SourceStatus::Stalled,
        SourceStatus::Broken,
        SourceStatus::Ended,
    ];
    let activities = [Activity::Running, Activity::Frozen, Activity::Paused];
    let causes = [Cause::Heat, Cause::Throttling, Cause::Slowness];
    let failed = BuildStatus::Failed { reason: "é".repeat(60).as_str().try_into().expect("fits") };
    let builds = [BuildStatus::Idle, BuildStatus::Loading, failed, BuildStatus::Updating];
    let status = |(i, source): (usize, SourceStatus)| Status {
        source,
        activity: activities[i % 3],
        degradation: (1..=3)
            .zip(causes)
            .map(|(level, cause)| medsa_wire::Degradation { level, cause })
            .nth(i),
        build: builds[i % 4].clone(),
    };
    sources.into_iter().enumerate().map(status).collect()
}

fn extreme_prompts() -> [PromptMessage; 3] {
    let point = PromptPoint { x: f32::MAX, y: f32::MIN, positive: false };
    let bbox = medsa_wire::PromptBox { x0: f32::MIN, y0: -0.0, x1: f32::MAX, y1: 1e-45 };
    let set = PromptChange::Set { points: [point; 16].into_iter().collect(), bbox: Some(bbox) };
    let only_box = PromptChange::Set { points: heapless::Vec::new(), bbox: Some(bbox) };
    [set, only_box, PromptChange::Add(point)]
        .map(|change| PromptMessage { object: MAX_OBJECT, change })
}

/// Lines that no decoder may accept: in the compact form, every message without its last byte, with
/// one more, and of another version; and messages with a value out of range in both forms.
fn invalid_messages() -> BTreeMap<&'static str, Vec<String>> {
    let stats = &generate(1, strategies::stats())[0];
    let mask = &all(&extreme_masks())[0];
    let object_8 = mask.json.replace("\"object\":7", "\"object\":8");
    let short_run = mask.json.replace("\"runs\":[1]", "\"runs\":[2]");
    assert!(object_8 != mask.json && short_run != mask.json);
    let end = stats.compact.len() - 2;
    let compact = [
        ("stats", stats.compact[..end].to_owned()),
        ("stats", format!("{}00", stats.compact)),
        ("stats", format!("05{}", &stats.compact[2..])),
        ("command", "0408".into()),
        ("availability", "0402".into()),
        ("prompt", "040801".into()),
        // Sets nothing.
        ("prompt", "0400000000".into()),
        // Not a number.
        ("prompt", "0400020000c07f0000000001".into()),
        ("status", "04000001040000".into()),
    ];
    for (kind, line) in &compact {
        let bytes = hex::decode(line).expect("hexadecimal");
        let refused = match *kind {
            "stats" => Stats::decode(&bytes).is_err(),
            "command" => medsa_wire::Command::decode(&bytes).is_err(),
            "availability" => Availability::decode(&bytes).is_err(),
            "status" => Status::decode(&bytes).is_err(),
            _ => PromptMessage::decode(&bytes).is_err(),
        };
        assert!(refused, "the device accepts {kind} {line}");
    }
    let json = [
        ("mask", object_8),
        ("mask", short_run),
        ("command", "\"Explode\"".into()),
        ("prompt", json!({ "object": 0, "change": { "Set": { "points": [] } } }).to_string()),
        ("prompt", json!({ "object": 0, "change": "Clear", "box": 1 }).to_string()),
        ("prompt", json!({ "object": 0, "change": "Add" }).to_string()),
    ];
    let mut by_kind = BTreeMap::<_, Vec<_>>::new();
    for (kind, line) in compact.into_iter().chain(json) {
        by_kind.entry(kind).or_default().push(line);
    }
    by_kind
}

fn python(kind: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(repository().join("wire/decoders/python/medsa_wire.py")).arg(kind);
    command
}

fn typescript(module: &Path, kind: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(repository().join("wire/docs/tests/convert.mjs")).arg(module).arg(kind);
    command
}

/// Checks the types of the module and compiles it to `folder`; returns the path of the result.
fn compile_typescript(folder: PathBuf) -> PathBuf {
    let source = repository().join("wire/decoders/typescript/medsa_wire.ts");
    let output = Command::new("node")
        .arg(tool("typescript/bin/tsc"))
        .args(["--strict", "--noUncheckedIndexedAccess", "--noUnusedLocals", "--target", "es2022"])
        .args(["--module", "es2022", "--lib", "es2022,dom", "--outDir"])
        .arg(&folder)
        .arg(source)
        .output()
        .expect("node is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::write(folder.join("package.json"), r#"{"type": "module"}"#).expect("it is writable");
    folder.join("medsa_wire.js")
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

/// Fails unless the values are equal; numbers with a fraction are compared in single precision,
/// because texts differ (80, 80.0).
fn assert_same(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let names =
                |fields: &Map<String, Value>| fields.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(found), names(expected), "{at}");
            for (name, value) in found {
                assert_same(value, &expected[name], &format!("{at}.{name}"));
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{at}");
            for (found, expected) in found.iter().zip(expected) {
                assert_same(found, expected, at);
            }
        }
        (Value::Number(found), Value::Number(expected)) if expected.is_f64() => {
            let bits = |number: &Number| number.as_f64().map(|wide| (wide as f32).to_bits());
            assert_eq!(bits(found), bits(expected), "{at}: {found}, expected {expected}");
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}
