//! Run lengths of COCO: down the columns, alternating between outside and inside.

use ndarray::Array2;

/// Fills the runs inside.
///
/// # Errors
/// The annotated size `[H, W]` is not that of the image, or the runs do not cover it.
pub(super) fn fill(
    classes: &mut Array2<u8>,
    size: [usize; 2],
    lengths: &[u64],
    class: u8,
) -> Result<(), String> {
    let (height, width) = classes.dim();
    if size != [height, width] {
        return Err(format!(
            "run lengths of size {size:?}, expected that of the image, \
                            [{height}, {width}]"
        ));
    }
    let pixels = (height * width) as u64;
    let mut at = 0u64;
    for (i, &length) in lengths.iter().enumerate() {
        let end = at.checked_add(length).filter(|&end| end <= pixels);
        let end = end.ok_or_else(|| format!("run lengths beyond the {pixels} px of the image"))?;
        if i % 2 == 1 {
            for pixel in at as usize..end as usize {
                classes[(pixel % height, pixel / height)] = class;
            }
        }
        at = end;
    }
    if at == pixels { Ok(()) } else { Err(format!("run lengths of {at} px, expected {pixels}")) }
}

/// Lengths in the compressed form of `pycocotools`: numbers of five bits in each character, from the
/// third on as differences to the one before the last.
///
/// # Errors
/// The text ends within a number, or a length is negative or too large.
pub(super) fn decompressed(text: &str) -> Result<Vec<u64>, String> {
    let damaged = || format!("damaged run lengths {:?}", text.chars().take(40).collect::<String>());
    let mut lengths: Vec<i64> = Vec::new();
    let (mut number, mut bits) = (0i64, 0);
    for byte in text.bytes() {
        let value =
            i64::from(byte.checked_sub(48).filter(|&value| value < 64).ok_or_else(damaged)?);
        if bits > 50 {
            return Err(damaged());
        }
        number |= (value & 0x1f) << bits;
        bits += 5;
        if value & 0x20 != 0 {
            continue;
        }
        if value & 0x10 != 0 {
            number |= -1 << bits;
        }
        if let Some(&before) = lengths.len().checked_sub(2).and_then(|i| lengths.get(i))
            && lengths.len() > 2
        {
            number += before;
        }
        lengths.push(number);
        (number, bits) = (0, 0);
    }
    if bits > 0 {
        return Err(damaged());
    }
    lengths.into_iter().map(|length| u64::try_from(length).map_err(|_| damaged())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_down_the_columns() {
        let mut classes = Array2::zeros((3, 4));
        fill(&mut classes, [3, 4], &[2, 3, 1, 1, 5], 9).unwrap();
        let expected = ndarray::array![[0, 9, 9, 0], [0, 9, 0, 0], [9, 0, 0, 0]];
        // Columns: 2 outside, 3 inside, 1 outside, 1 inside, 5 outside.
        let mut by_hand = Array2::zeros((3, 4));
        for pixel in [2usize, 3, 4, 6] {
            by_hand[(pixel % 3, pixel / 3)] = 9;
        }
        assert_eq!((&classes, &classes), (&by_hand, &expected));
    }

    #[test]
    fn runs_that_do_not_cover_the_image_are_refused() {
        let error =
            |size, lengths: &[u64]| fill(&mut Array2::zeros((3, 4)), size, lengths, 1).unwrap_err();
        assert!(error([4, 3], &[12]).contains("expected that of the image, [3, 4]"));
        assert!(error([3, 4], &[2, 3]).contains("5 px, expected 12"));
        assert!(error([3, 4], &[2, 30]).contains("beyond the 12 px"));
        assert!(error([3, 4], &[2, u64::MAX]).contains("beyond the 12 px"));
    }

    #[test]
    fn compressed_lengths_equal_the_definition() {
        // As `rleToString` of pycocotools writes them.
        let compressed = |lengths: &[i64]| {
            let mut text = String::new();
            for (i, &length) in lengths.iter().enumerate() {
                let mut number = if i > 2 { length - lengths[i - 2] } else { length };
                loop {
                    let mut value = (number & 0x1f) as u8;
                    number >>= 5;
                    let more = if value & 0x10 != 0 { number != -1 } else { number != 0 };
                    value |= if more { 0x20 } else { 0 };
                    text.push(char::from(value + 48));
                    if !more {
                        break;
                    }
                }
            }
            text
        };
        for lengths in [&[6, 1, 40, 4, 5, 4, 5, 4, 21][..], &[0, 12], &[100_000, 3, 7, 90_000, 2]] {
            let expected: Vec<u64> = lengths.iter().map(|&length| length as u64).collect();
            assert_eq!(decompressed(&compressed(lengths)), Ok(expected));
        }
        // Small numbers are single characters from 48 on.
        assert_eq!(decompressed("123"), Ok(vec![1, 2, 3]));
        for wrong in ["P", "\u{1}", "PPPPPPPPPPPPPPPPPPPP", "1O"] {
            assert!(decompressed(wrong).is_err(), "{wrong}");
        }
    }
}
