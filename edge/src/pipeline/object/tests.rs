//! One object over several frames: motion, predictions and their evaluation.

use medsa_sam::image::{Geometry, RgbView};
use medsa_sam::prompt::Point;
use ndarray::Array2;

use super::shown::overlap;
use super::*;

const FRAME: (usize, usize) = (320, 240);

fn geometry() -> Geometry {
    Geometry::new(FRAME, 128)
}

fn click(x: f32, y: f32) -> Prompt {
    Prompt::new(vec![Point { x, y, positive: true }], None, FRAME).unwrap()
}

/// A disc with a radius of ten cells, centred on a point in frame pixels.
fn disc(x: f32, y: f32) -> Array2<f32> {
    let [x, y] = geometry().to_cell([x, y], (64, 64));
    Array2::from_shape_fn((64, 64), |(row, column)| {
        10.0 - (column as f32 - x).hypot(row as f32 - y)
    })
}

/// Evaluates a prediction for the first prompt of the request for a frame.
fn predict(object: &mut Object, frame_id: u64, logits: &Array2<f32>, score: f32) -> Verdict {
    let request = object.request(frame_id, &geometry(), 64, None).unwrap();
    let prediction = Prediction { prompt: 0, logits: logits.clone(), score };
    object.evaluate(frame(frame_id), &request, vec![prediction], None, geometry())
}

/// Two frames per second.
fn frame(frame_id: u64) -> RequestedFrame {
    RequestedFrame { frame_id, captured_us: 500_000 * frame_id, build: [0; 32] }
}

fn object_at(x: f32, y: f32) -> Object {
    let mut object = Object::new(click(x, y), 0, 0);
    assert!(matches!(predict(&mut object, 0, &disc(x, y), 0.9), Verdict::Found { .. }));
    object
}

fn right(pixels: f32) -> Step {
    Step::Followed(Motion::shift([pixels, 0.0]))
}

#[test]
fn mask_of_older_frame_is_moved_to_newest() {
    let mut object = object_at(160.0, 120.0);
    for frame_id in 1..=4 {
        let shown = object.step(frame_id, right(5.0), FRAME).unwrap();
        let expected = disc(160.0 + 5.0 * frame_id as f32, 120.0);
        assert!(overlap(shown.logits.view(), expected.view()) > 0.97);
    }
    assert_eq!(object.prompt().unwrap().points()[0].x, 180.0);
    // Frame 2 is encoded while 3 and 4 are shown.
    let request = object.request(2, &geometry(), 64, None).unwrap();
    assert!((request.prompts[0].points()[0].x - 170.0).abs() < 4.0);
    assert!(overlap(request.expected.unwrap().view(), disc(170.0, 120.0).view()) > 0.97);
    predict(&mut object, 2, &disc(170.0, 120.0), 0.9);
    let shown = object.step(5, right(5.0), FRAME).unwrap();
    assert!(overlap(shown.logits.view(), disc(185.0, 120.0).view()) > 0.97);
}

#[test]
fn click_stays_near_its_place_on_the_mask() {
    let mut object = Object::new(click(150.0, 110.0), 0, 0);
    predict(&mut object, 0, &disc(160.0, 120.0), 0.9);
    // The network finds the structure 20 px farther than it was followed.
    object.step(1, right(5.0), FRAME);
    predict(&mut object, 1, &disc(185.0, 120.0), 0.9);
    // The click was followed to 155, which is near its place at 175.
    let request = object.request(1, &geometry(), 64, None).unwrap();
    let point = request.prompts[0].points()[0];
    assert!((point.x - 157.5).abs() < 3.0 && (point.y - 110.0).abs() < 4.0, "{point:?}");
    predict(&mut object, 1, &disc(205.0, 120.0), 0.9);
    // Its place is at 195 now, and 0.7 standard deviations of 25 px are near.
    let request = object.request(1, &geometry(), 64, None).unwrap();
    let point = request.prompts[0].points()[0];
    assert!((point.x - 177.5).abs() < 3.0 && (point.y - 110.0).abs() < 4.0, "{point:?}");
    // The user sees the click where the image has moved it.
    assert_eq!(object.prompt().unwrap().points()[0].x, 155.0);
    object.correct(click(150.0, 110.0), 1);
    let request = object.request(1, &geometry(), 64, None).unwrap();
    assert_eq!(request.prompts, [click(150.0, 110.0)]);
}

