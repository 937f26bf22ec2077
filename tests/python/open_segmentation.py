#!/usr/bin/env python3
"""Opens a DICOM Segmentation with dcmqi (as 3D Slicer does) and highdicom, and prints its geometry and
the number of pixels of each segment as JSON. Fails if one of them refuses it.

Usage: open_segmentation.py FILE
"""

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import highdicom
import numpy
import pydicom


def opened_by_dcmqi(path):
    """Spacing, origin and directions in the order of the axes x, y, z, and pixels by segment."""
    program = Path(sys.executable).with_name("segimage2itkimage")
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--inputDICOM", path, "--outputDirectory", folder]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"dcmqi refuses {path}: {run.stdout}{run.stderr}")
        described = json.loads((Path(folder) / "meta.json").read_text())
        files = sorted(Path(folder).glob("*.nrrd"), key=lambda file: int(file.stem))
        images = [read_nrrd(file) for file in files]
    header = images[0][0]
    directions = [
        [float(number) for number in axis.strip("()").split(",")]
        for axis in header["space directions"].split(" ")
    ]
    return {
        "size": [int(side) for side in header["sizes"].split(" ")],
        "directions_mm": directions,
        "origin_mm": [float(number) for number in header["space origin"].strip("()").split(",")],
        "labels": [
            attributes["SegmentLabel"] for group in described["segmentAttributes"] for attributes in group
        ],
        "pixels": [int((pixels > 0).sum()) for _, pixels in images],
    }


def read_nrrd(path):
    """Header and values of a file of ITK."""
    head, _, data = path.read_bytes().partition(b"\n\n")
    lines = [line for line in head.decode().splitlines() if ": " in line]
    header = dict(line.split(": ", 1) for line in lines)
    data = gzip.decompress(data) if header["encoding"] == "gzip" else data
    types = {"unsigned char": numpy.uint8, "short": numpy.int16, "unsigned short": numpy.uint16}
    return header, numpy.frombuffer(data, types[header["type"]])


def opened_by_highdicom(path):
    segmentation = highdicom.seg.segread(path)
    volume = segmentation.get_volume()
    return {
        "spacing_mm": [float(mm) for mm in volume.spacing],
        "pixels": [int(count) for count in (volume.array > 0).sum(axis=(0, 1, 2))],
    }


def attributes(path):
    """What OHIF looks up before it shows a segmentation."""
    segmentation = pydicom.dcmread(path)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    frames = segmentation.PerFrameFunctionalGroupsSequence
    return {
        "frame_of_reference": bool(segmentation.FrameOfReferenceUID),
        "orientation": [
            float(part) for part in shared.PlaneOrientationSequence[0].ImageOrientationPatient
        ],
        "positions": [
            [float(mm) for mm in frame.PlanePositionSequence[0].ImagePositionPatient]
            for frame in frames
        ],
        "referenced_series": len(segmentation.ReferencedSeriesSequence),
    }


def main(path):
    print(
        json.dumps(
            {
                "dcmqi": opened_by_dcmqi(path),
                "highdicom": opened_by_highdicom(path),
                "attributes": attributes(path),
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
