//! DICOM files; the input follows the preamble.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| medsa_fuzz::play(&[&[0; 128][..], b"DICM", data].concat()));
