//! The service: a pipeline, a connection, and what goes between them.

mod inbox;
mod publisher;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use medsa_wire::topic::Channel;
use medsa_wire::{Availability, Info};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::config::{AfterLast, Config};
use crate::error::Error;
use crate::mqtt::{Embedded, Link, LinkEvent, LinkOptions};
use crate::pipeline::{Counter, Meter, Objects, Pipeline, Ready};
use crate::source::SourceState;
use inbox::Inbox;
use publisher::{LinkState, Outbound, Publisher};

/// Longest wait for the broker to confirm that the device left.
const GOODBYE: Duration = Duration::from_secs(2);

/// Longest wait for the threads: an encoder run cannot be interrupted, and the process does not
/// wait for a slow one. Nothing is lost with it, as its mask could not be published any more.
const LAST_FRAME: Duration = Duration::from_secs(1);

/// Time that an embedded broker gets to pass the last messages on: it does not tell when it has.
const EMBEDDED_DRAIN: Duration = Duration::from_millis(300);

/// A service that is ready to run.
pub struct Service {
    config: Config,
    info: Info,
    link: LinkOptions,
    embedded: Option<Embedded>,
    pipeline: Pipeline,
    masks: mpsc::Receiver<Ready>,
    objects: Arc<Objects>,
    meter: Arc<Meter>,
    source_state: watch::Receiver<SourceState>,
}

impl Service {
    /// Counters and latencies; they outlive the service.
    pub fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// How the source is.
    pub fn source_state(&self) -> watch::Receiver<SourceState> {
        self.source_state.clone()
    }

    /// Publishes masks and answers messages until `stop` completes or the source ends, then says
    /// goodbye.
    ///
    /// # Errors
    /// [`Error::Panicked`] when a thread of the pipeline did, and encoding errors of our own
    /// messages.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { config, info, link, embedded, pipeline, masks, objects, meter, source_state: _ } =
            self;
        let out = Outbound { device: config.device.clone() };
        let inbox = Inbox {
            device: config.device.clone(),
            max_payload_bytes: config.broker.max_payload_bytes,
            objects,
            meter: meter.clone(),
        };
        let mut link = Link::start(&link);
        let (state, watched) = watch::channel(LinkState::Down);
        let publisher = Publisher {
            client: link.client.clone(),
            out: out.clone(),
            masks,
            link: watched,
            pace: config.source.pace(),
            stats_interval: config.output.stats_interval,
            meter: meter.clone(),
        };
        let mut publisher = tokio::spawn(publisher.run());
        let mut stop = std::pin::pin!(stop);
        let mut publishing = true;
        loop {
            tokio::select! {
                () = &mut stop => {
                    tracing::info!("told to stop");
                    publisher.abort();
                    break;
                }
                // Ends with the last mask of the last frame.
                _ = &mut publisher, if publishing => {
                    publishing = false;
                    if config.source.after_last() != AfterLast::Stay || pipeline.is_stopped() {
                        tracing::info!("the source has ended");
                        break;
                    }
                    tracing::info!("the source has ended; the service stays");
                }
                Some(event) = link.next() => match event {
                    LinkEvent::Up => {
                        tracing::info!("connected to the broker");
                        // Who sees the device online may prompt it: subscriptions come first.
                        let greeted = greet(&link, &out, &info).await?;
                        state.send_replace(greeted);
                    }
                    LinkEvent::Down { reason, retry_in, oversized } => {
                        state.send_replace(LinkState::Down);
                        meter.count(Counter::LinkDown);
                        if oversized {
                            meter.count(Counter::MessagesRefused);
                        }
                        let retry_s = retry_in.as_secs_f32();
                        tracing::warn!("no broker: {reason}; next attempt in {retry_s:.2} s");
                    }
                    LinkEvent::Message(message) => inbox.handle(&message),
                    LinkEvent::Subscribed | LinkEvent::Confirmed => {}
                },
            }
        }
        pipeline.stop();
        if *state.borrow() == LinkState::Up
            && timeout(GOODBYE, say_goodbye(&mut link, &out)).await.is_err()
        {
            tracing::warn!("the broker did not confirm the goodbye in {} s", GOODBYE.as_secs());
        }
        if embedded.is_some() {
            tokio::time::sleep(EMBEDDED_DRAIN).await;
        }
        join(pipeline).await
    }
}

/// Subscribes, then announces the device.
async fn greet(link: &Link, out: &Outbound, info: &Info) -> Result<LinkState, Error> {
    let availability = out.retained(Channel::Availability, &Availability::Online)?;
    let info = out.retained(Channel::Info, info)?;
    let greeting = async {
        for channel in [Channel::Prompt, Channel::Command] {
            link.client.subscribe(&out.topic(channel)).await?;
        }
        link.client.publish(info).await?;
        link.client.publish(availability).await
    };
    // The link only ends when we end it.
    Ok(if greeting.await.is_ok() { LinkState::Up } else { LinkState::Down })
}

/// Says that the device is offline, waits until the broker knows, and disconnects.
async fn say_goodbye(link: &mut Link, out: &Outbound) {
    let Ok(offline) = out.retained(Channel::Availability, &Availability::Offline) else { return };
    if link.client.publish(offline).await.is_err() {
        return;
    }
    while let Some(event) = link.next().await {
        match event {
            LinkEvent::Confirmed => break,
            LinkEvent::Down { .. } => return,
            _ => {}
        }
    }
    if link.client.disconnect().await.is_ok() {
        while link.next().await.is_some() {}
    }
}

/// Waits for the threads, but not for a slow one.
async fn join(pipeline: Pipeline) -> Result<(), Error> {
    let (sender, joined) = oneshot::channel();
    // Not one of the runtime's threads: those hold up the end of the process.
    let join = move || {
        // Nobody listens any more when it took too long.
        let _ = sender.send(pipeline.join());
    };
    let name = "join";
    let thread = std::thread::Builder::new().name(name.into()).spawn(join);
    thread.map_err(|source| Error::Thread { name, source })?;
    match timeout(LAST_FRAME, joined).await {
        Ok(Ok(result)) => result,
        // The sender is not dropped before it has sent.
        Ok(Err(_)) => Ok(()),
        Err(_) => {
            tracing::info!("a frame is still being segmented; its mask is given up");
            Ok(())
        }
    }
}
