//! Structure check: reads all element headers before the file is parsed.
//!
//! The parser allocates and clears as much memory as an element's length states, up to 4 GiB,
//! before it notices that the file ends; and it recurses into nested sequences without a limit.
//! Therefore every length is first compared with the file, and nesting and the number of elements
//! are limited.

use std::io::{self, Read, Seek, SeekFrom};

use dicom_core::VR;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::header::Tag;
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};

use super::{DicomProblem, header};

/// Deepest nesting of sequences and items; real files have fewer than ten levels.
const MAX_DEPTH: u64 = 64;

/// Largest number of elements, items and fragments together; a cine of 20,000 frames has one
/// fragment each.
const MAX_ELEMENTS: u64 = 500_000;

/// Size of an element without a value, in bytes.
const SMALLEST_ELEMENT: u64 = 8;

/// Value of an undefined length.
const UNDEFINED: u32 = u32::MAX;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// Checks that every element lies within the file and within its enclosing element.
pub(super) fn check_structure(
    file: &mut (impl Read + Seek),
    file_len: u64,
) -> Result<(), DicomProblem> {
    let mut scan = Scan { file, position: 0, levels: vec![Level::to(file_len)], elements: 0 };
    scan.skip("preamble", 128)?;
    scan.magic()?;
    let transfer_syntax = scan.meta_group()?;
    // Refused here, because big-endian or deflated data would look damaged.
    header::encoding(&transfer_syntax)?;
    scan.levels[0].implicit = transfer_syntax == uids::IMPLICIT_VR_LITTLE_ENDIAN;
    while scan.element()? {}
    Ok(())
}

struct Scan<'a, F> {
    file: &'a mut F,
    position: u64,
    /// Enclosing levels, outermost first; never empty, because the file itself stays.
    levels: Vec<Level>,
    elements: u64,
}

#[derive(Clone, Copy)]
struct Level {
    /// Position after the level, or after the enclosing level if its own length is undefined.
    end: u64,
    /// True if a delimiter ends the level.
    delimited: bool,
    implicit: bool,
    /// True if its items are fragments of pixel data, which contain no elements.
    fragments: bool,
}

impl Level {
    fn to(end: u64) -> Self {
        Self { end, delimited: false, implicit: false, fragments: false }
    }
}

