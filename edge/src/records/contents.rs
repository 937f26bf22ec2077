//! Contents of the files of a record.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use medsa_wire::{RecordMessage, RecordObject};
use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::capture::Capture;
use super::clip::{CLIP_GIF, Clip};
use super::dicom::{self, ClipUids, DicomUids};
use super::error::Error;
use super::id::RecordId;
use super::outlined::{Outlined, outlined};
use super::record::{FRAME_PNG, Record, mask_file};
use super::storage::NewFile;

/// Files of a record before they are written, and the message that announces it.
pub(super) struct Contents {
    pub files: Vec<NewFile>,
    pub message: RecordMessage,
}

impl Contents {
    /// Creates the files of a checked capture.
    pub(super) fn new(id: &RecordId, capture: &Capture) -> Result<Self, Error> {
        let outlined = outlined(&capture.objects);
        let segmented = outlined.iter().any(|o| o.segment.is_some());
        let clip = (!capture.clip.is_empty()).then(|| Clip::new(&capture.clip)).transpose()?;
        let clip_uids = clip.as_ref().map(|clip| ClipUids::new(!clip.masks.is_empty()));
        let uids =
            DicomUids { clip: clip_uids, ..DicomUids::new(capture.study.as_ref(), segmented) };
        let mut files = Vec::new();
        let mut add = |name: &str, bytes| files.push(NewFile { name: name.to_owned(), bytes });
        add(dicom::FRAME_FILE, dicom::secondary_capture(id, capture, &uids)?);
        if let Some(segmentation) = dicom::of_frame(capture, &outlined, &uids) {
            add(dicom::SEGMENTATION_FILE, segmentation.encode(id, capture, &uids)?);
        }
        let size = (capture.frame.width, capture.frame.height);
        add(FRAME_PNG, png(FRAME_PNG, &capture.frame.rgb, size, ExtendedColorType::Rgb8)?);
        for Outlined { object, segment, .. } in &outlined {
            if segment.is_some() {
                let name = mask_file(object.object);
                let pixels = grey(&object.mask);
                add(&name, png(&name, &pixels, size, ExtendedColorType::L8)?);
            }
        }
        if let (Some(clip), Some(own)) = (clip, &uids.clip) {
            add(dicom::CLIP_FILE, dicom::clip(id, capture, &clip, &uids.study, own)?);
            if let Some(segmentation) = dicom::clip_segmentation(capture, &clip, own) {
                let bytes = segmentation.encode(id, capture, &uids)?;
                add(dicom::CLIP_SEGMENTATION_FILE, bytes);
            }
            add(CLIP_GIF, clip.gif);
        }
        let record = Record::new(id, capture, &outlined, uids, &files);
        let json = record.to_json()?;
        let message = message(id, capture, &outlined, &json);
        files.push(NewFile { name: Record::FILE.to_owned(), bytes: json });
        Ok(Self { files, message })
    }
}

/// Mask as white on black.
fn grey(mask: &Array2<bool>) -> Vec<u8> {
    mask.iter().map(|&inside| if inside { 255 } else { 0 }).collect()
}

fn png(
    name: &str,
    pixels: &[u8],
    (width, height): (u32, u32),
    colour: ExtendedColorType,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(pixels, width, height, colour)
        .map_err(|error| Error::Encoding { file: name.to_owned(), reason: error.to_string() })?;
    Ok(bytes)
}

fn message(id: &RecordId, capture: &Capture, outlined: &[Outlined], json: &[u8]) -> RecordMessage {
    let object = |Outlined { object, area_px, .. }: &Outlined| RecordObject {
        object: object.object.get(),
        score: object.score,
        area_px: *area_px,
    };
    RecordMessage {
        // Invariant: at most 20 digits, a dash, and 23 characters of a time.
        id: id.to_string().as_str().try_into().expect("a name of at most 44 bytes"),
        captured_us: capture.captured_us,
        frame_id: capture.frame_id,
        // Checked: sides are at most 4096.
        frame_width_px: capture.frame.width as u16,
        frame_height_px: capture.frame.height as u16,
        // Invariant: numbers are unique, as was checked.
        objects: outlined.iter().map(object).collect(),
        record_sha256: Sha256::digest(json).into(),
    }
}
