"""ICC profiles that describe RGB by three curves and a matrix: read, told from sRGB, and built.

All of the working spaces of cameras, phones and editors are of this kind (ICC.1:2022, 8.3.3 and 10.6, 10.18). Values
are relative to the profile's white, D50 in the connection space, so that white stays white from one space to another.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.types import FloatArray

Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of white, red, green and blue

STEPS = 1 << 12  # of a curve as it is kept
LARGEST = 4.0  # of the light that is told apart: what lies outside a narrow space is over 1 or below 0 in it
_ROOTS = 1 << 15  # cells of a table whose index is the root of the light, since the eye sees the dark more finely
_MOST_TAGS = 200
_SRGB_IN_D50 = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_LUT_TAGS = {b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1"}
_ALIKE = 2.0 / 255  # between two spaces whose colours nobody can tell apart

# By the numbers of ITU-T H.273, which PNG, HEIF and AVIF share.
BT709: Chromaticities = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
PRIMARIES: Mapping[int, Chromaticities] = {
    1: BT709,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
GAMMAS: Mapping[int, float] = {
    4: 2.2,
    5: 2.8,
    8: 1.0,
}  # of the transfers that are a plain power; others are shown as sRGB
HDR_TRANSFERS: Mapping[int, str] = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True, eq=False)
class RgbSpace:
    """An RGB space by its curves and its matrix.

    curves: (3, STEPS) float64, the light 0 to 1 of evenly spaced coded values 0 to 1, rising; matrix: (3, 3), from its
    light to that of sRGB.
    """

    curves: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def light(self, levels: NDArray[Any]) -> FloatArray:
        """The sRGB light, unbounded, of coded levels (..., 3), uint8 or uint16, of this space."""
        top = np.iinfo(levels.dtype).max
        places = np.arange(top + 1) / top
        planes = [
            np.interp(places, np.linspace(0, 1, STEPS), curve).astype(np.float32).take(levels[..., channel])
            for channel, curve in enumerate(self.curves)
        ]
        return _times(self.matrix, np.stack(planes, axis=-1))

    def coded(self, light: FloatArray) -> FloatArray:
        """The coded values, 0 to 1 where they lie within this space, of sRGB light (..., 3)."""
        own = _times(np.linalg.inv(self.matrix), light)
        planes = [_looked_up(own[..., channel], _inverse(curve.tobytes())) for channel, curve in enumerate(self.curves)]
        return np.stack(planes, axis=-1)


def _times(matrix: NDArray[Any], colours: FloatArray) -> FloatArray:
    """A matrix times each colour (..., 3), by OpenCV: BLAS starts threads for it, which get in each other's way."""
    import cv2

    flat = cv2.transform(np.ascontiguousarray(colours).reshape(-1, 1, 3), matrix)
    return np.asarray(flat, dtype=np.float32).reshape(colours.shape)


def srgb_coded(light: FloatArray) -> FloatArray:
    """Coded sRGB values of light; below 0 and over 1 the curve goes on."""
    return _looked_up(light, _srgb_table())


def srgb_light(coded: FloatArray) -> FloatArray:
    """The inverse of `srgb_coded`."""
    table = _srgb_light_table()
    index = (np.abs(coded) * np.float32((_ROOTS - 1) / LARGEST) + np.float32(0.5)).astype(np.int32)
    return np.asarray(np.copysign(table.take(index, mode="clip"), coded), dtype=np.float32)


def _looked_up(light: FloatArray, table: FloatArray) -> FloatArray:
    place = np.sqrt(np.abs(light)) * np.float32((_ROOTS - 1) / math.sqrt(LARGEST)) + np.float32(0.5)
    return np.asarray(np.copysign(table.take(place.astype(np.int32), mode="clip"), light), dtype=np.float32)


def _table_light() -> NDArray[np.float64]:
    return np.linspace(0, 1, _ROOTS) ** 2 * LARGEST


@lru_cache(maxsize=1)
def _srgb_table() -> FloatArray:
    light = _table_light()
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return coded.astype(np.float32)


@lru_cache(maxsize=1)
def _srgb_light_table() -> FloatArray:
    coded = np.linspace(0, LARGEST, _ROOTS)
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4).astype(np.float32)


@lru_cache(maxsize=32)
def _inverse(curve: bytes) -> FloatArray:
    """Coded values by light; over 1 they go on as a power does, so that changes there keep their size."""
    values = np.frombuffer(curve, dtype=np.float64)
    light = _table_light()
    # Where the curve is flat the lowest coded value is taken: `interp` wants places that rise.
    rising, first = np.unique(values, return_index=True)
    within = np.interp(light, rising, np.linspace(0, 1, STEPS)[first])
    return np.where(light <= 1, within, np.maximum(light, 1) ** (1 / 2.2)).astype(np.float32)


@lru_cache(maxsize=16)
def rgb_space(profile: bytes) -> RgbSpace | None:
    """The space that a profile describes; None for one of another kind, or a broken one."""
    try:
        tags = _tags(profile)
        if profile[16:20] != b"RGB " or profile[20:24] != b"XYZ " or tags.keys() & _LUT_TAGS:
            return None
        colours = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
        matrix = np.linalg.inv(_SRGB_IN_D50) @ colours
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-3 or np.ptp(curves, axis=1).min() < 0.5:
            return None
    except (struct.error, KeyError, ValueError, IndexError, OverflowError):
        return None
    return RgbSpace(curves, matrix)


