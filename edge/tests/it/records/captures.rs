//! Made-up captures for tests.

use std::collections::BTreeMap;

use medsa_edge::config::{Budget, Deidentification};
use medsa_edge::measure::{Measured, Physical};
use medsa_edge::pipeline::BuildIdentity;
use medsa_edge::port::Trigger;
use medsa_edge::records::{Capture, CapturedObject, ObjectState};
use medsa_frames::{Frame, PixelSpacing};
use medsa_sam::prompt::{Point, Prompt};
use medsa_wire::topic::{DeviceId, ObjectId};
use ndarray::Array2;

/// 2026-11-23 06:44:33.123456 UTC.
pub const CAPTURED_US: u64 = 1_795_416_273_123_456;

/// Budget with room for everything, on any disk.
pub const AMPLE: Budget = Budget { max_bytes: 1 << 40, min_free_bytes: 0 };

/// Sides that are not divisible by powers of two, and a spacing that differs per axis.
pub const SIZE: (u32, u32) = (61, 35);

/// Two objects with common pixels, the higher number first.
pub fn capture() -> Capture {
    let left = disc([20.0, 17.0], 12.0);
    let right = disc([35.0, 17.0], 12.0);
    let mut capture = without_objects(SIZE);
    capture.objects = vec![
        CapturedObject { state: ObjectState::Followed, score: 0.5, ..object(5, "artère", right) },
        object(2, "nerve", left),
    ];
    capture
}

/// A frame with different values in all channels.
pub fn without_objects((width, height): (u32, u32)) -> Capture {
    let pixel = |i: u32| [(i % 251) as u8, (i / width) as u8, 200 - (i % 7) as u8];
    Capture {
        frame: Frame {
            width,
            height,
            rgb: (0..width * height).flat_map(pixel).collect(),
            pixel_spacing_mm: Some(PixelSpacing::Uniform([0.382_653_06, 0.25])),
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
        objects: Vec::new(),
        clip: Vec::new(),
        names: BTreeMap::new(),
    }
}

pub fn object(number: u8, label: &str, mask: Array2<bool>) -> CapturedObject {
    let size = (mask.ncols(), mask.nrows());
    let points =
        vec![Point { x: 20.5, y: 17.0, positive: true }, Point { x: 1.0, y: 2.0, positive: false }];
    CapturedObject {
        object: ObjectId::new(number).unwrap(),
        label: label.into(),
        prompt: Prompt::new(points, Some([8.0, 5.0, 32.0, 29.0]), size).unwrap(),
        mask,
        score: 0.9375,
        frame_id: 300,
        state: ObjectState::Segmented,
        measured: Some(measured()),
    }
}

pub fn measured() -> Measured {
    Measured {
        parts: 1,
        area_px: 441,
        centroid_px: [20.0, 17.0],
        longest_px: 24.5,
        shortest_px: 24.0,
        physical: Some(Physical {
            pixel_spacing_mm: [0.382_653_06, 0.25],
            area_mm2: 42.25,
            longest_mm: 9.1,
            shortest_mm: 6.1,
        }),
        contour_px: vec![[7.5, 17.0], [20.0, 4.5], [32.5, 17.0], [20.0, 29.5]],
    }
}

/// A disc in a mask of [`SIZE`].
pub fn disc([x, y]: [f32; 2], radius: f32) -> Array2<bool> {
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    Array2::from_shape_fn((height, width), |(row, column)| {
        (column as f32 - x).powi(2) + (row as f32 - y).powi(2) < radius.powi(2)
    })
}
