//! The longest messages fit the stated lengths, and each violated rule gives its error.

mod common;

use medsa_wire::*;

#[test]
fn stated_maximum_is_reached_and_not_exceeded() {
    for cells in [checkerboard(), noise_of_half_density()] {
        let message = largest_message(Mask::from_bits(256, 256, cells).unwrap());
        assert_eq!(message.mask.coding(), MaskCoding::Packed);
        let bytes = encode(&message);
        assert_eq!(bytes.len(), MaskMessage::MAX_ENCODED_LEN);
        assert_eq!(MaskMessage::decode(&bytes), Ok(message));
    }
    assert_eq!(MaskMessage::MAX_ENCODED_LEN, 10_335);
}

#[test]
fn real_shapes_take_few_bytes() {
    let disc = (0..256 * 256).map(|i| {
        let (x, y) = (i % 256 - 128, i / 256 - 128);
        x * x + y * y < 60 * 60
    });
    let mask = Mask::from_bits(256, 256, disc).unwrap();
    assert_eq!(mask.coding(), MaskCoding::RunLength);
    assert!(mask.payload().len() < 500, "{} bytes", mask.payload().len());
}

#[test]
fn uniform_masks_are_one_run() {
    let empty = Mask::from_bits(256, 256, [false; 65536]).unwrap();
    assert_eq!(empty.payload(), [0x80, 0x80, 0x04]);
    let full = Mask::from_bits(256, 256, [true; 65536]).unwrap();
    assert_eq!(full.payload(), [0x00, 0x80, 0x80, 0x04]);
    assert_eq!((empty.area_cells(), full.area_cells()), (0, 65536));
}

#[test]
fn other_longest_messages_reach_their_stated_length() {
    let text = |len| "x".repeat(len);
    let info = Info {
        build_name: text(64).as_str().try_into().unwrap(),
        build_version: text(32).as_str().try_into().unwrap(),
        build_sha256: [255; 32],
        board: text(32).as_str().try_into().unwrap(),
        edge_version: text(32).as_str().try_into().unwrap(),
        input_size_px: u16::MAX,
    };
    assert_eq!(encode(&info).len(), Info::MAX_ENCODED_LEN);

    let status = Status {
        source: SourceStatus::Ended,
        activity: Activity::Paused,
        degradation: Some(Degradation { level: MAX_DEGRADATION, cause: Cause::Slowness }),
        build: BuildStatus::Failed { reason: text(MAX_REASON_LEN).as_str().try_into().unwrap() },
    };
    assert_eq!(encode(&status).len(), Status::MAX_ENCODED_LEN);
    for level in [0, MAX_DEGRADATION + 1] {
        let degradation = Some(Degradation { level, cause: Cause::Heat });
        let error = Status { degradation, ..status.clone() }.encode(&mut [0; 200]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("status.degradation.level is {level}, expected 1 to 3")
        );
    }

    let stage = StageLatency { stage: Stage::Total, p50_us: u32::MAX, p95_us: u32::MAX };
    let stats = Stats {
        uptime_ms: u64::MAX,
        frames_in: u64::MAX,
        frames_segmented: u64::MAX,
        frames_failed: u64::MAX,
        frames_dropped: FramesDropped {
            source: u64::MAX,
            follow: u64::MAX,
            encoder: u64::MAX,
            decoder: u64::MAX,
            paused: u64::MAX,
        },
        masks_out: u64::MAX,
        refused_messages: u64::MAX,
        masks_dropped: u64::MAX,
        masks_unpublished: u64::MAX,
        outbox_messages: Some(u64::MAX),
        latency: std::iter::repeat_n(stage, MAX_STAGES).collect(),
    };
    assert_eq!(encode(&stats).len(), Stats::MAX_ENCODED_LEN);

    let point = PromptPoint { x: 1.0, y: 2.0, positive: true };
    let prompt =
        set_prompt(&[point; MAX_POINTS], Some(PromptBox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 }));
    assert_eq!(encode(&prompt).len(), PromptMessage::MAX_ENCODED_LEN);
    assert_eq!(encode(&largest_record()).len(), RecordMessage::MAX_ENCODED_LEN);
    let id = text(MAX_RECORD_ID_LEN).as_str().try_into().unwrap();
    let reason = DeletionReason::Other;
    let deleted = RecordDeleted { id, deleted_us: u64::MAX, reason };
    assert_eq!(encode(&deleted).len(), RecordDeleted::MAX_ENCODED_LEN);
    let unnamed = RecordDeleted { id: heapless::String::new(), ..deleted };
    assert_refused(&unnamed, "deleted.id length is 0, expected 1 to 48");
}

