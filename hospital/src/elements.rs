//! Data elements in implicit VR little endian (PS3.5), as commands and reports have them.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec as _};

/// Undefined length of a sequence or item.
const UNDEFINED: u32 = 0xffff_ffff;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const END_OF_ITEM: Tag = Tag(0xfffe, 0xe00d);
const END_OF_SEQUENCE: Tag = Tag(0xfffe, 0xe0dd);

/// Writes elements.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Adds a UID, padded to an even length.
    pub(crate) fn uid(self, tag: Tag, uid: &str) -> Self {
        self.padded(tag, uid, 0)
    }

    /// Adds a text, padded to an even length.
    pub(crate) fn text(self, tag: Tag, text: &str) -> Self {
        self.padded(tag, text, b' ')
    }

    fn padded(self, tag: Tag, text: &str, padding: u8) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(padding);
        }
        self.value(tag, &bytes)
    }

    /// Adds a number of 16 bits.
    pub(crate) fn us(self, tag: Tag, number: u16) -> Self {
        self.value(tag, &number.to_le_bytes())
    }

    /// Adds a sequence.
    pub(crate) fn sequence(self, tag: Tag, items: impl Iterator<Item = Writer>) -> Self {
        let mut content = Self::default();
        for item in items {
            content = content.value(ITEM, &item.0);
        }
        self.value(tag, &content.0)
    }

    /// Adds a value of an even length.
    pub(crate) fn value(mut self, tag: Tag, value: &[u8]) -> Self {
        // Invariant: values written here are far below 4 GiB.
        let length = value.len() as u32;
        for part in [&tag.0.to_le_bytes()[..], &tag.1.to_le_bytes(), &length.to_le_bytes(), value] {
            self.0.extend_from_slice(part);
        }
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Elements of a data set or of an item, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a> {
    bytes: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The value of an element; `None` if it is not there, or if the bytes are damaged before it.
    pub(crate) fn get(self, tag: Tag) -> Option<&'a [u8]> {
        let mut rest = self;
        while let Some((found, value)) = rest.next() {
            if found == tag {
                return Some(value);
            }
        }
        None
    }

    /// A UID without its padding.
    pub(crate) fn uid(self, tag: Tag) -> Option<&'a str> {
        let text = std::str::from_utf8(self.get(tag)?).ok()?.trim_end_matches(['\0', ' ']);
        let is_uid = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        is_uid.then_some(text)
    }

    /// A text in a character set, without padding and control characters; empty if it is not there or
    /// cannot be decoded.
    pub(crate) fn text(self, tag: Tag, characters: &SpecificCharacterSet) -> String {
        let decoded = characters.decode(self.get(tag).unwrap_or_default()).unwrap_or_default();
        let shown = decoded.chars().filter(|c| !c.is_control()).take(MAX_CHARACTERS);
        shown.collect::<String>().trim().to_owned()
    }

    /// The character set of the texts of a data set. With several, it is the first that is not the
    /// default one: their escape sequences (ISO 2022) are not read.
    pub(crate) fn characters(self) -> SpecificCharacterSet {
        let codes = self.get(tags::SPECIFIC_CHARACTER_SET).unwrap_or_default();
        let codes = String::from_utf8_lossy(codes);
        let mut codes = codes.split('\\').map(|code| code.trim_matches(['\0', ' ']));
        let named = codes.find(|code| !matches!(*code, "" | "ISO_IR 6" | "ISO 2022 IR 6"));
        named.and_then(SpecificCharacterSet::from_code).unwrap_or_default()
    }

    pub(crate) fn us(self, tag: Tag) -> Option<u16> {
        Some(u16::from_le_bytes(self.get(tag)?.try_into().ok()?))
    }

    /// Items of a sequence; none if it is not there.
    pub(crate) fn items(self, tag: Tag) -> Vec<Elements<'a>> {
        let mut items = Vec::new();
        let mut rest = Self::of(self.get(tag).unwrap_or_default());
        while let Some((ITEM, value)) = rest.next() {
            items.push(Self::of(value));
        }
        items
    }

    /// The next element with the bytes of its value; those of a sequence or item without its
    /// delimiter.
    fn next(&mut self) -> Option<(Tag, &'a [u8])> {
        self.element(MAX_DEPTH)
    }

    /// As [`Self::next`], with values of undefined length nested up to `depth`.
    fn element(&mut self, depth: usize) -> Option<(Tag, &'a [u8])> {
        let (header, rest) = self.bytes.split_first_chunk::<8>()?;
        let [a, b, c, d, length @ ..] = *header;
        let tag = Tag(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let length = u32::from_le_bytes(length);
        if length != UNDEFINED {
            let (value, rest) = rest.split_at_checked(length as usize)?;
            self.bytes = rest;
            return Some((tag, value));
        }
        let depth = depth.checked_sub(1)?;
        let end = if tag == ITEM { END_OF_ITEM } else { END_OF_SEQUENCE };
        self.bytes = rest;
        let mut value = 0;
        while self.element(depth)?.0 != end {
            value = rest.len() - self.bytes.len();
        }
        Some((tag, &rest[..value]))
    }
}

