//! DICOM files, as frames and as masks; the input follows the preamble.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = [&[0; 128][..], b"DICM", data].concat();
    medsa_fuzz::play(&file);
    medsa_fuzz::masks(&file);
});
