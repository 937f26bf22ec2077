//! SPEC.md matches the code: its example and its lengths.

use medsa_wire::*;

const SPEC: &str = include_str!("../SPEC.md");

#[test]
fn example_in_the_spec_equals_the_encoding() {
    let hex: String = SPEC
        .split_once("```hex\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .expect("SPEC.md has a block of hex")
        .0
        .split_whitespace()
        .collect();
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex digits"))
        .collect();

    let image = "........ ........ ..####.. ..####.. ........ ........";
    assert!(SPEC.contains(&image.replace(' ', "\n")));
    let cells = image.chars().filter(|c| *c != ' ').map(|c| c == '#');
    let corners = [(79.5, 79.5), (239.5, 79.5), (239.5, 159.5), (79.5, 159.5)];
    let expected = MaskMessage {
        frame_id: 300,
        captured_us: 1_700_000_000_000_000,
        age_us: 45_000,
        object: 2,
        state: MaskState::Tracking,
        reason: None,
        segmented: true,
        score: 0.9375,
        agreement: Some(0.875),
        frame_width_px: 320,
        frame_height_px: 240,
        measured: Some(Measurements {
            parts: 1,
            area_px: 12_800,
            centroid_px: Position { x: 159.5, y: 119.5 },
            longest_px: 178.5,
            shortest_px: 80.0,
            physical: None,
            contour_px: corners.map(|(x, y)| Position { x, y }).into_iter().collect(),
        }),
        mask: Mask::from_bits(8, 6, cells).unwrap(),
    };
    assert_eq!(MaskMessage::decode(&bytes).as_ref(), Ok(&expected));
    let mut buffer = [0; MaskMessage::MAX_ENCODED_LEN];
    assert_eq!(expected.encode(&mut buffer), Ok(bytes.as_slice()));
    assert!(SPEC.contains(&format!("A mask message of {} bytes", bytes.len())));
}

#[test]
fn lengths_in_the_spec_equal_those_of_the_code() {
    for (heading, len) in [
        ("### Availability (", Availability::MAX_ENCODED_LEN),
        ("### Info (at most ", Info::MAX_ENCODED_LEN),
        ("### Mask message (at most ", MaskMessage::MAX_ENCODED_LEN),
        ("### Stats (at most ", Stats::MAX_ENCODED_LEN),
        ("### Status (at most ", Status::MAX_ENCODED_LEN),
        ("### Prompt (at most ", PromptMessage::MAX_ENCODED_LEN),
        ("### Record (at most ", RecordMessage::MAX_ENCODED_LEN),
        ("### Deleted record (at most ", RecordDeleted::MAX_ENCODED_LEN),
        ("### Command (", Command::MAX_ENCODED_LEN),
    ] {
        assert!(SPEC.contains(&format!("{heading}{len} bytes")), "{heading}{len}");
    }
}

#[test]
fn variants_have_the_numbers_in_the_spec() {
    let number = |bytes: &[u8]| bytes[1];
    let mut buffer = [0; 200];
    assert_eq!(number(Availability::Offline.encode(&mut buffer).unwrap()), 0);
    assert_eq!(number(Availability::Online.encode(&mut buffer).unwrap()), 1);
    let commands = [
        Command::Pause,
        Command::Resume,
        Command::Freeze,
        Command::Unfreeze,
        Command::Capture,
        Command::Reload,
        Command::Update,
        Command::SwitchBuild,
    ];
    for (expected, command) in (0..).zip(commands) {
        assert!(SPEC.contains(&format!("{expected} `{command:?}`")));
        assert_eq!(number(command.encode(&mut buffer).unwrap()), expected);
    }
    let stages = [
        "Source",
        "Preprocess",
        "Encoder",
        "Decoder",
        "Postprocess",
        "Total",
        "Follow",
        "PromptToMask",
    ];
    let values = [
        Stage::Source,
        Stage::Preprocess,
        Stage::Encoder,
        Stage::Decoder,
        Stage::Postprocess,
        Stage::Total,
        Stage::Follow,
        Stage::PromptToMask,
    ];
    for (expected, (name, stage)) in stages.iter().zip(values).enumerate() {
        assert!(SPEC.contains(&format!("{expected} `{name}`")));
        assert_eq!(postcard::to_slice(&stage, &mut buffer).unwrap(), [expected as u8]);
    }
    let sources = [
        SourceStatus::Starting,
        SourceStatus::Playing,
        SourceStatus::Refused,
        SourceStatus::Unreachable,
        SourceStatus::Stalled,
        SourceStatus::Broken,
        SourceStatus::Ended,
    ];
    for (expected, source) in sources.iter().enumerate() {
        assert!(SPEC.contains(&format!("{expected} `{source:?}`")));
        assert_eq!(postcard::to_slice(source, &mut buffer).unwrap(), [expected as u8]);
    }
    let activities = [Activity::Running, Activity::Frozen, Activity::Paused];
    for (expected, activity) in activities.iter().enumerate() {
        assert!(SPEC.contains(&format!("{expected} `{activity:?}`")));
        assert_eq!(postcard::to_slice(activity, &mut buffer).unwrap(), [expected as u8]);
    }
    for (expected, cause) in [Cause::Heat, Cause::Throttling, Cause::Slowness].iter().enumerate() {
        assert!(SPEC.contains(&format!("{expected} `{cause:?}`")));
        assert_eq!(postcard::to_slice(cause, &mut buffer).unwrap(), [expected as u8]);
    }
    for (expected, reason) in DeletionReason::ALL.iter().enumerate() {
        assert!(SPEC.contains(&format!("{expected} `{reason:?}`")));
        assert_eq!(postcard::to_slice(reason, &mut buffer).unwrap(), [expected as u8]);
    }
    let status = Status {
        source: SourceStatus::Playing,
        activity: Activity::Frozen,
        degradation: Some(Degradation { level: 2, cause: Cause::Slowness }),
        build: BuildStatus::Failed { reason: "x".try_into().unwrap() },
    };
    assert_eq!(status.encode(&mut buffer), Ok([4, 1, 1, 1, 2, 2, 2, 1, b'x'].as_slice()));
    let clear = PromptMessage { object: 5, change: PromptChange::Clear };
    assert_eq!(clear.encode(&mut buffer), Ok([4, 5, 1].as_slice()));
    let undo = PromptMessage { object: 5, change: PromptChange::Undo };
    assert_eq!(undo.encode(&mut buffer), Ok([4, 5, 3].as_slice()));
    let redo = PromptMessage { object: 5, change: PromptChange::Redo };
    assert_eq!(redo.encode(&mut buffer), Ok([4, 5, 4].as_slice()));
}
