"""What the folders of a TIFF say beside its first picture: how many pages there are, and whether it is a raw file."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

_BIG_STARTS = (b"II+\0", b"MM\0+")
STARTS = (b"II*\0", b"MM\0*", *_BIG_STARTS)
MOST_PAGES = 1000  # are counted
_MOST_FOLDERS_INSIDE = 16
_MOST_ENTRIES = 1000
MOST_PIECES = 100_000  # strips or tiles of a picture; Pillow makes a list of them. One of 200 megapixels in tiles of
# 64 x 64 has half as many, and so has one of 25,000 rows, each a strip, in four planes
_IMAGE_WIDTH, _BITS_PER_SAMPLE = 256, 258
_PIECES = (273, 279, 324, 325)  # where strips and tiles are, and how long
_NEW_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _SUB_FOLDERS, _DNG_VERSION = 254, 259, 262, 330, 50706
_REDUCED, _MASK = 1, 4  # bits of the first
_SENSOR = {32803, 34892}  # photometric interpretations: a colour filter array, and linear raw
_RAW_COMPRESSIONS = {32767, 32770, 32867, 34713, 65000, 65535}  # of Sony, Samsung, Kodak, Nikon, Kodak, Pentax
_READ_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34925, 50000}  # by Pillow's wheels
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0\0\0\x18ftypcrx ")

Folder = dict[int, tuple[int, ...]]


def is_raw(file: io.BufferedIOBase) -> bool:
    """Whether a file holds what a camera's sensor saw, by its first bytes or its tags. The file stays where it was."""
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(16)
        if head.startswith(_RAW_STARTS) or (head[:4] == b"II*\0" and head[8:10] == b"CR"):
            return True
        for _, folder in zip(range(_MOST_FOLDERS_INSIDE), _chain(file), strict=False):
            inside = [
                _folder(file, place, *_layout(head))[0] for place in folder.get(_SUB_FOLDERS, ())[:_MOST_FOLDERS_INSIDE]
            ]
            if any(map(_tells_of_a_sensor, [folder, *inside])):
                return True
    except struct.error:
        pass
    finally:
        file.seek(before)
    return False


def has_too_many_parts(file: io.BufferedIOBase) -> bool:
    """Whether a file is a TIFF whose first picture has more than _MOST_ENTRIES tags or MOST_PIECES strips or tiles.

    The file stays where it was.
    """
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(16)
        if not head.startswith(STARTS):
            return False
        order, big = _layout(head)
        count, step, entry, content = _entries(file, _first(head), order, big)
        if count > _MOST_ENTRIES:
            return True
        entries = (struct.unpack_from(entry, content, step * number) for number in range(count))
        return any(tag in _PIECES and values > MOST_PIECES for tag, _, values, _ in entries)
    except struct.error:
        return False
    finally:
        file.seek(before)


def pages(file: io.BufferedIOBase) -> int:
    """How many pages a TIFF has, up to MOST_PAGES; small copies and masks of them don't count. 1 for other files."""
    before, count = file.tell(), 0
    try:
        for folder in _chain(file):
            count += not folder.get(_NEW_SUBFILE_TYPE, (0,))[0] & (_REDUCED | _MASK)
    except struct.error:
        pass
    finally:
        file.seek(before)
    return max(count, 1)


def is_unknown_kind(file: io.BufferedIOBase, opened: bool) -> bool:
    """Whether a file that could not be read is a sound TIFF of a kind that Pillow does not know, and no broken one.

    opened: whether Pillow knew the kind of its numbers, so that only the compression is left to be unknown. The file
    stays where it was.
    """
    before = file.tell()
    try:
        first = next(_chain(file), {})
        known = opened and _READ_COMPRESSIONS.issuperset(first.get(_COMPRESSION, (1,)))
        return _IMAGE_WIDTH in first and not known
    except struct.error:
        return False
    finally:
        file.seek(before)


