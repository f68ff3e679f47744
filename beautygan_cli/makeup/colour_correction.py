"""Region shades after the network: brought nearer to the reference's, and what was left of makeup is taken off.

The network gets the kind and the place of makeup right before it gets its depth: trained to be wrong by little, it
stays on the near side of what it is not sure of. Its own change is scaled, by a factor within GAINS, until the region's
mean colour is as near the reference's as that can bring it; what is missing then is added, up to SHIFTS. Where makeup
comes off, hues that bare skin and bare lips don't have are brought to the nearest that they have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.types import FloatArray

GAINS = {"lips": (1.05, 1.5), "eyes": (1.15, 1.2), "skin": (1.0, 1.1)}
SHIFTS = {"lips": 3.0, "eyes": 0.5, "skin": 2.0}  # L*a*b* distance; never more than the network's own change either
ANOTHER_TONE = (8.0, 16.0)  # what is farther off than that is not what the network left, but another skin or light
EYES_SHARE = 0.5  # of the skin's shift that goes on around the eyes
EXPOSURE_SHARE = 0.35  # of the two skins' difference in lightness that counts as light, not as makeup
EYES_EDGE = 0.06  # units by which the edge of deepened eyes is softened
# Where hues of bare faces lie: the middle (a*, b*), against the face's own skin in a shade of the same lightness, as it
# was measured on twenty of the London photos, and how far from it they may be. Of what is beyond, BEYOND is left.
LIDS_HUE, LIDS_REACH = (-0.2, -1.4), 2.0
SKIN_HUE, SKIN_REACH = (0.0, 0.0), 3.5
LIPS_HUE, LIPS_REACH = (10.3, -4.2), 4.0
BEYOND = 0.05
LEAST_CHANGE = 4.0  # L*a*b* distance; a smaller mean change has no sure direction in which the reference lies


def _lips(landmarks: NDArray[Any], shape: tuple[int, int]) -> FloatArray:
    return masks.lips_mask(landmarks, shape, soft=0)


# Where a region's mean colour is taken.
MEASURED: dict[str, Callable[..., FloatArray]] = {"lips": _lips, "eyes": masks.lids_mask}


def deepen(
    network_input: NDArray[Any],
    made_up: NDArray[Any],
    face: FaceAnalysis,
    reference: NDArray[Any],
    worn: NDArray[Any],
) -> FloatArray:
    """The made-up chip with its lips, eyes and the shade of its skin deepened, (S, S, 3) float32 RGB 0..255.

    network_input, made_up: the source's chip as it went into the network and came out; face: the source.
    reference: the reference's chip, worn: its landmarks in it (the source's own, where it was warped onto them). All
    RGB 0..255.
    """
    import cv2

    before, after, wanted = (rgb_to_lab(np.asarray(item)) for item in (network_input, made_up, reference))
    change = after - before
    shape, reference_shape = before.shape[:2], (wanted.shape[0], wanted.shape[1])
    aligned = np.array_equal(face.landmarks, worn) and shape == reference_shape

    def on_reference(mask: NDArray[Any], measure: Callable[..., NDArray[Any]]) -> NDArray[np.float64]:
        return weighted_mean(wanted, mask if aligned else measure(worn, reference_shape))

    skin = face.mask(masks.cheeks_mask)
    own, shade = weighted_mean(before, skin), weighted_mean(change, skin)
    if not np.isfinite(shade).all():  # no skin in sight
        return np.asarray(made_up, dtype=np.float32)
    skin_wanted = on_reference(skin, masks.cheeks_mask)
    applied = {"lips": face.mask(masks.lips_mask, grow=0.01), "eyes": face.mask(_soft_eyes)}
    shared = {"lips": 1.0, "eyes": EYES_SHARE}
    gain, shift = _nearer(shade, skin_wanted - own, "skin")
    moved = (gain - 1) * shade + shift
    light = (skin_wanted - own - shade - moved)[0]
    found = []
    for name, measure in MEASURED.items():
        mask = face.mask(measure)
        goal = on_reference(mask, measure)
        goal[0] -= EXPOSURE_SHARE * light
        needed = goal - weighted_mean(before, mask) - shade - shared[name] * moved
        found.append((applied[name], *_nearer(weighted_mean(change, mask) - shade, needed, name)))
    of_skin = face.mask(masks.face_mask) * (1 - (1 - EYES_SHARE) * applied["eyes"])
    planes = []  # NumPy takes ten times as long for the three channels of pixels
    for channel, (plane, changed) in enumerate(zip(cv2.split(after), cv2.split(change), strict=True)):
        painted = changed - np.float32(shade[channel])
        result = plane + of_skin * np.float32(moved[channel])
        for where, gain, shift in found:
            result += where * (np.float32(gain - 1) * painted + shift[channel])
        planes.append(result)
    return lab_to_rgb(cv2.merge(planes))


def bared(removed: NDArray[Any], landmarks: NDArray[Any]) -> FloatArray:
    """The chip with its makeup off, (S, S, 3) float32 RGB 0..255, with no hue left in it that bare faces don't have.

    removed: the network's chip, (S, S, 3) RGB 0..255, landmarks: its (68, 2). Lightness stays: what is shadow and what
    is eye shadow can't be told by it.
    """
    lab = rgb_to_lab(np.asarray(removed))
    shape = (lab.shape[0], lab.shape[1])
    skin = masks.skin_mask(landmarks, shape) > 0.8
    if not skin.any():
        return np.asarray(removed, dtype=np.float32)
    hue = masks.skin_hue(lab, np.median(lab[skin], axis=0))
    eyes = masks.around_eyes_mask(landmarks, shape)
    lips = masks.lips_mask(landmarks, shape, grow=0.03)
    opening = np.maximum(masks.mouth_opening(landmarks, shape), masks.openings_mask(landmarks, shape))
    rest = masks.face_mask(landmarks, shape) * (1 - eyes) * (1 - lips) * (1 - opening)
    lab[..., 1:] += eyes[..., None] * _toward(hue, LIDS_HUE, LIDS_REACH)
    lab[..., 1:] += rest[..., None] * _toward(hue, SKIN_HUE, SKIN_REACH)
    if lips.any():  # moved as a whole: their own shades are theirs
        lab[..., 1:] += lips[..., None] * _toward(weighted_mean(hue, lips), LIPS_HUE, LIPS_REACH)
    return lab_to_rgb(lab)


def _toward(hue: NDArray[Any], middle: tuple[float, float], reach: float) -> FloatArray:
    """What brings (..., 2) hues to within `reach` of `middle`, but for BEYOND of what is outside."""
    off = np.asarray(hue - np.array(middle), dtype=np.float32)
    distance = np.maximum(np.linalg.norm(off, axis=-1, keepdims=True), np.float32(1e-3))
    return np.asarray(off * (np.minimum(1, (reach + BEYOND * (distance - reach)) / distance) - 1), dtype=np.float32)


def look_over(face: FaceAnalysis) -> None:
    """Draw now what `deepen` needs of a source."""
    face.mask(masks.cheeks_mask)
    face.mask(masks.face_mask)
    face.mask(masks.lips_mask, grow=0.01)
    face.mask(_soft_eyes)
    for measure in MEASURED.values():
        face.mask(measure)


def _soft_eyes(
    landmarks: NDArray[Any], shape: tuple[int, int], grids: tuple[masks.EyeGrid, masks.EyeGrid] | None = None
) -> FloatArray:
    """The eyes' makeup with a wide soft edge: deepened shadow must not show where its region ends."""
    grids = grids or masks.eye_grids(landmarks, shape)
    soft = drawing.blur(masks.eyes_mask(landmarks, shape, grids), EYES_EDGE * masks.interocular_distance(landmarks))
    return np.asarray(soft * (1 - masks.openings_mask(landmarks, shape, grids)), dtype=np.float32)


def _nearer(moved: NDArray[np.float64], needed: NDArray[np.float64], region: str) -> tuple[float, FloatArray]:
    """The factor, within the region's GAINS, and the shift (L*a*b*) after it that bring `moved` nearest to `needed`."""
    low, high = GAINS[region]
    length = float(np.linalg.norm(moved))
    if not np.isfinite(needed).all() or not np.isfinite(length):
        return low, np.zeros(3, dtype=np.float32)
    gain = float(np.clip(moved @ needed / length**2, low, high)) if length >= LEAST_CHANGE else low
    left = needed - gain * moved
    far = max(float(np.linalg.norm(left)), 1e-6)
    bound = min(SHIFTS[region], length) * float(np.interp(far, ANOTHER_TONE, (1, 0)))
    return gain, np.asarray(left * min(1.0, bound / far), dtype=np.float32)
