//! Adaptive binary arithmetic coding (Witten, Neal and Cleary 1987).

/// Probability that a bit is set, which adapts to the bits seen.
#[derive(Clone, Copy)]
pub(super) struct Probability {
    /// In 1/65536, from 1 to 65535.
    of_one: u32,
    /// Number of bits seen, up to [`Probability::MEMORY`].
    seen: u32,
}

impl Probability {
    /// Number of bits after which older ones are forgotten.
    const MEMORY: u32 = 255;

    fn see(&mut self, bit: bool) {
        let target = if bit { 65535 } else { 1 };
        let step = (i64::from(target) - i64::from(self.of_one)) / i64::from(self.seen + 2);
        self.of_one = (i64::from(self.of_one) + step) as u32;
        self.seen = (self.seen + 1).min(Self::MEMORY);
    }
}

impl Default for Probability {
    fn default() -> Self {
        Self { of_one: 1 << 15, seen: 0 }
    }
}

/// Encoder or decoder, so that both run the same model.
pub(super) trait Coder {
    /// Codes one bit. An encoder writes and returns `bit`; a decoder ignores it and returns the bit
    /// that was written.
    fn code(&mut self, bit: bool, probability: &mut Probability) -> bool;
}

/// The numbers that the code may still mean, both ends included.
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const WHOLE: Self = Self { low: 0, high: u32::MAX };

    /// Last number of the part that means a set bit.
    fn middle(&self, probability: &Probability) -> u32 {
        let part = u64::from(self.high - self.low) * u64::from(probability.of_one);
        self.low + (part >> 16) as u32
    }

    fn narrow(&mut self, middle: u32, bit: bool) {
        if bit { self.high = middle } else { self.low = middle + 1 }
    }

    /// The leading byte, once it can no longer change; it leaves the interval.
    fn settled(&mut self) -> Option<u8> {
        let settled = (self.low ^ self.high) >> 24 == 0;
        settled.then(|| {
            let byte = (self.high >> 24) as u8;
            self.low <<= 8;
            self.high = self.high << 8 | 0xff;
            byte
        })
    }
}

/// Writes a code.
pub(super) struct Encoder {
    interval: Interval,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { interval: Interval::WHOLE, bytes: Vec::new() }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(self.interval.high.to_be_bytes());
        self.bytes
    }
}

impl Coder for Encoder {
    fn code(&mut self, bit: bool, probability: &mut Probability) -> bool {
        let middle = self.interval.middle(probability);
        self.interval.narrow(middle, bit);
        while let Some(byte) = self.interval.settled() {
            self.bytes.push(byte);
        }
        probability.see(bit);
        bit
    }
}

/// Reads a code. After its end, it reads zeros.
pub(super) struct Decoder<'a> {
    interval: Interval,
    number: u32,
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { interval: Interval::WHOLE, number: 0, bytes: bytes.iter() };
        (0..4).for_each(|_| decoder.read());
        decoder
    }

    fn read(&mut self) {
        self.number = self.number << 8 | u32::from(*self.bytes.next().unwrap_or(&0));
    }
}

impl Coder for Decoder<'_> {
    fn code(&mut self, _: bool, probability: &mut Probability) -> bool {
        let middle = self.interval.middle(probability);
        let bit = self.number <= middle;
        self.interval.narrow(middle, bit);
        while self.interval.settled().is_some() {
            self.read();
        }
        probability.see(bit);
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One bit in `of`, at pseudorandom places.
    fn bits(of: u32) -> Vec<bool> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16).is_multiple_of(of)
        };
        (0..20_000).map(|_| next()).collect()
    }

    fn encoded(bits: &[bool]) -> Vec<u8> {
        let (mut encoder, mut probability) = (Encoder::new(), Probability::default());
        bits.iter().for_each(|bit| {
            encoder.code(*bit, &mut probability);
        });
        encoder.finish()
    }

    #[test]
    fn decoder_returns_the_encoded_bits() {
        for bits in [bits(1), bits(2), bits(20), bits(65_000), vec![false; 100_000]] {
            let bytes = encoded(&bits);
            let (mut decoder, mut probability) = (Decoder::new(&bytes), Probability::default());
            assert!(bits.iter().all(|bit| decoder.code(false, &mut probability) == *bit));
        }
    }

    #[test]
    fn rare_bits_take_little_space() {
        // 20,000 bits with an entropy of 0.286 bits.
        let length = encoded(&bits(20)).len();
        assert!((680..760).contains(&length), "{length} bytes");
    }
}
