//! One valid message of each type.

use medsa_wire::*;

pub(crate) fn availability() -> Availability {
    Availability::Online
}

pub(crate) fn info() -> Info {
    Info {
        build_name: text("ultrasound-clicks"),
        build_version: text("1.2.0"),
        build_sha256: [0xa5; 32],
        board: text("rpi5"),
        edge_version: text("0.1.0"),
        input_size_px: 128,
    }
}

/// The example of `wire/SPEC.md`.
pub(crate) fn mask() -> MaskMessage {
    let image = "........ ........ ..####.. ..####.. ........ ........";
    let cells = image.chars().filter(|cell| *cell != ' ').map(|cell| cell == '#');
    let corners = [(79.5, 79.5), (239.5, 79.5), (239.5, 159.5), (79.5, 159.5)];
    MaskMessage {
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
        mask: Mask::from_bits(8, 6, cells).expect("48 cells"),
    }
}

pub(crate) fn record() -> RecordMessage {
    RecordMessage {
        id: text("00000042-20231114T221320.000000Z"),
        captured_us: 1_700_000_000_000_000,
        frame_id: 300,
        frame_width_px: 320,
        frame_height_px: 240,
        objects: [RecordObject { object: 2, score: 0.9375, area_px: 12_800 }].into_iter().collect(),
        record_sha256: [0x5a; 32],
    }
}

pub(crate) fn deleted() -> RecordDeleted {
    RecordDeleted {
        id: text("00000042-20231114T221320.000000Z"),
        deleted_us: 1_700_000_060_000_000,
        reason: DeletionReason::PoorImage,
    }
}

pub(crate) fn stats() -> Stats {
    let latency = [
        StageLatency { stage: Stage::Encoder, p50_us: 72_936, p95_us: 88_654 },
        StageLatency { stage: Stage::Total, p50_us: 101_204, p95_us: 140_377 },
    ];
    Stats {
        uptime_ms: 6_013,
        frames_in: 182,
        frames_segmented: 71,
        frames_failed: 0,
        frames_dropped: FramesDropped { encoder: 109, ..FramesDropped::default() },
        masks_out: 232,
        refused_messages: 0,
        masks_dropped: 0,
        masks_unpublished: 0,
        outbox_messages: Some(0),
        latency: latency.into_iter().collect(),
    }
}

pub(crate) fn status() -> Status {
    Status {
        source: SourceStatus::Playing,
        activity: Activity::Running,
        degradation: Some(Degradation { level: 1, cause: Cause::Heat }),
        build: BuildStatus::Idle,
    }
}

pub(crate) fn prompt() -> PromptMessage {
    let points = [PromptPoint { x: 182.0, y: 115.0, positive: true }];
    let bbox = PromptBox { x0: 100.0, y0: 80.0, x1: 220.0, y1: 170.0 };
    PromptMessage {
        object: 0,
        change: PromptChange::Set { points: points.into_iter().collect(), bbox: Some(bbox) },
    }
}

pub(crate) fn command() -> Command {
    Command::Capture
}

fn text<const N: usize>(text: &str) -> heapless::String<N> {
    text.try_into().expect("examples fit their fields")
}
