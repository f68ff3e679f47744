"""A made-up chip back into its photo: the makeup alone travels, along the photo's own edges.

The network sees 256 pixels of a face that may be 2,000 wide. What it changed (made-up chip against the chip that went
in) is fitted, around each pixel, as a linear function of the chip's colours; that function, applied to the photo's own
pixels, is the change at full size. So lips and lids keep the photo's sharp outlines, and pores, lashes and hair stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import CropTransform, FaceAnalysis, crop, footprint
from beautygan_cli.faces.occlusion import occlusion_of
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, log_light, rgb_to_lab, weighted_mean
from beautygan_cli.imaging.guided_filter import refine
from beautygan_cli.imaging.resize import divisible
from beautygan_cli.makeup.tiled_upsampling import Laid
from beautygan_cli.types import Box, FloatArray, UInt8Array

RADIUS = 3  # chip pixels around each pixel in which the change is fitted: a lid's crease is about that wide
SMOOTHING = 6.0**2  # grey levels squared: contrast below this is noise and does not steer the change
USUAL_SKIN = 0.7  # the default strength of the skin's change
SHADE_LIMIT = (4.0, 5.0, 5.0)  # L*, a*, b*: how far the skin as a whole may move, up to the default strength ...
FULL_SHADE_LIMIT = 16.0  # ... and at strength 1: beyond what the bundled model was trained to do
LIGHT_BLUR = 0.04  # units: light changes over wider distances than a lip's edge
SHADE_EDGE = 0.16  # units over which the face's shade fades out
SPILL = 0.12  # units around the lips in which ...
SPILL_TAKEN = 0.75  # ... this share of what is painted on the skin is left out
BROWS_SPARED = 0.9  # of what is painted on the skin, where the brows' hairs are: shadow would colour them
LEAST_WEIGHT = 1e-4  # below it a pixel is the photo's own, to the bit
DRAWN = 0.5  # of what is drawn around the eyes beyond the fit: liner stands out, and a network's unsteady line not yet
MARGIN = 0.3  # of the chip's size, drawn around it: a high forehead goes on there, and so does its shade
SPARED_BELOW = 0.25  # strength under which a region takes less than its share of the face's shade too, none at 0
EDGE_RAMP = 0.08  # of the chip's size, over which paint fades out before the chip's edge
FINE = 4.0  # photo pixels to a chip's, from which every other one of them is fine enough for the change
STRIP_PIXELS = 1 << 17  # of the photo made up at a time: few enough to stay in the processor's cache
STRIPS_LAID = 2  # at a time: more would hold much memory, fewer cost time at their edges
MASK_SCALE = 2.0  # region masks are drawn at twice the chip's size, for teeth and lashes finer than its pixels, ...
PHOTO_SCALE = 2.0  # ... or at twice the face's size in the photo, where that is less ...
LEAST_MASK_SCALE = 0.25  # ... but never smaller than this
LIPS_REACH, EYES_REACH = 0.3, 0.55  # units around lips, and around eyes and brows, beyond which nothing of them lies
EYES_AND_BROWS = np.r_[masks.BOTH_BROWS, masks.BOTH_EYES]  # landmarks


@dataclass(frozen=True)
class Strengths:
    """How much of the change each region takes, 0 to 1.

    Up to the default strength the skin keeps its own lightness, within SHADE_LIMIT on average; 1 is the full change.
    brows None: as the eyes where the reference's brows are painted in a colour, else but the shade of the whole face.
    """

    lips: float = 1.0
    eyes: float = 1.0
    skin: float = USUAL_SKIN
    brows: float | None = None

    def scaled(self, strength: float) -> Strengths:
        """All of them times `strength`."""
        brows = None if self.brows is None else self.brows * strength
        return Strengths(self.lips * strength, self.eyes * strength, self.skin * strength, brows)

    def decided(self, brows_painted: bool) -> Strengths:
        """With the eyes' strength for painted brows of which nothing is asked."""
        return replace(self, brows=self.eyes) if brows_painted and self.brows is None else self

    @property
    def none(self) -> bool:
        """Whether nothing at all is to change."""
        return max(self.lips, self.eyes, self.skin, self.brows or 0.0) <= 0


