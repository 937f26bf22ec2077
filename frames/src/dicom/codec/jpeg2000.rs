//! JPEG 2000, lossless and lossy.

use jpeg2k::{DecodeParameters, Image};

use super::super::DicomProblem;
use super::super::colour::three_to_rgb;
use super::super::header::{Header, Layout};
use super::super::samples::Samples;
use super::{StreamInfo, u16_at, u32_at};

pub(super) fn decode(
    stream: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    let damaged = |reason: &str| DicomProblem::Undecodable {
        frame,
        codec: "JPEG 2000",
        reason: reason.to_owned(),
    };
    read_size(stream)
        .ok_or_else(|| damaged("no size (SIZ marker) of unsigned, full-size components found"))?
        .check(header, frame)?;

    // Strict, because otherwise the missing part of a truncated stream would become grey.
    let image = Image::from_bytes_with(stream, DecodeParameters::new().strict(true))
        .map_err(|error| damaged(&error.to_string()))?;
    let components = image.components();
    let right_size = |c: &jpeg2k::ImageComponent| {
        (c.width(), c.height()) == (header.columns, header.rows) && !c.is_signed()
    };
    if components.len() != header.samples_per_pixel || !components.iter().all(right_size) {
        return Err(damaged("decoded components differ from the stream's own header"));
    }
    Ok(match components {
        [grey] => {
            let highest = u16::MAX >> (16 - header.bits_stored);
            let sample = |&value: &i32| value.clamp(0, highest.into()) as u16;
            Samples::Single(grey.data().iter().map(sample).collect())
        }
        _ => {
            // Samples of fewer than 8 bits are scaled to 8 bits.
            let sample = |value: i32, bits: u32| (value.clamp(0, 255) << (8 - bits.min(8))) as u8;
            let planes = components
                .iter()
                .flat_map(|c| c.data().iter().map(|&value| sample(value, c.precision())))
                .collect();
            // The decoder reverses the stream's own colour transform, which YBR_ICT and YBR_RCT
            // name. YBR_FULL is stored without such a transform.
            Samples::Rgb(three_to_rgb(planes, header, Layout::Planar))
        }
    })
}

/// Reads the SIZ segment (ISO 15444-1 A.5.1). A raw stream starts with its marker; a JP2 file has
/// it inside a box.
fn read_size(stream: &[u8]) -> Option<StreamInfo> {
    const START_AND_SIZ: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];
    let siz = stream.windows(4).position(|bytes| bytes == START_AND_SIZ)? + 4;
    let components = u16_at(stream, siz + 36)?;
    let mut bits = 0;
    for component in 0..usize::from(components) {
        let at = siz + 38 + 3 * component;
        let &[depth, dx, dy] = stream.get(at..at + 3)? else { return None };
        let signed = depth & 0x80 != 0;
        if signed || dx != 1 || dy != 1 {
            return None;
        }
        bits = bits.max(u32::from(depth) + 1);
    }
    Some(StreamInfo {
        width: u32_at(stream, siz + 4)?.checked_sub(u32_at(stream, siz + 12)?)?,
        height: u32_at(stream, siz + 8)?.checked_sub(u32_at(stream, siz + 16)?)?,
        components: components.into(),
        bits,
    })
}
