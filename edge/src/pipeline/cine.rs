//! The cine buffer: frames of the last seconds, any of which can be shown again while frozen.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use medsa_frames::Frame;

use super::object::Shown;
use super::objects::Snapshot;
use crate::config::{CineConfig, Deidentification};
use crate::source::Captured;

/// Extent of the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CineExtent {
    /// Number of frames.
    pub frames: usize,
    /// Number of the frame that is shown, from 0, the oldest.
    pub shown: usize,
    /// Time from the oldest frame to the newest.
    pub span: Duration,
}

/// Frames of the last seconds, and the objects on each.
pub(super) struct Buffer {
    config: CineConfig,
    entries: VecDeque<CineFrame>,
    bytes: usize,
    shown: usize,
}

/// A frame of the buffer, and the objects on it.
#[derive(Clone)]
pub struct CineFrame {
    image: Arc<Image>,
    pub(super) objects: Arc<Snapshot>,
}

/// A frame, a third as large if it is grey.
enum Image {
    Colour(Arc<Captured>),
    Grey {
        /// The frame, without its pixels.
        captured: Captured,
        /// One byte per pixel.
        pixels: Vec<u8>,
    },
}

impl Buffer {
    pub fn new(config: CineConfig) -> Self {
        Self { config, entries: VecDeque::new(), bytes: 0, shown: 0 }
    }

    /// Adds the newest frame, which is shown, and forgets what is too old or too much. Frames of
    /// another size are forgotten.
    pub fn push(&mut self, captured: &Arc<Captured>, objects: Snapshot) {
        if self.config.keep.is_zero() {
            return;
        }
        let entry = CineFrame { image: Arc::new(Image::of(captured)), objects: Arc::new(objects) };
        let newest = entry.image.captured();
        let since_us = |entry: &CineFrame| {
            newest.captured_us.saturating_sub(entry.image.captured().captured_us)
        };
        let keep_us = self.config.keep.as_micros() as u64;
        let mut bytes = self.bytes + entry.bytes();
        while let Some(oldest) = self.entries.front() {
            let fits = bytes <= self.config.max_bytes && since_us(oldest) <= keep_us;
            if fits && oldest.image.size() == entry.image.size() {
                break;
            }
            bytes -= oldest.bytes();
            self.entries.pop_front();
        }
        self.bytes = bytes;
        if bytes <= self.config.max_bytes {
            self.entries.push_back(entry);
        } else {
            self.bytes = 0;
        }
        self.shown = self.entries.len().saturating_sub(1);
    }

    /// Replaces what is kept of the objects on the shown frame.
    pub fn note(&mut self, objects: Snapshot) {
        if let Some(entry) = self.entries.get_mut(self.shown) {
            self.bytes = self.bytes + objects.bytes() - entry.objects.bytes();
            entry.objects = Arc::new(objects);
        }
    }

    /// Shows another frame, if there is one of that number.
    pub fn show(&mut self, number: usize) {
        if number < self.entries.len() {
            self.shown = number;
        }
    }

    /// The frame that is shown; `None` if there are none.
    pub fn shown(&self) -> Option<&CineFrame> {
        self.entries.get(self.shown)
    }

    /// Number of the newest frame, unless that is shown.
    pub fn newest_unless_shown(&self) -> Option<usize> {
        let newest = self.entries.len().checked_sub(1)?;
        (newest != self.shown).then_some(newest)
    }

    /// All frames, the oldest first. They share memory with the buffer.
    pub fn frames(&self) -> Vec<CineFrame> {
        self.entries.iter().cloned().collect()
    }

    pub fn extent(&self) -> CineExtent {
        let at_us = |entry: Option<&CineFrame>| entry.map_or(0, CineFrame::captured_us);
        let span_us = at_us(self.entries.back()).saturating_sub(at_us(self.entries.front()));
        let (frames, shown) = (self.entries.len(), self.shown);
        CineExtent { frames, shown, span: Duration::from_micros(span_us) }
    }
}

impl CineFrame {
    /// The frame, as number `frame_id`.
    pub(super) fn captured(&self, frame_id: u64) -> Captured {
        Captured { frame_id, frame: self.frame(), ..*self.image.captured() }
    }

    /// The image.
    pub fn frame(&self) -> Frame {
        let rgb = match &*self.image {
            Image::Colour(captured) => captured.frame.rgb.clone(),
            Image::Grey { pixels, .. } => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        };
        Frame { rgb, ..without_pixels(&self.image.captured().frame) }
    }

    /// Time of capture in microseconds since 1970 (UTC).
    pub fn captured_us(&self) -> u64 {
        self.image.captured().captured_us
    }

    /// Deidentification state of the pixels.
    pub fn deidentification(&self) -> Deidentification {
        self.image.captured().deidentification
    }

    /// Masks by object number, as they were shown on the frame.
    pub fn masks(&self) -> Vec<(u8, Shown)> {
        self.objects.masks()
    }

    fn bytes(&self) -> usize {
        let pixels = match &*self.image {
            Image::Colour(captured) => captured.frame.rgb.len(),
            Image::Grey { pixels, .. } => pixels.len(),
        };
        pixels + self.objects.bytes()
    }
}

