//! The service's numbers in the text format of OpenMetrics, which Prometheus reads.

use std::fmt;
use std::path::Path;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Observed;
use crate::mqtt::LinkState;
use crate::pipeline::{Counter, DROPS};
use crate::source::SourceState;
use crate::vitals::Vitals;

/// All numbers as text.
pub(super) fn text(observed: &Observed) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("medsa");
    registry.register_collector(Box::new(observed.clone()));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

/// Counters with the names and explanations that they have on the page.
const COUNTERS: [(Counter, &str, &str); 11] = [
    (Counter::FramesIn, "frames", "Frames that the source delivered or missed"),
    (Counter::FramesSegmented, "frames_segmented", "Frames that all prompts were answered on"),
    (Counter::FramesFailed, "frames_failed", "Frames that could not be decoded or segmented"),
    (Counter::AnswersFailed, "answers_failed", "Times that an object could not be segmented"),
    (Counter::MasksOut, "masks", "Masks made"),
    (Counter::MasksPublished, "masks_published", "Masks handed to the connection"),
    (Counter::MessagesRefused, "messages_refused", "Incoming messages that were refused"),
    (Counter::RecordsKept, "records_kept", "Captures that are on the disk"),
    (Counter::RecordsRefused, "records_refused", "Captures that could not be kept"),
    (Counter::ReloadsFailed, "reload_failed", "Times that another build was not taken"),
    (Counter::LinkDown, "broker_losses", "Times that the broker was lost or not reached"),
];

impl Collector for Observed {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for (counter, name, help) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&self.meter.get(counter), None)?;
        }
        let help = "Frames, and in the last two stages masks, that were given up";
        let mut drops = encoder.encode_descriptor("dropped", help, None, MetricType::Counter)?;
        for (counter, place) in DROPS {
            let label = [("stage", place)];
            let mut metric = drops.encode_family(&label)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&self.meter.get(counter), None)?;
        }
        let help = "How long a stage takes";
        let kind = MetricType::Histogram;
        let mut stages = encoder.encode_descriptor("stage", help, Some(&Unit::Seconds), kind)?;
        for stage in self.meter.stages() {
            let label = [("stage", stage.name)];
            let mut metric = stages.encode_family(&label)?;
            let (sum, total) = (stage.sum.as_secs_f64(), stage.total);
            metric.encode_histogram::<NoLabelSet>(sum, total, &stage.buckets, None)?;
        }
        let build = &self.slot.current().build;
        let sha256 = hex::encode(build.sha256);
        let (name, version) = (build.name.as_str(), build.version.as_str());
        let labels = [("name", name), ("version", version), ("sha256", sha256.as_str())];
        let help = "The build that segments";
        encoder.encode_descriptor("build", help, None, MetricType::Info)?.encode_info(&labels)?;
        let playing = matches!(*self.statuses.source.borrow(), SourceState::Playing);
        let connected = *self.broker.borrow() == LinkState::Up;
        let vitals = Vitals::read(Path::new("/"));
        let waiting = self.outbox.as_ref().and_then(|outbox| outbox.len().ok());
        let level = *self.statuses.degradation.borrow();
        let is = |fact: bool| Some(f64::from(u8::from(fact)));
        for (name, help, unit, value) in [
            ("source_up", "Whether frames come", None, is(playing)),
            (
                "degradation_level",
                "What is given up, 0 to 3",
                None,
                Some(level.map_or(0.0, |degradation| f64::from(degradation.level))),
            ),
            ("broker_up", "Whether the broker is connected", None, is(connected)),
            (
                "outbox_messages",
                "Messages that wait for the broker",
                None,
                waiting.map(|n| n as f64),
            ),
            ("temperature", "Hottest sensor", Some(Unit::Celsius), vitals.temperature_c),
            ("clock_share", "Slowest processor's clock of its fastest", None, vitals.clock_share),
            (
                "memory",
                "Memory of the process in use",
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

impl fmt::Debug for Observed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Observed").field("build", &self.build()).finish_non_exhaustive()
    }
}
