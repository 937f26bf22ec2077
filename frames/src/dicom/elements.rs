//! Elements of a data set (PS3.5 section 7).
//!
//! Every length is compared with the file before its value is read, and nesting, the number of
//! elements and the memory for their values are limited.

use std::ops::Range;

use dicom_core::header::Tag;
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::DicomProblem;
use super::value::{ELEMENT_BYTES, implied_vr, is_long, memory, primitive, value_bytes};

/// Deepest nesting of sequences and items; real files have fewer than ten levels.
const MAX_DEPTH: u64 = 64;

/// Largest number of elements, items and fragments together.
const MAX_ELEMENTS: u64 = 2_000_000;

/// Memory for the elements of any file, in addition to 4 bytes for each of its bytes.
const MEMORY_BYTES: u64 = 64 << 20;

/// Size of an element without a value, in bytes.
const SMALLEST_ELEMENT: usize = 8;

/// Value of an undefined length.
const UNDEFINED: u32 = u32::MAX;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// Form of elements.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// True if elements do not state their types.
    pub(super) implicit: bool,
    pub(super) big_endian: bool,
}

/// Position of the pixel data in the file.
#[derive(Debug)]
pub(super) enum PixelElement {
    /// One value.
    Native { range: Range<usize>, words: bool },
    /// Basic offset table, and the fragments that are not empty.
    Fragments { offsets: Vec<u32>, fragments: Vec<Range<usize>> },
}

