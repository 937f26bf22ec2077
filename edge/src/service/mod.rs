//! The service: a pipeline, a connection, and what goes between them.

mod announcer;
mod caretaker;
mod check;
mod control;
mod degrading;
mod inbox;
mod installed;
pub(crate) mod json;
mod outbound;
mod publisher;
mod recorder;
mod reload;
mod setup;
mod status;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use medsa_wire::Availability;
use medsa_wire::topic::Channel;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::config::{AfterLast, Config};
use crate::error::Error;
use crate::http::{self, Controls, Observed};
use crate::mqtt::{
    Delivery, Embedded, Link, LinkEvent, LinkOptions, LinkState, LossCause, Message, NotQueued,
    Retention,
};
use crate::outbox::{Courier, Outbox};
use crate::pipeline::{Counter, Meter, NewestMasks, Objects, Pipeline, Ready, Slot};
use crate::systemd;
use crate::watchdog::Watch;
use announcer::Announcer;
use caretaker::Caretaker;
pub(crate) use control::Control;
use degrading::Degrading;
use inbox::Inbox;
pub(crate) use installed::{open as open_slots, state as slots_state};
use medsa_engine::Engine;
use outbound::Outbound;
use publisher::Publisher;
use recorder::Recorder;

pub use check::check;
pub use recorder::OpenCaptures;
pub use reload::{BuildState, Reloader};
pub use status::Statuses;
pub(crate) use status::cause_name;

/// Longest wait for the broker to confirm that the device left.
const GOODBYE: Duration = Duration::from_secs(2);

/// Longest wait for the threads: an encoder run cannot be interrupted, and the process does not
/// wait for a slow one. Nothing is lost with it, as its mask could not be published any more.
const LAST_FRAME: Duration = Duration::from_secs(1);

/// Time that an embedded broker gets to pass the last messages on: it does not tell when it has.
const EMBEDDED_DRAIN: Duration = Duration::from_millis(300);

/// A service that is ready to run.
pub struct Service {
    config: Arc<Config>,
    slot: Slot<Engine>,
    reloader: Arc<Reloader>,
    link: LinkOptions,
    embedded: Option<Embedded>,
    outbox: Option<Arc<Outbox>>,
    pipeline: Pipeline,
    masks: mpsc::Receiver<Ready>,
    objects: Arc<Objects>,
    recorder: Option<Recorder>,
    http: Option<http::Server>,
    meter: Arc<Meter>,
    degrading: Option<Degrading>,
    statuses: Statuses,
}

impl Service {
    /// Counters and latencies; they outlive the service.
    pub fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// What reads the build again.
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// How the service is.
    pub fn statuses(&self) -> Statuses {
        self.statuses.clone()
    }

    /// What the stages are doing.
    pub fn watch(&self) -> Watch {
        self.pipeline.watch()
    }

    /// Captures that are not on the disk yet.
    pub fn open_captures(&self) -> OpenCaptures {
        self.recorder.as_ref().map(Recorder::open).unwrap_or_default()
    }

    /// Where messages go that must not be lost, when one is configured.
    pub fn outbox(&self) -> Option<Arc<Outbox>> {
        self.outbox.clone()
    }

