//! Threads of candle.

use std::num::NonZero;
use std::{env, thread};

/// Lets candle's matrix products and the operators of this crate use all cores, and candle's other
/// operations one: their pool waits by spinning, which would take a core from the others. Variables
/// that are set already are kept.
///
/// Unless the number of threads is set, candle counts physical cores by reading a file of the
/// kernel in every matrix product.
///
/// # Safety
/// No other thread may run yet, since it could read the environment at the same time.
#[allow(unsafe_code)]
pub unsafe fn use_all_cores() {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    for (name, threads) in [("RAYON_NUM_THREADS", cores), ("CANDLE_NUM_THREADS", 1)] {
        if env::var_os(name).is_none() {
            // SAFETY: the caller states that no other thread runs.
            unsafe { env::set_var(name, threads.to_string()) };
        }
    }
}