impl<F: Read + Seek> Scan<'_, F> {
    /// Reads the letters of a DICOM file after its preamble. Without them, the parser would start
    /// at another place than this check.
    fn magic(&mut self) -> Result<(), DicomProblem> {
        let mut found = [0; 4];
        self.check_room(|| "letters DICM".into(), 4)?;
        self.read(&mut found)?;
        if found == *b"DICM" {
            return Ok(());
        }
        Err(DicomProblem::Unsupported {
            attribute: "prefix at byte 128",
            found: format!("{found:02x?}"),
            expected: "the letters DICM of a DICOM file",
        })
    }

    /// Reads the file meta group; returns the transfer syntax without padding.
    fn meta_group(&mut self) -> Result<String, DicomProblem> {
        let mut transfer_syntax = Vec::new();
        while self.position < self.level().end {
            let start = self.position;
            let tag = self.tag()?;
            if tag.group() != 0x0002 {
                self.seek(start)?;
                break;
            }
            let (_, len) = self.explicit_vr_and_length(tag)?;
            if tag == tags::TRANSFER_SYNTAX_UID && len <= 64 {
                self.check_room(|| name(tag), len.into())?;
                transfer_syntax = vec![0; len as usize];
                self.read(&mut transfer_syntax)?;
            } else {
                self.skip_element(tag, len)?;
            }
        }
        let text = String::from_utf8_lossy(&transfer_syntax);
        Ok(text.trim_end_matches(['\0', ' ']).to_owned())
    }

    /// Reads one element or delimiter; returns `false` at the end of the file.
    fn element(&mut self) -> Result<bool, DicomProblem> {
        while self.levels.len() > 1 && !self.level().delimited && self.position >= self.level().end
        {
            self.levels.pop();
        }
        let level = self.level();
        if self.levels.len() == 1 && level.end - self.position < SMALLEST_ELEMENT {
            // The end, or a few bytes of padding that some writers append.
            return Ok(false);
        }
        if level.delimited && self.position >= level.end {
            return Err(self.truncated("end of a sequence".into(), SMALLEST_ELEMENT));
        }
        self.elements += 1;
        check_limit("elements", self.elements, MAX_ELEMENTS)?;
        let tag = self.tag()?;
        match tag {
            ITEM => self.item()?,
            ITEM_END | SEQUENCE_END => {
                self.u32()?;
                if self.level().delimited {
                    self.levels.pop();
                }
            }
            _ => self.data_element(tag)?,
        }
        Ok(true)
    }

    fn item(&mut self) -> Result<(), DicomProblem> {
        let len = self.u32()?;
        let level = self.level();
        if level.fragments { self.skip_element(ITEM, len) } else { self.enter(ITEM, len, level) }
    }

    fn data_element(&mut self, tag: Tag) -> Result<(), DicomProblem> {
        let level = self.level();
        let (vr, len) = if level.implicit {
            (implied_vr(tag), self.u32()?)
        } else {
            self.explicit_vr_and_length(tag)?
        };
        let fragments = tag == tags::PIXEL_DATA && len == UNDEFINED;
        // A sequence of unknown type is written as UN, with implicit types inside.
        let implicit = level.implicit || (vr == VR::UN && len == UNDEFINED);
        if vr == VR::SQ || len == UNDEFINED {
            self.enter(tag, len, Level { fragments, implicit, ..level })
        } else {
            self.check_values(tag, vr, len)?;
            self.skip_element(tag, len)
        }
    }

    /// Checks that the parser consumes the element completely. It reads whole values only, and takes
    /// the bytes of a partial one for the next element.
    fn check_values(&self, tag: Tag, vr: VR, len: u32) -> Result<(), DicomProblem> {
        let (size, at) = (value_bytes(vr), self.position);
        // Nothing follows a partial value at the end of the file.
        if len.is_multiple_of(size) || at + u64::from(len) >= self.levels[0].end {
            return Ok(());
        }
        Err(DicomProblem::PartialValue { what: name(tag), at, found: len, size })
    }

    fn enter(&mut self, tag: Tag, len: u32, like: Level) -> Result<(), DicomProblem> {
        let delimited = len == UNDEFINED;
        let end = if delimited {
            like.end
        } else {
            self.check_room(|| name(tag), len.into())?;
            self.position + u64::from(len)
        };
        self.levels.push(Level { end, delimited, ..like });
        check_limit("levels of nesting", self.levels.len() as u64, MAX_DEPTH)
    }

    fn skip_element(&mut self, tag: Tag, len: u32) -> Result<(), DicomProblem> {
        self.check_room(|| name(tag), len.into())?;
        self.seek(self.position + u64::from(len))
    }

    fn skip(&mut self, what: &str, len: u64) -> Result<(), DicomProblem> {
        self.check_room(|| what.into(), len)?;
        self.seek(self.position + len)
    }

    fn explicit_vr_and_length(&mut self, tag: Tag) -> Result<(VR, u32), DicomProblem> {
        let mut vr = [0; 2];
        self.check_room(|| name(tag), 4)?;
        self.read(&mut vr)?;
        // Like the parser: an unknown type has the long form.
        let vr = VR::from_binary(vr).unwrap_or(VR::UN);
        let mut short = [0; 2];
        self.read(&mut short)?;
        let long_form = matches!(
            vr,
            VR::OB
                | VR::OD
                | VR::OF
                | VR::OL
                | VR::OV
                | VR::OW
                | VR::SQ
                | VR::SV
                | VR::UC
                | VR::UN
                | VR::UR
                | VR::UT
                | VR::UV
        );
        let len = if long_form { self.u32()? } else { u16::from_le_bytes(short).into() };
        Ok((vr, len))
    }

    fn tag(&mut self) -> Result<Tag, DicomProblem> {
        let mut bytes = [0; 4];
        self.check_room(|| "tag of an element".into(), 4)?;
        self.read(&mut bytes)?;
        let [g0, g1, e0, e1] = bytes;
        Ok(Tag(u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1])))
    }

    fn u32(&mut self) -> Result<u32, DicomProblem> {
        let mut bytes = [0; 4];
        self.check_room(|| "length of an element".into(), 4)?;
        self.read(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn level(&self) -> Level {
        // Invariant: the outermost level is never removed.
        *self.levels.last().expect("the file itself encloses everything")
    }

    fn check_room(&self, what: impl FnOnce() -> String, needed: u64) -> Result<(), DicomProblem> {
        if needed <= self.level().end.saturating_sub(self.position) {
            Ok(())
        } else {
            Err(self.truncated(what(), needed))
        }
    }

    fn truncated(&self, what: String, needed: u64) -> DicomProblem {
        let left = self.level().end.saturating_sub(self.position);
        DicomProblem::Truncated { what, at: self.position, needed, left }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), DicomProblem> {
        self.file.read_exact(bytes).map_err(read_problem)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn seek(&mut self, position: u64) -> Result<(), DicomProblem> {
        // Relative, so that a buffered reader keeps its buffer. `i64` holds the length of any file.
        let offset = position as i64 - self.position as i64;
        self.file.seek(SeekFrom::Current(offset)).map_err(read_problem)?;
        self.position = position;
        Ok(())
    }
}

fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), DicomProblem> {
    if found <= limit { Ok(()) } else { Err(DicomProblem::Bloated { what, found, limit }) }
}

fn read_problem(source: io::Error) -> DicomProblem {
    DicomProblem::Read { source }
}

fn implied_vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// Bytes of one value of a numeric type; 1 for all other types.
fn value_bytes(vr: VR) -> u32 {
    match vr {
        VR::OW | VR::SS | VR::US => 2,
        VR::AT | VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        _ => 1,
    }
}

fn name(tag: Tag) -> String {
    format!("({:04X},{:04X})", tag.group(), tag.element())
}
