"""What Pillow passes over in a PNG: its coded colour space, its animation and its depth; and PNGs of 16 bits."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Pillow takes 20 microseconds for each chunk, 12 bytes in the file at least. An animation has two for each of up to
# 10,000 frames; pixels come in pieces of some kilobytes.
MOST_CHUNKS = 30_000
_BYTES_A_CHUNK = 500  # of a longer file, which may have one more for so many bytes
_LONGEST_CHUNK = 64  # bytes, of those that are looked at


class Head(NamedTuple):
    """What stands before the pixels: bits a channel, and the content of the small chunks that tell of colour."""

    bits: int = 8
    chunks: Mapping[bytes, bytes] = MappingProxyType({})


def has_too_many_chunks(file: io.BufferedIOBase) -> bool:
    """Whether a file is a PNG of more chunks than MOST_CHUNKS and its length explain. The file stays where it was."""
    before = file.tell()
    try:
        most = MOST_CHUNKS + file.seek(0, io.SEEK_END) // _BYTES_A_CHUNK
        return any(number > most for number, _ in enumerate(_heads(file), start=1))
    finally:
        file.seek(before)


def _heads(file: io.BufferedIOBase) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each chunk of a PNG up to its end, none of another file; the file is behind the length."""
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return
    place = len(SIGNATURE)
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        yield kind, length
        if kind == b"IEND":
            return
        place += 12 + length
        file.seek(place)


def head(file: io.BufferedIOBase) -> Head:
    """The head of a PNG; an empty one of another or a broken file. The file stays where it was."""
    before = file.tell()
    try:
        chunks: dict[bytes, bytes] = {}
        for kind, length in _heads(file):
            if kind == b"IDAT":
                break
            chunks.setdefault(kind, file.read(length) if length <= _LONGEST_CHUNK else b"")
        return Head(chunks[b"IHDR"][8], chunks)
    except (KeyError, IndexError):
        return Head()
    finally:
        file.seek(before)


def write_deep(levels: NDArray[np.uint16], small: bytes, file: IO[bytes]) -> None:
    """Write (H, W, 3 or 4) uint16 as a PNG, with all that another PNG, `small`, carries beside its pixels."""
    import cv2

    turned = cv2.cvtColor(levels, cv2.COLOR_RGBA2BGRA if levels.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    done, coded = cv2.imencode(".png", turned, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise OSError("the pixels can't be encoded")
    own = list(_chunks(coded.tobytes()))
    file.write(SIGNATURE + _chunk(*own[0]))
    others = list(_chunks(small))
    ends = next(number for number, (kind, _) in enumerate(others) if kind == b"IDAT")
    for kind, content in others[1:ends]:
        file.write(_chunk(kind, content))
    for kind, content in own:
        if kind == b"IDAT":
            file.write(_chunk(kind, content))
    for kind, content in others[ends:]:
        if kind != b"IDAT":
            file.write(_chunk(kind, content))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield kind, content[place + 8 : place + 8 + length]
        place += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
