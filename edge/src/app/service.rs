//! The running service: its tasks, and their orderly shutdown.

use std::sync::Arc;
use std::time::Duration;

use medsa_hospital::Reports;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::tasks::{Event, Restarts, Tasks};
use crate::config::{AfterLast, Config};
use crate::degrade::Degrading;
use crate::error::Error;
use crate::http::{self, Controls};
use crate::meter::Meter;
use crate::mqtt::outbox::{Courier, Outbox};
use crate::mqtt::{Announcer, Embedded, Inbox, Link, LinkOptions, Messages, Publisher, Session};
use crate::pipeline::{NewestMasks, Objects, Pipeline, QueuedMask};
use crate::port::{Builds, Captures, Control, LinkState, Names, Observer, Studies, Worklist};
use crate::records::{OpenCaptures, Recorder};
use crate::systemd;
use crate::threads;
use crate::updates::{Reloader, UpdateSupervisor};
use crate::watchdog::Watch;

/// Longest wait for the broker at shutdown: for the outbox, and again for the confirmation that
/// the device is offline.
const BROKER_WAIT: Duration = Duration::from_secs(2);

/// Longest wait for the threads at shutdown. An encoder run cannot be interrupted; its mask could
/// no longer be published anyway.
const LAST_FRAME: Duration = Duration::from_secs(1);

/// Time for the embedded broker to pass on the last messages; it does not signal when it has.
const EMBEDDED_DRAIN: Duration = Duration::from_millis(300);

/// Name of the task that holds the connection to the broker.
const SESSION: &str = "session";

/// Name of the task that ends after the last mask.
const PUBLISHER: &str = "publisher";

/// A service that is ready to run.
pub struct Service {
    pub(super) config: Arc<Config>,
    pub(super) reloader: Reloader,
    pub(super) link: LinkOptions,
    pub(super) messages: Messages,
    pub(super) embedded: Option<Embedded>,
    pub(super) outbox: Option<Arc<Outbox>>,
    pub(super) pipeline: Pipeline,
    pub(super) masks: mpsc::Receiver<QueuedMask>,
    pub(super) objects: Arc<Objects>,
    pub(super) names: Names,
    pub(super) recorder: Option<Arc<Recorder>>,
    pub(super) worklist: Option<Arc<dyn Worklist>>,
    /// Receives reports of the archive while it exists.
    pub(super) reports: Option<Reports>,
    pub(super) http: Option<Arc<http::Server>>,
    pub(super) degrading: Option<Degrading>,
    pub(super) broker: watch::Sender<LinkState>,
    pub(super) observer: Observer,
}

impl Service {
    /// Counters and latencies; they outlive the service.
    pub fn meter(&self) -> Arc<Meter> {
        self.observer.meter.clone()
    }

    /// Access to the replacement of the build.
    pub fn builds(&self) -> Arc<dyn Builds> {
        Arc::new(self.reloader.clone())
    }

    /// Access to the state of the device.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Activity of the pipeline's stages, for the watchdog.
    pub fn watch(&self) -> Watch {
        self.pipeline.watch()
    }

    /// Captures that are not on the disk yet.
    pub fn open_captures(&self) -> OpenCaptures {
        self.recorder.as_ref().map(|recorder| recorder.open()).unwrap_or_default()
    }

