#!/usr/bin/env python3
"""Reads the statistics that stock CRIU leaves beside its images (stats-dump, stats-restore).

    criu_stats.py FILE...        prints them as JSON, times in milliseconds

The files are CRIU's images with one protobuf message: two 32-bit magic numbers, the message's length in 32 bits, the
message (criu/include/magic.h and images/stats.proto of CRIU 4.1). Only varints and messages within occur in it.
"""
import json
import struct
import sys

MAGIC_SERVICE = 0x55105940  # IMG_SERVICE_MAGIC
MAGIC_STATS = 0x57093306  # STATS_MAGIC

# stats.proto: dump_stats_entry and restore_stats_entry. Times are microseconds.
DUMP = {
    1: "freezing_time",
    2: "frozen_time",
    3: "memdump_time",
    4: "memwrite_time",
    5: "pages_scanned",
    6: "pages_skipped_parent",
    7: "pages_written",
    8: "irmap_resolve",
    9: "pages_lazy",
    10: "page_pipes",
    11: "page_pipe_bufs",
}
RESTORE = {
    1: "pages_compared",
    2: "pages_skipped_cow",
    3: "forking_time",
    4: "restore_time",
    5: "pages_restored",
}
TIMES = {"freezing_time", "frozen_time", "memdump_time", "memwrite_time", "irmap_resolve", "forking_time", "restore_time"}


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number runs past its end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of each field of a protobuf message; the value is an int, or bytes for what has a length."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            length, at = varint(data, at)
            if length > len(data) - at:
                raise ValueError("a field is longer than its message")
            value = data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire} does not occur in CRIU's statistics")
        yield number, value


def decode(data):
    """One image's statistics as {name: number}, times in milliseconds ("frozen_ms")."""
    if len(data) < 12:
        raise ValueError("too short for a CRIU image")
    service, kind, length = struct.unpack("<III", data[:12])
    if (service, kind) != (MAGIC_SERVICE, MAGIC_STATS):
        raise ValueError(f"no CRIU statistics: magic {service:#x} {kind:#x}")
    if length != len(data) - 12:
        raise ValueError(f"{len(data) - 12} bytes follow where {length} should")
    result = {}
    for number, value in fields(data[12:]):
        names = {1: DUMP, 2: RESTORE}.get(number)
        if names is None:
            continue
        for inner, amount in fields(value):
            name = names.get(inner)
            if name in TIMES:
                result[name.removesuffix("_time") + "_ms"] = amount / 1000
            elif name:
                result[name] = amount
    return result


def read(path):
    with open(path, "rb") as file:
        return decode(file.read(1 << 20))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(read(argument)))
