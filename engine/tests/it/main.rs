//! Tests of the engine on a network of a few nodes.

mod accept;
mod engine;
#[allow(dead_code, reason = "the tests of the service use all of it")]
mod tiny;
