"""XMP: the packet of a photo, edited for a result, with the mark of a photo that a trained model altered."""

from __future__ import annotations

import math
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xml.dom.minidom import Element

    from PIL import Image

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_LONGEST_XMP = 1 << 20  # bytes; an editor's with all its masks and history has some hundred KB
_MOST_TAGS = 50_000  # each takes half a kilobyte in memory, from four bytes
_MOST_SPACES = 10_000  # that are declared; some writers do so on each of their tags
_DEEPEST = 100  # tags inside one another; the parser goes through all spaces of those around it for each
_LONGEST_SPACE = 500  # characters of a namespace
OWN_SPACE = "urn:beautygan-cli:"
_SEARCHED = 1 << 20  # bytes at a file's beginning and end, where formats keep their packet

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_TIFF_SPACE = "http://ns.adobe.com/tiff/1.0/"
EXIF_SPACE = "http://ns.adobe.com/exif/1.0/"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
# What tells of pictures, videos or packets behind the photo, which a result doesn't have, goes as a kind: makers name
# such spaces alike. How a panorama lies on its sphere stays.
_STALE_SPACE = re.compile(
    r"https?://ns\.[^/]+/photos/(?!.*panorama)|hdr-?gain-?map|depth-?map|/xmp/note/|pixeldatainfo|/(container|dd)/",
    re.IGNORECASE,
)
_STALE_NAME = re.compile(r"MotionPhoto|MicroVideo|GainMap|Depth(Map|Data)|(Offset|Padding)$|^(Container|Directory)$")
_STALE = {
    ("http://ns.adobe.com/xap/1.0/", "Thumbnails"),
    ("http://purl.org/dc/terms/", "provenance"),  # where content credentials lie that vouch for the photo as it was
}
# Byte order marks, and "<" for packets without one; those of four bytes first, since two of them begin another.
_CODINGS = (
    (b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be"),
    (b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"),
)  # fmt: skip
_STANDARD_HOSTS = re.compile(r"https?://(ns\.adobe\.com|purl\.org|iptc\.org|www\.w3\.org|ns\.useplus\.org)/")
_PLACE_NAMES = {
    ("http://ns.adobe.com/photoshop/1.0/", "City"),
    ("http://ns.adobe.com/photoshop/1.0/", "State"),
    ("http://ns.adobe.com/photoshop/1.0/", "Country"),
    ("http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "Location"),
    ("http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "CountryCode"),
    (_IPTC_EXTENSION, "LocationCreated"),
    (_IPTC_EXTENSION, "LocationShown"),
}
_MARK = (
    f'<rdf:Description xmlns:rdf="{RDF}" rdf:about="" xmlns:Iptc4xmpExt="{_IPTC_EXTENSION}"'
    f' xmlns:beautygan="{OWN_SPACE}" Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}" beautygan:result="true"/>'
)
NEW_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">{_MARK}</rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()


def is_result(path: Path) -> bool:
    """Whether a file carries the mark of a result of this program; False where it can't be read or has none.

    The mark of digitally altered photos alone says little: cameras set it, too.
    """
    own = f'"{OWN_SPACE}"'.encode()
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            if own in file.read(_SEARCHED):
                return True
            file.seek(max(_SEARCHED, file.seek(0, os.SEEK_END) - _SEARCHED))
            return own in file.read(_SEARCHED)
    except (OSError, ValueError):
        return False


def xmp_of(image: Image.Image) -> bytes | None:
    """The XMP packet of a loaded image, as it stands."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "surrogatepass")
    return bytes(packet) if isinstance(packet, bytes | bytearray) and 0 < len(packet) <= _LONGEST_XMP else None


def xmp_for_result(xmp: bytes | None, strip_location: bool, mark: bool, longest: float = math.inf) -> bytes | None:
    """A packet (UTF-8) made true for an upright result; a broken or too long one gives way to the mark alone."""
    edited = _edited_or_none(xmp, strip_location, mark) if xmp else None
    if edited is None or len(edited) > longest:
        return NEW_XMP if mark else None
    return edited


def lost_xmp(xmp: bytes | None, longest: float = math.inf) -> str:
    """Why a result doesn't carry a packet's words: "broken", "long" for more bytes than `longest`; "" where it does."""
    if not xmp:
        return ""
    edited = _edited_or_none(xmp, False, True)
    return "broken" if edited is None else "long" if len(edited) > longest else ""


@lru_cache(maxsize=4)  # a result asks for it twice: to carry it, and to say what it doesn't carry
def _edited_or_none(xmp: bytes, strip_location: bool, mark: bool) -> bytes | None:
    try:
        return _edited_xmp(xmp, strip_location, mark)
    except Exception:  # XML of strangers: whatever the parser stumbles over, the photo matters more
        return None


def _text_of(xmp: bytes) -> str:
    """A packet's text, by the first of its bytes: of UTF-8, or of UTF-16 or UTF-32 in either order."""
    start = xmp[:4].replace(b"\xef\xbb\xbf", b"")
    coding = next((name for mark, name in _CODINGS if start.startswith(mark)), "utf-8")
    return xmp.decode(coding).strip("\ufeff\0 \t\r\n")


def _edited_xmp(xmp: bytes, strip_location: bool, mark: bool) -> bytes | None:
    from xml.dom import minidom

    text = _text_of(xmp)
    if re.search(r"<!(?!--|\[CDATA\[)", text):  # a document type can declare entities that explode
        return None
    _refuse_bombs(text)
    document = minidom.parseString(text)
    roots = document.getElementsByTagNameNS(RDF, "RDF")
    described = list(document.getElementsByTagNameNS(RDF, "Description"))
    emptied = [description for description in described if _edit_description(description, strip_location, mark)]
    _take_out(emptied)
    if mark:
        _add_mark(roots[0], described)
    return "".join(node.toxml() for node in document.childNodes).encode("utf-8")


def _refuse_bombs(text: str) -> None:
    """ValueError for more, or deeper, tags and more, or longer, namespaces than are worth what they take.

    text: the packet. Each tag gets its namespace, and costs a look at those of the tags around it.
    """
    from xml.parsers import expat

    tags = spaces = depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal tags, spaces, depth
        tags += 1
        depth += 1
        lengths = [len(value) for key, value in attributes.items() if key.startswith("xmlns")]
        spaces += len(lengths)
        many = tags > _MOST_TAGS or spaces > _MOST_SPACES or depth > _DEEPEST
        if many or max(lengths, default=0) > _LONGEST_SPACE:
            raise ValueError("no editor writes such a packet")

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.Parse(text, True)


def _take_out(elements: list[Element]) -> None:
    """Take elements out of their parents; in one pass, since to remove one by itself goes through all its siblings."""
    gone = set(map(id, elements))
    parents: list[Any] = list({id(element.parentNode): element.parentNode for element in elements}.values())
    for parent in parents:
        if parent is not None:
            parent.childNodes[:] = [node for node in parent.childNodes if id(node) not in gone]


def _edit_description(description: Element, strip_location: bool, mark: bool) -> bool:
    """Set the orientation upright and take out what is stale, whether it stands as attributes or as elements.

    Returns whether the description is left with nothing to say: it goes too, so that results of results don't pile
    them up.
    """
    attributes = [description.getAttributeNode(name) for name in list(description.attributes.keys())]
    elements = [node for node in description.childNodes if node.nodeType == node.ELEMENT_NODE]
    says = taken = 0
    for attribute in filter(None, attributes):
        name = (attribute.namespaceURI, attribute.localName)
        if _must_go(name, strip_location, mark):
            description.removeAttributeNode(attribute)
            taken += 1
        elif name == (_TIFF_SPACE, "Orientation"):
            attribute.value = "1"
        says += name[0] not in (_XMLNS, RDF)
    stale = []
    for element in elements:
        name = (element.namespaceURI, element.localName)
        if name == (_TIFF_SPACE, "Orientation") or _must_go(name, strip_location, mark):
            stale.append(element)
            taken += 1
        says += 1
    _take_out(stale)
    return taken == says > 0


def _must_go(name: tuple[str | None, str | None], strip_location: bool, mark: bool) -> bool:
    space, local = name
    if space == _XMLNS:
        return False
    is_place = name in _PLACE_NAMES or (space == EXIF_SPACE and (local or "").startswith("GPS"))
    is_mark = name == (_IPTC_EXTENSION, "DigitalSourceType")  # an earlier one gives way to ours, and only to ours
    is_mark = is_mark or space == OWN_SPACE
    return _is_stale(space or "", local or "") or (strip_location and is_place) or (mark and is_mark)


@lru_cache(maxsize=1024)
def _is_stale(space: str, local: str) -> bool:
    if (space, local) in _STALE or _STALE_SPACE.search(space):
        return True
    return not _STANDARD_HOSTS.match(space) and bool(_STALE_NAME.search(local))


def _add_mark(root: Element, described: list[Element]) -> None:
    """Append the mark as a description of its own, about the same thing as the others: that never meets a prefix."""
    from xml.dom import minidom

    marked = minidom.parseString(_MARK).documentElement
    if marked is None:
        return
    about = described[0].getAttributeNS(RDF, "about") if described else ""
    marked.setAttributeNS(RDF, "rdf:about", about)
    if root.ownerDocument is not None:
        root.appendChild(root.ownerDocument.importNode(marked, True))
