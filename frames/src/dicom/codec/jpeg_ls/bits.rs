//! Bits of a scan (T.87 A.1, C.1): after a byte 0xff, only seven bits of the next byte are data.

/// Reads bits, the highest of a byte first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Unread bits, in the highest places.
    buffer: u64,
    len: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, buffer: 0, len: 0 }
    }

    /// Reads `count` bits, at most 16.
    pub(super) fn read(&mut self, count: u32) -> Result<u32, String> {
        if count == 0 {
            return Ok(0);
        }
        self.fill(count)?;
        let value = (self.buffer >> (64 - count)) as u32;
        self.buffer <<= count;
        self.len -= count;
        Ok(value)
    }

    /// Reads zeros up to the next one; an error if there are more than `limit`.
    pub(super) fn zeros(&mut self, limit: u32) -> Result<u32, String> {
        for zeros in 0..=limit {
            if self.read(1)? == 1 {
                return Ok(zeros);
            }
        }
        Err("a code is longer than allowed".to_owned())
    }

    fn fill(&mut self, count: u32) -> Result<(), String> {
        while self.len < count {
            let byte = self.bytes.get(self.at).copied();
            let stuffed = self.at > 0 && self.bytes[self.at - 1] == 0xff;
            let bits = if stuffed { 7 } else { 8 };
            // A marker ends the scan: 0xff, then a byte with its highest bit set.
            let byte = byte.filter(|byte| !stuffed || byte & 0x80 == 0);
            let byte = byte.ok_or("the data ends within a scan")?;
            let marker =
                byte == 0xff && self.bytes.get(self.at + 1).is_none_or(|next| next & 0x80 != 0);
            if marker {
                return Err("the data ends within a scan".to_owned());
            }
            self.buffer |= u64::from(byte) << (64 - bits - self.len);
            self.len += bits;
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffed_bits_are_skipped_and_markers_end_the_data() {
        let mut bits = Bits::new(&[0xff, 0x40, 0x80, 0xff, 0xd9]);
        assert_eq!(bits.read(9), Ok(0x1ff));
        assert_eq!(bits.read(6), Ok(0));
        assert_eq!(bits.read(8), Ok(0x80));
        assert!(bits.read(1).is_err());
        assert_eq!(Bits::new(&[0b0001_0000]).zeros(8), Ok(3));
        assert!(Bits::new(&[0, 0]).zeros(8).is_err());
    }
}
