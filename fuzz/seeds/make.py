"""Makes the seeds of the fuzz targets, small files of each kind.

usage: python make.py

Needs pydicom and Pillow. The seed of configurations is written by hand.
"""

import hashlib
import io
import json
import random
import tarfile
import zlib
from pathlib import Path

from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000,
    JPEGBaseline8Bit,
    RLELossless,
)

HERE = Path(__file__).parent
SIZE = (24, 16)


def write(target, name, data):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def coloured(mode="RGB"):
    image = Image.new(mode, SIZE)
    draw = ImageDraw.Draw(image)
    for x in range(SIZE[0]):
        draw.line([(x, 0), (x, SIZE[1])], fill=tuple([10 * x, 255 - 10 * x, 99])[: len(mode)])
    draw.ellipse([5, 3, 18, 12], fill=tuple([200, 30, 60])[: len(mode)])
    return image


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def dicom(syntax, photometric, samples, bits, pixels, frames=1, **more):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SamplesPerPixel = samples
    data.PhotometricInterpretation = photometric
    if samples > 1:
        data.PlanarConfiguration = 0
    data.NumberOfFrames = frames
    data.Columns, data.Rows = SIZE
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    data.PixelRepresentation = 0
    for name, value in more.items():
        setattr(data, name, value)
    data.PixelData = pixels
    if syntax.is_encapsulated:
        data["PixelData"].VR = "OB"
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    # The fuzz target adds the preamble.
    return file.getvalue()[132:]


