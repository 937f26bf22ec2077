//! Peak of the processor: multiply-accumulates on registers, without memory accesses.

use std::arch::asm;
use std::time::Instant;

use crate::network::Precision;

/// Peak of one kind of instructions.
pub struct Peak {
    /// Precision of the factors. Int8 factors may take 16 bits.
    pub precision: Precision,
    /// Instructions of the measured loop.
    pub instructions: &'static str,
    /// Multiply-accumulates, billions a second.
    pub gmacs: f64,
}

/// Repetitions of a loop that are timed together: some milliseconds.
const REPETITIONS: u64 = 2_000_000;
/// Measurements, of which the fastest counts.
const TIMES: usize = 20;

/// Multiply-accumulates of `run`, billions a second; `macs` is their number in a repetition.
fn rate(macs: f64, run: impl Fn(u64)) -> f64 {
    run(REPETITIONS);
    let seconds = (0..TIMES).map(|_| {
        let begin = Instant::now();
        run(REPETITIONS);
        begin.elapsed().as_secs_f64()
    });
    macs * REPETITIONS as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e9
}

/// Peaks of this processor with each of its instruction sets.
#[cfg(target_arch = "x86_64")]
pub fn measure() -> Vec<Peak> {
    macro_rules! repeated {
        ($repetitions:expr, $($instruction:literal),+) => {
            // SAFETY: the loop changes only registers that it declares, and its callers detect the
            // instructions.
            unsafe {
                asm!(
                    "2:",
                    // Enough sums that no addition waits for the previous one.
                    ".irp i,0,1,2,3,4,5,6,7,8,9,10,11",
                    $($instruction,)+
                    ".endr",
                    "dec {n}",
                    "jnz 2b",
                    n = inout(reg) $repetitions => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm14") _, out("xmm15") _,
                    options(nomem, nostack)
                )
            }
        };
    }
    let mut peaks = Vec::new();
    let mut add = |precision, instructions, macs: f64, run: fn(u64)| {
        peaks.push(Peak { precision, instructions, gmacs: rate(12.0 * macs, run) });
    };
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        add(Precision::Int8, "AVX2 vpmaddwd, vpaddd", 16.0, |n| {
            repeated!(n, "vpmaddwd ymm12, ymm14, ymm15", "vpaddd ymm\\i, ymm\\i, ymm12");
        });
        add(Precision::Float, "AVX2 vfmadd231ps", 8.0, |n| {
            repeated!(n, "vfmadd231ps ymm\\i, ymm14, ymm15");
        });
    }
    if is_x86_feature_detected!("avx512vnni") {
        add(Precision::Int8, "AVX-512 vpdpbusd", 64.0, |n| {
            repeated!(n, "vpdpbusd zmm\\i, zmm14, zmm15");
        });
    }
    if is_x86_feature_detected!("avx512f") {
        add(Precision::Float, "AVX-512 vfmadd231ps", 16.0, |n| {
            repeated!(n, "vfmadd231ps zmm\\i, zmm14, zmm15");
        });
    }
    peaks
}

/// Peaks of this processor with each of its instruction sets.
#[cfg(target_arch = "aarch64")]
pub fn measure() -> Vec<Peak> {
    macro_rules! repeated {
        ($repetitions:expr, $instruction:literal, $a:literal, $b:literal) => {
            // SAFETY: the loop changes only registers that it declares, and its callers detect the
            // instructions.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "2:",
                    // Enough sums that no addition waits for the previous one.
                    ".irp i,0,1,2,3,4,5,6,7,16,17,18,19",
                    concat!($instruction, " v\\i\\().4s, v30.", $a, ", v31.", $b),
                    ".endr",
                    "subs {n}, {n}, #1",
                    "b.ne 2b",
                    n = inout(reg) $repetitions => _,
                    out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                    out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                    out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                    out("v30") _, out("v31") _,
                    options(nomem, nostack)
                )
            }
        };
    }
    let gmacs = rate(12.0 * 4.0, |n| repeated!(n, "fmla", "4s", "4s"));
    let mut peaks = vec![Peak { precision: Precision::Float, instructions: "NEON fmla", gmacs }];
    // The alternative of processors without the dot product: words.
    let gmacs = rate(12.0 * 4.0, |n| repeated!(n, "smlal", "4h", "4h"));
    peaks.push(Peak { precision: Precision::Int8, instructions: "NEON smlal", gmacs });
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        let gmacs = rate(12.0 * 16.0, |n| repeated!(n, "sdot", "16b", "16b"));
        peaks.push(Peak { precision: Precision::Int8, instructions: "NEON sdot", gmacs });
    }
    peaks
}

/// No peaks are known for this processor.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn measure() -> Vec<Peak> {
    Vec::new()
}