#[test]
fn mask_fields_out_of_range_are_named() {
    let valid = largest_message(Mask::from_bits(2, 1, [true, false]).unwrap());
    let cases: [(&str, MaskMessage); 6] = [
        ("mask.object is 8, expected 0 to 7", MaskMessage { object: 8, ..valid.clone() }),
        ("mask.score is NaN", MaskMessage { score: f32::NAN, ..valid.clone() }),
        ("mask.frame_width_px is 0", MaskMessage { frame_width_px: 0, ..valid.clone() }),
        ("mask.frame_height_px is 0", MaskMessage { frame_height_px: 0, ..valid.clone() }),
        ("mask.agreement is inf", MaskMessage { agreement: Some(f32::INFINITY), ..valid.clone() }),
        (
            "measured.area_px is 4294836225, expected 1 to 6",
            MaskMessage { frame_width_px: 3, frame_height_px: 2, ..valid },
        ),
    ];
    for (expected, message) in cases {
        assert_refused(&message, expected);
    }
}

#[test]
fn prompt_fields_out_of_range_are_named() {
    let point = |x, y| PromptPoint { x, y, positive: true };
    let inverted = PromptBox { x0: 9.0, y0: 0.0, x1: 3.0, y1: 5.0 };
    let infinite = PromptBox { x0: 0.0, y0: 0.0, x1: f32::INFINITY, y1: 5.0 };
    assert_refused(&set_prompt(&[], None), "prompt sets nothing");
    assert_refused(&set_prompt(&[point(1.0, f32::NAN)], None), "prompt.points.y is NaN");
    assert_refused(&set_prompt(&[], Some(inverted)), "expected x0 < x1");
    assert_refused(&set_prompt(&[], Some(infinite)), "prompt.box is inf");
    let clear = PromptMessage { object: 9, change: PromptChange::Clear };
    assert_refused(&clear, "prompt.object is 9");
}

#[test]
fn record_fields_out_of_range_are_named() {
    let with = |change: fn(&mut RecordMessage)| {
        let mut record = largest_record();
        change(&mut record);
        record
    };
    for (expected, record) in [
        ("record.id length is 0, expected 1 to 48", with(|r| r.id.clear())),
        ("record.frame_width_px is 0", with(|r| r.frame_width_px = 0)),
        ("record.frame_height_px is 0", with(|r| r.frame_height_px = 0)),
        ("record.objects.object is 3, expected 4 to 7", with(|r| r.objects[4].object = 3)),
        ("record.objects.object is 8, expected 7 to 7", with(|r| r.objects[7].object = 8)),
        ("record.objects.score is NaN", with(|r| r.objects[0].score = f32::NAN)),
        (
            "record.objects.area_px is 4294836225, expected 0 to 65535",
            with(|r| r.frame_width_px = 1),
        ),
    ] {
        assert_refused(&record, expected);
    }
}

#[test]
fn masks_of_wrong_size_are_refused() {
    for (width, height) in [(0, 4), (4, 0), (257, 4), (4, 257)] {
        assert!(Mask::from_bits(width, height, [false; 4]).is_err());
    }
    for found in [3, 5] {
        let error = Mask::from_bits(2, 2, vec![true; found as usize]).unwrap_err();
        assert_eq!(error, WireError::MiscountsCells { width: 2, height: 2, found, expected: 4 });
    }
}

