//! Lookup tables of the modality and the VOI (PS3.3 C.11.1, C.11.2).

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

/// A lookup table.
#[derive(Debug)]
pub(super) struct Lut {
    /// Input of the first entry. Lower inputs also get it, and inputs above the last get the last.
    first: i64,
    /// At least one entry.
    entries: Vec<u16>,
    /// Highest output: that of the bits of an entry.
    highest: u16,
}

impl Lut {
    /// Reads the table in the first item of a sequence; `None` if there is no usable one. `signed`
    /// tells whether inputs may be negative.
    pub(super) fn read(object: &InMemDicomObject, sequence: Tag, signed: bool) -> Option<Self> {
        let item = object.get(sequence)?.items()?.first()?;
        let descriptor = item.get(tags::LUT_DESCRIPTOR)?.to_multi_int::<i32>().ok()?;
        let &[entries, first, bits] = &descriptor[..] else { return None };
        // Some writers state the first two as signed; 65,536 entries are stored as 0.
        let entries = match entries as u16 {
            0 => 65_536,
            entries => usize::from(entries),
        };
        let first = if signed { i64::from(first as i16) } else { i64::from(first as u16) };
        let bytes = item.get(tags::LUT_DATA)?.to_bytes().ok()?;
        let values: Vec<u16> = if bytes.len() < 2 * entries && bits == 8 {
            bytes.iter().take(entries).map(|&byte| byte.into()).collect()
        } else {
            let words = bytes.as_chunks().0.iter().map(|&word| u16::from_ne_bytes(word));
            words.take(entries).collect()
        };
        let largest = *values.iter().max()?;
        let bits = u32::try_from(bits).ok().filter(|bits| (8..=16).contains(bits))?;
        Some(Self { first, highest: (u16::MAX >> (16 - bits)).max(largest), entries: values })
    }

    /// Output for an input.
    pub(super) fn get(&self, input: f64) -> u16 {
        // `as` saturates; a table has at most 65,536 entries.
        let index = (input.round() as i64).saturating_sub(self.first);
        self.entries[index.clamp(0, self.entries.len() as i64 - 1) as usize]
    }

    /// Output for an input, from 0 to 1.
    pub(super) fn fraction(&self, input: f64) -> f64 {
        f64::from(self.get(input)) / f64::from(self.highest)
    }
}
