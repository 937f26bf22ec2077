//! A connection that comes back.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::LinkOptions;
use super::client::{self, Client, Event, LostCause, Message};

/// First wait after a connection is lost.
const MIN_BACK_OFF: Duration = Duration::from_millis(250);

/// A connection that lasted as long was a good one: what ends it is new, and the first attempt
/// comes soon. Otherwise a message that the broker keeps and that costs the connection each time
/// would have the device come and go several times a second.
const STABLE: Duration = Duration::from_secs(10);

/// Events that wait for the service at most; the connection is not read while it is full.
const EVENTS: usize = 64;

/// What a service has to know of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Connected, for the first time or again: subscriptions have to be made anew.
    Up,
    /// The connection was lost or could not be made.
    Down {
        /// What the network or the broker said.
        reason: String,
        /// Time to the next attempt.
        retry_in: Duration,
        /// Whether a packet was too large to be taken off the wire.
        oversized: bool,
    },
    /// The broker confirmed a subscription.
    Subscribed,
    /// The broker confirmed a message of [`super::Delivery::AtLeastOnce`].
    Confirmed,
    /// A message came in.
    Message(Message),
}

/// A connection that comes back until the client disconnects it.
pub struct Link {
    /// Sends requests; those that wait when the connection is lost are lost with it.
    pub client: Client,
    events: mpsc::Receiver<LinkEvent>,
    task: JoinHandle<()>,
}

impl Link {
    /// Begins to connect.
    pub fn start(options: &LinkOptions) -> Self {
        let (client, event_loop) = client::connect(options);
        let (sender, events) = mpsc::channel(EVENTS);
        let task = tokio::spawn(drive(event_loop, options.max_back_off, sender));
        Self { client, events, task }
    }

    /// The next event; `None` after the client disconnected.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        self.events.recv().await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drive(
    mut event_loop: client::EventLoop,
    max_back_off: Duration,
    events: mpsc::Sender<LinkEvent>,
) {
    let mut back_off = MIN_BACK_OFF;
    let mut connected: Option<Instant> = None;
    loop {
        let event = match event_loop.next().await {
            Ok(Event::Connected) => {
                connected = Some(Instant::now());
                LinkEvent::Up
            }
            Ok(Event::Subscribed) => LinkEvent::Subscribed,
            Ok(Event::Confirmed) => LinkEvent::Confirmed,
            Ok(Event::Message(message)) => LinkEvent::Message(message),
            Ok(Event::Disconnected) => return,
            Ok(Event::Other) => continue,
            Err(lost) => {
                if connected.take().is_some_and(|since| since.elapsed() >= STABLE) {
                    back_off = MIN_BACK_OFF;
                }
                let oversized = lost.cause == LostCause::OversizedPacket;
                let down = LinkEvent::Down { reason: lost.reason, retry_in: back_off, oversized };
                if events.send(down).await.is_err() {
                    return;
                }
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(max_back_off);
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
