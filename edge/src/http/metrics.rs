//! Metrics of the service in the text format of Prometheus.

use std::path::Path;

use prometheus::proto::{Bucket, Histogram, MetricType};

use super::exposition::{Page, gauge, labelled};
use super::process::process;
use crate::meter::{COUNTERS, Described, FRAME_DROPS, MASK_DROPS, Meter, StageHistogram};
use crate::port::{BuildIdentity, LinkState, Observer, Snapshot};
use crate::vitals::Vitals;

/// All metrics as text.
pub(super) fn text(observer: &Observer) -> Result<String, prometheus::Error> {
    let snapshot = observer.snapshot();
    let mut page = Page::default();
    counters(&mut page, &snapshot);
    stages(&mut page, &observer.meter);
    build(&mut page, &snapshot.build);
    gauges(&mut page, &snapshot);
    let free = observer.free_bytes().map(|(store, bytes)| (store, bytes as f64));
    let help = "Free space on the disk of the records or the outbox";
    page.gauges("medsa_disk_free_bytes", help, "store", free);
    process(&mut page);
    page.text()
}

/// Counters: those of the service, and families of failed tasks, dropped frames and dropped masks.
fn counters(page: &mut Page, snapshot: &Snapshot) {
    let counts = &snapshot.counts;
    for Described { counter, metric, help, .. } in COUNTERS {
        page.counter(&format!("medsa_{metric}_total"), help, counts.get(counter) as f64);
    }
    let tasks = snapshot.failures.iter().map(|(task, failures)| (*task, failures.count));
    let help = "Failures of tasks of the service";
    page.counters("medsa_task_failures_total", help, "task", tasks);
    for (name, help, drops) in [
        ("medsa_frames_dropped_total", "Dropped frames", FRAME_DROPS.as_slice()),
        ("medsa_masks_dropped_total", "Dropped masks", MASK_DROPS.as_slice()),
    ] {
        let drops = drops.iter().map(|&(counter, place)| (place, counts.get(counter)));
        page.counters(name, help, "stage", drops);
    }
}

/// Histograms of the stages.
fn stages(page: &mut Page, meter: &Meter) {
    let stage = |StageHistogram { name, total, sum, buckets }: StageHistogram| {
        let mut before = 0;
        // The encoder adds the bucket without a limit.
        let limited = buckets.into_iter().filter(|(limit, _)| limit.is_finite());
        let cumulative = limited.map(|(limit, count)| {
            before += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(limit);
            bucket.set_cumulative_count(before);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(cumulative.collect());
        histogram.set_sample_count(total);
        histogram.set_sample_sum(sum.as_secs_f64());
        let mut metric = labelled(&[("stage", &name.replace(' ', "_"))]);
        metric.set_histogram(histogram);
        metric
    };
    let metrics = meter.stages().into_iter().map(stage).collect();
    page.add("medsa_stage_seconds", "Duration of a stage", MetricType::HISTOGRAM, metrics);
}

/// The build in use.
fn build(page: &mut Page, build: &BuildIdentity) {
    let sha256 = hex::encode(build.sha256);
    let labels = [("name", &*build.name), ("version", &*build.version), ("sha256", &*sha256)];
    let metrics = vec![gauge(&labels, 1.0)];
    page.add("medsa_build_info", "The build in use", MetricType::GAUGE, metrics);
}

/// States of the service and of the machine; those that are unknown are left out.
fn gauges(page: &mut Page, snapshot: &Snapshot) {
    let vitals = Vitals::read(Path::new("/"));
    let is = |fact: bool| Some(f64::from(u8::from(fact)));
    page.gauge("medsa_source_up", "1 while frames arrive", is(snapshot.is_ready()));
    let level = snapshot.degradation.map_or(0, |degradation| degradation.level);
    page.gauge("medsa_degradation_level", "Level of degradation, 0 to 3", Some(level.into()));
    let connected = snapshot.broker == LinkState::Up;
    page.gauge("medsa_broker_up", "1 while the broker is connected", is(connected));
    let waiting = snapshot.outbox_messages.map(|messages| messages as f64);
    page.gauge("medsa_outbox_messages", "Messages that wait for the broker", waiting);
    let help = "Highest sensor temperature";
    page.gauge("medsa_temperature_celsius", help, vitals.temperature_c);
    let help = "Lowest processor clock as a share of its maximum";
    page.gauge("medsa_clock_share", help, vitals.clock_share);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_no_spaces_and_frames_are_apart_from_masks() {
        let mut page = Page::default();
        let meter = Meter::new();
        meter.record(medsa_wire::Stage::PromptToMask, std::time::Duration::from_millis(3));
        stages(&mut page, &meter);
        let text = page.text().unwrap();
        for line in [
            "medsa_stage_seconds_bucket{stage=\"prompt_to_mask\",le=\"0.0025\"} 0",
            "medsa_stage_seconds_bucket{stage=\"prompt_to_mask\",le=\"0.005\"} 1",
            "medsa_stage_seconds_bucket{stage=\"prompt_to_mask\",le=\"+Inf\"} 1",
            "medsa_stage_seconds_count{stage=\"prompt_to_mask\"} 1",
            "medsa_stage_seconds_count{stage=\"encoder\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        let labels = text.lines().filter(|line| !line.starts_with('#'));
        assert!(labels.map(|line| line.matches(' ').count()).all(|spaces| spaces == 1), "{text}");
        let places = FRAME_DROPS.iter().chain(&MASK_DROPS).map(|(_, place)| *place);
        assert!(places.clone().all(|place| !place.contains(' ')));
        assert_eq!(places.count(), 7);
    }

    #[test]
    fn process_has_the_metrics_that_prometheus_names() {
        let mut page = Page::default();
        process(&mut page);
        let text = page.text().unwrap();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            let value = line.unwrap_or_else(|| panic!("{name} is missing in {text}"));
            value.parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age_s = now.as_secs_f64() - value("process_start_time_seconds");
        assert!((-2.0..86_400.0).contains(&age_s), "{age_s}");
    }
}
