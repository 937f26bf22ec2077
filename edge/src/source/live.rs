//! Live sources: connecting, watching and reconnecting.

use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::event::{Event, Loss, Received, Source};
use crate::back_off::BackOff;
use crate::config::Timeouts;

/// A source that can be connected repeatedly.
pub(super) trait Dial: Send + 'static {
    /// Connection to the source.
    type Connection: Connection;

    /// Name of the source in messages.
    fn name(&self) -> String;

    /// Connects.
    ///
    /// # Errors
    /// The reason why it is not possible now.
    fn connect(&self) -> Result<Self::Connection, String>;
}

/// A connected source. Dropping it closes the connection and ends any child process.
pub(super) trait Connection: Send + 'static {
    /// The next frame; `None` if none arrives within `wait`.
    fn receive(&mut self, wait: Duration) -> Result<Option<Received>, Fault>;
}

/// Error of a connection, with its reason.
#[derive(Debug)]
pub(super) enum Fault {
    /// One frame is damaged; the next can still be received.
    Damaged(String),
    /// The connection is unusable.
    Lost(String),
}

/// A source that reconnects after every loss.
pub(super) struct Live<D: Dial> {
    dial: D,
    timeouts: Timeouts,
    link: Link<D::Connection>,
    /// Reset by every frame.
    back_off: BackOff,
}

enum Link<C> {
    Down {
        /// Time of the next attempt.
        until: Instant,
        /// The old connection. It is closed after the loss was reported, because closing may block.
        closing: Option<C>,
    },
    Dialing,
    Up(Watched<C>),
}

/// A connection and the time since its last good frame.
struct Watched<C> {
    connection: C,
    /// Time of the last good frame, or of connecting.
    quiet_since: Instant,
    /// Longest time without a good frame.
    limit: Duration,
    /// Reason why the previous frame was damaged, if it was.
    damage: Option<String>,
}

impl<D: Dial> Live<D> {
    pub(super) fn new(dial: D, timeouts: Timeouts) -> Self {
        let link = Link::Down { until: Instant::now(), closing: None };
        Self { dial, timeouts, link, back_off: BackOff::new(timeouts.max_back_off) }
    }

    fn connect(&mut self) -> Event {
        match self.dial.connect() {
            Ok(connection) => {
                let (quiet_since, limit) = (Instant::now(), self.timeouts.start);
                self.link = Link::Up(Watched { connection, quiet_since, limit, damage: None });
                Event::Nothing
            }
            Err(reason) => self.lose((Loss::Unreachable, reason)),
        }
    }

    fn lose(&mut self, (loss, reason): (Loss, String)) -> Event {
        let retry_in = self.back_off.wait();
        let closing = match std::mem::replace(&mut self.link, Link::Dialing) {
            Link::Up(watched) => Some(watched.connection),
            _ => None,
        };
        self.link = Link::Down { until: Instant::now() + retry_in, closing };
        let reason = Error::Lost { name: self.dial.name(), reason };
        Event::Lost { loss, reason, retry_in }
    }
}

impl<D: Dial> Source for Live<D> {
    fn next(&mut self, wait: Duration) -> Event {
        match &mut self.link {
            Link::Down { until, closing } => {
                drop(closing.take());
                let left = until.saturating_duration_since(Instant::now());
                thread::sleep(left.min(wait));
                if left > wait {
                    return Event::Nothing;
                }
                self.link = Link::Dialing;
                Event::Starting
            }
            Link::Dialing => self.connect(),
            Link::Up(watched) => match watched.receive(wait, self.timeouts.stall) {
                Ok(event) => {
                    if matches!(event, Event::Frame(_)) {
                        self.back_off.reset();
                    }
                    event
                }
                Err(lost) => self.lose(lost),
            },
        }
    }
}

impl<C: Connection> Watched<C> {
    /// The next event within `wait`, or the reason why the connection is lost. `stall` is the
    /// longest wait for every frame after the first.
    fn receive(&mut self, wait: Duration, stall: Duration) -> Result<Event, (Loss, String)> {
        let left = self.limit.saturating_sub(self.quiet_since.elapsed());
        let event = match self.connection.receive(wait.min(left)) {
            Ok(Some(received)) => {
                (self.quiet_since, self.limit, self.damage) = (Instant::now(), stall, None);
                return Ok(Event::Frame(received));
            }
            Ok(None) => Event::Nothing,
            Err(Fault::Lost(reason)) => return Err((Loss::Broken, reason)),
            Err(Fault::Damaged(reason)) => {
                self.damage = Some(reason.clone());
                Event::Damaged(Error::DamagedFrame { reason })
            }
        };
        // Damaged frames do not count as a sign of life: they cannot be shown.
        if self.quiet_since.elapsed() < self.limit {
            return Ok(event);
        }
        let seconds = self.limit.as_secs_f32();
        let damage = self.damage.take().map(|why| format!("; the last was damaged: {why}"));
        let reason = format!("no frame for {seconds:.2} s{}", damage.unwrap_or_default());
        Err((Loss::Stalled, reason))
    }
}
