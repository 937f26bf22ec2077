//! The outgoing half: masks and statistics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use medsa_wire::topic::{Channel, DeviceId, ObjectId};
use medsa_wire::{MaskState, Stage, WireError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::config::Pace;
use crate::mqtt::{Client, Delivery, Message, Retention};
use crate::pipeline::{Counter, Meter, Ready};

/// Whether masks can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    Up,
    Down,
}

/// Publishes what the inference thread makes.
pub(super) struct Publisher {
    pub client: Client,
    pub out: Outbound,
    pub masks: mpsc::Receiver<Ready>,
    pub link: watch::Receiver<LinkState>,
    pub pace: Pace,
    pub stats_interval: Duration,
    pub meter: Arc<Meter>,
}

impl Publisher {
    /// Ends after the last mask, with the last statistics.
    pub(super) async fn run(mut self) {
        let mut ticks = interval_at(Instant::now() + self.stats_interval, self.stats_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ready = self.masks.recv() => match ready {
                    Some(ready) => self.publish_mask(ready).await,
                    None => break,
                },
                _ = ticks.tick() => self.publish_stats().await,
            }
        }
        self.publish_stats().await;
    }

    async fn publish_mask(&mut self, Ready { captured, mut message }: Ready) {
        if !self.may_publish().await {
            self.meter.count(Counter::PublishDropped);
            return;
        }
        let age = captured.elapsed();
        message.age_us = u32::try_from(age.as_micros()).unwrap_or(u32::MAX);
        let encoded =
            ObjectId::new(message.object).map_err(|error| error.to_string()).and_then(|object| {
                self.out.passing(Channel::Mask(object), &*message).map_err(|e| e.to_string())
            });
        let sent = match encoded {
            Ok(encoded) => self.client.publish(encoded).await.is_ok(),
            Err(error) => {
                tracing::warn!("mask of frame {} not published: {error}", message.frame_id);
                false
            }
        };
        if sent {
            self.meter.count(Counter::MasksPublished);
            if message.state == MaskState::Segmented {
                self.meter.record(Stage::Total, captured.elapsed());
            }
        } else {
            self.meter.count(Counter::PublishDropped);
        }
    }

    async fn publish_stats(&mut self) {
        let stats = self.meter.report();
        if *self.link.borrow() == LinkState::Down {
            return;
        }
        if let Ok(message) = self.out.passing(Channel::Stats, &stats) {
            // The link ends with the service only.
            let _ = self.client.publish(message).await;
        }
    }

    /// Live masks do not wait for a connection: by then they would be old. Those of a recording
    /// do.
    async fn may_publish(&mut self) -> bool {
        match self.pace {
            Pace::Live => *self.link.borrow() == LinkState::Up,
            Pace::EveryFrame => self.link.wait_for(|state| *state == LinkState::Up).await.is_ok(),
        }
    }
}

/// Makes messages of a device.
#[derive(Clone)]
pub(super) struct Outbound {
    pub device: DeviceId,
}

impl Outbound {
    /// A message for who is there, sent once.
    pub(super) fn passing(
        &self,
        channel: Channel,
        message: &impl medsa_wire::Message,
    ) -> Result<Message, WireError> {
        self.message(channel, message, Retention::Passing, Delivery::AtMostOnce)
    }

    /// A message for who comes later too, sent until confirmed.
    pub(super) fn retained(
        &self,
        channel: Channel,
        message: &impl medsa_wire::Message,
    ) -> Result<Message, WireError> {
        self.message(channel, message, Retention::Retained, Delivery::AtLeastOnce)
    }

    /// The topic of a channel.
    pub(super) fn topic(&self, channel: Channel) -> String {
        self.device.topic(channel).to_string()
    }

    fn message<M: medsa_wire::Message>(
        &self,
        channel: Channel,
        message: &M,
        retention: Retention,
        delivery: Delivery,
    ) -> Result<Message, WireError> {
        let mut buffer = vec![0; M::MAX_ENCODED_LEN];
        let length = message.encode(&mut buffer)?.len();
        buffer.truncate(length);
        let payload = Bytes::from(buffer);
        Ok(Message { topic: self.topic(channel), payload, retention, delivery })
    }
}
