use medsa_frames::Frame;
use medsa_sam::image::Geometry;
use medsa_sam::prompt::Point;
use medsa_wire::MaskState;
use ndarray::Array2;

use super::*;
use crate::config::Deidentification;

fn captured(frame_id: u64, side: u32) -> Arc<Captured> {
    Arc::new(Captured {
        frame_id,
        captured: Instant::now(),
        captured_us: 1_000_000 + 33_333 * frame_id,
        source_us: None,
        deidentification: Deidentification::Masked,
        frame: Frame {
            width: side,
            height: side,
            rgb: vec![0; 3 * (side * side) as usize],
            pixel_spacing_mm: None,
        },
    })
}

fn object(frame_id: u64) -> ShotObject {
    let points = vec![Point { x: 1.0, y: 1.0, positive: true }];
    let logits = Arc::new(Array2::from_elem((64, 64), frame_id as f32));
    let geometry = Geometry::new((16, 16), 64);
    ShotObject {
        frame_id,
        segmented: false,
        prompt: Prompt::new(points, None, (16, 16)).unwrap(),
        shown: Shown {
            logits,
            geometry,
            score: 0.9,
            agreement: None,
            state: MaskState::Tracking,
            reason: None,
        },
    }
}

/// Adds a frame and masks of objects on it, as the pipeline does.
fn add(recent: &Recent, frame_id: u64, side: u32, objects: &[u8]) -> Vec<u64> {
    let captured = captured(frame_id, side);
    let build = Arc::default();
    let mask = |&number: &u8| recent.mask(&captured, number, Some(object(frame_id)), Some(&build));
    let revisions = objects.iter().map(mask).collect();
    recent.frame(captured.clone());
    revisions
}

#[test]
fn shot_holds_the_frame_and_masks_that_were_shown() {
    let recent = Recent::new(Pace::Live);
    assert_eq!(recent.newest(&[0], None).err(), Some(NoShot::NothingYet));
    let first = add(&recent, 7, 16, &[0, 3]);
    let second = add(&recent, 8, 16, &[0, 3]);
    add(&recent, 9, 16, &[0, 3]);
    let shot = recent.shot(7, &first, None).unwrap();
    assert_eq!((shot.captured.frame_id, shot.objects[&3].frame_id), (7, 7));
    // A page may still show a mask of the previous frame.
    let shot = recent.shot(8, &[first[0], second[1]], None).unwrap();
    assert_eq!((shot.objects[&0].frame_id, shot.objects[&3].frame_id), (7, 8));
    assert!(recent.shot(8, &[], None).unwrap().objects.is_empty());
    assert_eq!(recent.shot(6, &[], None).err(), Some(NoShot::FrameGone(6)));
    assert_eq!(recent.shot(8, &[99], None).err(), Some(NoShot::MaskGone(99)));
}

#[test]
fn newest_shot_is_of_a_frame_with_all_masks() {
    let recent = Recent::new(Pace::Live);
    add(&recent, 1, 16, &[0, 1]);
    // The mask of object 1 is not there yet.
    add(&recent, 2, 16, &[0]);
    let shot = recent.newest(&[0, 1], None).unwrap();
    let frames: Vec<_> = shot.objects.values().map(|object| object.frame_id).collect();
    assert_eq!((shot.captured.frame_id, frames), (1, vec![1, 1]));
}

#[test]
fn newest_shot_has_only_present_objects() {
    let recent = Recent::new(Pace::Live);
    add(&recent, 1, 16, &[0, 1, 2]);
    recent.mask(&captured(1, 16), 2, None, None);
    let shot = recent.newest(&[1, 2], None).unwrap();
    assert_eq!(shot.objects.keys().copied().collect::<Vec<_>>(), [1]);
    // Masks of the network are later than frames.
    recent.frame(captured(2, 16));
    assert_eq!(recent.newest(&[1], None).unwrap().captured.frame_id, 1);
    assert_eq!(recent.newest(&[], None).unwrap().captured.frame_id, 2);
}

#[test]
fn old_frame_is_refused_unless_it_was_frozen() {
    let (live, recording) = (Recent::new(Pace::Live), Recent::new(Pace::EveryFrame));
    for recent in [&live, &recording] {
        add(recent, 1, 16, &[0]);
        let age = OLD + Duration::from_millis(1);
        let Some(then) = Instant::now().checked_sub(age) else { return };
        let mut state = recent.lock();
        let frame = &mut state.frames[0].item;
        let frame = Arc::get_mut(&mut frame.captured).unwrap();
        frame.captured = then;
    }
    assert!(matches!(live.newest(&[0], None), Err(NoShot::Old(_))));
    assert!(matches!(live.shot(1, &[], None), Err(NoShot::Old(_))));
    assert!(live.shot(1, &[], Some(Instant::now())).is_ok());
    assert!(recording.newest(&[0], None).is_ok());
}

#[test]
fn memory_is_bounded_and_sent_frames_stay_longest() {
    let recent = Recent::new(Pace::Live);
    let side = 1024;
    let fit = FRAME_BYTES as u64 / (3 * u64::from(side * side));
    for frame_id in 0..2 * fit {
        add(&recent, frame_id, side, &[0, 1]);
        if frame_id == 3 {
            recent.sent(3);
        }
    }
    let state = recent.lock();
    assert_eq!(state.frames.len() as u64, fit);
    assert_eq!(state.frames[0].item.captured.frame_id, 3);
    drop(state);
    for _ in 0..3000 {
        recent.mask(&captured(50, 16), 0, Some(object(50)), None);
    }
    assert_eq!(recent.lock().masks.len(), MASK_BYTES / (64 * 64 * 4));
}
