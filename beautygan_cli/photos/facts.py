"""What a photo's file says of itself beside its pixels: its colour space, its depth, what else lies in it."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from beautygan_cli.photos import icc, isobmff, png, ppm, tiff, webp
from beautygan_cli.photos.jpeg_scans import picture_end
from beautygan_cli.photos.xmp import OWN_SPACE

if TYPE_CHECKING:
    from PIL import Image


EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_BEHIND = {
    "gain map": re.compile(rb"hdr-gain-map|HDRGainMap|:iso:ts:21496"),
    "depth map": re.compile(rb"depthmap|DepthMap|Semantic=\"Depth|ns\.apple\.com/depth"),
    "video": re.compile(rb"MotionPhoto|MicroVideo|ftyp(isom|iso\d|mp4\d|avc1|hvc1|qt  |3gp\d|MSNV)"),
}
_LONGEST_MARK = 32  # bytes, of these
_LONGEST_GAP = 4096  # bytes between the picture and one behind it; writers fill up to a whole block
_BLOCK, _MOST_BLOCKS = 1 << 20, 64  # bytes that are read at once, and how often
_CREDENTIALS_TAG, _EXTRA_SAMPLES_TAG = 0xCD41, 338  # of TIFF
_NO_CREDENTIALS = "its content credentials (C2PA) were left out, since they vouch for the photo as it was"
BROKEN = b"broken"  # in place of a profile, which says as little


@dataclass(frozen=True)
class Facts:
    """What is said of one photo.

    profile: the ICC profile, its own or one made of what stands in its place, BROKEN for one that can't be put
    together, None for sRGB. bits: a channel's. hdr: the name of its HDR transfer, "" for none. animated: whether its
    frames are to be played. other: how many pages or pictures there are beside the first. behind: what lies behind the
    picture and is not carried. doubtful: whether its EXIF orientation may or may not hold, since the file says nothing
    else of it. negative: whether 0 stands for white in levels that Pillow gives as they stand; unsigned: whether what
    Pillow gives as signed numbers of 32 bits is not. lossless: whether a WebP keeps every pixel. notes: phrases on what
    else is not carried.
    """

    profile: bytes | None = None
    bits: int = 8
    hdr: str = ""
    animated: bool = False
    other: int = 0
    behind: tuple[str, ...] = ()
    doubtful: bool = False
    negative: bool = False
    unsigned: bool = False
    lossless: bool = False
    notes: tuple[str, ...] = ()


def facts_of(image: Image.Image, file: io.BufferedIOBase) -> Facts:
    """What an opened image, not yet loaded, and its file say."""
    of_format = {"PNG": _of_png, "HEIF": _of_heif, "AVIF": _of_avif, "TIFF": _of_tiff, "WEBP": _of_webp, "PPM": _of_ppm}
    profile = image.info.get("icc_profile")
    own = profile if isinstance(profile, bytes) and profile else None
    found = of_format[str(image.format)](image, file, own) if image.format in of_format else Facts(own)
    if image.format in ("JPEG", "MPO"):
        pieces = any(content.startswith(b"ICC_PROFILE\0") for content in _segments(image, "APP2"))
        found = Facts(
            profile=own or (BROKEN if pieces else None),
            other=getattr(image, "n_frames", 1) - 1,
            behind=_behind_a_jpeg(image, file),
        )
    animated = image.format in ("GIF", "WEBP", "PNG", "AVIF") and bool(getattr(image, "is_animated", False))
    hdr = found.hdr or (icc.hdr_transfer(own) if own else "")
    notes = [*found.notes, _NO_CREDENTIALS] if _has_credentials(image, file) else [*found.notes]
    if any(content.startswith(EXTENDED_XMP) for content in _segments(image, "APP1")):
        notes.append("its extended XMP, that in further segments, was left out")
    return replace(found, hdr=hdr, animated=animated, notes=tuple(notes))


def _has_credentials(image: Image.Image, file: io.BufferedIOBase) -> bool:
    """Whether a file carries content credentials, C2PA's."""
    tags: Any = getattr(image, "tag_v2", {})
    return {
        "PNG": lambda: b"caBX" in png.head(file).chunks,
        "WEBP": lambda: webp.has_credentials(file),
        "TIFF": lambda: _CREDENTIALS_TAG in tags,
        "HEIF": lambda: isobmff.has_credentials(file),
        "AVIF": lambda: isobmff.has_credentials(file),
    }.get(str(image.format), lambda: any(b"c2pa" in content for content in _segments(image, "APP11")))()


def _of_png(image: Image.Image, file: io.BufferedIOBase, own: bytes | None) -> Facts:
    """By the chunks' order of precedence, PNG specification (third edition), 4.3."""
    head = png.head(file)
    coded = head.chunks.get(b"cICP", b"")
    if len(coded) == 4:
        return Facts(_coded(coded[0], coded[1], own), head.bits, icc.HDR_TRANSFERS.get(coded[1], ""))
    if own is None and b"iCCP" in head.chunks:
        own = BROKEN
    if own is not None or b"sRGB" in head.chunks:
        return Facts(own, head.bits)
    chromaticities = image.info.get("chromaticity")
    gamma = image.info.get("gamma")
    profile = None
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        if chromaticities or gamma:
            places = tuple(float(place) for place in chromaticities) if chromaticities else icc.BT709
            power = 1 / float(gamma) if gamma else None
            if len(places) == 8 and (power is None or 0.2 <= power <= 5):
                like_srgb = power is None or abs(power - 2.2) < 0.01  # which 45455 stands for
                profile = icc.matrix_profile(places, None if like_srgb else power)
    return Facts(profile, head.bits)


