"""A reference made ready to be bent onto another face: nothing on it but a face in makeup, seen from the front."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import regions
from beautygan_cli.colour import rgb_to_lab, weighted_mean
from beautygan_cli.faces import AlignedFace
from beautygan_cli.warp import warp_onto

FloatArray = NDArray[np.float32]

TURNED = (0.2, 0.45)  # `turn` of a reference from which its far half is replaced in part, and wholly
MIDDLE = 0.25  # units beside the middle of the face over which one half runs into the other

# A reference is the same for every source.
_known: WeakKeyDictionary[AlignedFace, FloatArray] = WeakKeyDictionary()


def reference_chip(reference: AlignedFace) -> FloatArray:
    """The reference's chip, `tidied`, (S, S, 3) RGB 0..255; worked out once."""
    known = _known.get(reference)
    if known is None:
        known = tidied(reference.chip.astype(np.float32), reference.landmarks)
        _known[reference] = known
    return known


def tidied(chip: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """A reference's chip, (S, S, 3) RGB 0..255, ready to be bent.

    Teeth, what covers its skin and the far half of a turned face are painted over.
    """
    return _both_sides(_uncovered(_mouth_shut(chip, landmarks), landmarks), landmarks)


def _mouth_shut(chip: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The chip with what shows between the lips painted as the lips are.

    Bent onto a shut mouth, the reference's teeth would lie on the lips as a pale band.
    """
    lab = rgb_to_lab(chip)
    shape = (chip.shape[0], chip.shape[1])
    between = regions.teeth_mask(landmarks, lab)
    if between.max() <= 0:
        return chip
    lips = weighted_mean(chip, regions.lips_mask(landmarks, shape, soft=0) * (1 - between))
    if not np.isfinite(lips).all():
        return chip
    cover = regions.blur(between, 0.015 * regions.unit(landmarks))[..., None]
    return np.asarray(chip + cover * (lips - chip), dtype=np.float32)


def _uncovered(chip: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The chip with hair, a hat's rim or the frame of glasses before the skin painted over with the skin around them.

    Bent onto another face, they would leave a ghost there: the network tells most of what covers a reference from
    makeup, but not all.
    """
    lab = rgb_to_lab(chip)
    shape = (chip.shape[0], chip.shape[1])
    skin = regions.skin_mask(landmarks, shape)
    likeness = regions.skin_likeness(landmarks, lab)
    middle = weighted_mean(lab[..., :1], skin * likeness)[0]
    if not np.isfinite(middle):
        return chip
    # Blush and contour differ from the skin in colour too, but not by as much light.
    covered = skin * (1 - likeness) * regions.smoothstep(12, 24, np.abs(lab[..., 0] - middle))
    # Not before its lids: a bold shadow would be taken for a part of the frame that crosses it.
    clear = skin * likeness
    reach = 0.2 * regions.unit(landmarks)
    around = regions.blur(chip * clear[..., None], reach) / np.maximum(regions.blur(clear, reach), 1e-3)[..., None]
    return np.asarray(chip + covered[..., None] * (around - chip), dtype=np.float32)


def turn(landmarks: NDArray[Any]) -> float:
    """How far a face is turned to a side, -1 to 1: the difference of its halves' widths in parts of their sum.

    0 from the front; below 0 the half at the image's left is the far one.
    """
    bridge = landmarks[27:31, 0].mean()
    left, right = bridge - landmarks[0:4, 0].mean(), landmarks[13:17, 0].mean() - bridge
    return float((left - right) / max(abs(left) + abs(right), 1e-6))


def _both_sides(chip: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The chip with the far half of a turned face painted over with the near one's mirror image.

    Bent to the front, the little that is seen of a far lid or cheek would become a smear, with the hair beside it. Lips
    stand out enough to be seen whole.
    """
    turned = turn(landmarks)
    amount = float(regions.smoothstep(*TURNED, np.array(abs(turned))))
    if amount <= 0:
        return chip
    shape = (chip.shape[0], chip.shape[1])
    flipped = np.ascontiguousarray(chip[:, ::-1])
    mirrored = warp_onto(flipped, regions.mirrored(landmarks, shape[1]), landmarks, shape)
    middle = landmarks[[27, 28, 29, 30, 33, 51, 62, 57, 8]]
    middle = middle[np.argsort(middle[:, 1], kind="stable")]
    beyond = np.arange(shape[1])[None] - np.interp(np.arange(shape[0]), middle[:, 1], middle[:, 0])[:, None]
    reach = MIDDLE * regions.unit(landmarks)
    far = amount * regions.smoothstep(-reach, reach, beyond * np.sign(turned))
    far = far * (1 - regions.lips_mask(landmarks, shape, grow=0.05, soft=0.03))
    return np.asarray(chip + far[..., None] * (mirrored - chip), dtype=np.float32)
