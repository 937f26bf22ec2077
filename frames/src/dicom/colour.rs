//! Conversion of samples to RGB by photometric interpretation (PS3.3 C.7.6.3.1.2).

use super::header::{Header, Layout, Photometric};
use super::samples::Samples;

/// Samples of an uncompressed frame; `bytes` is exactly that frame.
pub(super) fn samples_of_native(bytes: &[u8], header: &Header) -> Samples {
    match (header.samples_per_pixel, header.photometric) {
        (1, _) => Samples::Single(single_samples(bytes, header)),
        (_, Photometric::YbrFull422) => Samples::Rgb(chroma_pairs_to_rgb(bytes)),
        _ => Samples::Rgb(three_to_rgb(bytes.to_vec(), header, header.layout)),
    }
}

/// Samples of a frame with one sample per pixel, 8 or 16 bits little endian. Bits above BitsStored
/// are cleared, because they may hold overlays.
pub(super) fn single_samples(bytes: &[u8], header: &Header) -> Vec<u16> {
    let mask = u16::MAX >> (16 - header.bits_stored);
    match header.bytes_per_sample {
        1 => bytes.iter().map(|&byte| u16::from(byte) & mask).collect(),
        _ => bytes
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]) & mask)
            .collect(),
    }
}

/// Converts RGB or YBR_FULL samples in the given layout to interleaved RGB.
pub(super) fn three_to_rgb(samples: Vec<u8>, header: &Header, layout: Layout) -> Vec<u8> {
    let mut rgb = match layout {
        Layout::Interleaved => samples,
        Layout::Planar => {
            let (first, rest) = samples.split_at(header.frame_pixels());
            let (second, third) = rest.split_at(header.frame_pixels());
            first.iter().zip(second).zip(third).flat_map(|((&a, &b), &c)| [a, b, c]).collect()
        }
    };
    if header.photometric == Photometric::YbrFull {
        for pixel in rgb.chunks_exact_mut(3) {
            pixel.copy_from_slice(&ybr_to_rgb(pixel[0], pixel[1], pixel[2]));
        }
    }
    rgb
}

/// Converts grey values `[H, W]` to RGB, through the window if there is one, otherwise by scaling
/// the stored range to 8 bits.
pub(super) fn grey_to_rgb(grey: &[u16], header: &Header) -> Vec<u8> {
    let highest = u32::from(u16::MAX >> (16 - header.bits_stored));
    let shade = |value: u16| {
        let shade = match header.window {
            Some(window) => through_window(value, window, header.rescale),
            None => ((u32::from(value) * 255 + highest / 2) / highest) as u8,
        };
        if header.photometric == Photometric::Monochrome1 { 255 - shade } else { shade }
    };
    // There are at most 65,536 different values, and a frame has more pixels than that.
    let table: Vec<u8> = (0..=highest as u16).map(shade).collect();
    grey.iter().flat_map(|&value| [table[usize::from(value)]; 3]).collect()
}

/// Linear window of PS3.11 C.11.2.1.2.1.
fn through_window(value: u16, [centre, width]: [f64; 2], [slope, intercept]: [f64; 2]) -> u8 {
    let x = f64::from(value) * slope + intercept;
    if x <= centre - 0.5 - (width - 1.0) / 2.0 {
        0
    } else if x > centre - 0.5 + (width - 1.0) / 2.0 {
        255
    } else {
        (((x - (centre - 0.5)) / (width - 1.0) + 0.5) * 255.0).round() as u8
    }
}

/// Converts uncompressed YBR_FULL_422: Y1 Y2 Cb Cr for each two pixels of a row.
fn chroma_pairs_to_rgb(bytes: &[u8]) -> Vec<u8> {
    bytes
        .chunks_exact(4)
        .flat_map(|pair| {
            let [y1, y2, cb, cr] = [pair[0], pair[1], pair[2], pair[3]];
            let ([r1, g1, b1], [r2, g2, b2]) = (ybr_to_rgb(y1, cb, cr), ybr_to_rgb(y2, cb, cr));
            [r1, g1, b1, r2, g2, b2]
        })
        .collect()
}

fn ybr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    // `as` saturates, so values are clamped.
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
        .map(|value| value.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::super::header::Encoding;
    use super::*;

    #[test]
    fn primaries_are_preserved_by_ybr() {
        for (ybr, rgb) in [
            ([76, 85, 255], [254, 0, 0]),
            ([150, 44, 21], [0, 255, 1]),
            ([29, 255, 107], [0, 0, 254]),
            ([200, 128, 128], [200, 200, 200]),
        ] {
            assert_eq!(ybr_to_rgb(ybr[0], ybr[1], ybr[2]), rgb);
        }
        assert_eq!(chroma_pairs_to_rgb(&[10, 20, 128, 128]), [10, 10, 10, 20, 20, 20]);
    }

    #[test]
    fn planes_are_interleaved() {
        let header = header(Photometric::Rgb, 3, 8);
        let rgb = three_to_rgb(vec![1, 2, 3, 4, 5, 6], &header, Layout::Planar);
        assert_eq!(rgb, [1, 3, 5, 2, 4, 6]);
    }

    #[test]
    fn grey_is_windowed_scaled_or_inverted() {
        let plain = header(Photometric::Monochrome2, 1, 12);
        assert_eq!(grey_to_rgb(&[0, 4095], &plain), [0, 0, 0, 255, 255, 255]);
        let inverted = header(Photometric::Monochrome1, 1, 8);
        assert_eq!(grey_to_rgb(&[0, 200], &inverted), [255, 255, 255, 55, 55, 55]);
        let windowed = Header { window: Some([100.5, 101.0]), ..plain };
        assert_eq!(
            grey_to_rgb(&[50, 100, 151], &windowed),
            [0, 0, 0, 128, 128, 128, 255, 255, 255]
        );
    }

    fn header(photometric: Photometric, samples_per_pixel: usize, bits_stored: u32) -> Header {
        Header {
            rows: 1,
            columns: 2,
            frames: 1,
            samples_per_pixel,
            bytes_per_sample: bits_stored.div_ceil(8) as usize,
            bits_stored,
            layout: Layout::Interleaved,
            photometric,
            encoding: Encoding::Native,
            window: None,
            rescale: [1.0, 0.0],
        }
    }
}
