//! Decoding of compressed frames.

mod jpeg;
mod jpeg2000;
mod run_length;

use super::DicomProblem;
use super::header::{Encoding, Header};
use super::samples::Samples;

/// Decodes the stream of frame `frame`.
pub(super) fn decode(
    stream: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    match header.encoding {
        Encoding::Jpeg => jpeg::decode(stream, header, frame),
        Encoding::Jpeg2000 => jpeg2000::decode(stream, header, frame),
        Encoding::RunLength => run_length::decode(stream, header, frame),
        // Invariant: `Pixels::take` makes fragments only for compressed encodings.
        Encoding::Native => unreachable!("native pixels are not in fragments"),
    }
}

/// Size and sample format in the header of a compressed stream.
struct StreamInfo {
    width: u32,
    height: u32,
    components: u32,
    bits: u32,
}

impl StreamInfo {
    /// Compares the stream with the file's header, before memory is allocated for it.
    fn check(&self, header: &Header, frame: usize) -> Result<(), DicomProblem> {
        let samples = header.samples_per_pixel as u32;
        for (what, found, expected) in [
            ("width", self.width, header.columns),
            ("height", self.height, header.rows),
            ("number of components", self.components, samples),
        ] {
            if found != expected {
                let (found, expected) = (found.into(), expected.into());
                return Err(DicomProblem::Disagrees { frame, what, found, expected });
            }
        }
        // Fewer bits than in the file's header are common; more would not fit the samples.
        if self.bits > 8 * header.bytes_per_sample as u32 {
            let (found, expected) = (self.bits.into(), u64::from(header.bits_stored));
            let what = "bits per sample";
            return Err(DicomProblem::Disagrees { frame, what, found, expected });
        }
        Ok(())
    }
}

/// Big-endian 16-bit number at `at`.
fn u16_at(stream: &[u8], at: usize) -> Option<u16> {
    let bytes = stream.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Big-endian 32-bit number at `at`.
fn u32_at(stream: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16_at(stream, at)?) << 16 | u32::from(u16_at(stream, at + 2)?))
}
