//! Frames and masks of the last seconds, so that a capture stores what a screen showed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use medsa_sam::prompt::Prompt;

use super::object::Shown;
use super::slot::BuildIdentity;
use crate::config::Pace;
use crate::source::Captured;

/// Time for which a frame or mask is kept after a newer one has replaced it.
const KEPT: Duration = Duration::from_secs(3);

/// Age from which the newest live frame counts as old. Pages hide outlines after 1 s; the rest is
/// for requests on their way.
const OLD: Duration = Duration::from_millis(1500);

/// Largest time between a frame and a mask that is drawn on it, as on the page.
const TOGETHER_US: u64 = 1_000_000;

/// Memory for replaced frames, in bytes: 23 frames of 1280 x 720, 69 of 640 x 480. Frames that no
/// page was sent make room first.
const FRAME_BYTES: usize = 64 << 20;

/// Memory for replaced masks, in bytes: 1024 masks of 64 x 64 logits.
const MASK_BYTES: usize = 16 << 20;

/// A frame and the masks shown on it.
#[derive(Clone)]
pub struct Shot {
    /// The frame.
    pub captured: Arc<Captured>,
    /// Masks by object number.
    pub objects: BTreeMap<u8, ShotObject>,
    /// Build of the network that segmented it.
    pub build: Arc<BuildIdentity>,
}

/// An object on a frame.
#[derive(Clone)]
pub struct ShotObject {
    /// Number of the frame that the mask was made for.
    pub frame_id: u64,
    /// True if the network segmented that frame; false for an earlier mask that was followed to it.
    pub segmented: bool,
    /// Prompt, in pixels of the frame of the mask.
    pub prompt: Prompt,
    /// Mask, as published.
    pub shown: Shown,
}

/// Reason why there is no such shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoShot {
    /// Nothing was segmented yet.
    #[error("no frame has been segmented yet")]
    NothingYet,
    /// The frame was replaced too long ago, or never existed.
    #[error("frame {0} is no longer kept; capture within {limit_s} s", limit_s = KEPT.as_secs())]
    FrameGone(u64),
    /// The mask was replaced too long ago, or never existed.
    #[error("mask {0} is no longer kept; capture within {limit_s} s", limit_s = KEPT.as_secs())]
    MaskGone(u64),
    /// The source delivers no frames, so the newest one is not what it shows now.
    #[error("the newest frame is {:.1} s old: the source delivers none", .0.as_secs_f32())]
    Old(Duration),
}

/// Frames and masks of the last seconds.
#[derive(Clone)]
pub struct Recent(Arc<Inner>);

struct Inner {
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Kept<KeptFrame>>,
    masks: VecDeque<Kept<KeptMask>>,
    /// Revision of the newest mask.
    revision: u64,
    /// Build of the network that segmented last.
    build: Option<Arc<BuildIdentity>>,
}

struct Kept<T> {
    item: T,
    /// Time when a newer one replaced it.
    replaced: Option<Instant>,
}

struct KeptFrame {
    captured: Arc<Captured>,
    /// True if a page was sent it.
    sent: bool,
}

struct KeptMask {
    revision: u64,
    object: u8,
    captured: Stamp,
    /// `None` for a lost object.
    found: Option<(ShotObject, Arc<BuildIdentity>)>,
}

/// Frame of a mask.
struct Stamp {
    frame_id: u64,
    captured_us: u64,
    size: (u32, u32),
}

impl Recent {
    /// Starts empty. With [`Pace::EveryFrame`], frames wait for the network and never count as old.
    pub fn new(pace: Pace) -> Self {
        Self(Arc::new(Inner { pace, state: Mutex::default() }))
    }

    /// Adds the newest frame.
    pub(super) fn frame(&self, captured: Arc<Captured>) {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(before) = state.frames.back_mut() {
            before.replaced = Some(now);
        }
        state.frames.push_back(Kept { item: KeptFrame { captured, sent: false }, replaced: None });
        state.forget(now);
    }

