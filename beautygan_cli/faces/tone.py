"""Photos without colour of their own: a black-and-white reference, and a black-and-white or sepia source.

Of a reference without colour light and dark alone can be told, so the source keeps its hues. A source of one tone,
whose colour follows from its lightness alone, stays in that tone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab
from beautygan_cli.types import FloatArray

NO_COLOUR = "the reference has no colour, so light and dark alone were taken from it"
# Of what lips, eyes, brows, cheeks and lids differ in a*, b* from all else of their lightness, to the mean lightness:
# 33 people in colour have 0.049 and more, in the dark and as JPEG of quality 30 too; 95 of 100 grey, sepia and duotone
# copies, alike, 0.025 at most.
LEAST_COLOUR = 0.042
LEAST_OF_PALETTE = 0.027  # of pictures of 256 colours, which dull small parts: 6 in colour have 0.030, toned ones 0.024
LEAST_PIXELS = 6  # of a region that is looked at
FARTHEST_BROWS = 12.0  # a*, b* from the skin's in such shade; bare brows of 124 people have 9 at most, blue ones 18
STEPS = 16  # of lightness
SPARSE = 2  # of so many pixels one is looked at, either way
REGIONS = (masks.lips_mask, masks.openings_mask, masks.cheeks_mask, masks.brows_mask, masks.lids_mask)
_SHALLOWEST = 1.0  # of the mean chroma: below it a face is grey


def is_toned(face: FaceAnalysis, least: float = LEAST_COLOUR) -> bool:
    """Whether a face's colours follow from its lightness alone, as in black and white, sepia or a duotone.

    The first call for a face decides. least: LEAST_COLOUR, or LEAST_OF_PALETTE for a picture of so many colours.
    """

    def work() -> bool:
        sparse = _sparse(face)
        lab, inside = _face(sparse)
        tones = _by_lightness(lab[inside])
        differences = []
        for mask in REGIONS:
            values = lab[sparse.mask(mask) > 0.5]
            if len(values) >= LEAST_PIXELS:
                usual = [np.interp(values[:, 0], tones[0], plane) for plane in tones[1:]]
                differences.append(np.hypot(*(values[:, 1:].T - usual).mean(axis=1)))
        if not differences:
            return False
        return bool(np.sqrt(np.square(differences).mean()) < least * lab[inside][:, 0].mean())

    return face.once("toned", work)


def decide(face: FaceAnalysis, toned: bool) -> None:
    """What `is_toned` says of a face from now on."""
    face.known["toned"] = toned


def brows_painted(face: FaceAnalysis) -> bool:
    """Whether a face's brows are painted in a colour that no hair has: its hue lies far from that of shaded skin."""

    def work() -> bool:
        lab = rgb_to_lab(face.chip)
        colour = masks.skin_colour(face.landmarks, lab, face.mask(masks.cheeks_mask))
        brows = face.mask(masks.brows_mask) > 0.5
        if colour is None or not brows.any():
            return False
        return bool(np.hypot(*masks.skin_hue(lab, colour[0])[brows].mean(axis=0)) > FARTHEST_BROWS)

    return face.once("brows painted", work)


def kept(source: FaceAnalysis, before: FloatArray, after: FloatArray, references: Sequence[FaceAnalysis]) -> FloatArray:
    """The network's chip, (S, S, 3) RGB 0..255, with no more colour than the source or the references give ground for.

    before: the source's chip as the network saw it; after: what came of it.
    """
    toned = is_toned(source)
    if not toned and not any(map(is_toned, references)):
        return after
    changed, own = rgb_to_lab(after), rgb_to_lab(before)
    colour = own[..., 1:]
    if toned:
        lab, inside = _face(_sparse(source))
        tones = _by_lightness(lab[inside])
        colour = np.stack([np.interp(changed[..., 0], tones[0], plane) for plane in tones[1:]], axis=-1)
        if np.hypot(tones[1], tones[2]).mean() < _SHALLOWEST:
            colour = np.zeros_like(colour)
    toned_chip = lab_to_rgb(np.concatenate([changed[..., :1], colour], axis=-1))
    if toned and not np.any(colour):  # to the last digit, so that equal channels stay equal
        toned_chip = np.repeat(toned_chip.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.asarray(toned_chip, dtype=np.float32)


def _sparse(face: FaceAnalysis) -> FaceAnalysis:
    """The face with every SPARSE-th pixel of its chip."""
    chip = np.ascontiguousarray(face.chip[::SPARSE, ::SPARSE])
    return replace(face, chip=chip, landmarks=np.asarray(face.landmarks / SPARSE, np.float32))


def _face(face: FaceAnalysis) -> tuple[FloatArray, NDArray[np.bool_]]:
    """L*a*b* of the chip's pixels, and which of them lie in the face."""
    inside = face.mask(masks.face_mask) > 0.5
    return rgb_to_lab(face.chip), inside if inside.any() else np.ones_like(inside)


def _by_lightness(lab: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean colour at each lightness of colours (N, 3): (3, steps) L*, a*, b*."""
    step = np.clip(lab[:, 0] / 100 * STEPS, 0, STEPS - 1).astype(int)
    count = np.bincount(step, minlength=STEPS)
    sums = [np.bincount(step, lab[:, channel], STEPS) for channel in range(3)]
    means = np.stack(sums) / np.maximum(count, 1)
    return np.asarray(means[:, count > 0], dtype=np.float64)
