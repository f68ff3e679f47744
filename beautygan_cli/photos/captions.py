"""What a photo says in words outside EXIF and XMP: IPTC-IIM records, comments of a JPEG or GIF, a PNG's texts."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

Texts = tuple[tuple[str, str], ...]  # keyword and text

_IIM_RESOURCE = 0x0404  # of Photoshop's image resources
_IIM_TAG, _PHOTOSHOP_TAG = 33723, 34377  # of TIFF
_IIM_PLACES = {26, 27, 90, 92, 95, 100, 101}  # of record 2: content location, city, sub-location, state, country
_LONGEST = 1 << 20  # bytes or characters in all
_LONGEST_COMMENTS = 1 << 18  # bytes in all; behind them stands a JPEG's XMP, where the mark of a result is looked for
_JPEG_SEGMENT = 65_533
_LONGEST_IN_PNG = 1 << 18  # bytes; Pillow reads no text of more than a megabyte, and this takes two characters a byte
IIM_KEYWORD = "Raw profile type iptc"  # of the PNG text that holds them, as ExifTool and ImageMagick have it
COMMENT_KEYWORD = "Comment"  # of the PNG text that the specification has for a GIF's comment
_CARRIED_ELSEWHERE = re.compile(r"XML:com\.adobe\.xmp|Raw profile type |thumb", re.IGNORECASE)
_PLACE = re.compile(r"gps|latitude|longitude|location|city|country|place|address", re.IGNORECASE)


def iim_of(image: Image.Image) -> bytes | None:
    """The IPTC-IIM records of a loaded JPEG, TIFF or PNG, as they stand."""
    tags: Any = getattr(image, "tag_v2", {})
    found = tags.get(_IIM_TAG) if image.format == "TIFF" else None
    resources = image.info.get("photoshop")
    if image.format == "TIFF" and found is None:
        held = tags.get(_PHOTOSHOP_TAG)
        resources = _resources(held[0] if isinstance(held, tuple) and held else held)
    elif image.format == "PNG":
        found = _of_raw_profile(getattr(image, "text", {}).get(IIM_KEYWORD))
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


def _resources(content: object) -> dict[int, bytes]:
    """Photoshop's image resources by their numbers; those before a broken one."""
    found: dict[int, bytes] = {}
    place = 0
    while isinstance(content, bytes) and content[place : place + 4] == b"8BIM" and len(content) >= place + 12:
        (number,) = struct.unpack_from(">H", content, place + 4)
        start = place + 6 + (content[place + 6] + 2) // 2 * 2  # behind a name of even length, its own byte included
        if start + 4 > len(content):
            break
        (length,) = struct.unpack_from(">I", content, start)
        found.setdefault(number, content[start + 4 : start + 4 + length])
        place = start + 4 + length + length % 2
    return found


def _of_raw_profile(text: object) -> bytes | None:
    """IPTC-IIM out of the text of a PNG: a name, a length and hexadecimal digits, of Photoshop's resources or bare."""
    lines = str(text or "").split("\n", 3)
    if len(lines) < 4 or len(lines[3]) > 4 * _LONGEST:
        return None
    try:
        content = bytes.fromhex(lines[3])
    except ValueError:
        return None
    return _resources(content.removeprefix(b"Photoshop 3.0\0")).get(_IIM_RESOURCE, content)


def comments_of(image: Image.Image) -> tuple[bytes, ...]:
    """The comments of a JPEG or a GIF, one by one."""
    if image.format in ("JPEG", "MPO"):
        found = [content for kind, content in getattr(image, "applist", []) if kind == "COM"]
    else:
        found = [image.info.get("comment")] if image.format == "GIF" else []
    kept, room = [], _LONGEST_COMMENTS
    for comment in found:
        room -= len(comment or b"")
        if isinstance(comment, bytes) and 0 < len(comment) <= _JPEG_SEGMENT and room > 0:
            kept.append(comment)
    return tuple(kept)


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


def comment_segments(comments: tuple[bytes, ...]) -> bytes:
    """The segments of a JPEG that carry comments."""
    return b"".join(b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment for comment in comments)


def comment_text(comments: tuple[bytes, ...]) -> str:
    """Comments as one text, a line each."""
    lines = []
    for comment in comments:
        try:
            lines.append(comment.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(comment.decode("latin-1"))
    return "\n".join(lines).replace("\0", "")


def iim_text(iim: bytes) -> str:
    """The text of a PNG that carries IPTC-IIM; empty where it has no room for it."""
    content = _resource_of(iim)
    digits = content.hex()
    lines = "\n".join(digits[place : place + 72] for place in range(0, len(digits), 72))
    return f"\niptc\n{len(content):8}\n{lines}\n" if len(iim) <= _LONGEST_IN_PNG else ""


def _resource_of(iim: bytes) -> bytes:
    """Photoshop's image resource that holds IPTC-IIM."""
    head = b"8BIM" + struct.pack(">H", _IIM_RESOURCE) + b"\0\0" + struct.pack(">I", len(iim))
    return head + iim + bytes(len(iim) % 2)


def iim_segment(iim: bytes) -> bytes:
    """The segment of a JPEG that carries IPTC-IIM; empty where it has no room for it."""
    content = b"Photoshop 3.0\0" + _resource_of(iim)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content if len(content) <= _JPEG_SEGMENT else b""
