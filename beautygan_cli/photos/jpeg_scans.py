"""The parts of a JPEG: whether they are so many that reading them takes hours, and where its picture ends."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator

MAX_SCANS = 100  # of a JPEG; progressive ones have about 10, and each goes over all pixels again
USUAL_SCANS = 20  # of any size; libjpeg's own script for CMYK has 18
MAX_SCANNED = 1_000_000_000  # pixels that more scans than these go over together; half a billion take a second
MAX_SEGMENTS = 10_000  # of a JPEG; metadata and profiles come in pieces of 64 KB
MAX_EXIF = 64  # segments of a JPEG with EXIF, which Pillow copies anew for each that it appends

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of a JPEG; those that may stand inside a scan are left out
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # that begin a frame: a length, bits, height and width follow
_START_OF_SCAN, _END_OF_JPEG, _APP1, _WITHOUT_LENGTH = 0xDA, 0xD9, 0xE1, (0x01, 0xD8)
_BLOCK = 1 << 16  # bytes that are read at once
_START = b"\xff\xd8\xff"
_LOOKED_AT = 8  # bytes behind a marker: a length, and what APP1 begins with


def has_too_many_parts(file: io.BufferedIOBase) -> bool:
    """Whether a file is a JPEG of more than MAX_SCANS scans, MAX_SEGMENTS segments or MAX_EXIF of these with EXIF.

    A kilobyte of empty scans costs the decoder seconds on a large photo, so they are counted before it starts, and
    those beyond USUAL_SCANS go by the photo's size. The file stays where it was read to.
    """
    before = file.tell()
    try:
        file.seek(0)
        return file.read(len(_START)) == _START and _too_many(file)
    finally:
        file.seek(before)


def picture_end(file: io.BufferedIOBase) -> int | None:
    """Where a JPEG's first picture ends, in bytes from the file's start; None of another or a cut file.

    The file stays where it was.
    """
    before = file.tell()
    try:
        file.seek(0)
        if file.read(len(_START)) != _START:
            return None
        return next((place for kind, _, place in _markers(file) if kind == _END_OF_JPEG), None)
    finally:
        file.seek(before)


def _too_many(file: io.BufferedIOBase) -> bool:
    scans, exif, pixels = 0, 0, 0
    for segments, (kind, following, _) in enumerate(_markers(file), start=1):
        if kind == _END_OF_JPEG:
            break
        exif += kind == _APP1 and following[2:6] == b"Exif"
        scans += kind == _START_OF_SCAN
        if kind in _SIZES:
            height, width = struct.unpack_from(">HH", following.ljust(_LOOKED_AT, b"\0"), 3)
            pixels = max(pixels, height * width)
        if scans > USUAL_SCANS and scans * pixels > MAX_SCANNED:
            return True
        if scans > MAX_SCANS or segments > MAX_SEGMENTS or exif > MAX_EXIF:
            return True
    return False


def _markers(file: io.BufferedIOBase) -> Iterator[tuple[int, bytes, int]]:
    """Each marker up to the end of the picture: its kind, the bytes that follow it, and where these begin."""
    position, start, block, last = 2, 0, b"", False
    while True:
        found = _MARKER.search(block, position - start) if start <= position else None
        if found is None or (found.end() + _LOOKED_AT > len(block) and not last):
            if last:
                return
            # Go on from there, or from what may begin a marker.
            start = start + found.start() if found else max(position, start + len(block) - 1)
            file.seek(start)
            position, block = start, file.read(_BLOCK)
            last = len(block) < _BLOCK
            continue
        kind, following = block[found.end() - 1], block[found.end() : found.end() + _LOOKED_AT]
        position = start + found.end()
        yield kind, following, position
        if kind == _END_OF_JPEG:
            return
        if kind not in _WITHOUT_LENGTH:
            position += int.from_bytes(following[:2], "big")
