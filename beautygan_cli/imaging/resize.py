"""Copies of pictures at another size: halved by averages as far as that goes, then interpolated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.types import UInt8Array


def divisible(start: int, stop: int, length: int, reduction: float) -> tuple[int, int]:
    """A range within 0..length, widened where there is room, which can be halved as often as `reduction` asks for."""
    step = 2 ** int(np.log2(max(reduction, 1.0)))
    wanted = -(-(stop - start) // step) * step
    stop = min(length, start + wanted)
    return max(0, stop - wanted), stop


def averaged(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The (H, W, C) image at a smaller size (width, height), each pixel the mean of those that it covers."""
    import cv2

    # Halving has a fast way of its own, and leaves little to the general one.
    return np.asarray(cv2.resize(halved(pixels, size), size, interpolation=cv2.INTER_AREA))


def halved(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The image halved for as long as it stays at least of this size (width, height).

    The last row or column of an odd number would be lost, with what it shifts: there the halving ends.
    """
    import cv2

    while not (pixels.shape[0] % 2 or pixels.shape[1] % 2) and (
        pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]
    ):
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
    return pixels


def reduced(pixels: UInt8Array, side: int) -> tuple[UInt8Array, float]:
    """A copy whose longest side is at most `side`, and its scale."""
    scale = min(1.0, side / max(pixels.shape[:2]))
    if scale == 1.0:
        return np.ascontiguousarray(pixels), 1.0
    return resized(pixels, scale), scale


def resized(pixels: UInt8Array, scale: float) -> UInt8Array:
    import cv2

    # What can't be halved as often as the rest is left out: less than two pixels of the copy.
    step = 2 ** int(np.log2(max(1.0, 1 / scale)))
    if min(pixels.shape[:2]) >= step:
        pixels = pixels[: pixels.shape[0] // step * step, : pixels.shape[1] // step * step]
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    # Between a half and the whole size, interpolation skips next to nothing, in a sixth of the time of averaging.
    pixels = halved(pixels, size)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
