//! Motion JPEG: a sequence of JPEG streams, with or without other bytes in between.

/// Largest JPEG stream in bytes; larger than any camera makes of a frame of
/// [`MAX_SIDE_PX`](medsa_frames::MAX_SIDE_PX).
pub const MAX_JPEG_BYTES: usize = 16 << 20;

/// Number of bytes without the start of an image after which an error is reported.
const MAX_STRAY_BYTES: usize = 1 << 20;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

/// Cuts a byte stream, which arrives in parts, into JPEG streams.
///
/// It follows the markers, so that a thumbnail inside an image does not end the image.
#[derive(Debug, Default)]
pub struct MjpegSplitter {
    /// Begins with an image unless `place` is [`Place::Between`].
    buffer: Vec<u8>,
    place: Place,
    /// Number of bytes skipped between images.
    stray_bytes: usize,
}

/// A piece that a splitter has cut out.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// One JPEG stream, from its first marker to its last.
    Whole(Vec<u8>),
    /// Bytes that are not a complete stream, and the reason.
    Damaged(String),
}

/// Position in the structure of the stream.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Between images.
    #[default]
    Between,
    /// At a marker, at this index of the buffer.
    Marker(usize),
    /// In entropy-coded data, at this index of the buffer.
    Scan(usize),
}

impl MjpegSplitter {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next stream; `None` if more bytes are needed.
    pub fn next_cut(&mut self) -> Option<Cut> {
        loop {
            if self.place_in_buffer() > MAX_JPEG_BYTES {
                return Some(self.drop_image(format!("more than {MAX_JPEG_BYTES} bytes")));
            }
            let step = match self.place {
                Place::Between => self.find_start(),
                Place::Marker(at) => self.read_marker(at),
                Place::Scan(at) => self.find_marker(at),
            };
            match step? {
                Step::To(place) => self.place = place,
                Step::Cut(cut) => return Some(cut),
            }
        }
    }

    fn place_in_buffer(&self) -> usize {
        match self.place {
            Place::Between => 0,
            Place::Marker(at) | Place::Scan(at) => at,
        }
    }

    fn find_start(&mut self) -> Option<Step> {
        let found = self.buffer.windows(3).position(|bytes| bytes == [0xff, SOI, 0xff]);
        // The last two bytes may begin a start marker.
        let stray = found.unwrap_or(self.buffer.len().saturating_sub(2));
        self.buffer.drain(..stray);
        self.stray_bytes += stray;
        if found.is_some() {
            self.stray_bytes = 0;
            return Some(Step::To(Place::Marker(2)));
        }
        if self.stray_bytes > MAX_STRAY_BYTES {
            let stray = std::mem::take(&mut self.stray_bytes);
            let reason = format!("{stray} bytes without the start of a JPEG stream");
            return Some(Step::Cut(Cut::Damaged(reason)));
        }
        None
    }

    fn read_marker(&mut self, at: usize) -> Option<Step> {
        let &[first, marker] = self.buffer.get(at..at + 2)? else { return None };
        if first != 0xff {
            let reason = format!("byte {at} is {first:#04x}, expected a marker");
            return Some(Step::Cut(self.drop_image(reason)));
        }
        Some(match marker {
            0xff => Step::To(Place::Marker(at + 1)),
            EOI => {
                let rest = self.buffer.split_off(at + 2);
                let whole = std::mem::replace(&mut self.buffer, rest);
                self.place = Place::Between;
                Step::Cut(Cut::Whole(whole))
            }
            SOI => Step::Cut(self.drop_image(format!("cut short after {at} bytes by another"))),
            0x00 => Step::Cut(self.drop_image(format!("byte {at} is data, expected a marker"))),
            // Markers without a segment.
            0x01 | 0xd0..=0xd7 => Step::To(Place::Marker(at + 2)),
            _ => {
                let &[high, low] = self.buffer.get(at + 2..at + 4)? else { return None };
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 {
                    let reason =
                        format!("segment at byte {at} has length {length}, expected 2 or more");
                    return Some(Step::Cut(self.drop_image(reason)));
                }
                let after = at + 2 + length;
                Step::To(if marker == SOS { Place::Scan(after) } else { Place::Marker(after) })
            }
        })
    }

