"""Pixels of any mode, depth and colour space: in 8-bit sRGB to work on, and as the file has them.

All work on faces is done in sRGB, since that is what networks and landmarks were trained on. What it changed goes back
into the photo's own space, at its own depth, as a difference: so a pixel that did not change stays as it was, to the
bit, and a colour that sRGB does not hold keeps what it has beyond.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from beautygan_cli.photos import icc, ppm
from beautygan_cli.photos.facts import Facts

if TYPE_CHECKING:
    from PIL import Image, ImageCms

Pixels = npt.NDArray[np.uint8]

_STRIP_PIXELS = 1 << 20  # that are worked on at once in wider numbers than they are kept in
_HEIF_STEPS = 4  # of 8 bits, by which the two ways of its decoder from halved chroma to colours may differ: 2 were seen
_NO_USE = "its colour profile is broken, or none for such pixels, and was left out"
_RELATIVE = 1  # ImageCms.Intent.RELATIVE_COLORIMETRIC


@dataclass(frozen=True, eq=False)
class Native:
    """A photo as its file has it, where that is not 8-bit sRGB.

    levels: HWC uint8 or uint16 RGB in the space of `profile`, sRGB where that is None; working: HWC uint8, the same in
    sRGB, before any change; alpha: HW uint16 of a photo of more than 8 bits, None of others; bits: a channel's in the
    file, whose levels fill all of uint8 or uint16.
    """

    levels: npt.NDArray[Any]
    working: Pixels
    profile: bytes | None = None
    alpha: npt.NDArray[np.uint16] | None = None
    bits: int = 8

    def mapped(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Native:
        """The same with each of its pictures turned or cut."""
        alpha = None if self.alpha is None else change(self.alpha)
        return replace(self, levels=change(self.levels), working=change(self.working), alpha=alpha)

    def with_change(self, pixels: Pixels) -> npt.NDArray[Any]:
        """The levels with what changed from `working` to `pixels`, HWC uint8 sRGB; what did not stays to the bit."""
        import cv2

        differs = cv2.absdiff(pixels, self.working)
        left, top, width, height = cv2.boundingRect(cv2.max(cv2.max(*cv2.split(differs)[:2]), cv2.split(differs)[2]))
        result = self.levels.copy()
        part = np.s_[top : top + height, left : left + width]
        changed = np.flatnonzero(differs[part].reshape(-1, 3).max(axis=1, initial=0))
        if changed.size:
            sides = [item[part].reshape(-1, 3) for item in (self.levels, pixels, self.working)]
            made = sides[0].copy()
            made[changed] = self._changed(*(side.take(changed, axis=0) for side in sides))
            result[part] = made.reshape(result[part].shape)
        return result

    def _changed(self, levels: npt.NDArray[Any], after: Pixels, before: Pixels) -> npt.NDArray[Any]:
        """Changed levels; all (N, 3)."""
        top = np.iinfo(levels.dtype).max
        step = (after.astype(np.float32) - before) / np.float32(255)
        space = icc.rgb_space(self.profile) if self.profile else None
        if space is not None:
            light = space.light(levels)
            step = space.coded(icc.srgb_light(icc.srgb_coded(light) + step)) - space.coded(light)
        elif self.profile:
            _, from_srgb = _transforms(self.profile)
            own = [_transformed(side[None], from_srgb)[0].astype(np.float32) for side in (after, before)]
            step = (own[0] - own[1]) / np.float32(255)
        result: npt.NDArray[Any] = np.clip(np.rint(levels + step * np.float32(top)), 0, top).astype(levels.dtype)
        return result


@dataclass(frozen=True, eq=False)
class Decoded:
    """pixels: HWC uint8 sRGB; alpha: HW uint8 or None; profile: what a result carries; notes: phrases for a report."""

    pixels: Pixels
    alpha: Pixels | None = None
    native: Native | None = None
    profile: bytes | None = None
    notes: tuple[str, ...] = ()


def decoded(image: Image.Image, facts: Facts, file: io.BufferedIOBase, orientation: int = 1) -> Decoded:
    """A loaded image in sRGB, and as its file has it. orientation: by which a TIFF was turned as it was loaded."""
    from PIL import Image

    alpha: Pixels | None = None
    transparent = image.info.get("transparency")
    deep = _deep(image, facts, file, orientation)
    greys = image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16")
    if image.mode == "I" and deep is not None:
        flat = Image.fromarray(_shallow(deep[..., 0]))
    elif image.mode in ("I", "F"):
        numbers = np.asarray(image)
        levels = _eight_bits(numbers.view(np.uint32) if facts.unsigned else numbers)
        flat = Image.fromarray(255 - levels if facts.negative else levels)
    elif image.mode.startswith("I;16"):
        flat = image  # `_deep` has read it
        if isinstance(transparent, int):
            alpha = np.where(np.asarray(image) == transparent, np.uint8(0), np.uint8(255))
    elif image.has_transparency_data:
        flat = image.convert("RGBA")
        alpha = np.array(flat.getchannel("A"))
        if transparent is not None and deep is not None and deep.shape[-1] == 4:  # one colour of 16 bits, not of 8
            alpha = _shallow(deep[..., 3])
        flat = image.convert("L") if image.mode in ("LA", "La") else flat.convert("RGB")
    elif image.mode == "1":
        flat = image.convert("L")
    else:
        flat = image if image.mode in ("RGB", "L", "CMYK", "LAB") else image.convert("RGB")

    notes = [f"{facts.bits} bits a channel became 8"] if facts.bits > 8 and deep is None else []
    if flat.mode in ("CMYK", "LAB"):
        pixels = _array(_printed_as_srgb(flat, facts.profile))
        if flat.mode == "CMYK" and facts.profile and _transform(facts.profile, "CMYK") is None:
            notes.append(_NO_USE)
        return Decoded(pixels, alpha, notes=(*notes, f"its {flat.mode} became sRGB"))
    profile = facts.profile
    if profile and greys:
        profile = icc.grey_as_rgb(profile) or profile
    levels = _array(flat if flat.mode == "RGB" else flat.convert("RGB")) if deep is None else _shallow(deep[..., :3])
    bits = 8 if deep is None else facts.bits if facts.bits > 8 else 16  # of a picture in memory nothing is said
    own: npt.NDArray[Any] = levels if deep is None else deep[..., :3]
    deep_alpha = deep[..., 3].copy() if deep is not None and deep.shape[-1] == 4 else None
    if alpha is not None and deep is not None and deep_alpha is None:
        deep_alpha = alpha.astype(np.uint16) * np.uint16(257)
    if profile is None or icc.is_srgb(profile) or not _usable(profile):
        kept = profile if profile and profile is facts.profile and icc.is_srgb(profile) else None
        notes += profile_notes(profile)
        if deep is None:
            return Decoded(levels, alpha, None, kept, tuple(notes))
        return Decoded(levels, alpha, Native(own, levels.copy(), kept, deep_alpha, bits), kept, tuple(notes))
    to_srgb, from_srgb = _transforms(profile)
    working = _transformed(levels, to_srgb)
    if from_srgb is None and icc.rgb_space(profile) is None:
        notes.append("its colour profile leads one way alone and gave way to sRGB")
        notes += [f"{bits} bits a channel became 8"] if bits > 8 else []
        return Decoded(working, alpha, notes=tuple(notes))
    return Decoded(working.copy(), alpha, Native(own, working, profile, deep_alpha, bits), profile, tuple(notes))


def in_space(levels: Pixels, profile: bytes) -> Native:
    """A picture, HWC uint8, in the space of a profile of RGB by matrix and curves, with what it is in sRGB."""
    return Native(levels, _transformed(levels, _transforms(profile)[0]), profile)


def _deep(image: Image.Image, facts: Facts, file: io.BufferedIOBase, orientation: int) -> npt.NDArray[np.uint16] | None:
    """The levels of a photo of more than 8 bits, HWC uint16 with 3 or 4 channels; None of one read as 8 bits alone.

    Pillow has no mode for 16 bits in colour. OpenCV's decoder is given what Pillow's has read without complaint.
    """
    if image.format == "HEIF" and not image.mode.startswith("I;16"):
        return _deep_heif(image, facts.bits, file) if facts.bits > 8 else None
    import cv2

    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16, copy=False)
        if 8 < facts.bits < 16:
            below = 16 - facts.bits if image.format == "HEIF" else 0
            grey = _spread(grey, (1 << facts.bits) - 1, below)
        return np.repeat((65535 - grey if facts.negative else grey)[..., None], 3, axis=-1)
    if image.mode == "I" and image.format == "PPM" and facts.bits > 8:  # which Pillow has spread already
        return np.repeat(np.clip(np.asarray(image), 0, 65535).astype(np.uint16)[..., None], 3, axis=-1)
    kinds = ("PPM",) if 8 < facts.bits < 16 else ("PNG", "TIFF", "PPM") if facts.bits == 16 else ()
    if image.format not in kinds or image.mode not in ("RGB", "RGBA", "LA", "L"):
        return None
    before = file.tell()
    file.seek(0)
    read = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    file.seek(before)
    if read is None or read.dtype != np.uint16:
        return None
    if read.ndim == 2:
        read = cv2.cvtColor(read, cv2.COLOR_GRAY2RGB)
    else:
        read = cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA if read.shape[2] == 4 else cv2.COLOR_BGR2RGB, dst=read)
    if image.format == "PPM" and (head := ppm.head(file)):
        read = _spread(np.asarray(read), head.top)
    return np.asarray(read) if _is_deeper(read, image) else None


def _deep_heif(image: Image.Image, bits: int, file: io.BufferedIOBase) -> npt.NDArray[np.uint16] | None:
    """The levels of a HEIC of 10 or 12 bits, as `_deep` gives them, spread over all of uint16."""
    import pillow_heif

    before = file.tell()
    file.seek(0)
    read = np.asarray(pillow_heif.open_heif(file, convert_hdr_to_8bit=False))
    file.seek(before)
    if read.dtype != np.uint16 or read.ndim != 3 or read.shape[2] not in (3, 4):
        return None
    spread = _spread(read, (1 << bits) - 1, 16 - bits)
    return spread if _is_deeper(spread, image, _HEIF_STEPS) else None


def _spread(levels: npt.NDArray[np.uint16], top: int, below: int = 0) -> npt.NDArray[np.uint16]:
    """Levels from 0 to `top`, of any shape, with so many bits of nothing below each, spread over all of uint16."""
    spread = np.empty(levels.shape, dtype=np.uint16)
    for rows in _strips(levels):
        spread[rows] = np.rint((levels[rows] >> below) * np.float32(65535 / top))
    return spread


def _is_deeper(read: npt.NDArray[np.uint16], image: Image.Image, most: int = 1) -> bool:
    """Whether a picture is what an image is, within so many steps of 8 bits, but for its depth."""
    if read.shape[:2] != (image.height, image.width):
        return False
    for rows in _strips(read):
        seen = np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert("RGB"), dtype=np.int32)
        if np.abs((read[rows, :, :3] >> 8) - seen).max() > most:
            return False
    return True


def _strips(pixels: npt.NDArray[Any]) -> Iterator[slice]:
    """The rows of a picture, (H, W, ...), so many at once that numbers of 8 bytes take little room beside it."""
    step = max(1, _STRIP_PIXELS // max(1, pixels.shape[1]))
    for top in range(0, pixels.shape[0], step):
        yield slice(top, min(top + step, pixels.shape[0]))


def _shallow(deep: npt.NDArray[np.uint16]) -> Pixels:
    """Levels of 16 bits in 8, of the same shape."""
    levels = np.empty(deep.shape, dtype=np.uint8)
    for rows in _strips(deep):
        levels[rows] = np.rint(deep[rows] / np.float32(257))
    return levels


def profile_notes(profile: bytes | None) -> tuple[str, ...]:
    """Phrases on a profile that can't be followed in pixels of RGB."""
    return (_NO_USE,) if profile and not _usable(profile) else ()


