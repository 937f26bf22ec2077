#!/usr/bin/env python3
"""Decodes a Med-SA mask message, or with `--record` a record, `--deleted` a deleted record, `--stats`
statistics or `--status` a status, and prints it as JSON. Written from wire/SPEC.md alone.

Usage: decode_wire.py [--record|--deleted|--stats|--status] HEX | --file PATH | --lines
`--lines` reads one message in hex per line from standard input.
"""

import json
import math
import struct
import sys


STAGES = [
    "Source", "Preprocess", "Encoder", "Decoder", "Postprocess", "Total", "Follow", "PromptToMask",
]
SOURCES = ["Starting", "Playing", "Refused", "Unreachable", "Stalled", "Broken", "Ended"]


class Reader:
    """Reads fields from the front of a payload."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise ValueError(f"ends early: {count} bytes wanted at {self.at}, {len(part)} left")
        self.at += count
        return part

    def f32(self):
        value = struct.unpack("<f", self.take(4))[0]
        if not math.isfinite(value):
            raise ValueError(f"a number before byte {self.at} is not finite")
        return value

    def option(self, read):
        return read() if in_range("option", self.take(1)[0], 0, 1) else None

    def varint(self, bits):
        value = 0
        for index in range(-(-bits // 7)):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return in_range("varint", value, 0, 2**bits - 1)
        raise ValueError(f"varint before byte {self.at} is too long for {bits} bits")


def in_range(name, value, low, high):
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")
    return value


REASONS = [
    "FoundAgain", "NotConfirmed", "LeftFrame", "ImageChanged",
    "AreaJump", "SeveralParts", "AtBorder", "OutsideBox",
]


def decode_mask_message(data):
    reader = Reader(data)
    version = reader.take(1)[0]
    if version != 4:
        raise ValueError(f"format version {version}, expected 4")
    message = {
        "frame_id": reader.varint(64),
        "captured_us": reader.varint(64),
        "age_us": reader.varint(32),
        "object": in_range("object", reader.take(1)[0], 0, 7),
        "state": ["Tracking", "Uncertain", "Lost"][in_range("state", reader.varint(32), 0, 2)],
        "reason": reader.option(lambda: REASONS[in_range("reason", reader.varint(32), 0, 7)]),
        "segmented": in_range("segmented", reader.take(1)[0], 0, 1) == 1,
        "score": reader.f32(),
        "agreement": reader.option(reader.f32),
        "frame_width_px": in_range("frame_width_px", reader.varint(16), 1, 65535),
        "frame_height_px": in_range("frame_height_px", reader.varint(16), 1, 65535),
    }
    frame_area = message["frame_width_px"] * message["frame_height_px"]
    message["measured"] = reader.option(lambda: decode_measurements(reader, frame_area))
    width = in_range("mask.width", reader.varint(16), 1, 256)
    height = in_range("mask.height", reader.varint(16), 1, 256)
    coding = in_range("mask.coding", reader.varint(32), 0, 1)
    payload = reader.take(in_range("payload length", reader.varint(32), 0, 8192))
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes left over")
    runs = runs_of_packed(payload, width * height) if coding else runs_of_run_length(payload)
    if sum(runs) != width * height:
        raise ValueError(f"runs sum to {sum(runs)}, expected {width * height}")
    mask = {"width": width, "height": height, "coding": ["RunLength", "Packed"][coding]}
    message["mask"] = mask | {"runs": runs, "area_cells": sum(runs[1::2])}
    return message


def decode_measurements(reader, frame_area):
    def position():
        return [reader.f32(), reader.f32()]

    def physical():
        return {name: reader.f32() for name in ("area_mm2", "longest_mm", "shortest_mm")}

    return {
        "parts": in_range("parts", reader.varint(32), 1, frame_area),
        "area_px": in_range("area_px", reader.varint(32), 1, frame_area),
        "centroid_px": position(),
        "longest_px": reader.f32(),
        "shortest_px": reader.f32(),
        "physical": reader.option(physical),
        "contour_px": [
            position() for _ in range(in_range("contour points", reader.varint(32), 0, 256))
        ],
    }


def decode_record(data):
    reader = Reader(data)
    version = reader.take(1)[0]
    if version != 4:
        raise ValueError(f"format version {version}, expected 4")
    record = {
        "id": reader.take(in_range("id length", reader.varint(32), 1, 48)).decode("utf-8"),
        "captured_us": reader.varint(64),
        "frame_id": reader.varint(64),
        "frame_width_px": in_range("frame_width_px", reader.varint(16), 1, 65535),
        "frame_height_px": in_range("frame_height_px", reader.varint(16), 1, 65535),
        "objects": [],
    }
    frame_area = record["frame_width_px"] * record["frame_height_px"]
    lowest = 0
    for _ in range(in_range("number of objects", reader.varint(32), 0, 8)):
        number = in_range("object", reader.take(1)[0], lowest, 7)
        score = reader.f32()
        area = in_range("area_px", reader.varint(32), 0, frame_area)
        record["objects"].append({"object": number, "score": score, "area_px": area})
        lowest = number + 1
    record["record_sha256"] = reader.take(32).hex()
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes left over")
    return record


def decode_deleted(data):
    reader = Reader(data)
    version = reader.take(1)[0]
    if version != 4:
        raise ValueError(f"format version {version}, expected 4")
    reasons = ["WrongStructure", "WrongPatient", "PoorImage", "Test", "Other"]
    deleted = {
        "id": reader.take(in_range("id length", reader.varint(32), 1, 48)).decode("utf-8"),
        "deleted_us": reader.varint(64),
        "reason": reasons[in_range("reason", reader.varint(32), 0, 4)],
    }
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes left over")
    return deleted


def decode_stats(data):
    reader = Reader(data)
    version = reader.take(1)[0]
    if version != 4:
        raise ValueError(f"format version {version}, expected 4")

    def counters(*names):
        return {name: reader.varint(64) for name in names}

    def latency():
        stage = STAGES[in_range("stage", reader.varint(32), 0, len(STAGES) - 1)]
        return {"stage": stage, "p50_us": reader.varint(32), "p95_us": reader.varint(32)}

    stats = counters("uptime_ms", "frames_in", "frames_segmented", "frames_failed")
    stats["frames_dropped"] = counters("source", "follow", "encoder", "decoder", "paused")
    stats |= counters("masks_out", "refused_messages", "masks_dropped", "masks_unpublished")
    stats["outbox_messages"] = reader.option(lambda: reader.varint(64))
    count = in_range("number of stages", reader.varint(32), 0, 8)
    stats["latency"] = [latency() for _ in range(count)]
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes left over")
    return stats


def decode_status(data):
    reader = Reader(data)
    version = reader.take(1)[0]
    if version != 4:
        raise ValueError(f"format version {version}, expected 4")

    def variant(name, names):
        return names[in_range(name, reader.varint(32), 0, len(names) - 1)]

    def degradation():
        level = in_range("level", reader.take(1)[0], 1, 3)
        return {"level": level, "cause": variant("cause", ["Heat", "Throttling", "Slowness"])}

    status = {
        "source": variant("source", SOURCES),
        "activity": variant("activity", ["Running", "Frozen", "Paused"]),
        "degradation": reader.option(degradation),
        "build": variant("build", ["Idle", "Loading", "Failed", "Updating"]),
    }
    if status["build"] == "Failed":
        reason = reader.take(in_range("reason length", reader.varint(32), 0, 120))
        status["build"] = {"Failed": {"reason": reason.decode("utf-8")}}
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes left over")
    return status


def runs_of_run_length(payload):
    reader, runs = Reader(payload), []
    while reader.at < len(payload):
        runs.append(in_range("run", reader.varint(17), 1 if runs else 0, 65536))
    return runs


def runs_of_packed(payload, cells):
    bits = "".join(f"{byte:08b}" for byte in payload)
    if len(payload) != -(-cells // 8) or "1" in bits[cells:]:
        raise ValueError(f"packed payload of {len(payload)} bytes does not fit {cells} cells")
    runs, value = [0], "0"
    for bit in bits[:cells]:
        if bit != value:
            runs.append(0)
            value = bit
        runs[-1] += 1
    return runs


def main(arguments):
    decode = decode_mask_message
    others = {
        "--record": decode_record,
        "--deleted": decode_deleted,
        "--stats": decode_stats,
        "--status": decode_status,
    }
    if arguments and arguments[0] in others:
        decode, arguments = others[arguments[0]], arguments[1:]
    if arguments == ["--lines"]:
        messages = [bytes.fromhex(line) for line in sys.stdin]
    elif len(arguments) == 2 and arguments[0] == "--file":
        with open(arguments[1], "rb") as file:
            messages = [file.read()]
    elif len(arguments) == 1:
        messages = [bytes.fromhex(arguments[0])]
    else:
        sys.exit(__doc__)
    for message in messages:
        print(json.dumps(decode(message)))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"decode_wire.py: {error}")
