//! The content of an IMAGE message: a description of 72 bytes, then the samples.

use medsa_frames::{Frame, MAX_SIDE_PX, PixelSpacing};

const DESCRIPTION_BYTES: usize = 72;

/// Largest number of components per sample (colours).
const MAX_COMPONENTS: u8 = 3;

/// Format of the samples.
#[derive(Debug)]
struct Description {
    components: u8,
    scalar: Scalar,
    order: ByteOrder,
    width: u32,
    height: u32,
    pixel_spacing_mm: Option<[f32; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scalar {
    Uint8,
    Uint16,
}

#[derive(Clone, Copy, Debug)]
enum ByteOrder {
    Big,
    Little,
}

/// Converts the content to a frame. Samples of 16 bits are scaled from `window`: its first value
/// becomes black, its last white.
///
/// # Errors
/// The reason why the content cannot be used.
pub(super) fn parse(content: &[u8], window: [u16; 2]) -> Result<Frame, String> {
    let Some((description, samples)) = content.split_first_chunk() else {
        let found = content.len();
        return Err(format!("IMAGE has {found} bytes, expected {DESCRIPTION_BYTES} at least"));
    };
    let Description { components, scalar, order, width, height, pixel_spacing_mm } =
        Description::parse(description)?;
    let bytes_per_sample = if scalar == Scalar::Uint8 { 1 } else { 2 };
    let pixels = width as usize * height as usize;
    let expected = pixels * usize::from(components) * bytes_per_sample;
    if samples.len() != expected {
        let found = samples.len();
        return Err(format!("IMAGE has {found} bytes of samples, expected {expected}"));
    }
    let rgb = match (scalar, components) {
        (Scalar::Uint8, 1) => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        (Scalar::Uint8, _) => samples.to_vec(),
        (Scalar::Uint16, _) => {
            let words = samples.chunks_exact(2).map(|pair| match order {
                ByteOrder::Big => u16::from_be_bytes([pair[0], pair[1]]),
                ByteOrder::Little => u16::from_le_bytes([pair[0], pair[1]]),
            });
            words.flat_map(|word| [windowed(word, window); 3]).collect()
        }
    };
    let pixel_spacing_mm = pixel_spacing_mm.map(PixelSpacing::Uniform);
    Ok(Frame { width, height, rgb, pixel_spacing_mm })
}

impl Description {
    fn parse(bytes: &[u8; DESCRIPTION_BYTES]) -> Result<Self, String> {
        let word = |at: usize| u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let components = bytes[2];
        let scalar = match bytes[3] {
            3 => Scalar::Uint8,
            5 => Scalar::Uint16,
            other => {
                return Err(format!(
                    "IMAGE has scalar type {other}, expected 3 (uint8) or 5 (uint16)"
                ));
            }
        };
        if components != 1 && (components != MAX_COMPONENTS || scalar == Scalar::Uint16) {
            return Err(format!(
                "IMAGE has {components} components of {scalar:?}, expected 1, or 3 of Uint8"
            ));
        }
        let order = match bytes[4] {
            1 => ByteOrder::Big,
            2 => ByteOrder::Little,
            other => {
                return Err(format!(
                    "IMAGE has byte order {other}, expected 1 (big) or 2 (little)"
                ));
            }
        };
        let size = [word(6), word(8), word(10)];
        let [width, height, slices] = size;
        if slices != 1 || [width, height].iter().any(|side| !(1..=MAX_SIDE_PX).contains(side)) {
            return Err(format!(
                "IMAGE of {width} x {height} x {slices}, expected one slice of 1 to {MAX_SIDE_PX} px \
                 on each side"
            ));
        }
        let (offset, part) = ([word(60), word(62), word(64)], [word(66), word(68), word(70)]);
        if offset != [0; 3] || part != size {
            return Err(format!(
                "IMAGE has the part {part:?} from {offset:?} on, expected all of {size:?}"
            ));
        }
        // Columns of the matrix: direction along a row, down the rows, across slices; position.
        let element = |index: usize| {
            let at = 12 + 4 * index;
            f32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let matrix = std::array::from_fn(element);
        Ok(Self { components, scalar, order, width, height, pixel_spacing_mm: spacing_mm(&matrix) })
    }
}

/// Pixel spacing in mm, `[down the rows, along a row]`. The identity matrix counts as unknown:
/// senders that do not know the spacing send it.
fn spacing_mm(matrix: &[f32; 12]) -> Option<[f32; 2]> {
    const IDENTITY: [f32; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    if matrix[..9] == IDENTITY {
        return None;
    }
    let length = |column: &[f32]| column.iter().map(|x| x * x).sum::<f32>().sqrt();
    let spacing = [length(&matrix[3..6]), length(&matrix[..3])];
    spacing.iter().all(|mm| mm.is_normal()).then_some(spacing)
}

fn windowed(sample: u16, [black, white]: [u16; 2]) -> u8 {
    let span = u32::from(white.saturating_sub(black)).max(1);
    let above = u32::from(sample.saturating_sub(black)).min(span);
    ((above * 255 + span / 2) / span) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of 2 x 1 samples, little-endian, 0.2 mm along a row and 0.5 mm down the rows.
    fn message(scalar: u8, components: u8, samples: &[u8]) -> Vec<u8> {
        let mut content = vec![0, 1, components, scalar, 2, 1, 0, 2, 0, 1, 0, 1];
        let matrix = [0.0, 0.2, 0.0, -0.5, 0.0, 0.0, 0.0, 0.0, 1.0, 7.0, 8.0, 9.0f32];
        content.extend(matrix.iter().flat_map(|x| x.to_be_bytes()));
        content.extend([0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 1]);
        content.extend(samples);
        content
    }

    fn rgb(content: &[u8], window: [u16; 2]) -> Vec<u8> {
        parse(content, window).unwrap().rgb
    }

    #[test]
    fn samples_convert_to_rgb() {
        let all = [0, u16::MAX];
        assert_eq!(rgb(&message(3, 1, &[4, 9]), all), [4, 4, 4, 9, 9, 9]);
        assert_eq!(rgb(&message(3, 3, &[1, 2, 3, 4, 5, 6]), all), [1, 2, 3, 4, 5, 6]);
        // Samples 100 and 1000.
        let words = message(5, 1, &[100, 0, 0xe8, 3]);
        assert_eq!(rgb(&words, [100, 1000]), [0, 0, 0, 255, 255, 255]);
        assert_eq!(rgb(&words, [200, 200]), [0, 0, 0, 255, 255, 255]);
        assert_eq!(rgb(&words, [0, 2000]), [13, 13, 13, 128, 128, 128]);
        let mut big = message(5, 1, &[0, 100, 3, 0xe8]);
        big[4] = 1;
        assert_eq!(rgb(&big, [100, 1000]), [0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn spacing_is_length_of_matrix_columns() {
        let mut content = message(3, 1, &[4, 9]);
        assert_eq!(
            parse(&content, [0, 1]).unwrap().pixel_spacing_mm,
            Some(PixelSpacing::Uniform([0.5, 0.2]))
        );
        content[12..60].fill(0);
        assert_eq!(parse(&content, [0, 1]).unwrap().pixel_spacing_mm, None);
        for diagonal in [0, 4, 8] {
            content[12 + 4 * diagonal..][..4].copy_from_slice(&1f32.to_be_bytes());
        }
        assert_eq!(parse(&content, [0, 1]).unwrap().pixel_spacing_mm, None);
        content[12..16].copy_from_slice(&f32::NAN.to_be_bytes());
        assert_eq!(parse(&content, [0, 1]).unwrap().pixel_spacing_mm, None);
    }

    #[test]
    fn invalid_descriptions_are_refused() {
        let right = message(3, 1, &[4, 9]);
        let refusal = |at: usize, value: u8| {
            let mut content = right.clone();
            content[at] = value;
            parse(&content, [0, 1]).unwrap_err()
        };
        assert_eq!(refusal(3, 11), "IMAGE has scalar type 11, expected 3 (uint8) or 5 (uint16)");
        assert_eq!(refusal(2, 2), "IMAGE has 2 components of Uint8, expected 1, or 3 of Uint8");
        assert_eq!(refusal(4, 0), "IMAGE has byte order 0, expected 1 (big) or 2 (little)");
        assert_eq!(
            refusal(6, 0x20),
            "IMAGE of 8194 x 1 x 1, expected one slice of 1 to 4096 px on each side"
        );
        assert_eq!(
            refusal(61, 1),
            "IMAGE has the part [2, 1, 1] from [1, 0, 0] on, expected all of [2, 1, 1]"
        );
        assert_eq!(
            parse(&right[..73], [0, 1]).unwrap_err(),
            "IMAGE has 1 bytes of samples, expected 2"
        );
        assert_eq!(
            parse(&right[..71], [0, 1]).unwrap_err(),
            "IMAGE has 71 bytes, expected 72 at least"
        );
    }
}
