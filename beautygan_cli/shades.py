"""Region shades after the network: makeup that came out too weak is deepened toward what the reference shows.

The network gets the kind and the place of makeup right before it gets its depth. Its own change is scaled, never
below 1 and never beyond LIMITS, until the region's mean colour is as near the reference's as that can bring it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import regions
from beautygan_cli.colour import lab_to_rgb, rgb_to_lab, weighted_mean

FloatArray = NDArray[np.float32]

LIMITS = {"lips": 1.5, "eyes": 1.8}
EXPOSURE_SHARE = 0.35  # of the two skins' difference in lightness that counts as light, not as makeup
EYES_EDGE = 0.06  # units by which the edge of deepened eyes is softened
LEAST_CHANGE = 4.0  # L*a*b* distance; a smaller mean change is no makeup, and has no direction to scale it in


def deepen(
    fed: NDArray[Any], made_up: NDArray[Any], landmarks: NDArray[Any], reference: NDArray[Any], worn: NDArray[Any]
) -> FloatArray:
    """The made-up chip with its lips and eyes deepened, (S, S, 3) float32 RGB 0..255.

    fed, made_up: the source's chip as it went into the network and came out; landmarks: its (68, 2). reference: the
    reference's chip, worn: its landmarks in it (the source's own, where it was warped onto them). All RGB 0..255.
    """
    before, after, wanted = (rgb_to_lab(np.asarray(item)) for item in (fed, made_up, reference))
    shape, reference_shape = before.shape[:2], wanted.shape[:2]
    skin = regions.cheeks_mask(landmarks, shape)
    shade = weighted_mean(after - before, skin)
    light = weighted_mean(wanted, regions.cheeks_mask(worn, reference_shape))[0] - weighted_mean(after, skin)[0]
    measured = {"lips": _lips, "eyes": regions.lids_mask}
    applied = {"lips": regions.lips_mask(landmarks, shape, grow=0.01), "eyes": _around_eyes(landmarks, shape)}
    result: FloatArray = after
    for name, limit in LIMITS.items():
        mask = measured[name](landmarks, shape)
        goal = weighted_mean(wanted, measured[name](worn, reference_shape))
        goal[0] -= EXPOSURE_SHARE * light
        gain = _gain(weighted_mean(after - before, mask) - shade, goal - weighted_mean(before, mask) - shade, limit)
        painted = (after - before - shade).astype(np.float32)
        result = result + np.float32(gain - 1) * applied[name][..., None] * painted
    return lab_to_rgb(result)


def _lips(landmarks: NDArray[Any], shape: tuple[int, int]) -> FloatArray:
    return regions.lips_mask(landmarks, shape, soft=0)


def _around_eyes(landmarks: NDArray[Any], shape: tuple[int, int]) -> FloatArray:
    """The eyes' makeup with a wide soft edge: deepened shadow must not show where its region ends."""
    soft = regions.blur(regions.eyes_mask(landmarks, shape), EYES_EDGE * regions.unit(landmarks))
    return np.asarray(soft * (1 - regions.openings_mask(landmarks, shape)), dtype=np.float32)


def _gain(moved: NDArray[np.float64], needed: NDArray[np.float64], limit: float) -> float:
    """The factor, 1 to `limit`, that brings `moved` nearest to `needed` (least squares)."""
    square = float(moved @ moved)
    if not np.isfinite(needed).all() or square < LEAST_CHANGE**2:
        return 1.0
    return float(np.clip(moved @ needed / square, 1.0, limit))
