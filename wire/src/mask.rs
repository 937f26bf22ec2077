//! Binary masks in at most 8192 bytes.

mod packed;
mod runs;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::message::check_range;

/// Largest width and height of a mask, in cells.
pub const MAX_MASK_SIDE: u16 = 256;

/// Longest payload in bytes: one bit for each of 256 x 256 cells.
pub const MAX_PAYLOAD_LEN: usize = 256 * 256 / 8;

/// A binary mask `[height, width]` that covers the whole frame.
///
/// Cell (x, y) covers the frame's pixels from `x * frame_width / width` to `(x + 1) * frame_width /
/// width`, and likewise for the rows. The mask does not include the padding that a square network
/// adds to a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    width: u16,
    height: u16,
    coding: MaskCoding,
    #[serde(with = "payload_as_bytes")]
    payload: Vec<u8, MAX_PAYLOAD_LEN>,
}

/// Coding of the cells in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaskCoding {
    /// Lengths of runs as varints; the first run is background.
    RunLength,
    /// One bit per cell; the first cell is in the highest bit.
    Packed,
}

impl Mask {
    /// Encodes `width * height` cells given row by row: as runs, or bit-packed if that is shorter.
    /// If bit-packing is shorter, the iterator is used twice.
    ///
    /// # Errors
    /// A side is 0 or above [`MAX_MASK_SIDE`], or the number of cells is not `width * height`.
    pub fn from_bits<I>(width: u16, height: u16, cells: I) -> Result<Self, WireError>
    where
        I: IntoIterator<Item = bool, IntoIter: Clone>,
    {
        check_sides(width, height)?;
        let cells = cells.into_iter();
        let cell_count = usize::from(width) * usize::from(height);
        let found = cells.clone().take(cell_count + 1).count();
        if found != cell_count {
            let (found, expected) = (found as u64, cell_count as u64);
            return Err(WireError::MiscountsCells { width, height, found, expected });
        }
        let packed_len = cell_count.div_ceil(8);
        Ok(match runs::encode(cells.clone(), packed_len) {
            Some(payload) => Self { width, height, coding: MaskCoding::RunLength, payload },
            None => {
                let payload = packed::encode(cells);
                Self { width, height, coding: MaskCoding::Packed, payload }
            }
        })
    }

    /// Width in cells, 1 to [`MAX_MASK_SIDE`].
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Height in cells, 1 to [`MAX_MASK_SIDE`].
    pub fn height(&self) -> u16 {
        self.height
    }

    /// Coding of the cells in the payload.
    pub fn coding(&self) -> MaskCoding {
        self.coding
    }

    /// Encoded cells.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Cells row by row, exactly `width * height` of them.
    pub fn bits(&self) -> Bits<'_> {
        let remaining = self.cell_count();
        match self.coding {
            MaskCoding::RunLength => {
                Bits { remaining, cells: Cells::Runs(runs::Cells::new(&self.payload)) }
            }
            MaskCoding::Packed => {
                Bits { remaining, cells: Cells::Packed(packed::Cells::new(&self.payload)) }
            }
        }
    }

    /// Writes the cells row by row to `cells`, `[height * width]`.
    ///
    /// # Errors
    /// The slice does not have `width * height` elements.
    pub fn write_bits(&self, cells: &mut [bool]) -> Result<(), WireError> {
        if cells.len() != self.cell_count() {
            return Err(self.miscount(cells.len() as u64));
        }
        for (place, bit) in cells.iter_mut().zip(self.bits()) {
            *place = bit;
        }
        Ok(())
    }

    /// Number of set cells.
    pub fn area_cells(&self) -> u32 {
        self.bits().map(u32::from).sum()
    }

    pub(crate) fn check(&self) -> Result<(), WireError> {
        check_sides(self.width, self.height)?;
        match self.coding {
            MaskCoding::RunLength => {
                let sum = runs::checked_sum(&self.payload)?;
                if sum == self.cell_count() as u64 { Ok(()) } else { Err(self.miscount(sum)) }
            }
            MaskCoding::Packed => packed::check(&self.payload, self.cell_count()),
        }
    }

    fn cell_count(&self) -> usize {
        usize::from(self.width) * usize::from(self.height)
    }

    fn miscount(&self, found: u64) -> WireError {
        let (width, height, expected) = (self.width, self.height, self.cell_count() as u64);
        WireError::MiscountsCells { width, height, found, expected }
    }
}

/// Iterator over the cells of a [`Mask`], row by row.
#[derive(Clone, Debug)]
pub struct Bits<'a> {
    remaining: usize,
    cells: Cells<'a>,
}

#[derive(Clone, Debug)]
enum Cells<'a> {
    Runs(runs::Cells<'a>),
    Packed(packed::Cells<'a>),
}

impl Iterator for Bits<'_> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        self.remaining = self.remaining.checked_sub(1)?;
        let bit = match &mut self.cells {
            Cells::Runs(cells) => cells.next(),
            Cells::Packed(cells) => cells.next(),
        };
        // A checked mask has enough cells. One that bypassed `Message::decode` is filled with
        // background.
        Some(bit.unwrap_or(false))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Bits<'_> {}

fn check_sides(width: u16, height: u16) -> Result<(), WireError> {
    check_range("mask.width", width, 1u8, MAX_MASK_SIDE)?;
    check_range("mask.height", height, 1u8, MAX_MASK_SIDE)
}

/// Serializes the payload as one byte string; a sequence would serialize every byte separately.
mod payload_as_bytes {
    use core::fmt;

    use heapless::Vec;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    use super::MAX_PAYLOAD_LEN;

    pub fn serialize<S: Serializer>(
        payload: &Vec<u8, MAX_PAYLOAD_LEN>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(payload)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8, MAX_PAYLOAD_LEN>, D::Error> {
        deserializer.deserialize_bytes(PayloadVisitor)
    }

    struct PayloadVisitor;

    impl Visitor<'_> for PayloadVisitor {
        type Value = Vec<u8, MAX_PAYLOAD_LEN>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "at most {MAX_PAYLOAD_LEN} bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Vec::from_slice(bytes).map_err(|_| E::invalid_length(bytes.len(), &self))
        }
    }
}
