//! The threats of The Update Framework, one file each: an attacker between a repository and a
//! device.

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
