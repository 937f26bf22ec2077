//! Images of the watched masks: one per frame, an animation, a sheet.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{ImageError, RgbImage};
use medsa_frames::{Clip, Frame};
use medsa_sam::mask;
use medsa_wire::MaskMessage;
use medsa_wire::topic::DeviceId;
use ndarray::Array2;

use crate::error::Error;
use crate::files;
use crate::overlay::{self, Layer};
use medsa_engine::frame_view;

/// Largest number of images in the animation and the sheet; later ones only go to the folder.
const MAX_KEPT: usize = 150;

/// Largest size of the animation in bytes; its width is reduced until it fits.
const MAX_GIF_BYTES: usize = 3_000_000;

/// Widths to try for the animation, in pixels.
const GIF_WIDTHS_PX: [u32; 4] = [480, 400, 320, 240];

const SHEET_IMAGES: usize = 12;
const SHEET_COLUMNS: u32 = 4;
const SHEET_WIDTH_PX: u32 = 320;

/// Time between frames if the recording does not state it.
const DEFAULT_INTERVAL_MS: f64 = 100.0;

/// Collects masks frame by frame.
pub(super) struct Album {
    clip: Option<Clip>,
    folder: Option<PathBuf>,
    gif: Option<PathBuf>,
    sheet: Option<PathBuf>,
    /// Device whose masks are drawn: the first one seen.
    device: Option<DeviceId>,
    /// Masks of the current frame.
    open: Vec<MaskMessage>,
    kept: Vec<Kept>,
}

struct Kept {
    frame_id: u64,
    image: RgbImage,
}

impl Album {
    pub(super) fn new(
        clip: Option<Clip>,
        folder: Option<PathBuf>,
        gif: Option<PathBuf>,
        sheet: Option<PathBuf>,
    ) -> Result<Self, Error> {
        if let Some(path) = &folder {
            fs::create_dir_all(path).map_err(files::Error::io(path))?;
        }
        Ok(Self { clip, folder, gif, sheet, device: None, open: Vec::new(), kept: Vec::new() })
    }

    /// Adds a mask. The first mask of a later frame draws the current one.
    pub(super) fn add(&mut self, device: &DeviceId, mask: MaskMessage) -> Result<(), Error> {
        if self.device.get_or_insert_with(|| device.clone()) != device {
            return Ok(());
        }
        match self.open.first().map(|open| open.frame_id) {
            // A mask that the network made of an earlier frame arrives after followed ones.
            Some(open) if mask.frame_id < open => return Ok(()),
            Some(open) if mask.frame_id > open => self.close_frame()?,
            _ => self.open.retain(|other| other.object != mask.object),
        }
        self.open.push(mask);
        Ok(())
    }

