//! Data sets written to a folder of their own: what is read, what is refused, how it is split.

#[path = "data/cine.rs"]
mod cine;
#[path = "data/fixtures.rs"]
mod fixtures;
#[path = "data/pairs.rs"]
mod pairs;
#[path = "data/split.rs"]
mod split;
#[path = "data/volumes.rs"]
mod volumes;
