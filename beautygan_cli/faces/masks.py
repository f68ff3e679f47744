"""From 68 landmarks to soft masks: lips, eyes, brows, skin, the whole face.

A mask is an (H, W) float32 of weights in [0, 1]. Landmarks are in the pixels of the image that the mask belongs to, in
dlib's order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, outer lips 48-59, inner lips 60-67, counted from the
image's left. All lengths derive from `interocular_distance`, the distance between the two eyes' centres, so that a mask
is the same at any scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.imaging.drawing import blur, fill, grown, smooth_curve, smoothstep, stroke
from beautygan_cli.types import Box, FloatArray

JAW = slice(0, 17)
BROWS = (np.array([21, 20, 19, 18, 17]), np.array([22, 23, 24, 25, 26]))  # inner end first
EYES = (
    ([39, 38, 37, 36], [39, 40, 41, 36], BROWS[0]),
    ([42, 43, 44, 45], [42, 47, 46, 45], BROWS[1]),
)  # upper lid, lower lid and brow, inner end first
LEFT_EYE, RIGHT_EYE, BOTH_EYES, BOTH_BROWS = slice(36, 42), slice(42, 48), slice(36, 48), slice(17, 27)
OUTER_LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)
# In units, from a brow's inner end: how far below the landmarks the hairs' middle lies, and half of what they are wide.
# So 295 studio photos and everyday portraits have them, by where it gets dark square to the line of landmarks.
BROW_DROP, BROW_WIDTHS = np.array([0.06, 0.06, 0.06, 0.05, 0.02]), np.array([0.05, 0.075, 0.07, 0.055, 0.025])
LINER = (0.1, 0.2)  # eye widths over the lash line up to which is lid, however low the brow
FOREHEAD = 0.80  # height of the masked forehead in parts of brow-to-nose-base, which a face's thirds make about 1
FACE_EDGE = 0.07  # softness of the face mask's edge, in units
LID_TOP = 0.5  # the measured lid reaches from the lash line half of the way to the brow
SHADOW_TOP = 1.0  # makeup of the eyes reaches up to the brow ...
SHADOW_OUTWARD = 1.85  # ... most of an eye's width past the outer corner, fading over SHADOW_FADE of it ...
SHADOW_FADE = 0.6
SHADOW_BELOW = 0.45  # ... and this far below the lower lid, in eye widths
# An eye's box, in which all lies that masks reach: u from and to, how high in parts of lid to brow, how low in eye
# widths.
NEAR_EYE, NEAR_TOP, NEAR_BELOW = (-0.45, 1.95), 1.3, 0.5
LEAST_SPAN = 0.18  # eye widths between lash line and brow at least: landmarks may put a brow on the lid itself
AROUND_EYES = 0.15  # units around eyes and brows that makeup of the eyes may reach, where it comes off
LEAST_SPREAD = np.array([11.0, 4.5, 4.5], dtype=np.float32)  # of skin's L*, a*, b*, as on an evenly lit face
FARTHEST_SKIN = 4.5  # spreads from the cheeks' colour at which a pixel is surely no skin
OPEN_MOUTH = 0.03  # inner lips further apart than this part of the mouth's width show teeth or tongue
# The landmark that each becomes in a mirror.
MIRROR = np.concatenate(
    [
        np.r_[16:-1:-1, 26:16:-1, 27:31, 35:30:-1],
        [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40],
        np.r_[54:47:-1, 59:54:-1, 64:59:-1, 67:64:-1],
    ]
)


def interocular_distance(landmarks: NDArray[Any]) -> float:
    """Distance between the eyes' centres in pixels, the length that all others are given in."""
    between = (landmarks[RIGHT_EYE] - landmarks[LEFT_EYE]).sum(axis=0) / 6
    return math.hypot(*between.tolist())


