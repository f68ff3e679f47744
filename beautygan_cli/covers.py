"""What lies before a face, told from it by the photo itself: hair, the frame of glasses, a hand; and shut lids.

Landmarks say where lips and lids would be. Where the photo shows there what belongs to something that begins on the
skin beside them (by colour, by thin lines, by connection), they are covered. All masks are (H, W) float32 of 0..1,
landmarks and `lab`, the L*a*b* image, as in `regions`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import regions
from beautygan_cli.colour import rgb_to_lab

FloatArray = NDArray[np.float32]
Mask = NDArray[np.bool_]

LARGE_FACE = 100  # pixels between the eyes from which a face is looked at in half its size
EVEN_LIGHT = 55.0  # L* of skin whose shades spread as `regions.LEAST_SPREAD` says; those of darker skin spread less
FOREIGN = 0.65  # skin's likeness below which a pixel may belong to a cover ...
CERTAIN = 0.4  # ... and below which it may start one, on plain skin
LINE_WIDTH = 0.11  # units: frames, locks and fingers' gaps are thinner, sockets and cheeks' shades are wider
LINE_CONTRAST = 0.30  # of the lightness around, by which a line on the lids is darker or lighter than they are
SEED_AREA = 0.004  # square units of cover on plain skin below which it is a mole, a pore or noise
LIGHT_LINE = 0.95  # likeness to skin below which a line starts a cover, and a light one may be one
DARK_LINE = 0.5  # contrast that no wrinkle has: such a line is a cover though its colour be skin's in deep shade
FINE_LINE = 0.15  # contrast of a line that is a cover if its hue differs from skin's ...
LINE_HUE = 7.0  # ... by this much in a*b*
LID_HUE = 5.0  # a*b* distance within which the eye's place shows the lid's hue ...
LID_SHARE = 0.93  # ... on this share of it where the eye is shut or covered; iris and white leave less than 0.87
LID_LIGHT = 0.6  # of the lid's lightness, which ...
LID_LIGHT_SHARE = 0.4  # ... this share of the place has then: dark irises in dark skin have its hue, too
LIGHTEST_LID = 1.35  # times the lid's lightness that the place has at most: the white in dark skin has more
LASHES_DARK = 0.65  # of the lid's lightness: shut lashes are at 0.35 to 0.5, a finger's shades at 0.8
BROW_CORE = 0.12  # of a brow's soft mask
ABOVE_BROW = 0.3  # units from which on downward a cover goes on over a brow
SHUT_GAP = 0.06  # units that a shut eye's lower lid is put below its upper one
BEARD_BESIDE = 0.2  # units beside the mouth to which a beard grows
BEARD_SHARE = 0.25  # of where it grows, that a dense one covers; stubble and shades are found on up to 0.16
LASH_RING = 0.07  # eye widths around the opening where lashes and liner lie, which look like hair because they are
LIP_RING = (0.05, 0.4)  # units around the mouth in which a cover of the lips begins
LIP_LIKENESS = 0.9  # to skin, below which that ring is covered: a hand in another tone
LIP_COVER_AREA = 0.02  # square units of it that there must be
COVER_COLOUR = 0.2  # how much nearer to the cover's colour than to the lips' a covered pixel of the lips is, -1 to 1
LIP_CONTRAST = 5.0  # a*b* distance from the skin's hue below which a lip can't be told from a finger
LARGE_PARTS = 0.6  # of the largest covered part of the lips that the next one has where no finger did it, ...
CORNER_PARTS = 0.2  # ... or this much where they lie in both corners
LIP_SHARE = 0.12  # of a lip's area that a finger of the skin's own hue covers at the least


Colour = tuple[NDArray[Any], NDArray[Any]]


def cover_mask(landmarks: NDArray[Any], lab: NDArray[Any], colour: Colour | None) -> FloatArray:
    """How surely each pixel of lips and eyes is covered by something before the face; colour: `regions.skin_colour`."""
    import cv2

    if colour is None:
        return np.zeros(lab.shape[:2], dtype=np.float32)
    # Half the size of a large face is fine enough for a hair before it, and takes a quarter of the time.
    part = 2 if regions.unit(landmarks) > LARGE_FACE else 1
    small = cv2.resize(lab, (lab.shape[1] // part, lab.shape[0] // part), interpolation=cv2.INTER_AREA)
    points = np.asarray((landmarks + 0.5) / part - 0.5, np.float32)
    hue = regions.skin_hue(small, colour[0])
    likeness = _likeness(small, hue, colour)
    dark, bright = _lines(small[..., 0], LINE_WIDTH * regions.unit(points))
    tinged = (np.maximum(dark, bright) > FINE_LINE) & (np.hypot(hue[..., 0], hue[..., 1]) > LINE_HUE)
    # What is lighter than skin between two dark things may be skin; it must differ from it in hue as well.
    line = np.maximum(dark, bright * (likeness < LIGHT_LINE))
    certain = tinged | (likeness < CERTAIN) | ((line > LINE_CONTRAST) & (likeness < LIGHT_LINE)) | (dark > DARK_LINE)
    candidate = certain | (likeness < FOREIGN) | (line > LINE_CONTRAST)
    lips = before_lips(points, small, hue, certain | (likeness < LIP_LIKENESS))
    cover = np.maximum(before_eyes(points, small, candidate, certain), lips)
    if not cover.any():
        return np.zeros(lab.shape[:2], dtype=np.float32)
    return np.asarray(cv2.resize(cover, (lab.shape[1], lab.shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _likeness(lab: NDArray[Any], hue: FloatArray, colour: Colour) -> FloatArray:
    """As `regions.skin_likeness`, but stricter with what is darker than dark skin, as black hair is."""
    middle, spread = colour
    light = (lab[..., 0] - middle[0]) / spread[0]
    # Shade takes a share of the light: of dark skin's that is fewer L*, while its shine is as bright as any.
    darker = np.float32(max(1.0, EVEN_LIGHT / max(float(middle[0]), 15.0)))
    light *= np.where(light < 0, darker, np.float32(1))
    distance = regions.skin_distance(light, hue, spread)
    return regions.smoothstep(regions.FARTHEST_SKIN, regions.FARTHEST_SKIN / 2, distance)


def before_eyes(landmarks: NDArray[Any], lab: NDArray[Any], candidate: Mask, certain: Mask) -> FloatArray:
    """Frames, hair and fingers before lids and brows: what hangs together with a cover of the plain skin around.

    candidate: pixels that may be a cover; certain: those that are one where there should be plain skin.
    """
    import cv2

    shape, length = (lab.shape[0], lab.shape[1]), regions.unit(landmarks)
    grids = regions.eye_grids(landmarks, shape)
    eyes, brows = regions.eyes_mask(landmarks, shape, grids), regions.brows_mask(landmarks, shape)
    face = regions.face_mask(landmarks, shape)
    candidate = candidate & (face > 0.3) & ~_mouth_and_nose(landmarks, shape)
    brow = brows > BROW_CORE
    ring = np.zeros(shape, dtype=bool)
    for grid in grids:
        # A deep-set eye's crease is a dark line, too: a cover of the lid itself shows by more than that.
        lid = (grid.u > -0.1) & (grid.u < 1.2) & (grid.v > 0) & (grid.v < 0.6)
        candidate[grid.box] &= certain[grid.box] | ~lid
        ring[grid.box] |= (grid.u > -0.1) & (grid.u < 1.1) & (grid.above < LASH_RING) & (grid.below < LASH_RING)
    # In light from the side the corner beside the nose lies in a shade as dark as hair: nothing starts there.
    plain = (face > 0.7) & (eyes < 0.05) & (brows < 0.05) & ~_inner_corners(landmarks, shape)
    certain = certain & candidate & plain
    cover = np.zeros(shape, dtype=bool)
    if certain.sum() >= SEED_AREA * length**2:
        # A brow is dark by nature and ends near the hair: it leads on only what comes down on it from above.
        free = candidate & ~ring
        cover = _connected(free & ~brow, certain, SEED_AREA * length**2)
        reach = round(ABOVE_BROW * length)
        below = cv2.dilate(cover.astype(np.uint8), np.ones((reach + 1, 3), np.uint8), anchor=(1, reach)) > 0
        cover = _connected(free & (~brow | below), certain, SEED_AREA * length**2)
        # What crosses the lashes is found again from both its sides.
        side = 2 * round(0.05 * length) + 1
        closed = cv2.morphologyEx(cover.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)) > 0
        cover |= closed & ring & candidate
        beard = _beard(landmarks, shape)
        if cover[beard].sum() < BEARD_SHARE * beard.sum():  # stubble, or a nose's shade, whose outlines would show
            cover &= ~beard
    for grid in grids:
        if _eye_state(grid, lab[grid.box]) is EyeState.COVERED:
            cover[grid.box] |= (grid.u > -0.4) & (grid.u < 1.9) & (grid.v < 1.3) & (grid.below < 0.5)
    if not cover.any():
        return np.zeros(shape, dtype=np.float32)
    grown = cv2.dilate(cover.astype(np.float32), np.ones((7, 7), np.uint8))
    return regions.blur(grown, 0.006 * length)


class EyeState(Enum):
    """What the photo shows where the landmarks put an eye."""

    OPEN = "open"
    SHUT = "shut"
    COVERED = "covered"


def _eye_state(grid: regions.EyeGrid, lab: NDArray[Any]) -> EyeState:
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


def _lash_line(grid: regions.EyeGrid, lab: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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


def seen_landmarks(landmarks: NDArray[Any], pixels: NDArray[Any]) -> FloatArray:
    """The landmarks with the lids of shut eyes laid on their lash line; pixels: the (H, W, 3) RGB image.

    Trained on open eyes, dlib's predictor leaves a shut one open by a third: its lid would stay unpainted there.
    """
    result = np.array(landmarks, dtype=np.float32)
    size = regions.unit(landmarks)
    for upper, lower, brow in regions.EYES:
        eye = landmarks[[*upper, *lower]]
        left, top = (max(0, int(v)) for v in np.minimum(eye, landmarks[brow].min(axis=0)).min(axis=0) - 0.3 * size)
        right, bottom = (int(v) for v in eye.max(axis=0) + 0.3 * size)
        part = pixels[top:bottom, left:right]
        if min(part.shape[:2]) < 8:
            continue
        lab = regions.blur(rgb_to_lab(part), 0.006 * size)
        points = landmarks - np.array([left, top])
        shape = (part.shape[0], part.shape[1])
        grid = regions.eye_grid(points[upper], points[lower], points[brow], shape, whole=True)
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


def _lines(light: NDArray[Any], width: float) -> tuple[FloatArray, FloatArray]:
    """How much darker, and lighter, each pixel is than what is around it, where that is thinner than `width`."""
    import cv2

    side = 2 * round(width / 2) + 1
    flat = np.ascontiguousarray(light, dtype=np.float32)
    kernel = np.ones((side, side), np.uint8)
    closed, opened = (cv2.morphologyEx(flat, kind, kernel) for kind in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN))
    return (closed - flat) / (closed + 5), (flat - opened) / (flat + 5)


def _connected(candidate: Mask, seeds: Mask, least: float) -> Mask:
    """The connected parts of `candidate` that hold at least `least` pixels of `seeds`."""
    import cv2

    count, labels = cv2.connectedComponents(candidate.astype(np.uint8), connectivity=8)
    held = np.bincount(labels[seeds & candidate], minlength=count)
    held[0] = 0
    return np.asarray((held >= least)[labels])


def _mouth_and_nose(landmarks: NDArray[Any], shape: tuple[int, int]) -> Mask:
    """Lips with what they shade, and the nostrils: natural things that are no skin."""
    size = regions.unit(landmarks)
    points = np.asarray(landmarks, dtype=np.float64)
    mouth = regions.smooth_curve(points[regions.OUTER_LIPS], closed=True)
    nose = np.stack(
        [
            points[30],
            points[35] + [0.16 * size, -0.1 * size],
            points[33] + [0, 0.1 * size],
            points[31] - [0.16 * size, 0.1 * size],
        ]
    )
    near = regions.fill(shape, regions.grown(mouth, 0.05 * size), nose)
    return np.asarray(near > 0.5)


def _beard(landmarks: NDArray[Any], shape: tuple[int, int]) -> Mask:
    """Where a beard grows, from the nose to the jaw."""
    size = regions.unit(landmarks)
    points = np.asarray(landmarks, dtype=np.float64)
    beside = np.array([BEARD_BESIDE * size, 0])
    outline = [points[[31, 33, 35]], points[54:55] + beside, points[11:4:-1], points[48:49] - beside]
    return np.asarray(regions.fill(shape, regions.grown(np.concatenate(outline), 0.1 * size)) > 0.5)


def _inner_corners(landmarks: NDArray[Any], shape: tuple[int, int]) -> Mask:
    """Between the eyes' inner corners, the brows' inner ends and the bridge of the nose."""
    points = np.asarray(landmarks, dtype=np.float64)
    sides = [20, 21, 27, 28, 29, 39, 38], [23, 22, 27, 28, 29, 42, 43]
    corners = [regions.grown(points[side], 0.06 * regions.unit(landmarks)) for side in sides]
    return np.asarray(regions.fill(shape, *corners) > 0.5)


def before_lips(landmarks: NDArray[Any], lab: NDArray[Any], hue: FloatArray, start: Mask) -> FloatArray:
    """Hair, a beard's tips or a hand before the lips; start: what is a cover where there should be plain skin."""
    import cv2

    shape, length = (lab.shape[0], lab.shape[1]), regions.unit(landmarks)
    outer = regions.smooth_curve(landmarks[regions.OUTER_LIPS], closed=True)
    far = round((LIP_RING[1] + 0.1) * length)
    low, high = outer.min(axis=0) - far, outer.max(axis=0) + far
    left, top = (max(0, int(v)) for v in low)
    right, bottom = int(high[0]) + 1, int(high[1]) + 1
    box = (slice(top, bottom), slice(left, right))
    points = landmarks - np.array([left, top])
    part = np.ascontiguousarray(lab[box])
    total = np.zeros(shape, dtype=np.float32)
    if min(part.shape[:2]) < 8:
        return total
    found = np.maximum(
        _foreign_before_lips(points, part, start[box]),
        _skin_before_lips(points, (part.shape[0], part.shape[1]), hue[box]),
    )
    total[box] = regions.blur(cv2.dilate(found, np.ones((5, 5), np.uint8)), 0.006 * length)
    return total


