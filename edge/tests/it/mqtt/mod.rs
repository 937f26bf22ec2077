//! The connection to the broker: encryption, users, silence, duplicate ids, and JSON.

mod access;
mod answers;
mod json;
pub mod pki;
mod trouble;
mod wire;

pub use wire::Wire;
