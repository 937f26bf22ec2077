//! Display of grey values: modality transform, then the values of interest (PS3.3 C.11.1, C.11.2,
//! C.7.6.16.2.9 and C.7.6.16.2.10).

use std::sync::Arc;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::groups::{PerFrame, functional_group};
use super::header::{Header, Photometric, float};
use super::lut::Lut;
use super::samples::{Samples, mask};
use crate::range::between;

/// Conversion of the stored values of a frame to shades.
#[derive(Clone, Debug)]
pub(super) struct Grey {
    signed: bool,
    /// True if the lowest value is white.
    inverted: bool,
    modality: Modality,
    voi: Voi,
    /// Stored values, lowest and highest, that fill the frame around the image.
    padding: Option<[i64; 2]>,
}

#[derive(Clone, Debug)]
enum Modality {
    Linear { slope: f64, intercept: f64 },
    Lut(Arc<Lut>),
}

#[derive(Clone, Debug)]
enum Voi {
    Window {
        centre: f64,
        width: f64,
        function: Function,
    },
    Lut(Arc<Lut>),
    /// The stored range, of pixels with at most 8 bits.
    Stored,
    /// The range of the values present.
    Present,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

impl Grey {
    /// Reads the conversion of each frame. A VOI lookup table is preferred to a window, and of
    /// several windows the first is used.
    pub(super) fn read(object: &InMemDicomObject, header: &Header) -> PerFrame<Self> {
        let modality_lut =
            Lut::read(object, tags::MODALITY_LUT_SEQUENCE, header.signed).map(Arc::new);
        let below_zero = |intercept| intercept < 0.0;
        let signed =
            header.signed || float(object, tags::RESCALE_INTERCEPT).is_some_and(below_zero);
        let voi_lut = Lut::read(object, tags::VOILUT_SEQUENCE, signed).map(Arc::new);
        let groups = [tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::FRAME_VOILUT_SEQUENCE];
        PerFrame::read(object, header.frames, &groups, |frame| {
            let group = |tag| functional_group(object, frame, tag).unwrap_or(object);
            let modality = match &modality_lut {
                Some(lut) => Modality::Lut(lut.clone()),
                None => linear(group(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE)),
            };
            let voi = match &voi_lut {
                Some(lut) => Voi::Lut(lut.clone()),
                None => window(group(tags::FRAME_VOILUT_SEQUENCE))
                    .or_else(|| window(object))
                    .unwrap_or(if header.bits_stored <= 8 && !header.signed {
                        Voi::Stored
                    } else {
                        Voi::Present
                    }),
            };
            let inverted = header.photometric == Photometric::Monochrome1;
            Self {
                signed: header.signed,
                inverted,
                modality,
                voi,
                padding: padding(object, header),
            }
        })
    }

    /// True if the shades depend on the range of the values present.
    pub(super) fn needs_range(&self) -> bool {
        matches!(self.voi, Voi::Present)
    }

    /// Converts a frame `[H, W]` to RGB `[H, W, 3]`. `range` is that of the values present, and used
    /// only if it is needed.
    pub(super) fn to_rgb(&self, samples: &Samples, range: [f64; 2]) -> Vec<u8> {
        match samples {
            Samples::Rgb(rgb) => rgb.clone(),
            Samples::Single { values, bits } => {
                // There are at most 65,536 different values, and a frame has more pixels than that.
                let stored = mask(*bits);
                let table: Vec<u8> =
                    (0..=stored).map(|raw| self.shade(raw, *bits, range)).collect();
                values
                    .iter()
                    .flat_map(|&raw| [table[(u32::from(raw) & stored) as usize]; 3])
                    .collect()
            }
            Samples::Wide { values, bits } => {
                values.iter().flat_map(|&raw| [self.shade(raw, *bits, range); 3]).collect()
            }
        }
    }

    /// Adds every `step`th value of a frame to `values`, except padding.
    pub(super) fn gather(&self, samples: &Samples, step: usize, values: &mut Vec<f64>) {
        let keep = |raw: u32, bits: u32| {
            let stored = self.stored(raw, bits);
            let padding = self.padding.is_some_and(|[low, high]| (low..=high).contains(&stored));
            (!padding).then(|| self.value(stored))
        };
        match samples {
            Samples::Rgb(_) => {}
            Samples::Single { values: raw, bits } => {
                values.extend(raw.iter().step_by(step).filter_map(|&raw| keep(raw.into(), *bits)));
            }
            Samples::Wide { values: raw, bits } => {
                values.extend(raw.iter().step_by(step).filter_map(|&raw| keep(raw, *bits)));
            }
        }
    }

