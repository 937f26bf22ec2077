//! Text format of Prometheus.

use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Type of the content.
pub(super) const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics of one moment.
#[derive(Default)]
pub(super) struct Page(Vec<MetricFamily>);

impl Page {
    /// The text of all metrics.
    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.add(name, help, MetricType::COUNTER, vec![counter(&[], value)]);
    }

    /// Counters with a label each, which has the name `label`.
    pub(super) fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, u64)>,
    ) {
        let metrics = values.map(|(of, value)| counter(&[(label, of)], value as f64));
        self.add(name, help, MetricType::COUNTER, metrics.collect());
    }

    /// A value that is left out if it is not known.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        let metrics = value.into_iter().map(|value| gauge(&[], value));
        self.add(name, help, MetricType::GAUGE, metrics.collect());
    }

    pub(super) fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, f64)>,
    ) {
        let metrics = values.map(|(of, value)| gauge(&[(label, of)], value));
        self.add(name, help, MetricType::GAUGE, metrics.collect());
    }

    /// Adds metrics of one name; without any, the name is left out.
    pub(super) fn add(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

/// A metric without a value.
pub(super) fn labelled(labels: &[(&str, &str)]) -> Metric {
    let label = |(name, value): &(&str, &str)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    };
    Metric::from_label(labels.iter().map(label).collect())
}

fn counter(labels: &[(&str, &str)], value: f64) -> Metric {
    let (mut metric, mut counter) = (labelled(labels), Counter::default());
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

pub(super) fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let (mut metric, mut gauge) = (labelled(labels), Gauge::default());
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}
