"""Shut eyes: their lids laid on the line of lashes that the photo shows."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import rgb_to_lab
from beautygan_cli.types import FloatArray

LID_HUE = 5.0  # a*b* distance within which the eye's place shows the lid's hue ...
LID_SHARE = 0.93  # ... on this share of it where the eye is shut or covered; iris and white leave less than 0.87
LID_LIGHT = 0.6  # of the lid's lightness, which ...
LID_LIGHT_SHARE = 0.4  # ... this share of the place has then: dark irises in dark skin have its hue, too
LIGHTEST_LID = 1.35  # times the lid's lightness that the place has at most: the white in dark skin has more
LASHES_DARK = 0.65  # of the lid's lightness: shut lashes are at 0.35 to 0.5, a finger's shades at 0.8
SHUT_GAP = 0.06  # units that a shut eye's lower lid is put below its upper one


def seen_landmarks(landmarks: NDArray[Any], pixels: NDArray[Any]) -> FloatArray:
    """The landmarks with the lids of shut eyes laid on their lash line; pixels: the (H, W, 3) RGB image.

    Trained on open eyes, dlib's predictor leaves a shut one open by a third: its lid would stay unpainted there.
    """
    result = np.array(landmarks, dtype=np.float32)
    size = masks.unit(landmarks)
    for upper, lower, brow in masks.EYES:
        eye = landmarks[[*upper, *lower]]
        left, top = (max(0, int(v)) for v in np.minimum(eye, landmarks[brow].min(axis=0)).min(axis=0) - 0.3 * size)
        right, bottom = (int(v) for v in eye.max(axis=0) + 0.3 * size)
        part = pixels[top:bottom, left:right]
        if min(part.shape[:2]) < 8:
            continue
        lab = drawing.blur(rgb_to_lab(part), 0.006 * size)
        points = landmarks - np.array([left, top])
        shape = (part.shape[0], part.shape[1])
        grid = masks.eye_grid(points[upper], points[lower], points[brow], shape, whole=True)
        if _eye_state(grid, lab) is not EyeState.SHUT:
            continue
        line, _ = _lash_line(grid, lab)
        if len(line) < 6:
            continue
        # A parabola through the corners' ends and the darkest pixels, which single lashes pull down.
        line = np.concatenate([points[[upper[0], upper[-1]]], line])
        fit = np.polynomial.Polynomial.fit(line[:, 0], line[:, 1], 2)
        for first, second in zip(upper[1:-1], lower[1:-1], strict=True):
            x = float((points[first, 0] + points[second, 0]) / 2)
            result[first] = np.array([x + left, float(fit(x)) + top])
            # Never on the upper lid: a reference bent onto both at once would show its eyeball on the lid.
            result[second] = result[first] + [0, SHUT_GAP * size]
    return result


class EyeState(Enum):
    """What the photo shows where the landmarks put an eye."""

    OPEN = "open"
    SHUT = "shut"
    COVERED = "covered"


def _eye_state(grid: masks.EyeGrid, lab: NDArray[Any]) -> EyeState:
    """Shut: the lids' hue where the eyeball would be, over a line of lashes. Covered: that hue and no such line.

    lab: of the grid's box alone.
    """
    inside = (grid.u > 0.15) & (grid.u < 0.85) & (grid.opening > 0.6)
    zone = (grid.u > 0) & (grid.u < 1) & (grid.v > 0.15) & (grid.v < 0.6)
    if not inside.any() or not zone.any():
        return EyeState.OPEN
    lid = np.median(lab[zone], axis=0)
    seen = lab[inside]
    shade = np.clip(seen[:, 0] / max(float(lid[0]), 1.0), 0.35, 1.0)
    apart = np.linalg.norm(seen[:, 1:] - lid[1:] * shade[:, None], axis=-1)
    light = seen[:, 0] / max(float(lid[0]), 1.0)
    if (apart < LID_HUE).mean() < LID_SHARE or (light > LID_LIGHT).mean() < LID_LIGHT_SHARE:
        return EyeState.OPEN
    if np.median(light) > LIGHTEST_LID:
        return EyeState.OPEN
    _, depths = _lash_line(grid, lab)
    return EyeState.SHUT if np.median(depths) < LASHES_DARK * lid[0] else EyeState.COVERED


def _lash_line(grid: masks.EyeGrid, lab: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along a shut eye: its darkest pixels, (N, 2) (x, y) in the grid's box, and how dark (L*) they are, (N,)."""
    near = (grid.above < 0.2) & (grid.below < 0.25)
    places, depths = [], []
    for start in np.linspace(0.1, 0.8, 8):
        rows, columns = np.nonzero(near & (grid.u >= start) & (grid.u < start + 0.1))
        if len(rows):
            darkest = int(np.argmin(lab[rows, columns, 0]))
            places.append((columns[darkest], rows[darkest]))
            depths.append(lab[rows[darkest], columns[darkest], 0])
    return np.array(places, dtype=np.float64), np.array(depths, dtype=np.float64)
