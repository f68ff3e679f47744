"""Pixels of any mode, depth and colour profile, as 8-bit RGB."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image, ImageCms

Pixels = npt.NDArray[np.uint8]


def rgb_pixels(image: Image.Image) -> tuple[Pixels, Pixels | None, bytes | None]:
    """The RGB pixels (HWC uint8) of a decoded image, its alpha (HW uint8) and the profile that still describes them."""
    from PIL import Image, ImageCms

    alpha: Pixels | None = None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        flat = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.has_transparency_data:
        flat = image.convert("RGBA")
        alpha = np.array(flat.getchannel("A"))
        flat = image.convert("L") if image.mode in ("LA", "La") else flat.convert("RGB")
    elif image.mode == "1":
        flat = image.convert("L")
    else:
        flat = image if image.mode in ("RGB", "L", "CMYK", "LAB") else image.convert("RGB")

    icc_profile: bytes | None = None
    profile_bytes = image.info.get("icc_profile") or b""
    space, to_srgb = _profile(profile_bytes) if flat.mode != "LAB" else ("LAB", _lab_to_srgb())
    if to_srgb is not None and flat.mode == space != "RGB":
        flat = ImageCms.applyTransform(flat, to_srgb) or flat
    elif space == "RGB" and flat.mode in ("RGB", "L"):
        icc_profile = bytes(profile_bytes)
    return _array(flat if flat.mode == "RGB" else flat.convert("RGB")), alpha, icc_profile


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


def _profile(icc_profile: bytes) -> tuple[str | None, ImageCms.ImageCmsTransform | None]:
    """The mode that a colour profile describes (RGB, L or CMYK) and its way to sRGB; None twice for an unusable one."""
    from PIL import ImageCms

    if not icc_profile:
        return None, None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[profile.profile.xcolor_space.strip()]
        return mode, ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:
        return None, None


def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    from PIL import ImageCms

    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def _eight_bits(deep: npt.NDArray[Any]) -> Pixels:
    """Grey levels (HW) of 16 or 32 bits or floats, scaled to uint8 by the range that they can be seen to use."""
    if deep.dtype.kind == "u" and deep.dtype.itemsize == 2:
        table: Pixels = np.round(np.arange(65536) / 257).astype(np.uint8)  # 65535 = 255 * 257
        return table.take(deep)
    levels = np.nan_to_num(deep.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(levels.max(initial=0.0))
    if deep.dtype.kind == "f" and peak <= 8:  # 0 to 1, highlights may overshoot; in 0 to 255 this would be black
        top = 1.0
    elif peak <= 255:
        top = 255.0
    elif peak <= 65535:
        top = 65535.0
    else:
        top = peak
    return np.round(np.clip(levels / top, 0, 1) * 255).astype(np.uint8)
