//! The program as people run it: from pictures to an adapter, and what it says when something is
//! wrong. The network is the small ViT of the reference tensors.

#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/fixtures.rs"]
mod fixtures;
#[path = "cli/journey.rs"]
mod journey;
