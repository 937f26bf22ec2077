//! Small DICOM files made by the tests.
// Each test file uses only a part of this module.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

pub const EXPLICIT_VR: &str = "1.2.840.10008.1.2.1";
pub const IMPLICIT_VR: &str = "1.2.840.10008.1.2";
pub const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
pub const RLE: &str = "1.2.840.10008.1.2.5";

/// Writes data elements in explicit form, in the order of the calls.
pub struct DicomFile {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl DicomFile {
    pub fn new(transfer_syntax: &str) -> Self {
        let mut bytes = vec![0; 128];
        bytes.extend_from_slice(b"DICM");
        let mut meta = Self::bare()
            .element(0x0002, 0x0001, b"OB", &[0, 1])
            .element(0x0002, 0x0002, b"UI", b"1.2.840.10008.5.1.4.1.1.6.1\0")
            .element(0x0002, 0x0003, b"UI", b"1.2.3.4\0")
            .element(0x0002, 0x0010, b"UI", &even(transfer_syntax.as_bytes(), 0))
            .element(0x0002, 0x0012, b"UI", b"1.2.3.5\0")
            .bytes;
        let mut file = Self { bytes, big_endian: false };
        file = file.element(0x0002, 0x0000, b"UL", &(meta.len() as u32).to_le_bytes());
        file.bytes.append(&mut meta);
        file.big_endian = transfer_syntax == BIG_ENDIAN;
        file
    }

    /// Elements without a file header.
    pub fn bare() -> Self {
        Self { bytes: Vec::new(), big_endian: false }
    }

    /// The written elements as the only item of a sequence.
    pub fn into_item(self) -> Vec<u8> {
        let len = (self.bytes.len() as u32).to_le_bytes();
        [&[0xfe, 0xff, 0x00, 0xe0][..], &len, &self.bytes].concat()
    }

    /// Writes the attributes that pixels need, in the order of their tags; the pixels have to
    /// follow.
    pub fn image(
        self,
        samples: u16,
        photometric: &str,
        [rows, columns]: [u16; 2],
        bits: u16,
    ) -> Self {
        self.cine(samples, photometric, 1, [rows, columns], bits)
    }

    pub fn cine(
        self,
        samples: u16,
        photometric: &str,
        frames: u32,
        [rows, columns]: [u16; 2],
        bits: u16,
    ) -> Self {
        self.u16(0x0028, 0x0002, samples)
            .element(0x0028, 0x0004, b"CS", &even(photometric.as_bytes(), b' '))
            .u16(0x0028, 0x0006, 0)
            .element(0x0028, 0x0008, b"IS", &even(frames.to_string().as_bytes(), b' '))
            .u16(0x0028, 0x0010, rows)
            .u16(0x0028, 0x0011, columns)
            .u16(0x0028, 0x0100, bits)
            .u16(0x0028, 0x0101, bits)
            .u16(0x0028, 0x0102, bits - 1)
            .u16(0x0028, 0x0103, 0)
    }

    pub fn pixels(self, pixels: &[u8]) -> Self {
        self.element(0x7fe0, 0x0010, b"OB", &even(pixels, 0))
    }

    pub fn fragments(mut self, fragments: &[&[u8]]) -> Self {
        self.bytes.extend_from_slice(&[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 255, 255, 255, 255]);
        for fragment in [&[][..]].into_iter().chain(fragments.iter().copied()) {
            let fragment = even(fragment, 0);
            self.bytes.extend_from_slice(&[0xfe, 0xff, 0x00, 0xe0]);
            self.bytes.extend_from_slice(&(fragment.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(&fragment);
        }
        self.raw(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])
    }

    pub fn u16(self, group: u16, element: u16, value: u16) -> Self {
        self.words(group, element, b"US", &[value])
    }

    /// Numbers of 16 bits in the byte order of the file.
    pub fn words(self, group: u16, element: u16, vr: &[u8; 2], values: &[u16]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|&value| self.order16(value)).collect();
        self.element(group, element, vr, &bytes)
    }

    pub fn text(self, group: u16, element: u16, vr: &[u8; 2], value: &str) -> Self {
        self.element(group, element, vr, &even(value.as_bytes(), b' '))
    }

    /// A sequence of one item, given as its elements.
    pub fn sequence(self, group: u16, element: u16, item: DicomFile) -> Self {
        self.element(group, element, b"SQ", &item.into_item())
    }

    pub fn element(mut self, group: u16, element: u16, vr: &[u8; 2], value: &[u8]) -> Self {
        self.bytes.extend(self.order16(group));
        self.bytes.extend(self.order16(element));
        self.bytes.extend_from_slice(vr);
        if [b"OB", b"OW", b"SQ", b"UC", b"UN"].contains(&vr) {
            self.bytes.extend_from_slice(&[0, 0]);
            let len = value.len() as u32;
            self.bytes.extend(if self.big_endian { len.to_be_bytes() } else { len.to_le_bytes() });
        } else {
            self.bytes.extend(self.order16(value.len() as u16));
        }
        self.raw(value)
    }

    fn order16(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn write(self, folder: &Path) -> PathBuf {
        let path = folder.join("made.dcm");
        std::fs::write(&path, self.bytes).expect("the temporary folder is writable");
        path
    }
}

fn even(bytes: &[u8], padding: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(padding);
    }
    bytes
}
