//! Sources that come and go: connected, watched, and connected again.

use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::event::{Event, Loss, Received, Source};
use crate::back_off::BackOff;
use crate::config::Patience;

/// What can be connected, again and again.
pub(super) trait Dial: Send + 'static {
    /// What it is then.
    type Connection: Connection;

    /// For messages.
    fn name(&self) -> String;

    /// Connects.
    ///
    /// # Errors
    /// Why it is not possible now.
    fn connect(&self) -> Result<Self::Connection, String>;
}

/// A connected source. Dropping it ends the connection, and what belongs to it.
pub(super) trait Connection: Send + 'static {
    /// The next frame; `None` when none comes within `wait`.
    fn receive(&mut self, wait: Duration) -> Result<Option<Received>, Fault>;
}

/// What went wrong with a connection, in words.
#[derive(Debug)]
pub(super) enum Fault {
    /// One frame is damaged; the next can be received.
    Damaged(String),
    /// Nothing can be received any more.
    Lost(String),
}

/// A source that is connected again whenever it is lost.
pub(super) struct Live<D: Dial> {
    dial: D,
    patience: Patience,
    link: Link<D::Connection>,
    /// Reset when a frame has come.
    back_off: BackOff,
}

enum Link<C> {
    Down {
        /// When the next attempt is due.
        until: Instant,
        /// Closed only after the loss was announced: that may take its time.
        closing: Option<C>,
    },
    Dialing,
    Up(Watched<C>),
}

/// A connection, and how long it has been quiet.
struct Watched<C> {
    connection: C,
    /// When the last good frame came, or the connection.
    quiet_since: Instant,
    /// Longest time without a good frame.
    limit: Duration,
    /// What was wrong with the frame before, if anything was.
    damage: Option<String>,
}

impl<D: Dial> Live<D> {
    pub(super) fn new(dial: D, patience: Patience) -> Self {
        let link = Link::Down { until: Instant::now(), closing: None };
        Self { dial, patience, link, back_off: BackOff::new(patience.max_back_off) }
    }

    fn connect(&mut self) -> Event {
        match self.dial.connect() {
            Ok(connection) => {
                let (quiet_since, limit) = (Instant::now(), self.patience.start);
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
            Link::Up(watched) => match watched.receive(wait, self.patience.stall) {
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
    /// What happens within `wait`, or why the connection is lost; `stall` is the limit from the
    /// first frame on.
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
        // Damaged frames are no sign of life: nobody can see them.
        if self.quiet_since.elapsed() < self.limit {
            return Ok(event);
        }
        let seconds = self.limit.as_secs_f32();
        let damage = self.damage.take().map(|why| format!("; the last was damaged: {why}"));
        let reason = format!("no frame for {seconds:.2} s{}", damage.unwrap_or_default());
        Err((Loss::Stalled, reason))
    }
}