    /// Adds the newest mask of an object, or that it is lost, and returns its revision. `build`
    /// made it; `None` for the build that segmented last.
    pub(super) fn mask(
        &self,
        captured: &Captured,
        object: u8,
        found: Option<ShotObject>,
        build: Option<&Arc<BuildIdentity>>,
    ) -> u64 {
        let mut state = self.lock();
        let now = Instant::now();
        state.revision += 1;
        let revision = state.revision;
        if let Some(build) = build {
            state.build = Some(build.clone());
        }
        for mask in state.masks.iter_mut().filter(|mask| mask.item.object == object) {
            mask.replaced.get_or_insert(now);
        }
        let found = found.zip(state.build.clone());
        let captured = Stamp::of(captured);
        let item = KeptMask { revision, object, captured, found };
        state.masks.push_back(Kept { item, replaced: None });
        state.forget(now);
        revision
    }

    /// Notes which build segmented last.
    pub(super) fn segmented(&self, build: &Arc<BuildIdentity>) {
        self.lock().build = Some(build.clone());
    }

    /// Notes that a page is sent a frame, so that it is kept in preference to others.
    pub fn sent(&self, frame_id: u64) {
        let mut state = self.lock();
        if let Some(frame) = state.frames.iter_mut().rev().find(|frame| frame.is(frame_id)) {
            frame.item.sent = true;
        }
    }

    /// The frame `frame_id` with the masks of these revisions. Until `held`, the newest frame stayed
    /// on purpose.
    ///
    /// # Errors
    /// [`NoShot`].
    pub fn shot(
        &self,
        frame_id: u64,
        revisions: &[u64],
        held: Option<Instant>,
    ) -> Result<Shot, NoShot> {
        let state = self.lock();
        let build = state.build.clone().ok_or(NoShot::NothingYet)?;
        let frame = state.frames.iter().find(|frame| frame.is(frame_id));
        let frame = frame.ok_or(NoShot::FrameGone(frame_id))?;
        self.check_age(frame, held)?;
        let captured = frame.item.captured.clone();
        let mut shot = Shot { captured, objects: BTreeMap::new(), build };
        for &revision in revisions {
            let mask = state.masks.iter().find(|mask| mask.item.revision == revision);
            let fits = |mask: &&Kept<KeptMask>| mask.item.captured.size == size(&shot.captured);
            let mask = mask.filter(fits).ok_or(NoShot::MaskGone(revision))?;
            shot.add(&mask.item);
        }
        Ok(shot)
    }

    /// The newest frame on which all of the objects `present` that have masks have one, with these
    /// masks; the newest frame if they have none. `held` as in [`Recent::shot`].
    ///
    /// # Errors
    /// [`NoShot`].
    pub fn newest(&self, present: &[u8], held: Option<Instant>) -> Result<Shot, NoShot> {
        let state = self.lock();
        let build = state.build.clone().ok_or(NoShot::NothingYet)?;
        let newest = state.frames.back().ok_or(NoShot::NothingYet)?;
        self.check_age(newest, held)?;
        let masks: Vec<_> = present
            .iter()
            .filter_map(|&object| state.newest_mask(object))
            .filter(|mask| mask.goes_with(&newest.item.captured))
            .collect();
        // Masks of a frame are added one after the other.
        let complete = masks.iter().map(|mask| mask.captured.frame_id).min();
        let complete = complete.and_then(|id| state.frames.iter().rev().find(|frame| frame.is(id)));
        let captured = complete.unwrap_or(newest).item.captured.clone();
        let frame_id = captured.frame_id;
        let mut shot = Shot { captured, objects: BTreeMap::new(), build };
        for mask in masks {
            shot.add(state.mask_on(frame_id, mask.object).unwrap_or(mask));
        }
        Ok(shot)
    }

