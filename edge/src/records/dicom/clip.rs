//! A clip as Multi-frame True Color Secondary Capture Image (PS3.3 A.8.4), in JPEG: lossless frames of
//! ten seconds would have hundreds of megabytes.

use dicom_core::value::{PixelFragmentSequence, Value};
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::mem::InMemElement;

use super::geometry::common_spacing_mm;
use super::modules::{Series, Time, common, image, secondary_capture_equipment};
use super::segmentation::{Segmentation, SegmentedFrame, Source};
use super::{CLIP_FILE, CLIP_SEGMENTATION_FILE, ClipUids, element, encode};
use crate::records::capture::{Capture, label};
use crate::records::clip::Clip;
use crate::records::error::Error;
use crate::records::id::RecordId;

/// Longest value of an element with a short length field, in bytes.
const MAX_SHORT_VALUE: usize = 0xfffe;

/// Encodes the frames of `clip`.
pub(in crate::records) fn clip(
    id: &RecordId,
    capture: &Capture,
    clip: &Clip,
    study: &str,
    uids: &ClipUids,
) -> Result<Vec<u8>, Error> {
    let series = Series { number: "3", modality: "OT", description: "Captured clip".into() };
    let class = uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE;
    let mut elements = common(class, &uids.frames, study, &series, id, capture);
    let compressed: usize = clip.jpegs.iter().map(Vec::len).sum();
    elements.extend(secondary_capture_equipment(&Time::of(id)));
    elements.extend(image(&capture.frame, "YBR_FULL_422"));
    elements.extend([
        element(tags::LOSSY_IMAGE_COMPRESSION, "01"),
        element(
            tags::LOSSY_IMAGE_COMPRESSION_RATIO,
            format!("{:.2}", clip.bytes as f64 / compressed.max(1) as f64),
        ),
        element(tags::LOSSY_IMAGE_COMPRESSION_METHOD, "ISO_10918_1"),
        element(tags::NUMBER_OF_FRAMES, clip.jpegs.len().to_string()),
    ]);
    elements.extend(times(&clip.times_us));
    let fragments = clip.jpegs.iter().map(|jpeg| {
        let mut fragment = jpeg.clone();
        if fragment.len() % 2 == 1 {
            fragment.push(0);
        }
        fragment
    });
    let fragments = PixelFragmentSequence::new_fragments(fragments.collect::<Vec<_>>());
    elements.push(DataElement::new(tags::PIXEL_DATA, VR::OB, Value::from(fragments)));
    encode(CLIP_FILE, elements, uids::JPEG_BASELINE8_BIT)
}

/// The masks on the frames; `None` without any.
pub(in crate::records) fn clip_segmentation<'a>(
    capture: &Capture,
    clip: &'a Clip,
    uids: &'a ClipUids,
) -> Option<Segmentation<'a>> {
    let own = uids.segmentation.as_ref()?;
    let segments = clip.segments.iter().map(|(object, segment)| {
        (segment, *object, label(&capture.names, &capture.build, *object))
    });
    // Invariant: every object with a mask has a segment.
    let frame = |(object, number): &(u8, u32)| SegmentedFrame {
        segment: clip.segments[object].number,
        source: Some(number + 1),
    };
    Some(Segmentation {
        file: CLIP_SEGMENTATION_FILE,
        uids: own,
        source: Source {
            class: uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
            uids: &uids.frames,
        },
        segments: segments.collect(),
        frames: clip.masks.iter().map(frame).collect(),
        overlap: clip.overlap,
        spacing_mm: common_spacing_mm(clip.spacings_mm.iter().copied()),
        masks: clip.bits.clone(),
    })
}

/// Times between frames in ms: each, or their mean if there are too many.
fn times(times_us: &[u64]) -> [InMemElement; 2] {
    let ms = |us: f64| format!("{:.3}", us / 1e3);
    let between = times_us.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64);
    let each: Vec<String> = [0.0].into_iter().chain(between.clone()).map(ms).collect();
    let vector = each.join("\\");
    let (tag, value) = if vector.len() <= MAX_SHORT_VALUE {
        (tags::FRAME_TIME_VECTOR, vector)
    } else {
        (tags::FRAME_TIME, ms(between.sum::<f64>() / (times_us.len().max(2) - 1) as f64))
    };
    [element(tags::FRAME_INCREMENT_POINTER, tag), element(tag, value)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_between_frames_or_their_mean() {
        let found = |times_us: &[u64]| {
            let [pointer, times] = times(times_us);
            (pointer.value().to_tag().unwrap(), times.to_str().unwrap().into_owned())
        };
        let vector = "0.000\\33.333\\40.000".to_owned();
        assert_eq!(found(&[7, 33_340, 73_340]), (tags::FRAME_TIME_VECTOR, vector));
        let many: Vec<u64> = (0..20_000).map(|frame| 25_000 * frame).collect();
        assert_eq!(found(&many), (tags::FRAME_TIME, "25.000".to_owned()));
    }
}
