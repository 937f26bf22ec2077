//! Tests of data sets written to temporary folders: reading, refusing and splitting.

#[path = "data/cine.rs"]
mod cine;
#[path = "data/drawn.rs"]
mod drawn;
#[path = "data/fixtures.rs"]
mod fixtures;
#[path = "data/pairs.rs"]
mod pairs;
#[path = "data/sequences.rs"]
mod sequences;
#[path = "data/split.rs"]
mod split;
#[path = "data/values.rs"]
mod values;
#[path = "data/volumes.rs"]
mod volumes;
