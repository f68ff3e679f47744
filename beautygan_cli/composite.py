"""A made-up chip back into its photo: the makeup alone travels, along the photo's own edges.

The network sees 256 pixels of a face that may be 2,000 wide. What it changed (made-up chip against the chip that went
in) is fitted, around each pixel, as a linear function of the chip's colours; that function, applied to the photo's own
pixels, is the change at full size. So lips and lids keep the photo's sharp outlines, and pores, lashes and hair stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import regions
from beautygan_cli.colour import lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.faces import AlignedFace, Placement, crop, footprint

FloatArray = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]

RADIUS = 3  # chip pixels around each pixel in which the change is fitted: a lid's crease is about that wide
SMOOTHING = 6.0**2  # grey levels squared: contrast below this is noise and does not steer the change
USUAL_SKIN = 0.7  # the default strength of the skin's change
SHADE_LIMIT = 4.0  # L*: how far the skin as a whole may get lighter or darker, up to the default strength ...
FULL_SHADE_LIMIT = 16.0  # ... and at strength 1: beyond what the bundled model was trained to do
MASK_SCALE = 2  # region masks are drawn at twice the chip's size, for teeth and lashes finer than its pixels


@dataclass(frozen=True)
class Strengths:
    """How much of the change each region takes, 0 to 1.

    Up to the default strength the skin keeps its own lightness, within SHADE_LIMIT on average; 1 is the full change.
    """

    lips: float = 1.0
    eyes: float = 1.0
    skin: float = USUAL_SKIN

    def scaled(self, strength: float) -> Strengths:
        """All three times `strength`."""
        return Strengths(self.lips * strength, self.eyes * strength, self.skin * strength)

    @property
    def none(self) -> bool:
        """Whether nothing at all is to change."""
        return self.lips <= 0 and self.eyes <= 0 and self.skin <= 0


def paste(
    pixels: UInt8Array, face: AlignedFace, fed: NDArray[Any], made_up: NDArray[Any], strengths: Strengths
) -> UInt8Array:
    """The photo with one face made up.

    pixels: (H, W, 3) uint8 RGB, the photo; fed, made_up: (S, S, 3) RGB 0..255, the chip as it went into the network
    and as it came out. Pixels outside the face are the photo's own, bit for bit; so is everything at strength 0.
    """
    if strengths.none:
        return pixels.copy()
    left, top, right, bottom = footprint(face.placement, pixels.shape[:2])
    part = pixels[top:bottom, left:right]
    to_box = face.placement.matrix.astype(np.float64)
    to_box[:, 2] += to_box[:, :2] @ (left, top)

    weights = _to_photo(change_weights(pixels, face, strengths), to_box * MASK_SCALE, part.shape[:2], half_pixel=True)
    change = _change_at_full_size(part, fed, made_up, to_box)
    # The shade of the whole face is one thing, what is painted on it another: the shade is bounded, and lips and
    # eyes keep their contrast to the skin around them.
    shade, bounded = _shade(fed, made_up, face, strengths)
    change -= shade
    change *= weights[..., :1]
    change += weights[..., 1:] * bounded
    mixed = np.clip(np.rint(part + change), 0, 255).astype(np.uint8)
    result = pixels.copy()
    result[top:bottom, left:right] = np.where(weights[..., 1:] > 1e-4, mixed, part)
    return result


def _shade(
    fed: NDArray[Any], made_up: NDArray[Any], face: AlignedFace, strengths: Strengths
) -> tuple[FloatArray, FloatArray]:
    """The mean change of the skin, and how much of it is to be made: (3,) RGB grey levels each."""
    skin = regions.skin_mask(face.landmarks, (fed.shape[0], fed.shape[1]))
    before, after = weighted_mean(np.asarray(fed), skin), weighted_mean(np.asarray(made_up), skin)
    lab_before, lab_after = rgb_to_lab(np.stack([before, after])[None])[0]
    beyond = max(0.0, strengths.skin - USUAL_SKIN) / (1 - USUAL_SKIN)
    limit = SHADE_LIMIT + (FULL_SHADE_LIMIT - SHADE_LIMIT) * beyond
    moved = lab_after - lab_before
    moved[0] = np.clip(moved[0] * strengths.skin, -limit, limit)
    moved[1:] *= strengths.skin
    bounded = lab_to_rgb((lab_before + moved)[None, None])[0, 0] - before
    return (after - before).astype(np.float32), bounded.astype(np.float32)


def change_weights(pixels: UInt8Array, face: AlignedFace, strengths: Strengths) -> FloatArray:
    """How much each place takes, as a chip of MASK_SCALE times the size, (S', S', 2) float32 in 0..1.

    First of what is painted: lips, eyes and skin by their strengths, one running softly into the other. Second of
    the face's shade. Nothing of either on the eyeballs, the teeth and outside the face.
    """
    size = face.placement.size * MASK_SCALE
    shape = (size, size)
    # A pixel's centre lies at its whole coordinate: scaled, that is half a pixel off.
    large = Placement(face.placement.matrix * MASK_SCALE + _half_pixel(), size)
    landmarks = face.landmarks * MASK_SCALE + (MASK_SCALE - 1) / 2
    lab = rgb_to_lab(crop(pixels, large))
    length = regions.unit(landmarks)
    grids = regions.eye_grids(landmarks, shape)
    lips = regions.lips_mask(landmarks, shape, grow=0.03, soft=0.025)
    eyes = np.maximum(regions.eyes_mask(landmarks, shape, grids), 0.8 * regions.brows_mask(landmarks, shape))
    skin = np.clip(1 - lips - eyes, 0, 1)
    weights = strengths.lips * lips + (1 - lips) * (strengths.eyes * eyes) + strengths.skin * skin
    kept = np.maximum(
        regions.openings_mask(landmarks, shape, grids, soft=0.01),
        regions.blur(regions.teeth_mask(landmarks, lab), 0.008 * length),
    )
    face_weights = (1 - kept) * regions.face_mask(landmarks, shape)
    # The chip ends where the photo's face may go on: fade out before that edge.
    border = max(4, round(0.03 * size))
    ramp = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / border, 0, 1).astype(np.float32)
    face_weights *= np.minimum.outer(ramp, ramp)
    return np.stack([np.clip(weights, 0, 1) * face_weights, face_weights], axis=-1).astype(np.float32)


def _half_pixel() -> FloatArray:
    shift = np.zeros((2, 3), dtype=np.float32)
    shift[:, 2] = (MASK_SCALE - 1) / 2
    return shift


def _change_at_full_size(
    part: UInt8Array, fed: NDArray[Any], made_up: NDArray[Any], to_box: NDArray[np.float64]
) -> FloatArray:
    """The network's change of each pixel of a part of the photo, (h, w, 3) float32 in grey levels."""
    guide = np.asarray(fed, dtype=np.float32)
    change = np.asarray(made_up, dtype=np.float32) - guide
    slope, offset = _fit(guide, change)
    shape = part.shape[:2]
    result = _to_photo(offset, to_box, shape)
    colours = part.astype(np.float32)
    for channel in range(3):
        # Channel by channel, so that a large photo never has all nine slopes in memory at once.
        result += colours[..., channel : channel + 1] * _to_photo(slope[..., channel], to_box, shape)
    # A highlight or a dark hair far from what the fit has seen must not be carried beyond the change around it.
    kernel = np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)
    low, high = _extremes(change, kernel)
    return np.clip(result, _to_photo(low, to_box, shape), _to_photo(high, to_box, shape))


