//! Random numbers that come from a seed and the number of what they are for, so that training
//! goes on after a stop as if there had been none.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Random numbers for one purpose.
pub(super) fn rng(seed: u64, purpose: u64, number: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose << 48 | number as u64);
    rng
}

/// The one of `count` images that comes as number `number` for one purpose: all once in an epoch,
/// in an order of its own.
pub(super) fn draw(seed: u64, purpose: u64, number: usize, count: usize) -> usize {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut rng(seed, purpose, number / count));
    order[number % count]
}
