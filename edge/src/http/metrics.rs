//! Metrics of the service in the text format of OpenMetrics, which Prometheus reads.

use std::fmt;
use std::path::Path;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::meter::{COUNTERS, DROPS, Described};
use crate::port::{LinkState, Observer};
use crate::source::SourceState;
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
        let counts = &snapshot.counts;
        for Described { counter, metric: name, help, .. } in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&counts.get(counter), None)?;
        }
        let help = "Failures of tasks of the service";
        let mut tasks =
            encoder.encode_descriptor("task_failures", help, None, MetricType::Counter)?;
        for (task, failures) in &snapshot.failures {
            let label = [("task", *task)];
            let mut metric = tasks.encode_family(&label)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&failures.count, None)?;
        }
        let help = "Dropped frames, in the last two stages dropped masks";
        let mut drops = encoder.encode_descriptor("dropped", help, None, MetricType::Counter)?;
        for (counter, place) in DROPS {
            let label = [("stage", place)];
            let mut metric = drops.encode_family(&label)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&counts.get(counter), None)?;
        }
        let help = "Duration of a stage";
        let kind = MetricType::Histogram;
        let mut stages = encoder.encode_descriptor("stage", help, Some(&Unit::Seconds), kind)?;
        for stage in self.0.meter.stages() {
            let label = [("stage", stage.name)];
            let mut metric = stages.encode_family(&label)?;
            let (sum, total) = (stage.sum.as_secs_f64(), stage.total);
            metric.encode_histogram::<NoLabelSet>(sum, total, &stage.buckets, None)?;
        }
        let build = &snapshot.build;
        let sha256 = hex::encode(build.sha256);
        let (name, version) = (build.name.as_str(), build.version.as_str());
        let labels = [("name", name), ("version", version), ("sha256", sha256.as_str())];
        let help = "The build in use";
        encoder.encode_descriptor("build", help, None, MetricType::Info)?.encode_info(&labels)?;
        let playing = matches!(snapshot.source, SourceState::Playing);
        let connected = snapshot.broker == LinkState::Up;
        let vitals = Vitals::read(Path::new("/"));
        let (waiting, level) = (snapshot.outbox_messages, snapshot.degradation);
        let is = |fact: bool| Some(f64::from(u8::from(fact)));
        for (name, help, unit, value) in [
            ("source_up", "1 while frames arrive", None, is(playing)),
            (
                "degradation_level",
                "Level of degradation, 0 to 3",
                None,
                Some(level.map_or(0.0, |degradation| f64::from(degradation.level))),
            ),
            ("broker_up", "1 while the broker is connected", None, is(connected)),
            (
                "outbox_messages",
                "Messages that wait for the broker",
                None,
                waiting.map(|n| n as f64),
            ),
            (
                "temperature",
                "Highest sensor temperature",
                Some(Unit::Celsius),
                vitals.temperature_c,
            ),
            (
                "clock_share",
                "Lowest processor clock as a share of its maximum",
                None,
                vitals.clock_share,
            ),
            (
                "memory",
                "Resident memory of the process",
                Some(Unit::Bytes),
                vitals.memory_bytes.map(|bytes| bytes as f64),
            ),
        ] {
            let Some(value) = value else { continue };
            let kind = MetricType::Gauge;
            encoder.encode_descriptor(name, help, unit.as_ref(), kind)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scrape").finish_non_exhaustive()
    }
}
