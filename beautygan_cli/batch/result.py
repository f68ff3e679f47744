"""One source with one look: the work before and after the network, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import BeautyGANError, OutputError
from beautygan_cli.evaluation import metrics
from beautygan_cli.faces import alignment, occlusion
from beautygan_cli.faces.alignment import AlignedFace, Placement
from beautygan_cli.faces.detection import Face
from beautygan_cli.faces.recognition import descriptor
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Look
from beautygan_cli.makeup.pipeline import Made, Wearing
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import MAX_PIXELS, Photo, read_photo, write_photo
from beautygan_cli.types import UInt8Array

if TYPE_CHECKING:
    from beautygan_cli.model.signature import Signature

Figures = Mapping[str, float | None]  # by name of MEASURED; None where a photo gives no ground for one

STAGES = ("read", "detect", "network", "composite", "measure", "write")
MEASURED = ("lips_before", "lips_after", "lids_before", "lids_after", "skin_before", "skin_after", "identity", "detail")

LIMITED_SHARES = (1.0, 0.75, 0.5, 0.25)  # of the asked strengths, tried in turn under an identity limit
PREVIEW_MARGIN = 1.3  # side of a preview to that of the box around all chips


@dataclass(frozen=True)
class Options:
    """What a batch does with each pair of a photo and a look.

    sweep: overall strengths, 0 to 1, each of which gives a result of its own. remove: take makeup off, by the looks'
    bare faces. largest_distance: of dlib's descriptors of source and result; a result beyond it is made weaker.
    measure: take the figures of MEASURED. chips, previews: small pictures for the outcome, of that longest side, 0 for
    none. again: "all" makes what needs making, "failed" only what failed before. jobs: processor
    cores to use, None for all.
    """

    out: Path
    sweep: tuple[float, ...] = (1.0,)
    remove: bool = False
    which: str = "all"
    crop: bool = False
    format: str = "same"
    quality: int = 95
    overwrite: bool = False
    max_pixels: int = MAX_PIXELS
    mark: bool = True
    strip_location: bool = False
    batch_size: int = 8
    largest_distance: float | None = None
    measure: bool = False
    chips: bool = False
    previews: int = 0
    again: str = "all"
    jobs: int | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """Of the options, those that a result's pixels or metadata follow from."""
        names = ("remove", "which", "crop", "format", "quality", "mark", "strip_location", "largest_distance")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one source with one look.

    reference: the look's photo or file. status: "made", "kept" (it was there before) or "failed", with the reason.
    asked: the overall strength that was asked for; strength: the share of it that the result has, less than 1 where the
    identity limit asked for it. seconds by name of STAGES; figures
    where they were asked for. chips: the source's and the result's chip of the largest face, (S, S, 3) uint8 RGB, and
    previews: the faces in both with something around them, where they were asked for.
    """

    source: Path
    reference: Path | None
    output: Path | None
    status: str
    reason: str = ""
    faces: int = 0
    size: tuple[int, int] = (0, 0)
    asked: float = 1.0
    strength: float = 1.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)
    chips: tuple[UInt8Array, UInt8Array] | None = None
    previews: tuple[UInt8Array, UInt8Array] | None = None

    @property
    def details(self) -> dict[str, Any]:
        """What the manifest keeps of it, for the reports of later runs."""
        names = ("faces", "size", "strength", "seconds", "figures")
        return {name: getattr(self, name) for name in names}

    def with_details(self, details: Mapping[str, Any]) -> Outcome:
        """The inverse of `details`."""
        known = {**details, "size": tuple(details["size"])} if details else {}
        return replace(self, **known)


class BeyondLimitError(BeautyGANError):
    """A result that no strength brings within the identity limit; the outcome tells of the weakest one."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


# Before the network