#[test]
fn invalid_payloads_are_refused_with_the_violated_rule() {
    // The mask is the last field: width 4, height 2, coding, payload.
    let cases: [(&[u8], &str); 8] = [
        (&[4, 2, 0, 1, 7], "7 cells found, expected 8"),
        (&[4, 2, 0, 1, 9], "9 cells found, expected 8"),
        (&[4, 2, 0, 0], "0 cells found, expected 8"),
        (&[4, 2, 0, 3, 4, 0, 4], "run 1: is empty"),
        (&[4, 2, 0, 2, 4, 0x84], "run 1: cut short"),
        (&[4, 2, 0, 3, 0x81, 0x80, 0x04], "run 0: cut short or above 65536"),
        (&[4, 2, 1, 2, 0xff, 0], "payload of 2 bytes, expected 1"),
        (&[3, 2, 1, 1, 0x01], "expected 1 with zero padding"),
    ];
    let header = encode(&largest_message(Mask::from_bits(4, 2, [false; 8]).unwrap()));
    let header = &header[..header.len() - 5];
    for (mask, expected) in cases {
        let error = MaskMessage::decode(&[header, mask].concat()).unwrap_err().to_string();
        assert!(error.contains(expected), "{mask:?}: {error}");
    }
    for sides in [[0, 2], [4, 0]] {
        let error = MaskMessage::decode(&[header, &sides, &[0, 1, 8]].concat()).unwrap_err();
        assert!(error.to_string().contains("expected 1 to 256"), "{error}");
    }
}

#[test]
fn other_versions_are_refused() {
    let error = Command::decode(&[1, 0]).unwrap_err().to_string();
    assert_eq!(error, "command: format version 1, this decoder knows version 4");
    let error = Command::decode(&[]).unwrap_err().to_string();
    assert_eq!(error, "command: the payload is empty, expected a format version byte");
    let error = Command::decode(&[4, 9]).unwrap_err().to_string();
    assert!(error.starts_with("command: not a valid encoding"), "{error}");
}

fn checkerboard() -> Vec<bool> {
    (0..256 * 256).map(|i| (i / 256 + i % 256) % 2 == 1).collect()
}

fn noise_of_half_density() -> Vec<bool> {
    common::noise(1).take(256 * 256).map(|value| value < 0.5).collect()
}

fn largest_message(mask: Mask) -> MaskMessage {
    let origin = Position { x: 0.0, y: 0.0 };
    MaskMessage {
        frame_id: u64::MAX,
        captured_us: u64::MAX,
        age_us: u32::MAX,
        object: MAX_OBJECT,
        state: MaskState::Tracking,
        reason: Some(Reason::OutsideBox),
        segmented: true,
        score: -1.0,
        agreement: Some(1.0),
        frame_width_px: u16::MAX,
        frame_height_px: u16::MAX,
        measured: Some(Measurements {
            parts: 65_535 * 65_535,
            area_px: 65_535 * 65_535,
            centroid_px: origin,
            longest_px: 1.0,
            shortest_px: 1.0,
            physical: Some(Physical { area_mm2: 1.0, longest_mm: 1.0, shortest_mm: 1.0 }),
            contour_px: [origin; MAX_CONTOUR_POINTS].into_iter().collect(),
        }),
        mask,
    }
}

fn largest_record() -> RecordMessage {
    let object = |object| RecordObject { object, score: -1.0, area_px: 65_535 * 65_535 };
    RecordMessage {
        id: "x".repeat(MAX_RECORD_ID_LEN).as_str().try_into().unwrap(),
        captured_us: u64::MAX,
        frame_id: u64::MAX,
        frame_width_px: u16::MAX,
        frame_height_px: u16::MAX,
        objects: (0..=MAX_OBJECT).map(object).collect(),
        record_sha256: [255; 32],
    }
}

fn set_prompt(points: &[PromptPoint], bbox: Option<PromptBox>) -> PromptMessage {
    let change = PromptChange::Set { points: points.iter().copied().collect(), bbox };
    PromptMessage { object: 0, change }
}

/// Checks that neither encoding nor decoding accepts the message.
fn assert_refused<M: Message>(message: &M, expected: &str) {
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    let error = message.encode(&mut buffer).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    let body = postcard::to_slice(message, &mut buffer[1..]).unwrap().len();
    buffer[0] = FORMAT_VERSION;
    let error = M::decode(&buffer[..1 + body]).map(drop).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

fn encode<M: Message>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    message.encode(&mut buffer).expect("valid message").to_vec()
}