#[test]
fn object_not_found_is_lost_and_found_again() {
    let far = disc(60.0, 60.0);
    let empty = Array2::from_elem((64, 64), -1.0);
    for (logits, score) in [(&far, 0.9), (&disc(215.0, 120.0), 0.3), (&empty, 0.9)] {
        let mut object = object_at(160.0, 120.0);
        assert!(matches!(predict(&mut object, 1, logits, score), Verdict::Uncertain(_)));
        // One doubt does not hide it.
        assert!(object.step(2, right(0.0), FRAME).is_some());
        let mut frame_id = 2;
        while !object.is_lost() {
            predict(&mut object, frame_id, logits, score);
            frame_id += 1;
        }
        assert!(frame_id <= 5, "{frame_id}");
        assert!(object.step(frame_id, right(0.0), FRAME).is_none());
        let found = predict(&mut object, frame_id, &disc(163.0, 120.0), 0.9);
        assert!(matches!(found, Verdict::Found { .. }));
        assert!(object.step(frame_id + 1, right(0.0), FRAME).is_some());
    }
}

#[test]
fn prompt_returns_to_where_a_lost_object_was_found() {
    let mut object = object_at(160.0, 120.0);
    object.step(1, Step::WithImage(Motion::shift([300.0, 0.0])), FRAME);
    assert!(object.is_lost());
    assert_eq!(object.prompt(), Some(&click(160.0, 120.0)));
    // Back after two frames, a bit to the left. It is looked for where it was.
    object.step(2, Step::WithImage(Motion::shift([-300.0, 0.0])), FRAME);
    let request = object.request(2, &geometry(), 64, None).unwrap();
    assert!(request.prompts.len() > 1);
    let number = request.prompts.len() - 1;
    let at = request.prompts[number].points()[0];
    assert!((at.x - 160.0).abs() < 4.0, "{at:?}");
    let there = Prediction { prompt: number, logits: disc(150.0, 120.0), score: 0.9 };
    let wrong = Prediction { prompt: 0, logits: disc(20.0, 20.0), score: 0.4 };
    let verdict = object.evaluate(frame(2), &request, vec![wrong, there], None, geometry());
    assert!(matches!(verdict, Verdict::Found { prompt, .. } if prompt == number));
    assert!((object.prompt().unwrap().points()[0].x - 160.0).abs() < 4.0);
    assert!(object.step(3, right(5.0), FRAME).is_some());
}

#[test]
fn object_moves_with_the_image_where_it_cannot_be_followed() {
    let mut object = object_at(160.0, 120.0);
    let shown = object.step(1, Step::WithImage(Motion::shift([10.0, 0.0])), FRAME).unwrap();
    assert!(overlap(shown.logits.view(), disc(170.0, 120.0).view()) > 0.97);
    // The place counts less then, so that a right prediction elsewhere is accepted ...
    let moved = disc(195.0, 120.0);
    assert!(matches!(predict(&mut object, 1, &moved, 0.9), Verdict::Found { .. }));
    // ... but a jump is not if it was followed.
    let mut object = object_at(160.0, 120.0);
    object.step(1, right(10.0), FRAME);
    let jump = disc(270.0, 120.0);
    assert!(matches!(predict(&mut object, 1, &jump, 0.9), Verdict::Uncertain(_)));
}

#[test]
fn nothing_is_shown_in_another_image_until_the_network_confirms() {
    let mut object = object_at(160.0, 120.0);
    assert!(object.step(1, Step::Unknown, FRAME).is_none());
    assert!(object.step(2, right(0.0), FRAME).is_none());
    // A prediction for a frame before the change confirms nothing.
    predict(&mut object, 0, &disc(160.0, 120.0), 0.9);
    assert!(object.step(3, right(0.0), FRAME).is_none());
    predict(&mut object, 3, &disc(163.0, 120.0), 0.9);
    assert!(object.step(4, right(0.0), FRAME).is_some());
}

