"""Colour as the eye weighs it: CIE L*a*b* and the CIEDE2000 difference.

L*a*b* here is D65, float32: L* in 0..100, a* and b* in about -110..110, last axis (L*, a*, b*).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.types import FloatArray

DARKEST = 0.004  # of linear light, added before its logarithm: below it is noise
LEVELS_PER_GREY = 16  # steps of the table for linear light: finer than any noise, exact for whole grey levels


def rgb_to_lab(pixels: NDArray[Any]) -> FloatArray:
    """(H, W, 3) sRGB, uint8 or float 0..255, to (H, W, 3) float32 L*a*b*.

    OpenCV's own way from gamma-coded values is an interpolated table that is off by up to 0.45 CIEDE2000; from linear
    light it is exact.
    """
    import cv2

    return np.asarray(cv2.cvtColor(linear_light(pixels), cv2.COLOR_LRGB2LAB), dtype=np.float32)


def linear_light(pixels: NDArray[Any]) -> FloatArray:
    """Linear light in 0..1 of sRGB values, uint8 or float 0..255 of any shape (IEC 61966-2-1)."""
    whole = pixels.dtype == np.uint8
    places = pixels if whole else np.rint(np.clip(pixels, 0, 255) * LEVELS_PER_GREY).astype(np.uint16)
    return np.take(_linear_table(1 if whole else LEVELS_PER_GREY), places)


def log_light(pixels: NDArray[Any]) -> FloatArray:
    """The natural logarithm of linear light and DARKEST, float32, of sRGB values: uint8 or float 0..255, any shape."""
    return np.asarray(np.log(linear_light(pixels) + np.float32(DARKEST)), dtype=np.float32)


def lab_to_rgb(lab: NDArray[Any]) -> FloatArray:
    """(H, W, 3) L*a*b* to (H, W, 3) float32 sRGB in 0..255, colours outside sRGB clipped; inverse of `rgb_to_lab`."""
    import cv2

    return coded(cv2.cvtColor(np.ascontiguousarray(lab, dtype=np.float32), cv2.COLOR_LAB2LRGB))


def coded(light: NDArray[Any]) -> FloatArray:
    """Linear light as float32 sRGB values in 0..255, of any shape (IEC 61966-2-1); below 0 and over 1 it is clipped."""
    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, np.float32(1 / 2.4)) - 0.055)
    return np.asarray(np.clip(values, 0, 1) * np.float32(255), dtype=np.float32)


@lru_cache(maxsize=2)
def _linear_table(levels: int) -> FloatArray:
    """Linear light of each 1 / `levels` of a grey level of sRGB (IEC 61966-2-1)."""
    coded = np.arange(255 * levels + 1) / (255 * levels)
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4).astype(np.float32)


def weighted_mean(values: NDArray[Any], mask: NDArray[Any]) -> NDArray[np.float64]:
    """Mean of (H, W, C) values, C at most 4, under an (H, W) mask of weights; NaN for an empty mask."""
    import cv2

    total = float(mask.sum())
    if total <= 0:
        return np.full(values.shape[-1], np.nan)
    channels = values.shape[-1]
    weights = cv2.merge([np.asarray(mask, dtype=np.float32)] * channels)
    # OpenCV's sum takes a tenth of NumPy's time, and keeps its total in float64 as well.
    sums = cv2.sumElems(cv2.multiply(np.ascontiguousarray(values, dtype=np.float32), weights))
    return np.array(sums[:channels]) / total


def ciede2000(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """CIEDE2000 colour difference of L*a*b* colours of any matching shape (..., 3).

    Formula: G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 Color-Difference Formula: Implementation Notes,
    Supplementary Test Data, and Mathematical Observations", Color Research and Application 30 (2005), 21-30,
    with kL = kC = kH = 1.
    """
    l1, a1, b1 = np.moveaxis(np.asarray(first, dtype=np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, dtype=np.float64), -1, 0)
    chroma_mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(chroma_mean**7 / (chroma_mean**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360

    grey = (c1 * c2) == 0
    hue_step = (h2 - h1 + 180) % 360 - 180
    # Sharma keeps +180 where the two hues lie exactly opposite.
    hue_step = np.where((hue_step == -180) & (h2 > h1), 180.0, hue_step)
    hue_step = np.where(grey, 0.0, hue_step)
    delta_l, delta_c = l2 - l1, c2 - c1
    delta_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(hue_step) / 2)

    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    hue_sum = h1 + h2
    h_mean = np.where(
        np.abs(h1 - h2) <= 180, hue_sum / 2, np.where(hue_sum < 360, (hue_sum + 360) / 2, (hue_sum - 360) / 2)
    )
    h_mean = np.where(grey, hue_sum, h_mean)
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    s_c = 1 + 0.045 * c_mean
    s_h = 1 + 0.015 * c_mean * t
    rotation = (
        -2 * np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((h_mean - 275) / 25) ** 2))))
    )
    l_term, c_term, h_term = delta_l / s_l, delta_c / s_c, delta_h / s_h
    return np.asarray(np.sqrt(l_term**2 + c_term**2 + h_term**2 + rotation * c_term * h_term))
