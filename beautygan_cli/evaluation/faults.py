"""What a person sees first in a result that went wrong, measured: source, result and reference, a figure each.

Lopsided lids, unpainted patches, paint on hair, eyeballs, teeth and brows, smudge, soft edges, unlike eyes. All is
measured in one upright crop of the face (`crop_face`), which source and result share; what the figures are called, what
they mean and how much of them is a fault, says `fault_summary`. A figure that a photo gives no ground for is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.evaluation.fault_summary import DARK
from beautygan_cli.evaluation.metrics import Subject
from beautygan_cli.faces import alignment, masks
from beautygan_cli.faces.alignment import CropTransform, FaceAnalysis
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.occlusion import COVERED, occlusion_of
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import log_light, rgb_to_lab
from beautygan_cli.imaging.guided_filter import refine
from beautygan_cli.types import FloatArray, UInt8Array

BoolArray = NDArray[np.bool_]

PADDING = 0.35  # of the crop, which the occlusion network wants
ANALYSED = 256  # pixels of the chip that shut eyes are told on, as the bundled model's
LEAST_CROP, MOST_CROP = 192, 768  # pixels: an eye is some 100 of them wide, a twentieth of it is seen
LID_ACROSS, LID_UP = (0.05, 1.05), (0.02, 0.2)  # the lid, in eye widths
NEAR_ACROSS, NEAR_UP = (0.2, 0.9), (0.02, 0.10)
FAR = 0.12  # eye widths below the brow's lower edge
STEP = 0.05  # eye widths over which the steepest fall of density is taken
HEIGHTS = np.round(np.arange(0, 1.2, 0.01), 2)  # eye widths over the rim at which density is sampled
COLUMNS = 48  # samples along a lid
LEAST_SEEN = 0.3  # share of a lid that must be in sight for it to be measured
UNCHANGED, LEAST_SKIN_CHANGE = 0.3, 3.0  # of the skin's median change; below it, patches are not seen
PATCH_BLUR = 0.03  # interocular distances
SURELY_COVERED, SUSPECTED = 0.7, 0.3
MOSTLY_SKIN, HARDLY_SKIN = 0.5, 0.3  # of the likeness of a colour to skin, 0..1
PAST_OUTLINE, BESIDE = 0.1, 0.12  # interocular distances past and inside the face's outline where hair is looked for
EYE_EDGE, MOUTH_EDGE = 0.06, 0.03  # eye widths and mouth widths from the rim, since landmarks miss it by 0.025
LEAST_PIXELS = 20  # of a region, fewer say nothing


@dataclass(frozen=True, eq=False)
class CroppedFace:
    """An upright crop of a face, and what is known of it.

    pixels: (S, S, 3) uint8 RGB; crop_transform: how it lies in the photo; landmarks: (68, 2) in its pixels; occlusion:
    (S, S) in 0..1, how surely something lies before the face.
    """

    pixels: UInt8Array
    crop_transform: CropTransform
    landmarks: FloatArray
    occlusion: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the crop."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def seen(self) -> BoolArray:
        """Where nothing lies before the face."""
        return np.asarray(self.occlusion <= COVERED)

    def crop(self, photo: UInt8Array) -> UInt8Array:
        """The same part of another photo of the same size, such as a result."""
        return alignment.crop(photo, self.crop_transform)


def crop_face(subject: Subject) -> CroppedFace:
    """The crop of a photo's largest face, at the photo's own size up to MOST_CROP pixels."""
    return crop_of(subject.pixels, analyse_face(subject.pixels, subject.face, ANALYSED, PADDING))


def crop_of(photo: UInt8Array, analysed: FaceAnalysis) -> CroppedFace:
    """The same of a face of an (H, W, 3) uint8 RGB photo that is analysed already."""
    import cv2

    in_photo = analysed.crop_transform.to_photo(analysed.landmarks)
    chip = alignment.place(in_photo, ANALYSED, PADDING)
    both = [np.vstack([item.matrix, [0, 0, 1]]).astype(np.float64) for item in (chip, analysed.crop_transform)]
    occlusion = cv2.warpAffine(
        occlusion_of(analysed), (both[0] @ np.linalg.inv(both[1]))[:2], (ANALYSED, ANALYSED),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    size = int(np.clip(round(ANALYSED / chip.scale), LEAST_CROP, MOST_CROP))
    crop_transform = alignment.place(in_photo, size, PADDING)
    pixels = alignment.crop(photo, crop_transform)
    refined = refine(np.asarray(occlusion, dtype=np.float32), pixels)
    return CroppedFace(pixels, crop_transform, crop_transform.to_chip(in_photo), refined)


def figures(
    source: Subject,
    reference: Subject,
    result: UInt8Array,
    truth: UInt8Array | None = None,
) -> dict[str, float]:
    """All figures of one result by the names of `fault_summary.DEFINITIONS`.

    Arguments:
        source: the photo that was made up, with its face.
        reference: the photo whose makeup it took, with its face.
        result: (H, W, 3) uint8 RGB of the source's size.
        truth: the source as it would truly look, of the source's size, where that is known; its figures are then
            the reference's own.

    Returns:
        A float each; NaN where a photo gives no ground for it.
    """
    return figures_of(crop_face(source), crop_face(reference), result, truth)


def figures_of(
    face: CroppedFace, look: CroppedFace | None, result: UInt8Array, truth: UInt8Array | None = None
) -> dict[str, float]:
    """As `figures`, of faces that are cropped already; look: None where the reference's eyes are not taken."""
    after = face.crop(result)
    change = lab_change(face.pixels, after)
    left, right = lid_changes(face, change)
    patches, skin_change = unpainted_patches(face, change)
    edges = eye_edges(face, density(face, after))
    if look is None and truth is None:
        apart, own = float("nan"), EyeEdges(*[float("nan")] * 4)
    elif truth is None:
        assert look is not None
        apart, own = lids_apart(look), eye_edges(look, shade(look), brow_heights(face))
    else:
        true = face.crop(truth)
        true_left, true_right = lid_changes(face, lab_change(face.pixels, true))
        apart, own = abs(true_left - true_right), eye_edges(face, density(face, true))
    return {
        "lid_left": left,
        "lid_right": right,
        "lids_ratio": _ratio(left, right),
        "reference_lids_apart": apart,
        "patches": patches,
        "skin_change": skin_change,
        "hair": hair_change(face, change),
        "eyes": eyes_change(face, change),
        "teeth": teeth_change(face, change),
        "near": edges.near,
        "smudge": edges.smudge,
        "reference_smudge": own.smudge,
        "step": edges.step,
        "reference_step": own.step,
        "alike": edges.alike,
        "reference_alike": own.alike,
        "brows": brows_change(face, change),
    }