def _usable(profile: bytes) -> bool:
    """Whether a profile tells what pixels of RGB look like."""
    return icc.rgb_space(profile) is not None or _transforms(profile)[0] is not None


Transform = Any  # ImageCms.ImageCmsTransform


@lru_cache(maxsize=8)
def _transforms(profile: bytes) -> tuple[Transform | None, Transform | None]:
    """The ways to sRGB and back of a profile of RGB, None each where there is none."""
    return _transform(profile, "RGB"), _transform(profile, "RGB", back=True)


def _transform(profile: bytes, mode: str, *, back: bool = False) -> ImageCms.ImageCmsTransform | None:
    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[opened.profile.xcolor_space.strip()] != mode:
            return None
        sides: list[tuple[Any, str]] = [(opened, mode), (ImageCms.createProfile("sRGB"), "RGB")]
        (one, one_mode), (other, other_mode) = reversed(sides) if back else sides
        return ImageCms.buildTransform(one, other, one_mode, other_mode, ImageCms.Intent(_RELATIVE))
    except Exception:
        return None


def _transformed(levels: Pixels, transform: Transform) -> Pixels:
    """(H, W, 3) uint8 in another space."""
    from PIL import Image, ImageCms

    picture = Image.fromarray(levels)
    ImageCms.applyTransform(picture, transform, inPlace=True)
    return _array(picture)