#[test]
fn mask_of_another_side_is_compared() {
    let object = object_at(160.0, 120.0);
    let small = Geometry::new(FRAME, 64);
    let request = object.request(0, &small, 32, None).unwrap();
    let [x, y] = small.to_cell([160.0, 120.0], (32, 32));
    let half = Array2::from_shape_fn((32, 32), |(row, column)| {
        5.0 - (column as f32 - x).hypot(row as f32 - y)
    });
    assert!(overlap(request.expected.unwrap().view(), half.view()) > 0.9);
}

#[test]
fn removed_prompt_moves_on_and_can_be_restored() {
    let mut object = object_at(100.0, 100.0);
    object.clear(1, 0);
    assert!(object.request(0, &geometry(), 64, None).is_none() && object.shown().is_none());
    object.step(1, right(7.0), FRAME);
    object.undo(2, 1);
    assert_eq!(object.prompt(), Some(&click(107.0, 100.0)));
    // It is a prompt for the network again.
    let request = object.request(1, &geometry(), 64, None).unwrap();
    assert_eq!(request.prompts, [click(107.0, 100.0)]);
}

/// A pattern of waves, shifted to the left.
fn picture(shift: usize) -> Pyramid {
    let rgb: Vec<u8> = (0..FRAME.0 * FRAME.1)
        .flat_map(|i| {
            let (x, y) = ((i % FRAME.0 + shift) as f32, (i / FRAME.0) as f32);
            [(128.0 + 60.0 * (0.15 * x).sin() * (0.11 * y).cos()) as u8; 3]
        })
        .collect();
    Pyramid::new(RgbView::new(FRAME.0, FRAME.1, &rgb).unwrap())
}

/// Like [`predict`] on a frame with this picture, by the build of this number; the mask.
fn settle(
    object: &mut Object,
    frame_id: u64,
    logits: &Array2<f32>,
    picture: &Pyramid,
    build: u8,
) -> Array2<f32> {
    let request = object.request(frame_id, &geometry(), 64, None).unwrap();
    let prediction = Prediction { prompt: 0, logits: logits.clone(), score: 0.9 };
    let at = RequestedFrame { build: [build; 32], ..frame(frame_id) };
    let verdict = object.evaluate(at, &request, vec![prediction], None, geometry());
    let Verdict::Found { mask, .. } = object.settle(verdict, at, request.direct, picture) else {
        panic!("the prediction is not accepted");
    };
    mask.logits.as_ref().clone()
}

#[test]
fn mask_returns_with_the_view() {
    let (here, there) = (picture(0), picture(20));
    let small = disc(160.0, 120.0);
    let large = &small + 2.0;
    let alike = |a: &Array2<f32>, b: &Array2<f32>| overlap(a.view(), b.view());
    assert!(alike(&small, &large) < 0.75);
    let step = |object: &mut Object, frame_id: u64, picture: &Pyramid| {
        object.look(picture);
        object.step(frame_id, right(0.0), FRAME).unwrap().logits.as_ref().clone()
    };
    let mut object = Object::new(click(160.0, 120.0), 0, 0);
    settle(&mut object, 0, &small, &here, 0);

    // On the same picture, another answer of the network does not change the outline.
    let found = alike(&step(&mut object, 1, &here), &small);
    assert!(found > 0.95, "{found}");
    let found = alike(&settle(&mut object, 1, &large, &here, 0), &small);
    assert!(found > 0.95, "{found}");
    // Another picture gets its own outline, and each keeps its own, also before the network answers.
    step(&mut object, 2, &there);
    let found = alike(&settle(&mut object, 2, &large, &there, 0), &large);
    assert!(found > 0.93, "{found}");
    let found = alike(&step(&mut object, 3, &here), &small);
    assert!(found > 0.95, "{found}");
    let found = alike(&step(&mut object, 4, &there), &large);
    assert!(found > 0.93, "{found}");

    // A corrected prompt and another build begin anew.
    step(&mut object, 5, &here);
    let found = alike(&settle(&mut object, 5, &large, &here, 1), &large);
    assert!(found > 0.9, "{found}");
    object.correct(click(150.0, 120.0), 1);
    let found = alike(&settle(&mut object, 5, &small, &here, 1), &small);
    assert!(found > 0.95, "{found}");
    let found = alike(&step(&mut object, 6, &here), &small);
    assert!(found > 0.95, "{found}");
}
