//! Checks and edits applied to every frame before any other module sees it: check of the size,
//! hiding of the configured rectangles, cropping to the region of interest.

use medsa_frames::{Frame, PixelSpacing};

use super::error::Error;
use crate::config::{Intake, Rectangle, Region};

impl Intake {
    /// Checks one frame, hides the rectangles and crops it to the region.
    ///
    /// # Errors
    /// [`Error::FrameRefused`] if the frame has another size than configured,
    /// [`Error::DamagedFrame`] if its number of bytes does not match its size.
    pub fn apply(&self, mut frame: Frame) -> Result<Frame, Error> {
        let (width, height) = (frame.width, frame.height);
        let expected = 3 * width as usize * height as usize;
        if frame.rgb.len() != expected {
            let reason = format!("{} bytes of pixels, expected {expected}", frame.rgb.len());
            return Err(Error::DamagedFrame { reason });
        }
        let refused = |key, expected| Error::FrameRefused {
            key,
            found: format!("{width} x {height} px"),
            expected,
        };
        if let Some(size) = self.frame_size
            && size != (width, height)
        {
            let expected = format!("{} x {} px", size.0, size.1);
            return Err(refused("source.frame_size", expected));
        }
        for rectangle in self.blank.iter().flatten() {
            if rectangle.x1 > width || rectangle.y1 > height {
                let expected = format!("{} x {} px at least", rectangle.x1, rectangle.y1);
                return Err(refused("source.blank", expected));
            }
            rectangle.fill(&mut frame);
        }
        if let Some(region) = self.region {
            let (least_width, least_height) = region.end();
            if least_width > width || least_height > height {
                let expected = format!("{least_width} x {least_height} px at least");
                return Err(refused("source.region", expected));
            }
            region.cut_out(&mut frame);
        }
        if let Some(spacing_mm) = self.pixel_spacing_mm {
            frame.pixel_spacing_mm = Some(PixelSpacing::Uniform(spacing_mm));
        }
        Ok(frame)
    }
}

impl Rectangle {
    /// Paints the rectangle black; it must lie within the frame.
    fn fill(self, frame: &mut Frame) {
        let row_bytes = 3 * frame.width as usize;
        let columns = 3 * self.x0 as usize..3 * self.x1 as usize;
        let rows = self.y0 as usize..self.y1 as usize;
        for row in frame.rgb.chunks_exact_mut(row_bytes).take(rows.end).skip(rows.start) {
            row[columns.clone()].fill(0);
        }
    }
}

impl Region {
    /// Crops the frame to the region, which must lie within it.
    fn cut_out(self, frame: &mut Frame) {
        let row_bytes = 3 * frame.width as usize;
        let kept_bytes = 3 * self.width as usize;
        let first = self.y as usize * row_bytes + 3 * self.x as usize;
        for row in 0..self.height as usize {
            let from = first + row * row_bytes;
            frame.rgb.copy_within(from..from + kept_bytes, row * kept_bytes);
        }
        frame.rgb.truncate(self.height as usize * kept_bytes);
        (frame.width, frame.height) = (self.width, self.height);
        let spacing = frame.pixel_spacing_mm.take();
        frame.pixel_spacing_mm = spacing
            .and_then(|spacing| spacing.cropped((self.x, self.y), (self.width, self.height)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medsa_frames::ScaledRegion;

    use crate::config::Deidentification;

    /// A frame whose pixels hold their own column and row.
    fn frame(width: u32, height: u32) -> Frame {
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 9]));
        Frame { width, height, rgb: pixels.collect(), pixel_spacing_mm: None }
    }

    fn pixel(frame: &Frame, x: u32, y: u32) -> &[u8] {
        &frame.rgb[3 * (y * frame.width + x) as usize..][..3]
    }

