//! Following of objects from frame to frame, at the rate of the source, and passing of frames on to
//! the network. While frozen, frames of the cine buffer can be shown again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use medsa_frames::Frame;
use medsa_wire::Stage;
use tokio::sync::watch;

use super::cine::{Buffer, CineExtent, CineFrame};
use super::describe;
use super::object::Step;
use super::objects::{Activity, Moved, Objects, Place, ShownAgain};
use super::output::{Closed, Output, Ready};
use super::recent::ShotObject;
use crate::config::Pace;
use crate::follow::{self, Motion, Pyramid};
use crate::mailbox::Mailbox;
use crate::meter::{Counter, Meter};
use crate::source::{Captured, FrameNumbers};
use medsa_engine::frame_view;

/// A frame to which the objects were followed.
pub struct FollowedFrame {
    /// The frame.
    pub captured: Arc<Captured>,
    /// True if it is encoded even on a degraded device.
    pub(super) wanted: bool,
    pyramid: Arc<Pyramid>,
}

/// Reason why a frame of the cine buffer is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// Frames arrive.
    #[error("frames of the cine buffer are shown only while frozen")]
    NotFrozen,
    /// The buffer has fewer frames.
    #[error("the cine buffer has no frame {number}; it has {frames}")]
    NoSuchFrame {
        /// Number asked for.
        number: usize,
        /// Number of frames.
        frames: usize,
    },
    /// The source has ended, and with it the following.
    #[error("the source has ended")]
    Ended,
}

/// Follows objects to frames, of the source and of the cine buffer.
pub(super) struct Follower {
    pub before: Option<Arc<FollowedFrame>>,
    pub buffer: Buffer,
    pub extent: watch::Sender<CineExtent>,
    pub numbers: FrameNumbers,
    pub seen: Arc<Mailbox<Arc<FollowedFrame>>>,
    /// Newest frame, for viewers.
    pub viewers: watch::Sender<Option<Arc<FollowedFrame>>>,
    pub objects: Arc<Objects>,
    pub output: Output,
    pub meter: Arc<Meter>,
}

/// Shows frames of the cine buffer again.
#[derive(Clone)]
pub struct Cine {
    /// Owned by the thread alone, so that the queue of masks closes when it ends.
    pub(super) follower: Weak<Mutex<Follower>>,
    pub(super) objects: Arc<Objects>,
    pub(super) extent: watch::Receiver<CineExtent>,
}

impl Cine {
    /// Shows a frame by its number in the buffer; the oldest is 0. It is segmented like a new frame,
    /// and gets a new frame number. Objects return to their state on it, except those whose prompt
    /// changed later, which are followed to it.
    ///
    /// # Errors
    /// [`NotShown`].
    pub fn show(&self, number: usize) -> Result<(), NotShown> {
        let follower = self.follower.upgrade().ok_or(NotShown::Ended)?;
        lock(&follower).show(number)
    }

    /// All frames of the buffer, the oldest first, with the objects on them.
    ///
    /// # Errors
    /// [`NotShown::NotFrozen`], [`NotShown::Ended`], or [`NotShown::NoSuchFrame`] if there are none.
    pub fn frames(&self) -> Result<Vec<CineFrame>, NotShown> {
        let follower = self.follower.upgrade().ok_or(NotShown::Ended)?;
        let mut follower = lock(&follower);
        if self.objects.activity() != Activity::Frozen {
            return Err(NotShown::NotFrozen);
        }
        // Its prompts may have changed since it is shown.
        let objects = follower.objects.snapshot();
        follower.buffer.note(objects);
        let frames = follower.buffer.frames();
        if frames.is_empty() {
            return Err(NotShown::NoSuchFrame { number: 0, frames: 0 });
        }
        Ok(frames)
    }

    /// The extent while frozen; `None` otherwise.
    pub fn extent(&self) -> Option<CineExtent> {
        let frozen = self.objects.activity() == Activity::Frozen;
        frozen.then(|| *self.extent.borrow())
    }
}

/// A panic elsewhere stops the pipeline.
fn lock(follower: &Mutex<Follower>) -> MutexGuard<'_, Follower> {
    follower.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Follows objects from frame to frame until `frames` ends or the receiver of masks is gone.
pub(super) fn run(
    frames: &Mailbox<Captured>,
    follower: &Mutex<Follower>,
    objects: &Objects,
    meter: &Meter,
) -> Result<(), Closed> {
    while let Some(captured) = frames.take() {
        if objects.activity() != Activity::Running {
            meter.count(Counter::FramesPaused);
            continue;
        }
        lock(follower).next(captured)?;
    }
    lock(follower).seen.finish();
    Ok(())
}

