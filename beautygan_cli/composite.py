"""A made-up chip back into its photo: the makeup alone travels, along the photo's own edges.

The network sees 256 pixels of a face that may be 2,000 wide. What it changed (made-up chip against the chip that went
in) is fitted, around each pixel, as a linear function of the chip's colours; that function, applied to the photo's own
pixels, is the change at full size. So lips and lids keep the photo's sharp outlines, and pores, lashes and hair stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import covers, regions
from beautygan_cli.colour import lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.faces import AlignedFace, Placement, crop, footprint

FloatArray = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]

RADIUS = 3  # chip pixels around each pixel in which the change is fitted: a lid's crease is about that wide
SMOOTHING = 6.0**2  # grey levels squared: contrast below this is noise and does not steer the change
USUAL_SKIN = 0.7  # the default strength of the skin's change
SHADE_LIMIT = (4.0, 5.0, 5.0)  # L*, a*, b*: how far the skin as a whole may move, up to the default strength ...
FULL_SHADE_LIMIT = (16.0, 16.0, 16.0)  # ... and at strength 1: beyond what the bundled model was trained to do
LIGHT_BLUR = 0.04  # units: light changes over wider distances than a lip's edge
SHADE_EDGE = 0.16  # units over which the face's shade fades out
SPILL = 0.12  # units around the lips in which ...
SPILL_TAKEN = 0.75  # ... this share of what is painted on the skin is left out
LEAST_WEIGHT = 1e-4  # below it a pixel is the photo's own, to the bit
MARGIN = 0.3  # of the chip's size, drawn around it: a high forehead goes on there, and so does its shade
SPARED_BELOW = 0.25  # strength under which a region takes less than its share of the face's shade too, none at 0
EDGE_RAMP = 0.08  # of the chip's size, over which paint fades out before the chip's edge
STRIP_PIXELS = 1 << 16  # of the photo made up at a time: few enough to stay in the processor's cache
MASK_SCALE = 2.0  # region masks are drawn at twice the chip's size, for teeth and lashes finer than its pixels, ...
PHOTO_SCALE = 2.0  # ... or at twice the face's size in the photo, where that is less ...
LEAST_MASK_SCALE = 0.25  # ... but never smaller than this


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
    pixels: UInt8Array,
    face: AlignedFace,
    fed: NDArray[Any],
    made_up: NDArray[Any],
    strengths: Strengths,
    weights: FloatArray | None = None,
) -> UInt8Array:
    """The photo with one face made up.

    pixels: (H, W, 3) uint8 RGB, the photo; fed, made_up: (S, S, 3) RGB 0..255, the chip as it went into the network
    and as it came out; weights: what `change_weights` gives, where it is known already. Pixels outside the face are
    the photo's own, bit for bit; so is everything at strength 0.
    """
    if strengths.none:
        return pixels.copy()
    canvas = mask_canvas(face.placement)
    on_canvas = change_weights(pixels, face, strengths) if weights is None else weights
    left, top, right, bottom = _box(canvas, on_canvas, pixels.shape[:2])
    change, shade = split_change(fed, made_up, face, strengths)
    layers = _layers(face.chip, change)
    result = pixels.copy()
    strip = max(1, STRIP_PIXELS // (right - left))
    for start in range(top, bottom, strip):
        rows = slice(start, min(start + strip, bottom))
        share = _to_photo(on_canvas, _from_part(canvas, left, start), (rows.stop - start, right - left))
        _paint(result[rows, left:right], share, layers, _from_part(face.placement, left, start), shade)
    return result


def _paint(
    part: UInt8Array, share: FloatArray, layers: Layers, to_chip: NDArray[np.float64], shade: FloatArray
) -> None:
    """Make up a part of the photo in place: what is painted and the shade, by their shares (h, w, 2)."""
    import cv2

    painting, shading = (np.ascontiguousarray(share[..., i]) for i in (0, 1))
    inside = (cv2.max(painting, shading) > LEAST_WEIGHT).astype(np.uint8)
    left, _, width, _ = cv2.boundingRect(inside)
    if not width:
        return
    span = slice(left, left + width)
    to_chip = to_chip.copy()
    to_chip[:, 2] += to_chip[:, 0] * left
    own = part[:, span]
    painting, shading = np.ascontiguousarray(painting[:, span]), np.ascontiguousarray(shading[:, span])
    planes = []
    for change, plane, of_shade in zip(_at_full_size(own, layers, to_chip), cv2.split(own), shade, strict=True):
        change *= painting
        change += shading * of_shade
        change += plane
        planes.append(change)
    cv2.copyTo(_to_bytes(cv2.merge(planes)), np.ascontiguousarray(inside[:, span]), own)


def _box(canvas: Placement, weights: FloatArray, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part (left, top, right, bottom) of a photo of (H, W) outside which no weight is left."""
    import cv2

    inside = cv2.max(*cv2.split(weights)) > LEAST_WEIGHT
    column, row, width, height = cv2.boundingRect(inside.astype(np.uint8))
    if not width:
        return 0, 0, 1, 1
    first, last = np.array([column, row]), np.array([column + width - 1, row + height - 1])
    # The box around the weights, as the canvas of a placement of its own.
    matrix = canvas.matrix.copy()
    matrix[:, 2] -= first
    return footprint(Placement(matrix, int((last - first).max()) + 1), shape)


