//! Instruction sets of the processor.

use super::Simd;
#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use super::neon::{DOT, MATMUL, Neon, PAIRS};
use super::scalar::Scalar;

/// An instruction set that the kernels support and this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonDot,
    #[cfg(target_arch = "aarch64")]
    NeonMatmul,
}

/// A computation, written once for all instruction sets.
pub(crate) trait Task {
    type Output;
    /// Must be `#[inline(always)]`, like everything that it calls: the compiler uses an
    /// instruction set only in functions that are inlined into one that enables it.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

impl Isa {
    /// Plain Rust, for every processor.
    pub const SCALAR: Self = Self(Set::Scalar);

    /// The fastest instruction set of this processor.
    pub fn detect() -> Self {
        // Invariant: `available` always contains the scalar one.
        Self::available().pop().unwrap_or(Self::SCALAR)
    }

    /// Instruction sets of this processor, the fastest last.
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Set::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                sets.push(Set::Avx2);
                if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni") {
                    sets.push(Set::Avx512Vnni);
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            sets.push(Set::Neon);
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                sets.push(Set::NeonDot);
            }
            if std::arch::is_aarch64_feature_detected!("i8mm") {
                sets.push(Set::NeonMatmul);
            }
        }
        sets.into_iter().map(Self).collect()
    }

    /// Name in logs and tables.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot => "neon-dotprod",
            #[cfg(target_arch = "aarch64")]
            Set::NeonMatmul => "neon-i8mm",
        }
    }

    /// Runs a task with this instruction set.
    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        match self.0 {
            Set::Scalar => task.run(Scalar),
            // SAFETY: only `available` creates an `Isa` of this set, after it detected AVX2 and
            // FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(task) },
            // SAFETY: only `available` creates an `Isa` of this set, after it detected AVX-512 F,
            // BW, VL and VNNI in addition to AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Vnni => unsafe { avx512(task) },
            // SAFETY: every processor of Rust's aarch64 targets has NEON.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { task.run(Neon::<PAIRS>::new()) },
            // SAFETY: only `available` creates an `Isa` of this set, after it detected SDOT.
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot => unsafe { task.run(Neon::<DOT>::new()) },
            // SAFETY: only `available` creates an `Isa` of this set, after it detected SMMLA.
            #[cfg(target_arch = "aarch64")]
            Set::NeonMatmul => unsafe { task.run(Neon::<MATMUL>::new()) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Task>(task: T) -> T::Output {
    // SAFETY: this function enables AVX2 and FMA, so its callers have to prove them.
    task.run(unsafe { Avx2::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
fn avx512<T: Task>(task: T) -> T::Output {
    // SAFETY: this function enables the instructions, so its callers have to prove them.
    task.run(unsafe { Avx512::new() })
}