def _of_ppm(_: Image.Image, file: io.BufferedIOBase, own: bytes | None) -> Facts:
    head = ppm.head(file)
    return Facts(own, max(8, head.top.bit_length() if head else 0))


def _of_heif(image: Image.Image, file: io.BufferedIOBase, own: bytes | None) -> Facts:
    found = isobmff.main_picture(file)
    nclx = image.info.get("nclx_profile") or {}
    coded = found.nclx or (nclx.get("color_primaries", 2), nclx.get("transfer_characteristics", 2), 2)
    kinds = " ".join(map(str, image.info.get("aux") or {}))
    behind = ["gain map"] if found.gain_map or "hdrgainmap" in kinds else []
    behind += ["depth map"] if image.info.get("depth_images") or "depth" in kinds else []
    return Facts(
        profile=own or _coded(coded[0], coded[1], None),
        bits=int(image.info.get("bit_depth") or 8),
        hdr=icc.HDR_TRANSFERS.get(coded[1], ""),
        other=getattr(image, "n_frames", 1) - 1,
        behind=tuple(behind),
        doubtful=not found.turned,
    )


def _of_avif(image: Image.Image, file: io.BufferedIOBase, own: bytes | None) -> Facts:
    found = isobmff.main_picture(file)
    coded = found.nclx or (2, 2, 2)
    return Facts(
        profile=own or _coded(coded[0], coded[1], None),
        bits=found.bits or 8,
        hdr=icc.HDR_TRANSFERS.get(coded[1], ""),
        behind=("gain map",) if found.gain_map else (),
    )


def _of_tiff(image: Image.Image, file: io.BufferedIOBase, own: bytes | None) -> Facts:
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(258, (8,))
    extra = tags.get(_EXTRA_SAMPLES_TAG, ())
    further = isinstance(extra, tuple) and 0 in extra  # of no kind that is told: neither transparency nor colour
    return Facts(
        profile=own,
        bits=max(bits) if isinstance(bits, tuple) and bits else 8,
        other=tiff.pages(file) - 1,
        behind=("layers",) if 37724 in tags else (),
        # Pillow turns the levels of up to 8 bits over itself.
        negative=tags.get(262) == 0 and (image.mode.startswith("I") or image.mode == "F"),
        notes=("its channels beside the colours were left out",) if further else (),
        unsigned=image.mode == "I" and bits == (32,) and tags.get(339, (1,)) == (1,),
    )


def _of_webp(_: Image.Image, file: io.BufferedIOBase, own: bytes | None) -> Facts:
    return Facts(own, lossless=webp.is_lossless(file))


def _coded(primaries: int, transfer: int, otherwise: bytes | None) -> bytes | None:
    """A profile for a space by its numbers; `otherwise` for one without any; None for sRGB."""
    if primaries == transfer == 2:  # unspecified
        return otherwise
    gamma = icc.GAMMAS.get(transfer)
    chromaticities = icc.PRIMARIES.get(primaries, icc.BT709)
    # Those of NTSC and PAL differ from sRGB's by less than anybody sees, and most encoders write them for sRGB.
    if gamma is None and primaries not in (4, 9, 11, 12):
        return None
    return icc.matrix_profile(chromaticities, gamma)


def _segments(image: Image.Image, kind: str) -> list[bytes]:
    """The contents of an opened JPEG's segments of a kind, such as "APP2"."""
    return [content for name, content in getattr(image, "applist", []) if name == kind]


def _behind_a_jpeg(image: Image.Image, file: io.BufferedIOBase) -> tuple[str, ...]:
    """What lies behind a JPEG's picture by what its XMP says, and by what is there: not all makers say it."""
    packet = image.info.get("xmp") or b""
    # A result's XMP keeps the names of spaces that nothing is said in any more.
    packet = packet if isinstance(packet, bytes) and OWN_SPACE.encode() not in packet else b""
    extended = [content for content in _segments(image, "APP1") if content.startswith(EXTENDED_XMP)]
    said = b"\n".join([packet, *extended, *(content[:64] for content in _segments(image, "APP2"))])
    found = {kind for kind, mark in _BEHIND.items() if mark.search(said)}
    begins_picture = False
    before, end = file.tell(), picture_end(file)
    if end is not None:
        file.seek(end)
        begins_picture = file.read(_LONGEST_GAP).lstrip(b"\0").startswith(b"\xff\xd8\xff")
        file.seek(end)
        held = b""
        for _ in range(_MOST_BLOCKS):
            block = file.read(_BLOCK)
            held = held[-_LONGEST_MARK:] + block
            found |= {kind for kind, mark in _BEHIND.items() if mark.search(held)}
            if len(block) < _BLOCK:
                break
    file.seek(before)
    if begins_picture and not found and image.format != "MPO":  # whose pictures are counted
        found.add("further picture")
    return tuple(sorted(found))