def _to_bytes(values: FloatArray) -> UInt8Array:
    """Rounded and clipped to 0..255, by OpenCV, which is several times as fast as NumPy here."""
    import cv2

    flat = np.empty(values.shape, dtype=np.uint8)
    cv2.convertScaleAbs(cv2.max(values, 0.0), dst=flat)
    return flat


def split_change(
    fed: NDArray[Any], made_up: NDArray[Any], face: AlignedFace, strengths: Strengths
) -> tuple[FloatArray, FloatArray]:
    """The network's change as what is painted, (S, S, 3), and the shade of the whole face, (3,), in grey levels.

    The shade is the skin's mean change, times its strength and within the bound on its lightness. What is left of it
    is taken from the whole picture as less light would, so that lips and lids keep their contrast to the skin.
    """
    before, after = np.asarray(fed, dtype=np.float32), np.asarray(made_up, dtype=np.float32)
    skin = regions.skin_mask(face.landmarks, (before.shape[0], before.shape[1]))
    own, full = weighted_mean(before, skin), weighted_mean(after, skin)
    if not np.isfinite(own).all():  # no skin in sight
        return after - before, np.zeros(3, dtype=np.float32)
    wanted = _bounded_skin(own, full, strengths.skin)
    # Gamma-coded values times a factor are light times that factor to the gamma: exposure.
    dimming = np.clip((wanted + 1) / (full + 1), 0.25, 4) - 1
    light = regions.blur(after, LIGHT_BLUR * regions.unit(face.landmarks)) * dimming
    shade = (wanted - own).astype(np.float32)
    return np.asarray(after + light - before - shade, dtype=np.float32), shade


def _bounded_skin(own: NDArray[Any], full: NDArray[Any], strength: float) -> NDArray[np.float64]:
    """The mean RGB that the skin is to have, between its own and the network's."""
    lab_own, lab_full = rgb_to_lab(np.stack([own, full])[None])[0]
    beyond = max(0.0, strength - USUAL_SKIN) / (1 - USUAL_SKIN)
    limit = (1 - beyond) * np.array(SHADE_LIMIT) + beyond * np.array(FULL_SHADE_LIMIT)
    moved = np.clip(strength * (lab_full - lab_own), -limit, limit)
    return np.asarray(lab_to_rgb((lab_own + moved)[None, None])[0, 0], dtype=np.float64)


def mask_canvas(placement: Placement) -> Placement:
    """Where masks are drawn: the chip and MARGIN around it, at MASK_SCALE of its size or PHOTO_SCALE of the photo's."""
    scale = _mask_scale(placement)
    margin = round(MARGIN * placement.size * scale)
    matrix = placement.matrix * np.float32(scale)
    # A pixel's centre lies at its whole coordinate: scaled, that is half a pixel off.
    matrix[:, 2] += margin + (scale - 1) / 2
    return Placement(matrix, round(placement.size * scale) + 2 * margin)