/// Reads elements one after the other.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    elements: u64,
    /// Memory taken by the elements so far.
    memory: u64,
    pub(super) pixels: Option<PixelElement>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, elements: 0, memory: 0, pixels: None, warnings: Vec::new() }
    }

    /// Reads all elements up to the end of the file. A fault after the pixel data is tolerated.
    pub(super) fn data_set(&mut self, form: Form) -> Result<InMemDicomObject, DicomProblem> {
        let mut object = InMemDicomObject::new_empty();
        loop {
            let start = self.at;
            let rest = self.bytes.get(start..).unwrap_or_default();
            let padded = rest.len() < SMALLEST_ELEMENT
                || (rest.starts_with(&[0; SMALLEST_ELEMENT]) && rest.iter().all(|&byte| byte == 0));
            if padded {
                if !rest.is_empty() {
                    self.warnings.push(format!("{} bytes of padding at the end", rest.len()));
                }
                return Ok(object);
            }
            match self.element(form, self.bytes.len(), 0) {
                Ok(Some(element)) => _ = object.put(element),
                Ok(None) => {}
                Err(problem) if self.pixels.is_some() => {
                    self.warnings
                        .push(format!("everything from byte {start} is ignored: {problem}"));
                    return Ok(object);
                }
                Err(problem) => return Err(problem),
            }
        }
    }

    /// Reads one element within a level that ends at `end`; `None` if it is not kept.
    pub(super) fn element(
        &mut self,
        form: Form,
        end: usize,
        depth: u64,
    ) -> Result<Option<InMemElement>, DicomProblem> {
        self.count()?;
        let tag = self.tag(form, end)?;
        if [ITEM, ITEM_END, SEQUENCE_END].contains(&tag) {
            // A stray delimiter.
            self.u32(form, end)?;
            return Ok(None);
        }
        let (vr, len) = self.vr_and_length(tag, form, end)?;
        if tag == tags::PIXEL_DATA && depth == 0 {
            self.pixel_data(vr, len, form, end)?;
            return Ok(None);
        }
        // Types of sequences are often unknown where they were converted; they are implicit then.
        let unknown = vr == VR::UN && !form.implicit;
        if len == UNDEFINED || (vr == VR::SQ && len > 0) {
            if matches!(vr, VR::OB | VR::OW) {
                self.fragments(form, end)?;
                return Ok(None);
            }
            let form = if unknown { Form { implicit: true, big_endian: false } } else { form };
            return self.sequence(tag, len, form, end, depth);
        }
        let range = self.value_range(tag, len, end)?;
        check_values(tag, vr, &range)?;
        if !tag.group().is_multiple_of(2) {
            return Ok(None);
        }
        let bytes = &self.bytes[range.clone()];
        let vr = if unknown { implied_vr(tag) } else { vr };
        if vr == VR::SQ {
            return Ok(self.unknown_sequence(tag, range, depth));
        }
        self.remember(memory(vr, bytes))?;
        let big_endian = form.big_endian && !unknown;
        Ok(primitive(vr, bytes, big_endian).map(|value| DataElement::new(tag, vr, value)))
    }

    /// A sequence of known length whose type was written as unknown; `None` if it cannot be read.
    fn unknown_sequence(
        &mut self,
        tag: Tag,
        range: Range<usize>,
        depth: u64,
    ) -> Option<InMemElement> {
        let form = Form { implicit: true, big_endian: false };
        self.at = range.start;
        let sequence = self.sequence(tag, range.len() as u32, form, range.end, depth);
        self.at = range.end;
        sequence.ok().flatten()
    }

    fn sequence(
        &mut self,
        tag: Tag,
        len: u32,
        form: Form,
        end: usize,
        depth: u64,
    ) -> Result<Option<InMemElement>, DicomProblem> {
        check_limit("levels of nesting", depth + 1, MAX_DEPTH)?;
        let delimited = len == UNDEFINED;
        let end = if delimited { end } else { self.room(tag, len, end)? };
        let mut items = Vec::new();
        while delimited || self.at < end {
            self.count()?;
            let found = self.tag(form, end)?;
            let len = self.u32(form, end)?;
            match found {
                ITEM => {
                    let item = self.item(len, form, end, depth + 1)?;
                    if tag.group().is_multiple_of(2) {
                        self.remember(ELEMENT_BYTES)?;
                        items.push(item);
                    }
                }
                SEQUENCE_END => break,
                ITEM_END => {}
                other => return Err(self.no_item(tag, other)),
            }
        }
        if !delimited {
            self.at = end;
        }
        let value = DataSetSequence::from(items);
        Ok(tag.group().is_multiple_of(2).then(|| DataElement::new(tag, VR::SQ, value)))
    }

    fn item(
        &mut self,
        len: u32,
        form: Form,
        end: usize,
        depth: u64,
    ) -> Result<InMemDicomObject, DicomProblem> {
        let delimited = len == UNDEFINED;
        let end = if delimited { end } else { self.room(ITEM, len, end)? };
        let form = self.form_of_item(form, end);
        let mut item = InMemDicomObject::new_empty();
        while delimited || self.at < end {
            let start = self.at;
            if delimited && self.tag(form, end)? == ITEM_END {
                self.u32(form, end)?;
                break;
            }
            self.at = start;
            if let Some(element) = self.element(form, end, depth)? {
                item.put(element);
            }
        }
        Ok(item)
    }

    /// Form of an item: some writers embed implicit ones in explicit files.
    fn form_of_item(&self, form: Form, end: usize) -> Form {
        let first: Option<&[u8; 6]> = self.bytes[self.at..end].first_chunk();
        match first {
            Some(&[g0, g1, _, _, a, b]) if !form.implicit && !form.big_endian => {
                let delimiter = [g0, g1] == [0xfe, 0xff];
                Form { implicit: !delimiter && VR::from_binary([a, b]).is_none(), ..form }
            }
            _ => form,
        }
    }

    fn pixel_data(&mut self, vr: VR, len: u32, form: Form, end: usize) -> Result<(), DicomProblem> {
        let element = if len == UNDEFINED {
            self.fragments(form, end)?
        } else {
            let range = self.value_range(tags::PIXEL_DATA, len, end)?;
            PixelElement::Native { range, words: vr == VR::OW }
        };
        self.pixels = Some(element);
        Ok(())
    }

    /// Reads fragments up to their delimiter, which may be missing at the end of the file.
    fn fragments(&mut self, form: Form, end: usize) -> Result<PixelElement, DicomProblem> {
        let mut ranges = Vec::new();
        loop {
            if end - self.at < SMALLEST_ELEMENT {
                self.warnings.push("the delimiter after the last fragment is missing".to_owned());
                self.at = end;
                break;
            }
            self.count()?;
            let start = self.at;
            let tag = self.tag(form, end)?;
            let len = self.u32(form, end)?;
            match tag {
                ITEM => ranges.push(self.value_range(ITEM, len, end)?),
                SEQUENCE_END => break,
                _ if !ranges.is_empty() => {
                    let missing = "the delimiter after the last fragment is missing".to_owned();
                    self.warnings.push(missing);
                    self.at = start;
                    break;
                }
                other => return Err(self.no_item(tags::PIXEL_DATA, other)),
            }
        }
        let mut ranges = ranges.into_iter();
        let table = ranges.next().map(|range| &self.bytes[range]).unwrap_or_default();
        let offset = |word: &[u8]| u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let offsets = table.chunks_exact(4).map(offset).collect();
        let fragments = ranges.filter(|range| !range.is_empty()).collect();
        Ok(PixelElement::Fragments { offsets, fragments })
    }

    fn no_item(&self, tag: Tag, found: Tag) -> DicomProblem {
        let at = self.at as u64 - 8;
        DicomProblem::NoItem { what: name(tag), at, found: name(found) }
    }

    fn vr_and_length(
        &mut self,
        tag: Tag,
        form: Form,
        end: usize,
    ) -> Result<(VR, u32), DicomProblem> {
        if form.implicit {
            return Ok((implied_vr(tag), self.u32(form, end)?));
        }
        let [a, b, c, d] = self.take(|| name(tag), end)?;
        // An unknown type has the long form.
        let vr = VR::from_binary([a, b]).unwrap_or(VR::UN);
        if is_long(vr) {
            return Ok((vr, self.u32(form, end)?));
        }
        let read = if form.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        Ok((vr, read([c, d]).into()))
    }

    fn tag(&mut self, form: Form, end: usize) -> Result<Tag, DicomProblem> {
        let [a, b, c, d] = self.take(|| "tag of an element".to_owned(), end)?;
        let read = if form.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        Ok(Tag(read([a, b]), read([c, d])))
    }

    fn u32(&mut self, form: Form, end: usize) -> Result<u32, DicomProblem> {
        let bytes = self.take(|| "length of an element".to_owned(), end)?;
        Ok(if form.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn take(&mut self, what: impl FnOnce() -> String, end: usize) -> Result<[u8; 4], DicomProblem> {
        let bytes = self.bytes.get(self.at..end).and_then(|rest| rest.first_chunk());
        let bytes = *bytes.ok_or_else(|| self.truncated(what(), 4, end))?;
        self.at += 4;
        Ok(bytes)
    }

    /// Position after a value; an error if it does not end before `end`.
    fn room(&self, tag: Tag, len: u32, end: usize) -> Result<usize, DicomProblem> {
        let after = self.at.checked_add(len as usize).filter(|after| *after <= end);
        after.ok_or_else(|| self.truncated(name(tag), len, end))
    }

    /// Passes over a value.
    fn value_range(
        &mut self,
        tag: Tag,
        len: u32,
        end: usize,
    ) -> Result<Range<usize>, DicomProblem> {
        let after = self.room(tag, len, end)?;
        let range = self.at..after;
        self.at = after;
        Ok(range)
    }

    fn truncated(&self, what: String, needed: u32, end: usize) -> DicomProblem {
        let left = end.saturating_sub(self.at) as u64;
        DicomProblem::Truncated { what, at: self.at as u64, needed: needed.into(), left }
    }

    fn count(&mut self) -> Result<(), DicomProblem> {
        self.elements += 1;
        check_limit("elements", self.elements, MAX_ELEMENTS)
    }

    fn remember(&mut self, bytes: u64) -> Result<(), DicomProblem> {
        self.memory += bytes;
        let limit = MEMORY_BYTES + 4 * self.bytes.len() as u64;
        check_limit("bytes of memory for elements", self.memory, limit)
    }
}

/// Refuses a partial value of a numeric type.
fn check_values(tag: Tag, vr: VR, range: &Range<usize>) -> Result<(), DicomProblem> {
    let (size, found) = (value_bytes(vr), range.len());
    if found.is_multiple_of(size) {
        return Ok(());
    }
    let (what, at, vr) = (name(tag), range.start as u64, vr.to_string());
    Err(DicomProblem::PartialValue { what, at, found, vr, size })
}

fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), DicomProblem> {
    if found <= limit { Ok(()) } else { Err(DicomProblem::Bloated { what, found, limit }) }
}

fn name(tag: Tag) -> String {
    format!("({:04X},{:04X})", tag.group(), tag.element())
}
