//! A connection that reconnects by itself.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::client::Client;
use super::connection::{self, Event, EventLoop, Requests};
use super::lost::{LossCause, Lost};
use super::message::Message;
use super::options::LinkOptions;
use crate::back_off::BackOff;
use crate::fault;

/// Time after which a connection counts as stable and resets the wait. Otherwise a retained
/// message that breaks the connection each time would make the device reconnect several times a
/// second.
const STABLE: Duration = Duration::from_secs(10);

/// Largest number of events that wait for the service; the connection is not read while it is
/// full.
const EVENTS: usize = 64;

/// Event of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Connected or reconnected: subscriptions have to be renewed.
    Up,
    /// The connection was lost or could not be made.
    Down {
        /// Reason from the network or the broker.
        reason: String,
        /// Kind of cause.
        cause: LossCause,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// The broker granted a subscription.
    Subscribed,
    /// The broker did not grant a subscription.
    SubscriptionRefused,
    /// A message arrived.
    Message(Message),
}

/// A connection that reconnects until the client disconnects.
pub struct Link {
    /// Sends messages. Messages not sent when the connection is lost are lost with it.
    pub client: Client,
    events: mpsc::Receiver<LinkEvent>,
    /// The task that drives the connection; it ends when this is dropped.
    task: JoinSet<()>,
}

impl Link {
    /// Starts to connect.
    pub fn start(options: LinkOptions) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let (current, watched) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(drive(options, current, sender));
        Self { client: Client { current: watched }, events, task }
    }

    /// The next event; `None` after the client disconnected. Safe to drop and call again.
    ///
    /// # Panics
    /// If the task that drives the connection panicked, so that the caller's task fails with it.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        if let Some(event) = self.events.recv().await {
            return Some(event);
        }
        let ended = self.task.join_next().await?;
        if let Some(Ok(thrown)) = ended.err().map(JoinError::try_into_panic) {
            resume_unwind(thrown);
        }
        None
    }
}

async fn drive(
    options: LinkOptions,
    current: watch::Sender<Option<Requests>>,
    events: mpsc::Sender<LinkEvent>,
) {
    fault::inject("link");
    let mut back_off = BackOff::new(options.max_back_off);
    loop {
        let (requests, event_loop) = connection::connect(&options);
        let mut attempt = Attempt { event_loop, requests: Some(requests), connected: None };
        let ended = attempt.run(&current, &events).await;
        current.send_replace(None);
        let Some(Lost { reason, cause }) = ended else { return };
        let lasted = attempt.connected.map(|since| since.elapsed());
        let retry_in = wait_after(&mut back_off, cause, lasted.unwrap_or_default());
        // Closes the socket before the wait.
        drop(attempt);
        if events.send(LinkEvent::Down { reason, cause, retry_in }).await.is_err() {
            return;
        }
        tokio::time::sleep(retry_in).await;
    }
}

/// One connection from its first packet to its last.
struct Attempt {
    event_loop: EventLoop,
    /// Passed on once the broker has accepted the client.
    requests: Option<Requests>,
    connected: Option<Instant>,
}

impl Attempt {
    /// Runs until the connection is lost; `None` if the client disconnected or the link is gone.
    async fn run(
        &mut self,
        current: &watch::Sender<Option<Requests>>,
        events: &mpsc::Sender<LinkEvent>,
    ) -> Option<Lost> {
        loop {
            let event = match self.event_loop.next().await {
                Ok(Event::Connected) => {
                    self.connected = Some(Instant::now());
                    current.send_replace(self.requests.take());
                    LinkEvent::Up
                }
                Ok(Event::Subscribed) => LinkEvent::Subscribed,
                Ok(Event::SubscriptionRefused) => LinkEvent::SubscriptionRefused,
                Ok(Event::Message(message)) => LinkEvent::Message(message),
                Ok(Event::Disconnected) => return None,
                Err(lost) => return Some(lost),
            };
            events.send(event).await.ok()?;
        }
    }
}

/// Wait after a connection that lasted for `lasted`.
fn wait_after(back_off: &mut BackOff, cause: LossCause, lasted: Duration) -> Duration {
    // Two clients with one id disconnect each other once per wait, so the time a connection lasted
    // then says nothing about its quality.
    if lasted >= STABLE.max(back_off.upcoming() * 4) {
        back_off.reset();
    }
    if cause == LossCause::TakenOver {
        back_off.lengthen();
    }
    back_off.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn stable_connection_resets_the_wait() {
        let mut back_off = BackOff::new(SECOND);
        let mut after = |lasted| wait_after(&mut back_off, LossCause::Other, lasted).as_millis();
        assert_eq!([SECOND; 4].map(&mut after), [250, 500, 1000, 1000]);
        assert_eq!(after(10 * SECOND), 250);
    }

    /// Otherwise two clients with one id would start over whenever their waits have grown.
    #[test]
    fn connection_that_lasted_one_wait_does_not_reset_it() {
        let mut back_off = BackOff::new(30 * SECOND);
        let mut after = |cause, lasted| wait_after(&mut back_off, cause, lasted);
        assert_eq!(after(LossCause::TakenOver, SECOND), 30 * SECOND);
        assert_eq!(after(LossCause::Other, 31 * SECOND), 30 * SECOND);
        assert_eq!(after(LossCause::Other, 120 * SECOND).as_millis(), 250);
        assert_eq!(after(LossCause::TakenOver, SECOND), 30 * SECOND);
    }
}