    fn check_age(&self, frame: &Kept<KeptFrame>, held: Option<Instant>) -> Result<(), NoShot> {
        let captured = frame.item.captured.captured;
        let age = held.map_or(captured, |held| held.max(captured)).elapsed();
        if self.0.pace == Pace::Live && frame.replaced.is_none() && age > OLD {
            return Err(NoShot::Old(captured.elapsed()));
        }
        Ok(())
    }

    /// A panic elsewhere cannot leave it inconsistent: items are whole before they are added.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shot {
    fn add(&mut self, mask: &KeptMask) {
        if let Some((object, build)) = &mask.found {
            self.objects.insert(mask.object, object.clone());
            self.build = build.clone();
        }
    }
}

impl State {
    /// The newest mask of an object; `None` if it is lost or has none.
    fn newest_mask(&self, object: u8) -> Option<&KeptMask> {
        let masks = self.masks.iter().map(|mask| &mask.item).filter(|mask| mask.object == object);
        // The last one of several on the same frame.
        masks.max_by_key(|mask| mask.captured.frame_id).filter(|mask| mask.found.is_some())
    }

    /// The last mask of an object on a frame, if it is kept.
    fn mask_on(&self, frame_id: u64, object: u8) -> Option<&KeptMask> {
        let mut masks = self.masks.iter().rev().map(|mask| &mask.item);
        let on_frame = |mask: &&KeptMask| {
            mask.object == object && mask.captured.frame_id == frame_id && mask.found.is_some()
        };
        masks.find(on_frame)
    }

    /// Forgets what was replaced too long ago, or takes too much memory.
    fn forget(&mut self, now: Instant) {
        let outdated = |replaced: Option<Instant>| {
            replaced.is_some_and(|replaced| now.duration_since(replaced) > KEPT)
        };
        self.frames.retain(|frame| !outdated(frame.replaced));
        self.masks.retain(|mask| !outdated(mask.replaced));
        let bytes = |frame: &Kept<KeptFrame>| frame.item.captured.frame.rgb.len();
        limit(&mut self.frames, FRAME_BYTES, bytes, |frame| !frame.item.sent);
        limit(&mut self.masks, MASK_BYTES, |mask| mask.item.bytes(), |_| true);
    }
}

/// Removes the oldest replaced items until the rest fits into `most` bytes, those that are `spare`
/// first.
fn limit<T>(
    items: &mut VecDeque<Kept<T>>,
    most: usize,
    bytes: impl Fn(&Kept<T>) -> usize,
    spare: impl Fn(&Kept<T>) -> bool,
) {
    let mut total: usize = items.iter().map(&bytes).sum();
    while total > most {
        let replaced = |item: &Kept<T>| item.replaced.is_some();
        let oldest = items.iter().position(|item| replaced(item) && spare(item));
        let Some(oldest) = oldest.or_else(|| items.iter().position(replaced)) else { return };
        if let Some(removed) = items.remove(oldest) {
            total -= bytes(&removed);
        }
    }
}

impl Kept<KeptFrame> {
    fn is(&self, frame_id: u64) -> bool {
        self.item.captured.frame_id == frame_id
    }
}

impl KeptMask {
    fn bytes(&self) -> usize {
        self.found.as_ref().map_or(0, |(object, _)| object.shown.logits.len() * size_of::<f32>())
    }

    /// True if the mask may be drawn on a frame.
    fn goes_with(&self, frame: &Captured) -> bool {
        let apart_us = self.captured.captured_us.abs_diff(frame.captured_us);
        apart_us < TOGETHER_US && self.captured.size == size(frame)
    }
}

impl Stamp {
    fn of(captured: &Captured) -> Self {
        let Captured { frame_id, captured_us, .. } = *captured;
        Self { frame_id, captured_us, size: size(captured) }
    }
}

fn size(captured: &Captured) -> (u32, u32) {
    (captured.frame.width, captured.frame.height)
}

#[cfg(test)]
mod tests;
