"""Messages of a Med-SA device over MQTT: decoder and encoder of the compact and of the JSON form.

Copy this file into your project; it needs only the standard library of Python 3.9 or later. The
compact form is specified in wire/SPEC.md, the JSON form by the schemas in docs/src/reference/schemas.

    import medsa_wire
    message = medsa_wire.decode(topic, payload)           # of either form, by the topic
    rows = medsa_wire.mask_rows(message["mask"])          # rows[y][x] is 0 or 1
    prompt = medsa_wire.set_prompt(0, points=[(182, 115, True)])
    client.publish("medsa/bedside-1/prompt", medsa_wire.encode_compact("prompt", prompt), qos=1)

Messages are dictionaries with the names of the JSON form, or texts such as "Capture". Errors are
ValueError with the field and the limit.

Usage: medsa_wire.py KIND, with one message per line on standard input: hexadecimal digits become
JSON, and JSON becomes hexadecimal digits. KIND is the topic without device and object, such as mask.
"""

import json
import math
import struct
import sys

FORMAT_VERSION = 4


def decode(topic, payload):
    """Decodes a message by its topic: `medsa/<device>/<channel>`, with `/json` behind it or not."""
    parts = topic.split("/")
    if len(parts) < 3 or parts[0] != "medsa":
        raise ValueError(f"topic {topic} does not begin with medsa/<device>/")
    is_json = parts[-1] == "json"
    channel = parts[2:-1] if is_json else parts[2:]
    kind = "mask" if channel[:1] == ["mask"] else "/".join(channel)
    return decode_json(kind, payload) if is_json else decode_compact(kind, payload)


def decode_compact(kind, payload):
    """Decodes the bytes of a message; `kind` is a key of MESSAGES."""
    reader = Reader(payload)
    version = reader.take(1)[0]
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version}, expected {FORMAT_VERSION}")
    message = _kind(kind).read(reader, kind)
    if reader.at != len(payload):
        raise ValueError(f"{len(payload) - reader.at} bytes left over")
    return message


def encode_compact(kind, message):
    """Checks a message and returns its bytes."""
    out = bytearray([FORMAT_VERSION])
    _kind(kind).write(out, message, kind)
    return bytes(out)


def decode_json(kind, text):
    """Decodes the JSON form of a message and checks it like the compact form."""
    message = json.loads(text)
    encode_compact(kind, message)
    return message


def encode_json(kind, message):
    """Checks a message and returns its JSON form."""
    encode_compact(kind, message)
    return json.dumps(message, allow_nan=False)


def set_prompt(number, points=(), box=None):
    """Prompt that replaces that of object `number`: points are (x, y, positive), a box is (x0, y0, x1, y1)."""
    bbox = None if box is None else dict(zip(("x0", "y0", "x1", "y1"), box))
    return {"object": number, "change": {"Set": {"points": [_point(*p) for p in points], "bbox": bbox}}}


def add_point(number, x, y, positive=True):
    """Prompt that adds a point to the prompt of object `number`."""
    return {"object": number, "change": {"Add": _point(x, y, positive)}}


def mask_rows(mask):
    """Cells of a mask: one `bytes` for each row, with 1 for the object and 0 for background."""
    cells = _cells(mask["runs"])
    width = mask["width"]
    return [cells[start : start + width] for start in range(0, len(cells), width)]


class Reader:
    """Reads bytes from the front of a payload."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise ValueError(f"ends early: {count} bytes wanted at {self.at}, {len(part)} left")
        self.at += count
        return part


# Types of fields. `read` decodes a value; `write` checks and encodes one. `at` names the field.


class Varint:
    """Unsigned integer of at most `bits` bits, from `low` to `high`: seven bits in each byte."""

    def __init__(self, bits, low=0, high=None):
        self.length = -(-bits // 7)
        self.low, self.high = low, 2**bits - 1 if high is None else high

    def read(self, reader, at):
        value = 0
        for index in range(self.length):
            byte = reader.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return _in_range(value, self.low, self.high, at)
        raise ValueError(f"{at} has more than {self.length} bytes")

    def write(self, out, value, at):
        _in_range(value, self.low, self.high, at)
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)


class Byte:
    """Unsigned integer in one byte, from `low` to `high`."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def read(self, reader, at):
        return _in_range(reader.take(1)[0], self.low, self.high, at)

    def write(self, out, value, at):
        out.append(_in_range(value, self.low, self.high, at))


