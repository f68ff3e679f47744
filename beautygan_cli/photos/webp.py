"""Whether a WebP keeps every pixel, which Pillow does not tell."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

_MOST_CHUNKS = 20_000  # of a file; each frame of an animation is one
_FRAME_HEAD = 16  # bytes of a frame before its own chunks


def is_lossless(file: io.BufferedIOBase) -> bool:
    """Whether all pictures of a WebP are coded without loss. False for other files. The file stays where it was.

    A transparency that is coded apart, without loss in any case, doesn't count.
    """
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WEBP":
            return False
        kinds = set(_pictures(file, 12, 8 + int.from_bytes(head[4:8], "little")))
        return kinds == {b"VP8L"}
    except struct.error:
        return False
    finally:
        file.seek(before)


def _pictures(file: io.BufferedIOBase, place: int, end: int) -> Iterator[bytes]:
    """The kind, lossy `VP8 ` or lossless `VP8L`, of each picture in a file."""
    for _ in range(_MOST_CHUNKS):
        if place + 8 > end:
            return
        file.seek(place)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind in (b"VP8 ", b"VP8L"):
            yield kind
        # A frame is gone into: what follows its head are chunks again, and behind its last one comes the next frame.
        place += 8 + (_FRAME_HEAD if kind == b"ANMF" else length + length % 2)
