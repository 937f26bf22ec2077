//! Latency histogram with logarithmic buckets: constant memory, quantiles within 3 %.

use std::time::Duration;

/// Ratio of two neighbouring bucket limits (5 %).
const RATIO: f64 = 1.05;

/// Number of buckets: 1 µs to more than one hour.
const BUCKETS: usize = 452;

/// Histogram of latencies.
#[derive(Clone)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    total: u64,
    sum: Duration,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self { counts: [0; BUCKETS], total: 0, sum: Duration::ZERO }
    }

    /// Counts a latency.
    pub fn record(&mut self, latency: Duration) {
        let bucket = (latency.as_secs_f64() * 1e6).max(1.0).ln() / RATIO.ln();
        self.counts[(bucket as usize).min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.sum = self.sum.saturating_add(latency);
    }

    /// Sum of all latencies.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Number of latencies in each of the ranges that end at `bounds` (ascending), and above the
    /// last; accurate to one bucket.
    pub fn within(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut ranges = vec![0; bounds.len() + 1];
        for (bucket, &count) in self.counts.iter().enumerate() {
            let latency = RATIO.powf(bucket as f64 + 0.5) / 1e6;
            let range = bounds.partition_point(|bound| bound.as_secs_f64() < latency);
            ranges[range] += u64::from(count);
        }
        ranges
    }

    /// Number of latencies.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Latency in microseconds below which the share `quantile` of all lies; 0 if the histogram is
    /// empty.
    pub fn quantile_us(&self, quantile: f64) -> u32 {
        let rank = (self.total as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return RATIO.powf(bucket as f64 + 0.5) as u32;
            }
        }
        0
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_three_percent() {
        let mut histogram = Histogram::new();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        for (quantile, expected_us) in [(0.5, 500_000.0), (0.95, 950_000.0), (1.0, 1e6)] {
            let found = f64::from(histogram.quantile_us(quantile));
            assert!((found / expected_us - 1.0).abs() < 0.03, "{quantile}: {found}");
        }
        assert_eq!(Histogram::new().quantile_us(0.5), 0);
    }

    #[test]
    fn ranges_count_latencies_between_their_bounds() {
        let mut histogram = Histogram::new();
        for ms in [1, 7, 8, 30, 500] {
            histogram.record(Duration::from_millis(ms));
        }
        let bounds = [5, 20, 100].map(Duration::from_millis);
        assert_eq!(histogram.within(&bounds), [1, 2, 1, 1]);
        assert_eq!(histogram.sum(), Duration::from_millis(546));
    }

    #[test]
    fn extremes_have_a_bucket() {
        let mut histogram = Histogram::new();
        histogram.record(Duration::ZERO);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.total(), 2);
        assert!(histogram.quantile_us(1.0) > 3_600_000_000 / 2);
    }
}
