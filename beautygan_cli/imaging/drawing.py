"""Masks drawn from outlines: filled, blurred, ramps and curves."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.types import FloatArray

SUPERSAMPLING = 3  # polygons are drawn this much larger and averaged down, for edges finer than a pixel


def smooth_curve(points: NDArray[Any], *, closed: bool = False, steps: int = 8) -> FloatArray:
    """A centripetal-free Catmull-Rom curve through (N, 2) points, `steps` points a segment.

    Formula: E. Catmull, R. Rom, "A class of local interpolating splines" (1974), uniform, tension 1/2.
    """
    points = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    segments = len(padded) - 3
    around = np.stack([padded[i : segments + i] for i in range(4)], axis=1)
    flat = (_between(steps) @ around).reshape(-1, 2)
    return np.asarray(flat if closed else np.concatenate([flat, points[-1:]]), dtype=np.float32)


@lru_cache(maxsize=8)
def _between(steps: int) -> NDArray[np.float64]:
    """What each of the four points around a segment weighs in its points, (steps, 4)."""
    t = (np.arange(steps) / steps)[:, None]
    return np.asarray(0.5 * (t ** np.arange(4)) @ [[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])


def fill(shape: tuple[int, int], *outlines: NDArray[Any], soft: float = 0.0) -> FloatArray:
    """The (H, W) mask of the union of closed outlines ((N, 2) points each), blurred by `soft` pixels (sigma)."""
    import cv2

    mask = np.zeros(shape, dtype=np.float32)
    points = np.concatenate(outlines)
    # Only the box around the outlines is drawn.
    left, top = (max(0, int(np.floor(low)) - 1) for low in points.min(axis=0))
    right, bottom = (
        min(length, int(np.ceil(high)) + 2) for high, length in zip(points.max(axis=0), shape[::-1], strict=True)
    )
    if left >= right or top >= bottom:
        return mask
    width, height = right - left, bottom - top
    large = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), dtype=np.uint8)
    for outline in outlines:
        # A pixel's centre is at its whole coordinate, so a pixel's own area starts half a pixel before it.
        scaled = ((np.asarray(outline, dtype=np.float64) - (left, top) + 0.5) * SUPERSAMPLING - 0.5) * 16
        cv2.fillPoly(large, [np.round(scaled).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    small = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    mask[top:bottom, left:right] = small.astype(np.float32) / 255
    return blur(mask, soft)


def blur(mask: NDArray[Any], sigma: float) -> FloatArray:
    """A Gaussian blur of an (H, W) or (H, W, C) float image by `sigma` pixels, edges repeated."""
    import cv2

    if sigma < 0.2:
        return np.asarray(mask, dtype=np.float32)
    if mask.ndim == 2:
        # What is 0 all around stays 0: only the box around the rest is blurred.
        left, top, width, height = cv2.boundingRect((mask != 0).astype(np.uint8))
        result = np.zeros(mask.shape, dtype=np.float32)
        if not width:
            return result
        reach = int(np.ceil(4 * sigma)) + 1  # OpenCV's kernel for float images ends at 4 sigma
        box = np.s_[max(0, top - reach) : top + height + reach, max(0, left - reach) : left + width + reach]
        part = np.ascontiguousarray(mask[box], dtype=np.float32)
        # Rounding alone would take a weight over 1.
        result[box] = cv2.min(cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), float(part.max()))
        return result
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def smoothstep(low: float, high: float, values: NDArray[Any]) -> FloatArray:
    """0 below `low`, 1 above `high`, 3t^2 - 2t^3 between; `low` may be the larger one, for a falling edge."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def stroke(points: NDArray[Any], widths: NDArray[Any]) -> FloatArray:
    """The outline, (M, 2), of a stroke along (N, 2) points, whose half-widths in pixels are spread over its length."""
    both = smooth_curve(np.asarray(points, dtype=np.float64))
    half = np.interp(np.linspace(0, 1, len(both)), np.linspace(0, 1, len(widths)), widths)
    beside = half[:, None] * _normals(np.concatenate([both[:1], both[:-1]]), np.concatenate([both[1:], both[-1:]]))
    return np.asarray(np.concatenate([both - beside, (both + beside)[::-1]]), np.float32)


def grown(outline: NDArray[Any], distance: float) -> FloatArray:
    """A closed outline moved outward by `distance` pixels along its normals."""
    points = np.asarray(outline, dtype=np.float64)
    before, after = np.concatenate([points[-1:], points[:-1]]), np.concatenate([points[1:], points[:1]])
    area = float(points[:, 0] @ after[:, 1] - after[:, 0] @ points[:, 1])
    return np.asarray(points + math.copysign(distance, area) * _normals(before, after), dtype=np.float32)


def _normals(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    """Of each point of a curve, (N, 2), the unit vector square to the way from the point before it to the one after."""
    ahead = after - before
    ahead /= np.maximum(np.hypot(ahead[:, :1], ahead[:, 1:]), 1e-6)
    return np.asarray(ahead[:, ::-1] * [1, -1], dtype=np.float64)
