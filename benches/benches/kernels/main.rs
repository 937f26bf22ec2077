//! Time of each kernel at the shapes of LiteMedSAM at 256 px, int8 and float, on one thread.
//!
//! `cargo bench -p medsa-benches --bench kernels`. Criterion's elements are multiply-accumulates.
//! At the end it prints a table in Markdown with each kernel's percentage of the processor's peak.

mod network;
mod peak;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};
use medsa_kernels::{Isa, Pool};
use network::{Precision, kernels};

/// A line of the table: the fastest run of a kernel.
struct Row {
    kernel: &'static str,
    precision: Precision,
    macs: f64,
    seconds: f64,
}

fn main() {
    let isa = Isa::detect();
    let pool = Pool::new(NonZeroUsize::MIN);
    let rows = RefCell::new(Vec::new());
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    for kernel in kernels() {
        let mut group = criterion.benchmark_group(kernel.name);
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(kernel.macs));
        for precision in [Precision::Int8, Precision::Float] {
            group.bench_function(precision.name(), |bencher| {
                let mut run = (kernel.make)(isa, precision, &pool);
                let mut fastest = f64::INFINITY;
                bencher.iter_custom(|iterations| {
                    let mut sum = Duration::ZERO;
                    for _ in 0..iterations {
                        let begin = Instant::now();
                        run(&pool);
                        let took = begin.elapsed();
                        fastest = fastest.min(took.as_secs_f64());
                        sum += took;
                    }
                    sum
                });
                let (kernel, macs) = (kernel.name, kernel.macs as f64);
                rows.borrow_mut().push(Row { kernel, precision, macs, seconds: fastest });
            });
        }
        group.finish();
    }
    let rows = rows.into_inner();
    // No kernel ran, for example with `--list`.
    if rows.iter().all(|row| row.seconds == f64::INFINITY) {
        return;
    }
    print(isa, &rows);
}

fn print(isa: Isa, rows: &[Row]) {
    println!("\nPeak of one thread, measured; kernels use {}:\n", isa.name());
    println!("| arithmetic | instructions | GMAC/s |\n|---|---|---|");
    let peaks = peak::measure();
    for peak in &peaks {
        let peak::Peak { precision, instructions, gmacs } = peak;
        println!("| {} | {instructions} | {gmacs:.1} |", precision.name());
    }
    println!("\n| kernel | GMAC | int8 ms | GMAC/s | of peak | f32 ms | GMAC/s | of peak |");
    println!("|---|---|---|---|---|---|---|---|");
    for of_kernel in rows.chunk_by(|a, b| a.kernel == b.kernel) {
        let Row { kernel, macs, .. } = of_kernel[0];
        print!("| {kernel} | {:.3} |", macs / 1e9);
        for precision in [Precision::Int8, Precision::Float] {
            let row = of_kernel.iter().rev().find(|row| row.precision == precision);
            let Some(row) = row else {
                print!(" | | |");
                continue;
            };
            let gmacs = row.macs / row.seconds / 1e9;
            let of_precision = peaks.iter().filter(|peak| peak.precision == precision);
            let peak = of_precision.map(|peak| peak.gmacs).fold(f64::NAN, f64::max);
            print!(" {:.2} | {gmacs:.1} | {:.0} % |", 1e3 * row.seconds, 100.0 * gmacs / peak);
        }
        println!();
    }
}
