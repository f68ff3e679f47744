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
_MOST_CHUNKS = 10_000  # before the pixels
_LONGEST_CHUNK = 64  # bytes, of those that are looked at


class Head(NamedTuple):
    """What stands before the pixels: bits a channel, and the content of the small chunks that tell of colour."""

    bits: int = 8
    chunks: Mapping[bytes, bytes] = MappingProxyType({})


def head(file: io.BufferedIOBase) -> Head:
    """The head of a PNG; an empty one of another or a broken file. The file stays where it was."""
    before = file.tell()
    try:
        file.seek(0)
        if file.read(8) != SIGNATURE:
            return Head()
        chunks: dict[bytes, bytes] = {}
        for _ in range(_MOST_CHUNKS):
            length, kind = struct.unpack(">I4s", file.read(8))
            if kind == b"IDAT":
                break
            content = file.read(length) if length <= _LONGEST_CHUNK else b""
            file.seek(length - len(content) + 4, io.SEEK_CUR)
            chunks.setdefault(kind, content)
        return Head(chunks[b"IHDR"][8], chunks)
    except (struct.error, KeyError, IndexError):
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