    /// Publishes masks and answers messages until `stop` completes or the source ends, then says
    /// goodbye.
    ///
    /// # Errors
    /// [`Error::Panicked`] when a thread of the pipeline did, and encoding errors of our own
    /// messages.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { config, slot, reloader, link, embedded, outbox, pipeline, masks, .. } = self;
        let (objects, recorder, http, meter) = (self.objects, self.recorder, self.http, self.meter);
        let out = Outbound { device: config.device.clone(), format: config.output.format };
        let (shared, counters) = (config.clone(), meter.clone());
        let control = Control { objects, recorder, reloader, config: shared, meter: counters };
        let control = Arc::new(control);
        let max_payload_bytes = config.broker.max_payload_bytes;
        let device = config.device.clone();
        let inbox = Inbox { device, max_payload_bytes, control: control.clone() };
        let mut link = Link::start(link);
        let (state, watched) = watch::channel(LinkState::Down);
        let observed = Observed {
            slot: slot.clone(),
            meter: meter.clone(),
            statuses: self.statuses.clone(),
            broker: watched.clone(),
            outbox: outbox.clone(),
        };
        let (onlookers, masks_shown) = watch::channel(NewestMasks::default());
        let controls = Controls {
            control: control.clone(),
            max_body_bytes: max_payload_bytes,
            frames: pipeline.frames(),
            masks: masks_shown,
        };
        let http = http.map(|server| tokio::spawn(server.run(observed, controls)));
        let mut retained = RetainedMessages::Welcome;
        let announcer = Announcer {
            config: config.clone(),
            client: link.client.clone(),
            out: out.clone(),
            link: watched.clone(),
            networks: slot.changes(),
            statuses: self.statuses,
        };
        let publisher = Publisher {
            client: link.client.clone(),
            out: out.clone(),
            masks,
            onlookers,
            link: watched,
            pace: config.source.pace(),
            stats_interval: config.output.stats_interval,
            meter: meter.clone(),
            beat: pipeline.watch().beat("publishing"),
            outbox: outbox.clone(),
        };
        let mut publisher = tokio::spawn(publisher.run());
        let announcing = tokio::spawn(announcer.clone().run());
        let degrading = self.degrading.map(|degrading| tokio::spawn(degrading.run()));
        let caretaker = {
            let (reloader, slot) = (control.reloader.clone(), slot.clone());
            Caretaker::new(&config, reloader, slot, meter.clone(), control.objects.clone())
        };
        let caretaker = caretaker.map(|caretaker| tokio::spawn(caretaker.run()));
        let courier = outbox.map(|outbox| Courier { outbox, client: link.client.clone() });
        let courier = courier.map(|courier| tokio::spawn(courier.run()));
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
                        let greeted = greet(&link, &out, announcer.all()?, retained)?;
                        state.send_replace(greeted);
                        retained = RetainedMessages::Welcome;
                    }
                    LinkEvent::Down { reason, cause, retry_in } => {
                        state.send_replace(LinkState::Down);
                        meter.count(Counter::LinkDown);
                        if cause == LossCause::OversizedPacket {
                            meter.count(Counter::MessagesRefused);
                            retained = RetainedMessages::TooLarge;
                        }
                        let retry_s = retry_in.as_secs_f32();
                        tracing::warn!("no broker: {reason}; next attempt in {retry_s:.2} s");
                    }
                    LinkEvent::Message(message) => inbox.handle(&message),
                    LinkEvent::SubscriptionRefused => tracing::error!(
                        "the broker does not let this device listen to its prompts or commands: \
                         see the broker's access rules"
                    ),
                    LinkEvent::Subscribed => {}
                },
            }
        }
        systemd::stopping();
        pipeline.stop();
        // Nothing that was captured is lost; the disk may take its time.
        let finish = move || control.recorder.iter().for_each(Recorder::finish);
        let _ = tokio::task::spawn_blocking(finish).await;
        for task in
            courier.into_iter().chain(http).chain(degrading).chain(caretaker).chain([announcing])
        {
            task.abort();
        }
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

/// What the broker may keep for the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetainedMessages {
    Welcome,
    /// Too large a packet has just ended the connection: if the broker keeps it, it would do so
    /// with each subscription.
    TooLarge,
}

/// Subscribes, then announces the device.
fn greet(
    link: &Link,
    out: &Outbound,
    mut announcement: Vec<Message>,
    retained: RetainedMessages,
) -> Result<LinkState, Error> {
    announcement.push(out.availability(Availability::Online)?);
    let greeting = || -> Result<(), NotQueued> {
        for topic in [Channel::Prompt, Channel::Command].into_iter().flat_map(|c| out.heard(c)) {
            if retained == RetainedMessages::TooLarge {
                tracing::warn!("what the broker keeps for {topic} is deleted");
                link.client.try_publish(deletion(&topic))?;
            }
            link.client.subscribe(&topic)?;
        }
        announcement.into_iter().try_for_each(|message| link.client.try_publish(message))
    };
    // A new connection has room for this; one that is lost again is told by the link.
    Ok(if greeting().is_ok() { LinkState::Up } else { LinkState::Down })
}

/// An empty message in place of the one that the broker keeps.
fn deletion(topic: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: Bytes::new(),
        retention: Retention::Retained,
        delivery: Delivery::AtLeastOnce,
    }
}

/// Says that the device is offline, waits until the broker knows, and disconnects.
async fn say_goodbye(link: &mut Link, out: &Outbound) {
    let Ok(offline) = out.availability(Availability::Offline) else { return };
    let Ok(receipt) = link.client.deliver(offline) else { return };
    let confirmed = receipt.confirmed();
    let mut confirmed = std::pin::pin!(confirmed);
    loop {
        tokio::select! {
            answer = &mut confirmed => match answer {
                Ok(()) => break,
                Err(_) => return,
            },
            // The connection is only read while its events are.
            event = link.next() => if event.is_none() { return },
        }
    }
    if link.client.disconnect().is_ok() {
        while link.next().await.is_some_and(|event| !matches!(event, LinkEvent::Down { .. })) {}
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
