//! Bit-packed cells: eight cells per byte, the first cell in the highest bit, no padding between
//! rows.

use heapless::Vec;

use super::MAX_PAYLOAD_LEN;
use crate::WireError;

/// Packs `cells`, at most 256 x 256.
pub(super) fn encode(cells: impl Iterator<Item = bool>) -> Vec<u8, MAX_PAYLOAD_LEN> {
    let mut payload = Vec::new();
    for (index, bit) in cells.enumerate() {
        if index % 8 == 0 {
            // Invariant: the caller checked the sides, so every cell fits.
            payload.push(0).expect("at most 256 x 256 cells");
        }
        if let Some(last) = payload.last_mut() {
            *last |= u8::from(bit) << (7 - index % 8);
        }
    }
    payload
}

/// Checks the length, and that the bits after the last cell are zero, so that a mask has only one
/// packed form.
pub(super) fn check(payload: &[u8], cell_count: usize) -> Result<(), WireError> {
    let (found, expected) = (payload.len(), cell_count.div_ceil(8));
    let padding_bits = expected * 8 - cell_count;
    let padding = payload.last().map_or(0, |last| last & !(0xff << padding_bits));
    if found == expected && padding == 0 {
        Ok(())
    } else {
        Err(WireError::BreaksPacking { found, expected })
    }
}

/// Iterator over the cells of a packed payload, including padding.
#[derive(Clone, Debug)]
pub(super) struct Cells<'a> {
    payload: &'a [u8],
    index: usize,
}

impl<'a> Cells<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, index: 0 }
    }
}

impl Iterator for Cells<'_> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        let byte = self.payload.get(self.index / 8)?;
        let bit = byte >> (7 - self.index % 8) & 1;
        self.index += 1;
        Some(bit == 1)
    }
}
