//! The thread that follows objects from frame to frame, at the rate of the source, and passes
//! frames on to the network.

use std::sync::Arc;
use std::time::Instant;

use medsa_wire::Stage;
use tokio::sync::watch;

use super::describe;
use super::object::Step;
use super::objects::{Activity, Moved, Objects, Place};
use super::output::{Closed, Output, Ready};
use super::recent::ShotObject;
use crate::config::Pace;
use crate::follow::{self, Motion, Pyramid};
use crate::mailbox::Mailbox;
use crate::meter::{Counter, Meter};
use crate::source::Captured;
use medsa_engine::frame_view;

/// A frame to which the objects were followed.
pub struct FollowedFrame {
    /// The frame.
    pub captured: Arc<Captured>,
    pyramid: Arc<Pyramid>,
}

/// Follows objects from frame to frame until `frames` ends or the receiver of masks is gone. The
/// newest frame goes to `viewers`, without waiting for them.
pub(super) fn run(
    frames: &Mailbox<Captured>,
    seen: &Mailbox<Arc<FollowedFrame>>,
    viewers: &watch::Sender<Option<Arc<FollowedFrame>>>,
    objects: &Objects,
    output: &Output,
    meter: &Meter,
) -> Result<(), Closed> {
    let mut before: Option<Arc<FollowedFrame>> = None;
    while let Some(captured) = frames.take() {
        if objects.activity() != Activity::Running {
            meter.count(Counter::FramesPaused);
            continue;
        }
        let _work = output.beat.work();
        let begun = Instant::now();
        let view = match frame_view(&captured.frame) {
            Ok(view) => view,
            Err(error) => {
                meter.count(Counter::FramesFailed);
                tracing::warn!("frame {} not segmented: {error}", captured.frame_id);
                continue;
            }
        };
        objects.fit(view.size(), |object, error| {
            meter.count(Counter::MessagesRefused);
            tracing::warn!("prompt of object {object} removed: {error}");
        });
        let pyramid = Arc::new(Pyramid::new(view));
        let now = Arc::new(FollowedFrame { pyramid, captured: Arc::new(captured) });
        if let Some(before) = before.replace(now.clone()) {
            follow(&before, &now, objects, output, meter)?;
        }
        objects.followed(now.captured.frame_id, now.pyramid.clone());
        meter.record(Stage::Follow, begun.elapsed());
        output.recent.frame(now.captured.clone());
        viewers.send_replace(Some(now.clone()));
        if output.beat.wait(|| seen.pass(now, output.pace)).is_some() {
            meter.count(Counter::ReplacedBeforeEncoder);
        }
    }
    seen.finish();
    Ok(())
}

/// Moves all objects from one frame to the next and publishes their masks.
fn follow(
    before: &FollowedFrame,
    now: &FollowedFrame,
    objects: &Objects,
    output: &Output,
    meter: &Meter,
) -> Result<(), Closed> {
    let captured = &now.captured;
    let moved = move_objects(&before.pyramid, &now.pyramid, captured.frame_id, objects);
    // With every-frame pace each frame is segmented too; a second mask would be redundant.
    for Moved { object, shown, prompt } in moved.into_iter().filter(|_| output.pace == Pace::Live) {
        match describe::mask(captured, object, false, &shown) {
            Ok(message) => {
                let frame_id = captured.frame_id;
                let object = ShotObject { frame_id, segmented: false, prompt, shown };
                output.send(captured, Ready::new(message, object), None, meter)?;
            }
            Err(error) => tracing::warn!("frame {}: {error}", captured.frame_id),
        }
    }
    Ok(())
}

/// Moves all objects from one frame to the next, with number `frame_id`. Returns those that are
/// shown.
pub(super) fn move_objects(
    before: &Pyramid,
    now: &Pyramid,
    frame_id: u64,
    objects: &Objects,
) -> Vec<Moved> {
    // Motion of the whole image, computed when it is first needed.
    let mut whole = None;
    let step = |place: &Place| match follow::follow(before, now, &place.points, &Motion::NONE) {
        Some(motion) => Step::Followed(motion),
        None => *whole.get_or_insert_with(|| {
            follow::follow_image(before, now).map_or(Step::Unknown, Step::WithImage)
        }),
    };
    let places = objects.places();
    let steps: Vec<_> = places.iter().map(step).collect();
    let steps = places.iter().zip(steps);
    steps.filter_map(|(place, step)| objects.step(place, frame_id, step)).collect()
}
