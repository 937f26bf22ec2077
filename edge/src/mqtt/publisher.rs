//! The task that publishes masks and statistics.

use std::time::Duration;

use medsa_wire::Stage;
use medsa_wire::topic::{Channel, ObjectId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::client::Client;
use super::message::Message;
use super::messages::Messages;
use crate::config::Pace;
use crate::meter::Counter;
use crate::port::{LinkState, NewestMasks, Observer, QueuedMask};
use crate::watchdog::Beat;

/// Publishes the masks of the pipeline.
pub struct Publisher {
    /// Connection to the broker.
    pub client: Client,
    /// Formats of the messages.
    pub messages: Messages,
    /// Queue of masks.
    pub masks: mpsc::Receiver<QueuedMask>,
    /// Newest masks for the page, with or without a broker.
    pub viewers: watch::Sender<NewestMasks>,
    /// Decides whether masks wait for the connection.
    pub pace: Pace,
    /// Time between two `stats` messages.
    pub stats_interval: Duration,
    /// Sign of life for the watchdog.
    pub beat: Beat,
    /// State of the device, with the connection and the counters.
    pub observer: Observer,
}

impl Publisher {
    /// Publishes until the last mask, then the last statistics.
    pub async fn run(mut self) {
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

    async fn publish_mask(&mut self, ready: QueuedMask) {
        self.viewers.send_modify(|newest| newest.update(&ready));
        let QueuedMask { captured, mut message, .. } = ready;
        if !self.may_publish().await {
            self.observer.meter.count(Counter::MasksUnpublished);
            return;
        }
        let work = self.beat.work();
        let age = captured.elapsed();
        message.age_us = u32::try_from(age.as_micros()).unwrap_or(u32::MAX);
        let encoded =
            ObjectId::new(message.object).map_err(|error| error.to_string()).and_then(|object| {
                self.messages.passing(Channel::Mask(object), &*message).map_err(|e| e.to_string())
            });
        drop(work);
        let sent = match encoded {
            Ok(encoded) => self.send(encoded).await,
            Err(error) => {
                tracing::warn!("mask of frame {} not published: {error}", message.frame_id);
                false
            }
        };
        if sent {
            self.observer.meter.count(Counter::MasksPublished);
            if message.segmented {
                self.observer.meter.record(Stage::Total, captured.elapsed());
            }
        } else {
            self.observer.meter.count(Counter::MasksUnpublished);
        }
    }

    async fn publish_stats(&mut self) {
        let stats = self.observer.snapshot().stats(&self.observer.meter.take_recent());
        if *self.observer.broker.borrow() == LinkState::Down {
            return;
        }
        if let Ok(messages) = self.messages.passing(Channel::Stats, &stats) {
            // Lost statistics are covered by the next ones.
            let _ = messages.into_iter().try_for_each(|message| self.client.try_publish(message));
        }
    }

    /// Sends messages; returns true if all were taken. Live masks do not wait for a slow
    /// connection.
    async fn send(&self, messages: Vec<Message>) -> bool {
        match self.pace {
            Pace::Live => messages.into_iter().try_for_each(|m| self.client.try_publish(m)).is_ok(),
            Pace::EveryFrame => {
                for message in messages {
                    if self.client.publish(message).await.is_err() {
                        return false;
                    }
                }
                true
            }
        }
    }

    /// True if there is a connection. Live masks do not wait for one, because they would be
    /// outdated; masks of a recording with every-frame pace do.
    async fn may_publish(&mut self) -> bool {
        match self.pace {
            Pace::Live => *self.observer.broker.borrow() == LinkState::Up,
            Pace::EveryFrame => {
                self.observer.broker.wait_for(|state| *state == LinkState::Up).await.is_ok()
            }
        }
    }
}
