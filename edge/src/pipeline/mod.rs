//! The segmentation pipeline: threads connected by slots that hold the newest item only:
//!
//! source -> following -> encoding -> decoding -> queue of masks
//!
//! The following thread runs at the rate of the source, the encoder as fast as it can. The decoder
//! also runs when a prompt changes, so a new mask takes one run of the decoder, even while the
//! encoder is busy.
//!
//! **Architecture invariant:** encoding and decoding do no I/O. Their masks wait in a bounded
//! queue; if the broker is slow or unreachable, masks are dropped and counted, and no thread waits.

mod bell;
mod cine;
mod decoding;
mod describe;
mod encoding;
mod error;
mod following;
mod object;
mod objects;
mod output;
mod recent;
mod rehearsal;
mod segmenter;
mod slot;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::config::CineConfig;
use crate::mailbox::Mailbox;
use crate::meter::Meter;
use crate::source::{Captured, Player};
use crate::watchdog::Watch;
use crate::{fault, threads};
use cine::Buffer;
use encoding::Encoded;
use following::Follower;
use output::{Closed, Output};

pub use bell::Bell;
pub use cine::{CineExtent, CineFrame};
pub use error::Error;
pub use following::{Cine, FollowedFrame, NotShown};
pub use object::Shown;
pub use objects::{Activity, Change, Objects};
pub use output::{NewestMasks, QueuedMask};
pub use recent::{NoShot, Recent, Shot, ShotObject};
pub use rehearsal::Rehearsal;
pub use segmenter::Segmenter;
pub use slot::{BuildIdentity, Network, Role, Slot};

/// The running threads. They end with the source, when the receiver of masks is dropped, or by
/// [`Pipeline::stop`].
pub struct Pipeline {
    stages: Arc<dyn Stop>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
    recent: Recent,
    frames: watch::Receiver<Option<Arc<FollowedFrame>>>,
    cine: Cine,
    watch: Watch,
}

/// Memory of a pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Largest number of masks that wait in the receiver.
    pub masks: usize,
    /// The cine buffer.
    pub cine: CineConfig,
}

impl Pipeline {
    /// Starts all threads. `bell` must be the one that `objects` rings; `slot` holds the network.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start<S: Segmenter>(
        player: Player,
        slot: Slot<S>,
        objects: Arc<Objects>,
        bell: Arc<Bell>,
        meter: Arc<Meter>,
        capacity: Capacity,
    ) -> Result<(Self, mpsc::Receiver<QueuedMask>), Error> {
        let pace = player.pace();
        let (queue, masks) = mpsc::channel(capacity.masks);
        let watch = Watch::new();
        let recent = Recent::new(pace);
        let output = |stage| Output {
            queue: queue.clone(),
            recent: recent.clone(),
            pace,
            beat: watch.beat(stage),
        };
        let stages = Arc::new(Stages {
            frames: Mailbox::new(),
            seen: Arc::new(Mailbox::new()),
            encoded: Mailbox::<Encoded<S>>::new(),
            bell,
        });
        let (viewers, frames) = watch::channel(None);
        let (extent, extents) = watch::channel(CineExtent::default());
        let follower = Arc::new(Mutex::new(Follower {
            before: None,
            buffer: Buffer::new(capacity.cine),
            extent,
            numbers: player.numbers(),
            seen: stages.seen.clone(),
            viewers,
            objects: objects.clone(),
            output: output("following"),
            meter: meter.clone(),
        }));
        let mut pipeline = Self {
            stages: stages.clone(),
            threads: Vec::new(),
            recent: recent.clone(),
            frames,
            cine: Cine {
                follower: Arc::downgrade(&follower),
                objects: objects.clone(),
                extent: extents,
            },
            watch: watch.clone(),
        };
        pipeline.spawn("decoding", {
            let (stages, objects) = (stages.clone(), objects.clone());
            let (output, meter) = (output("decoding"), meter.clone());
            move || {
                let Stages { encoded, bell, .. } = &*stages;
                let run = decoding::run(encoded, &objects, bell, &output, &meter);
                run.unwrap_or_else(|Closed| stages.stop());
            }
        })?;
        pipeline.spawn("encoding", {
            let (stages, meter) = (stages.clone(), meter.clone());
            let beat = watch.beat("encoding");
            move || {
                let Stages { seen, encoded, bell, .. } = &*stages;
                encoding::run(&slot, pace, seen, encoded, bell, &beat, &meter);
            }
        })?;
        pipeline.spawn("following", {
            let (stages, meter) = (stages.clone(), meter.clone());
            move || {
                let run = following::run(&stages.frames, &follower, &objects, &meter);
                run.unwrap_or_else(|Closed| stages.stop());
            }
        })?;
        let beat = watch.beat("source");
        pipeline.spawn("source", move || player.run(&stages.frames, &beat, &meter))?;
        Ok((pipeline, masks))
    }

    /// Frames and masks of the last seconds, for captures.
    pub fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// The newest followed frame, for viewers; they may miss frames. `None` before the first.
    pub fn frames(&self) -> watch::Receiver<Option<Arc<FollowedFrame>>> {
        self.frames.clone()
    }

    /// Access to the cine buffer.
    pub fn cine(&self) -> Cine {
        self.cine.clone()
    }

    /// Activity of the threads, for the watchdog.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Asks all threads to end. A frame that is being encoded is finished first, because the
    /// runtime cannot be interrupted.
    pub fn stop(&self) {
        self.stages.stop();
    }

    /// True after [`Pipeline::stop`] or after a thread panicked.
    pub fn is_stopped(&self) -> bool {
        self.stages.is_stopped()
    }

    /// Waits for all threads to end.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn join(mut self) -> Result<(), Error> {
        for (name, thread) in self.threads.drain(..) {
            let ended = thread.join().map_err(|thrown| threads::Panic::of(name, &*thrown));
            ended.map_err(threads::Error::from)?;
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let guard = StopOnPanic(self.stages.clone());
        let work = move || {
            let _guard = guard;
            fault::inject(name);
            work();
        };
        self.threads.push((name, threads::spawn(name, work)?));
        Ok(())
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Connections between the threads.
struct Stages<S: Segmenter> {
    frames: Mailbox<Captured>,
    seen: Arc<Mailbox<Arc<FollowedFrame>>>,
    encoded: Mailbox<Encoded<S>>,
    bell: Arc<Bell>,
}

/// All stages, independent of the type of the network.
trait Stop: Send + Sync {
    fn stop(&self);
    fn is_stopped(&self) -> bool;
}

impl<S: Segmenter> Stop for Stages<S> {
    fn stop(&self) {
        self.frames.stop();
        self.seen.stop();
        self.encoded.stop();
        self.bell.ring();
    }

    fn is_stopped(&self) -> bool {
        self.frames.is_stopped()
    }
}

/// Stops the other threads when one panics, so that none waits for it for ever.
struct StopOnPanic(Arc<dyn Stop>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
