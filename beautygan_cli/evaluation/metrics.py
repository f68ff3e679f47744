"""The figures for one result: how near its colours are to the reference's, and how much else it left alone.

Everything is measured at the photo's own size, inside masks that follow from the landmarks of the bare photo (for the
reference: from its own). A figure that a photo gives no ground for, such as the lids of a face cut off, is NaN.
`evaluation.FIGURES` says in words what each figure is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import FaceError
from beautygan_cli.faces import detection
from beautygan_cli.faces import masks as region_masks
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.face import Face
from beautygan_cli.faces.recognition import descriptor
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.types import FloatArray, UInt8Array

if TYPE_CHECKING:
    from beautygan_cli.model.session import MakeupSession


REGIONS = ("lips", "lids", "skin")
LEVELS = 256  # quantiles of a histogram: one for each grey level that 8 bits can tell apart
MARGIN = 0.6  # units around the face that are looked at closely: past everything that a mask reaches
OUTSIDE = 0.1  # units past the face's outline from where nothing may change: the outline itself is only so exact
DETAIL = 0.03  # sigma, in units, of the blur that detail is what is left of: pores, lashes and single hairs
SSIM_UNIT = 64  # pixels between the eyes for SSIM, about as in a chip: its window has a fixed size in pixels
SSIM_SIGMA = 1.5
SSIM_STABILISERS = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
FULL = Strengths(lips=1.0, eyes=1.0, skin=1.0)  # the whole of what the model does is measured


@dataclass(frozen=True, eq=False)
class FaceMasks:
    """Where a face is measured.

    box: (left, top, right, bottom) of the part of the photo that all masks cover; regions: (h, w) weights of lips, lids
    and skin in it; face: of the whole face; near: 1 within OUTSIDE of its outline; interocular: between the eyes, in
    photo pixels.
    """

    box: tuple[int, int, int, int]
    regions: Mapping[str, FloatArray]
    face: FloatArray
    near: FloatArray
    interocular: float

    def part(self, pixels: UInt8Array) -> UInt8Array:
        """The part of the photo that the masks cover."""
        left, top, right, bottom = self.box
        return pixels[top:bottom, left:right]


@dataclass(frozen=True, eq=False)
class RegionColours:
    """A region's colours in L*a*b*: their mean (3,) and LEVELS quantiles of each channel (LEVELS, 3)."""

    mean: NDArray[np.float64]
    quantiles: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Subject:
    """A photo with its largest face, ready to be made up and measured: (H, W, 3) uint8 RGB upright, and the face."""

    name: str
    pixels: UInt8Array
    face: Face

    @cached_property
    def masks(self) -> FaceMasks:
        """Where this face is measured; kept, as a source is measured once for each reference."""
        return face_masks(self.face.landmarks, self.pixels.shape[:2])

    @cached_property
    def colours(self) -> dict[str, RegionColours]:
        """The colours of its regions. The masks are not kept for it: references are many, and masks are large."""
        return region_colours(self.pixels, face_masks(self.face.landmarks, self.pixels.shape[:2]))

    @cached_property
    def descriptor(self) -> NDArray[np.float64]:
        """Dlib's description of who it is."""
        return descriptor(self.pixels, self.face)


def subject(pixels: UInt8Array, name: str) -> Subject:
    """The photo with its largest face; FaceError, naming the photo, without one."""
    found = detection.detect(pixels)
    if not found:
        raise FaceError(f"no face found in {name}; take it out of the photos to evaluate, or use a clearer one.")
    return Subject(name, pixels, found[0])


def read_subject(path: Path) -> Subject:
    """The photo in a file with its largest face; PhotoError or FaceError where there is none."""
    return subject(read_photo(path).pixels, printable(path))


def make_up(session: MakeupSession, source: Subject, reference: Subject) -> UInt8Array:
    """The source photo at its own size with the largest face wearing the reference's makeup, at full strength."""
    signature = session.signature
    aligned, look = (
        analyse_face(item.pixels, item.face, signature.size, signature.padding) for item in (source, reference)
    )
    return pipeline.apply(source.pixels, [aligned], pipeline.make_up([(aligned, look)], session), FULL)


