//! YUYV 4:2:2, an uncompressed camera format in which two neighbouring pixels share their colour.

use medsa_frames::Frame;

/// Memory layout of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YuyvLayout {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from the start of one row to the next.
    pub stride: usize,
    /// Meaning of the values.
    pub encoding: YuvEncoding,
}

/// Standard and range of luma and colour difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YuvEncoding {
    /// ITU-R BT.601, luma from 16 to 235.
    Bt601,
    /// ITU-R BT.709, luma from 16 to 235.
    Bt709,
    /// ITU-R BT.601, luma from 0 to 255, as in JPEG.
    Full,
}

/// Converts the bytes of one frame to RGB.
///
/// # Errors
/// The reason why it cannot be converted.
pub fn decode_yuyv(bytes: &[u8], layout: YuyvLayout) -> Result<Frame, String> {
    let YuyvLayout { width, height, stride, encoding } = layout;
    let row_bytes = 2 * width as usize;
    if width == 0 || width % 2 == 1 || height == 0 || stride < row_bytes {
        return Err(format!("YUYV: {width} x {height} px in rows of {stride} bytes"));
    }
    // Some drivers omit the padding after the last row.
    let expected = stride * (height as usize - 1) + row_bytes;
    if bytes.len() < expected {
        return Err(format!("YUYV: {} bytes, expected {expected}", bytes.len()));
    }
    let weights = encoding.weights();
    let mut rgb = Vec::with_capacity(3 * width as usize * height as usize);
    for row in bytes.chunks(stride).take(height as usize) {
        for pair in row[..row_bytes].chunks_exact(4) {
            rgb.extend(weights.rgb(pair[0], pair[1], pair[3]));
            rgb.extend(weights.rgb(pair[2], pair[1], pair[3]));
        }
    }
    Ok(Frame { width, height, rgb, pixel_spacing_mm: None })
}

impl YuvEncoding {
    fn weights(self) -> Weights {
        match self {
            Self::Bt601 => Weights { black: 16, y: 298, rv: 409, gu: -100, gv: -208, bu: 516 },
            Self::Bt709 => Weights { black: 16, y: 298, rv: 459, gu: -55, gv: -136, bu: 541 },
            Self::Full => Weights { black: 0, y: 256, rv: 359, gu: -88, gv: -183, bu: 454 },
        }
    }
}

/// Coefficients of the conversion to red, green and blue, times 256.
#[derive(Clone, Copy)]
struct Weights {
    black: i32,
    y: i32,
    rv: i32,
    gu: i32,
    gv: i32,
    bu: i32,
}

impl Weights {
    fn rgb(self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let y = self.y * (i32::from(y) - self.black);
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let sums = [y + self.rv * v, y + self.gu * u + self.gv * v, y + self.bu * u];
        sums.map(|sum| ((sum + 128) >> 8).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: YuyvLayout =
        YuyvLayout { width: 4, height: 2, stride: 10, encoding: YuvEncoding::Bt601 };

    #[test]
    fn row_padding_is_skipped() {
        // Grey rows of 16 (black) and 235 (white), the second without its padding.
        let black = [16, 128, 16, 128, 16, 128, 16, 128, 77, 77];
        let white = [235, 128, 235, 128, 235, 128, 235, 128];
        let bytes = [black.as_slice(), &white].concat();
        let frame = decode_yuyv(&bytes, LAYOUT).unwrap();
        assert_eq!(frame.rgb, [[0; 12], [255; 12]].concat());
        let error = decode_yuyv(&bytes[..17], LAYOUT).unwrap_err();
        assert_eq!(error, "YUYV: 17 bytes, expected 18");
    }

    #[test]
    fn red_is_decoded_in_each_encoding() {
        // Y, U, V of red in the two standards, and in JPEG.
        let red = [
            (YuvEncoding::Bt601, [81, 90, 240]),
            (YuvEncoding::Bt709, [63, 102, 240]),
            (YuvEncoding::Full, [76, 85, 255]),
        ];
        for (encoding, [y, u, v]) in red {
            let layout = YuyvLayout { width: 2, height: 1, stride: 4, encoding };
            let frame = decode_yuyv(&[y, u, y, v], layout).unwrap();
            for (found, expected) in frame.rgb.iter().zip([255, 0, 0, 255, 0, 0]) {
                assert!(found.abs_diff(expected) <= 3, "{encoding:?}: {:?}", frame.rgb);
            }
        }
    }

    #[test]
    fn odd_widths_and_short_rows_are_refused() {
        for layout in [YuyvLayout { width: 3, ..LAYOUT }, YuyvLayout { stride: 7, ..LAYOUT }] {
            assert!(decode_yuyv(&[0; 100], layout).is_err());
        }
    }
}
