//! Palette colour lookup tables, plain and segmented (PS3.3 C.7.6.3.1.5, C.7.9.2).

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

use super::DicomProblem;

/// Colours by index.
#[derive(Debug)]
pub(super) struct Palette {
    /// Index of the first colour. Lower indices also get it, and indices above the last get the
    /// last.
    first: u16,
    /// Colours, at least one.
    colours: Vec<[u8; 3]>,
}

impl Palette {
    pub(super) fn read(object: &InMemDicomObject) -> Result<Self, DicomProblem> {
        let [red, green, blue] = [&CHANNELS[0], &CHANNELS[1], &CHANNELS[2]];
        let (first, red) = red.read(object)?;
        let (_, green) = green.read(object)?;
        let (_, blue) = blue.read(object)?;
        // Entries are 16 bits wide; some writers use only the low 8 bits.
        let all = red.iter().chain(&green).chain(&blue);
        let shift = if all.copied().max() > Some(0xff) { 8 } else { 0 };
        let [red, green, blue] = [red, green, blue]
            .map(|channel| channel.into_iter().map(|value| (value >> shift) as u8).collect());
        let [red, green, blue]: [Vec<u8>; 3] = [red, green, blue];
        // If the channels have different lengths, the shortest one is used.
        let colours = red.iter().zip(green).zip(blue).map(|((&r, g), b)| [r, g, b]).collect();
        Ok(Self { first, colours })
    }

    /// Converts indices `[H, W]` to RGB `[H, W, 3]`.
    pub(super) fn look_up(&self, indices: &[u16]) -> Vec<u8> {
        let last = self.colours.len() - 1;
        indices
            .iter()
            .flat_map(|index| self.colours[usize::from(index.saturating_sub(self.first)).min(last)])
            .collect()
    }
}