def figures(
    source: Subject, reference: Subject, result: UInt8Array, truth: UInt8Array | None = None
) -> dict[str, float]:
    """All figures of one result by name; `truth` is the source as it would truly look in the reference's makeup.

    result, truth: (H, W, 3) uint8 RGB of the source's size.
    """
    masks = source.masks
    colours = region_colours(result, masks)
    values: dict[str, float] = {}
    for region in REGIONS:
        values[f"{region}_before"] = mean_distance(source.colours[region], reference.colours[region])
        values[region] = mean_distance(colours[region], reference.colours[region])
    for region in REGIONS:
        values[f"{region}_histogram_before"] = histogram_distance(source.colours[region], reference.colours[region])
        values[f"{region}_histogram"] = histogram_distance(colours[region], reference.colours[region])
    values["identity"] = _identity(source, result)
    values["detail"] = detail_correlation(source.pixels, result, masks)
    values["ssim"] = similarity(source.pixels, result, masks)
    values["outside"], values["outside_most"] = change_outside(source.pixels, result, masks)
    if truth is not None:
        true_colours = region_colours(truth, masks)
        for region in REGIONS:
            values[f"{region}_true_before"] = mean_distance(source.colours[region], true_colours[region])
            values[f"{region}_true"] = mean_distance(colours[region], true_colours[region])
        for region in REGIONS:
            values[f"{region}_of_truth"] = mean_distance(true_colours[region], reference.colours[region])
        values["identity_of_truth"] = _identity(source, truth)
        values["detail_of_truth"] = detail_correlation(source.pixels, truth, masks)
    return values


def _identity(source: Subject, other: UInt8Array) -> float:
    # The source's own landmarks align both, so that the distance is that of the pixels, not of two detections.
    return float(np.linalg.norm(source.descriptor - descriptor(other, source.face)))


def face_masks(landmarks: NDArray[Any], shape: tuple[int, int]) -> FaceMasks:
    """The masks of a face with these (68, 2) landmarks in a photo of (H, W)."""
    outline, length = region_masks.face_outline(landmarks), region_masks.interocular_distance(landmarks)
    height, width = shape
    low = np.floor(outline.min(axis=0) - MARGIN * length).astype(int)
    high = np.ceil(outline.max(axis=0) + MARGIN * length).astype(int)
    left, top = (int(v) for v in np.clip(low, 0, [width - 1, height - 1]))
    right, bottom = (int(v) for v in np.clip(high, [left + 1, top + 1], [width, height]))
    inside = np.asarray(landmarks - np.array([left, top]), dtype=np.float32)
    size = (bottom - top, right - left)
    return FaceMasks(
        box=(left, top, right, bottom),
        regions={
            "lips": region_masks.lips_mask(inside, size, soft=0),
            "lids": region_masks.lids_mask(inside, size),
            "skin": region_masks.cheeks_mask(inside, size),
        },
        face=region_masks.face_mask(inside, size),
        near=_widened(drawing.fill(size, outline - np.array([left, top], dtype=np.float32)), OUTSIDE * length),
        interocular=length,
    )