impl Follower {
    /// Follows the objects to a frame of the source.
    fn next(&mut self, mut captured: Captured) -> Result<(), Closed> {
        // Objects go on from the frame on which the freeze began.
        if let Some(newest) = self.buffer.newest_unless_shown() {
            self.show_again(newest)?;
        }
        // Numbered before a frame that was shown again since.
        let newest = self.before.as_ref().map(|before| before.captured.frame_id);
        if newest.is_some_and(|newest| newest >= captured.frame_id) {
            captured.frame_id = self.numbers.next(0);
        }
        let beat = self.output.beat.clone();
        let _work = beat.work();
        let begun = Instant::now();
        let pyramid = match self.fitted(&captured.frame) {
            Ok(pyramid) => pyramid,
            Err(error) => {
                self.meter.count(Counter::FramesFailed);
                tracing::warn!("frame {} not segmented: {error}", captured.frame_id);
                return Ok(());
            }
        };
        let now = FollowedFrame { captured: Arc::new(captured), wanted: false, pyramid };
        if let Some(before) = &self.before {
            let captured = &now.captured;
            let moved =
                move_objects(&before.pyramid, &now.pyramid, captured.frame_id, &self.objects);
            for moved in moved {
                self.publish(captured, moved)?;
            }
        }
        self.objects.followed(now.captured.frame_id, now.pyramid.clone());
        self.meter.record(Stage::Follow, begun.elapsed());
        self.buffer.push(&now.captured, self.objects.snapshot());
        self.pass_on(now, self.output.pace);
        Ok(())
    }

    fn show(&mut self, number: usize) -> Result<(), NotShown> {
        if self.objects.activity() != Activity::Frozen {
            return Err(NotShown::NotFrozen);
        }
        let frames = self.buffer.extent().frames;
        if number >= frames {
            return Err(NotShown::NoSuchFrame { number, frames });
        }
        self.show_again(number).map_err(|Closed| NotShown::Ended)
    }

    /// Shows a frame of the buffer as a new one.
    fn show_again(&mut self, number: usize) -> Result<(), Closed> {
        self.buffer.note(self.objects.snapshot());
        let frame_id = self.numbers.next(0);
        self.buffer.show(number);
        let Some(entry) = self.buffer.shown() else { return Ok(()) };
        let captured = Arc::new(entry.captured(frame_id));
        self.meter.count(Counter::FramesIn);
        // Invariant: it was followed before.
        let Ok(pyramid) = self.fitted(&captured.frame) else { return Ok(()) };
        if let Some(before) = &self.before {
            move_objects(&before.pyramid, &pyramid, frame_id, &self.objects);
        }
        let objects = self.objects.rewind(&entry.objects, frame_id);
        self.objects.followed(frame_id, pyramid.clone());
        for object in objects {
            match object {
                ShownAgain::Mask(moved) => self.publish(&captured, moved)?,
                ShownAgain::Lost(object, reason) => {
                    if let Ok(message) = describe::lost(&captured, object, reason) {
                        let lost = Ready { message, object: None };
                        self.output.send(&captured, lost, None, &self.meter)?;
                    }
                }
            }
        }
        // Without waiting for the encoder, even with every-frame pace.
        self.pass_on(FollowedFrame { captured, wanted: true, pyramid }, Pace::Live);
        Ok(())
    }

    /// The pyramid of a frame that the prompts are fitted to.
    fn fitted(&self, frame: &Frame) -> Result<Arc<Pyramid>, medsa_engine::Error> {
        let view = frame_view(frame)?;
        self.objects.fit(view.size(), |object, error| {
            self.meter.count(Counter::MessagesRefused);
            tracing::warn!("prompt of object {object} removed: {error}");
        });
        Ok(Arc::new(Pyramid::new(view)))
    }

    /// Publishes the mask of a followed object.
    fn publish(&self, captured: &Captured, moved: Moved) -> Result<(), Closed> {
        // With every-frame pace each frame is segmented too; a second mask would be redundant.
        if self.output.pace != Pace::Live {
            return Ok(());
        }
        let Moved { object, shown, prompt } = moved;
        match describe::mask(captured, object, false, &shown) {
            Ok(message) => {
                let frame_id = captured.frame_id;
                let object = ShotObject { frame_id, segmented: false, prompt, shown };
                self.output.send(captured, Ready::new(message, object), None, &self.meter)
            }
            Err(error) => {
                tracing::warn!("frame {}: {error}", captured.frame_id);
                Ok(())
            }
        }
    }

    /// Passes a followed frame on to captures, viewers and the encoder.
    fn pass_on(&mut self, now: FollowedFrame, pace: Pace) {
        let now = Arc::new(now);
        self.before = Some(now.clone());
        self.extent.send_replace(self.buffer.extent());
        self.output.recent.frame(now.captured.clone());
        self.viewers.send_replace(Some(now.clone()));
        if self.output.beat.wait(|| self.seen.pass(now, pace)).is_some() {
            self.meter.count(Counter::ReplacedBeforeEncoder);
        }
    }
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
    steps.filter_map(|(place, step)| objects.step(place, frame_id, step, now)).collect()
}
