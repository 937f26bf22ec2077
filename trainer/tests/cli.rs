//! Tests of the program's command line: from images to an adapter, and error messages. The network
//! is the small ViT of the reference tensors.

#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/fixtures.rs"]
mod fixtures;
#[path = "cli/journey.rs"]
mod journey;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/masks.rs"]
mod masks;