def _foreign_before_lips(landmarks: NDArray[Any], lab: NDArray[Any], start: Mask) -> FloatArray:
    """Where a cover of another colour than skin's goes on over the lips: nearer to its colour than to theirs."""
    import cv2

    shape, length = (lab.shape[0], lab.shape[1]), regions.unit(landmarks)
    lips = regions.lips_mask(landmarks, shape, soft=0) > 0.5
    outer = regions.smooth_curve(landmarks[regions.OUTER_LIPS], closed=True)
    near, wide = (regions.fill(shape, regions.grown(outer, reach * length)) > 0.5 for reach in LIP_RING)
    nose = landmarks[33, 1] + 0.05 * length
    below = np.arange(shape[0])[:, None] > nose
    start = start & wide & ~near & below & (regions.face_mask(landmarks, shape) > 0.5)
    empty = np.zeros(shape, dtype=np.float32)
    if start.sum() < LIP_COVER_AREA * length**2 or lips.sum() < 20:
        return empty
    share = start.astype(np.float32)
    reach = 0.15 * length
    amount = regions.blur(share, reach)
    local = regions.blur(lab * share[..., None], reach) / np.maximum(amount, 1e-4)[..., None]
    smooth = regions.blur(lab, 0.008 * length)
    to_cover = np.linalg.norm(smooth - local, axis=-1)
    own = np.median(lab[lips & (to_cover >= np.median(to_cover[lips]))], axis=0)
    to_lip = np.linalg.norm((smooth - own) * [0.7, 1, 1], axis=-1)
    covered = (to_lip - to_cover) / np.maximum(to_lip + to_cover, 1)
    candidate = start | ((covered > COVER_COLOUR) & (amount > 0.03) & near)
    found = _connected(candidate, start, 0.1 * LIP_COVER_AREA * length**2) & near
    # The line between the lips and the shade below them are dark, too, but low.
    tall = np.ones((2 * round(0.03 * length) + 1, 1), np.uint8)
    kept = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, tall)
    side = 2 * round(0.02 * length) + 1
    return np.asarray((cv2.dilate(kept, np.ones((side, side), np.uint8)) > 0) & found, np.float32)


