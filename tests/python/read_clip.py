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


def difference(clip, folder):
    """Mean difference of the newest frame from the captured one, in grey values."""
    still = numpy.asarray(Image.open(folder / "frame.png")).astype(float)
    return float(numpy.abs(clip.pixel_array[-1] - still).mean())


def overlaps(clip, folder, objects):
    """For each object, the overlap (IoU) of its mask on the newest frame with the captured one."""
    segmentation = highdicom.seg.segread(folder / "clip-segmentation.dcm")
    masks = segmentation.get_pixels_by_source_frame(
        clip.SOPInstanceUID, [int(clip.NumberOfFrames)]
    )[0]
    found = {}
    for index, number in enumerate(segmentation.segment_numbers):
        object_number = int(segmentation.get_segment_description(number).tracking_id.split("-")[-1])
        still = numpy.asarray(Image.open(folder / objects[object_number])) > 0
        mask = masks[:, :, index] > 0
        found[object_number] = float((mask & still).sum() / (mask | still).sum())
    return found


def main(folder):
    record = json.loads((folder / "record.json").read_text())
    clip = pydicom.dcmread(folder / "clip.dcm")
    objects = {entry["object"]: entry["mask"] for entry in record["objects"]}
    segmentation = pydicom.dcmread(folder / "clip-segmentation.dcm")
    places = [
        tuple(group.FrameContentSequence[0].DimensionIndexValues)
        for group in segmentation.PerFrameFunctionalGroupsSequence
    ]
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
        "difference": difference(clip, folder),
        "overlaps": overlaps(clip, folder, objects),
        "masks": len(places),
        "places_differ": len(set(places)) == len(places),
        "same_study": clip.StudyInstanceUID == segmentation.StudyInstanceUID,
        "gif_ms": gif_ms,
    }
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
