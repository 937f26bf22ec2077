//! Keeps what people capture: on a thread of its own, as that waits for the disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use medsa_wire::topic::{Channel, ObjectId};

use super::outbound::Outbound;
use crate::error::Error;
use crate::measure::Measured;
use crate::outbox::Outbox;
use crate::pipeline::{Counter, Meter, Newest, Shot, ShotObject};
use crate::records::{Capture, CapturedObject, ObjectState, RecordId, Records, Trigger};

/// Captures that wait for the disk; one is a press of a button.
const WAITING: usize = 16;

/// Hands captures to the thread that keeps them.
pub(super) struct Recorder {
    newest: Newest,
    records: Arc<Records>,
    /// `None` once it is finished.
    keeping: Mutex<Option<Keeping>>,
    open: OpenCaptures,
}

struct Keeping {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

struct Order {
    shot: Arc<Shot>,
    trigger: Trigger,
}

/// Captures that were asked for and are not on the disk yet.
#[derive(Clone, Default)]
pub struct OpenCaptures(Arc<(Mutex<usize>, Condvar)>);

impl OpenCaptures {
    /// Waits until there is none, but not longer than `limit`; how many there still are.
    pub fn wait(&self, limit: Duration) -> usize {
        let (count, changed) = &*self.0;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(count, limit, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let (count, changed) = &*self.0;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = change(*count);
        changed.notify_all();
    }
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
        board: String,
        newest: Newest,
        meter: Arc<Meter>,
    ) -> Result<Self, Error> {
        let (orders, received) = sync_channel(WAITING);
        let records = Arc::new(records);
        let name = "records";
        let open = OpenCaptures::default();
        let keeper =
            Keeper { records: records.clone(), outbox, out, board, meter, open: open.clone() };
        let thread = std::thread::Builder::new().name(name.into());
        let thread = thread.spawn(move || keeper.run(&received));
        let thread = thread.map_err(|source| Error::Thread { name, source })?;
        let keeping = Mutex::new(Some(Keeping { orders, thread }));
        Ok(Self { newest, records, keeping, open })
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
        self.open.change(|count| count + 1);
        keeping.orders.try_send(Order { shot, trigger }).map_err(|error| {
            self.open.change(|count| count - 1);
            match error {
                TrySendError::Full(_) => format!("{WAITING} captures wait for the disk already"),
                TrySendError::Disconnected(_) => "records cannot be kept any more".into(),
            }
        })
    }

    /// What is kept.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Captures that are not on the disk yet.
    pub fn open(&self) -> OpenCaptures {
        self.open.clone()
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
    board: String,
    meter: Arc<Meter>,
    open: OpenCaptures,
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
            self.open.change(|count| count - 1);
        }
    }

    fn keep(&self, order: &Order) -> Result<RecordId, Error> {
        let kept = self.records.keep(&self.capture(order)?)?;
        if let Some(outbox) = &self.outbox {
            let messages = self.out.confirmed(Channel::Record, &kept.message)?;
            outbox.put_named(&kept.id.to_string(), &messages)?;
        }
        Ok(kept.id)
    }

    fn capture(&self, Order { shot, trigger }: &Order) -> Result<Capture, Error> {
        let captured = &shot.seen.captured;
        let build = &shot.build;
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
            board: self.board.clone(),
            edge_version: env!("CARGO_PKG_VERSION").into(),
            build: (**build).clone(),
            objects: shot.objects.iter().filter_map(object).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_captures_does_so_until_none_is_open_or_time_is_up() {
        let open = OpenCaptures::default();
        assert_eq!(open.wait(Duration::MAX), 0);
        open.change(|count| count + 2);
        assert_eq!(open.wait(Duration::ZERO), 2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| open.wait(Duration::from_secs(60)));
            open.change(|count| count - 2);
            assert_eq!(waiting.join().unwrap(), 0);
        });
    }
}
