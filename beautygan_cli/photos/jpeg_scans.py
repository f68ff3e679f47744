"""JPEGs made of so many scans or segments that reading them takes hours, told before they are opened."""

from __future__ import annotations

import io
import re

MAX_SCANS = 100  # of a JPEG; progressive ones have about 10, and each goes over all pixels again
MAX_SEGMENTS = 10_000  # of a JPEG; metadata and profiles come in pieces of 64 KB
MAX_EXIF = 64  # segments of a JPEG with EXIF, which Pillow copies anew for each that it appends

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of a JPEG; those that may stand inside a scan are left out
_START_OF_SCAN, _END_OF_JPEG, _APP1, _WITHOUT_LENGTH = 0xDA, 0xD9, 0xE1, (0x01, 0xD8)
_START = b"\xff\xd8\xff"
_LOOKED_AT = 8  # bytes behind a marker: a length, and what APP1 begins with


def has_too_many_parts(file: io.BufferedIOBase) -> bool:
    """Whether a file is a JPEG of more than MAX_SCANS scans, MAX_SEGMENTS segments or MAX_EXIF of these with EXIF.

    A kilobyte of empty scans costs the decoder seconds on a large photo, so they are counted before it starts. The file
    stays where it was read to.
    """
    before = file.tell()
    try:
        file.seek(0)
        return file.read(len(_START)) == _START and _too_many(file)
    finally:
        file.seek(before)


def _too_many(file: io.BufferedIOBase) -> bool:
    position, scans, segments, exif = 2, 0, 0, 0
    start, block = 0, b""
    while scans <= MAX_SCANS and segments <= MAX_SEGMENTS and exif <= MAX_EXIF:
        found = _MARKER.search(block, position - start) if start <= position else None
        if found is None or found.end() + _LOOKED_AT > len(block):  # go on from there, or from what may begin a marker
            start = start + found.start() if found else max(position, start + len(block) - 1)
            file.seek(start)
            position, block = start, file.read(1 << 16)
            if len(block) < 2 + _LOOKED_AT:
                break
            continue
        kind = block[found.end() - 1]
        if kind == _END_OF_JPEG:
            break
        position = start + found.end()
        exif += kind == _APP1 and block[found.end() + 2 : found.end() + 6] == b"Exif"
        if kind not in _WITHOUT_LENGTH:
            position += int.from_bytes(block[found.end() : found.end() + 2], "big")
        scans += kind == _START_OF_SCAN
        segments += 1
    return scans > MAX_SCANS or segments > MAX_SEGMENTS or exif > MAX_EXIF
