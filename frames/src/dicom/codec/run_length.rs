//! RLE Lossless (PS3.5 annex G): byte planes, each packed as runs and literals.

use super::super::DicomProblem;
use super::super::colour::{eight_bit_samples, single_samples, three_to_rgb};
use super::super::header::{Header, Layout};
use super::super::samples::Samples;

/// Size of the header: the number of segments and 15 offsets.
const HEADER_BYTES: usize = 64;

pub(super) fn decode(
    stream: &[u8],
    header: &Header,
    frame: usize,
) -> Result<Samples, DicomProblem> {
    let damaged = |reason: String| DicomProblem::Undecodable { frame, codec: "RLE", reason };
    let bytes_per_sample = header.bits_allocated as usize / 8;
    let expected = header.samples_per_pixel * bytes_per_sample;
    let word = |index: usize| {
        let bytes = stream.get(4 * index..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let segments = word(0).filter(|_| stream.len() >= HEADER_BYTES);
    if segments != Some(expected) {
        let found = segments.map_or("no header".to_owned(), |count| format!("{count} segments"));
        return Err(damaged(format!("{found}, expected {expected} segments")));
    }
    let pixels = header.frame_pixels();
    let mut samples = vec![0; expected * pixels];
    for segment in 0..expected {
        // Decoding of a segment stops when its plane is full; padding may follow.
        let plane = word(1 + segment)
            .filter(|offset| *offset >= HEADER_BYTES)
            .and_then(|offset| unpack(stream.get(offset..)?, pixels))
            .ok_or_else(|| damaged(format!("segment {segment} ends early")))?;
        // The planes of a sample start with that of its highest bytes.
        let byte = bytes_per_sample - 1 - segment % bytes_per_sample;
        let first = segment / bytes_per_sample * pixels * bytes_per_sample + byte;
        let places = samples[first..].iter_mut().step_by(bytes_per_sample);
        places.zip(plane).for_each(|(place, value)| *place = value);
    }
    Ok(match header.samples_per_pixel {
        1 => single_samples(&samples, header),
        _ => {
            Samples::Rgb(three_to_rgb(eight_bit_samples(&samples, header), header, Layout::Planar))
        }
    })
}

/// Unpacks exactly `len` bytes; `None` if the segment ends earlier.
fn unpack(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut plane = Vec::with_capacity(len);
    let mut rest = packed;
    while plane.len() < len {
        let (&control, after) = rest.split_first()?;
        let room = len - plane.len();
        rest = match control {
            0..=127 => {
                let (literal, after) = after.split_at_checked(usize::from(control) + 1)?;
                plane.extend_from_slice(&literal[..literal.len().min(room)]);
                after
            }
            128 => after,
            129..=255 => {
                let (&value, after) = after.split_first()?;
                let run = 257 - usize::from(control);
                plane.resize(plane.len() + run.min(room), value);
                after
            }
        };
    }
    Some(plane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_literals_unpack() {
        assert_eq!(unpack(&[1, 7, 8, 128, 254, 9], 5).unwrap(), [7, 8, 9, 9, 9]);
        assert_eq!(unpack(&[254, 9], 2).unwrap(), [9, 9]);
        assert!(unpack(&[1, 7], 2).is_none());
        assert!(unpack(&[254, 9], 4).is_none());
    }
}