@dataclass(frozen=True, eq=False)
class ReadyLook:
    """A look that is ready: where it came from, what it says, and its photos' faces.

    colours: for measuring, the mean L*a*b* colours that its photos show in the measured regions.
    """

    item: Found
    look: Look
    wearing: Wearing
    colours: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Its reference photo, or its file."""
        return self.item.path

    @property
    def face(self) -> AlignedFace:
        """The face to show for it."""
        return self.wearing.face


@dataclass(frozen=True, eq=False)
class Source:
    """A source that was read: its photo and its faces, largest first, at least one.

    once: one result alone is made of it.
    """

    path: Path
    photo: Photo
    aligned: Sequence[AlignedFace]
    seconds: Mapping[str, float]
    crop: bool
    once: bool = False

    @cached_property
    def subjects(self) -> list[metrics.Subject]:
        """The faces as they are measured: in the photo, or with `crop` each alone in its chip."""
        name, nowhere = printable(self.path), (0.0, 0.0, 0.0, 0.0)
        if self.crop:
            return [metrics.Subject(name, face.chip, Face(nowhere, face.landmarks)) for face in self.aligned]
        places = [face.placement.to_photo(face.landmarks) for face in self.aligned]
        return [metrics.Subject(name, self.photo.pixels, Face(nowhere, landmarks)) for landmarks in places]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its results."""
        shape = self.aligned[0].chip.shape if self.crop else self.photo.pixels.shape
        return shape[1], shape[0]


WORN_ON = {"lips": "lips", "lids": "eyes", "skin": "skin"}  # the look's region that each measured region belongs to


def read_look(item: Found, look: Look, signature: Signature, max_pixels: int, *, measure: bool) -> ReadyLook:
    """A look with its photos read, aligned and (`measure`) measured. PhotoError or FaceError."""
    colours: dict[AlignedFace, Mapping[str, NDArray[np.float64]]] = {}

    def face_of(path: Path) -> AlignedFace:
        photo = read_photo(path, max_pixels=max_pixels)
        face = pipeline.find_faces(photo.pixels, signature, printable(path), which="largest")[0]
        if measure:
            masks = metrics.face_masks(face.placement.to_photo(face.landmarks), photo.pixels.shape[:2])
            colours[face] = _colours(photo.pixels, masks)
        return face

    wearing = pipeline.wear(look, face_of)
    shown: dict[str, NDArray[np.float64]] = {}
    for region, worn_on in WORN_ON.items() if measure else ():
        if mix := wearing.mixes.get(worn_on):
            weights = [weight for _, weight in mix]
            shown[region] = np.average([colours[face][region] for face, _ in mix], axis=0, weights=weights)
    return ReadyLook(item, look, wearing, shown)


def read_source(path: Path, signature: Signature, options: Options, *, once: bool = False) -> Source:
    """A source read, with its faces found; once: for one result. PhotoError or FaceError."""
    began = time.monotonic()
    photo = read_photo(path, max_pixels=options.max_pixels)
    read = time.monotonic()
    aligned = pipeline.find_faces(photo.pixels, signature, printable(path), which=options.which)
    return Source(path, photo, aligned, {"read": read - began, "detect": time.monotonic() - read}, options.crop, once)


# After the network


def make(
    source: Source,
    look: ReadyLook,
    made: Sequence[Made],
    outcome: Outcome,
    options: Options,
) -> tuple[Outcome, list[Photo]]:
    """From the network's chips, one of each face, to the photos of a result, and the outcome filled in.

    Raises BeyondLimitError when no strength keeps the face's distance to itself within the limit.
    """
    limit, strengths = options.largest_distance, look.look.strengths.scaled(outcome.asked)
    spent = {**outcome.seconds, "composite": 0.0, "measure": 0.0}
    for share in (1.0,) if limit is None else LIMITED_SHARES:
        began = time.monotonic()
        photos = _composed(source, made, strengths.scaled(share), options)
        composed = time.monotonic()
        figures: Figures = {}
        if options.measure or limit is not None:
            figures = measure(source, look, photos, everything=options.measure)
        spent["composite"] += composed - began
        spent["measure"] += time.monotonic() - composed
        outcome = replace(outcome, strength=share, seconds=spent, figures=figures)
        if limit is None or (figures["identity"] or 0.0) <= limit:
            break
    else:
        reason = (
            f"{printable(source.path)} with {printable(look.path)}: even at {share:g} of the strength the"
            f" face's distance to itself is {figures['identity']:.2f}, over --min-identity {limit:g}."
        )
        raise BeyondLimitError(replace(outcome, status="failed", reason=reason))
    reasons = [f"made at {share:g} of the strength to stay within --min-identity {limit:g}"] if share < 1 else []
    reasons += dict.fromkeys(filter(None, map(occlusion.described, source.aligned)))
    return replace(outcome, status="made", reason="; ".join(reasons)), photos