def _printed_as_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A CMYK or Lab image in sRGB, by its profile where there is one."""
    from PIL import ImageCms

    if image.mode == "LAB":
        to_srgb: Transform = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
    else:
        to_srgb = _transform(profile, "CMYK") if profile else None
    done = ImageCms.applyTransform(image, to_srgb) if to_srgb is not None else None
    return done or image.convert("RGB")


def _array(image: Image.Image) -> Pixels:
    """An RGB image's pixels (HWC uint8).

    Saved as a PPM, which is a line and the pixels: NumPy's own way would lay a large image out in memory twice more.
    """
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    raw: Any = _Raw(pixels.reshape(-1), len(f"P6\n{image.width} {image.height}\n255\n"))
    image.save(raw, "PPM")
    return pixels


class _Raw(io.RawIOBase):
    """A file to write to that puts what comes after a header into an array of bytes."""

    def __init__(self, content: Pixels, header: int) -> None:
        super().__init__()
        self.content, self.position = content, -header

    def write(self, data: Any) -> int:
        part = np.frombuffer(data, dtype=np.uint8)[max(0, -self.position) :]
        self.position += len(data)
        self.content[max(0, self.position - len(part)) : max(0, self.position)] = part
        return len(data)


def _eight_bits(deep: npt.NDArray[Any]) -> Pixels:
    """Grey levels (HW) of 32 bits or floats, scaled to uint8 by the range that they can be seen to use."""

    def finite(rows: slice) -> npt.NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # of what is no number, and becomes 0
            return np.nan_to_num(deep[rows].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)

    peak = max((float(finite(rows).max(initial=0.0)) for rows in _strips(deep)), default=0.0)
    if deep.dtype.kind == "f" and peak <= 8:  # 0 to 1, highlights may overshoot; in 0 to 255 this would be black
        top = 1.0
    elif peak <= 255:
        top = 255.0
    elif peak <= 65535:
        top = 65535.0
    elif deep.dtype.kind == "u" and peak > (1 << 32) / 16:  # a photo; what uses less of it is a count of something
        top = float((1 << 32) - 1)
    else:
        top = peak
    levels = np.empty(deep.shape, dtype=np.uint8)
    for rows in _strips(deep):
        levels[rows] = np.round(np.clip(finite(rows) / top, 0, 1) * 255)
    return levels
