//! Values of elements (PS3.5 6.2).

use dicom_core::VR;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::header::Tag;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::StandardDataDictionary;

/// Longest value that is kept. Lookup tables have at most 128 KiB.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// Memory for an element without its value, or for one text of several.
pub(super) const ELEMENT_BYTES: u64 = 160;
const TEXT_BYTES: u64 = 24;

/// Type of an element in a data set that does not state it; UN if it is not in the dictionary.
pub(super) fn implied_vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// True if the length of this type has four bytes in explicit form.
pub(super) fn is_long(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// Bytes of one value of a numeric type; 1 for all other types.
pub(super) fn value_bytes(vr: VR) -> usize {
    match vr {
        VR::OW | VR::SS | VR::US => 2,
        VR::AT | VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        _ => 1,
    }
}

/// Estimate of the memory that an element takes.
pub(super) fn memory(vr: VR, bytes: &[u8]) -> u64 {
    if bytes.len() > MAX_VALUE_BYTES {
        return 0;
    }
    let texts = match value_bytes(vr) {
        1 => bytes.iter().filter(|&&byte| byte == b'\\').count() as u64,
        _ => 0,
    };
    ELEMENT_BYTES + bytes.len() as u64 + TEXT_BYTES * texts
}

/// Converts a value to numbers or text; `None` if no attribute of interest has this type or length.
pub(super) fn primitive(vr: VR, bytes: &[u8], big_endian: bool) -> Option<PrimitiveValue> {
    if bytes.len() > MAX_VALUE_BYTES {
        return None;
    }
    if bytes.is_empty() {
        return Some(PrimitiveValue::Empty);
    }
    let text = || String::from_utf8_lossy(bytes);
    Some(match vr {
        VR::OB | VR::UN => PrimitiveValue::U8(bytes.into()),
        VR::US | VR::OW => {
            let read = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
            PrimitiveValue::U16(numbers(bytes, read))
        }
        VR::SS => {
            let read = if big_endian { i16::from_be_bytes } else { i16::from_le_bytes };
            PrimitiveValue::I16(numbers(bytes, read))
        }
        VR::UL | VR::OL => {
            let read = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
            PrimitiveValue::U32(numbers(bytes, read))
        }
        VR::SL => {
            let read = if big_endian { i32::from_be_bytes } else { i32::from_le_bytes };
            PrimitiveValue::I32(numbers(bytes, read))
        }
        VR::FL | VR::OF => {
            let read = if big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
            PrimitiveValue::F32(numbers(bytes, read))
        }
        VR::FD | VR::OD => {
            let read = if big_endian { f64::from_be_bytes } else { f64::from_le_bytes };
            PrimitiveValue::F64(numbers(bytes, read))
        }
        VR::AT => {
            let read = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
            let tag = |[a, b, c, d]: [u8; 4]| Tag(read([a, b]), read([c, d]));
            PrimitiveValue::Tags(numbers(bytes, tag))
        }
        VR::OV | VR::SV | VR::UV | VR::SQ => return None,
        VR::LT | VR::ST | VR::UR | VR::UT => PrimitiveValue::Str(text().into_owned()),
        _ => PrimitiveValue::Strs(text().split('\\').map(str::to_owned).collect()),
    })
}

fn numbers<T, const N: usize, C: FromIterator<T>>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> C {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}