def _skin_before_lips(landmarks: NDArray[Any], shape: tuple[int, int], hue: FloatArray) -> FloatArray:
    """Where a hand of the face's own skin lies on the lips: skin's hue, across both lips, running on outside."""
    import cv2

    length = regions.unit(landmarks)
    points = np.asarray(landmarks, dtype=np.float64)
    mouth = regions.lips_mask(landmarks, shape, soft=0) > 0.5
    line = np.concatenate([points[48:49], (points[60:65] + points[[60, 67, 66, 65, 64]]) / 2, points[54:55]])
    columns = np.arange(shape[1])
    upper = mouth & (np.arange(shape[0])[:, None] < np.interp(columns, *_rising(line).T)[None])
    empty = np.zeros(shape, dtype=np.float32)
    smooth = regions.blur(hue, 0.03 * length)
    parts: list[Mask] = []
    shares: list[float] = []
    for lip in (upper, mouth & ~upper):
        if lip.sum() < 20:
            return empty
        # The redder third of a lip is lip, whatever covers the rest.
        redness = smooth[..., 0]
        red = lip & (redness >= np.percentile(redness[lip], 67))
        own = smooth[red].mean(axis=0)
        contrast = float(np.linalg.norm(own))
        along = (smooth @ own) / max(contrast, 1e-6) ** 2  # 0 is skin, 1 is lip
        side = 2 * round(0.03 * length) + 1
        bare = lip & (along < 0.4)
        bare = cv2.morphologyEx(bare.astype(np.uint8), cv2.MORPH_OPEN, np.ones((side, side), np.uint8)) > 0
        # A finger covers a lip from edge to edge.
        across = bare.sum(axis=0) > 0.75 * np.maximum(lip.sum(axis=0), 1)
        bare &= cv2.dilate(across.astype(np.uint8)[None], np.ones((1, side), np.uint8)) > 0
        told = contrast >= LIP_CONTRAST and own[0] > 0
        parts.append(bare if told else lip)
        shares.append(float(bare.sum() / lip.sum()) if told else float("nan"))
    # A pale upper lip alone, or a shine, is no finger: one lies across both lips, and leaves some of one.
    known = [share for share in shares if np.isfinite(share)]
    if not known or min(known) < LIP_SHARE or min(known) > 0.9:
        return empty
    covered: Mask = np.asarray(parts[0] | parts[1])
    if len(known) < 2:
        # A lip of the skin's hue can't be told from a finger: it is covered where the other one is.
        sure = parts[0] if np.isfinite(shares[0]) else parts[1]
        covered &= np.asarray(sure.any(axis=0))[None]
    if _several(covered, mouth):
        return empty
    return covered.astype(np.float32)


def _several(covered: Mask, mouth: Mask) -> bool:
    """Whether two parts of the lips are covered and no finger did it: both large, or one at each corner.

    Lips that are pink in the middle alone look so.
    """
    import cv2

    _, _, statistics, centres = cv2.connectedComponentsWithStats(covered.astype(np.uint8))
    order = np.argsort(statistics[1:, cv2.CC_STAT_AREA])[::-1][:2] + 1
    if len(order) < 2:
        return False
    share = statistics[order[1], cv2.CC_STAT_AREA] / statistics[order[0], cv2.CC_STAT_AREA]
    columns = np.nonzero(mouth.any(axis=0))[0]
    first, second = sorted((centres[order, 0] - columns[0]) / max(1, columns[-1] - columns[0]))
    return bool(share > LARGE_PARTS or (share > CORNER_PARTS and first < 1 / 3 and second > 2 / 3))


def _rising(line: NDArray[Any]) -> NDArray[Any]:
    return line[np.argsort(line[:, 0], kind="stable")]
