//! From frames to masks: a thread that plays the source (see [`crate::source`]), a slot in which
//! the newest frame wins, and a thread that segments.
//!
//! **Architecture invariant:** the inference thread does no I/O. What it has made waits in a
//! bounded queue; a broker that is slow or gone costs masks, which are counted, and never time.

mod histogram;
mod inference;
mod mailbox;
mod meter;
mod prompts;

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::source::{Captured, Player};

pub use crate::source::frame_view;
pub use inference::{Ready, Segmenter};
pub(crate) use mailbox::{Mailbox, Wake};
pub use meter::{Counter, Meter};
pub use prompts::{Activity, Prompts};

/// The running threads; they end when the source does, when the receiver of masks is gone, or by
/// [`Pipeline::stop`].
pub struct Pipeline {
    mailbox: Arc<Mailbox<Captured>>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl Pipeline {
    /// Starts both threads; at most `queue` masks wait in the receiver.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start(
        player: Player,
        segmenter: impl Segmenter,
        prompts: Arc<Prompts>,
        meter: Arc<Meter>,
        queue: usize,
    ) -> Result<(Self, mpsc::Receiver<Ready>), Error> {
        let (output, masks) = mpsc::channel(queue);
        let mailbox = Arc::new(Mailbox::new());
        let mut pipeline = Self { mailbox: mailbox.clone(), threads: Vec::new() };
        let (slot, counts, pace) = (mailbox.clone(), meter.clone(), player.pace());
        pipeline.spawn("inference", move || {
            inference::run(segmenter, pace, &slot, &prompts, &counts, &output);
        })?;
        pipeline.spawn("source", move || player.run(&mailbox, &meter))?;
        Ok((pipeline, masks))
    }

    /// Asks both threads to end. A frame that is being segmented is finished first: the runtime
    /// cannot be interrupted.
    pub fn stop(&self) {
        self.mailbox.stop();
    }

    /// Whether it was stopped, by [`Pipeline::stop`] or because a thread panicked.
    pub fn is_stopped(&self) -> bool {
        self.mailbox.is_stopped()
    }

    /// Waits for both threads.
    ///
    /// # Errors
    /// [`Error::Panicked`].
    pub fn join(mut self) -> Result<(), Error> {
        for (name, thread) in self.threads.drain(..) {
            thread.join().map_err(|_| Error::Panicked { name })?;
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let guard = StopOnPanic(self.mailbox.clone());
        let work = move || {
            let _guard = guard;
            work();
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(work);
        self.threads.push((name, thread.map_err(|source| Error::Thread { name, source })?));
        Ok(())
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Stops the other thread when one panics, so that nobody waits for it for ever.
struct StopOnPanic(Arc<Mailbox<Captured>>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
