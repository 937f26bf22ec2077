#!/usr/bin/env python3
"""Reads the clip of a record with pydicom, highdicom and Pillow, and prints facts as JSON.

Usage: read_clip.py FOLDER
"""

import json
import sys
from pathlib import Path

import highdicom
import numpy
import pydicom
from PIL import Image


def captured(clip, record):
    """Index of the captured frame."""
    after_ms = numpy.cumsum([float(ms) for ms in clip.FrameTimeVector])
    captured_ms = (record["captured_us"] - record["clip"]["first_us"]) / 1000
    return int(numpy.abs(after_ms - captured_ms).argmin())


def difference(clip, folder, index):
    """Mean difference of a frame from the captured one, in grey values."""
    still = numpy.asarray(Image.open(folder / "frame.png")).astype(float)
    return float(numpy.abs(clip.pixel_array[index] - still).mean())


def overlaps(clip, folder, objects, index):
    """For each captured object, the overlap (IoU) of its mask on a frame with the captured one."""
    segmentation = highdicom.seg.segread(folder / "clip-segmentation.dcm")
    masks = segmentation.get_pixels_by_source_frame(clip.SOPInstanceUID, [index + 1])[0]
    found = {}
    for at, number in enumerate(segmentation.segment_numbers):
        described = segmentation.get_segment_description(number)
        object_number = int(described.tracking_id.split("-")[-1])
        if objects.get(object_number):
            still = numpy.asarray(Image.open(folder / objects[object_number])) > 0
            mask = masks[:, :, at] > 0
            found[object_number] = float((mask & still).sum() / (mask | still).sum())
    return found


def masks_of(folder, clip, objects, index):
    """Facts about the masks; none if no frame has one."""
    path = folder / "clip-segmentation.dcm"
    if not path.exists():
        return {"masks": 0}
    segmentation = pydicom.dcmread(path)
    places = [
        tuple(group.FrameContentSequence[0].DimensionIndexValues)
        for group in segmentation.PerFrameFunctionalGroupsSequence
    ]
    return {
        "overlaps": overlaps(clip, folder, objects, index),
        "masks": len(places),
        "places_differ": len(set(places)) == len(places),
        "same_study": clip.StudyInstanceUID == segmentation.StudyInstanceUID,
    }


def main(folder):
    record = json.loads((folder / "record.json").read_text())
    clip = pydicom.dcmread(folder / "clip.dcm")
    objects = {entry["object"]: entry["mask"] for entry in record["objects"]}
    index = captured(clip, record)
    gif = Image.open(folder / "clip.gif")
    gif_ms = 0
    for number in range(gif.n_frames):
        gif.seek(number)
        gif_ms += gif.info["duration"]
    facts = {
        "class": clip.SOPClassUID.name,
        "photometric": clip.PhotometricInterpretation,
        "lossy": [clip.LossyImageCompression, clip.LossyImageCompressionMethod],
        "frames": int(clip.NumberOfFrames),
        "size": [clip.Rows, clip.Columns],
        "milliseconds": float(sum(clip.FrameTimeVector)),
        "difference": difference(clip, folder, index),
        **masks_of(folder, clip, objects, index),
        "gif_ms": gif_ms,
    }
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
