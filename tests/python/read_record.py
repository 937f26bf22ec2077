#!/usr/bin/env python3
"""Reads a record of the device with pydicom, highdicom and Pillow, and prints the contents as
JSON.

Usage: read_record.py FOLDER
"""

import json
import sys
from pathlib import Path

import highdicom
import numpy
import pydicom
from PIL import Image


def read_frame(folder):
    frame = pydicom.dcmread(folder / "frame.dcm")
    pixels = frame.pixel_array
    return frame, {
        "class": frame.SOPClassUID.name,
        "photometric": frame.PhotometricInterpretation,
        "size": [frame.Rows, frame.Columns],
        "first_pixels": pixels[0, :4].tolist(),
        "is_the_image": numpy.array_equal(pixels, image(folder / "frame.png")),
        "spacing": [float(mm) for mm in frame.PixelSpacing] if "PixelSpacing" in frame else None,
        "captured": f"{frame.ContentDate} {frame.ContentTime} {frame.TimezoneOffsetFromUTC}",
        "device": [
            frame.Manufacturer,
            frame.ManufacturerModelName,
            frame.DeviceSerialNumber,
            frame.SoftwareVersions,
        ],
        "patient": [str(frame.PatientName), frame.PatientID, frame.PatientIdentityRemoved],
        "uid": frame.SOPInstanceUID,
    }


def read_segmentation(folder, frame, objects):
    segmentation = highdicom.seg.segread(folder / "segmentation.dcm")
    # [frame, row, column, segment]
    masks = segmentation.get_pixels_by_source_instance([frame.SOPInstanceUID])
    files = {entry["segment"]: entry["mask"] for entry in objects if entry["segment"]}
    segments = []
    for index, number in enumerate(segmentation.segment_numbers):
        segment = segmentation.get_segment_description(number)
        mask = masks[0, :, :, index]
        expected = image(folder / files[number]) > 0
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        segments.append(
            {
                "number": segment.segment_number,
                "label": segment.segment_label,
                "category": code(segment.segmented_property_category),
                "type": code(segment.segmented_property_type),
                "algorithm": [segment.algorithm_type.value, segment.SegmentAlgorithmName],
                "family": algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning,
                "tracking_id": segment.tracking_id,
                "tracking_uid": segment.tracking_uid,
                "pixels": int(mask.sum()),
                "is_the_mask": numpy.array_equal(mask > 0, expected),
            }
        )
    return {
        "class": segmentation.SOPClassUID.name,
        "type": segmentation.segmentation_type.value,
        "overlap": segmentation.SegmentsOverlap,
        "same_study": segmentation.StudyInstanceUID == frame.StudyInstanceUID,
        "same_patient": segmentation.PatientID == frame.PatientID,
        "source": [uid for _, _, uid in segmentation.get_source_image_uids()],
        "segments": segments,
    }


def code(concept):
    return [concept.value, concept.scheme_designator, concept.meaning]


def image(path):
    return numpy.asarray(Image.open(path))


def main(folder):
    record = json.loads((folder / "record.json").read_text())
    frame, found = read_frame(folder)
    found = {"frame": found}
    if (folder / "segmentation.dcm").exists():
        found["segmentation"] = read_segmentation(folder, frame, record["objects"])
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
