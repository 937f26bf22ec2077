//! JPEG-LS, lossless and near-lossless (ITU-T T.87).
//!
//! No crate in Rust decodes colour in this format, so the decoder is our own. It reads 2 to 16 bits
//! and any interleaving. Restart intervals, palettes and other colour transforms, none of which
//! DICOM allows, are refused.

mod bits;
mod markers;
mod model;
mod scan;

use super::super::DicomProblem;
use super::super::header::Header;
use super::super::samples::Samples;
use super::samples_of_words;
use markers::Stream;

pub(super) fn decode(
    stream: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    let damaged = |reason| DicomProblem::Undecodable { frame, codec: "JPEG-LS", reason };
    let parsed = Stream::read(stream).map_err(damaged)?;
    parsed.info.check(header, frame)?;
    if parsed.info.bits > 16 {
        return Err(damaged("more than 16 bits per sample".to_owned()));
    }
    let values = parsed.decode().map_err(damaged)?;
    Ok(samples_of_words(values, parsed.info.bits, header))
}