class Bool:
    """True or false in one byte."""

    def read(self, reader, at):
        return _in_range(reader.take(1)[0], 0, 1, at) == 1

    def write(self, out, value, at):
        if not isinstance(value, bool):
            raise ValueError(f"{at} is {value!r}, expected true or false")
        out.append(value)


class Float:
    """Finite number of single precision."""

    def read(self, reader, at):
        return self._finite(struct.unpack("<f", reader.take(4))[0], at)

    def write(self, out, value, at):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{at} is {value!r}, expected a number")
        try:
            out += struct.pack("<f", self._finite(value, at))
        except OverflowError as error:
            raise ValueError(f"{at} is {value}: {error}") from error

    @staticmethod
    def _finite(value, at):
        if not math.isfinite(value):
            raise ValueError(f"{at} is {value}, expected a finite number")
        return value


class Text:
    """UTF-8 text of `low` to `high` bytes."""

    def __init__(self, high, low=0):
        self.low, self.high = low, high

    def read(self, reader, at):
        return reader.take(Varint(32, self.low, self.high).read(reader, f"length of {at}")).decode()

    def write(self, out, value, at):
        if not isinstance(value, str):
            raise ValueError(f"{at} is {value!r}, expected a text")
        encoded = value.encode()
        Varint(32, self.low, self.high).write(out, len(encoded), f"length of {at}")
        out += encoded


class Sha256:
    """Hash of 32 bytes, as 64 hexadecimal digits."""

    def read(self, reader, at):
        return reader.take(32).hex()

    def write(self, out, value, at):
        if not isinstance(value, str) or len(value) != 64:
            raise ValueError(f"{at} is {value!r}, expected 64 hexadecimal digits")
        out += bytes.fromhex(value)


class Option:
    """A value or None."""

    def __init__(self, of):
        self.of = of

    def read(self, reader, at):
        return self.of.read(reader, at) if Bool().read(reader, f"option of {at}") else None

    def write(self, out, value, at):
        out.append(value is not None)
        if value is not None:
            self.of.write(out, value, at)


class Array:
    """At most `high` values."""

    def __init__(self, of, high):
        self.of, self.high = of, high

    def read(self, reader, at):
        count = Varint(32, 0, self.high).read(reader, f"length of {at}")
        return [self.of.read(reader, f"{at}[{i}]") for i in range(count)]

    def write(self, out, value, at):
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{at} is {value!r}, expected a list")
        Varint(32, 0, self.high).write(out, len(value), f"length of {at}")
        for i, item in enumerate(value):
            self.of.write(out, item, f"{at}[{i}]")


class Struct:
    """Fields by name; `check(value, at)` tests rules that involve several fields."""

    def __init__(self, fields, check=None):
        self.fields, self.check = fields, check

    def read(self, reader, at):
        value = {name: of.read(reader, f"{at}.{name}") for name, of in self.fields.items()}
        if self.check:
            self.check(value, at)
        return value

    def write(self, out, value, at):
        if not isinstance(value, dict):
            raise ValueError(f"{at} is {value!r}, expected an object")
        unknown = value.keys() - self.fields.keys()
        if unknown:
            raise ValueError(f"{at} has the unknown key {', '.join(sorted(unknown))}")
        for name, of in self.fields.items():
            if name not in value and not isinstance(of, Option):
                raise ValueError(f"{at} has no {name}")
            of.write(out, value.get(name), f"{at}.{name}")
        if self.check:
            self.check(value, at)


class Variant:
    """One of several variants in the order of their numbers. `fields` has the types of those with fields."""

    def __init__(self, *names, **fields):
        self.names, self.fields = names, fields

    def read(self, reader, at):
        name = self.names[Varint(32, 0, len(self.names) - 1).read(reader, at)]
        of = self.fields.get(name)
        return {name: of.read(reader, f"{at}.{name}")} if of else name

    def write(self, out, value, at):
        name, inner = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, None)
        of = self.fields.get(name) if isinstance(name, str) else None
        if name not in self.names or (of is None) != (inner is None):
            raise ValueError(f"{at} is {value!r}, expected one of {', '.join(self.names)}")
        Varint(32).write(out, self.names.index(name), at)
        if of:
            of.write(out, inner, f"{at}.{name}")