    /// Publishes masks and applies prompts and commands until `stop` completes or the source ends;
    /// then shuts down.
    ///
    /// # Errors
    /// [`Error::Thread`] if a thread of the pipeline panicked, [`Error::Task`] if a task failed
    /// that cannot be restarted.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let mut running = self.start_tasks();
        let ended = running.until(stop).await;
        running.finish(ended).await
    }

    /// Starts every task that the configuration asks for.
    fn start_tasks(self) -> Running {
        let Self { config, reloader, link, messages, outbox, pipeline, recorder, observer, .. } =
            self;
        let (objects, meter, reports) = (self.objects, observer.meter.clone(), self.reports);
        let mut tasks = Tasks::new(observer.failures.clone(), Restarts::default());
        let captures = recorder.clone().map(|recorder| -> Arc<dyn Captures> { recorder });
        let control = Arc::new(Control {
            file: config.file.clone(),
            objects: objects.clone(),
            names: self.names,
            presets: config.presets.clone(),
            captures,
            studies: recorder.clone().map(|recorder| -> Arc<dyn Studies> { recorder }),
            worklist: self.worklist,
            builds: Arc::new(reloader.clone()),
            meter: meter.clone(),
        });
        let max_payload_bytes = config.broker.max_payload_bytes;
        let (viewers, masks_shown) = watch::channel(NewestMasks::default());
        if let Some(server) = self.http {
            let controls = Controls {
                control: control.clone(),
                max_body_bytes: max_payload_bytes,
                frames: pipeline.frames(),
                recent: pipeline.recent(),
                cine: pipeline.cine(),
                masks: masks_shown,
            };
            let observer = observer.clone();
            let serve = move || server.clone().run(observer.clone(), controls.clone());
            tasks.restartable("http", serve);
        }

        let link = Link::start(link);
        let client = link.client.clone();
        let announcer = Announcer {
            board: config.board.clone(),
            client: client.clone(),
            messages: messages.clone(),
            networks: observer.slot.changes(),
            observer: observer.clone(),
        };
        let publisher = Publisher {
            client: client.clone(),
            messages,
            masks: self.masks,
            viewers,
            pace: config.source.pace(),
            stats_interval: config.output.stats_interval,
            beat: pipeline.watch().beat("publishing"),
            observer: observer.clone(),
        };
        let session = Session {
            link,
            announcer: announcer.clone(),
            inbox: Inbox { device: config.device.clone(), max_payload_bytes, control },
            state: self.broker,
        };
        let leave = CancellationToken::new();
        tasks.once(SESSION, session.run(leave.clone()));
        tasks.once(PUBLISHER, publisher.run());
        tasks.restartable("announcer", move || announcer.clone().run());
        if let Some(outbox) = outbox.clone() {
            let courier = Courier { outbox, client };
            tasks.restartable("courier", move || courier.clone().run());
        }

        if let Some(degrading) = self.degrading {
            tasks.restartable("degrading", move || degrading.clone().run());
        }
        let slot = observer.slot.clone();
        let supervisor = UpdateSupervisor::new(&config, reloader, slot, meter, objects);
        if let Some(supervisor) = supervisor {
            tasks.restartable("updates", move || supervisor.clone().run());
        }
        let drain = self.embedded.as_ref().map_or(Duration::ZERO, |_| EMBEDDED_DRAIN);
        if let Some(embedded) = self.embedded {
            tasks.thread("broker", embedded.ended());
        }
        let after_last = config.source.after_last();
        Running {
            tasks,
            leave,
            after_last,
            pipeline,
            recorder,
            outbox,
            drain,
            observer,
            _reports: reports,
        }
    }
}

/// A service whose tasks run.
struct Running {
    tasks: Tasks,
    /// Makes the session announce that the device is offline, and end.
    leave: CancellationToken,
    after_last: AfterLast,
    pipeline: Pipeline,
    recorder: Option<Arc<Recorder>>,
    outbox: Option<Arc<Outbox>>,
    /// Time for an embedded broker to pass on the last messages.
    drain: Duration,
    observer: Observer,
    _reports: Option<Reports>,
}

impl Running {
    /// Waits until `stop` completes, the source ends, or a task fails that cannot be restarted.
    async fn until(&mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => {
                    tracing::info!("stopping on request");
                    return Ok(());
                }
                event = self.tasks.next() => match event {
                    Event::Failed(error) => return Err(error),
                    Event::Finished(PUBLISHER) => {
                        if self.after_last != AfterLast::Stay || self.pipeline.is_stopped() {
                            tracing::info!("the source has ended");
                            return Ok(());
                        }
                        tracing::info!("the source has ended; the service keeps running");
                    }
                    Event::Finished(name) => {
                        let reason = "ended early".to_owned();
                        return Err(Error::Task { name, reason });
                    }
                },
            }
        }
    }

    /// Shuts down in order: the pipeline, open captures, announcements, the session, all other
    /// tasks, and the threads.
    async fn finish(mut self, ended: Result<(), Error>) -> Result<(), Error> {
        systemd::stopping();
        self.pipeline.stop();
        // Stores all accepted captures, however long the disk takes.
        let recorder = self.recorder.take();
        let finish = move || recorder.iter().for_each(|recorder| recorder.finish());
        let _ = tokio::task::spawn_blocking(finish).await;
        if *self.observer.broker.borrow() == LinkState::Up && ended.is_ok() {
            if let Some(outbox) = &self.outbox {
                // Messages that are not sent now are sent after the next start.
                let _ = timeout(BROKER_WAIT, outbox.drained()).await;
            }
            self.leave.cancel();
            if timeout(BROKER_WAIT, session_end(&mut self.tasks)).await.is_err() {
                let limit_s = BROKER_WAIT.as_secs();
                tracing::warn!(
                    "the broker did not confirm within {limit_s} s that the device is offline"
                );
            }
        }
        self.tasks.abort().await;
        sleep(self.drain).await;
        join(self.pipeline).await.and(ended)
    }
}

/// Waits for the end of the session.
async fn session_end(tasks: &mut Tasks) {
    while !matches!(tasks.next().await, Event::Finished(SESSION) | Event::Failed(_)) {}
}

/// Waits for the threads, at most [`LAST_FRAME`].
async fn join(pipeline: Pipeline) -> Result<(), Error> {
    let (sender, joined) = oneshot::channel();
    // Not on a thread of the runtime, which would delay the end of the process.
    threads::spawn("join", move || {
        // The receiver is gone if it took too long.
        let _ = sender.send(pipeline.join());
    })?;
    match timeout(LAST_FRAME, joined).await {
        Ok(Ok(result)) => Ok(result?),
        // Unreachable: the sender sends before it is dropped.
        Ok(Err(_)) => Ok(()),
        Err(_) => {
            tracing::info!("a frame is still being segmented; its mask is dropped");
            Ok(())
        }
    }
}
