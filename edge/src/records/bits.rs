//! Masks as bits, for DICOM Segmentations.

/// Bits, the first in the lowest bit of a byte, without gaps between rows or masks (PS3.5 8.2,
/// annex D).
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Number of bits used of the last byte; 0 for all.
    used: u8,
}

impl Bits {
    /// The bytes; unused bits of the last are 0.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Extend<bool> for Bits {
    fn extend<T: IntoIterator<Item = bool>>(&mut self, bits: T) {
        for bit in bits {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(bit) << self.used;
            }
            self.used = (self.used + 1) % 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_packed_without_gaps() {
        let mut bits = Bits::default();
        bits.extend([true, false, false, false, false, true]);
        bits.extend([true, true, false, false, false, true]);
        // 100001 110001, the lowest bit first.
        assert_eq!(bits.into_bytes(), [0b1110_0001, 0b1000]);
    }
}