/// Attributes of one channel's table.
struct Channel {
    descriptor: (Tag, &'static str),
    plain: (Tag, &'static str),
    segmented: (Tag, &'static str),
}

const CHANNELS: [Channel; 3] = [
    Channel {
        descriptor: (
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            "RedPaletteColorLookupTableDescriptor",
        ),
        plain: (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, "RedPaletteColorLookupTableData"),
        segmented: (
            tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            "SegmentedRedPaletteColorLookupTableData",
        ),
    },
    Channel {
        descriptor: (
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            "GreenPaletteColorLookupTableDescriptor",
        ),
        plain: (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA, "GreenPaletteColorLookupTableData"),
        segmented: (
            tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            "SegmentedGreenPaletteColorLookupTableData",
        ),
    },
    Channel {
        descriptor: (
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            "BluePaletteColorLookupTableDescriptor",
        ),
        plain: (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA, "BluePaletteColorLookupTableData"),
        segmented: (
            tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            "SegmentedBluePaletteColorLookupTableData",
        ),
    },
];

impl Channel {
    /// Reads the first index and the values of one channel: 8 bits in the low byte, or 16 bits.
    fn read(&self, object: &InMemDicomObject) -> Result<(u16, Vec<u16>), DicomProblem> {
        let (tag, attribute) = self.descriptor;
        let descriptor = object
            .get(tag)
            .and_then(|element| element.to_multi_int::<i32>().ok())
            .ok_or(DicomProblem::Missing { attribute })?;
        // Some readers take the first two as signed; 65,536 entries are stored as 0.
        let (entries, first, bits) = match descriptor[..] {
            [entries, first, bits @ (8 | 16)] => (entries as u16, first as u16, bits),
            _ => {
                let found = format!("{descriptor:?}");
                let expected = "number of entries, first index, and 8 or 16 bits";
                return Err(DicomProblem::Unsupported { attribute, found, expected });
            }
        };
        let entries = if entries == 0 { 65_536 } else { usize::from(entries) };

        let (values, attribute) = match (object.get(self.plain.0), object.get(self.segmented.0)) {
            (Some(plain), _) => {
                let bytes = plain.to_bytes().unwrap_or_default();
                // Some writers store 8 bits in words.
                let bits = if bytes.len() >= 2 * entries { 16 } else { bits };
                (table_values(&bytes, bits), self.plain.1)
            }
            (None, Some(segmented)) => {
                let words = table_values(&segmented.to_bytes().unwrap_or_default(), bits);
                (expand_segments(&words, entries, self.segmented.1)?, self.segmented.1)
            }
            (None, None) => return Err(DicomProblem::Missing { attribute: self.plain.1 }),
        };
        // 8-bit tables of odd length are padded.
        let Some(values) = values.get(..entries) else {
            let found = format!("{} entries long", values.len());
            let expected = "as many entries as its descriptor states";
            return Err(DicomProblem::Unsupported { attribute, found, expected });
        };
        Ok((first, values.to_vec()))
    }
}

fn table_values(bytes: &[u8], bits: i32) -> Vec<u16> {
    match bits {
        8 => bytes.iter().map(|&byte| byte.into()).collect(),
        _ => bytes.as_chunks().0.iter().map(|&word| u16::from_ne_bytes(word)).collect(),
    }
}

/// Expands discrete, linear and indirect segments to at most `entries` values.
fn expand_segments(
    words: &[u16],
    entries: usize,
    attribute: &'static str,
) -> Result<Vec<u16>, DicomProblem> {
    let mut table = Vec::with_capacity(entries);
    let mut position = 0;
    // Padding to an even length may follow the last segment.
    while position < words.len() && table.len() < entries {
        position = match words[position] {
            INDIRECT => expand_indirect(words, position, entries, &mut table),
            _ => expand_direct(words, position, entries, &mut table),
        }
        .ok_or_else(|| DicomProblem::Unsupported {
            attribute,
            found: format!("damaged at word {position}"),
            expected: "discrete, linear or indirect segments",
        })?;
    }
    Ok(table)
}

const DISCRETE: u16 = 0;
const LINEAR: u16 = 1;
const INDIRECT: u16 = 2;

/// Expands the discrete or linear segment at `position`; returns the position of the next segment.
fn expand_direct(
    words: &[u16],
    position: usize,
    entries: usize,
    table: &mut Vec<u16>,
) -> Option<usize> {
    // Without empty segments, which expand to nothing however often they are repeated.
    let length = Some(usize::from(*words.get(position + 1)?)).filter(|length| *length > 0)?;
    let room = entries.saturating_sub(table.len());
    match words[position] {
        DISCRETE => {
            let values = words.get(position + 2..position + 2 + length)?;
            table.extend_from_slice(&values[..length.min(room)]);
            Some(position + 2 + length)
        }
        LINEAR => {
            let end = f64::from(*words.get(position + 2)?);
            let start = f64::from(*table.last()?);
            let step = (end - start) / length as f64;
            let value = |index: usize| (start + step * index as f64).round_ties_even() as u16;
            table.extend((1..=length.min(room)).map(value));
            Some(position + 3)
        }
        _ => None,
    }
}

/// Expands the segments that an indirect segment refers to, which must not be indirect themselves.
fn expand_indirect(
    words: &[u16],
    position: usize,
    entries: usize,
    table: &mut Vec<u16>,
) -> Option<usize> {
    let segments = *words.get(position + 1)?;
    let (low, high) = (*words.get(position + 2)?, *words.get(position + 3)?);
    // Byte offset from the start of the table.
    let mut target = (u32::from(high) << 16 | u32::from(low)) as usize / 2;
    for _ in 0..segments {
        target = words.get(target).and_then(|_| expand_direct(words, target, entries, table))?;
    }
    Some(position + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_expand_as_in_the_standard() {
        let words = [0, 2, 10, 20, 1, 4, 40, 2, 2, 0, 0];
        let table = expand_segments(&words, 12, "X").unwrap();
        assert_eq!(table, [10, 20, 25, 30, 35, 40, 10, 20, 25, 30, 35, 40]);
    }

    #[test]
    fn expansion_stops_at_the_stated_length() {
        assert_eq!(expand_segments(&[0, 1, 7, 1, 65535, 9], 3, "X").unwrap(), [7, 7, 7]);
    }

    #[test]
    fn damaged_segments_are_refused() {
        let cases: [&[u16]; 9] = [
            &[0, 0, 0, 1, 5],
            &[0, 1, 5, 1, 0, 9],
            &[3, 1, 1],
            &[0, 5, 1],
            &[1, 2, 9],
            &[0, 1, 5, 1, 2],
            &[0, 1, 5, 2, 1, 6, 0],
            &[0, 1, 5, 2, 1, 0xffff, 0xffff],
            &[0],
        ];
        for words in cases {
            assert!(expand_segments(words, 100, "X").is_err(), "{words:?}");
        }
    }
}