    /// Draws the last frame and writes the animation and the sheet.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.close_frame()?;
        if self.kept.is_empty() {
            return Ok(());
        }
        if let Some(path) = &self.gif {
            let gif = self.animation().map_err(|source| image_error(path, source))?;
            fs::write(path, gif).map_err(files::Error::io(path))?;
        }
        if let Some(path) = &self.sheet {
            let count = self.kept.len().min(SHEET_IMAGES);
            let chosen: Vec<_> =
                (0..count).map(|i| &self.kept[i * self.kept.len() / count].image).collect();
            let sheet = overlay::contact_sheet(&chosen, SHEET_COLUMNS, SHEET_WIDTH_PX);
            save(path, &sheet)?;
        }
        Ok(())
    }

    fn close_frame(&mut self) -> Result<(), Error> {
        let masks = std::mem::take(&mut self.open);
        let wanted = self.folder.is_some() || self.gif.is_some() || self.sheet.is_some();
        let (true, Some(first)) = (wanted, masks.first()) else { return Ok(()) };
        let size = (first.frame_width_px.into(), first.frame_height_px.into());
        // Without a matching recording, the background is black.
        let frame = self.clip.as_ref().and_then(|clip| {
            let index = first.frame_id % clip.len() as u64;
            clip.frame(index as usize).ok().filter(|f| (f.width, f.height) == size)
        });
        let frame = frame.unwrap_or_else(|| black(size));
        let layers: Vec<_> = masks.iter().map(layer).collect();
        let age_ms = f64::from(masks.iter().map(|m| m.age_us).max().unwrap_or(0)) / 1e3;
        let caption = format!(
            "frame {}   age {age_ms:.0} ms   score {:.2}",
            first.frame_id,
            masks.iter().map(|m| m.score).fold(f32::INFINITY, f32::min)
        );
        let image = overlay::draw(frame_view(&frame)?, &layers, &caption);
        let frame_id = first.frame_id;
        if let Some(folder) = &self.folder {
            save(&folder.join(format!("frame-{frame_id:06}.png")), &image)?;
        }
        if self.kept.len() < MAX_KEPT {
            self.kept.push(Kept { frame_id, image });
        }
        Ok(())
    }

    /// The animation in the largest width that fits.
    fn animation(&self) -> Result<Vec<u8>, ImageError> {
        let mut gif = Vec::new();
        for width_px in GIF_WIDTHS_PX {
            gif = self.encode(width_px)?;
            if gif.len() <= MAX_GIF_BYTES {
                break;
            }
        }
        Ok(gif)
    }

    fn encode(&self, width_px: u32) -> Result<Vec<u8>, ImageError> {
        /// Speed of the encoder, 1 (slowest, best colours) to 30.
        const SPEED: i32 = 10;
        let own = self.clip.as_ref().and_then(Clip::frame_interval_ms);
        let interval_ms = own.unwrap_or(DEFAULT_INTERVAL_MS);
        let mut gif = Vec::new();
        let mut encoder = GifEncoder::new_with_speed(&mut gif, SPEED);
        encoder.set_repeat(Repeat::Infinite)?;
        let durations = self.kept.iter().enumerate().map(|(index, kept)| {
            // An image stays until the next one was captured, dropped frames included.
            let next = self.kept.get(index + 1).map_or(kept.frame_id + 1, |p| p.frame_id);
            let frames = next.saturating_sub(kept.frame_id) as f64;
            Duration::from_secs_f64((frames * interval_ms).clamp(20.0, 1000.0) / 1e3)
        });
        for (kept, delay) in self.kept.iter().zip(overlay::gif_delays(durations)) {
            let small = overlay::scaled(&kept.image, width_px.min(kept.image.width()));
            let rgba = image::DynamicImage::from(small).into_rgba8();
            encoder.encode_frame(image::Frame::from_parts(rgba, 0, 0, delay))?;
        }
        drop(encoder);
        Ok(gif)
    }
}

fn layer(message: &MaskMessage) -> Layer {
    let cells: Vec<f32> = message.mask.bits().map(|set| if set { 1.0 } else { -1.0 }).collect();
    let (width, height) = (message.mask.width(), message.mask.height());
    // Invariant: `bits` has exactly width x height cells.
    let cells = Array2::from_shape_vec((height.into(), width.into()), cells).unwrap_or_default();
    let mut outlines = mask::rings(cells.view());
    match (&message.measured, &outlines[..]) {
        // The contour is more accurate than the cells.
        (Some(measured), [_]) => {
            outlines = vec![measured.contour_px.iter().map(|at| [at.x, at.y]).collect()];
        }
        _ => {
            let scale = [(message.frame_width_px, width), (message.frame_height_px, height)]
                .map(|(frame, cells)| f32::from(frame) / f32::from(cells));
            for point in outlines.iter_mut().flatten() {
                *point = [0, 1].map(|axis| (point[axis] + 0.5) * scale[axis] - 0.5);
            }
        }
    }
    Layer { object: message.object, outlines, points: Vec::new(), bbox: None }
}

fn black((width, height): (u32, u32)) -> Frame {
    let rgb = vec![0; width as usize * height as usize * 3];
    Frame { width, height, rgb, pixel_spacing_mm: None }
}

fn save(path: &Path, image: &RgbImage) -> Result<(), Error> {
    image
        .save_with_format(path, image::ImageFormat::Png)
        .map_err(|source| image_error(path, source))
}

fn image_error(path: &Path, source: ImageError) -> Error {
    Error::Image { path: path.to_owned(), source }
}