def as_deep(written: bytes) -> bytes:
    """A TIFF of 8 bits a channel, little-endian and uncut in its rows, told to be half as wide and of 16 bits."""
    content = bytearray(written)
    (place,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, place)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, values, offset = struct.unpack_from("<HHII", content, entry)
        if tag == _IMAGE_WIDTH:
            width = offset if kind == 4 else offset & 0xFFFF
            struct.pack_into("<HHII", content, entry, tag, 4, 1, width // 2)
        elif tag == _BITS_PER_SAMPLE:  # of 3 or 4 channels, which the entry itself has no room for
            struct.pack_into(f"<{values}H", content, offset, *(16,) * values)
    return bytes(content)


def _tells_of_a_sensor(folder: Folder) -> bool:
    return (
        _DNG_VERSION in folder
        or bool(_SENSOR & {*folder.get(_PHOTOMETRIC, ())})
        or bool(_RAW_COMPRESSIONS & {*folder.get(_COMPRESSION, ())})
    )


def _layout(head: bytes) -> tuple[str, bool]:
    """The order of a TIFF's bytes and whether it is a BigTIFF, whose counts and places take 8 bytes."""
    return ("<" if head[:1] == b"I" else ">"), head[:4] in _BIG_STARTS


def _first(head: bytes) -> int:
    """Where a TIFF's first folder is, by the first 16 bytes."""
    order, big = _layout(head)
    place: int = struct.unpack_from(order + "Q", head, 8)[0] if big else struct.unpack_from(order + "I", head, 4)[0]
    return place


def _chain(file: io.BufferedIOBase) -> Iterator[Folder]:
    """The folders that follow one another; none of another file."""
    file.seek(0)
    head = file.read(16)
    if not head.startswith(STARTS):
        return
    order, big = _layout(head)
    place = _first(head)
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MOST_PAGES:
        seen.add(place)
        folder, place = _folder(file, place, order, big)
        yield folder


def _folder(file: io.BufferedIOBase, place: int, order: str, big: bool) -> tuple[Folder, int]:
    """The numbers of a folder's tags, of long lists the first, and where the next folder is."""
    count, step, entry, content = _entries(file, place, order, big)
    if count > _MOST_ENTRIES:
        raise struct.error("no camera writes so many tags")
    number_of_bytes = order + ("Q" if big else "I")
    room = struct.calcsize(number_of_bytes)
    found: Folder = {}
    for number in range(count):
        tag, kind, values, offset = struct.unpack_from(entry, content, step * number)
        letter = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(kind)
        if letter is None:
            found[tag] = ()
            continue
        values = min(values, _MOST_FOLDERS_INSIDE)
        size = struct.calcsize(order + letter) * values
        if size <= room:
            start = step * (number + 1) - room
            held = content[start : start + size]
        elif offset < 1 << 63:
            file.seek(offset)
            held = file.read(size)
        else:
            raise struct.error("no file reaches so far")
        found[tag] = struct.unpack(f"{order}{values}{letter}", held)
    return found, struct.unpack_from(number_of_bytes, content, step * count)[0]


def _entries(file: io.BufferedIOBase, place: int, order: str, big: bool) -> tuple[int, int, str, bytes]:
    """A folder as it stands in the file.

    Returns the number of its tags, the bytes that each takes and their layout, and what lies there: the tags and where
    the next folder is. Of a folder with more than _MOST_ENTRIES tags only these are read.
    """
    number_of_tags, entry, room = (order + "Q", order + "HHQQ", 8) if big else (order + "H", order + "HHII", 4)
    if place >= 1 << 63:
        raise struct.error("no file reaches so far")
    file.seek(place)
    (count,) = struct.unpack(number_of_tags, file.read(struct.calcsize(number_of_tags)))
    step = struct.calcsize(entry)
    return count, step, entry, file.read(step * min(count, _MOST_ENTRIES) + room)