    #[test]
    fn rectangles_are_hidden_in_source_pixels_before_cropping() {
        let intake = Intake {
            frame_size: Some((8, 6)),
            blank: Some(vec![Rectangle { x0: 0, y0: 0, x1: 4, y1: 2 }]),
            region: Some(Region { x: 3, y: 1, width: 4, height: 5 }),
            pixel_spacing_mm: Some([0.1, 0.2]),
        };
        let seen = intake.apply(frame(8, 6)).unwrap();
        assert_eq!((seen.width, seen.height, seen.rgb.len()), (4, 5, 60));
        assert_eq!(seen.pixel_spacing_mm, Some(PixelSpacing::Uniform([0.1, 0.2])));
        // Column 3 and row 1 of the source are the last hidden ones.
        assert_eq!(pixel(&seen, 0, 0), [0, 0, 0]);
        assert_eq!(pixel(&seen, 1, 0), [4, 1, 9]);
        assert_eq!(pixel(&seen, 0, 1), [3, 2, 9]);
        assert_eq!(pixel(&seen, 3, 4), [6, 5, 9]);
        assert_eq!(intake.known_size(), Some((4, 5)));
    }

    #[test]
    fn cropping_moves_regions_of_the_scale() {
        let part = |x0, x1, mm| ScaledRegion { x0, y0: 0, x1, y1: 6, mm };
        let regions = vec![part(0, 5, Some([0.2, 0.2])), part(5, 8, Some([0.5, 0.5]))];
        let pixel_spacing_mm = PixelSpacing::of_regions(regions, (8, 6));
        let frame = Frame { pixel_spacing_mm, ..frame(8, 6) };
        let region = Some(Region { x: 3, y: 1, width: 4, height: 5 });
        let seen = Intake { region, ..Intake::default() }.apply(frame.clone()).unwrap();
        let spacing = seen.pixel_spacing_mm.unwrap();
        assert_eq!(spacing.at(1, 0), Some([0.2, 0.2]));
        assert_eq!(spacing.at(2, 4), Some([0.5, 0.5]));
        // Within one region, the scale is the same everywhere.
        let region = Some(Region { x: 5, y: 0, width: 3, height: 6 });
        let seen = Intake { region, ..Intake::default() }.apply(frame.clone()).unwrap();
        assert_eq!(seen.pixel_spacing_mm, Some(PixelSpacing::Uniform([0.5, 0.5])));
        // The configuration overrides the source.
        let pixel_spacing_mm = Some([0.1, 0.1]);
        let seen = Intake { pixel_spacing_mm, ..Intake::default() }.apply(frame).unwrap();
        assert_eq!(seen.pixel_spacing_mm, Some(PixelSpacing::Uniform([0.1, 0.1])));
    }

    #[test]
    fn frames_of_another_size_are_refused() {
        let intake = Intake { frame_size: Some((8, 6)), ..Intake::default() };
        let error = intake.apply(frame(6, 8)).unwrap_err().to_string();
        assert_eq!(error, "source.frame_size: frame is 6 x 8 px, expected 8 x 6 px");
        let region = Some(Region { x: 1, y: 0, width: 8, height: 6 });
        let intake = Intake { region, ..Intake::default() };
        let error = intake.apply(frame(8, 6)).unwrap_err().to_string();
        assert_eq!(error, "source.region: frame is 8 x 6 px, expected 9 x 6 px at least");
        // Without `frame_size`, a frame that a rectangle does not fit is refused too.
        let blank = Some(vec![Rectangle { x0: 0, y0: 4, x1: 4, y1: 7 }]);
        let intake = Intake { blank, ..Intake::default() };
        let error = intake.apply(frame(8, 6)).unwrap_err().to_string();
        assert_eq!(error, "source.blank: frame is 8 x 6 px, expected 4 x 7 px at least");
    }

    #[test]
    fn frames_are_masked_only_if_blank_is_configured() {
        assert_eq!(Intake::default().deidentification(), Deidentification::Unmasked);
        let nothing_to_hide = Intake { blank: Some(Vec::new()), ..Intake::default() };
        assert_eq!(nothing_to_hide.deidentification(), Deidentification::Masked);
    }

    #[test]
    fn frames_with_missing_bytes_are_damaged() {
        let short = Frame { width: 8, height: 6, rgb: vec![0; 100], pixel_spacing_mm: None };
        let error = Intake::default().apply(short).unwrap_err().to_string();
        assert_eq!(error, "damaged frame: 100 bytes of pixels, expected 144");
    }
}
