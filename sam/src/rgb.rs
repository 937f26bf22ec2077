//! Pixels of an image.

use crate::error::Error;

/// Pixels of an image to segment: 8-bit RGB, row-major, `[H, W, 3]`.
#[derive(Clone, Copy, Debug)]
pub struct RgbView<'a> {
    width: usize,
    height: usize,
    data: &'a [u8],
}

impl<'a> RgbView<'a> {
    /// A view of `data`, which holds `height` rows of `width` RGB pixels.
    ///
    /// # Errors
    /// [`Error::FrameSize`] when a side is 0 or `data` is not `height * width * 3` bytes long.
    pub fn new(width: usize, height: usize, data: &'a [u8]) -> Result<Self, Error> {
        let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if width == 0 || height == 0 || bytes != Some(data.len()) {
            return Err(Error::FrameSize { width, height, bytes: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// Pixels `[H, W, 3]`.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_with_too_few_bytes_is_refused() {
        let error = RgbView::new(2, 2, &[0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "frame of 2 x 2 pixels has 11 bytes of RGB, expected 12");
        assert!(RgbView::new(usize::MAX, 3, &[0; 9]).is_err());
    }
}
