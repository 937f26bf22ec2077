//! Conversion of samples to RGB by photometric interpretation (PS3.3 C.7.6.3.1.2).

use super::header::{Header, Layout, Photometric};
use super::samples::{Samples, mask};

/// Samples of an uncompressed frame, little endian. `bytes` starts with it, after `skip` bits of the
/// frame before.
pub(super) fn samples_of_native(bytes: &[u8], skip: usize, header: &Header) -> Samples {
    if header.bits_allocated == 1 {
        let bit = |index: usize| u16::from(bytes[index / 8] >> (index % 8) & 1);
        let values = (skip..skip + header.frame_pixels()).map(bit).collect();
        return Samples::Single { values, bits: 1 };
    }
    let bytes = &bytes[..(header.native_frame_bits() / 8) as usize];
    match (header.samples_per_pixel, header.is_subsampled()) {
        (1, _) => single_samples(bytes, header),
        (_, true) => Samples::Rgb(chroma_pairs_to_rgb(bytes, converter(header.photometric))),
        _ => Samples::Rgb(three_to_rgb(eight_bit_samples(bytes, header), header, header.layout)),
    }
}

/// Samples of a frame with one sample per pixel, 8, 16 or 32 bits little endian. Bits above
/// BitsStored are cleared, because they may hold overlays.
pub(super) fn single_samples(bytes: &[u8], header: &Header) -> Samples {
    let (shift, mask, bits) = (header.shift, mask(header.bits_stored), header.bits_stored);
    let stored = |raw: u32| (raw >> shift) & mask;
    if bits > 16 {
        let values = words(bytes).map(stored).collect();
        return Samples::Wide { values, bits };
    }
    let values = match header.bits_allocated {
        8 => bytes.iter().map(|&byte| stored(byte.into()) as u16).collect(),
        16 => halves(bytes).map(|half| stored(half.into()) as u16).collect(),
        _ => words(bytes).map(|word| stored(word) as u16).collect(),
    };
    Samples::Single { values, bits }
}

/// Samples of colours, 8, 16 or 32 bits little endian, reduced to 8 bits.
pub(super) fn eight_bit_samples(bytes: &[u8], header: &Header) -> Vec<u8> {
    let (shift, mask, bits) = (header.shift, mask(header.bits_stored), header.bits_stored);
    let reduced = |raw: u32| to_eight_bits((raw >> shift) & mask, bits);
    match header.bits_allocated {
        8 if bits == 8 => bytes.to_vec(),
        8 => bytes.iter().map(|&byte| reduced(byte.into())).collect(),
        16 => halves(bytes).map(|half| reduced(half.into())).collect(),
        _ => words(bytes).map(reduced).collect(),
    }
}

/// Scales a sample of `bits` bits to 8 bits.
pub(super) fn to_eight_bits(value: u32, bits: u32) -> u8 {
    let highest = u64::from(mask(bits));
    ((u64::from(value) * 255 + highest / 2) / highest) as u8
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks().0.iter().map(|&half| u16::from_le_bytes(half))
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word))
}

/// Converts full-size RGB or YBR samples in the given layout to interleaved RGB.
pub(super) fn three_to_rgb(samples: Vec<u8>, header: &Header, layout: Layout) -> Vec<u8> {
    let mut rgb = match layout {
        Layout::Interleaved => samples,
        Layout::Planar => {
            let (first, rest) = samples.split_at(header.frame_pixels());
            let (second, third) = rest.split_at(header.frame_pixels());
            first.iter().zip(second).zip(third).flat_map(|((&a, &b), &c)| [a, b, c]).collect()
        }
    };
    if header.photometric == Photometric::YbrFull || header.is_subsampled() {
        let convert = converter(header.photometric);
        for pixel in rgb.chunks_exact_mut(3) {
            pixel.copy_from_slice(&convert(pixel[0], pixel[1], pixel[2]));
        }
    }
    rgb
}

/// Converts uncompressed, subsampled pixels: Y1 Y2 Cb Cr for each two pixels of a row.
fn chroma_pairs_to_rgb(bytes: &[u8], convert: fn(u8, u8, u8) -> [u8; 3]) -> Vec<u8> {
    let pairs = bytes.as_chunks::<4>().0;
    pairs
        .iter()
        .flat_map(|&[y1, y2, cb, cr]| {
            let ([r1, g1, b1], [r2, g2, b2]) = (convert(y1, cb, cr), convert(y2, cb, cr));
            [r1, g1, b1, r2, g2, b2]
        })
        .collect()
}

fn converter(photometric: Photometric) -> fn(u8, u8, u8) -> [u8; 3] {
    if photometric == Photometric::YbrPartial422 { partial_to_rgb } else { full_to_rgb }
}

fn full_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    // `as` saturates, so values are clamped.
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
        .map(|value| value.round() as u8)
}

fn partial_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y) - 16.0, f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let y = y * (255.0 / 219.0);
    [y + 1.596_027 * cr, y - 0.391_762 * cb - 0.812_968 * cr, y + 2.017_232 * cb]
        .map(|value| value.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_are_preserved_by_ybr() {
        for (ybr, rgb) in [
            ([76, 85, 255], [254, 0, 0]),
            ([150, 44, 21], [0, 255, 1]),
            ([29, 255, 107], [0, 0, 254]),
            ([200, 128, 128], [200, 200, 200]),
        ] {
            assert_eq!(full_to_rgb(ybr[0], ybr[1], ybr[2]), rgb);
        }
        let rgb = chroma_pairs_to_rgb(&[10, 20, 128, 128], full_to_rgb);
        assert_eq!(rgb, [10, 10, 10, 20, 20, 20]);
    }

    #[test]
    fn partial_range_reaches_black_and_white() {
        assert_eq!(partial_to_rgb(16, 128, 128), [0; 3]);
        assert_eq!(partial_to_rgb(235, 128, 128), [255; 3]);
        assert_eq!(partial_to_rgb(81, 90, 240), [254, 0, 0]);
    }

    #[test]
    fn samples_of_any_depth_reach_the_whole_range() {
        for bits in [1, 4, 8, 12, 16, 32] {
            assert_eq!(to_eight_bits(0, bits), 0);
            assert_eq!(to_eight_bits(mask(bits), bits), 255);
        }
        assert_eq!(to_eight_bits(200, 8), 200);
        assert_eq!(to_eight_bits(0x8080, 16), 0x80);
    }
}
