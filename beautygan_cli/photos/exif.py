"""EXIF: orientation and resolution read, and the block edited in place for a result.

Rebuilding the block would break makers' notes, whose offsets count from its start; so numbers are patched, and what has
to go is unlinked and blanked.
"""

from __future__ import annotations

import contextlib
import math
import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image


def orientation_left(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, that is still to be applied to the decoded pixels."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        return int(orientation) if orientation in range(1, 9) else 1
    except Exception:  # broken EXIF
        return 1


def tiff_orientation(image: Image.Image) -> int:
    """The orientation of a TIFF before it is loaded; 1 for other formats."""
    try:
        return int(getattr(image, "tag_v2", {}).get(_ORIENTATION, 1))
    except Exception:
        return 1


def upright(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Pixels (HWC or HW) turned and mirrored as an EXIF orientation asks, writeable and contiguous."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def resolution(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """Pixels an inch, horizontal and vertical of the upright photo; None where the file's figure makes no sense."""
    try:
        if image.format == "TIFF" and _X_RESOLUTION not in getattr(image, "tag_v2", {}):
            return None  # Pillow makes one up
        horizontal, vertical = (float(value) for value in image.info["dpi"])
    except Exception:
        return None
    if not all(math.isfinite(value) and 1 <= value < 65536 for value in (horizontal, vertical)):
        return None
    return (vertical, horizontal) if orientation >= 5 else (horizontal, vertical)


_ORIENTATION = 0x0112
_X_RESOLUTION = 0x011A
_EXIF_FOLDER = 0x8769
_GPS_FOLDER = 0x8825
_FOLDERS = {_EXIF_FOLDER, _GPS_FOLDER}
_MOST_ENTRIES = 1000  # in a folder, cameras write up to some 150
_LONGEST_EXIF = 4 << 20  # bytes
_THUMBNAIL_PLACES = ((0x0201, 0x0202), (0x0111, 0x0117))  # offset and length, of a JPEG or of plain strips
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_DESCRIPTIVE = (  # the tags of a TIFF that tell of the photo; the others tell where its pixels are stored
    *(0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C),  # description, camera, software, date, artist, host
    *(0x4746, 0x4749, 0x8298),  # rating, rating in per cent, copyright
    *range(0x9C9B, 0x9CA0),  # title, comment, author, keywords, subject
)


def exif_of(image: Image.Image) -> bytes | None:
    """The EXIF block of a loaded image, without prefix; None where there is none or it can't be parsed."""
    try:
        if image.format == "TIFF":
            block = _descriptive(image.getexif())
        else:
            block = image.info.get("exif") or (image.getexif().tobytes() if image.getexif() else b"")
    except Exception:
        return None
    block = re.sub(rb"^(Exif\0\0)+", b"", block)
    return bytes(block) if block[:4] in (b"II*\0", b"MM\0*") and len(block) <= _LONGEST_EXIF else None


def _descriptive(exif: Image.Exif) -> bytes:
    """An EXIF block with the descriptive tags alone, or nothing; any broken tag raises what Pillow raises."""
    from PIL import Image

    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in exif:
            kept[tag] = exif[tag]
    for folder in (_EXIF_FOLDER, _GPS_FOLDER):
        if entries := exif.get_ifd(folder):
            kept.get_ifd(folder).update(entries)
    return kept.tobytes() if len(kept) or kept._ifds else b""


def descriptive_exif(exif: bytes | None, xmp: bytes | None, iim: bytes | None = None) -> bytes | None:
    """What a TIFF carries as tags of its own: an EXIF block's descriptive part, an XMP packet, IPTC-IIM records."""
    from PIL import Image

    tags = Image.Exif()
    with contextlib.suppress(Exception):  # a tag that Pillow can't rebuild: go without
        source = Image.Exif()
        source.load(exif or b"")
        tags.load(_descriptive(source))
    if xmp:
        tags[0x02BC] = xmp
    if iim:
        tags[0x83BB] = iim
    return tags.tobytes() if len(tags) else None


class _Entry(NamedTuple):
    """A tag in an EXIF folder: its type by number, how many values, and where its 12 bytes stand in the block."""

    tag: int
    kind: int
    values: int
    position: int


def exif_for_result(exif: bytes | None, width: int, height: int, strip_location: bool) -> bytes | None:
    """An EXIF block made true for an upright result of the given size, without thumbnail; None for a broken block."""
    if not exif:
        return None
    block = bytearray(exif)
    order = "<" if block.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        entries, end = _entries(block, order, start)
        if len({entry.tag for entry in entries} & _FOLDERS) != sum(entry.tag in _FOLDERS for entry in entries):
            return None  # a folder listed twice
        for entry in entries:
            if entry.tag == _ORIENTATION:
                _set_number(block, order, entry, 1)
            elif entry.tag == _EXIF_FOLDER:
                for detail in _entries(block, order, _number(block, order, entry))[0]:
                    if detail.tag in (0xA002, 0xA003):
                        _set_number(block, order, detail, width if detail.tag == 0xA002 else height)
        _drop_thumbnail(block, order, end)
        if strip_location:
            _drop_location(block, order, start)
        expected = [entry.tag for entry in entries if not (strip_location and entry.tag == _GPS_FOLDER)]
        left = [entry.tag for entry in _entries(block, order, start)[0]]
    except struct.error:
        return None
    return bytes(block) if left == expected else None  # folders that overlap blank each other: hostile or broken


def _entries(block: bytearray, order: str, start: int) -> tuple[list[_Entry], int]:
    """The entries of the folder at `start`, and where the offset of the folder after it stands."""
    (count,) = struct.unpack_from(order + "H", block, start)
    if count > _MOST_ENTRIES:
        raise struct.error("no camera writes so many tags")
    end = start + 2 + 12 * count
    positions = range(start + 2, end, 12)
    entries = [_Entry._make((*struct.unpack_from(order + "HHI", block, position), position)) for position in positions]
    struct.unpack_from(order + "I", block, end)
    return entries, end


def _number(block: bytearray, order: str, entry: _Entry) -> int:
    number: int = struct.unpack_from(order + ("H" if entry.kind == 3 else "I"), block, entry.position + 8)[0]
    return number


def _set_number(block: bytearray, order: str, entry: _Entry, number: int) -> None:
    if number < 65536:
        struct.pack_into(order + "HHIHH", block, entry.position, entry.tag, 3, 1, number, 0)
    else:
        struct.pack_into(order + "HHII", block, entry.position, entry.tag, 4, 1, number)


def _blank(block: bytearray, start: int, length: int) -> None:
    block[start : start + length] = bytes(len(block[start : start + length]))


def _drop_thumbnail(block: bytearray, order: str, end: int) -> None:
    """Unlink the second folder, blank it and its picture, and cut the block where nothing follows."""
    (second,) = struct.unpack_from(order + "I", block, end)
    struct.pack_into(order + "I", block, end, 0)
    if not second:
        return
    try:
        entries, second_end = _entries(block, order, second)
    except struct.error:
        return
    numbers = {entry.tag: _number(block, order, entry) for entry in entries}
    _blank_folder(block, entries, order, second, second_end)
    for offset_tag, length_tag in _THUMBNAIL_PLACES:
        if offset_tag in numbers and length_tag in numbers:
            offset, length = numbers[offset_tag], numbers[length_tag]
            _blank(block, offset, length)
            if offset + length >= len(block):
                del block[offset:]


def _drop_location(block: bytearray, order: str, start: int) -> None:
    """Blank the GPS folder and take its entry out of the first folder."""
    entries, end = _entries(block, order, start)
    for entry in entries:
        if entry.tag == _GPS_FOLDER:
            with contextlib.suppress(struct.error):  # a broken folder: its entry goes all the same
                place = _number(block, order, entry)
                details, details_end = _entries(block, order, place)
                _blank_folder(block, details, order, place, details_end)
            following = block[entry.position + 12 : end + 4]
            block[entry.position : end + 4] = following + bytes(12)
            struct.pack_into(order + "H", block, start, len(entries) - 1)
            return


def _blank_folder(block: bytearray, entries: list[_Entry], order: str, start: int, end: int) -> None:
    for entry in entries:
        size = _TYPE_SIZES.get(entry.kind, 1) * entry.values
        if size > 4:
            _blank(block, _number(block, order, entry._replace(kind=4)), size)
    _blank(block, start, end + 4 - start)
