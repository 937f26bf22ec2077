//! What the processor can do at most: multiply-accumulates on registers alone, without memory.

use std::arch::asm;
use std::time::Instant;

use crate::network::Precision;

/// The best of one kind of instructions.
pub struct Peak {
    /// Of the factors; 8 bits may be held in words of 16.
    pub precision: Precision,
    /// What the loop is made of.
    pub instructions: &'static str,
    /// Multiply-accumulates, billions a second.
    pub gmacs: f64,
}

/// Repetitions of a loop, and how often they are timed: some milliseconds each.
const REPETITIONS: u64 = 2_000_000;
const TIMES: usize = 20;

/// The rate of `run`, which does so many multiply-accumulates a repetition.
fn rate(macs: f64, run: impl Fn(u64)) -> f64 {
    run(REPETITIONS);
    let seconds = (0..TIMES).map(|_| {
        let begin = Instant::now();
        run(REPETITIONS);
        begin.elapsed().as_secs_f64()
    });
    macs * REPETITIONS as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e9
}

/// Peaks of this processor, of each set of instructions that it has.
#[cfg(target_arch = "x86_64")]
pub fn measure() -> Vec<Peak> {
    // Enough sums that none waits for the one before it.
    macro_rules! repeated {
        ($repetitions:expr, $($instruction:literal),+) => {
            // SAFETY: works on registers that it names, of instructions that were found.
            unsafe {
                asm!(
                    "2:", $($instruction,)+ "dec {n}", "jnz 2b",
                    n = inout(reg) $repetitions => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nomem, nostack)
                )
            }
        };
    }
    let mut peaks = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        let gmacs = rate(8.0 * 16.0, |n| {
            repeated!(
                n,
                "vpmaddwd ymm8, ymm14, ymm15",
                "vpaddd ymm0, ymm0, ymm8",
                "vpmaddwd ymm9, ymm14, ymm15",
                "vpaddd ymm1, ymm1, ymm9",
                "vpmaddwd ymm10, ymm14, ymm15",
                "vpaddd ymm2, ymm2, ymm10",
                "vpmaddwd ymm11, ymm14, ymm15",
                "vpaddd ymm3, ymm3, ymm11",
                "vpmaddwd ymm8, ymm14, ymm15",
                "vpaddd ymm4, ymm4, ymm8",
                "vpmaddwd ymm9, ymm14, ymm15",
                "vpaddd ymm5, ymm5, ymm9",
                "vpmaddwd ymm10, ymm14, ymm15",
                "vpaddd ymm6, ymm6, ymm10",
                "vpmaddwd ymm11, ymm14, ymm15",
                "vpaddd ymm7, ymm7, ymm11"
            );
        });
        let instructions = "AVX2 vpmaddwd, vpaddd";
        peaks.push(Peak { precision: Precision::Int8, instructions, gmacs });
        let gmacs = rate(12.0 * 8.0, |n| {
            repeated!(
                n,
                "vfmadd231ps ymm0, ymm14, ymm15",
                "vfmadd231ps ymm1, ymm14, ymm15",
                "vfmadd231ps ymm2, ymm14, ymm15",
                "vfmadd231ps ymm3, ymm14, ymm15",
                "vfmadd231ps ymm4, ymm14, ymm15",
                "vfmadd231ps ymm5, ymm14, ymm15",
                "vfmadd231ps ymm6, ymm14, ymm15",
                "vfmadd231ps ymm7, ymm14, ymm15",
                "vfmadd231ps ymm8, ymm14, ymm15",
                "vfmadd231ps ymm9, ymm14, ymm15",
                "vfmadd231ps ymm10, ymm14, ymm15",
                "vfmadd231ps ymm11, ymm14, ymm15"
            );
        });
        peaks.push(Peak { precision: Precision::Float, instructions: "AVX2 vfmadd231ps", gmacs });
    }
    if is_x86_feature_detected!("avx512vnni") {
        let gmacs = rate(12.0 * 64.0, |n| {
            repeated!(
                n,
                "vpdpbusd zmm0, zmm14, zmm15",
                "vpdpbusd zmm1, zmm14, zmm15",
                "vpdpbusd zmm2, zmm14, zmm15",
                "vpdpbusd zmm3, zmm14, zmm15",
                "vpdpbusd zmm4, zmm14, zmm15",
                "vpdpbusd zmm5, zmm14, zmm15",
                "vpdpbusd zmm6, zmm14, zmm15",
                "vpdpbusd zmm7, zmm14, zmm15",
                "vpdpbusd zmm8, zmm14, zmm15",
                "vpdpbusd zmm9, zmm14, zmm15",
                "vpdpbusd zmm10, zmm14, zmm15",
                "vpdpbusd zmm11, zmm14, zmm15"
            );
        });
        let instructions = "AVX-512 vpdpbusd";
        peaks.push(Peak { precision: Precision::Int8, instructions, gmacs });
    }
    if is_x86_feature_detected!("avx512f") {
        let gmacs = rate(12.0 * 16.0, |n| {
            repeated!(
                n,
                "vfmadd231ps zmm0, zmm14, zmm15",
                "vfmadd231ps zmm1, zmm14, zmm15",
                "vfmadd231ps zmm2, zmm14, zmm15",
                "vfmadd231ps zmm3, zmm14, zmm15",
                "vfmadd231ps zmm4, zmm14, zmm15",
                "vfmadd231ps zmm5, zmm14, zmm15",
                "vfmadd231ps zmm6, zmm14, zmm15",
                "vfmadd231ps zmm7, zmm14, zmm15",
                "vfmadd231ps zmm8, zmm14, zmm15",
                "vfmadd231ps zmm9, zmm14, zmm15",
                "vfmadd231ps zmm10, zmm14, zmm15",
                "vfmadd231ps zmm11, zmm14, zmm15"
            );
        });
        let instructions = "AVX-512 vfmadd231ps";
        peaks.push(Peak { precision: Precision::Float, instructions, gmacs });
    }
    peaks
}

/// Peaks of this processor, of each set of instructions that it has.
#[cfg(target_arch = "aarch64")]
pub fn measure() -> Vec<Peak> {
    macro_rules! repeated {
        ($repetitions:expr, $instruction:literal, $a:literal, $b:literal) => {
            // SAFETY: works on registers that it names, of instructions that were found.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "2:",
                    concat!($instruction, " v0.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v1.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v2.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v3.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v4.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v5.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v6.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v7.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v16.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v17.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v18.4s, v30.", $a, ", v31.", $b),
                    concat!($instruction, " v19.4s, v30.", $a, ", v31.", $b),
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
    // Of words, for processors without the dot product.
    let gmacs = rate(12.0 * 4.0, |n| repeated!(n, "smlal", "4h", "4h"));
    peaks.push(Peak { precision: Precision::Int8, instructions: "NEON smlal", gmacs });
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        let gmacs = rate(12.0 * 16.0, |n| repeated!(n, "sdot", "16b", "16b"));
        peaks.push(Peak { precision: Precision::Int8, instructions: "NEON sdot", gmacs });
    }
    peaks
}

/// Peaks of this processor: none are known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn measure() -> Vec<Peak> {
    Vec::new()
}