/// Largest length of a text: the three groups of a name have 64 characters each.
const MAX_CHARACTERS: usize = 200;

/// Deepest nesting of values of undefined length.
const MAX_DEPTH: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    const UID: Tag = Tag(0x0008, 0x1155);
    const LIST: Tag = Tag(0x0008, 0x1199);
    const NUMBER: Tag = Tag(0x0008, 0x1197);

    fn report() -> Vec<u8> {
        let item = |uid: &str| Writer::default().uid(UID, uid).us(NUMBER, 0x110);
        let items = ["1.2.3", "1.2.34"].map(item);
        Writer::default()
            .uid(Tag(0x0008, 0x1195), "2.25.1")
            .sequence(LIST, items.into_iter())
            .into_bytes()
    }

    #[test]
    fn written_elements_are_read_again() {
        let bytes = report();
        let elements = Elements::of(&bytes);
        assert_eq!(elements.uid(Tag(0x0008, 0x1195)), Some("2.25.1"));
        let items = elements.items(LIST);
        let found: Vec<_> = items.iter().map(|item| (item.uid(UID), item.us(NUMBER))).collect();
        assert_eq!(found, [(Some("1.2.3"), Some(0x110)), (Some("1.2.34"), Some(0x110))]);
        assert_eq!(elements.get(NUMBER), None);
    }

    #[test]
    fn sequences_of_undefined_length_are_read() {
        let undefined = |tag: Tag| Writer::default().value(tag, &[]).into_bytes();
        let mut bytes = undefined(LIST);
        bytes[4..8].fill(0xff);
        for uid in ["1.2", "1.3"] {
            let mut item = undefined(ITEM);
            item[4..8].fill(0xff);
            bytes.extend(item);
            bytes.extend(Writer::default().uid(UID, uid).into_bytes());
            bytes.extend(undefined(END_OF_ITEM));
        }
        bytes.extend(undefined(END_OF_SEQUENCE));
        bytes.extend(Writer::default().us(NUMBER, 7).into_bytes());
        let elements = Elements::of(&bytes);
        let uids: Vec<_> = elements.items(LIST).iter().map(|item| item.uid(UID)).collect();
        assert_eq!(uids, [Some("1.2"), Some("1.3")]);
        assert_eq!(elements.us(NUMBER), Some(7));
    }

    #[test]
    fn damaged_bytes_never_panic_and_are_no_uids() {
        let bytes = report();
        for end in 0..bytes.len() {
            let cut = Elements::of(&bytes[..end]);
            let _ = (cut.items(LIST).len(), cut.get(NUMBER));
        }
        for at in 0..bytes.len() {
            for byte in [0, 0xff, 0x80] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let elements = Elements::of(&changed);
                let _ = elements.items(LIST).iter().filter_map(|item| item.uid(UID)).count();
            }
        }
        let deep = [0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff].repeat(100_000);
        assert_eq!(Elements::of(&deep).get(UID), None);
        let text = Writer::default().value(UID, b"1.2 OR 1").into_bytes();
        assert_eq!(Elements::of(&text).uid(UID), None);
    }
}
