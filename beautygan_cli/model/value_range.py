"""Pixels to a network's values and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.model.signature import Signature

WHITE = 255.0  # the brightest pixel value


def to_network(pixels: NDArray[Any], signature: Signature) -> NDArray[np.float32]:
    """Pixels as the network takes them: float32 RGB in [`signature.low`, `signature.high`].

    `pixels`: HWC or NHWC RGB, uint8 or floats in 0..255. Raises ValueError for any other shape or type.
    """
    _check(pixels)
    scale = np.float32((signature.high - signature.low) / WHITE)
    return pixels.astype(np.float32) * scale + np.float32(signature.low)


def to_pixels(values: NDArray[Any], signature: Signature) -> NDArray[np.float32]:
    """A network's values as pixels: float32 RGB in 0..255, clipped but not rounded. The inverse of `to_network`.

    `values`: HWC or NHWC RGB floats in [`signature.low`, `signature.high`].
    """
    _check(values)
    scale = np.float32(WHITE / (signature.high - signature.low))
    pixels: NDArray[np.float32] = (values.astype(np.float32) - np.float32(signature.low)) * scale
    return pixels.clip(0, WHITE)


def to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Float pixels in 0..255 as uint8: rounded to the nearest (halves to even), then clipped. Any shape."""
    rounded: NDArray[np.uint8] = np.rint(pixels).clip(0, WHITE).astype(np.uint8)
    return rounded


def _check(pixels: NDArray[Any]) -> None:
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise ValueError(f"pixels must be HWC or NHWC RGB, but their shape is {pixels.shape}")
    if pixels.dtype != np.uint8 and not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"pixels must be uint8 or floats, but they are {pixels.dtype}")
