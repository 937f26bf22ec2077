//! Data set of a file: preamble, file meta group, transfer syntax and elements.
//!
//! The elements become an object of `dicom-object`, but its reader is not used. It allocates as much
//! as the length of an element states, recurses without a limit, gets out of step after a partial
//! value, and refuses files without preamble, group length or end delimiter, and sequences of type
//! UN (PS3.5 6.2.2).

use std::io::Read;
use std::ops::Range;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use flate2::read::DeflateDecoder;

use super::DicomProblem;
use super::elements::{Form, PixelElement, Reader};
use super::syntax::{
    EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, TransferSyntax,
};
use crate::MAX_FILE_BYTES;

/// A parsed file.
#[derive(Debug)]
pub(super) struct DataSet {
    /// Elements, except pixel data and private ones.
    pub(super) object: InMemDicomObject,
    pub(super) syntax: &'static TransferSyntax,
    /// The file, inflated if its transfer syntax says so.
    pub(super) bytes: Vec<u8>,
    /// The attribute PixelData.
    pub(super) pixels: Option<PixelElement>,
    /// Faults that were tolerated.
    pub(super) warnings: Vec<String>,
}

/// Bytes before the letters DICM.
const PREAMBLE_BYTES: usize = 128;

/// True if a file that starts with these bytes, at least 132 if it is not shorter, may be a DICOM
/// file: it has the letters DICM, or an element of group 2 or 8 comes first.
pub(crate) fn is_dicom(start: &[u8]) -> bool {
    if start.starts_with(b"DICM") || start.get(PREAMBLE_BYTES..).is_some_and(starts_with_letters) {
        return true;
    }
    let Some(&[g0, g1, e0, e1, l0, l1, l2, l3]) = start.first_chunk() else { return false };
    let plausible = |group: u16, element: u16, length: u32| {
        [0x0002, 0x0008].contains(&group)
            && element <= 0x0100
            && (VR::from_binary([l0, l1]).is_some() || length <= 0x100)
    };
    let (group, element) = ([g0, g1], [e0, e1]);
    plausible(
        u16::from_le_bytes(group),
        u16::from_le_bytes(element),
        u32::from_le_bytes([l0, l1, l2, l3]),
    ) || (VR::from_binary([l0, l1]).is_some()
        && plausible(u16::from_be_bytes(group), u16::from_be_bytes(element), 0))
}

fn starts_with_letters(bytes: &[u8]) -> bool {
    bytes.starts_with(b"DICM")
}

impl DataSet {
    /// Parses a file.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, DicomProblem> {
        let mut warnings = Vec::new();
        let start = if bytes.get(PREAMBLE_BYTES..).is_some_and(starts_with_letters) {
            PREAMBLE_BYTES + 4
        } else if is_dicom(&bytes) {
            warnings.push("the preamble is missing".to_owned());
            if starts_with_letters(&bytes) { 4 } else { 0 }
        } else {
            return Err(no_letters(&bytes));
        };
        let (uid, start) = meta_group(&bytes, start)?;
        let syntax = if uid.is_empty() {
            let syntax = guess(bytes.get(start..).unwrap_or_default())?;
            warnings.push(format!("the transfer syntax is missing; {} is assumed", syntax.name));
            syntax
        } else {
            TransferSyntax::find(&uid)?
        };
        syntax.encoding()?;
        if syntax.is_deflated() {
            let bytes = inflate(&bytes[start..])?;
            return Self::elements(bytes, 0, syntax, warnings);
        }
        Self::elements(bytes, start, syntax, warnings)
    }

    fn elements(
        bytes: Vec<u8>,
        start: usize,
        syntax: &'static TransferSyntax,
        mut warnings: Vec<String>,
    ) -> Result<Self, DicomProblem> {
        let mut form = Form { implicit: syntax.is_implicit(), big_endian: syntax.is_big_endian() };
        if let Some(implicit) = contradiction(bytes.get(start..).unwrap_or_default(), form) {
            form.implicit = implicit;
            warnings
                .push(format!("the elements are not in {}; they are read as found", syntax.name));
        }
        let mut reader = Reader::new(&bytes, start);
        let object = reader.data_set(form)?;
        warnings.append(&mut reader.warnings);
        let pixels = reader.pixels.take();
        Ok(Self { object, syntax, bytes, pixels, warnings })
    }

    /// Bytes of a range of the file.
    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }
}

