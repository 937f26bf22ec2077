//! Header: the attributes that describe the pixels.

use std::str::FromStr;

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

use super::DicomProblem;
use super::syntax::{Encoding, TransferSyntax};

/// Form and meaning of the pixels. The rest of this module can decode every `Header`, except that
/// the caller has to check sizes.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) frames: u64,
    /// Samples per pixel, 1 or 3.
    pub(super) samples_per_pixel: usize,
    /// Bits per sample in uncompressed pixels: 1, 8, 16 or 32; at least 8 with three samples.
    pub(super) bits_allocated: u32,
    /// Bits stored, 1 to `bits_allocated`.
    pub(super) bits_stored: u32,
    /// Bits below the sample in uncompressed pixels.
    pub(super) shift: u32,
    /// True if samples are in two's complement; false with three samples per pixel.
    pub(super) signed: bool,
    pub(super) layout: Layout,
    pub(super) photometric: Photometric,
    pub(super) encoding: Encoding,
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
    /// Like `YbrFull422`, with luma from 16 to 235 and chroma from 16 to 240.
    YbrPartial422,
    /// Only in JPEG 2000 streams, whose decoder reverses it.
    YbrJpeg2000,
}

impl Header {
    /// Reads the header; faults that are tolerated are added to `warnings`.
    pub(super) fn read(
        object: &InMemDicomObject,
        syntax: &TransferSyntax,
        warnings: &mut Vec<String>,
    ) -> Result<Self, DicomProblem> {
        let one_of =
            |tag, attribute, allowed, expected| one_of(object, tag, attribute, allowed, expected);
        let rows = required(object, tags::ROWS, "Rows")?;
        let bits_stored = required(object, tags::BITS_STORED, "BitsStored")?;
        let header = Self {
            rows,
            columns: required(object, tags::COLUMNS, "Columns")?,
            frames: match frames(object)? {
                0 => {
                    warnings.push("NumberOfFrames is 0; one frame is read".to_owned());
                    1
                }
                frames => frames,
            },
            samples_per_pixel: one_of(
                tags::SAMPLES_PER_PIXEL,
                "SamplesPerPixel",
                &[1, 3],
                "1 or 3",
            )? as usize,
            bits_allocated: one_of(
                tags::BITS_ALLOCATED,
                "BitsAllocated",
                &[1, 8, 16, 32],
                "1, 8, 16 or 32",
            )?,
            bits_stored,
            shift: shift(object, bits_stored)?,
            signed: one_of_optional(object, tags::PIXEL_REPRESENTATION)? == 1,
            layout: match integer(object, tags::PLANAR_CONFIGURATION) {
                Some(1) => Layout::Planar,
                _ => Layout::Interleaved,
            },
            photometric: photometric(object)?,
            encoding: syntax.encoding()?,
        };
        header.check()?;
        Ok(header)
    }

    /// Number of pixels in a frame.
    pub(super) fn frame_pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Number of bits in an uncompressed frame.
    pub(super) fn native_frame_bits(&self) -> u64 {
        let samples = if self.is_subsampled() { 2 } else { self.samples_per_pixel as u64 };
        self.frame_pixels() as u64 * samples * u64::from(self.bits_allocated)
    }

    /// True if pairs of pixels share their chroma in uncompressed pixels.
    pub(super) fn is_subsampled(&self) -> bool {
        matches!(self.photometric, Photometric::YbrFull422 | Photometric::YbrPartial422)
    }

    /// True if the pixels are not compressed, or only by Deflate.
    fn is_uncompressed(&self) -> bool {
        use Encoding::{DeflatedFrame, Encapsulated, Native};
        matches!(self.encoding, Native | Encapsulated | DeflatedFrame)
    }

    /// Refuses combinations that are invalid or that this crate cannot decode.
    fn check(&self) -> Result<(), DicomProblem> {
        let unsupported = |attribute, found: String, expected| {
            Err(DicomProblem::Unsupported { attribute, found, expected })
        };
        use Photometric::{Monochrome1, Monochrome2, Palette};
        let colour = !matches!(self.photometric, Monochrome1 | Monochrome2 | Palette);
        if colour != (self.samples_per_pixel == 3) {
            let expected = "3 for colour, 1 for MONOCHROME1, MONOCHROME2 and PALETTE COLOR";
            return unsupported("SamplesPerPixel", self.samples_per_pixel.to_string(), expected);
        }
        let bits = self.bits_allocated;
        if bits == 1 && (colour || !self.is_uncompressed()) {
            return unsupported(
                "BitsAllocated",
                "1".into(),
                "8, 16 or 32 with colour or compression",
            );
        }
        if self.bits_stored == 0 || self.bits_stored > bits {
            return unsupported("BitsStored", self.bits_stored.to_string(), "1 to BitsAllocated");
        }
        if self.shift + self.bits_stored > bits {
            let found = (self.shift + self.bits_stored - 1).to_string();
            return unsupported("HighBit", found, "BitsStored - 1 to BitsAllocated - 1");
        }
        if self.photometric == Palette && bits > 16 {
            return unsupported("BitsAllocated", bits.to_string(), "at most 16 with PALETTE COLOR");
        }
        if colour && self.signed {
            return unsupported("PixelRepresentation", "1".into(), "0, unsigned, with colour");
        }
        if self.is_subsampled() && self.is_uncompressed() {
            if self.columns % 2 == 1 {
                let found = self.columns.to_string();
                return unsupported("Columns", found, "even with YBR_FULL_422 and YBR_PARTIAL_422");
            }
            if bits != 8 {
                return unsupported("BitsAllocated", bits.to_string(), "8 with YBR_FULL_422");
            }
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

/// PixelRepresentation; absent means unsigned.
fn one_of_optional(object: &InMemDicomObject, tag: Tag) -> Result<u32, DicomProblem> {
    if integer(object, tag).is_none() {
        return Ok(0);
    }
    one_of(object, tag, "PixelRepresentation", &[0, 1], "0, unsigned, or 1, signed")
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

/// Bits below a sample: the high bit is usually the highest stored one.
fn shift(object: &InMemDicomObject, bits_stored: u32) -> Result<u32, DicomProblem> {
    let Some(high_bit) = integer(object, tags::HIGH_BIT) else { return Ok(0) };
    u32::try_from(high_bit + 1 - i64::from(bits_stored)).map_err(|_| DicomProblem::Unsupported {
        attribute: "HighBit",
        found: high_bit.to_string(),
        expected: "BitsStored - 1 to BitsAllocated - 1",
    })
}

fn photometric(object: &InMemDicomObject) -> Result<Photometric, DicomProblem> {
    let attribute = "PhotometricInterpretation";
    let found = object
        .get(tags::PHOTOMETRIC_INTERPRETATION)
        .and_then(|element| element.to_str().ok())
        .ok_or(DicomProblem::Missing { attribute })?;
    let found = found.trim_matches(['\0', ' ']);
    Photometric::from_str(found).map_err(|expected| DicomProblem::Unsupported {
        attribute,
        found: found.to_owned(),
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
            "YBR_PARTIAL_422" => Self::YbrPartial422,
            "YBR_ICT" | "YBR_RCT" => Self::YbrJpeg2000,
            _ => {
                return Err("MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL, \
                            YBR_FULL_422, YBR_PARTIAL_422, YBR_ICT or YBR_RCT");
            }
        })
    }
}