def segmentation():
    """Two masks of one bit per pixel."""

    def group(number):
        segment, group = Dataset(), Dataset()
        segment.ReferencedSegmentNumber = number
        group.SegmentIdentificationSequence = [segment]
        return group

    return dicom(
        ExplicitVRLittleEndian,
        "MONOCHROME2",
        1,
        1,
        bytes(range(2 * SIZE[0] * SIZE[1] // 8)),
        2,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4",
        SegmentationType="BINARY",
        PerFrameFunctionalGroupsSequence=[group(1), group(2)],
    )


def run_length(planes):
    """Each plane as literal runs."""
    segments = []
    for plane in planes:
        runs = [plane[i : i + 128] for i in range(0, len(plane), 128)]
        segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    header = [len(segments), *offsets] + [0] * (15 - len(segments))
    return b"".join(n.to_bytes(4, "little") for n in header) + b"".join(segments)


def main():
    rgb, grey = coloured(), coloured("L")
    native = rgb.tobytes()
    planes = [channel.tobytes() for channel in rgb.split()]
    write("dicom", "rgb", dicom(ExplicitVRLittleEndian, "RGB", 3, 8, native))
    write("dicom", "implicit", dicom(ImplicitVRLittleEndian, "MONOCHROME2", 1, 8, grey.tobytes() * 2, 2))
    write("dicom", "grey16", dicom(ExplicitVRLittleEndian, "MONOCHROME1", 1, 16, grey.tobytes() * 2))
    write("dicom", "ybr", dicom(ExplicitVRLittleEndian, "YBR_FULL", 3, 8, native, FrameTime="33.3"))
    write("dicom", "ybr422", dicom(ExplicitVRLittleEndian, "YBR_FULL_422", 3, 8, native[: 2 * 24 * 16]))
    lut = {}
    for colour in ["Red", "Green", "Blue"]:
        lut[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        lut[f"{colour}PaletteColorLookupTableData"] = bytes(range(256))
    write("dicom", "palette", dicom(ExplicitVRLittleEndian, "PALETTE COLOR", 1, 8, grey.tobytes(), **lut))
    jpeg = saved(rgb, "JPEG", quality=80)
    frames = encapsulate([jpeg, saved(rgb, "JPEG", quality=30)])
    write("dicom", "jpeg", dicom(JPEGBaseline8Bit, "YBR_FULL_422", 3, 8, frames, 2))
    j2k = saved(rgb, "JPEG2000", no_jp2=True)
    write("dicom", "jpeg2000", dicom(JPEG2000, "YBR_ICT", 3, 8, encapsulate([j2k])))
    write("dicom", "segmentation", segmentation())
    write("dicom", "rle", dicom(RLELossless, "RGB", 3, 8, encapsulate([run_length(planes)])))

    write("image", "baseline.jpg", jpeg)
    write("image", "progressive.jpg", saved(rgb, "JPEG", progressive=True))
    write("image", "grey.jpg", saved(grey, "JPEG"))
    write("image", "rgb.png", saved(rgb, "PNG"))
    write("image", "palette.png", saved(rgb.quantize(8), "PNG"))
    samples = bytes(range(24))
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = True\nDimSize = 4 3 2\nElementSpacing = 0.5 0.25 1\n"
        "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    write("image", "sequence.mha", header.encode() + zlib.compress(samples))
    header = (
        "NRRD0005\ntype: short\ndimension: 4\nsizes: 3 2 1 2\n"
        "space directions: none (0.5,0) (0,0.2) none\nkinds: RGB-color domain domain list\n"
        "encoding: raw\nendian: little\n\n"
    )
    write("image", "sequence.nrrd", header.encode() + samples)
    write("image", "grey.png", saved(grey, "PNG"))
    write("image", "rgba.png", saved(rgb.convert("RGBA"), "PNG"))

    write("stream", "jpeg", b"\0" + jpeg)
    write("stream", "mjpeg", b"\1\x40" + jpeg + b"noise" + jpeg[:300] + jpeg)
    noise = random.Random(1).randbytes(2 * 24 * 16)
    write("stream", "yuyv", b"\2" + bytes([24, 16, 48, 0]) + noise)

    spec = (HERE / "../../wire/SPEC.md").read_text()
    example = bytes.fromhex(spec.split("```hex\n")[1].split("```")[0])
    write("wire", "mask", b"\3" + example)
    write("wire", "command", b"\1\4\4")
    point = bytes.fromhex("00006040 00008040 01")
    write("wire", "prompt", b"\4\4\1\0\1" + point + b"\0")
    write("wire", "topic", b"\x08medsa/bench/prompt")
    write("inbox", "postcard", b"medsa/bench/prompt\n\4\1\0\1" + point + b"\0")

    vector = {"frame": "frame.png", "clicks": [[4, 5]], "box": [1, 2, 9, 8], "mask_runs": [30, 9, 345], "min_iou": 0.9}
    limits = {"pi": {"encoder_ms": 9.5, "decoder_ms": 3}}
    acceptance = json.dumps({"vectors": [vector], "boards": limits})
    write("bundle", "acceptance", acceptance)
    content = {"encoder.onnx": "", "decoder.onnx": "", "frame.png": "", "acceptance.json": acceptance}
    files = {
        name: {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        for name, text in content.items()
    }
    manifest = json.dumps({
        "format": 2, "name": "liver", "version": "1.0.0", "min_edge_version": "0.1.0",
        "base": {"name": "base", "sha256": "00" * 32}, "adapter": None,
        "preprocess": {"input_size": 64, "normalization": "min-max"}, "precision": "f32",
        "agreement": None, "files": files,
    })
    write("bundle", "manifest", manifest)
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    content = {"manifest.json": manifest, "manifest.sha256": f"{digest}  manifest.json\n"} | content
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    write("bundle", "whole", archive.getvalue())

    point = {"x": 3.5, "y": 4.0, "positive": True}
    change = {"Set": {"points": [point], "bbox": {"x0": 1, "y0": 2, "x1": 9, "y1": 8}}}
    set_ = json.dumps({"object": 1, "change": change})
    clear = json.dumps({"object": 0, "change": "Clear"})
    write("inbox", "set", f"medsa/bench/prompt/json\n{set_}")
    write("inbox", "clear", f"medsa/bench/prompt/json\n{clear}")
    for command in ["Pause", "Capture"]:
        write("inbox", command.lower(), f'medsa/bench/command/json\n"{command}"')

    installed = {"name": "liver", "version": "1.2.0", "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    other = installed | {"version": "1.3.0-rc.1", "sha256": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"}
    state = {"current": "a", "phase": "settled", "a": installed, "b": other, "floors": {"liver": "1.2.0"}, "failed": ["ab"]}
    write("slots", "settled", b"\0\5\3\4\0\n" + json.dumps(state).encode())
    write("slots", "staged", b"\1\0\2\n" + json.dumps(state | {"phase": "staged"}).encode())
    write("slots", "trial", b"\0\0\0\0\n" + json.dumps(state | {"phase": {"trial": {"starts": 1}}}).encode())
    numbered = state | {"format": 1, "remark": [1], "phase": {"trial": {"starts": 1, "reason": "x"}}}
    write("slots", "numbered", b"\0\2\0\n" + json.dumps(numbered).encode())
    write("slots", "empty", b"\0\n" + json.dumps(state | {"current": None, "a": None, "b": None}).encode())

    role = {"keyids": ["ab"], "threshold": 1}
    roles = {name: role for name in ["root", "snapshot", "targets", "timestamp"]}
    signed = {"_type": "root", "spec_version": "1.0.0", "consistent_snapshot": True, "version": 1, "expires": "2099-01-01T00:00:00Z", "keys": {}, "roles": roles}
    signatures = [{"keyid": "ab", "sig": "00"}]
    root = json.dumps({"signed": signed, "signatures": signatures})
    for kind in [4, 0, 6]:
        write("metadata", f"root{kind}", bytes([kind]) + root.encode())
    meta = {"snapshot.json": {"length": 9, "hashes": {"sha256": "00" * 32}, "version": 1}}
    timestamp = signed | {"_type": "timestamp", "meta": meta}
    write("metadata", "timestamp", b"\3" + json.dumps({"signed": timestamp, "signatures": signatures}).encode())
    targets = signed | {"_type": "targets", "targets": {"../a": {"length": 1, "hashes": {"sha256": "00" * 32}, "custom": {}}}}
    write("metadata", "targets", b"\1" + json.dumps({"signed": targets, "signatures": signatures}).encode())
    trust = {"known": "2026-11-23T00:00:00Z", "metadata": {"root.json": root, "timestamp.json": "{}"}}
    write("metadata", "trust", b"\5" + json.dumps(trust).encode())


main()