fn no_letters(bytes: &[u8]) -> DicomProblem {
    match bytes.get(PREAMBLE_BYTES..PREAMBLE_BYTES + 4) {
        None => DicomProblem::Truncated {
            what: "preamble".to_owned(),
            at: 0,
            needed: PREAMBLE_BYTES as u64,
            left: bytes.len() as u64,
        },
        Some(found) => DicomProblem::Unsupported {
            attribute: "prefix at byte 128",
            found: format!("{found:02x?}"),
            expected: "the letters DICM of a DICOM file",
        },
    }
}

/// Reads the file meta group, which is always explicit little endian; returns the transfer syntax
/// without padding, empty if there is none, and the position of the data set. The length of the
/// group is not used, because it is often missing or wrong.
fn meta_group(bytes: &[u8], start: usize) -> Result<(String, usize), DicomProblem> {
    let mut reader = Reader::new(bytes, start);
    let mut uid = String::new();
    while bytes.get(reader.at..reader.at + 2) == Some(&[2, 0]) {
        let explicit = bytes.get(reader.at + 4..).is_some_and(is_type);
        let form = Form { implicit: !explicit, big_endian: false };
        if let Some(element) = reader.element(form, bytes.len(), 0)?
            && element.header().tag == tags::TRANSFER_SYNTAX_UID
        {
            let text = element.to_str().unwrap_or_default();
            uid = text.trim_matches(['\0', ' ']).to_owned();
        }
    }
    Ok((uid, reader.at))
}

/// True if these bytes start with a type of elements.
fn is_type(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|&letters| VR::from_binary(letters).is_some())
}

/// Transfer syntax of uncompressed elements, from the first one.
fn guess(elements: &[u8]) -> Result<&'static TransferSyntax, DicomProblem> {
    let explicit = elements.get(4..).is_some_and(is_type);
    // The first group is small, so its first byte is zero in big endian only.
    let uid = match elements.first() {
        Some(0) if explicit => EXPLICIT_BIG_ENDIAN,
        _ if explicit => EXPLICIT_LITTLE_ENDIAN,
        _ => IMPLICIT_LITTLE_ENDIAN,
    };
    TransferSyntax::find(uid)
}

/// True or false if the first element shows types or their absence, contrary to `form`.
fn contradiction(elements: &[u8], form: Form) -> Option<bool> {
    let first: &[u8; 8] = elements.first_chunk()?;
    let explicit = is_type(&first[4..]);
    // An implicit length that looks like a type would be at least 16 kB.
    (explicit == form.implicit && !form.big_endian).then_some(!explicit)
}

/// Inflates a data set. Zeros and text are compressed by up to 1000, so a larger file may become
/// larger by a factor, and a small one up to a fixed size.
fn inflate(deflated: &[u8]) -> Result<Vec<u8>, DicomProblem> {
    let limit = (INFLATED_BYTES + 16 * deflated.len() as u64).min(MAX_FILE_BYTES);
    let mut bytes = Vec::new();
    DeflateDecoder::new(deflated)
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DicomProblem::Inflate { reason: source.to_string() })?;
    if bytes.len() as u64 > limit {
        let found = bytes.len() as u64;
        return Err(DicomProblem::Bloated { what: "bytes after inflating", found, limit });
    }
    Ok(bytes)
}

/// Size that a deflated data set of any size may have.
const INFLATED_BYTES: u64 = 64 << 20;
