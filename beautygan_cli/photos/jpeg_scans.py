"""JPEGs made of so many scans that decoding them takes hours, told before they are decoded."""

from __future__ import annotations

import io
import re

MAX_SCANS = 100  # of a JPEG; progressive ones have about 10, and each goes over all pixels again
MAX_SEGMENTS = 10_000  # of a JPEG; metadata and profiles come in pieces of 64 KB

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of a JPEG; those that may stand inside a scan are left out
_START_OF_SCAN, _END_OF_JPEG, _WITHOUT_LENGTH = 0xDA, 0xD9, (0x01, 0xD8)


def has_too_many_scans(file: io.BufferedIOBase) -> bool:
    """Whether a JPEG has more than MAX_SCANS scans or MAX_SEGMENTS segments. The file stays where it was read to.

    A kilobyte of empty scans costs the decoder seconds on a large photo, so they are counted before it starts.
    """
    before, position, scans, segments = file.tell(), 2, 0, 0
    start, block = 0, b""
    while scans <= MAX_SCANS and segments <= MAX_SEGMENTS:
        found = _MARKER.search(block, position - start) if start <= position else None
        if found is None or found.end() + 2 > len(block):  # go on from there, or from a byte that may begin a marker
            start = start + found.start() if found else max(position, start + len(block) - 1)
            file.seek(start)
            position, block = start, file.read(1 << 16)
            if len(block) < 4:
                break
            continue
        kind = block[found.end() - 1]
        if kind == _END_OF_JPEG:
            break
        position = start + found.end()
        if kind not in _WITHOUT_LENGTH:
            position += int.from_bytes(block[found.end() : found.end() + 2], "big")
        scans += kind == _START_OF_SCAN
        segments += 1
    file.seek(before)
    return scans > MAX_SCANS or segments > MAX_SEGMENTS
