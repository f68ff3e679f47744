"""What the boxes of a HEIF or AVIF file say of its main picture (ISO/IEC 14496-12 and 23008-12)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

_LONGEST_META = 8 << 20  # bytes; that of a phone's photo, with a hundred tiles, has some 5 KB
_MOST_BOXES = 20_000
_CREDENTIALS = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_GAIN_MAPS = (b"aux:hdrgainmap", b"tmap")  # Apple's auxiliary picture, and the item of ISO 21496-1


class MainPicture(NamedTuple):
    """nclx: its primaries, transfer and matrix by the numbers of ITU-T H.273, None where it has none.

    turned: whether the file turns or mirrors it; bits: a channel's, None where it doesn't say; gain_map: whether an
    HDR gain map lies beside it.
    """

    nclx: tuple[int, int, int] | None = None
    turned: bool = False
    bits: int | None = None
    gain_map: bool = False


def has_credentials(file: io.BufferedIOBase) -> bool:
    """Whether a file carries content credentials (C2PA). It stays where it was."""
    before = file.tell()
    try:
        return any(kind == b"uuid" and head[-16:] == _CREDENTIALS for kind, head, _, _ in _outer_boxes(file))
    except (struct.error, ValueError, OverflowError):
        return False
    finally:
        file.seek(before)


def main_picture(file: io.BufferedIOBase) -> MainPicture:
    """What is said of the main picture; nothing of a broken or another file. The file stays where it was."""
    before = file.tell()
    try:
        meta = _meta(file)
        return _of_meta(meta) if meta else MainPicture()
    except (struct.error, IndexError, ValueError):
        return MainPicture()
    finally:
        file.seek(before)


def _meta(file: io.BufferedIOBase) -> bytes:
    """The content of the file's `meta` box; empty without one."""
    for kind, _, start, length in _outer_boxes(file):
        if kind == b"meta":
            file.seek(start)
            return file.read(min(length, _LONGEST_META))
    return b""


def _outer_boxes(file: io.BufferedIOBase) -> Iterator[tuple[bytes, bytes, int, int]]:
    """The boxes that lie in no other: kind, the first 16 bytes of the content, where this begins, and its length."""
    start = 0
    for _ in range(100):
        file.seek(start)
        head = file.read(32)
        if len(head) < 8:
            return
        size, kind, wide = struct.unpack(">I4sQ", head[:16].ljust(16, b"\0"))
        length, before = (wide, 16) if size == 1 else (size, 8)
        if length < before:
            return
        yield kind, head[before : before + 16], start + before, length - before
        start += length


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    for _ in range(_MOST_BOXES):
        if place + 8 > len(content):
            return
        size, kind = struct.unpack_from(">I4s", content, place)
        if size < 8:
            return
        yield kind, content[place + 8 : place + size]
        place += size


def _of_meta(meta: bytes) -> MainPicture:
    boxes = dict(_boxes(meta[4:]))
    main = _main_item(boxes.get(b"pitm", b""))
    described = dict(_boxes(boxes.get(b"iprp", b"")))
    properties = list(_boxes(described.get(b"ipco", b"")))
    own = [properties[number - 1] for number in _properties_of(main, described.get(b"ipma", b"")) if number]
    nclx, bits = None, None
    for kind, content in own:
        if kind == b"colr" and content[:4] == b"nclx":
            nclx = struct.unpack_from(">3H", content, 4)
        elif kind == b"pixi" and len(content) > 5:
            bits = max(content[5 : 5 + content[4]])
    return MainPicture(
        nclx=nclx,
        turned=any(kind in (b"irot", b"imir") for kind, _ in own),
        bits=bits,
        gain_map=any(mark in boxes.get(b"iinf", b"") + described.get(b"ipco", b"") for mark in _GAIN_MAPS),
    )


def _main_item(content: bytes) -> int:
    number: int = struct.unpack_from(">H" if content[0] == 0 else ">I", content, 4)[0]
    return number


def _properties_of(item: int, content: bytes) -> Iterator[int]:
    """The places, from 1, of an item's properties."""
    version, wide = content[0], content[3] & 1
    (count,) = struct.unpack_from(">I", content, 4)
    place = 8
    for _ in range(min(count, _MOST_BOXES)):
        (number,) = struct.unpack_from(">H" if version == 0 else ">I", content, place)
        place += 2 if version == 0 else 4
        associated = content[place]
        place += 1
        for _ in range(associated):
            if number == item:
                yield struct.unpack_from(">H", content, place)[0] & 0x7FFF if wide else content[place] & 0x7F
            place += 2 if wide else 1