    fn shade(&self, raw: u32, bits: u32, range: [f64; 2]) -> u8 {
        let value = self.value(self.stored(raw, bits));
        let fraction = match &self.voi {
            Voi::Window { centre, width, function } => {
                through_window(value, *centre, *width, *function)
            }
            Voi::Lut(lut) => lut.fraction(value),
            Voi::Stored => {
                let [black, white] = [0, mask(bits)].map(|raw| self.value(self.stored(raw, bits)));
                between([black, white], value)
            }
            Voi::Present => between(range, value),
        };
        let shade = (fraction * 255.0).round() as u8;
        if self.inverted { 255 - shade } else { shade }
    }

    /// Stored value: the lowest `bits` bits, with their sign.
    fn stored(&self, raw: u32, bits: u32) -> i64 {
        let raw = i64::from(raw & mask(bits));
        if self.signed && raw >> (bits - 1) == 1 { raw - (1 << bits) } else { raw }
    }

    /// Value after the modality transform.
    fn value(&self, stored: i64) -> f64 {
        match &self.modality {
            Modality::Linear { slope, intercept } => stored as f64 * slope + intercept,
            Modality::Lut(lut) => lut.get(stored as f64).into(),
        }
    }
}

fn linear(item: &InMemDicomObject) -> Modality {
    Modality::Linear {
        slope: float(item, tags::RESCALE_SLOPE).filter(|slope| *slope != 0.0).unwrap_or(1.0),
        intercept: float(item, tags::RESCALE_INTERCEPT).unwrap_or(0.0),
    }
}

/// First window of an item; `None` if there is no valid one.
fn window(item: &InMemDicomObject) -> Option<Voi> {
    let centre = float(item, tags::WINDOW_CENTER)?;
    let width = float(item, tags::WINDOW_WIDTH)?;
    let name = item.get(tags::VOILUT_FUNCTION).and_then(|element| element.to_str().ok());
    let (function, narrowest) = match name.as_deref().map(str::trim) {
        Some("LINEAR_EXACT") => (Function::LinearExact, f64::MIN_POSITIVE),
        Some("SIGMOID") => (Function::Sigmoid, f64::MIN_POSITIVE),
        _ => (Function::Linear, 1.0),
    };
    (width >= narrowest).then_some(Voi::Window { centre, width, function })
}

/// Position of a value in a window, from 0 to 1.
fn through_window(value: f64, centre: f64, width: f64, function: Function) -> f64 {
    let (centre, width) = match function {
        Function::Sigmoid => return 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        Function::LinearExact => (centre, width),
        Function::Linear => (centre - 0.5, width - 1.0),
    };
    if value <= centre - width / 2.0 {
        0.0
    } else if value > centre + width / 2.0 {
        1.0
    } else {
        (value - centre) / width + 0.5
    }
}

fn padding(object: &InMemDicomObject, header: &Header) -> Option<[i64; 2]> {
    let value = |tag| {
        let value = object.get(tag)?.to_int::<i64>().ok()?;
        // Readers of implicit files take it as unsigned.
        Some(if header.signed { i64::from(value as i16) } else { i64::from(value as u16) })
    };
    let one = value(tags::PIXEL_PADDING_VALUE)?;
    let other = value(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(one);
    Some([one.min(other), one.max(other)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::robust_range;

    #[test]
    fn windows_follow_the_standard() {
        let shades =
            |function| [0.0, 50.0, 51.0, 100.0].map(|v| through_window(v, 50.0, 100.0, function));
        assert_eq!(shades(Function::LinearExact), [0.0, 0.5, 0.51, 1.0]);
        let [low, centre, _, high] = shades(Function::Linear);
        assert_eq!((low, high), (0.0, 1.0));
        assert!((centre - (0.5 / 99.0 + 0.5)).abs() < 1e-12);
        let [low, centre, _, high] = shades(Function::Sigmoid);
        assert!((low - 0.119_203).abs() < 1e-6 && (high - 0.880_797).abs() < 1e-6);
        assert_eq!(centre, 0.5);
    }

    #[test]
    fn narrowest_window_is_a_step() {
        let shades = [0.0, 0.5, 0.6, 1.0].map(|v| through_window(v, 1.0, 1.0, Function::Linear));
        assert_eq!(shades, [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn range_of_values_ignores_few_outliers() {
        let mut values: Vec<f64> = (0..1000).map(f64::from).collect();
        values[999] = 60_000.0;
        assert_eq!(robust_range(values), [5.0, 994.0]);
        assert_eq!(robust_range(vec![7.0, 3.0]), [3.0, 7.0]);
        let mut mostly_one = vec![2.0; 1000];
        mostly_one.push(9.0);
        assert_eq!(robust_range(mostly_one), [2.0, 9.0]);
        assert_eq!(robust_range(Vec::new()), [0.0, 1.0]);
    }
}