def _extremes(change: FloatArray, kernel: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    import cv2

    return np.asarray(cv2.erode(change, kernel), np.float32), np.asarray(cv2.dilate(change, kernel), np.float32)


def _fit(guide: FloatArray, change: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Around each pixel, the linear function of the guide's colour that gives the change best.

    Returns slope (S, S, 3 of the change, 3 of the guide) and offset (S, S, 3). Formula: K. He, J. Sun, X. Tang,
    "Guided Image Filtering" (2010), for a colour guide; evaluated on another image as in K. He, J. Sun, "Fast Guided
    Filter" (2015).
    """
    mean_guide, mean_change = _box(guide), _box(change)
    covariance = _box(guide[..., :, None] * guide[..., None, :]) - mean_guide[..., :, None] * mean_guide[..., None, :]
    cross = _box(change[..., :, None] * guide[..., None, :]) - mean_change[..., :, None] * mean_guide[..., None, :]
    covariance = covariance + SMOOTHING * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(covariance, cross.swapaxes(-1, -2)).swapaxes(-1, -2).astype(np.float32)
    offset = mean_change - np.einsum("hwij,hwj->hwi", slope, mean_guide)
    return _box(slope), _box(offset.astype(np.float32))


def _box(values: FloatArray) -> FloatArray:
    """The mean over the square around each pixel, for (S, S, ...) float32."""
    import cv2

    size = (2 * RADIUS + 1, 2 * RADIUS + 1)
    flat = np.ascontiguousarray(values.reshape(*values.shape[:2], -1))
    planes = [cv2.blur(flat[..., i], size, borderType=cv2.BORDER_REFLECT) for i in range(flat.shape[2])]
    return np.asarray(np.stack(planes, axis=-1).reshape(values.shape), dtype=np.float32)


def _to_photo(
    chip: FloatArray, to_chip: NDArray[np.float64], shape: tuple[int, int], *, half_pixel: bool = False
) -> FloatArray:
    """A chip-sized image resampled over a part of the photo whose pixels `to_chip` takes into it."""
    import cv2

    matrix = to_chip.copy()
    if half_pixel:
        matrix[:, 2] += (MASK_SCALE - 1) / 2
    warped = cv2.warpAffine(
        np.ascontiguousarray(chip),
        matrix,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, dtype=np.float32)
