//! Tests of the engine on a network of a few nodes.

mod accept;
mod engine;
mod tiny;
