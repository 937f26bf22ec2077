//! Configurations of the edge service.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use medsa_edge::config::Config;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(Path::new("edge.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
});
