"""Photos without colour of their own: a black-and-white reference, and a black-and-white or sepia source.

Of a reference without colour light and dark alone can be told, so the source keeps its hues. A source of one tone,
whose colour follows from its lightness alone, stays in that tone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import AlignedFace
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab
from beautygan_cli.types import FloatArray

NO_COLOUR = "the reference has no colour, so light and dark alone were taken from it"
LEAST_COLOUR = 2.2  # of a*, b* around the mean of their lightness, root mean square; faces in colour have 3 and more
FARTHEST_BROWS = 12.0  # a*, b* from the skin's in such shade; bare brows of 124 people have 9 at most, blue ones 18
STEPS = 16  # of lightness
SPARSE = 4  # of so many pixels one is looked at, either way
_SHALLOWEST = 1.0  # of the mean chroma: below it a face is grey


def is_toned(face: AlignedFace) -> bool:
    """Whether a face's colours follow from its lightness alone, as in black and white, sepia or a duotone."""

    def work() -> bool:
        lab, inside = _face(face)
        around, _ = _by_lightness(lab[inside])
        return bool(around < LEAST_COLOUR)

    return face.once("toned", work)


def brows_painted(face: AlignedFace) -> bool:
    """Whether a face's brows are painted in a colour that no hair has: its hue lies far from that of shaded skin."""

    def work() -> bool:
        lab = rgb_to_lab(face.chip)
        colour = masks.skin_colour(face.landmarks, lab)
        brows = masks.brows_mask(face.landmarks, (lab.shape[0], lab.shape[1])) > 0.5
        if colour is None or not brows.any():
            return False
        return bool(np.hypot(*masks.skin_hue(lab, colour[0])[brows].mean(axis=0)) > FARTHEST_BROWS)

    return face.once("brows painted", work)


def kept(source: AlignedFace, before: FloatArray, after: FloatArray, references: Sequence[AlignedFace]) -> FloatArray:
    """The network's chip, (S, S, 3) RGB 0..255, with no more colour than the source or the references give ground for.

    before: the source's chip as the network saw it; after: what came of it.
    """
    toned = is_toned(source)
    if not toned and not any(map(is_toned, references)):
        return after
    changed, own = rgb_to_lab(after), rgb_to_lab(before)
    colour = own[..., 1:]
    if toned:
        lab, inside = _face(source)
        _, tones = _by_lightness(lab[inside])
        colour = np.stack([np.interp(changed[..., 0], tones[0], plane) for plane in tones[1:]], axis=-1)
        if np.hypot(tones[1], tones[2]).mean() < _SHALLOWEST:
            colour = np.zeros_like(colour)
    toned_chip = lab_to_rgb(np.concatenate([changed[..., :1], colour], axis=-1))
    if toned and not np.any(colour):  # to the last digit, so that equal channels stay equal
        toned_chip = np.repeat(toned_chip.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.asarray(toned_chip, dtype=np.float32)


def _face(face: AlignedFace) -> tuple[FloatArray, NDArray[np.bool_]]:
    """L*a*b* of every SPARSE-th pixel of the chip, and which of them lie in the face."""
    lab = rgb_to_lab(np.ascontiguousarray(face.chip[::SPARSE, ::SPARSE]))
    inside = masks.face_mask(face.landmarks / SPARSE, (lab.shape[0], lab.shape[1])) > 0.5
    return lab, inside if inside.any() else np.ones_like(inside)


def _by_lightness(lab: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
    """How far colours (N, 3) lie around the mean of their lightness, and those means: (3, steps) L*, a*, b*."""
    step = np.clip(lab[:, 0] / 100 * STEPS, 0, STEPS - 1).astype(int)
    count = np.bincount(step, minlength=STEPS)
    sums = [np.bincount(step, lab[:, channel], STEPS) for channel in range(3)]
    means = np.stack(sums) / np.maximum(count, 1)
    means = means[:, count > 0]
    around = [lab[:, channel] - np.interp(lab[:, 0], means[0], means[channel]) for channel in (1, 2)]
    return float(np.sqrt(np.square(around).sum(axis=0).mean())), means
