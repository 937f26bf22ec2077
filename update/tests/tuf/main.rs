//! A repository and a device, and between them everybody whom The Update Framework is against: one
//! file for each threat.

mod arbitrary_package;
mod clock;
mod endless_data;
mod expired;
mod fast_forward;
mod formats;
mod freeze;
mod keys;
mod lab;
mod mix_and_match;
mod path_traversal;
mod publishing;
mod rollback;
#[path = "../../../bundle/tests/small/mod.rs"]
mod small;
mod staging;
mod wrong_key;