def lab_change(before: UInt8Array, after: UInt8Array) -> FloatArray:
    """Distance in L*a*b* (D65) of each pixel of two (H, W, 3) RGB pictures, (H, W)."""
    return np.asarray(np.linalg.norm(rgb_to_lab(after) - rgb_to_lab(before), axis=-1), dtype=np.float32)


def lid_changes(face: CroppedFace, change: FloatArray) -> tuple[float, float]:
    """Mean L*a*b* change of the left and the right upper lid, where nothing lies before it.

    A lid: u in LID_ACROSS from the inner to the outer corner, LID_UP eye widths above the upper rim.
    """
    left, right = (_mean(change, lid) for lid in _lids(face))
    return left, right


def lids_apart(face: CroppedFace) -> float:
    """L*a*b* distance between the mean colours of the two upper lids, each less that of the cheek on its side."""
    lab = rgb_to_lab(face.pixels)
    cheeks = (masks.cheeks_mask(face.landmarks, face.shape) > 0.5) & face.seen
    middle = face.landmarks[27:31, 0].mean()
    columns = np.arange(face.shape[1])
    offsets = []
    for lid, side in zip(_lids(face), (columns < middle, columns >= middle), strict=True):
        cheek = cheeks & side
        if not lid.any() or cheek.sum() < LEAST_PIXELS:
            return float("nan")
        offsets.append(lab[lid].mean(axis=0) - lab[cheek].mean(axis=0))
    return float(np.linalg.norm(offsets[0] - offsets[1]))


def _lids(face: CroppedFace) -> list[BoolArray]:
    """The two upper lids as far as they are in sight; empty where less than LEAST_SEEN of one is."""
    lids = []
    for grid in masks.eye_grids(face.landmarks, face.shape):
        inside = (grid.u > LID_ACROSS[0]) & (grid.u < LID_ACROSS[1]) & (grid.opening < 0.5)
        inside &= (grid.above > LID_UP[0]) & (grid.above < LID_UP[1])
        lid = np.zeros(face.shape, dtype=bool)
        lid[grid.box] = inside & face.seen[grid.box]
        if lid.sum() < max(LEAST_PIXELS, LEAST_SEEN * inside.sum()):
            lid[:] = False
        lids.append(lid)
    return lids


def unpainted_patches(face: CroppedFace, change: FloatArray) -> tuple[float, float]:
    """Per cent of the skin that is left out, and the skin's median L*a*b* change.

    Skin: face mask above 0.95, without lips, eyes, brows and what lies before the face. Left out: change blurred by
    PATCH_BLUR interocular distances, within the skin, below UNCHANGED of the median; NaN where that is below
    LEAST_SKIN_CHANGE.
    """
    skin = (masks.skin_mask(face.landmarks, face.shape) > 0.95) & face.seen
    if skin.sum() < LEAST_PIXELS:
        return float("nan"), float("nan")
    sigma = PATCH_BLUR * masks.interocular_distance(face.landmarks)
    weight = skin.astype(np.float32)
    blurred = drawing.blur(change * weight, sigma)[skin] / np.maximum(drawing.blur(weight, sigma)[skin], 1e-3)
    median = float(np.median(blurred))
    if median < LEAST_SKIN_CHANGE:
        return float("nan"), median
    return float(100 * (blurred < UNCHANGED * median).mean()), median


