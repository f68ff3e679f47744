"""A reference made ready to be bent onto another face: nothing on it but a face in makeup, seen from the front."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.faces.occlusion import occlusion_of
from beautygan_cli.faces.warp import warp_onto
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import rgb_to_lab, weighted_mean
from beautygan_cli.types import FloatArray

TURNED = (0.2, 0.45)  # `turn` of a reference from which its far half is replaced in part, and wholly
SHADES_REACH = 0.12  # units: what differs between the two halves over less than that is detail, not light
MIDDLE = 0.25  # units beside the middle of the face over which one half runs into the other


def reference_chip(reference: FaceAnalysis) -> FloatArray:
    """The reference's chip, `tidied`, (S, S, 3) RGB 0..255; worked out once."""

    def work() -> FloatArray:
        return tidied(reference.chip.astype(np.float32), reference.landmarks, occlusion_of(reference))

    return reference.once("reference chip", work)


def tidied(chip: FloatArray, landmarks: NDArray[Any], occlusion: FloatArray | None = None) -> FloatArray:
    """A reference's chip, (S, S, 3) RGB 0..255, ready to be bent.

    Teeth and the far half of a turned face are painted over, and light from a side is evened; so is what lies before
    the skin, where `occlusion`, (S, S) in 0..1, says so.
    """
    whole = _mouth_shut(chip, landmarks)
    if occlusion is not None:
        whole = _uncovered(whole, landmarks, occlusion)
    mirrored = _mirror_image(whole, landmarks)
    return _both_sides(_evenly_lit(whole, mirrored, landmarks), mirrored, landmarks)


def _mirror_image(chip: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The chip with left and right changed over, each half of the face laid onto the other."""
    shape = (chip.shape[0], chip.shape[1])
    flipped = np.ascontiguousarray(chip[:, ::-1])
    return np.asarray(warp_onto(flipped, masks.mirrored(landmarks, shape[1]), landmarks, shape), dtype=np.float32)


def _evenly_lit(chip: FloatArray, mirrored: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The chip with the mean of both halves' shades on both of them; mirrored: its `_mirror_image`.

    Makeup is the same on both sides, light often is not: a coloured or a dim side would come along as a shadow on one
    lid. Lips, which lie in the middle, stay as they are.
    """
    shape = (chip.shape[0], chip.shape[1])
    skin = masks.face_mask(landmarks, shape)
    skin = skin * (1 - masks.openings_mask(landmarks, shape, soft=0.02))
    skin = skin * (1 - masks.lips_mask(landmarks, shape, grow=0.05, soft=0.03))
    reach = SHADES_REACH * masks.interocular_distance(landmarks)
    known = np.maximum(drawing.blur(skin, reach), 0.05)
    apart = drawing.blur((mirrored - chip) * skin[..., None], reach) / known[..., None]
    seen = 1 - far_share(landmarks)  # nothing is taken from a half that is replaced
    return np.asarray(chip + skin[..., None] * np.float32(seen / 2) * apart, dtype=np.float32)


def _mouth_shut(chip: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The chip with what shows between the lips painted as the lips are.

    Bent onto a shut mouth, the reference's teeth would lie on the lips as a pale band.
    """
    lab = rgb_to_lab(chip)
    shape = (chip.shape[0], chip.shape[1])
    between = masks.teeth_mask(landmarks, lab)
    if between.max() <= 0:
        return chip
    lips = weighted_mean(chip, masks.lips_mask(landmarks, shape, soft=0) * (1 - between))
    if not np.isfinite(lips).all():
        return chip
    cover = drawing.blur(between, 0.015 * masks.interocular_distance(landmarks))[..., None]
    return np.asarray(chip + cover * (lips - chip), dtype=np.float32)


def _uncovered(chip: FloatArray, landmarks: NDArray[Any], occlusion: FloatArray) -> FloatArray:
    """The chip with what lies before the skin painted over with the skin around it.

    Bent onto another face, hair or a frame would leave a ghost there.
    """
    if not occlusion.any():  # as before most faces
        return chip
    shape = (chip.shape[0], chip.shape[1])
    skin = masks.skin_mask(landmarks, shape)
    # Not before lids and lips: what is filled in there would be taken for their makeup.
    covered, clear = skin * occlusion, skin * (1 - occlusion)
    reach = 0.2 * masks.interocular_distance(landmarks)
    around = drawing.blur(chip * clear[..., None], reach) / np.maximum(drawing.blur(clear, reach), 1e-3)[..., None]
    return np.asarray(chip + covered[..., None] * (around - chip), dtype=np.float32)


def turn(landmarks: NDArray[Any]) -> float:
    """How far a face is turned to a side, -1 to 1: the difference of its halves' widths in parts of their sum.

    0 from the front; below 0 the half at the image's left is the far one.
    """
    bridge = landmarks[27:31, 0].mean()
    left, right = bridge - landmarks[0:4, 0].mean(), landmarks[13:17, 0].mean() - bridge
    return float((left - right) / max(abs(left) + abs(right), 1e-6))


def far_share(landmarks: NDArray[Any]) -> float:
    """How much of a face's far half is to be replaced, 0 to 1: all of it where the face is far turned."""
    return float(drawing.smoothstep(*TURNED, np.array(abs(turn(landmarks)))))


def _both_sides(chip: FloatArray, mirrored: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The chip with the far half of a turned face painted over with the near one's mirror image.

    mirrored: its `_mirror_image`. Bent to the front, the little that is seen of a far lid or cheek would become a
    smear, with the hair beside it. Lips stand out enough to be seen whole.
    """
    amount = far_share(landmarks)
    if amount <= 0:
        return chip
    shape = (chip.shape[0], chip.shape[1])
    middle = landmarks[[27, 28, 29, 30, 33, 51, 62, 57, 8]]
    middle = middle[np.argsort(middle[:, 1], kind="stable")]
    beyond = np.arange(shape[1])[None] - np.interp(np.arange(shape[0]), middle[:, 1], middle[:, 0])[:, None]
    reach = MIDDLE * masks.interocular_distance(landmarks)
    far = amount * drawing.smoothstep(-reach, reach, beyond * np.sign(turn(landmarks)))
    far = far * (1 - masks.lips_mask(landmarks, shape, grow=0.05, soft=0.03))
    return np.asarray(chip + far[..., None] * (mirrored - chip), dtype=np.float32)
