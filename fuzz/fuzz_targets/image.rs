//! PNG, JPEG, MetaImage and NRRD files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| medsa_fuzz::play(data));