@lru_cache(maxsize=16)
def is_srgb(profile: bytes) -> bool:
    """Whether a profile's colours are those of sRGB, for the eye."""
    space = rgb_space(profile)
    if space is None:
        return False
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    levels = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    return bool(np.abs(srgb_coded(space.light(levels)) - levels / np.float32(255)).max() <= _ALIKE)


def grey_as_rgb(profile: bytes) -> bytes | None:
    """A profile of RGB whose equal levels look as the levels of this profile of greys; None for one without a curve."""
    try:
        tags = _tags(profile)
        if profile[16:20] != b"GRAY" or b"kTRC" not in tags or tags.keys() & _LUT_TAGS:
            return None
        if np.ptp(_curve(tags[b"kTRC"])) < 0.5:
            return None
        return _built(_columns(BT709), tags[b"kTRC"])
    except (struct.error, ValueError, OverflowError):
        return None


def hdr_transfer(profile: bytes) -> str:
    """The name of the HDR transfer that a profile says its photo has; empty for none."""
    try:
        tags = _tags(profile)
    except struct.error:
        return ""
    said = tags.get(b"cicp", b"")
    if len(said) >= 12 and said[9] in HDR_TRANSFERS:
        return HDR_TRANSFERS[said[9]]
    words = re.search(rb"\b(PQ|HLG)\b", tags.get(b"desc", b"").replace(b"\0", b""))
    return words[1].decode() if words else ""


def matrix_profile(chromaticities: Chromaticities, gamma: float | None) -> bytes | None:
    """A profile of RGB with such primaries and white, and a power curve, None for that of sRGB.

    None for primaries that span no space.
    """
    curve = _parametric(3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)) if gamma is None else None
    try:
        columns = _columns(chromaticities)
        return _built(columns, curve or _parametric(0, (gamma or 1.0,)))
    except (np.linalg.LinAlgError, struct.error, ZeroDivisionError, ValueError, OverflowError):
        return None


def _columns(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """X, Y, Z under D50 of full red, green and blue, as columns."""
    places = np.array(chromaticities, dtype=np.float64).reshape(4, 2)
    if not np.isfinite(places).all() or (places[:, 1] <= 0).any():
        raise ValueError("a chromaticity that no light has")
    white, *colours = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in places)
    shares = np.stack(colours, axis=1)
    shares = shares * np.linalg.solve(shares, white)
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ shares
    if not np.isfinite(adapted).all():
        raise ValueError("primaries that span no space")
    return np.asarray(adapted, dtype=np.float64)


def _parametric(kind: int, numbers: Sequence[float]) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(_fixed(number) for number in numbers)


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def _built(columns: NDArray[np.float64], curve: bytes) -> bytes:
    """A profile, ICC version 4, of three columns and one curve."""

    def text(words: str) -> bytes:
        coded = words.encode("utf-16-be")
        return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(coded), 28) + coded

    tags = {
        b"desc": text("RGB as the file described it"),
        b"cprt": text("No copyright"),
        b"wtpt": b"XYZ " + bytes(4) + b"".join(map(_fixed, _D50)),
        **{
            name: b"XYZ " + bytes(4) + b"".join(map(_fixed, column))
            for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)
        },
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    listing, body, places = struct.pack(">I", len(tags)), b"", {}
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        listing += name + struct.pack(">II", places[content], len(content))
    head = struct.pack(">I4xI", start + len(body), 0x04300000) + b"mntrRGB XYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return head + bytes(128 - len(head)) + listing + body


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > _MOST_TAGS:
        raise struct.error("no profile has so many tags")
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * number) for number in range(count)]
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _xyz(tag: bytes) -> NDArray[np.float64]:
    return np.array(struct.unpack_from(">3i", tag, 8), dtype=np.float64) / 65536


def _curve(tag: bytes) -> NDArray[np.float64]:
    """A curve's light at STEPS even places; never falling."""
    kind, places = tag[:4], np.linspace(0, 1, STEPS)
    if kind == b"para":
        light = _parametric_light(tag, places)
    elif kind == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            light = places
        elif count == 1:
            light = places ** (struct.unpack_from(">H", tag, 12)[0] / 256)
        else:
            values = np.frombuffer(tag, dtype=">u2", count=count, offset=12) / 65535
            light = np.interp(places, np.linspace(0, 1, count), values)
    else:
        raise ValueError("a curve of another kind")
    if not np.isfinite(light).all():
        raise ValueError("a curve that leads nowhere")
    return np.maximum.accumulate(np.clip(light, 0, 1))


def _parametric_light(tag: bytes, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the five functions of ICC.1:2022, 10.18."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    g, a, b, c, d, e, f = (0.0, 1.0, 0.0, 0.0, -math.inf, 0.0, 0.0)
    numbers = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)]
    g = numbers[0]
    if kind:
        a, b = numbers[1:3]
    if kind in (1, 2):
        e = f = numbers[3] if kind == 2 else 0.0
        d = -b / a if a else math.inf
    elif kind in (3, 4):
        c, d = numbers[3:5]
        e, f = numbers[5:7] if kind == 4 else (0.0, 0.0)
    power = np.power(np.maximum(a * places + b, 0), g) + e
    return np.asarray(np.where(places >= d, power, c * places + f), dtype=np.float64)
