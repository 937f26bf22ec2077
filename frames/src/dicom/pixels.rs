//! Encoded pixels by frame.

use std::ops::Range;

use super::data_set::DataSet;
use super::elements::PixelElement;
use super::header::Header;
use super::samples::Samples;
use super::syntax::Encoding;
use super::{DicomProblem, codec, colour};

/// Value of the attribute PixelData, within the bytes of the file.
#[derive(Debug)]
pub(super) struct Pixels {
    bytes: Vec<u8>,
    frames: Frames,
}

#[derive(Debug)]
enum Frames {
    /// All frames in sequence, little endian, from this position.
    Native { start: usize },
    /// Fragments, and the range of them that forms each frame.
    Encapsulated { fragments: Vec<Range<usize>>, frames: Vec<Range<usize>> },
}

const ATTRIBUTE: &str = "PixelData";

impl Pixels {
    /// Takes the pixels out of the data set and checks that there are enough.
    pub(super) fn take(data: DataSet, header: &Header) -> Result<Self, DicomProblem> {
        let unsupported = |found: &str, expected| DicomProblem::Unsupported {
            attribute: ATTRIBUTE,
            found: found.into(),
            expected,
        };
        match (data.pixels, header.encoding) {
            (None, _) => Err(DicomProblem::Missing { attribute: ATTRIBUTE }),
            (Some(PixelElement::Native { range, words }), Encoding::Native) => {
                let big_endian = data.syntax.is_big_endian();
                let mut bytes = data.bytes;
                check_length(range.len() as u64, header)?;
                if big_endian {
                    swap(&mut bytes[range.clone()], header.bits_allocated, words);
                }
                Ok(Self { bytes, frames: Frames::Native { start: range.start } })
            }
            (Some(PixelElement::Fragments { offsets, fragments }), encoding)
                if encoding != Encoding::Native =>
            {
                let frames = frames_of_fragments(&offsets, &fragments, &data.bytes, header)?;
                Ok(Self { bytes: data.bytes, frames: Frames::Encapsulated { fragments, frames } })
            }
            (Some(PixelElement::Native { .. }), _) => {
                Err(unsupported("one value", "fragments, as required by its transfer syntax"))
            }
            (Some(PixelElement::Fragments { .. }), _) => Err(unsupported(
                "a sequence of items",
                "one value, as required by its transfer syntax",
            )),
        }
    }

    /// Decodes the samples of frame `index`, which must be below the header's number of frames.
    pub(super) fn samples(&self, header: &Header, index: usize) -> Result<Samples, DicomProblem> {
        match &self.frames {
            Frames::Native { start } => {
                let bits = header.native_frame_bits() as usize * index;
                Ok(colour::samples_of_native(&self.bytes[start + bits / 8..], bits % 8, header))
            }
            Frames::Encapsulated { fragments, frames } => {
                let mut parts =
                    fragments[frames[index].clone()].iter().map(|range| &self.bytes[range.clone()]);
                match (parts.next(), parts.len()) {
                    (Some(one), 0) => codec::decode(one, header, index),
                    (first, _) => {
                        let stream: Vec<&[u8]> = first.into_iter().chain(parts).collect();
                        codec::decode(&stream.concat(), header, index)
                    }
                }
            }
        }
    }
}

/// Checks the length of uncompressed pixels. More than needed is common; full-size chroma beside
/// the label of a subsampled one would be garbled.
fn check_length(found: u64, header: &Header) -> Result<(), DicomProblem> {
    let expected = (header.native_frame_bits() * header.frames).div_ceil(8);
    let full = header.frame_pixels() as u64 * 3 * header.frames;
    if found < expected || (header.is_subsampled() && found >= full) {
        return Err(DicomProblem::ShortPixels { unit: "bytes", found, expected });
    }
    Ok(())
}

/// Reverses the bytes of each sample, or of each word that holds two samples of 8 bits.
fn swap(bytes: &mut [u8], bits_allocated: u32, words: bool) {
    match bits_allocated {
        32 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse()),
        16 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.reverse()),
        _ if words => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.reverse()),
        _ => {}
    }
}

/// Uncompressed pixels of a file, little endian, at least `expected` bytes.
pub(super) fn native_bytes(data: &DataSet, expected: u64) -> Result<Vec<u8>, DicomProblem> {
    let Some(PixelElement::Native { range, .. }) = &data.pixels else {
        return Err(DicomProblem::Missing { attribute: ATTRIBUTE });
    };
    let found = range.len() as u64;
    if found < expected {
        return Err(DicomProblem::ShortPixels { unit: "bytes", found, expected });
    }
    Ok(data.slice(range).to_vec())
}

/// Range of fragments that forms each frame.
fn frames_of_fragments(
    offsets: &[u32],
    fragments: &[Range<usize>],
    bytes: &[u8],
    header: &Header,
) -> Result<Vec<Range<usize>>, DicomProblem> {
    let expected = header.frames as usize;
    let starts = if fragments.len() == expected {
        (0..expected).collect()
    } else if expected == 1 && !fragments.is_empty() {
        vec![0]
    } else if offsets.len() == expected {
        starts_by_offsets(offsets, fragments)
    } else {
        starts_by_signature(fragments, bytes)
    };
    if starts.len() != expected {
        let (found, expected) = (starts.len() as u64, expected as u64);
        return Err(DicomProblem::ShortPixels { unit: "frames", found, expected });
    }
    let ends = starts.iter().copied().skip(1).chain([fragments.len()]);
    Ok(starts.iter().zip(ends).map(|(&start, end)| start..end).collect())
}

/// Fragments at which frames start according to the basic offset table, whose entries count bytes
/// from the first fragment's header. Entries that match no fragment's start are skipped, which
/// leaves too few frames.
fn starts_by_offsets(offsets: &[u32], fragments: &[Range<usize>]) -> Vec<usize> {
    const FRAGMENT_HEADER_BYTES: u64 = 8;
    let mut offsets = offsets.iter().map(|&offset| u64::from(offset)).peekable();
    let mut position = 0;
    let mut starts = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        if offsets.next_if_eq(&position).is_some() {
            starts.push(index);
        }
        position += FRAGMENT_HEADER_BYTES + fragment.len() as u64;
    }
    starts
}

/// Fragments that start with the signature of a JPEG, JPEG-LS or JPEG 2000 stream.
fn starts_by_signature(fragments: &[Range<usize>], bytes: &[u8]) -> Vec<usize> {
    let signatures: [&[u8]; 3] =
        [&[0xff, 0xd8, 0xff], &[0xff, 0x4f, 0xff, 0x51], b"\0\0\0\x0cjP  "];
    let is_start = |fragment: &[u8]| signatures.iter().any(|start| fragment.starts_with(start));
    (0..fragments.len()).filter(|&index| is_start(&bytes[fragments[index].clone()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_table_and_signatures_find_the_same_starts() {
        let bytes = [0xff, 0xd8, 0xff, 0xe0, 1, 2, 1, 2, 0xff, 0xd8, 0xff, 0xe0];
        let fragments = [0..4, 4..6, 6..8, 8..12];
        assert_eq!(starts_by_signature(&fragments, &bytes), [0, 3]);
        assert_eq!(starts_by_offsets(&[0, 12 + 10 + 10], &fragments), [0, 3]);
        assert_eq!(starts_by_offsets(&[0, 13], &fragments), [0]);
    }
}