    fn find_marker(&mut self, at: usize) -> Option<Step> {
        let data = self.buffer.get(at..)?;
        let offset = data.iter().position(|&byte| byte == 0xff).unwrap_or(data.len());
        let found = at + offset;
        // These bytes are not scanned again when more arrive.
        self.place = Place::Scan(found);
        Some(Step::To(match *self.buffer.get(found + 1)? {
            // A stuffed data byte, or a restart marker.
            0x00 | 0xd0..=0xd7 => Place::Scan(found + 2),
            _ => Place::Marker(found),
        }))
    }

    /// Drops what was read of the current image; the search goes on in what follows.
    fn drop_image(&mut self, reason: String) -> Cut {
        let read = self.place_in_buffer().min(self.buffer.len());
        self.buffer.drain(..read);
        self.place = Place::Between;
        Cut::Damaged(format!("JPEG stream: {reason}"))
    }
}

enum Step {
    To(Place),
    Cut(Cut),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image with a thumbnail in a segment, and stuffing and a restart in its data.
    fn image() -> Vec<u8> {
        let thumbnail = [0xff, SOI, 0xff, EOI];
        let mut jpeg = vec![0xff, SOI, 0xff, 0xe1, 0, 6];
        jpeg.extend(thumbnail);
        jpeg.extend([0xff, SOS, 0, 3, 7, 1, 2, 0xff, 0x00, 3, 0xff, 0xd0, 4, 0xff, 0xff, EOI]);
        jpeg
    }

    /// Everything cut out of `bytes` when they arrive `size` at a time.
    fn cuts(bytes: &[u8], size: usize) -> Vec<Cut> {
        let mut splitter = MjpegSplitter::default();
        let mut cuts = Vec::new();
        for part in bytes.chunks(size) {
            splitter.push(part);
            cuts.extend(std::iter::from_fn(|| splitter.next_cut()));
        }
        cuts
    }

    #[test]
    fn images_are_cut_out_for_any_chunk_size() {
        let stream = [b"--boundary\r\n\xff".as_slice(), &image(), b"\r\n", &image()].concat();
        for size in 1..=stream.len() {
            let expected = [Cut::Whole(image()), Cut::Whole(image())];
            assert_eq!(cuts(&stream, size), expected, "{size}");
        }
    }

    #[test]
    fn truncated_image_affects_no_other() {
        let stream = [&image()[..19], &image()].concat();
        for size in 1..=stream.len() {
            let cuts = cuts(&stream, size);
            let Cut::Damaged(reason) = &cuts[0] else { panic!("{cuts:?}") };
            assert_eq!(reason, "JPEG stream: cut short after 19 bytes by another");
            assert_eq!(cuts[1..], [Cut::Whole(image())], "{size}");
        }
    }

    #[test]
    fn invalid_markers_and_segments_are_reported() {
        let reason = |bytes: &[u8]| match &cuts(bytes, 100)[..] {
            [Cut::Damaged(reason)] => reason.clone(),
            other => panic!("{other:?}"),
        };
        let no_marker = [0xff, SOI, 0xff, 0xe0, 0, 2, 5, 5];
        assert_eq!(reason(&no_marker), "JPEG stream: byte 6 is 0x05, expected a marker");
        let no_length = [0xff, SOI, 0xff, 0xe0, 0, 1];
        assert_eq!(
            reason(&no_length),
            "JPEG stream: segment at byte 2 has length 1, expected 2 or more"
        );
    }

    #[test]
    fn buffer_size_is_limited() {
        let mut splitter = MjpegSplitter::default();
        splitter.push(&[0xff, SOI, 0xff, SOS, 0, 2]);
        let part = vec![1; 1 << 20];
        let mut parts_until_damage = || {
            let parts = (1..).find(|_| {
                splitter.push(&part);
                splitter.next_cut().is_some()
            });
            assert!(splitter.buffer.len() <= 2 * part.len());
            parts
        };
        assert_eq!(parts_until_damage(), Some(MAX_JPEG_BYTES / part.len() + 1));
        // The buffer is limited too when no image ever begins.
        assert!(parts_until_damage() <= Some(2));
    }
}
