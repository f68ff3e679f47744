"""Photos and looks read, with their faces found: what a run starts from."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.errors import BeautyGANError, StoppedError
from beautygan_cli.evaluation import faults, metrics
from beautygan_cli.evaluation.faults import CroppedFace
from beautygan_cli.faces import detection, left_out, tone
from beautygan_cli.faces.alignment import CropTransform, FaceAnalysis
from beautygan_cli.faces.face import Face
from beautygan_cli.faces.left_out import LeftOut
from beautygan_cli.imaging.colour import rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.look import Look
from beautygan_cli.makeup.pipeline import Wearing
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import MAX_PIXELS, Photo, read_photo
from beautygan_cli.types import UInt8Array

if TYPE_CHECKING:
    from beautygan_cli.model.signature import Signature


@dataclass(frozen=True, eq=False)
class ReadyLook:
    """A look that is ready: where it came from, what it says, and its photos' faces.

    For measuring, colours: the mean L*a*b* colours that its photos show in the measured regions; cropped: the face
    whose eyes are worn most, as faults are told by it. notes: phrases for a report on what its photos can't tell;
    outside: what of the regions that are worn lies out of its photos.
    """

    item: Found
    look: Look
    wearing: Wearing
    colours: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    cropped: CroppedFace | None = None
    notes: Sequence[str] = ()
    outside: Sequence[LeftOut] = ()

    @property
    def path(self) -> Path:
        """Its reference photo, or its file."""
        return self.item.path

    @cached_property
    def lacks(self) -> list[LeftOut]:
        """What of the regions that are worn its photos don't show."""
        worn = self.wearing.photographed
        hidden = [item for region, face in worn for item in left_out.covered(face) if item.region == region]
        return list(dict.fromkeys([*self.outside, *hidden]))

    @property
    def face(self) -> FaceAnalysis:
        """The face to show for it."""
        return self.wearing.face