def hair_change(face: CroppedFace, change: FloatArray) -> float:
    """Mean L*a*b* change of hair and of all else that lies before or beside the face.

    What the occlusion network is sure of (above SURELY_COVERED) up to PAST_OUTLINE interocular distances past the
    face's outline, if its colour is more unlike than like skin: shiny foreheads are no hair. And beside the face,
    within BESIDE of its outline and above the nose's base, what the network suspects (above SUSPECTED) and its
    colour surely denies to be skin: side light alone is no hair.
    """
    import cv2

    size = masks.interocular_distance(face.landmarks)
    outline = masks.face_outline(face.landmarks)
    inside = drawing.fill(face.shape, outline) > 0.5
    wide = drawing.fill(face.shape, drawing.grown(outline, PAST_OUTLINE * size)) > 0.5
    skin_probability = masks.skin_probability(face.landmarks, rgb_to_lab(face.pixels))
    covered = wide & (face.occlusion > SURELY_COVERED) & (skin_probability < MOSTLY_SKIN)
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    strip = inside & (depth < BESIDE * size) & (np.arange(face.shape[0])[:, None] < face.landmarks[33, 1])
    strip &= (face.occlusion > SUSPECTED) & (skin_probability < HARDLY_SKIN)
    return _mean(change, covered | strip)


def eyes_change(face: CroppedFace, change: FloatArray) -> float:
    """Mean L*a*b* change inside both eyes' openings, EYE_EDGE eye widths from their rims; NaN where they are shut."""
    inside = np.zeros(face.shape, dtype=bool)
    for grid in masks.eye_grids(face.landmarks, face.shape):
        inside[grid.box] |= _eroded(grid.opening, EYE_EDGE * grid.width)
    return _mean(change, inside & face.seen)


def teeth_change(face: CroppedFace, change: FloatArray) -> float:
    """Mean L*a*b* change inside the mouth's opening, MOUTH_EDGE mouth widths from the lips; NaN where it is shut."""
    width = float(np.linalg.norm(face.landmarks[54] - face.landmarks[48]))
    opening = masks.mouth_opening(face.landmarks, face.shape)
    return _mean(change, _eroded(opening, MOUTH_EDGE * width) & face.seen)


def brows_change(face: CroppedFace, change: FloatArray) -> float:
    """Mean L*a*b* change of the brows, where the mask of their strokes is above 0.7."""
    return _mean(change, (masks.brows_mask(face.landmarks, face.shape) > 0.7) & face.seen)


def _eroded(mask: FloatArray, distance: float) -> BoolArray:
    import cv2

    padded = np.pad((mask > 0.5).astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1] > distance)


def density(face: CroppedFace, after: UInt8Array) -> FloatArray:
    """Optical density that a result adds to the source, (S, S): below 0 where it is lighter.

    log(source + DARKEST) - log(result + DARKEST) in linear light, the mean of red, green and blue, less the cheeks'.
    """
    added = (log_light(face.pixels) - log_light(after)).mean(axis=-1)
    return _less_cheeks(face, np.asarray(added, dtype=np.float32))


def shade(face: CroppedFace) -> FloatArray:
    """How much darker than its cheeks a photo is, as `density`: makeup, where no photo without it is known."""
    return _less_cheeks(face, np.asarray(-log_light(face.pixels).mean(axis=-1), dtype=np.float32))


def _less_cheeks(face: CroppedFace, values: FloatArray) -> FloatArray:
    cheeks = (masks.cheeks_mask(face.landmarks, face.shape) > 0.5) & face.seen
    return values - values[cheeks].mean() if cheeks.any() else np.full_like(values, np.nan)


@dataclass(frozen=True)
class EyeEdges:
    """How shadow ends above both eyes.

    near: mean density just above the lashes; smudge: density below the brow by near; step: the steepest fall by near;
    alike: how alike both eyes' near are, 1 the same. The last three NaN where near is below DARK.
    """

    near: float
    smudge: float
    step: float
    alike: float


