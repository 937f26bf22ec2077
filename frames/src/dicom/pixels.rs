//! Encoded pixels by frame.

use std::ops::Range;

use dicom_core::DicomValue;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::tags;
use dicom_object::DefaultDicomObject;

use super::header::{Encoding, Header};
use super::samples::Samples;
use super::{DicomProblem, codec, colour};

/// Value of the attribute PixelData.
#[derive(Debug)]
pub(super) enum Pixels {
    /// All frames in sequence, little endian.
    Native(Vec<u8>),
    /// Fragments, and the range of them that forms each frame.
    Encapsulated { fragments: Vec<Vec<u8>>, frames: Vec<Range<usize>> },
}

impl Pixels {
    /// Takes the pixels out of the data set and checks that there are enough.
    pub(super) fn take(
        mut object: DefaultDicomObject,
        header: &Header,
    ) -> Result<Self, DicomProblem> {
        let attribute = "PixelData";
        let value = object
            .take_element(tags::PIXEL_DATA)
            .map_err(|_| DicomProblem::Missing { attribute })?
            .into_value();
        match (value, header.encoding) {
            (DicomValue::Primitive(value), Encoding::Native) => native(value, header),
            (DicomValue::PixelSequence(sequence), encoding) if encoding != Encoding::Native => {
                let (offsets, fragments) = sequence.into_parts();
                encapsulated(&offsets, fragments.into_vec(), header)
            }
            (DicomValue::Primitive(_), _) => Err(DicomProblem::Unsupported {
                attribute,
                found: "one value".into(),
                expected: "fragments, as required by its transfer syntax",
            }),
            _ => Err(DicomProblem::Unsupported {
                attribute,
                found: "a sequence of items".into(),
                expected: "one value, as required by its transfer syntax",
            }),
        }
    }

    /// Decodes the samples of frame `index`, which must be below the header's number of frames.
    pub(super) fn samples(&self, header: &Header, index: usize) -> Result<Samples, DicomProblem> {
        match self {
            Self::Native(bytes) => {
                let len = header.native_frame_bytes();
                Ok(colour::samples_of_native(&bytes[index * len..][..len], header))
            }
            Self::Encapsulated { fragments, frames } => {
                let stream = match &fragments[frames[index].clone()] {
                    [one] => one,
                    several => &several.concat(),
                };
                codec::decode(stream, header, index)
            }
        }
    }
}

fn native(value: PrimitiveValue, header: &Header) -> Result<Pixels, DicomProblem> {
    let expected = header.native_frame_bytes() as u64 * header.frames;
    Ok(Pixels::Native(native_bytes(value, expected)?))
}

/// Uncompressed pixels, little endian, at least `expected` bytes.
pub(super) fn native_bytes(value: PrimitiveValue, expected: u64) -> Result<Vec<u8>, DicomProblem> {
    let bytes = match value {
        PrimitiveValue::U8(bytes) => bytes.into_vec(),
        PrimitiveValue::U16(words) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        _ => return Err(DicomProblem::Missing { attribute: "PixelData" }),
    };
    let found = bytes.len() as u64;
    if found < expected {
        return Err(DicomProblem::ShortPixels { unit: "bytes", found, expected });
    }
    Ok(bytes)
}

fn encapsulated(
    offsets: &[u32],
    fragments: Vec<Vec<u8>>,
    header: &Header,
) -> Result<Pixels, DicomProblem> {
    let expected = header.frames as usize;
    let starts = if fragments.len() == expected {
        (0..expected).collect()
    } else if expected == 1 && !fragments.is_empty() {
        vec![0]
    } else if offsets.len() == expected {
        starts_by_offsets(offsets, &fragments)
    } else {
        starts_by_signature(&fragments)
    };
    if starts.len() != expected {
        let (found, expected) = (starts.len() as u64, expected as u64);
        return Err(DicomProblem::ShortPixels { unit: "frames", found, expected });
    }
    let ends = starts.iter().copied().skip(1).chain([fragments.len()]);
    let frames = starts.iter().zip(ends).map(|(&start, end)| start..end).collect();
    Ok(Pixels::Encapsulated { fragments, frames })
}

/// Fragments at which frames start according to the basic offset table, whose entries count bytes
/// from the first fragment's header. Entries that match no fragment's start are skipped, which
/// leaves too few frames.
fn starts_by_offsets(offsets: &[u32], fragments: &[Vec<u8>]) -> Vec<usize> {
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

/// Fragments that start with the signature of a JPEG or JPEG 2000 stream.
fn starts_by_signature(fragments: &[Vec<u8>]) -> Vec<usize> {
    let signatures: [&[u8]; 2] = [&[0xff, 0xd8, 0xff], &[0xff, 0x4f, 0xff, 0x51]];
    let is_start = |fragment: &[u8]| signatures.iter().any(|start| fragment.starts_with(start));
    (0..fragments.len()).filter(|&index| is_start(&fragments[index])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_table_and_signatures_find_the_same_starts() {
        let start = vec![0xff, 0xd8, 0xff, 0xe0];
        let rest = vec![1, 2];
        let fragments = [start.clone(), rest.clone(), rest, start];
        assert_eq!(starts_by_signature(&fragments), [0, 3]);
        assert_eq!(starts_by_offsets(&[0, 12 + 10 + 10], &fragments), [0, 3]);
        assert_eq!(starts_by_offsets(&[0, 13], &fragments), [0]);
    }
}
