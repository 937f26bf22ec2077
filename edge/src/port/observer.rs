//! Access to the device's state.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;

use medsa_engine::Engine;
use medsa_wire::Degradation;
use tokio::sync::watch;

use super::announcements::Announcements;
use super::builds::{BuildState, OfferedBuild};
use super::failures::Failures;
use super::snapshot::{LinkState, Snapshot};
use crate::files::free_bytes;
use crate::meter::Meter;
use crate::pipeline::{Activity, Slot};
use crate::source::SourceState;

/// Takes snapshots of the device's state.
#[derive(Clone)]
pub struct Observer {
    /// Build in use.
    pub slot: Slot<Engine>,
    /// Counters and latencies.
    pub meter: Arc<Meter>,
    /// State of the source.
    pub source: watch::Receiver<SourceState>,
    /// Activity of the pipeline.
    pub activity: watch::Receiver<Activity>,
    /// Level of degradation.
    pub degradation: watch::Receiver<Option<Degradation>>,
    /// State of the replacement of the build.
    pub builds: watch::Receiver<BuildState>,
    /// Builds that can be chosen.
    pub offered: watch::Receiver<Vec<OfferedBuild>>,
    /// State of the connection to the broker.
    pub broker: watch::Receiver<LinkState>,
    /// Announcements that wait for the broker; `None` without an outbox.
    pub announcements: Option<Arc<dyn Announcements>>,
    /// Failures of tasks.
    pub failures: Failures,
    /// Folders of the records and of the outbox, by these names.
    pub disks: Arc<BTreeMap<&'static str, PathBuf>>,
}

impl Observer {
    /// Takes a snapshot of the present state.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            build: self.slot.current().build.clone(),
            uptime: self.meter.uptime(),
            source: self.source.borrow().clone(),
            activity: *self.activity.borrow(),
            degradation: *self.degradation.borrow(),
            builds: self.builds.borrow().clone(),
            offered: self.offered.borrow().clone(),
            broker: *self.broker.borrow(),
            outbox_messages: self.announcements.as_ref().and_then(|outbox| outbox.waiting()),
            counts: self.meter.counts(),
            failures: self.failures.all(),
        }
    }

    /// Free bytes on the disks of the records and of the outbox. A folder that is not there yet
    /// counts as its parent.
    pub fn free_bytes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.disks.iter().filter_map(|(&store, folder)| {
            let folder = folder.ancestors().find(|folder| folder.exists())?;
            Some((store, free_bytes(folder).ok()?))
        })
    }

    /// Waits until the content of the `status` message changes.
    pub async fn changed(&mut self) {
        let Self { source, activity, degradation, builds, .. } = self;
        tokio::select! {
            () = change(source) => {}
            () = change(activity) => {}
            () = change(degradation) => {}
            () = change(builds) => {}
        }
    }
}

/// Waits for a change; waits for ever if none can come, as after the end of the source.
pub(crate) async fn change<T>(of: &mut watch::Receiver<T>) {
    if of.changed().await.is_err() {
        pending::<()>().await;
    }
}
