"""Prints the scalars of a TensorBoard event file as JSON lines [step, tag, value, unix time]. It reads
the format by itself and needs only Python.

usage: read_events.py FILE
"""
import json
import struct
import sys


def crc32c(data):
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unmasked(checksum):
    rotated = (checksum - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        (length, checksum) = struct.unpack_from("<QI", data, at)
        assert unmasked(checksum) == crc32c(data[at : at + 8]), "checksum of a length"
        body = data[at + 12 : at + 12 + length]
        (checksum,) = struct.unpack_from("<I", data, at + 12 + length)
        assert unmasked(checksum) == crc32c(body), "checksum of a record"
        yield body
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Number and value of each field of a message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind == 5:
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        else:
            raise ValueError(f"wire type {kind}")
        yield number, value


all_records = list(records(open(sys.argv[1], "rb").read()))
first = dict(fields(all_records[0]))
assert first[3] == b"brain.Event:2", first
for record in all_records[1:]:
    event = dict(fields(record))
    for _, value in fields(event[5]):
        value = dict(fields(value))
        print(json.dumps([event.get(2, 0), value[1].decode(), value.get(2, 0.0), event[1]]))
