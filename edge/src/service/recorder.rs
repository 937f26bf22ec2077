//! Keeps what people capture: on a thread of its own, as that waits for the disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use medsa_wire::topic::{Channel, ObjectId};

use super::outbound::Outbound;
use crate::error::Error;
use crate::measure::Measured;
use crate::outbox::Outbox;
use crate::pipeline::{Counter, Meter, Newest, Shot, ShotObject};
use crate::records::{
    BuildIdentity, Capture, CapturedObject, ObjectState, RecordId, Records, Trigger,
};

/// Captures that wait for the disk; one is a press of a button.
const WAITING: usize = 16;

/// What every record tells of the device.
pub(super) struct Identity {
    pub board: String,
    pub build: BuildIdentity,
}

/// Hands captures to the thread that keeps them.
pub(super) struct Recorder {
    newest: Newest,
    records: Arc<Records>,
    /// `None` once it is finished.
    keeping: Mutex<Option<Keeping>>,
}

struct Keeping {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

struct Order {
    shot: Arc<Shot>,
    trigger: Trigger,
}

impl Recorder {
    /// Starts the thread. Records are announced through `outbox`, where there is one.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start(
        records: Records,
        outbox: Option<Arc<Outbox>>,
        out: Outbound,
        identity: Identity,
        newest: Newest,
        meter: Arc<Meter>,
    ) -> Result<Self, Error> {
        let (orders, received) = sync_channel(WAITING);
        let records = Arc::new(records);
        let name = "records";
        let keeper = Keeper { records: records.clone(), outbox, out, identity, meter };
        let thread = std::thread::Builder::new().name(name.into());
        let thread = thread.spawn(move || keeper.run(&received));
        let thread = thread.map_err(|source| Error::Thread { name, source })?;
        let keeping = Mutex::new(Some(Keeping { orders, thread }));
        Ok(Self { newest, records, keeping })
    }

    /// Keeps the newest segmented frame, as soon as the disk has time; the log tells what became
    /// of it.
    ///
    /// # Errors
    /// When there is no frame yet, or too many captures wait.
    pub fn capture(&self, trigger: Trigger) -> Result<(), String> {
        let shot = self.newest.shot().ok_or("no frame was segmented yet")?;
        let keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let keeping = keeping.as_ref().ok_or("the service is about to end")?;
        keeping.orders.try_send(Order { shot, trigger }).map_err(|error| match error {
            TrySendError::Full(_) => format!("{WAITING} captures wait for the disk already"),
            TrySendError::Disconnected(_) => "records cannot be kept any more".into(),
        })
    }

    /// What is kept.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Waits until everything that was asked for is kept; from here on, captures are refused.
    pub fn finish(&self) {
        let keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Keeping { orders, thread }) = keeping else { return };
        drop(orders);
        // It has said what went wrong.
        let _ = thread.join();
    }
}

struct Keeper {
    records: Arc<Records>,
    outbox: Option<Arc<Outbox>>,
    out: Outbound,
    identity: Identity,
    meter: Arc<Meter>,
}

impl Keeper {
    fn run(&self, orders: &Receiver<Order>) {
        for order in orders {
            let frame_id = order.shot.seen.captured.frame_id;
            match self.keep(&order) {
                Ok(id) => {
                    self.meter.count(Counter::RecordsKept);
                    tracing::info!("frame {frame_id} kept as record {id}");
                }
                Err(error) => {
                    self.meter.count(Counter::RecordsRefused);
                    tracing::error!("frame {frame_id} NOT kept: {error}");
                }
            }
        }
    }

    fn keep(&self, order: &Order) -> Result<RecordId, Error> {
        let kept = self.records.keep(&self.capture(order)?)?;
        if let Some(outbox) = &self.outbox {
            outbox.put(&self.out.confirmed(Channel::Record, &kept.message)?)?;
        }
        Ok(kept.id)
    }

    fn capture(&self, Order { shot, trigger }: &Order) -> Result<Capture, Error> {
        let captured = &shot.seen.captured;
        let Identity { board, build } = &self.identity;
        let object = |(number, object): (&u8, &ShotObject)| {
            let shown = &object.shown;
            let logits = shown.geometry.logits_in_frame(shown.logits.view());
            Some(CapturedObject {
                object: ObjectId::new(*number).ok()?,
                // Builds of one class know what it is; others do not tell which it was.
                label: match &build.classes[..] {
                    [class] => class.clone(),
                    _ => format!("object {number}"),
                },
                measured: Measured::of(logits.view(), captured.frame.pixel_spacing_mm),
                mask: logits.mapv(|logit| logit > 0.0),
                prompt: object.prompt.clone(),
                score: shown.score,
                state: ObjectState::Segmented,
            })
        };
        Ok(Capture {
            frame: captured.frame.clone(),
            deidentification: captured.deidentification,
            captured_us: captured.captured_us,
            frame_id: captured.frame_id,
            trigger: *trigger,
            device: self.out.device.clone(),
            board: board.clone(),
            edge_version: env!("CARGO_PKG_VERSION").into(),
            build: build.clone(),
            objects: shot.objects.iter().filter_map(object).collect(),
        })
    }
}