@dataclass(frozen=True, eq=False)
class Source:
    """A source that was read: its photo and its faces, largest first, at least one.

    once: one result alone is made of it; left_alone: how many faces beside those were no subjects.
    """

    path: Path
    photo: Photo
    aligned: Sequence[FaceAnalysis]
    seconds: Mapping[str, float]
    crop: bool
    once: bool = False
    left_alone: int = 0

    @cached_property
    def subjects(self) -> list[metrics.Subject]:
        """The faces as they are measured: in the photo, or with `crop` each alone in its chip."""
        name, nowhere = printable(self.path), (0.0, 0.0, 0.0, 0.0)
        if self.crop:
            return [metrics.Subject(name, face.chip, Face(nowhere, face.landmarks)) for face in self.aligned]
        places = [face.crop_transform.to_photo(face.landmarks) for face in self.aligned]
        return [metrics.Subject(name, self.photo.pixels, Face(nowhere, landmarks)) for landmarks in places]

    @cached_property
    def cropped(self) -> CroppedFace:
        """The largest face as faults are looked for in it."""
        face = self.aligned[0]
        if self.crop:
            return faults.crop_of(
                face.chip, replace(face, crop_transform=CropTransform.in_itself(face.crop_transform.size))
            )
        return faults.crop_of(self.photo.pixels, face)

    @cached_property
    def lacks(self) -> list[LeftOut]:
        """What of its faces' eyes and lips can't be painted; of several faces, each says which."""
        shape = (self.photo.pixels.shape[0], self.photo.pixels.shape[1])
        found = []
        for number, face in enumerate(self.aligned, start=1):
            of = f"face {number}: " if len(self.aligned) > 1 else ""
            landmarks = face.crop_transform.to_photo(face.landmarks)
            here = [*left_out.outside(landmarks, shape), *left_out.covered(face)]
            found += [item._replace(phrase=of + item.phrase) for item in here]
        return found

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its results."""
        shape = self.aligned[0].chip.shape if self.crop else self.photo.pixels.shape
        return shape[1], shape[0]


WORN_ON = {"lips": "lips", "lids": "eyes", "skin": "skin"}  # the look's region that each measured region belongs to


def read_look(item: Found, look: Look, signature: Signature, max_pixels: int, *, measure: bool) -> ReadyLook:
    """A look with its photos read, aligned and (`measure`) measured. PhotoError or FaceError."""
    colours: dict[FaceAnalysis, Mapping[str, NDArray[np.float64]]] = {}
    crops: dict[FaceAnalysis, CroppedFace] = {}
    cut: dict[FaceAnalysis, list[LeftOut]] = {}

    def face_of(path: Path) -> FaceAnalysis:
        photo = detection.decided(read_photo(path, max_pixels=max_pixels))
        face = pipeline.find_faces(photo.pixels, signature, printable(path), which="largest")[0]
        pipeline.look_over_reference(face, signature)
        cut[face] = left_out.outside(face.crop_transform.to_photo(face.landmarks), photo.pixels.shape[:2])
        if measure:
            masks = metrics.face_masks(face.crop_transform.to_photo(face.landmarks), photo.pixels.shape[:2])
            colours[face] = region_colours(photo.pixels, masks)
            crops[face] = faults.crop_of(photo.pixels, face)
        return face

    wearing = pipeline.wear(look, face_of, signature)
    if measure and look.drawn:
        face, pixels = pipeline.drawn_face(look.style, signature)
        masks = metrics.face_masks(face.crop_transform.to_photo(face.landmarks), pixels.shape[:2])
        colours[face] = region_colours(pixels, masks)
    shown: dict[str, NDArray[np.float64]] = {}
    for region, worn_on in WORN_ON.items() if measure else ():
        if mix := wearing.mixes.get(worn_on):
            weights = [weight for _, weight in mix]
            shown[region] = np.average([colours[face][region] for face, _ in mix], axis=0, weights=weights)
    worn = max(wearing.eyes, key=lambda part: part[1])[0] if wearing.eyes else None
    notes = (tone.NO_COLOUR,) if any(tone.is_toned(face) for _, face in wearing.photographed) else ()
    outside = [found for region, face in wearing.photographed for found in cut[face] if found.region == region]
    return ReadyLook(item, look, wearing, shown, crops.get(worn) if worn else None, notes, outside)


def read_source(
    path: Path,
    signature: Signature,
    config: RunConfig,
    *,
    once: bool = False,
    stop: threading.Event | None = None,
) -> Source:
    """A source read, with its faces found; once: for one result. PhotoError, FaceError, or StoppedError after `stop`.

    The search for faces in a large photo takes many scans, and ends with the one that is under way at the stop.
    """

    def go_on() -> None:
        if stop is not None and stop.is_set():
            raise StoppedError

    began = time.monotonic()
    photo = read_photo(path, max_pixels=config.max_pixels)
    read = time.monotonic()
    photo = detection.decided(photo, go_on)
    aligned, others = pipeline.find_subjects(photo.pixels, signature, printable(path), which=config.which, go_on=go_on)
    seconds = {"read": read - began, "detect": time.monotonic() - read}
    return Source(path, photo, aligned, seconds, config.crop, once, others)


def region_colours(pixels: UInt8Array, masks: metrics.FaceMasks) -> dict[str, NDArray[np.float64]]:
    """The mean L*a*b* colour of each measured region of a photo."""
    lab = rgb_to_lab(masks.part(pixels))
    return {name: weighted_mean(lab, mask) for name, mask in masks.regions.items()}


def read_looks(
    looks: Sequence[tuple[Found, Look]],
    signature: Signature,
    max_pixels: int = MAX_PIXELS,
    *,
    measure: bool = False,
    workers: int = 1,
) -> tuple[list[ReadyLook], list[Outcome]]:
    """The looks whose photos can be read and have a face, and the failures of the others; workers: threads for it."""

    def read(named: tuple[Found, Look]) -> ReadyLook | Outcome:
        item, look = named
        try:
            return read_look(item, look, signature, max_pixels, measure=measure)
        except BeautyGANError as error:
            of = "" if item.path in look.references else f"{printable(item.path)}: "
            return Outcome(item.path, item.path, None, Status.FAILED, f"{of}{error}")

    readers = ThreadPoolExecutor(workers, thread_name_prefix="reader")
    try:
        found = list(readers.map(read, looks))
    finally:  # a stop waits for no photo
        readers.shutdown(wait=False, cancel_futures=True)
    ready = [item for item in found if isinstance(item, ReadyLook)]
    return ready, [item for item in found if isinstance(item, Outcome)]
