"""Validation with a known truth: held-out people wear drawn makeup, and the true answer of every transfer is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import DatasetError
from beautygan_cli.evaluation.metrics import Subject, subject
from beautygan_cli.faces import alignment
from beautygan_cli.faces.alignment import CropTransform
from beautygan_cli.makeup import rendering
from beautygan_cli.makeup.style import Style
from beautygan_cli.model.signature import Signature
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.find import find_photos
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.training import dataset, examples
from beautygan_cli.training.dataset import CHIP_PADDING, CHIP_SIZE, Person
from beautygan_cli.types import FloatArray, UInt8Array

FADE = 0.03  # of the drawn part's height: over it, drawn makeup ends softly where a chip would end


@dataclass(frozen=True, eq=False)
class Case:
    """A bare source, a reference in drawn makeup, and the source as it truly looks in it, of the source's size."""

    source: Subject
    reference: Subject
    truth: UInt8Array


@dataclass(frozen=True, eq=False)
class Bare:
    """A bare-faced photo with exact landmarks beside dlib's: eyes and lips by hand where there is a template."""

    photo: Subject
    exact: FloatArray


def cases(folder: Path, count: int, seed: int, cache: Path | None = None) -> Iterator[Case]:
    """`count` cases of people of the folder that training holds out, the same for the same seed.

    Every held-out photo is a source equally often, as far as `count` goes. Raises DatasetError where the folder holds
    out fewer than two people.
    """
    paths = paths_of(folder)
    _, held = dataset.split(dataset.load(folder, cache))
    if len({person.person for person in held}) < 2:
        raise DatasetError(f"{folder} holds out fewer than two people; give at least ten people's photos.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(held))
    for number in range(count):
        person = held[int(order[number % len(held)])]
        others = [other for other in held if other.person != person.person]
        other = others[int(rng.integers(len(others)))]
        yield make_case(
            bare_of(person, paths[person.name]), bare_of(other, paths[other.name]), rendering.random_style(rng)
        )


def make_case(source: Bare, reference: Bare, style: Style) -> Case:
    """The case of one style on two people, by the rule of `examples.make_set`, at the photos' own size."""
    wearing = _Canvas(reference)
    bare = _Canvas(source)
    worn, truth = examples.wear(bare.face, wearing.face, style)
    # The reference's face is found anew, as it is in a photo of somebody who comes made up.
    name = f"{reference.photo.name} (made up)"
    return Case(source.photo, subject(wearing.with_part(worn), name), bare.with_part(truth))


class _Canvas:
    """The part of a photo that makeup is drawn on: as large around the face as a chip is."""

    def __init__(self, bare: Bare) -> None:
        photo, signature = bare.photo, Signature()
        crop_transform = alignment.place(photo.face.landmarks, signature.size, signature.padding)
        half = signature.size / 2 / crop_transform.scale
        centre = crop_transform.to_photo(np.full((1, 2), (signature.size - 1) / 2, dtype=np.float32))[0]
        height, width = photo.pixels.shape[:2]
        self.left, self.top = (max(0, round(float(v) - half)) for v in centre)
        self.right, self.bottom = min(width, round(centre[0] + half)), min(height, round(centre[1] + half))
        self.photo = photo.pixels
        self.pixels = photo.pixels[self.top : self.bottom, self.left : self.right].astype(np.float32)
        corner = np.array([self.left, self.top], dtype=np.float32)
        self.face = examples.Bare(self.pixels, photo.face.landmarks - corner, bare.exact - corner)

    def with_part(self, part: NDArray[Any]) -> UInt8Array:
        """The whole photo with the part replaced, faded in from its border: a high forehead goes on past it."""
        height, width = part.shape[:2]
        rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) / (FADE * height) for n in (height, width))
        weight = np.clip(np.minimum.outer(rows, columns), 0, 1)[..., None]
        mixed = self.pixels + weight * (part - self.pixels)
        whole = self.photo.copy()
        whole[self.top : self.bottom, self.left : self.right] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
        return whole


def paths_of(folder: Path) -> dict[str, Path]:
    """The photos below the folder by the names that `dataset.load` gives them."""
    found, _ = find_photos([folder])
    return {f"{item.path.parent.name}/{item.path.stem}": item.path for item in found}


def bare_of(person: Person, path: Path) -> Bare:
    """A held-out person's photo at its own size, colours balanced as in training."""
    photo = subject(read_photo(path).pixels, printable(path))
    crop_transform: CropTransform = alignment.place(photo.face.landmarks, CHIP_SIZE, CHIP_PADDING)
    balanced = dataset.balanced(photo.pixels, photo.face.landmarks)
    return Bare(Subject(photo.name, balanced, photo.face), crop_transform.to_photo(person.exact))
