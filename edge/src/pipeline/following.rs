//! The thread that follows objects from frame to frame, at the rate of the source, and passes
//! frames on to the network.

use std::sync::Arc;
use std::time::Instant;

use medsa_sam::mask::CleanUp;
use medsa_wire::{MaskState, Stage};
use tokio::sync::watch;

use super::describe;
use super::objects::{Activity, Objects};
use super::output::{Closed, Output};
use crate::config::Pace;
use crate::follow::{self, Motion, Pyramid};
use crate::mailbox::Mailbox;
use crate::meter::{Counter, Meter};
use crate::source::Captured;
use medsa_engine::frame_view;

/// A frame to which the objects were followed.
pub struct FollowedFrame {
    /// The frame.
    pub captured: Captured,
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
    let mut clean_up = CleanUp::default();
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
        let now = Arc::new(FollowedFrame { pyramid: Arc::new(Pyramid::new(view)), captured });
        if let Some(before) = before.replace(now.clone()) {
            follow(&before, &now, objects, &mut clean_up, output, meter)?;
        }
        objects.followed(now.captured.frame_id, now.pyramid.clone());
        meter.record(Stage::Follow, begun.elapsed());
        viewers.send_replace(Some(now.clone()));
        if output.beat.wait(|| seen.pass(now, output.pace)).is_some() {
            meter.count(Counter::ReplacedBeforeEncoder);
        }
    }
    seen.finish();
    Ok(())
}

/// Moves all objects from one frame to the next.
fn follow(
    before: &FollowedFrame,
    now: &FollowedFrame,
    objects: &Objects,
    clean_up: &mut CleanUp,
    output: &Output,
    meter: &Meter,
) -> Result<(), Closed> {
    let captured = &now.captured;
    for place in objects.places() {
        let step = follow::follow(&before.pyramid, &now.pyramid, &place.points, &Motion::NONE);
        let shown = objects.step(&place, captured.frame_id, step);
        // With every-frame pace each frame is segmented too; a second mask would be redundant.
        let shown = shown.filter(|_| output.pace == Pace::Live);
        let Some((object, prompt, shown)) = shown else { continue };
        let shown = describe::cleaned(&shown, &prompt, clean_up);
        match describe::mask(captured, object, MaskState::Followed, &shown) {
            Ok(message) => output.send(captured, message, meter)?,
            Err(error) => tracing::warn!("frame {}: {error}", captured.frame_id),
        }
    }
    Ok(())
}
