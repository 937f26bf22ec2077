//! What a connection goes through: encryption, users, silence, rivals; and its other format.

mod access;
mod json;
pub mod pki;
mod trouble;
mod wire;

pub use wire::Wire;
