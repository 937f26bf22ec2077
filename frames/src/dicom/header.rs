//! Header: the attributes that describe the pixels.

use std::str::FromStr;

use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, InMemDicomObject, Tag};

use super::DicomProblem;

/// Form and meaning of the pixels. The rest of this module can decode every `Header`, except that
/// the caller has to check sizes.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) frames: u64,
    /// Samples per pixel, 1 or 3.
    pub(super) samples_per_pixel: usize,
    /// Bytes per sample, 1 or 2; always 1 with three samples per pixel.
    pub(super) bytes_per_sample: usize,
    /// Bits stored, 1 to 16; the sample is in the low bits.
    pub(super) bits_stored: u32,
    pub(super) layout: Layout,
    pub(super) photometric: Photometric,
    pub(super) encoding: Encoding,
    /// Centre and width of the window for displaying grey values.
    pub(super) window: Option<[f64; 2]>,
    /// Slope and intercept that convert stored values to the units of the window.
    pub(super) rescale: [f64; 2],
}

/// Order of the samples of three-sample pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// Pixel by pixel.
    Interleaved,
    /// Plane by plane.
    Planar,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Photometric {
    /// The lowest value is white.
    Monochrome1,
    /// The lowest value is black.
    Monochrome2,
    Palette,
    Rgb,
    YbrFull,
    /// Native: pairs of pixels share their chroma. JPEG: the stream describes its own sampling.
    YbrFull422,
    /// Only in JPEG 2000 streams, whose decoder reverses it.
    YbrJpeg2000,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Encoding {
    Native,
    Jpeg,
    Jpeg2000,
    RunLength,
}

impl Header {
    pub(super) fn read(object: &DefaultDicomObject) -> Result<Self, DicomProblem> {
        let encoding = encoding(object.meta().transfer_syntax().trim_end_matches(['\0', ' ']))?;
        let header = Self {
            rows: required(object, tags::ROWS, "Rows")?,
            columns: required(object, tags::COLUMNS, "Columns")?,
            frames: frames(object)?,
            samples_per_pixel: one_of(
                object,
                tags::SAMPLES_PER_PIXEL,
                "SamplesPerPixel",
                &[1, 3],
                "1 or 3",
            )? as usize,
            bytes_per_sample: one_of(
                object,
                tags::BITS_ALLOCATED,
                "BitsAllocated",
                &[8, 16],
                "8 or 16",
            )? as usize
                / 8,
            bits_stored: required(object, tags::BITS_STORED, "BitsStored")?,
            layout: match integer(object, tags::PLANAR_CONFIGURATION) {
                Some(1) => Layout::Planar,
                _ => Layout::Interleaved,
            },
            photometric: photometric(object)?,
            encoding,
            window: window(object),
            rescale: [
                float(object, tags::RESCALE_SLOPE).unwrap_or(1.0),
                float(object, tags::RESCALE_INTERCEPT).unwrap_or(0.0),
            ],
        };
        header.check(object)?;
        Ok(header)
    }

    /// Number of pixels in a frame.
    pub(super) fn frame_pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Number of bytes in an uncompressed frame.
    pub(super) fn native_frame_bytes(&self) -> usize {
        match self.photometric {
            Photometric::YbrFull422 => self.frame_pixels() * 2,
            _ => self.frame_pixels() * self.samples_per_pixel * self.bytes_per_sample,
        }
    }

    /// Refuses combinations that are invalid or that this crate cannot decode.
    fn check(&self, object: &DefaultDicomObject) -> Result<(), DicomProblem> {
        let unsupported = |attribute, found: String, expected| {
            Err(DicomProblem::Unsupported { attribute, found, expected })
        };
        let colour = !matches!(
            self.photometric,
            Photometric::Monochrome1 | Photometric::Monochrome2 | Photometric::Palette
        );
        if colour != (self.samples_per_pixel == 3) {
            let expected = "3 for colour, 1 for MONOCHROME1, MONOCHROME2 and PALETTE COLOR";
            return unsupported("SamplesPerPixel", self.samples_per_pixel.to_string(), expected);
        }
        if colour && self.bytes_per_sample != 1 {
            return unsupported("BitsAllocated", "16".into(), "8 with three samples per pixel");
        }
        if self.bits_stored == 0 || self.bits_stored > 8 * self.bytes_per_sample as u32 {
            return unsupported("BitsStored", self.bits_stored.to_string(), "1 to BitsAllocated");
        }
        if let Some(high_bit) = integer(object, tags::HIGH_BIT)
            && high_bit != i64::from(self.bits_stored) - 1
        {
            return unsupported("HighBit", high_bit.to_string(), "BitsStored - 1");
        }
        if let Some(sign) = integer(object, tags::PIXEL_REPRESENTATION)
            && sign != 0
        {
            return unsupported("PixelRepresentation", sign.to_string(), "0, unsigned");
        }
        let native = self.encoding == Encoding::Native;
        let chroma_pairs = self.photometric == Photometric::YbrFull422 && native;
        if chroma_pairs && self.columns % 2 == 1 {
            return unsupported("Columns", self.columns.to_string(), "even with YBR_FULL_422");
        }
        if self.photometric == Photometric::YbrJpeg2000 && self.encoding != Encoding::Jpeg2000 {
            let found = "YBR_ICT or YBR_RCT".into();
            return unsupported("PhotometricInterpretation", found, "one that suits the encoding");
        }
        Ok(())
    }
}

/// First value of an attribute as a number, for any value representation.
pub(super) fn float(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    floats(object, tag)?.first().copied()
}

/// All values of an attribute as finite numbers.
pub(super) fn floats(object: &InMemDicomObject, tag: Tag) -> Option<Vec<f64>> {
    let values = object.get(tag)?.to_multi_float64().ok()?;
    values.iter().all(|value| value.is_finite()).then_some(values)
}

/// First value of an attribute as an integer.
pub(super) fn integer(object: &InMemDicomObject, tag: Tag) -> Option<i64> {
    object.get(tag)?.to_int().ok()
}

pub(super) fn required<T: TryFrom<i64>>(
    object: &InMemDicomObject,
    tag: Tag,
    attribute: &'static str,
) -> Result<T, DicomProblem> {
    integer(object, tag)
        .and_then(|value| T::try_from(value).ok())
        .ok_or(DicomProblem::Missing { attribute })
}

pub(super) fn one_of(
    object: &InMemDicomObject,
    tag: Tag,
    attribute: &'static str,
    allowed: &[u32],
    expected: &'static str,
) -> Result<u32, DicomProblem> {
    let value = required(object, tag, attribute)?;
    if allowed.contains(&value) {
        Ok(value)
    } else {
        Err(DicomProblem::Unsupported { attribute, found: value.to_string(), expected })
    }
}

/// Number of frames; absent or empty means one frame.
pub(super) fn frames(object: &InMemDicomObject) -> Result<u64, DicomProblem> {
    match object.get(tags::NUMBER_OF_FRAMES) {
        Some(element) if !element.value().to_str().is_ok_and(|text| text.trim().is_empty()) => {
            required(object, tags::NUMBER_OF_FRAMES, "NumberOfFrames")
        }
        _ => Ok(1),
    }
}

fn window(object: &InMemDicomObject) -> Option<[f64; 2]> {
    let centre = float(object, tags::WINDOW_CENTER)?;
    let width = float(object, tags::WINDOW_WIDTH)?;
    (width >= 1.0).then_some([centre, width])
}

fn photometric(object: &InMemDicomObject) -> Result<Photometric, DicomProblem> {
    let attribute = "PhotometricInterpretation";
    let found = object
        .get(tags::PHOTOMETRIC_INTERPRETATION)
        .and_then(|element| element.to_str().ok())
        .ok_or(DicomProblem::Missing { attribute })?;
    Photometric::from_str(found.trim()).map_err(|expected| DicomProblem::Unsupported {
        attribute,
        found: found.trim().to_owned(),
        expected,
    })
}

impl FromStr for Photometric {
    /// Expected values.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "MONOCHROME1" => Self::Monochrome1,
            "MONOCHROME2" => Self::Monochrome2,
            "PALETTE COLOR" => Self::Palette,
            "RGB" => Self::Rgb,
            "YBR_FULL" => Self::YbrFull,
            "YBR_FULL_422" => Self::YbrFull422,
            "YBR_ICT" | "YBR_RCT" => Self::YbrJpeg2000,
            _ => {
                return Err("MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL, \
                            YBR_FULL_422, YBR_ICT or YBR_RCT");
            }
        })
    }
}

/// Encoding of a transfer syntax, which must be given without padding.
pub(super) fn encoding(transfer_syntax: &str) -> Result<Encoding, DicomProblem> {
    Ok(match transfer_syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN => Encoding::Native,
        uids::JPEG_BASELINE8_BIT
        | uids::JPEG_EXTENDED12_BIT
        | uids::JPEG_LOSSLESS
        | uids::JPEG_LOSSLESS_SV1 => Encoding::Jpeg,
        uids::JPEG2000_LOSSLESS | uids::JPEG2000 => Encoding::Jpeg2000,
        uids::RLE_LOSSLESS => Encoding::RunLength,
        _ => {
            return Err(DicomProblem::Unsupported {
                attribute: "TransferSyntaxUID",
                found: transfer_syntax.to_owned(),
                expected: "uncompressed little endian, JPEG baseline, extended or lossless, \
                           JPEG 2000, or RLE",
            });
        }
    })
}
