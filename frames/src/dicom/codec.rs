//! Decoding of compressed frames.

mod deflated;
mod jpeg;
mod jpeg2000;
mod jpeg_ls;
mod run_length;

use super::header::{Header, Layout};
use super::samples::Samples;
use super::syntax::Encoding;
use super::{DicomProblem, colour};

/// Decodes the stream of frame `frame`.
pub(super) fn decode(
    stream: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    match header.encoding {
        Encoding::Encapsulated => deflated::uncompressed(stream, header, frame),
        Encoding::DeflatedFrame => deflated::decode(stream, header, frame),
        Encoding::Jpeg => jpeg::decode(stream, header, frame),
        Encoding::JpegLs => jpeg_ls::decode(stream, header, frame),
        Encoding::Jpeg2000 => jpeg2000::decode(stream, header, frame),
        Encoding::RunLength => run_length::decode(stream, header, frame),
        // Invariant: `Pixels::take` makes fragments only for other encodings.
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
        // Another number of bits than in the file's header is common; more than allocated, or none,
        // is damage.
        if !(1..=header.bits_allocated).contains(&self.bits) {
            let (found, expected) = (self.bits.into(), u64::from(header.bits_stored));
            let what = "bits per sample";
            return Err(DicomProblem::Disagrees { frame, what, found, expected });
        }
        Ok(())
    }
}

/// Samples of a stream of 16 bits at most, `[H, W, S]`.
fn samples_of_words(values: Vec<u16>, stream_bits: u32, header: &Header) -> Samples {
    if header.samples_per_pixel == 1 {
        // Signed values may be extended to the bits of the stream or not.
        let bits = if header.signed {
            header.bits_stored.min(stream_bits)
        } else {
            header.bits_stored.max(stream_bits).min(16)
        };
        return Samples::Single { values, bits };
    }
    let bytes = values.into_iter().map(|value| colour::to_eight_bits(value.into(), stream_bits));
    Samples::Rgb(colour::three_to_rgb(bytes.collect(), header, Layout::Interleaved))
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
