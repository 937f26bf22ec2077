//! Strategies for valid messages.
// Each test file uses only a part of this module.
#![allow(dead_code)]

use medsa_wire::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Width, height and cells: noise of any density, which is packed, or few long runs, which are not.
pub fn cells() -> impl Strategy<Value = (u16, u16, Vec<bool>)> {
    (1..=MAX_MASK_SIDE, 1..=MAX_MASK_SIDE).prop_flat_map(|(width, height)| {
        let count = usize::from(width) * usize::from(height);
        let noise = (0.0..=1.0f64, any::<u64>()).prop_map(move |(density, seed)| {
            noise(seed).take(count).map(|value| value < density).collect()
        });
        let runs = (any::<bool>(), vec(1..=count, 0..12)).prop_map(move |(start, lengths)| {
            let mut value = start;
            let mut cells = Vec::with_capacity(count);
            for length in lengths {
                cells.extend(std::iter::repeat_n(value, length.min(count - cells.len())));
                value = !value;
            }
            cells.resize(count, value);
            cells
        });
        (Just(width), Just(height), prop_oneof![noise, runs])
    })
}

pub fn mask_message() -> impl Strategy<Value = MaskMessage> {
    let mask = cells().prop_map(|(width, height, cells)| {
        Mask::from_bits(width, height, cells).expect("as many cells as the sides ask for")
    });
    let times = (any::<u64>(), any::<u64>(), any::<u32>());
    let frame = (1..=u16::MAX, 1..=u16::MAX, 0.0..=1.0f64);
    let certainty = (state(), reason(), any::<bool>());
    let score = (finite(), proptest::option::of(finite()));
    let measured = proptest::option::of(measurements());
    (times, 0..=MAX_OBJECT, certainty, score, frame, measured, mask).prop_map(
        |(times, object, certainty, (score, agreement), (width, height, part), measured, mask)| {
            let (frame_id, captured_us, age_us) = times;
            let (state, reason, segmented) = certainty;
            MaskMessage {
                frame_id,
                captured_us,
                age_us,
                object,
                state,
                reason,
                segmented,
                score,
                agreement,
                frame_width_px: width,
                frame_height_px: height,
                measured: measured.map(|measured| {
                    let area = u64::from(width) * u64::from(height);
                    let area_px = (area as f64 * part).max(1.0) as u32;
                    Measurements { area_px, parts: measured.parts.min(area_px), ..measured }
                }),
                mask,
            }
        },
    )
}

fn state() -> impl Strategy<Value = MaskState> {
    prop_oneof![Just(MaskState::Tracking), Just(MaskState::Uncertain), Just(MaskState::Lost)]
}

fn reason() -> impl Strategy<Value = Option<Reason>> {
    proptest::option::of(prop_oneof![
        Just(Reason::FoundAgain),
        Just(Reason::NotConfirmed),
        Just(Reason::LeftFrame),
        Just(Reason::ImageChanged),
        Just(Reason::AreaJump),
        Just(Reason::SeveralParts),
        Just(Reason::AtBorder),
        Just(Reason::OutsideBox),
    ])
}

/// Measurements whose area and parts are not yet limited to a frame.
fn measurements() -> impl Strategy<Value = Measurements> {
    let position = || (finite(), finite()).prop_map(|(x, y)| Position { x, y });
    let physical =
        (finite(), finite(), finite()).prop_map(|(area_mm2, longest_mm, shortest_mm)| Physical {
            area_mm2,
            longest_mm,
            shortest_mm,
        });
    let physical = proptest::option::of(physical);
    let contour = vec(position(), 0..=MAX_CONTOUR_POINTS);
    (1..=u32::MAX, position(), finite(), finite(), physical, contour).prop_map(
        |(parts, centroid_px, longest_px, shortest_px, physical, contour)| Measurements {
            parts,
            area_px: 1,
            centroid_px,
            longest_px,
            shortest_px,
            physical,
            contour_px: contour.into_iter().collect(),
        },
    )
}

pub fn prompt() -> impl Strategy<Value = PromptMessage> {
    let point = || {
        (finite(), finite(), any::<bool>()).prop_map(|(x, y, positive)| PromptPoint {
            x,
            y,
            positive,
        })
    };
    let edges = (0.0..4000.0f32, 0.0..4000.0f32, 1.0..4000.0f32, 1.0..4000.0f32);
    let bbox = edges.prop_map(|(x0, y0, width, height)| PromptBox {
        x0,
        y0,
        x1: x0 + width,
        y1: y0 + height,
    });
    let add = point().prop_map(PromptChange::Add);
    let set = (vec(point(), 0..=MAX_POINTS), proptest::option::of(bbox))
        .prop_filter("a prompt sets something", |(points, bbox)| {
            !points.is_empty() || bbox.is_some()
        })
        .prop_map(|(points, bbox)| PromptChange::Set {
            points: points.into_iter().collect(),
            bbox,
        });
    let none = [PromptChange::Clear, PromptChange::Undo, PromptChange::Redo].map(Just);
    let [clear, undo, redo] = none;
    let change = prop_oneof![set, add, clear, undo, redo];
    (0..=MAX_OBJECT, change).prop_map(|(object, change)| PromptMessage { object, change })
}