impl fmt::Debug for CineFrame {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let captured_us = self.captured_us();
        to.debug_struct("CineFrame").field("captured_us", &captured_us).finish_non_exhaustive()
    }
}

impl Image {
    fn of(captured: &Arc<Captured>) -> Self {
        let rgb = &captured.frame.rgb;
        if rgb.chunks_exact(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]) {
            let frame = without_pixels(&captured.frame);
            let pixels = rgb.iter().copied().step_by(3).collect();
            return Self::Grey { captured: Captured { frame, ..**captured }, pixels };
        }
        Self::Colour(captured.clone())
    }

    /// The frame; without its pixels if it is grey.
    fn captured(&self) -> &Captured {
        match self {
            Self::Colour(captured) => captured,
            Self::Grey { captured, .. } => captured,
        }
    }

    fn size(&self) -> (u32, u32) {
        let frame = &self.captured().frame;
        (frame.width, frame.height)
    }
}

fn without_pixels(frame: &Frame) -> Frame {
    let Frame { width, height, ref pixel_spacing_mm, .. } = *frame;
    Frame { width, height, rgb: Vec::new(), pixel_spacing_mm: pixel_spacing_mm.clone() }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::bell::Bell;
    use super::super::objects::Objects;
    use super::*;
    use crate::config::{Deidentification, Following};
    use medsa_frames::PixelSpacing;

    const KEEP: Duration = Duration::from_secs(10);

    fn captured(frame_id: u64, side: u32, pixel: [u8; 3]) -> Arc<Captured> {
        Arc::new(Captured {
            frame_id,
            captured: Instant::now(),
            captured_us: 1_000_000 * frame_id,
            source_us: None,
            deidentification: Deidentification::Masked,
            frame: Frame {
                width: side,
                height: side,
                rgb: pixel.repeat((side * side) as usize),
                pixel_spacing_mm: Some(PixelSpacing::Uniform([0.1, 0.2])),
            },
        })
    }

    fn push(buffer: &mut Buffer, frame: Arc<Captured>) {
        let objects = Objects::new(Arc::new(Bell::default()), Following::On);
        buffer.push(&frame, objects.snapshot());
    }

    fn ids(buffer: &Buffer) -> Vec<u64> {
        buffer.entries.iter().map(|entry| entry.image.captured().frame_id).collect()
    }

    #[test]
    fn shown_again_is_the_same_frame_with_another_number() {
        let mut buffer = Buffer::new(CineConfig { keep: KEEP, max_bytes: 1 << 20 });
        for (frame_id, pixel) in [(4, [7, 7, 7]), (5, [7, 8, 7])] {
            let frame = captured(frame_id, 16, pixel);
            push(&mut buffer, frame.clone());
            let again = buffer.shown().unwrap().captured(99);
            assert_eq!((again.frame_id, again.captured_us), (99, frame.captured_us));
            assert_eq!(again.frame.rgb, frame.frame.rgb);
            assert_eq!(again.frame.pixel_spacing_mm, frame.frame.pixel_spacing_mm);
        }
        // Grey frames take a third.
        assert_eq!(buffer.bytes, 256 + 3 * 256);
        buffer.show(2);
        assert_eq!(buffer.newest_unless_shown(), None);
        buffer.show(0);
        assert_eq!(buffer.newest_unless_shown(), Some(1));
        let extent = CineExtent { frames: 2, shown: 0, span: Duration::from_secs(1) };
        assert_eq!(buffer.extent(), extent);
    }

    #[test]
    fn time_and_memory_are_bounded() {
        let mut buffer = Buffer::new(CineConfig { keep: KEEP, max_bytes: 5 * 256 + 255 });
        for frame_id in 0..20 {
            push(&mut buffer, captured(frame_id, 16, [1, 1, 1]));
        }
        assert_eq!((ids(&buffer), buffer.bytes), ((15..20).collect(), 5 * 256));
        let mut buffer = Buffer::new(CineConfig { keep: KEEP, max_bytes: 1 << 20 });
        for frame_id in 0..20 {
            push(&mut buffer, captured(frame_id, 16, [1, 1, 1]));
        }
        assert_eq!(ids(&buffer), (9..20).collect::<Vec<_>>());
        // A frame that alone is too large leaves nothing.
        push(&mut buffer, captured(20, 1024, [1, 2, 3]));
        assert_eq!((buffer.extent().frames, buffer.bytes), (0, 0));
        let mut off = Buffer::new(CineConfig { keep: Duration::ZERO, max_bytes: 1 << 20 });
        push(&mut off, captured(0, 16, [1, 1, 1]));
        assert_eq!((off.extent().frames, off.bytes), (0, 0));
    }

    #[test]
    fn frames_of_another_size_are_forgotten() {
        let mut buffer = Buffer::new(CineConfig { keep: KEEP, max_bytes: 1 << 20 });
        push(&mut buffer, captured(0, 16, [1, 1, 1]));
        push(&mut buffer, captured(1, 32, [1, 1, 1]));
        assert_eq!((ids(&buffer), buffer.bytes), (vec![1], 1024));
    }
}
