//! JPEG 2000 and High-Throughput JPEG 2000, lossless and lossy.

use jpeg2k::{DecodeParameters, Image};

use super::super::DicomProblem;
use super::super::colour::{three_to_rgb, to_eight_bits};
use super::super::header::{Header, Layout};
use super::super::samples::{Samples, mask};
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
        .ok_or_else(|| damaged("no valid size (SIZ marker) of full-size components found"))?
        .check(header, frame)?;

    // Strict, because otherwise the missing part of a truncated stream would become grey.
    let image = Image::from_bytes_with(stream, DecodeParameters::new().strict(true))
        .map_err(|error| damaged(&error.to_string()))?;
    let components = image.components();
    let right_size = |c: &jpeg2k::ImageComponent| {
        (c.width(), c.height()) == (header.columns, header.rows)
            && (1..=header.bits_allocated).contains(&c.precision())
            && c.data().len() == header.frame_pixels()
    };
    if components.len() != header.samples_per_pixel || !components.iter().all(right_size) {
        return Err(damaged("decoded components differ from the stream's own header"));
    }
    Ok(match components {
        [grey] => {
            // The header decides about the sign, whatever the stream says.
            let bits = grey.precision();
            let stored = |&value: &i32| value as u32 & mask(bits);
            if bits > 16 {
                let values = grey.data().iter().map(stored).collect();
                Samples::Wide { values, bits }
            } else {
                let values = grey.data().iter().map(|value| stored(value) as u16).collect();
                Samples::Single { values, bits }
            }
        }
        _ => {
            let planes = components.iter().flat_map(|component| {
                let bits = component.precision();
                let highest = mask(bits).min(i32::MAX as u32) as i32;
                let sample =
                    move |&value: &i32| to_eight_bits(value.clamp(0, highest) as u32, bits);
                component.data().iter().map(sample)
            });
            // The decoder reverses the stream's own colour transform, which YBR_ICT and YBR_RCT
            // name. YBR_FULL is stored without such a transform.
            Samples::Rgb(three_to_rgb(planes.collect(), header, Layout::Planar))
        }
    })
}

/// True if every tile can be in the stream. The decoder allocates kilobytes for each tile first.
fn holds_tiles(stream: &[u8], siz: usize) -> Option<bool> {
    const SMALLEST_TILE_BYTES: u64 = 14;
    let tiles = |size: usize, tile: usize, origin: usize| {
        let length = u32_at(stream, siz + size)?.checked_sub(u32_at(stream, siz + origin)?)?;
        let tile = u32_at(stream, siz + tile)?;
        (tile > 0).then(|| u64::from(length.div_ceil(tile)))
    };
    let count = tiles(4, 20, 28)?.checked_mul(tiles(8, 24, 32)?)?;
    Some(count <= stream.len() as u64 / SMALLEST_TILE_BYTES)
}

/// Reads the SIZ segment (ISO 15444-1 A.5.1). A raw stream starts with its marker; a JP2 file has
/// it inside a box.
fn read_size(stream: &[u8]) -> Option<StreamInfo> {
    const START_AND_SIZ: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];
    let siz = stream.windows(4).position(|bytes| bytes == START_AND_SIZ)? + 4;
    if !holds_tiles(stream, siz)? {
        return None;
    }
    let components = u16_at(stream, siz + 36)?;
    let mut bits = 0;
    for component in 0..usize::from(components) {
        let at = siz + 38 + 3 * component;
        let &[depth, dx, dy] = stream.get(at..at + 3)? else { return None };
        if dx != 1 || dy != 1 {
            return None;
        }
        // The highest bit states the sign.
        bits = bits.max(u32::from(depth & 0x7f) + 1);
    }
    Some(StreamInfo {
        width: u32_at(stream, siz + 4)?.checked_sub(u32_at(stream, siz + 12)?)?,
        height: u32_at(stream, siz + 8)?.checked_sub(u32_at(stream, siz + 16)?)?,
        components: components.into(),
        bits,
    })
}
