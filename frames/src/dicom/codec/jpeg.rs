//! JPEG: baseline, extended and lossless.

use jpeg_decoder::{ColorTransform, Decoder};
use openreadout_codecs::JpegColor;

use super::super::DicomProblem;
use super::super::colour::to_eight_bits;
use super::super::header::{Header, Photometric};
use super::super::samples::Samples;
use super::{StreamInfo, samples_of_words, u16_at};

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
    let bits = start.info.bits;
    let is_rgb = header.photometric == Photometric::Rgb && !start.states_colour;
    let bytes = if start.is_extended_12_bit() {
        decode_12_bits(stream, header, is_rgb).map_err(damaged)?
    } else {
        decode_others(stream, is_rgb).map_err(damaged)?
    };
    let expected = header.frame_pixels() * header.samples_per_pixel;
    let bytes_per_sample = if bits <= 8 { 1 } else { 2 };
    if bytes.len() != expected * bytes_per_sample {
        let (found, expected) = (bytes.len(), expected * bytes_per_sample);
        return Err(damaged(format!("{found} bytes decoded, expected {expected}")));
    }
    if header.samples_per_pixel == 3 && bits == 8 {
        return Ok(Samples::Rgb(bytes));
    }
    let values: Vec<u16> = match bytes_per_sample {
        1 => bytes.into_iter().map(u16::from).collect(),
        _ => bytes.as_chunks().0.iter().map(|&word| u16::from_ne_bytes(word)).collect(),
    };
    if header.samples_per_pixel == 3 {
        let rgb = values.into_iter().map(|value| to_eight_bits(value.into(), bits)).collect();
        return Ok(Samples::Rgb(rgb));
    }
    Ok(samples_of_words(values, bits, header))
}

/// Decodes a stream other than extended with 12 bits; returns one byte per sample up to 8 bits, and
/// two in native order above.
fn decode_others(stream: &[u8], is_rgb: bool) -> Result<Vec<u8>, String> {
    let mut decoder = Decoder::new(stream);
    if is_rgb {
        // Without a marker the decoder assumes YCbCr, but the file says that the stream is RGB.
        decoder.set_color_transform(ColorTransform::RGB);
    }
    decoder.decode().map_err(|error| error.to_string())
}

/// Decodes an extended stream with 12 bits; returns two bytes per sample in native order.
fn decode_12_bits(stream: &[u8], header: &Header, is_rgb: bool) -> Result<Vec<u8>, String> {
    // The decoder takes zeros for what is missing at the end.
    let padding = |bytes: &[u8]| bytes.iter().all(|byte| [0, 0xff].contains(byte));
    let end = stream.windows(2).rposition(|pair| pair == [0xff, 0xd9]);
    if end.is_none_or(|end| !padding(&stream[end + 2..])) {
        return Err("the end of the image (EOI marker) is missing".to_owned());
    }
    let bytes = 2 * header.frame_pixels() * header.samples_per_pixel;
    let colour = if is_rgb { JpegColor::AsCoded } else { JpegColor::ToRgb };
    let raster = openreadout_codecs::jpeg_decode_tiff_limited(stream, None, colour, bytes)
        .map_err(|error| error.to_string())?;
    let words = raster.data.as_chunks().0.iter().map(|&word| u16::from_le_bytes(word));
    Ok(words.flat_map(u16::to_ne_bytes).collect())
}

/// Part of a stream before the first scan.
struct StreamStart {
    info: StreamInfo,
    /// Code of the frame header, which names the process.
    process: u16,
    /// True if a JFIF or Adobe marker states the colour space.
    states_colour: bool,
}

impl StreamStart {
    fn is_extended_12_bit(&self) -> bool {
        const SOF1: u16 = 0xffc1;
        self.process == SOF1 && self.info.bits == 12
    }

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
                    return Some(Self { info, process: marker, states_colour });
                }
                0xffe0 => states_colour |= stream.get(segment..)?.starts_with(b"JFIF\0"),
                0xffee => {
                    // The decoder does not use a marker without the last byte, the transform.
                    let whole = u16_at(stream, at + 2)? >= 14;
                    states_colour |= whole && stream.get(segment..)?.starts_with(b"Adobe");
                }
                // Start of scan or end of image, without a frame header before it.
                0xffda | 0xffd9 => return None,
                0xff00..=0xffff => {}
                _ => return None,
            }
            at += 2 + usize::from(u16_at(stream, at + 2)?.max(2));
        }
    }
}
