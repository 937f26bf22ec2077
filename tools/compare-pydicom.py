#!/usr/bin/env python3
"""Compares the decoder of `frames` with pydicom over DICOM files.

Usage: compare-pydicom.py DUMP_FRAMES [FILE...]

DUMP_FRAMES is the built example (`cargo build --release -p medsa-frames --example dump_frames`).
Without FILE: all .dcm files of the Python packages pydicom and pydicom-data. Needs the packages
pydicom, pydicom-data, pylibjpeg[all], pyjpegls and numpy.

Grey pixels pass through the modality and VOI steps of the standard, written here a second time, and
are compared as 8-bit shades: exactly after lossless compression, else within the shades that a
difference of one stored value makes. Colours from lossy YBR may differ by one step of each component.
"""
import logging
import pathlib
import subprocess
import sys
import tempfile
import warnings
from collections import Counter

import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut

LOSSY = {
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203",
}


def package_files():
    import data_store

    roots = [pathlib.Path(m.__file__).parent for m in (pydicom, data_store)]
    return sorted(path for root in roots for path in root.rglob("*.dcm"))


def group(ds, frame, sequence):
    """The first item of a functional group sequence of a frame, or the data set itself."""
    for groups, index in (("PerFrameFunctionalGroupsSequence", frame),
                          ("SharedFunctionalGroupsSequence", 0)):
        items = ds.get(groups) or []
        if index < len(items) and items[index].get(sequence):
            return items[index].get(sequence)[0]
    return ds


def look_up(values, item):
    entries, first, bits = item.LUTDescriptor
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) > entries else "u1")
    data = np.asarray(data, dtype=np.int64)
    if first >= 32768 and values.min() < 0:
        first -= 65536
    index = np.clip(np.round(values).astype(np.int64) - first, 0, len(data) - 1)
    return data[index], bits


def modality(ds, stored, frame):
    """Values after the modality transform, and the difference that one stored value makes."""
    stored = stored.astype(np.float64)
    if ds.get("ModalityLUTSequence"):
        return look_up(stored, ds.ModalityLUTSequence[0])[0].astype(float), 1.0
    item = group(ds, frame, "PixelValueTransformationSequence")
    slope = float(item.get("RescaleSlope", None) or 1)
    return stored * slope + float(item.get("RescaleIntercept", None) or 0), abs(slope)


def values_present(ds, pixels):
    """The 0.5 and 99.5 percentiles of at most eight frames."""
    count = min(len(pixels), 8)
    step = -(-pixels[0].size * count // (1 << 20))
    values = []
    for number in range(count):
        index = number * len(pixels) // count
        stored = pixels[index].ravel()[::step]
        padding = ds.get("PixelPaddingValue")
        if padding is not None:
            stored = stored[stored != padding]
        values.append(modality(ds, stored, index)[0])
    values = np.sort(np.concatenate(values))
    outliers = len(values) // 200
    low, high = values[outliers], values[len(values) - 1 - outliers]
    return (low, high) if low < high else (values[0], values[-1])


def grey(ds, pixels, frame):
    """Shades of a grey frame, and the most shades that one stored value more makes."""
    values, slope = modality(ds, pixels[frame], frame)
    voi = group(ds, frame, "FrameVOILUTSequence")
    first = lambda v: float(v[0] if isinstance(v, pydicom.multival.MultiValue) else v)
    if ds.get("VOILUTSequence"):
        values, bits = look_up(values, ds.VOILUTSequence[0])
        shade, step = values * 255 / (2**bits - 1), 255
    elif voi.get("WindowWidth") is not None and voi.get("WindowCenter") is not None:
        centre, width = first(voi.WindowCenter), first(voi.WindowWidth)
        function = voi.get("VOILUTFunction", "LINEAR")
        if function == "SIGMOID":
            shade = 255 / (1 + np.exp(-4 * (values - centre) / width))
        else:
            linear = function == "LINEAR"
            c, w = (centre - 0.5, width - 1) if linear else (centre, width)
            shade = np.clip(((values - c) / max(w, 1e-9) + 0.5) * 255, 0, 255)
        step = 255 * slope / max(width - 1, 0.01)
    elif ds.BitsStored <= 8 and not ds.PixelRepresentation:
        top = 2**ds.BitsStored - 1
        shade, step = values * 255 / top, 255 / top
    else:
        low, high = values_present(ds, pixels)
        span = max(high - low, 1e-9)
        shade, step = np.clip((values - low) / span * 255, 0, 255), 255 * slope / span
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shade = 255 - shade
    return shade, step


def expected(ds, pixels, frame):
    """RGB pixels `[H, W, 3]` as numbers, and the allowed difference of lossy files."""
    array = pixels[frame]
    if ds.SamplesPerPixel == 3:
        top = 2.0**ds.BitsStored - 1
        # One step of luma and one of chroma, where the stream has them.
        step = 255 / top * (1 + 1.772 * ds.PhotometricInterpretation.startswith("YBR"))
        return array * (255 / top), step
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(array, ds)
        wide = colours.dtype == np.uint16
        return (colours >> 8 if wide and colours.max() > 255 else colours), 1
    shade, step = grey(ds, pixels, frame)
    return np.repeat(shade[..., None], 3, 2), step


def judge(path, line, out, index):
    ds = pydicom.dcmread(path, force=True)
    try:
        pixels = ds.pixel_array
    except Exception as error:  # Any failure of pydicom means that there is nothing to compare.
        pixels, reason = None, error
    if line[0] == "refused":
        return ("refused both" if pixels is None else "REFUSED"), line[1]
    if pixels is None:
        return "decoded, not by pydicom", repr(reason)[:60]
    frames = int(line[0])
    if pixels.ndim == 2 + (ds.SamplesPerPixel == 3):
        pixels = pixels[None]
    if len(pixels) != frames:
        return "DIFFERS", f"{frames} frames, pydicom {len(pixels)}"
    shape = (int(line[2]), int(line[1]), 3)
    worst = 0.0
    lossy = ds.file_meta.TransferSyntaxUID in LOSSY
    for frame in {0, frames // 2, frames - 1}:
        found = np.fromfile(out / f"{index}-{frame}.rgb", np.uint8).reshape(shape)
        want, step = expected(ds, pixels, frame)
        differences = np.abs(np.asarray(want, float) - found).max(axis=2) - 0.5
        # Chroma at the borders of colours is interpolated differently: one pixel of 10,000.
        largest = np.quantile(differences, 0.9999, method="lower") if lossy else differences.max()
        worst = max(worst, largest - (step if lossy else 0))
    limit = 0.02
    return ("same" if worst <= limit else "DIFFERS"), f"by {worst:.2f} beyond rounding"


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    files = [pathlib.Path(name) for name in sys.argv[2:]] or package_files()
    counts = Counter()
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([sys.argv[1], folder, *files], check=True, capture_output=True, text=True)
        for index, line in enumerate(run.stdout.splitlines()):
            _, *rest = line.split("\t")
            try:
                verdict, detail = judge(files[index], rest, pathlib.Path(folder), index)
            except Exception as error:
                verdict, detail = "ERROR", repr(error)
            counts[verdict] += 1
            print(f"{verdict:24} {files[index].name:45} {detail}")
    print(f"{len(files)} files:", ", ".join(f"{n} {v}" for v, n in sorted(counts.items())))


main()