def mirrored(landmarks: NDArray[Any], width: int) -> FloatArray:
    """Where the landmarks lie in the mirror image of an image of that width, in dlib's order again."""
    return np.asarray((np.array([width - 1, 0]) + landmarks * [-1, 1])[MIRROR], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class EyeGrid:
    """Coordinates of each pixel of a box of the image in one eye's own frame, (H, W) float32 each.

    box: its rows and columns. u: 0 at the inner corner, 1 at the outer one. v: 0 on the upper lash line, 1 at the brow.
    below: distance under the lower lash line and above: distance over the upper one, both in eye widths. opening: mask
    of the eyeball. width: the eye's width in pixels.
    """

    box: Box
    u: FloatArray
    v: FloatArray
    above: FloatArray
    below: FloatArray
    opening: FloatArray
    width: float


@dataclass(frozen=True, eq=False)
class EyeFrame:
    """An eye's own coordinates: u from the inner corner (0) to the outer (1), y the height over that line.

    inner: the inner corner; along, up: unit vectors; width: the eye's, all in pixels. lines: upper rim, lower rim and
    brow as (N, 2) points (u, y) with growing u, in eye widths.
    """

    inner: NDArray[np.float64]
    along: NDArray[np.float64]
    up: NDArray[np.float64]
    width: float
    lines: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    def heights(self, u: NDArray[Any]) -> list[NDArray[np.float64]]:
        """The height y of the upper rim, the lower rim and the brow at each u."""
        return [np.interp(u, *line.T) for line in self.lines]

    def to_image(self, u: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
        """(..., 2) pixels (x, y) of coordinates of any one shape."""
        return np.asarray(self.inner + self.width * (u[..., None] * self.along + y[..., None] * self.up))

    def coordinates(self, columns: NDArray[Any], rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The coordinates u and y of pixels given by their columns and rows."""
        x, y = (columns - self.inner[0]) / self.width, (rows - self.inner[1]) / self.width
        return x * self.along[0] + y * self.along[1], x * self.up[0] + y * self.up[1]

    def box(self, across: tuple[float, float], up: tuple[float, float], shape: tuple[int, int]) -> Box:
        """The rows and columns of an image of (H, W) where u is within `across` and y, over the rims, within `up`."""
        lid, rim, _ = self.lines
        heights = (min(up[0] + rim[:, 1].min(), 0), up[1] + lid[:, 1].max())
        corners = np.array([[u, y] for u in across for y in heights])
        return _box(self.to_image(corners[:, 0], corners[:, 1]), shape)


def eye_frame(landmarks: NDArray[Any], number: int) -> EyeFrame:
    """The frame of the image's left (0) or right eye (1)."""
    points = np.asarray(landmarks, dtype=np.float64)
    upper, lower, brow = EYES[number]
    return _frame(points[upper], points[lower], points[brow])


def _frame(upper: NDArray[Any], lower: NDArray[Any], brow: NDArray[Any]) -> EyeFrame:
    """The frame of an eye from the landmarks of its two lids and its brow, inner ends first."""
    inner, outer = upper[0], upper[-1]
    width = float(np.linalg.norm(outer - inner))
    along = (outer - inner) / width
    up = np.array([along[1], -along[0]])
    if up @ (brow.mean(axis=0) - inner) < 0:
        up = -up

    def local(curve: NDArray[Any]) -> NDArray[np.float64]:
        offset = curve - inner
        return np.stack([offset @ along, offset @ up], axis=-1) / width

    lid, rim, arch = (_sorted_curve(local(smooth_curve(curve))) for curve in (upper, lower, brow))
    # Past the outer corner a lid's line goes on upwards, toward the brow's tail; past the inner one it runs level.
    tail = np.array([[1.6, 0.22]])
    level = np.array([[-0.5, -0.05]])
    return EyeFrame(
        inner, along, up, width, (np.concatenate([level, lid, tail]), np.concatenate([level, rim, tail]), arch)
    )


def eye_grids(landmarks: NDArray[Any], shape: tuple[int, int], *, whole: bool = False) -> tuple[EyeGrid, EyeGrid]:
    """The frames of the left and the right eye of the image, of (H, W) pixels; `whole`: not near the eyes alone."""
    points = np.asarray(landmarks, dtype=np.float64)
    left, right = (
        eye_grid(points[upper], points[lower], points[brow], shape, whole=whole) for upper, lower, brow in EYES
    )
    return left, right


def eye_grid(
    upper: NDArray[Any], lower: NDArray[Any], brow: NDArray[Any], shape: tuple[int, int], *, whole: bool = False
) -> EyeGrid:
    """The frame of one eye from the landmarks of its two lids and its brow, inner ends first.

    It holds all of the image, of (H, W) pixels, or (not `whole`) the box around NEAR_EYE.
    """
    frame = _frame(upper, lower, brow)
    inner, along, up, width = frame.inner, frame.along, frame.up, frame.width
    lid, rim, arch = frame.lines
    lowest = rim[:, 1].min() - NEAR_BELOW
    highest = NEAR_TOP * max(arch[:, 1].max() - lid[:, 1].min(), LEAST_SPAN) + lid[:, 1].max()
    corners = np.array([[u, y] for u in NEAR_EYE for y in (lowest, highest)]) * width
    box = (slice(0, shape[0]), slice(0, shape[1])) if whole else _box(inner + corners @ np.stack([along, up]), shape)
    start = np.array([box[1].start, box[0].start])
    across, down = np.arange(box[1].start, box[1].stop) - inner[0], np.arange(box[0].start, box[0].stop) - inner[1]
    u, y = (
        (across * axis[0] / width).astype(np.float32) + (down * axis[1] / width).astype(np.float32)[:, None]
        for axis in (along, up)
    )
    lid_line, rim_line, arch_line = _heights(u, lid, rim, arch)
    span = np.maximum(arch_line - lid_line, np.float32(LEAST_SPAN))
    opening = fill(u.shape, np.concatenate([smooth_curve(upper), smooth_curve(lower)[::-1]]) - start)
    return EyeGrid(
        box=box,
        u=np.asarray(u, dtype=np.float32),
        v=np.asarray((y - lid_line) / span, dtype=np.float32),
        above=np.asarray(y - lid_line, dtype=np.float32),
        below=np.asarray(rim_line - y, dtype=np.float32),
        opening=opening,
        width=width,
    )


def _box(points: NDArray[Any], shape: tuple[int, int]) -> Box:
    """Of an image of (H, W), the box that holds the points, or the pixel nearest to them where they lie outside."""
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, np.array(shape[::-1]) - 1)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, low + 1, shape[::-1])
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _heights(u: FloatArray, *lines: NDArray[np.float64]) -> list[FloatArray]:
    """What `np.interp` gives at each u for lines of (x, y) points, by a table: all of them in the time of one."""
    import cv2

    low, high, cells = -0.75, 1.75, 1000  # past a line's ends its last value holds
    places = np.linspace(low, high, cells + 1)
    table = np.stack([np.interp(places, *line.T) for line in lines], axis=-1).astype(np.float32)
    columns = (u - np.float32(low)) * np.float32(cells / (high - low))
    found = cv2.remap(table[None], columns, np.zeros_like(columns), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return list(cv2.split(found))


def _sorted_curve(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve's points with growing first coordinate, as `np.interp` wants them."""
    return curve[np.argsort(curve[:, 0], kind="stable")]


def forehead(landmarks: NDArray[Any], height: float = FOREHEAD) -> FloatArray:
    """Seven points over the forehead from the image's left temple to its right one, (7, 2).

    They lie on half an ellipse over the jaw's two upper ends; `height` is in parts of brow-to-nose-base.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    left, right = points[0], points[16]
    brow, base = points[17:27].mean(axis=0), points[33]
    up = (brow - base) * height
    middle = (left + right) / 2
    rise = brow + up - middle
    angles = np.linspace(np.pi * 0.93, np.pi * 0.07, 7)[:, None]
    half = (right - left) / 2
    # The exponent squares the ellipse's shoulders, as a forehead has them.
    return np.asarray(middle + half * np.cos(angles) * 0.97 + rise * np.sin(angles) ** 0.75, dtype=np.float32)


def face_outline(landmarks: NDArray[Any], height: float = FOREHEAD) -> FloatArray:
    """The closed outline of the face: jaw, then back over the forehead."""
    points = np.asarray(landmarks, dtype=np.float32)
    return smooth_curve(np.concatenate([points[JAW], forehead(points, height)[::-1]]), closed=True)


def face_mask(landmarks: NDArray[Any], shape: tuple[int, int], *, soft: float = FACE_EDGE) -> FloatArray:
    """The whole face with forehead; its edge is soft, by `soft` units, and lies inside the outline."""
    size = interocular_distance(landmarks)
    hard = fill(shape, face_outline(landmarks))
    # Blurring alone would reach as far out as in; the steeper curve keeps the fade within the face.
    return smoothstep(0.35, 0.95, blur(hard, soft * size))


def masked(pixels: NDArray[Any], mask: NDArray[Any]) -> FloatArray:
    """The (H, W, 3) RGB face alone before mid-grey, which is the network's zero, as float32 0..255."""
    return np.asarray(127.5 + (pixels - np.float32(127.5)) * mask[..., None], dtype=np.float32)


def lips_mask(landmarks: NDArray[Any], shape: tuple[int, int], *, grow: float = 0.0, soft: float = 0.02) -> FloatArray:
    """The lips without the mouth's opening; `grow` widens the outer contour, in units."""
    size = interocular_distance(landmarks)
    outer = smooth_curve(landmarks[OUTER_LIPS], closed=True)
    if grow:
        outer = grown(outer, grow * size)
    mask = fill(shape, outer)
    return blur(mask * (1 - mouth_opening(landmarks, shape)), soft * size)


def mouth_opening(landmarks: NDArray[Any], shape: tuple[int, int]) -> FloatArray:
    """What lies between the lips (teeth, tongue); empty where the mouth is shut."""
    if not mouth_is_open(landmarks):
        return np.zeros(shape, dtype=np.float32)
    return fill(shape, smooth_curve(landmarks[INNER_LIPS], closed=True))


def mouth_is_open(landmarks: NDArray[Any]) -> bool:
    """Whether the inner lips lie so far apart that teeth or tongue show."""
    inner = np.asarray(landmarks[INNER_LIPS], dtype=np.float64)
    width = float(np.linalg.norm(inner[4] - inner[0]))
    gap = float(np.linalg.norm(inner[[1, 2, 3]] - inner[[7, 6, 5]], axis=1).mean())
    return gap >= OPEN_MOUTH * width


def teeth_mask(landmarks: NDArray[Any], lab: NDArray[Any]) -> FloatArray:
    """Teeth and dark gaps near the mouth's line, by their colour: paler than the lips, (H, W) of the L*a*b* image.

    Landmarks put the inner lips a pixel or two off; what is clearly less red than the lips around it is no lip.
    """
    shape = (lab.shape[0], lab.shape[1])
    if not mouth_is_open(landmarks):
        return np.zeros(shape, dtype=np.float32)
    near = fill(shape, grown(smooth_curve(landmarks[INNER_LIPS], closed=True), 0.05 * interocular_distance(landmarks)))
    ring = lips_mask(landmarks, shape, soft=0) * (1 - near)
    if ring.sum() < 1:
        return near
    redness = lab[..., 1]
    lips = float((redness * ring).sum() / ring.sum())
    bright = float((lab[..., 0] * ring).sum() / ring.sum())
    pale = smoothstep(-4.0, -10.0, redness - lips) * smoothstep(-12.0, 2.0, lab[..., 0] - bright)
    return np.asarray(near * np.maximum(pale, mouth_opening(landmarks, shape)), dtype=np.float32)


def eyes_mask(
    landmarks: NDArray[Any], shape: tuple[int, int], grids: tuple[EyeGrid, EyeGrid] | None = None
) -> FloatArray:
    """Where makeup of the eyes lies: lids up to the brow, the wing, the lower lid; without the eyeball."""
    total = np.zeros(shape, dtype=np.float32)
    for grid in grids or eye_grids(landmarks, shape):
        inward = smoothstep(-0.35, -0.05, grid.u) * smoothstep(SHADOW_OUTWARD, SHADOW_OUTWARD - SHADOW_FADE, grid.u)
        upper = smoothstep(SHADOW_TOP + 0.2, SHADOW_TOP - 0.2, grid.v)
        lower = smoothstep(SHADOW_BELOW, SHADOW_BELOW - 0.25, grid.below) * (grid.v <= 0)
        near = inward * np.maximum(upper * (grid.v > 0), lower) * (1 - grid.opening)
        total[grid.box] = np.maximum(total[grid.box], near)
    return blur(total, 0.015 * interocular_distance(landmarks))


def lids_mask(
    landmarks: NDArray[Any], shape: tuple[int, int], grids: tuple[EyeGrid, EyeGrid] | None = None
) -> FloatArray:
    """The upper lids alone, from the lash line half of the way to the brow: the region that is measured."""
    total = np.zeros(shape, dtype=np.float32)
    for grid in grids or eye_grids(landmarks, shape):
        inside = (grid.u > 0.05) & (grid.u < 1.05) & (grid.v > 0.04) & (grid.v < LID_TOP)
        total[grid.box] = np.maximum(total[grid.box], inside * (1 - grid.opening))
    return total


def brows_mask(
    landmarks: NDArray[Any], shape: tuple[int, int], *, soft: float = 0.03, on_landmarks: bool = False
) -> FloatArray:
    """The brows as strokes, thinner toward the tail; their landmarks run along the hairs' upper edge.

    on_landmarks: the strokes lie on that line itself, half of each over the hairs.
    """
    size = interocular_distance(landmarks)
    across = landmarks[RIGHT_EYE].mean(axis=0) - landmarks[LEFT_EYE].mean(axis=0)
    down = np.array([-across[1], across[0]]) / max(float(np.hypot(*across)), 1e-6)
    below = size * (0 if on_landmarks else 1) * BROW_DROP[:, None] * down
    outlines = [stroke(landmarks[order] + below, size * BROW_WIDTHS) for order in BROWS]
    return fill(shape, *outlines, soft=soft * size)


def brows_over_lids(
    landmarks: NDArray[Any], shape: tuple[int, int], grids: tuple[EyeGrid, EyeGrid] | None = None
) -> FloatArray:
    """The brows without what of a low one's stroke lies on the lids' edges, where liner does."""
    brows = brows_mask(landmarks, shape)
    for grid in grids or eye_grids(landmarks, shape):
        brows[grid.box] *= smoothstep(*LINER, grid.above)
    return brows


def around_eyes_mask(
    landmarks: NDArray[Any], shape: tuple[int, int], grids: tuple[EyeGrid, EyeGrid] | None = None
) -> FloatArray:
    """All that makeup of the eyes may have reached: lids, brows and a rim around them, without the eyeballs."""
    import cv2

    size = interocular_distance(landmarks)
    outlines = []
    for eye, brow in ((LEFT_EYE, BROWS[0]), (RIGHT_EYE, BROWS[1])):
        points = np.concatenate([landmarks[eye], landmarks[brow]]).astype(np.float32)
        hull = cv2.convexHull(points, clockwise=True)[:, 0]
        outlines.append(smooth_curve(grown(hull, AROUND_EYES * size), closed=True))
    grids = grids or eye_grids(landmarks, shape)
    zone = np.maximum(fill(shape, *outlines, soft=AROUND_EYES / 3 * size), eyes_mask(landmarks, shape, grids))
    return np.asarray(zone * (1 - openings_mask(landmarks, shape, grids)), dtype=np.float32)


def openings_mask(
    landmarks: NDArray[Any],
    shape: tuple[int, int],
    grids: tuple[EyeGrid, EyeGrid] | None = None,
    *,
    soft: float = 0.012,
) -> FloatArray:
    """The two eyeballs as far as the lids show them."""
    total = np.zeros(shape, dtype=np.float32)
    for grid in grids or eye_grids(landmarks, shape):
        total[grid.box] = np.maximum(total[grid.box], grid.opening)
    return blur(total, soft * interocular_distance(landmarks))


def skin_mask(
    landmarks: NDArray[Any], shape: tuple[int, int], grids: tuple[EyeGrid, EyeGrid] | None = None
) -> FloatArray:
    """The face without lips, mouth, eyes and brows."""
    size = interocular_distance(landmarks)
    mouth = fill(shape, grown(smooth_curve(landmarks[OUTER_LIPS], closed=True), 0.04 * size), soft=0.02 * size)
    grids = grids or eye_grids(landmarks, shape)
    eyeballs = np.maximum(
        openings_mask(landmarks, shape, grids, soft=0), openings_mask(landmarks, shape, grids, soft=0.03)
    )
    others = np.maximum.reduce([mouth, eyeballs, eyes_mask(landmarks, shape, grids), brows_mask(landmarks, shape)])
    return np.asarray(face_mask(landmarks, shape) * (1 - others), dtype=np.float32)


def skin_colour(
    landmarks: NDArray[Any], lab: NDArray[Any], cheeks: FloatArray | None = None
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The median (L*, a*, b*) of cheeks and chin and how far skin spreads around it; None where none is in sight.

    cheeks: their mask, where it is drawn already.
    """
    mask = cheeks_mask(landmarks, (lab.shape[0], lab.shape[1])) if cheeks is None else cheeks
    seen = mask > 0.8
    if not seen.any():
        return None
    middle = np.median(lab[seen], axis=0)
    # The median of the deviations, times 1.48 for a Gaussian's sigma: a lock of hair on a cheek must not widen it.
    spread = 1.48 * np.median(np.abs(lab[seen] - middle), axis=0)
    return middle.astype(np.float32), np.maximum(spread, LEAST_SPREAD).astype(np.float32)


def skin_hue(lab: NDArray[Any], middle: NDArray[Any]) -> FloatArray:
    """(H, W, 2): each pixel's a*, b* less what skin of the colour `middle` has in a shade of that lightness."""
    shade = np.clip(lab[..., 0] / max(float(middle[0]), 1.0), 0.35, 1.0)
    hue = np.empty((*shade.shape, 2), dtype=np.float32)
    for i in (0, 1):
        np.subtract(lab[..., i + 1], middle[i + 1] * shade, out=hue[..., i])
    return hue


def skin_distance(light: NDArray[Any], hue: NDArray[Any], spread: NDArray[Any]) -> FloatArray:
    """How many spreads a pixel lies from skin, (H, W): light in spreads of L* already, hue as `skin_hue` gives it."""
    return np.asarray(
        np.sqrt(light**2 + (hue[..., 0] / spread[1]) ** 2 + (hue[..., 1] / spread[2]) ** 2), dtype=np.float32
    )


def skin_probability(
    landmarks: NDArray[Any], lab: NDArray[Any], colour: tuple[NDArray[Any], NDArray[Any]] | None = None
) -> FloatArray:
    """How far each pixel of the L*a*b* image can be this face's skin by its colour, (H, W) in 0..1.

    Hair, a hat's rim, the frame of glasses and what is behind the face differ from cheeks and chin in hue; skin in
    shade is darker, with its hue less marked in proportion, and stays. colour: `skin_colour`, where it is known.
    """
    colour = colour or skin_colour(landmarks, lab)
    if colour is None:
        return np.ones(lab.shape[:2], dtype=np.float32)
    middle, spread = colour
    light = (lab[..., 0] - middle[0]) / spread[0]
    distance = skin_distance(light, skin_hue(lab, middle), spread)
    return blur(smoothstep(FARTHEST_SKIN, FARTHEST_SKIN / 2, distance), 0.015 * interocular_distance(landmarks))


def cheeks_mask(landmarks: NDArray[Any], shape: tuple[int, int], skin: FloatArray | None = None) -> FloatArray:
    """Cheeks and chin, the skin that is measured: no forehead (hair), no nose (light).

    skin: the face's `skin_mask`, where it is drawn already.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    left, right = (_cheek(points[list(order)]) for order in ((1, 31, 41, 48, 5, 3), (15, 35, 46, 54, 11, 13)))
    under = points[56:59]
    chin = np.concatenate([under[::-1], 0.75 * points[[9, 8, 7]] + 0.25 * under])
    mask = fill(shape, left, right, chin)
    return np.asarray(mask * (skin_mask(landmarks, shape) if skin is None else skin), dtype=np.float32)


def _cheek(points: NDArray[Any]) -> NDArray[Any]:
    """A cheek's outline from jaw's top, nostril, eye, mouth's corner and two points of the jaw below."""
    top, nostril, eye, corner, low, middle = points
    outer = 0.7 * top + 0.3 * nostril
    return np.stack([outer, eye, nostril, corner, 0.75 * low + 0.25 * corner, 0.8 * middle + 0.2 * corner])