def eye_edges(face: CroppedFace, values: FloatArray, brows: Sequence[float] = (np.inf, np.inf)) -> EyeEdges:
    """Shadow's edges in a density, (S, S), by these formulas, with D(v) the mean over u in NEAR_ACROSS:

    near = mean of D over v in NEAR_UP; smudge = mean of D over the last FAR eye widths below the brow's lower edge /
    near, both of the two eyes' sums; step = largest D(v) - D(v + STEP) for v above NEAR_UP[0], by that eye's near, of
    the eye with the larger one, at most 1; alike = 1 - |left - right| / (left + right) of near, those below 0 taken
    for 0. brows: heights in eye widths at which the left and the right brow is taken to begin where they are lower than
    the face's own: a shadow as high as the reference's can reach a lower brow without a smudge.
    """
    profiles = [_profile(face, values, number, brow) for number, brow in enumerate(brows)]
    nears = np.array([profile.near for profile in profiles])
    known = ~np.isnan(nears)
    near = float(nears[known].mean()) if known.any() else float("nan")
    if not near >= DARK:
        return EyeEdges(near, *[float("nan")] * 3)
    both = [p for p in profiles if not np.isnan(p.near + p.far)]
    total = sum(p.near for p in both)
    smudge = sum(p.far for p in both) / total if total > 0 else float("nan")
    steps = [min(p.fall / p.near, 1.0) for p in profiles if p.near >= DARK and not np.isnan(p.fall)]
    left, right = np.maximum(nears, 0)
    return EyeEdges(
        near, float(smudge), max(steps, default=float("nan")), float(1 - abs(left - right) / (left + right))
    )


@dataclass(frozen=True)
class _Profile:
    """One eye's density near the lashes, below the brow, and its largest fall over STEP."""

    near: float
    far: float
    fall: float


def brow_heights(face: CroppedFace) -> tuple[float, float]:
    """Mean height of the left and the right brow's lower edge over the upper rim, in eye widths; inf where unknown."""
    heights = []
    for number in (0, 1):
        edge = _LidSamples(face, number).edge
        heights.append(float(np.nanmean(edge)) if np.isfinite(edge).any() else np.inf)
    return heights[0], heights[1]


class _LidSamples:
    """Samples of an (S, S) layer over one eye's lid: a row for each of HEIGHTS, a column for each u of NEAR_ACROSS.

    edge: (COLUMNS,) height of the brow's lower edge, NaN where there is none.
    """

    def __init__(self, face: CroppedFace, number: int) -> None:
        frame = masks.eye_frame(face.landmarks, number)
        u = np.linspace(*NEAR_ACROSS, COLUMNS)
        across = np.broadcast_to(u, (len(HEIGHTS), COLUMNS))
        self._places = frame.to_image(across, HEIGHTS[:, None] + frame.heights(u)[0]).astype(np.float32)
        # On the landmarks' line, which every brow has: how low its hairs hang says nothing of the makeup.
        brow = self.of(masks.brows_mask(face.landmarks, face.shape, on_landmarks=True), 0) > 0.1
        self.edge = np.where(brow.any(axis=0), HEIGHTS[brow.argmax(axis=0)], np.nan)

    def of(self, layer: FloatArray, outside: float) -> FloatArray:
        """The layer's samples, `outside` where they lie past its edge."""
        import cv2

        x, y = self._places[..., 0], self._places[..., 1]
        found = cv2.remap(layer, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        return np.asarray(found, dtype=np.float32)


def _profile(face: CroppedFace, values: FloatArray, number: int, brow: float) -> _Profile:
    samples = _LidSamples(face, number)
    edge = np.minimum(samples.edge, brow)
    height = HEIGHTS[:, None]
    seen = (samples.of(face.occlusion, 1) <= COVERED) & (height < edge)
    sampled = samples.of(values, 0)

    def mean(zone: BoolArray) -> float:
        chosen = zone & seen
        return float(sampled[chosen].mean()) if chosen.sum() >= max(1, LEAST_SEEN * zone.sum()) else float("nan")

    near = mean((height >= NEAR_UP[0]) & (height <= NEAR_UP[1]) & np.ones(COLUMNS, bool))
    far = mean((height >= edge - FAR) & (height < edge) & (height > NEAR_UP[1] + STEP))
    count = seen.sum(axis=1)
    # A row of a few columns says more of its columns than of its height.
    lid = np.where(count >= COLUMNS / 2, (sampled * seen).sum(axis=1) / np.maximum(count, 1), np.nan)
    steps = round(STEP / 0.01)
    start = round(NEAR_UP[0] / 0.01)
    falls = lid[start:-steps] - lid[start + steps :]
    return _Profile(near, far, float(np.nanmax(falls)) if np.isfinite(falls).any() else float("nan"))


def _mean(values: FloatArray, where: BoolArray) -> float:
    """Mean of (H, W) values; NaN over fewer than LEAST_PIXELS."""
    return float(values[where].mean(dtype=np.float64)) if where.sum() >= LEAST_PIXELS else float("nan")


def _ratio(first: float, second: float) -> float:
    """The smaller of two values by the larger one."""
    most = max(first, second)
    return min(first, second) / most if most > 0 else float("nan")