def _widened(mask: FloatArray, distance: float) -> FloatArray:
    """1 wherever the mask is more than half set within `distance` pixels, else 0."""
    import cv2

    if not mask.any():
        return mask
    far = cv2.distanceTransform((mask <= 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far <= distance, dtype=np.float32)


def region_colours(pixels: UInt8Array, masks: FaceMasks) -> dict[str, RegionColours]:
    """The colours of lips, lids and skin of a photo."""
    lab = rgb_to_lab(masks.part(pixels))
    return {
        name: RegionColours(weighted_mean(lab, mask), weighted_quantiles(lab, mask))
        for name, mask in masks.regions.items()
    }


def weighted_quantiles(values: NDArray[Any], weights: NDArray[Any], levels: int = LEVELS) -> NDArray[np.float64]:
    """Quantiles of (H, W, C) values under (H, W) weights at the middles of `levels` equal shares, (levels, C)."""
    inside = weights > 0
    if not inside.any():
        return np.full((levels, values.shape[-1]), np.nan)
    chosen, share = values[inside].astype(np.float64), weights[inside].astype(np.float64)
    wanted = (np.arange(levels) + 0.5) / levels
    columns = []
    for channel in chosen.T:
        order = np.argsort(channel, kind="stable")
        reached = np.cumsum(share[order])
        columns.append(channel[order][np.searchsorted(reached, wanted * reached[-1])])
    return np.stack(columns, axis=1)


def mean_distance(first: RegionColours, second: RegionColours) -> float:
    """CIEDE2000 between the mean colours of two regions."""
    return float(ciede2000(first.mean, second.mean))


def histogram_distance(first: RegionColours, second: RegionColours) -> float:
    """Wasserstein-1 distance between the histograms of L*, of a* and of b* of two regions, the mean of the three.

    In one dimension it is the mean distance between equal quantiles: C. Villani, "Topics in Optimal Transportation"
    (2003), theorem 2.18.
    """
    return float(np.abs(first.quantiles - second.quantiles).mean())


def detail_correlation(source: UInt8Array, result: UInt8Array, masks: FaceMasks) -> float:
    """Pearson's correlation, weighted by the face's mask, of what a blur by DETAIL units takes off the luma."""
    first, second = (_detail(_luma(masks.part(item)), DETAIL * masks.interocular) for item in (source, result))
    return weighted_correlation(first, second, masks.face)


def _detail(luma: FloatArray, sigma: float) -> FloatArray:
    return luma - drawing.blur(luma, max(0.5, sigma))


def weighted_correlation(first: NDArray[Any], second: NDArray[Any], weights: NDArray[Any]) -> float:
    """Pearson's correlation of two (H, W) images under weights; NaN where one of them is even."""
    total = float(weights.sum())
    if total <= 0:
        return float("nan")

    def mean(values: NDArray[Any]) -> float:
        return float((values * weights).sum(dtype=np.float64) / total)

    first, second = first - mean(first), second - mean(second)
    spread = np.sqrt(mean(first * first) * mean(second * second))
    return float(mean(first * second) / spread) if spread > 0 else float("nan")


def similarity(source: UInt8Array, result: UInt8Array, masks: FaceMasks) -> float:
    """SSIM of luma, averaged by the face's mask, with the eyes SSIM_UNIT pixels apart.

    Formula: Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE Transactions on Image Processing 13 (2004), with their window and constants.
    """
    scale = min(1.0, SSIM_UNIT / masks.interocular)
    first, second, weights = (
        _reduced(item, scale) for item in (_luma(masks.part(source)), _luma(masks.part(result)), masks.face)
    )
    total = float(weights.sum())
    if total <= 0:
        return float("nan")

    def local(values: FloatArray) -> FloatArray:
        return drawing.blur(values, SSIM_SIGMA)

    mean_1, mean_2 = local(first), local(second)
    variance_1, variance_2 = local(first * first) - mean_1**2, local(second * second) - mean_2**2
    covariance = local(first * second) - mean_1 * mean_2
    c1, c2 = SSIM_STABILISERS
    index = ((2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)) / (
        (mean_1**2 + mean_2**2 + c1) * (variance_1 + variance_2 + c2)
    )
    return float((index * weights).sum(dtype=np.float64) / total)


def change_outside(source: UInt8Array, result: UInt8Array, masks: FaceMasks) -> tuple[float, float]:
    """Mean and largest absolute difference, in grey levels, of all pixels further than OUTSIDE from the face."""
    import cv2

    difference = cv2.absdiff(source, result)
    left, top, right, bottom = masks.box
    outside = np.ones(source.shape[:2], dtype=bool)
    outside[top:bottom, left:right] = masks.near == 0
    if not outside.any():
        return float("nan"), float("nan")
    chosen = difference[outside]
    return float(chosen.mean(dtype=np.float64)), float(chosen.max())


def _luma(pixels: UInt8Array) -> FloatArray:
    return np.asarray(pixels.astype(np.float32) @ LUMA, dtype=np.float32)


def _reduced(values: FloatArray, scale: float) -> FloatArray:
    import cv2

    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