def paste(
    pixels: UInt8Array,
    face: FaceAnalysis,
    network_input: NDArray[Any],
    made_up: NDArray[Any],
    strengths: Strengths,
    weights: FloatArray | None = None,
) -> UInt8Array:
    """The photo with one face made up.

    pixels: (H, W, 3) uint8 RGB, the photo; network_input, made_up: (S, S, 3) RGB 0..255, the chip as it went into the
    network and as it came out; weights: what `change_weights` gives, where it is known already. Pixels outside the face
    are the photo's own, bit for bit; so is everything at strength 0.
    """
    result = pixels.copy()
    if not strengths.none:
        on_canvas = change_weights(pixels, face, strengths) if weights is None else weights
        paste_into(result, face, network_input, made_up, strengths, on_canvas)
    return result


def paste_into(
    photo: UInt8Array,
    face: FaceAnalysis,
    network_input: NDArray[Any],
    made_up: NDArray[Any],
    strengths: Strengths,
    weights: FloatArray,
    exactly: Sequence[Box] = (),
) -> list[FloatArray]:
    """As `paste`, but into the photo itself: a large one is slow to copy for each of its faces.

    exactly: boxes of the photo. Returns for each what it shows afterwards before it is rounded to whole grey levels,
    (H, W, 3) float32 RGB 0..255, for whoever works on what is painted: in the dark a level is much of the light.
    """
    import cv2

    exact = [photo[place].astype(np.float32) for place in exactly]

    # On a large face the change is computed at half the photo's size: the photo's own pixels lose nothing by that.
    step = 2 if 1 / face.crop_transform.scale >= FINE else 1
    canvas = mask_canvas(face.crop_transform)
    box = None if strengths.none else _box(canvas, weights, (photo.shape[0], photo.shape[1]), step)
    if box is None:
        return exact
    left, top, right, bottom = box
    if (right - left) % step or (bottom - top) % step:  # the whole of a photo of an odd size
        step = 1
    change, shade = split_change(network_input, made_up, face, strengths)
    drawn = DRAWN * face.mask(masks.eyes_mask)
    shares = [weights], canvas.in_part(left, top, step)
    changes = _layers(face.chip, change, drawn), face.crop_transform.in_part(left, top, step)
    part = photo[top:bottom, left:right]
    own = part
    if step > 1:
        own = cv2.resize(part, ((right - left) // step, (bottom - top) // step), interpolation=cv2.INTER_AREA)
    unrounded = own.astype(np.float32) if exactly else None
    if step == 1:
        _paint_all(part, shares, changes, shade, unrounded)
        _take_exact(exact, exactly, box, unrounded, 1)
        return exact
    painted = own.copy()
    _paint_all(painted, shares, changes, shade, unrounded)
    _take_exact(exact, exactly, box, None if unrounded is None else unrounded - own, step)
    for laid_on, one, other in ((cv2.add, painted, own), (cv2.subtract, own, painted)):
        more = cv2.resize(cv2.subtract(one, other), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        laid_on(part, more, dst=part)
    return exact


def _take_exact(
    exact: Sequence[FloatArray],
    places: Sequence[Box],
    box: tuple[int, int, int, int],
    painted: FloatArray | None,
    step: int,
) -> None:
    """Bring what was painted in a face's box (left, top, right, bottom) into the boxes `places`, float as it is.

    painted: of the face's box at 1 / step of its size; itself where the step is 1, else by how much it changed.
    """
    import cv2

    if painted is None:
        return
    left, top, right, bottom = box
    for values, (rows, columns) in zip(exact, places, strict=True):
        first, last = max(rows.start, top), min(rows.stop, bottom)
        start, end = max(columns.start, left), min(columns.stop, right)
        if first >= last or start >= end:
            continue
        inside = values[first - rows.start : last - rows.start, start - columns.start : end - columns.start]
        if step == 1:
            inside[:] = painted[first - top : last - top, start - left : end - left]
            continue
        # A pixel more on each side, so that the enlarged cut is what a cut of the enlarged whole would be.
        low = max((first - top) // step - 1, 0), max((start - left) // step - 1, 0)
        high = -(-(last - top) // step) + 1, -(-(end - left) // step) + 1
        cut = painted[low[0] : high[0], low[1] : high[1]]
        more = cv2.resize(cut, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        row, column = first - top - step * low[0], start - left - step * low[1]
        inside += more[row : row + last - first, column : column + end - start]


Layers = tuple[list[FloatArray], CropTransform]  # images, and how they lie in what is made up


def _paint_all(
    part: UInt8Array, shares: Layers, changes: Layers, shade: FloatArray, unrounded: FloatArray | None
) -> None:
    """Make up the box of a face in place, some rows at a time; `unrounded`, of its shape, gets the same as float."""
    height, width = part.shape[:2]
    strip = max(1, STRIP_PIXELS // width)
    for start in range(0, height, STRIPS_LAID * strip):
        end = min(start + STRIPS_LAID * strip, height)
        share, change = (Laid(*layers, (0, start, width, end)) for layers in (shares, changes))
        for first in range(0, end - start, strip):
            rows = slice(first, min(first + strip, end - start))
            whole = slice(start + rows.start, start + rows.stop)
            _paint(part[whole], rows, share, change, shade, None if unrounded is None else unrounded[whole])


def _paint(
    part: UInt8Array, rows: slice, shares: Laid, changes: Laid, shade: FloatArray, unrounded: FloatArray | None
) -> None:
    """Make up some rows of the face's box in place."""
    import cv2

    painting, shading = shares.part(rows, slice(0, part.shape[1]))
    inside = cv2.compare(cv2.max(painting, shading), LEAST_WEIGHT, cv2.CMP_GT)
    left, _, width, _ = cv2.boundingRect(inside)
    if not width:
        return
    span = slice(left, left + width)
    own, painting, shading = part[:, span], painting[:, span], shading[:, span]
    colours = [plane.astype(np.float32) for plane in cv2.split(own)]
    painted = []
    for number, (colour, of_shade) in enumerate(zip(colours, shade, strict=True)):
        *slopes, change, low, high = changes.part(rows, span, PLANES[number])
        for slope, guide in zip(slopes, colours, strict=True):
            cv2.accumulateProduct(slope, guide, change)
        change = cv2.min(cv2.max(change, low), high)
        result = cv2.scaleAdd(shading, float(of_shade), colour)
        cv2.accumulateProduct(change, painting, result)
        painted.append(result)
    whole, within = cv2.merge(painted), np.ascontiguousarray(inside[:, span])
    if unrounded is not None:
        cv2.copyTo(np.clip(whole, 0, 255), within, unrounded[:, span])
    cv2.copyTo(_to_bytes(whole), within, own)


def _box(
    canvas: CropTransform, weights: FloatArray, shape: tuple[int, int], step: int
) -> tuple[int, int, int, int] | None:
    """The part (left, top, right, bottom) of a photo of (H, W) outside which no weight is left.

    Its sides are multiples of `step`, 1 or 2, where the photo has room for that.
    """
    import cv2

    # Every other place tells it to a pixel of the canvas, which is left around it.
    inside = np.maximum(weights[::2, ::2, 0], weights[::2, ::2, 1]) > LEAST_WEIGHT
    column, row, width, height = 2 * np.array(cv2.boundingRect(inside.astype(np.uint8)))
    if not width:
        return None
    left, top, right, bottom = footprint(canvas, shape, (column - 1, row - 1, column + width, row + height))
    (left, right), (top, bottom) = divisible(left, right, shape[1], step), divisible(top, bottom, shape[0], step)
    return left, top, right, bottom


def _to_bytes(values: FloatArray) -> UInt8Array:
    """Rounded and clipped to 0..255, by OpenCV, which is several times as fast as NumPy here."""
    import cv2

    flat = np.empty(values.shape, dtype=np.uint8)
    cv2.convertScaleAbs(cv2.max(values, 0.0), dst=flat)
    return flat


def split_change(
    network_input: NDArray[Any], made_up: NDArray[Any], face: FaceAnalysis, strengths: Strengths
) -> tuple[FloatArray, FloatArray]:
    """The network's change as what is painted, (S, S, 3), and the shade of the whole face, (3,), in grey levels.

    The shade is the skin's mean change, times its strength and within the bound on its lightness. What is left of it
    is taken from the whole picture as less light would, so that lips and lids keep their contrast to the skin.
    """
    import cv2

    before, after = np.asarray(network_input, dtype=np.float32), np.asarray(made_up, dtype=np.float32)
    skin = face.mask(masks.skin_mask)
    own, full = weighted_mean(before, skin), weighted_mean(after, skin)
    if not np.isfinite(own).all():  # no skin in sight
        return after - before, np.zeros(3, dtype=np.float32)
    wanted = _bounded_skin(own, full, strengths.skin)
    # Gamma-coded values times a factor are light times that factor to the gamma: exposure.
    dimming = np.clip((wanted + 1) / (full + 1), 0.25, 4) - 1
    shade = (wanted - own).astype(np.float32)
    # Around the face may be a mask's grey, which must not shine in: what is known within goes on over the edge.
    face_alone = face.mask(masks.face_mask)
    inside = cv2.merge([drawing.smoothstep(0.9, 1, face_alone)] * 3)
    reach = LIGHT_BLUR * masks.interocular_distance(face.landmarks)
    known = np.maximum(cv2.merge([drawing.blur(inside[..., 0], reach)] * 3), np.float32(1e-3))
    light = cv2.multiply(drawing.blur(after * inside, reach) / known, (*map(float, dimming), 0.0))
    change = after + light - cv2.add(before, (*map(float, shade), 0.0))
    beyond = drawing.blur(change * inside, reach) / known
    return np.asarray(beyond + inside * (change - beyond), dtype=np.float32), shade


def shade_density(
    network_input: NDArray[Any], made_up: NDArray[Any], face: FaceAnalysis, strengths: Strengths
) -> NDArray[np.float64]:
    """What the whole face's shade, as `split_change` gives it, divides linear red, green and blue by: its logarithm."""
    skin = face.mask(masks.skin_mask)
    own, full = weighted_mean(np.asarray(network_input), skin), weighted_mean(np.asarray(made_up), skin)
    if not np.isfinite(own).all():
        return np.zeros(3)
    both = np.stack([own, _bounded_skin(own, full, strengths.skin)])
    light = log_light(both)
    return np.asarray(light[0] - light[1], dtype=np.float64)


def _bounded_skin(own: NDArray[Any], full: NDArray[Any], strength: float) -> NDArray[np.float64]:
    """The mean RGB that the skin is to have, between its own and the network's."""
    lab_own, lab_full = rgb_to_lab(np.stack([own, full])[None])[0]
    beyond = max(0.0, strength - USUAL_SKIN) / (1 - USUAL_SKIN)
    limit = (1 - beyond) * np.array(SHADE_LIMIT) + beyond * FULL_SHADE_LIMIT
    moved = np.clip(strength * (lab_full - lab_own), -limit, limit)
    return np.asarray(lab_to_rgb((lab_own + moved)[None, None])[0, 0], dtype=np.float64)


def mask_canvas(crop_transform: CropTransform) -> CropTransform:
    """Where masks are drawn: the chip and MARGIN around it, at MASK_SCALE of its size or PHOTO_SCALE of the photo's.

    Its size is even.
    """
    scale = _mask_scale(crop_transform)
    margin = round(MARGIN * crop_transform.size * scale)
    matrix = crop_transform.matrix * np.float32(scale)
    # A pixel's centre lies at its whole coordinate: scaled, that is half a pixel off.
    matrix[:, 2] += margin + (scale - 1) / 2
    return CropTransform(matrix, 2 * (round(crop_transform.size * scale / 2) + margin))


def _mask_scale(crop_transform: CropTransform) -> float:
    """Pixels of the mask canvas to a chip's pixel."""
    return min(MASK_SCALE, max(LEAST_MASK_SCALE, PHOTO_SCALE / crop_transform.scale))


def _halved(canvas: CropTransform) -> CropTransform:
    """The same canvas with half as many pixels a side."""
    matrix = canvas.matrix / np.float32(2)
    matrix[:, 2] -= 0.25
    return CropTransform(matrix, canvas.size // 2)


class _Surroundings(NamedTuple):
    """What is known of the face's box at half of the mask canvas's size, (H, W) float32 in 0..1 each."""

    box: Box  # of the halved canvas
    face: FloatArray
    face_edge: FloatArray  # softer, for the shade
    seen: FloatArray  # as skin: not before it, or of its own colour all the same

    def part(self, box: Box) -> _Surroundings:
        """At the canvas's own size, a box of it; nothing of anything where that reaches over the face's own box."""
        import cv2

        matrix = np.array([[0.5, 0, 0], [0, 0.5, 0]])
        matrix[:, 2] = [(box[i].start + 0.5) / 2 - 0.5 - self.box[i].start for i in (1, 0)]
        size = (box[1].stop - box[1].start, box[0].stop - box[0].start)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        planes = cv2.split(cv2.warpAffine(cv2.merge(self[1:]), matrix, size, flags=flags))
        return _Surroundings(box, *planes)


def change_weights(pixels: UInt8Array, face: FaceAnalysis, strengths: Strengths, *, remove: bool = False) -> FloatArray:
    """How much each place of the mask canvas takes, (S', S', 2) float32 in 0..1.

    First of what is painted: lips, eyes, brows and skin by their strengths, one running softly into the other. Second
    of the face's shade. Nothing of either on the eyeballs, the teeth and outside the face. `remove`: the change takes
    makeup off, and whatever colour there is around the eyes may be that.
    """
    import cv2

    canvas = mask_canvas(face.crop_transform)
    weights = np.zeros((canvas.size, canvas.size, 2), dtype=np.float32)
    landmarks = canvas.to_chip(face.crop_transform.to_photo(face.landmarks))
    whole = _around(canvas.size, masks.face_outline(landmarks), 2.0)
    if whole is None:
        return weights
    # What is soft, or found by colour, is as well known from a quarter of the pixels; lips and eyes need them all.
    halved_landmarks = np.asarray((landmarks + 0.5) / 2 - 0.5, dtype=np.float32)
    known = _surroundings(pixels, face, _halved(canvas), halved_landmarks, whole)
    bare = known.face * known.seen
    scale = _mask_scale(face.crop_transform)
    ramp = _chip_ramp(face.crop_transform, canvas.size // 2, scale / 2)[known.box]
    # The shade fades out over more of jaw and temples than paint does, into a neck that keeps its own.
    halved = np.stack([strengths.skin * bare * ramp, np.minimum(bare, known.face_edge)], axis=-1)
    weights[whole] = cv2.resize(halved.astype(np.float32), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    ramp = _chip_ramp(face.crop_transform, canvas.size, scale)
    length = masks.interocular_distance(landmarks)
    lips = _around(canvas.size, landmarks[masks.OUTER_LIPS], LIPS_REACH * length)
    eyes = _around(canvas.size, landmarks[EYES_AND_BROWS], EYES_REACH * length)
    for box in filter(None, (lips, eyes)):
        with_eyes = _overlap(box, eyes)
        painted, shade = _detail(pixels, canvas, landmarks, box, known.part(box), strengths, remove, with_eyes)
        weights[box] = np.stack([painted * ramp[box], shade], axis=-1)
    return weights


def _surroundings(
    pixels: UInt8Array, face: FaceAnalysis, canvas: CropTransform, landmarks: FloatArray, whole: Box
) -> _Surroundings:
    """On the halved canvas; whole: the face's box on the canvas itself."""
    box = (_half(whole[0]), _half(whole[1]))
    rows, columns = box
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    shown = crop(pixels, canvas, (columns.start, rows.start, columns.stop, rows.stop))
    lab = rgb_to_lab(shown)
    landmarks = landmarks - np.array([columns.start, rows.start], dtype=np.float32)
    occlusion = refine(_on_canvas(occlusion_of(face), face.crop_transform, canvas, box), shown)
    colour = masks.skin_colour(landmarks, lab)
    # What the network takes for a cover and is of the skin's own colour would show as a patch, were it left out.
    seen = np.asarray(1 - occlusion * (1 - masks.skin_probability(landmarks, lab, colour)), np.float32)
    return _Surroundings(
        box,
        masks.face_mask(landmarks, shape),
        masks.face_mask(landmarks, shape, soft=SHADE_EDGE),
        _kept_for_eyes(face, canvas, box, seen),
    )


def _kept_for_eyes(face: FaceAnalysis, canvas: CropTransform, box: Box, seen: FloatArray) -> FloatArray:
    face.known["seen"] = (canvas, box, seen)
    return seen


def seen_in(face: FaceAnalysis, box: Box) -> FloatArray:
    """How far a box of the photo shows the face and nothing before it, (H, W) in 0..1, once its weights are drawn."""
    import cv2

    size = (box[1].stop - box[1].start, box[0].stop - box[0].start)
    if "seen" not in face.known:
        return np.ones(size[::-1], np.float32)
    canvas, part, seen = face.known["seen"]
    matrix = np.asarray(canvas.matrix, dtype=np.float64).copy()
    matrix[:, 2] += matrix[:, :2] @ (box[1].start, box[0].start) - (part[1].start, part[0].start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(seen, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _on_canvas(mask: FloatArray, crop_transform: CropTransform, canvas: CropTransform, box: Box) -> FloatArray:
    """A mask of a chip's size on a box of the canvas; past the chip's edge its last values go on."""
    import cv2

    both = [np.vstack([item.matrix, [0, 0, 1]]).astype(np.float64) for item in (canvas, crop_transform)]
    matrix = (both[0] @ np.linalg.inv(both[1]))[:2]
    matrix[:, 2] -= (box[1].start, box[0].start)
    size = (box[1].stop - box[1].start, box[0].stop - box[0].start)
    laid = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, dtype=np.float32)


def _half(ends: slice) -> slice:
    return slice(ends.start // 2, ends.stop // 2)


def _around(size: int, points: NDArray[Any], reach: float) -> Box | None:
    """The box of the canvas, with even ends, that holds points and so many pixels around them; None outside of it."""
    low = np.clip(points.min(axis=0) - reach, 0, size) // 2 * 2
    high = np.clip(-(-(points.max(axis=0) + reach) // 2) * 2, 0, size)
    left, top, right, bottom = (int(value) for value in (*low, *high))
    return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


def _overlap(first: Box, second: Box | None) -> bool:
    return second is not None and all(a.start < b.stop and b.start < a.stop for a, b in zip(first, second, strict=True))


def _detail(
    pixels: UInt8Array,
    canvas: CropTransform,
    landmarks: NDArray[Any],
    box: Box,
    known: _Surroundings,
    strengths: Strengths,
    remove: bool,
    with_eyes: bool,
) -> tuple[FloatArray, FloatArray]:
    """What is painted and the shade in a box of the canvas, with the lips and (`with_eyes`) eyes that lie there."""
    rows, columns = box
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    landmarks = landmarks - np.array([columns.start, rows.start], dtype=np.float32)
    length = masks.interocular_distance(landmarks)
    on_brows = strengths.brows or 0.0
    lips = masks.lips_mask(landmarks, shape, grow=0.02, soft=0.02)
    eyes = brows = around_eyes = kept = np.zeros(shape, dtype=np.float32)
    if with_eyes:
        grids = masks.eye_grids(landmarks, shape)
        kept = masks.openings_mask(landmarks, shape, grids, soft=0.01)
        if remove:
            eyes = around_eyes = masks.around_eyes_mask(landmarks, shape, grids)
        else:
            brows = masks.brows_over_lids(landmarks, shape, grids)
            eyes = masks.eyes_mask(landmarks, shape, grids)
            lids = eyes * (1 - brows)
            around_eyes, eyes = np.maximum(eyes, brows) if strengths.brows is None else lids, lids
    # The network's colour of the lips spills a little over their edge; the skin around them takes less paint.
    around = masks.lips_mask(landmarks, shape, grow=SPILL, soft=0.03)
    skin = np.clip(1 - lips - eyes, 0, 1) * (1 - SPILL_TAKEN * np.clip(around - lips, 0, 1))
    skin = skin * (1 - max(BROWS_SPARED, on_brows) * brows)
    apart = strengths.eyes * eyes + on_brows * brows
    painted = strengths.lips * lips + (1 - lips) * apart + strengths.skin * skin
    if lips.any() and masks.mouth_is_open(landmarks):
        lab = rgb_to_lab(crop(pixels, canvas, (columns.start, rows.start, columns.stop, rows.stop)))
        kept = np.maximum(kept, drawing.blur(masks.teeth_mask(landmarks, lab), 0.008 * length))
    # Nothing goes on hair, hat or glasses before the face.
    inside = (1 - kept) * known.face * known.seen
    shade = np.minimum(inside, known.face_edge)
    kept_brows = 1.0 if strengths.brows is None else strengths.brows
    for mask, strength in ((lips, strengths.lips), (around_eyes, strengths.eyes), (brows, kept_brows)):
        # Lips and eyes share the skin's shade, but a region that is to stay as it is gets none of that either.
        spared = 1 - max(0.0, 1 - strength / SPARED_BELOW) * drawing.smoothstep(0, 0.5, mask)
        painted, shade = painted * spared, shade * spared
    return np.asarray(np.clip(painted, 0, 1) * inside, np.float32), np.asarray(shade, np.float32)


def _chip_ramp(crop_transform: CropTransform, canvas: int, scale: float) -> FloatArray:
    """1 within the chip, 0 outside it, falling over EDGE_RAMP inside: a face may go on where the chip ends.

    Of a canvas of so many pixels a side, `scale` of them to a chip's.
    """
    chip = crop_transform.size * scale
    margin = (canvas - chip) / 2
    place = np.arange(canvas)
    depth = np.minimum(place - margin, canvas - 1 - margin - place) / (EDGE_RAMP * chip)
    ramp = drawing.smoothstep(0, 1, depth)
    return np.asarray(np.minimum.outer(ramp, ramp), dtype=np.float32)


# The channels of `_layers` for red, green and blue: slopes, offset, and the two limits.
PLANES = ((0, 1, 2, 3, 12, 15), (4, 5, 6, 7, 13, 16), (8, 9, 10, 11, 14, 17))


def _layers(chip: UInt8Array, change: FloatArray, drawn: FloatArray) -> list[FloatArray]:
    """What the change of each pixel follows from: for each of its channels slopes and offset as `_fit` gives them.

    And two of (S, S, 3), the limits between which the change is kept. drawn: (S, S), 0..1, where lines are drawn over
    the skin that follow nothing in it: liner would be lost in the fit.
    """
    import cv2

    # A highlight or a dark hair far from what the fit has seen must not be carried beyond the change around it.
    kernel = np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)
    limits = [reach(change, kernel) for reach in (cv2.erode, cv2.dilate)]
    guide = chip.astype(np.float32)
    whole = cv2.merge([*cv2.split(guide), np.ones_like(drawn)])
    layers = _fit(guide, change)
    for number, linear in enumerate(layers):
        fitted = cv2.transform(cv2.multiply(linear, whole), np.ones((1, 4), np.float32))
        linear[..., 3] += drawn * (change[..., number] - fitted)
    return [*layers, *limits]


def fitted_change(chip: UInt8Array, change: FloatArray) -> list[FloatArray]:
    """A chip's change as a function of the chip's colours, which finds the photo's own edges again at its full size.

    chip, change: (S, S, 3). Returns, for each channel, (S, S, 4): slopes for red, green and blue and the offset; and
    two of (S, S, 3), the limits between which the change lies around each pixel.
    """
    return _layers(chip, change, np.zeros(change.shape[:2], np.float32))


def _fit(guide: FloatArray, change: FloatArray) -> tuple[FloatArray, ...]:
    """Around each pixel, the linear function of the guide's colour that gives the change best, for each channel.

    guide, change: (S, S, 3). Returns for each channel of the change (S, S, 4): its slopes for red, green and blue, and
    the offset. Formula: K. He, J. Sun, X. Tang, "Guided Image Filtering" (2010), for a colour guide;
    evaluated on another image as in K. He, J. Sun, "Fast Guided Filter" (2015).
    """
    import cv2

    colours = cv2.split(guide)
    means = [_mean(plane) for plane in colours]

    def covariance(one: int, other: int) -> FloatArray:
        return _mean(colours[one] * colours[other]) - means[one] * means[other]

    (rr, gg, bb), (rg, rb, gb) = (
        [covariance(i, i) + np.float32(SMOOTHING) for i in range(3)],
        [covariance(i, j) for i, j in ((0, 1), (0, 2), (1, 2))],
    )
    # The inverse of the symmetric 3 x 3 matrix, by its cofactors.
    inverse = (
        (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg),
        (rb * gb - rg * bb, rr * bb - rb * rb, rg * rb - rr * gb),
        (rg * gb - rb * gg, rg * rb - rr * gb, rr * gg - rg * rg),
    )
    determinant = rr * inverse[0][0] + rg * inverse[0][1] + rb * inverse[0][2]
    linear = []
    for plane in cv2.split(change):
        mean = _mean(plane)
        cross = [(_mean(plane * colour) - mean * of) / determinant for colour, of in zip(colours, means, strict=True)]
        slopes = [sum(a * b for a, b in zip(row, cross, strict=True)) for row in inverse]
        offset = mean - sum(slope * of for slope, of in zip(slopes, means, strict=True))
        linear.append(_mean(cv2.merge([*slopes, offset])))
    return tuple(linear)


def _mean(values: FloatArray) -> FloatArray:
    """The mean over the square around each pixel, for (S, S) or (S, S, C) float32."""
    import cv2

    size = (2 * RADIUS + 1, 2 * RADIUS + 1)
    return np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
