//! Uncompressed frames in fragments, plain or compressed with Deflate (PS3.5 A.4.11 and A.4.13).

use std::io::Read;

use flate2::read::DeflateDecoder;

use super::super::DicomProblem;
use super::super::colour::samples_of_native;
use super::super::header::Header;
use super::super::samples::Samples;

pub(super) fn uncompressed(
    bytes: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    let expected = header.native_frame_bits().div_ceil(8);
    if (bytes.len() as u64) < expected {
        let (what, found) = ("bytes", bytes.len() as u64);
        return Err(DicomProblem::Disagrees { frame, what, found, expected });
    }
    Ok(samples_of_native(bytes, 0, header))
}

pub(super) fn decode(
    stream: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    let mut bytes = Vec::new();
    DeflateDecoder::new(stream)
        .take(header.native_frame_bits().div_ceil(8))
        .read_to_end(&mut bytes)
        .map_err(|error| DicomProblem::Undecodable {
            frame,
            codec: "Deflate",
            reason: error.to_string(),
        })?;
    uncompressed(&bytes, header, frame)
}
