//! Metrics of the service in the text format of OpenMetrics, which Prometheus reads.

use std::fmt;
use std::path::Path;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::meter::{COUNTERS, DROPS, Described, Meter};
use crate::port::{BuildIdentity, LinkState, Observer, Snapshot, SourceState};
use crate::vitals::Vitals;

/// All metrics as text.
pub(super) fn text(observer: &Observer) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("medsa");
    registry.register_collector(Box::new(Scrape(observer.clone())));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

/// Collector of all metrics at one moment.
struct Scrape(Observer);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let snapshot = self.0.snapshot();
        counters(&mut encoder, &snapshot)?;
        stages(&mut encoder, &self.0.meter)?;
        build(&mut encoder, &snapshot.build)?;
        gauges(&mut encoder, &snapshot)
    }
}

/// Counters: those of the service, and families of failed tasks and dropped frames.
fn counters(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> Result<(), fmt::Error> {
    let counts = &snapshot.counts;
    for Described { counter, metric: name, help, .. } in COUNTERS {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&counts.get(counter), None)?;
    }
    let tasks = snapshot.failures.iter().map(|(task, failures)| (*task, failures.count));
    family(encoder, "task_failures", "Failures of tasks of the service", "task", tasks)?;
    let drops = DROPS.into_iter().map(|(counter, place)| (place, counts.get(counter)));
    let help = "Dropped frames, in the last two stages dropped masks";
    family(encoder, "dropped", help, "stage", drops)
}

/// Counters with a label each, which has the name `label`.
fn family(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    label: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in counts {
        let label = [(label, value)];
        let mut metric = family.encode_family(&label)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    Ok(())
}

/// Histograms of the stages.
fn stages(encoder: &mut DescriptorEncoder, meter: &Meter) -> Result<(), fmt::Error> {
    let (help, kind) = ("Duration of a stage", MetricType::Histogram);
    let mut stages = encoder.encode_descriptor("stage", help, Some(&Unit::Seconds), kind)?;
    for stage in meter.stages() {
        let label = [("stage", stage.name)];
        let mut metric = stages.encode_family(&label)?;
        let (sum, total) = (stage.sum.as_secs_f64(), stage.total);
        metric.encode_histogram::<NoLabelSet>(sum, total, &stage.buckets, None)?;
    }
    Ok(())
}

/// The build in use.
fn build(encoder: &mut DescriptorEncoder, build: &BuildIdentity) -> Result<(), fmt::Error> {
    let sha256 = hex::encode(build.sha256);
    let (name, version) = (build.name.as_str(), build.version.as_str());
    let labels = [("name", name), ("version", version), ("sha256", sha256.as_str())];
    let help = "The build in use";
    encoder.encode_descriptor("build", help, None, MetricType::Info)?.encode_info(&labels)
}

/// States of the service and of the machine; those that are unknown are left out.
fn gauges(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> Result<(), fmt::Error> {
    let vitals = Vitals::read(Path::new("/"));
    let mut gauge = |name, help, unit: Option<Unit>, value: Option<f64>| match value {
        None => Ok(()),
        Some(value) => encoder
            .encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?
            .encode_gauge(&value),
    };
    let is = |fact: bool| Some(f64::from(u8::from(fact)));
    let playing = matches!(snapshot.source, SourceState::Playing);
    gauge("source_up", "1 while frames arrive", None, is(playing))?;
    let level = snapshot.degradation.map_or(0, |degradation| degradation.level);
    gauge("degradation_level", "Level of degradation, 0 to 3", None, Some(level.into()))?;
    let connected = snapshot.broker == LinkState::Up;
    gauge("broker_up", "1 while the broker is connected", None, is(connected))?;
    let waiting = snapshot.outbox_messages.map(|messages| messages as f64);
    gauge("outbox_messages", "Messages that wait for the broker", None, waiting)?;
    let help = "Highest sensor temperature";
    gauge("temperature", help, Some(Unit::Celsius), vitals.temperature_c)?;
    let help = "Lowest processor clock as a share of its maximum";
    gauge("clock_share", help, None, vitals.clock_share)?;
    let memory = vitals.memory_bytes.map(|bytes| bytes as f64);
    gauge("memory", "Resident memory of the process", Some(Unit::Bytes), memory)
}

impl fmt::Debug for Scrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scrape").finish_non_exhaustive()
    }
}
