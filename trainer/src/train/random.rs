//! Random numbers derived from a seed and a number, so that training after a restart gives the same
//! results.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Generator for one purpose and number.
pub(super) fn rng(seed: u64, purpose: u64, number: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose << 48 | number as u64);
    rng
}

/// Index of the image with number `number` among `count` images: each epoch has every image once,
/// in its own order.
pub(super) fn draw(seed: u64, purpose: u64, number: usize, count: usize) -> usize {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut rng(seed, purpose, number / count));
    order[number % count]
}