class Mask:
    """Cells of a mask: in bytes as runs or one bit per cell, in a message as runs."""

    SIDE, LENGTH, CODING = Varint(16, 1, 256), Varint(32, 0, 8192), Variant("RunLength", "Packed")
    RUN = Varint(17, 0, 65536)

    def read(self, reader, at):
        mask = {name: self.SIDE.read(reader, f"{at}.{name}") for name in ("width", "height")}
        coding = self.CODING.read(reader, f"{at}.coding")
        payload = reader.take(self.LENGTH.read(reader, f"length of {at}.payload"))
        if coding == "Packed":
            mask["runs"] = self._packed_runs(payload, mask["width"] * mask["height"], at)
        else:
            runs = Reader(payload)
            mask["runs"] = []
            while runs.at < len(payload):
                mask["runs"].append(self.RUN.read(runs, f"{at}.runs"))
        self._check(mask, at)
        return mask

    def write(self, out, value, at):
        for name in ("width", "height"):
            self.SIDE.write(out, value.get(name), f"{at}.{name}")
        if not isinstance(value.get("runs"), list):
            raise ValueError(f"{at} has no list of runs")
        runs, packed = bytearray(), bytearray()
        for run in value["runs"]:
            self.RUN.write(runs, run, f"{at}.runs")
        self._check(value, at)
        cells = _cells(value["runs"])
        for start in range(0, len(cells), 8):
            bits = cells[start : start + 8].ljust(8, b"\0")
            packed.append(sum(bit << (7 - index) for index, bit in enumerate(bits)))
        is_packed = len(packed) < len(runs)
        payload = packed if is_packed else runs
        self.CODING.write(out, "Packed" if is_packed else "RunLength", f"{at}.coding")
        self.LENGTH.write(out, len(payload), f"length of {at}.payload")
        out += payload

    @staticmethod
    def _packed_runs(payload, count, at):
        if len(payload) != -(-count // 8) or int.from_bytes(payload, "big") & ((1 << -count % 8) - 1):
            raise ValueError(f"{at}.payload is not {count} bits with zeros behind them")
        runs = [0]
        for index in range(count):
            if payload[index // 8] >> (7 - index % 8) & 1 == len(runs) % 2:
                runs.append(0)
            runs[-1] += 1
        return runs

    @staticmethod
    def _check(mask, at):
        if 0 in mask["runs"][1:]:
            raise ValueError(f"{at}.runs has a 0 after the first run")
        count = mask["width"] * mask["height"]
        _in_range(sum(mask["runs"]), count, count, f"sum of {at}.runs")


def _cells(runs):
    return b"".join(bytes([index % 2]) * run for index, run in enumerate(runs))


def _in_range(value, low, high, at):
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{at} is {value!r}, expected an integer from {low} to {high}")
    return value


def _point(x, y, positive):
    return {"x": x, "y": y, "positive": positive}


def _kind(kind):
    if kind not in MESSAGES:
        raise ValueError(f"{kind!r} is not a message, expected one of {', '.join(MESSAGES)}")
    return MESSAGES[kind]


def _check_mask(mask, at):
    measured = mask.get("measured")
    for name in ("area_px", "parts") if measured else ():
        high = mask["frame_width_px"] * mask["frame_height_px"]
        _in_range(measured[name], 1, high, f"{at}.measured.{name}")


def _check_record(record, at):
    lowest = 0
    for entry in record["objects"]:
        lowest = _in_range(entry["object"], lowest, 7, f"{at}.objects.object") + 1
        high = record["frame_width_px"] * record["frame_height_px"]
        _in_range(entry["area_px"], 0, high, f"{at}.objects.area_px")


def _check_box(box, at):
    # In single precision, in which the device compares.
    x0, y0, x1, y1 = struct.unpack("<4f", struct.pack("<4f", *(box[name] for name in BOX)))
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"{at} is {box}, expected x0 < x1 and y0 < y1")


def _check_set(prompt, at):
    if not prompt["points"] and prompt.get("bbox") is None:
        raise ValueError(f"{at} has neither points nor a box")


U16, U32, U64, F32 = Varint(16), Varint(32), Varint(64), Float()
OBJECT, SIDE_PX = Byte(0, 7), Varint(16, 1)
BOX = ("x0", "y0", "x1", "y1")
POSITION = Struct({"x": F32, "y": F32})
POINT = Struct({"x": F32, "y": F32, "positive": Bool()})

MESSAGES = {
    "availability": Variant("Offline", "Online"),
    "info": Struct({
        "build_name": Text(64),
        "build_version": Text(32),
        "build_sha256": Sha256(),
        "board": Text(32),
        "edge_version": Text(32),
        "input_size_px": SIDE_PX,
    }),
    "mask": Struct({
        "frame_id": U64,
        "captured_us": U64,
        "age_us": U32,
        "object": OBJECT,
        "state": Variant("Tracking", "Uncertain", "Lost"),
        "reason": Option(Variant(
            "FoundAgain", "NotConfirmed", "LeftFrame", "ImageChanged",
            "AreaJump", "SeveralParts", "AtBorder", "OutsideBox",
        )),
        "segmented": Bool(),
        "score": F32,
        "agreement": Option(F32),
        "frame_width_px": SIDE_PX,
        "frame_height_px": SIDE_PX,
        "measured": Option(Struct({
            "parts": Varint(32, 1),
            "area_px": Varint(32, 1),
            "centroid_px": POSITION,
            "longest_px": F32,
            "shortest_px": F32,
            "physical": Option(Struct({"area_mm2": F32, "longest_mm": F32, "shortest_mm": F32})),
            "contour_px": Array(POSITION, 256),
        })),
        "mask": Mask(),
    }, _check_mask),
    "record": Struct({
        "id": Text(48, 1),
        "captured_us": U64,
        "frame_id": U64,
        "frame_width_px": SIDE_PX,
        "frame_height_px": SIDE_PX,
        "objects": Array(Struct({"object": OBJECT, "score": F32, "area_px": U32}), 8),
        "record_sha256": Sha256(),
    }, _check_record),
    "record/deleted": Struct({
        "id": Text(48, 1),
        "deleted_us": U64,
        "reason": Variant("WrongStructure", "WrongPatient", "PoorImage", "Test", "Other"),
    }),
    "stats": Struct({
        "uptime_ms": U64,
        "frames_in": U64,
        "frames_segmented": U64,
        "frames_failed": U64,
        "frames_dropped": Struct(
            dict.fromkeys(("source", "follow", "encoder", "decoder", "paused"), U64)
        ),
        "masks_out": U64,
        "refused_messages": U64,
        "masks_dropped": U64,
        "masks_unpublished": U64,
        "outbox_messages": Option(U64),
        "latency": Array(Struct({
            "stage": Variant(
                "Source", "Preprocess", "Encoder", "Decoder",
                "Postprocess", "Total", "Follow", "PromptToMask",
            ),
            "p50_us": U32,
            "p95_us": U32,
        }), 8),
    }),
    "status": Struct({
        "source": Variant(
            "Starting", "Playing", "Refused", "Unreachable", "Stalled", "Broken", "Ended"
        ),
        "activity": Variant("Running", "Frozen", "Paused"),
        "degradation": Option(Struct({
            "level": Byte(1, 3), "cause": Variant("Heat", "Throttling", "Slowness"),
        })),
        "build": Variant(
            "Idle", "Loading", "Failed", "Updating", Failed=Struct({"reason": Text(120)})
        ),
    }),
    "prompt": Struct({
        "object": OBJECT,
        "change": Variant(
            "Set", "Clear", "Add", "Undo", "Redo",
            Set=Struct({
                "points": Array(POINT, 16),
                "bbox": Option(Struct(dict.fromkeys(BOX, F32), _check_box)),
            }, _check_set),
            Add=POINT,
        ),
    }),
    "command": Variant(
        "Pause", "Resume", "Freeze", "Unfreeze", "Capture", "Reload", "Update", "SwitchBuild"
    ),
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in MESSAGES:
        sys.exit(__doc__[__doc__.index("Usage") :])
    kind = sys.argv[1]
    for line in sys.stdin:
        line = line.strip()
        if line.startswith(("{", '"')):
            print(encode_compact(kind, decode_json(kind, line)).hex())
        else:
            print(encode_json(kind, decode_compact(kind, bytes.fromhex(line))))


if __name__ == "__main__":
    main()