def _composed(source: Source, made: Sequence[Made], strengths: Strengths, options: Options) -> list[Photo]:
    """The whole photo made up, or with `crop` the chip of each face."""
    remove = options.remove
    if not source.crop:
        compared = options.measure or options.previews or options.largest_distance is not None
        spare = source.once and not compared
        pixels = pipeline.apply(source.photo.pixels, source.aligned, made, strengths, remove=remove, spare=spare)
        return [replace(source.photo, pixels=pixels)]
    photos = []
    for face, item in zip(source.aligned, made, strict=True):
        alone = AlignedFace(face.chip, _itself(face.placement.size), face.landmarks)
        pixels = pipeline.apply(face.chip, [alone], [item], strengths, remove=remove)
        photos.append(replace(source.photo, pixels=pixels, alpha=None))
    return photos


def measure(source: Source, look: ReadyLook, photos: Sequence[Photo], *, everything: bool = True) -> Figures:
    """The figures of MEASURED: colours and detail of the largest face, identity of the face that changed most.

    `everything` False: identity alone.
    """
    subjects = source.subjects
    first, result = subjects[0], photos[0].pixels
    values: dict[str, float] = {}
    if everything:
        for when, pixels in (("before", first.pixels), ("after", result)):
            for region, colour in _colours(pixels, first.masks).items():
                if region in look.colours:
                    values[f"{region}_{when}"] = float(ciede2000(colour, look.colours[region]))
        values["detail"] = metrics.detail_correlation(first.pixels, result, first.masks)
    of_each = [photo.pixels for photo in photos] if source.crop else [result] * len(subjects)
    values["identity"] = max(
        float(np.linalg.norm(subject.descriptor - descriptor(pixels, subject.face)))
        for subject, pixels in zip(subjects, of_each, strict=True)
    )
    figures: dict[str, float | None] = dict.fromkeys(MEASURED) if everything else {}
    return figures | {name: round(value, 4) if np.isfinite(value) else None for name, value in values.items()}


def _colours(pixels: UInt8Array, masks: metrics.FaceMasks) -> dict[str, NDArray[np.float64]]:
    """The mean L*a*b* colour of each measured region of a photo."""
    lab = rgb_to_lab(masks.part(pixels))
    return {name: weighted_mean(lab, mask) for name, mask in masks.regions.items()}


def with_pictures(outcome: Outcome, source: Source, photos: Sequence[Photo], options: Options) -> Outcome:
    """The outcome with the chips and previews that were asked for."""
    face, result = source.aligned[0], photos[0].pixels
    if options.chips:
        lies = _itself(face.placement.size) if source.crop else face.placement
        outcome = replace(outcome, chips=(face.chip, alignment.crop(result, lies)))
    if options.previews:
        before = face.chip if source.crop else source.photo.pixels
        part = np.s_[:, :] if source.crop else _around(source.aligned, before.shape[:2])
        outcome = replace(
            outcome, previews=(_small(before[part], options.previews), _small(result[part], options.previews))
        )
    return outcome


def write(photos: Sequence[Photo], files: Sequence[Path], options: Options, *, overwrite: bool) -> None:
    """Write each photo of a result to its file. OutputError."""
    if not overwrite and (taken := [file for file in files if file.exists()]):
        raise OutputError(f"{printable(taken[0])} exists already; allow --overwrite or choose another --out.")
    for photo, file in zip(photos, files, strict=True):
        write_photo(
            photo,
            file,
            quality=options.quality,
            overwrite=overwrite,
            strip_location=options.strip_location,
            mark=options.mark,
        )


def _itself(size: int) -> Placement:
    """How a chip lies in itself."""
    return Placement(np.eye(2, 3, dtype=np.float32), size)


def _around(aligned: Sequence[AlignedFace], shape: tuple[int, int]) -> tuple[slice, slice]:
    """The part of a photo that shows its faces and something around them."""
    boxes = np.array([alignment.footprint(face.placement, shape) for face in aligned])
    (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    half = round(PREVIEW_MARGIN * max(right - left, bottom - top) / 2)
    x, y = (left + right) // 2, (top + bottom) // 2
    return slice(max(0, y - half), y + half), slice(max(0, x - half), x + half)


def _small(pixels: UInt8Array, longest: int) -> UInt8Array:
    import cv2

    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
