"""What a photo says in words outside EXIF and XMP: IPTC-IIM records, a JPEG's comment, a PNG's texts."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

Texts = tuple[tuple[str, str], ...]  # keyword and text

_IIM_RESOURCE = 0x0404  # of Photoshop's image resources
_IIM_TAG = 33723  # of TIFF
_IIM_PLACES = {26, 27, 90, 92, 95, 100, 101}  # of record 2: content location, city, sub-location, state, country
_LONGEST = 1 << 20  # bytes or characters in all
_JPEG_SEGMENT = 65_533
_CARRIED_ELSEWHERE = re.compile(r"XML:com\.adobe\.xmp|Raw profile type |thumb", re.IGNORECASE)
_PLACE = re.compile(r"gps|latitude|longitude|location|city|country|place|address", re.IGNORECASE)


def iim_of(image: Image.Image) -> bytes | None:
    """The IPTC-IIM records of a loaded JPEG or TIFF, as they stand."""
    tags: Any = getattr(image, "tag_v2", {})
    found = tags.get(_IIM_TAG) if image.format == "TIFF" else None
    resources = image.info.get("photoshop")
    if found is None and isinstance(resources, dict):
        found = resources.get(_IIM_RESOURCE)
    if isinstance(found, tuple) and len(found) == 1:
        found = found[0]
    if isinstance(found, tuple):  # written as numbers of 32 bits
        try:
            order = "<" if tags.prefix == b"II" else ">"
            found = struct.pack(f"{order}{len(found)}I", *found)
        except (struct.error, AttributeError):
            return None
    usable = isinstance(found, bytes) and found[:1] == b"\x1c" and len(found) <= _LONGEST
    return found if usable and isinstance(found, bytes) else None


def comment_of(image: Image.Image) -> bytes | None:
    """A JPEG's comment."""
    comment = image.info.get("comment") if image.format in ("JPEG", "MPO") else None
    return comment if isinstance(comment, bytes) and 0 < len(comment) <= _JPEG_SEGMENT else None


def texts_of(image: Image.Image) -> Texts:
    """A loaded PNG's texts, without those that stand for EXIF, XMP or a thumbnail."""
    texts = getattr(image, "text", None) if image.format == "PNG" else None
    if not isinstance(texts, dict):
        return ()
    kept, room = [], _LONGEST
    for keyword, text in texts.items():
        room -= len(text)
        if 0 < len(keyword) < 80 and room > 0 and not _CARRIED_ELSEWHERE.match(keyword):
            kept.append((keyword, str(text)))
    return tuple(kept)


def iim_for_result(iim: bytes | None, strip_location: bool) -> bytes | None:
    """IPTC-IIM without places on demand; None where there is none, or where what can't be read might hold them."""
    if not iim or not strip_location:
        return iim
    kept, place = b"", 0
    while place + 5 <= len(iim) and iim[place] == 0x1C:
        record, number, length = struct.unpack_from(">BBH", iim, place + 1)
        if length & 0x8000:
            return None
        end = place + 5 + length
        if not (record == 2 and number in _IIM_PLACES):
            kept += iim[place:end]
        place = end
    return kept or None


def texts_for_result(texts: Texts, strip_location: bool) -> Texts:
    """A PNG's texts, without those whose keyword names a place on demand."""
    return tuple(item for item in texts if not (strip_location and _PLACE.search(item[0])))


def iim_segment(iim: bytes) -> bytes:
    """The segment of a JPEG that carries IPTC-IIM; empty where it has no room for it."""
    resource = b"8BIM" + struct.pack(">H", _IIM_RESOURCE) + b"\0\0" + struct.pack(">I", len(iim)) + iim
    content = b"Photoshop 3.0\0" + resource + bytes(len(iim) % 2)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content if len(content) <= _JPEG_SEGMENT else b""
