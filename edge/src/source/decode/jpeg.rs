//! JPEG frames from cameras and programs.

use std::borrow::Cow;

use medsa_frames::{Frame, MAX_SIDE_PX};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// An application segment "AVI1", which marks Motion JPEG: the decoder then uses the standard
/// Huffman tables if the stream has none.
const AVI1: [u8; 10] = [0xff, 0xe0, 0, 8, b'A', b'V', b'I', b'1', 0, 0];

/// Decodes one JPEG stream, with or without Huffman tables; many USB grabbers leave them out.
///
/// # Errors
/// The reason why it cannot be decoded. A truncated stream is an error. Bytes that are missing
/// inside the data, before a complete end marker, are noticed only if the rest is invalid.
pub fn decode_jpeg(jpeg: &[u8]) -> Result<Frame, String> {
    let jpeg = with_huffman_tables(jpeg);
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE_PX as usize)
        .set_max_height(MAX_SIDE_PX as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&jpeg[..]), options);
    let rgb = decoder.decode().map_err(|error| format!("JPEG: {error:?}"))?;
    let info = decoder.info().ok_or("JPEG: no frame header")?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let expected = 3 * width as usize * height as usize;
    if rgb.len() != expected || expected == 0 {
        let found = rgb.len();
        return Err(format!("JPEG: {found} bytes for {width} x {height} px, expected {expected}"));
    }
    Ok(Frame { width, height, rgb, pixel_spacing_mm: None })
}

/// The stream, marked as Motion JPEG if it has no Huffman tables.
fn with_huffman_tables(jpeg: &[u8]) -> Cow<'_, [u8]> {
    const DHT: u8 = 0xc4;
    const SOS: u8 = 0xda;
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            DHT => return Cow::Borrowed(jpeg),
            SOS => return Cow::Owned([&jpeg[..2], &AVI1, &jpeg[2..]].concat()),
            // A fill byte.
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    Cow::Borrowed(jpeg)
}
