//! JPEG: baseline, extended and lossless.

use jpeg_decoder::{ColorTransform, Decoder};

use super::super::DicomProblem;
use super::super::colour::single_samples;
use super::super::header::{Header, Photometric};
use super::super::samples::Samples;
use super::{StreamInfo, u16_at};

pub(super) fn decode(
    stream: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    let damaged = |reason: String| DicomProblem::Undecodable { frame, codec: "JPEG", reason };
    let start = StreamStart::read(stream)
        .ok_or_else(|| damaged("no frame header (SOF marker) found".into()))?;
    // This check also prevents a panic of the decoder, which has no pixel format for two
    // components.
    start.info.check(header, frame)?;

    let mut decoder = Decoder::new(stream);
    if header.photometric == Photometric::Rgb && !start.states_colour {
        // Without a marker the decoder assumes YCbCr, but the file says that the stream is RGB.
        decoder.set_color_transform(ColorTransform::RGB);
    }
    let bytes = decoder.decode().map_err(|error| damaged(error.to_string()))?;

    // The decoder returns one byte per sample up to 8 bits, and two in native order above.
    let expected = header.frame_pixels() * header.samples_per_pixel;
    let bytes_per_sample = if start.info.bits <= 8 { 1 } else { 2 };
    if bytes.len() != expected * bytes_per_sample {
        return Err(damaged(format!(
            "{} bytes decoded, expected {}",
            bytes.len(),
            expected * bytes_per_sample
        )));
    }
    Ok(match (header.samples_per_pixel, bytes_per_sample) {
        (1, 1) => Samples::Single(bytes.into_iter().map(u16::from).collect()),
        (1, _) => {
            let words = bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
            let bytes: Vec<u8> = words.flat_map(u16::to_le_bytes).collect();
            Samples::Single(single_samples(&bytes, header))
        }
        _ => Samples::Rgb(bytes),
    })
}

/// Part of a stream before the first scan.
struct StreamStart {
    info: StreamInfo,
    /// True if a JFIF or Adobe marker states the colour space.
    states_colour: bool,
}

impl StreamStart {
    /// Reads the markers up to the frame header.
    fn read(stream: &[u8]) -> Option<Self> {
        let mut states_colour = false;
        let mut at = 2;
        loop {
            let marker = u16_at(stream, at)?;
            let segment = at + 4;
            match marker {
                // Fill bytes before a marker.
                0xffff => {
                    at += 1;
                    continue;
                }
                // SOF0 to SOF15, except DHT, JPG and DAC, which are in the same range.
                0xffc0..=0xffcf if ![0xffc4, 0xffc8, 0xffcc].contains(&marker) => {
                    let info = StreamInfo {
                        bits: (*stream.get(segment)?).into(),
                        height: u16_at(stream, segment + 1)?.into(),
                        width: u16_at(stream, segment + 3)?.into(),
                        components: (*stream.get(segment + 5)?).into(),
                    };
                    return Some(Self { info, states_colour });
                }
                0xffe0 => states_colour |= stream.get(segment..)?.starts_with(b"JFIF\0"),
                0xffee => states_colour |= stream.get(segment..)?.starts_with(b"Adobe"),
                // Start of scan or end of image, without a frame header before it.
                0xffda | 0xffd9 => return None,
                0xff00..=0xffff => {}
                _ => return None,
            }
            at += 2 + usize::from(u16_at(stream, at + 2)?.max(2));
        }
    }
}