pub fn record() -> impl Strategy<Value = RecordMessage> {
    let times = (any::<u64>(), any::<u64>());
    let object = (any::<bool>(), finite(), 0.0..=1.0f64);
    let objects = vec(object, MAX_RECORD_OBJECTS);
    let rest = (1..=u16::MAX, 1..=u16::MAX, objects, any::<[u8; 32]>());
    ("[0-9A-Za-z.-]{1,48}", times, rest).prop_map(
        |(id, (captured_us, frame_id), (width, height, objects, record_sha256))| {
            let frame_px = f64::from(width) * f64::from(height);
            let objects = (0..).zip(objects).filter(|(_, (chosen, ..))| *chosen);
            RecordMessage {
                id: id.as_str().try_into().expect("at most 48 bytes"),
                captured_us,
                frame_id,
                frame_width_px: width,
                frame_height_px: height,
                objects: objects
                    .map(|(object, (_, score, part))| RecordObject {
                        object,
                        score,
                        area_px: (frame_px * part) as u32,
                    })
                    .collect(),
                record_sha256,
            }
        },
    )
}

pub fn deleted() -> impl Strategy<Value = RecordDeleted> {
    let reason = proptest::sample::select(DeletionReason::ALL.to_vec());
    ("[0-9A-Za-z.-]{1,48}", any::<u64>(), reason).prop_map(|(id, deleted_us, reason)| {
        let id = id.as_str().try_into().expect("at most 48 bytes");
        RecordDeleted { id, deleted_us, reason }
    })
}

pub fn info() -> impl Strategy<Value = Info> {
    let texts = ("[ -~]{0,64}", "[ -~]{0,32}", "[a-z0-9]{0,32}", "[0-9.]{0,32}");
    (texts, any::<[u8; 32]>(), 1..=u16::MAX).prop_map(
        |((name, version, board, edge), build_sha256, input_size_px)| Info {
            build_name: name.as_str().try_into().expect("at most 64 bytes"),
            build_version: version.as_str().try_into().expect("at most 32 bytes"),
            build_sha256,
            board: board.as_str().try_into().expect("at most 32 bytes"),
            edge_version: edge.as_str().try_into().expect("at most 32 bytes"),
            input_size_px,
        },
    )
}

pub fn stats() -> impl Strategy<Value = Stats> {
    let stage = prop_oneof![Just(Stage::Source), Just(Stage::Encoder), Just(Stage::Total)];
    let latency = (stage, any::<u32>(), any::<u32>())
        .prop_map(|(stage, p50_us, p95_us)| StageLatency { stage, p50_us, p95_us });
    let counters = (any::<[u64; 8]>(), any::<[u64; 5]>(), any::<Option<u64>>());
    (counters, vec(latency, 0..=MAX_STAGES)).prop_map(|(counters, latency)| {
        let (counters, [source, follow, encoder, decoder, paused], outbox_messages) = counters;
        let [uptime_ms, frames_in, frames_segmented, frames_failed, masks_out, ..] = counters;
        let [.., refused_messages, masks_dropped, masks_unpublished] = counters;
        Stats {
            uptime_ms,
            frames_in,
            frames_segmented,
            frames_failed,
            frames_dropped: FramesDropped { source, follow, encoder, decoder, paused },
            masks_out,
            refused_messages,
            masks_dropped,
            masks_unpublished,
            outbox_messages,
            latency: latency.into_iter().collect(),
        }
    })
}

pub fn status() -> impl Strategy<Value = Status> {
    let source = prop_oneof![
        Just(SourceStatus::Starting),
        Just(SourceStatus::Stalled),
        Just(SourceStatus::Ended)
    ];
    let activity = prop_oneof![Just(Activity::Running), Just(Activity::Paused)];
    let cause = prop_oneof![Just(Cause::Heat), Just(Cause::Throttling), Just(Cause::Slowness)];
    let degradation =
        (1..=MAX_DEGRADATION, cause).prop_map(|(level, cause)| Degradation { level, cause });
    let failed = "[ -~]{0,120}".prop_map(|reason| BuildStatus::Failed {
        reason: reason.as_str().try_into().expect("at most 120 bytes"),
    });
    let build = prop_oneof![
        Just(BuildStatus::Idle),
        Just(BuildStatus::Loading),
        Just(BuildStatus::Updating),
        failed
    ];
    (source, activity, proptest::option::of(degradation), build).prop_map(
        |(source, activity, degradation, build)| Status { source, activity, degradation, build },
    )
}

/// A reproducible sequence of numbers from 0 to 1 (splitmix64).
pub fn noise(mut seed: u64) -> impl Iterator<Item = f64> {
    std::iter::repeat_with(move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    })
}

fn finite() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("finite", |value| value.is_finite())
}