def _mask_scale(placement: Placement) -> float:
    """Pixels of the mask canvas to a chip's pixel."""
    return min(MASK_SCALE, max(LEAST_MASK_SCALE, PHOTO_SCALE / placement.scale))


def change_weights(pixels: UInt8Array, face: AlignedFace, strengths: Strengths) -> FloatArray:
    """How much each place of the mask canvas takes, (S', S', 2) float32 in 0..1.

    First of what is painted: lips, eyes and skin by their strengths, one running softly into the other. Second of
    the face's shade. Nothing of either on the eyeballs, the teeth and outside the face.
    """
    import cv2

    canvas = mask_canvas(face.placement)
    shape = (canvas.size, canvas.size)
    landmarks = canvas.to_chip(face.placement.to_photo(face.landmarks))
    lab = rgb_to_lab(crop(pixels, canvas))
    length = regions.unit(landmarks)
    grids = regions.eye_grids(landmarks, shape)
    lips = regions.lips_mask(landmarks, shape, grow=0.02, soft=0.02)
    eyes = np.maximum(regions.eyes_mask(landmarks, shape, grids), 0.8 * regions.brows_mask(landmarks, shape))
    # The network's colour of the lips spills a little over their edge; the skin around them takes less paint.
    around = regions.lips_mask(landmarks, shape, grow=SPILL, soft=0.03)
    skin = np.clip(1 - lips - eyes, 0, 1) * (1 - SPILL_TAKEN * np.clip(around - lips, 0, 1))
    painted = strengths.lips * lips + (1 - lips) * (strengths.eyes * eyes) + strengths.skin * skin
    kept = np.maximum(
        regions.openings_mask(landmarks, shape, grids, soft=0.01),
        regions.blur(regions.teeth_mask(landmarks, lab), 0.008 * length),
    )
    # Paint for the skin, and the face's shade beside lips and eyes, go on skin alone: not on hair, hat or glasses.
    # Paint for lips and eyes leaves out what is seen to lie before them.
    own = np.maximum(lips, eyes)
    # The skin's colour is as well known from a quarter of its pixels.
    half = cv2.resize(lab, (canvas.size // 2, canvas.size // 2), interpolation=cv2.INTER_AREA)
    colour = regions.skin_colour((landmarks + 0.5) / 2 - 0.5, half)
    face_edge = regions.face_mask(landmarks, shape, soft=SHADE_EDGE)
    # Black hair on dark skin differs from its shades by what hangs together alone; a jaw's own shade is none.
    uncovered = 1 - covers.cover_mask(landmarks, lab, colour) * np.maximum(own, face_edge)
    likeness = uncovered * (own + (1 - own) * regions.skin_likeness(landmarks, lab, colour))
    inside = (1 - kept) * regions.face_mask(landmarks, shape) * likeness
    # The shade fades out over more of jaw and temples than paint does, into a neck that keeps its own.
    shade = np.minimum(inside, face_edge)
    for mask, strength in ((lips, strengths.lips), (eyes, strengths.eyes)):
        # Lips and eyes share the skin's shade, but a region that is to stay as it is gets none of that either.
        spared = 1 - max(0.0, 1 - strength / SPARED_BELOW) * regions.smoothstep(0, 0.5, mask)
        painted, shade = painted * spared, shade * spared
    painted = np.clip(painted, 0, 1) * inside * _chip_ramp(face.placement, canvas.size)
    return np.stack([painted, shade], axis=-1).astype(np.float32)


def _chip_ramp(placement: Placement, canvas: int) -> FloatArray:
    """1 within the chip, 0 outside it, falling over EDGE_RAMP inside: a face may go on where the chip ends."""
    chip = placement.size * _mask_scale(placement)
    margin = (canvas - chip) / 2
    place = np.arange(canvas)
    depth = np.minimum(place - margin, canvas - 1 - margin - place) / (EDGE_RAMP * chip)
    ramp = regions.smoothstep(0, 1, depth)
    return np.asarray(np.minimum.outer(ramp, ramp), dtype=np.float32)


def _from_part(placement: Placement, left: int, top: int) -> NDArray[np.float64]:
    """(2, 3), from the pixels of a part of the photo that begins at (left, top) to the chip's."""
    matrix = placement.matrix.astype(np.float64)
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    return matrix


class Layers(NamedTuple):
    """What the change of each pixel follows from, at the chip's size, float32.

    linear: for each channel of the change (S, S, 4): its slopes for the pixel's red, green and blue, and the offset.
    low, high: (S, S, 3), between which the change is kept.
    """

    linear: tuple[FloatArray, FloatArray, FloatArray]
    low: FloatArray
    high: FloatArray


def _layers(chip: UInt8Array, change: FloatArray) -> Layers:
    import cv2

    slope, offset = _fit(chip.astype(np.float32), change)
    of_red, of_green, of_blue = (
        np.concatenate([slope[..., channel, :], offset[..., channel, None]], axis=-1) for channel in range(3)
    )
    # A highlight or a dark hair far from what the fit has seen must not be carried beyond the change around it.
    kernel = np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)
    return Layers((of_red, of_green, of_blue), cv2.erode(change, kernel), cv2.dilate(change, kernel))


def _at_full_size(part: UInt8Array, layers: Layers, to_chip: NDArray[np.float64]) -> Iterator[FloatArray]:
    """The change for each pixel of a part of the photo, in grey levels: red's, green's and blue's (h, w) float32."""
    import cv2

    shape = part.shape[:2]
    colours = [plane.astype(np.float32) for plane in cv2.split(part)]
    limits = (cv2.split(_to_photo(limit, to_chip, shape)) for limit in (layers.low, layers.high))
    for linear, low, high in zip(layers.linear, *limits, strict=True):
        *slopes, change = cv2.split(_to_photo(linear, to_chip, shape))
        for slope, colour in zip(slopes, colours, strict=True):
            slope *= colour
            change += slope
        yield cv2.min(cv2.max(change, low, dst=change), high, dst=change)


def _fit(guide: FloatArray, change: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Around each pixel, the linear function of the guide's colour that gives the change best.

    Returns slope (S, S, 3 of the change, 3 of the guide) and offset (S, S, 3). Formula: K. He, J. Sun, X. Tang,
    "Guided Image Filtering" (2010), for a colour guide; evaluated on another image as in K. He, J. Sun, "Fast Guided
    Filter" (2015).
    """
    mean_guide, mean_change = _mean(guide), _mean(change)
    covariance = _mean(guide[..., :, None] * guide[..., None, :]) - mean_guide[..., :, None] * mean_guide[..., None, :]
    cross = _mean(change[..., :, None] * guide[..., None, :]) - mean_change[..., :, None] * mean_guide[..., None, :]
    covariance = covariance + SMOOTHING * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(covariance, cross.swapaxes(-1, -2)).swapaxes(-1, -2).astype(np.float32)
    offset = mean_change - np.einsum("hwij,hwj->hwi", slope, mean_guide)
    return _mean(slope), _mean(offset.astype(np.float32))


def _mean(values: FloatArray) -> FloatArray:
    """The mean over the square around each pixel, for (S, S, ...) float32."""
    import cv2

    size = (2 * RADIUS + 1, 2 * RADIUS + 1)
    flat = np.ascontiguousarray(values.reshape(*values.shape[:2], -1))
    planes = [cv2.blur(flat[..., i], size, borderType=cv2.BORDER_REFLECT) for i in range(flat.shape[2])]
    return np.asarray(np.stack(planes, axis=-1).reshape(values.shape), dtype=np.float32)


def _to_photo(chip: FloatArray, to_chip: NDArray[np.float64], shape: tuple[int, int]) -> FloatArray:
    """A chip-sized image resampled over a part of the photo whose pixels `to_chip` takes into it."""
    import cv2

    warped = cv2.warpAffine(
        np.ascontiguousarray(chip),
        to_chip,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, dtype=np.float32)
