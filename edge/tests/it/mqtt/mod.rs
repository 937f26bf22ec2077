//! What a connection goes through: encryption, users, silence, rivals; and its other format.

mod access;
mod json;
mod pki;
mod trouble;
mod wire;

pub use wire::Wire;
