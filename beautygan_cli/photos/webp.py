"""What Pillow does not tell of a WebP: whether it keeps every pixel, and content credentials."""

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
    return _kinds(file) & {b"VP8 ", b"VP8L"} == {b"VP8L"}


def has_credentials(file: io.BufferedIOBase) -> bool:
    """Whether a WebP carries content credentials (C2PA). The file stays where it was."""
    return b"C2PA" in _kinds(file)


def _kinds(file: io.BufferedIOBase) -> set[bytes]:
    """The kinds of a WebP's chunks, up to a broken one; none of another file."""
    before, found = file.tell(), set()
    try:
        file.seek(0)
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WEBP":
            for kind in _chunks(file, 12, 8 + int.from_bytes(head[4:8], "little")):
                found.add(kind)
    except struct.error:
        pass
    finally:
        file.seek(before)
    return found


def _chunks(file: io.BufferedIOBase, place: int, end: int) -> Iterator[bytes]:
    """The kind of each chunk, those of an animation's frames included."""
    for _ in range(_MOST_CHUNKS):
        if place + 8 > end:
            return
        file.seek(place)
        kind, length = struct.unpack("<4sI", file.read(8))
        yield kind
        # A frame is gone into: what follows its head are chunks again, and behind its last one comes the next frame.
        place += 8 + (_FRAME_HEAD if kind == b"ANMF" else length + length % 2)
