"""The people to train on: a folder of bare-faced photos, found, landmarked and cut out once."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from beautygan_cli.errors import BeautyGANError, DatasetError
from beautygan_cli.faces import alignment, contours, detection
from beautygan_cli.faces.masks import lips_mask, skin_mask
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.photos.files import printable, whole
from beautygan_cli.photos.find import find_photos
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.types import FloatArray, UInt8Array

CHIP_SIZE = 448  # a chip cut wide and large, so that turning and scaling it later loses nothing
CHIP_PADDING = 0.75
HELD_OUT = 9  # every ninth person is kept for validation
STUDIO = ("london_neutral", "london_smiling", "canada")  # hair off the face, no glasses: surely the face itself
FEWEST = 4  # people: two to train on and two to validate on, since makeup goes from one to another
REDDEST_SKIN = 18.0  # a* of skin above which a photo's colour cast is taken out, toward ...
USUAL_SKIN = (15.0, 16.0)  # ... a* and b* of skin under neutral light
REDDEST_BARE_LIPS = 9.0  # a* over the skin's: of 641 everyday portraits nearly all above wear lipstick
SHADE_STEP = 8.0  # L* of skin: photos within one step of each other count as of one shade
_UNKNOWN = np.full((contours.CONTOUR_POINTS, 2), np.nan, np.float32)  # contours of a photo without a template
MOST_TIMES = 4  # that a photo of a rare shade is drawn as often as one of the commonest


@dataclass(frozen=True, eq=False)
class Person:
    """One photo of one person, as a wide chip.

    chip: (CHIP_SIZE, CHIP_SIZE, 3) uint8 RGB; landmarks: (68, 2) as found, in chip pixels, as a user's photo will
    have them; exact: the same with eyes and lips from hand-clicked points, where a template lies beside the photo.
    contours: then those of eyes and lips, (54, 2) (see `faces/contours.py`).
    """

    name: str
    chip: UInt8Array
    landmarks: FloatArray
    exact: FloatArray
    contours: FloatArray | None = None

    @property
    def person(self) -> str:
        """Who it is: the part of the file's name before the first `_`."""
        return self.name.rsplit("/", 1)[-1].split("_")[0]

    @cached_property
    def lightness(self) -> float:
        """Mean L* of the skin."""
        lab = rgb_to_lab(self.chip)
        return float(weighted_mean(lab, skin_mask(self.landmarks, lab.shape[:2]))[0])

    @cached_property
    def lip_contrast(self) -> float:
        """How much redder the lips are than the skin, in a* after the skin's own."""
        lab = rgb_to_lab(self.chip)
        shape = lab.shape[:2]
        lips = weighted_mean(lab, lips_mask(self.landmarks, shape, soft=0))
        skin = weighted_mean(lab, skin_mask(self.landmarks, shape))
        return float(lips[1] - skin[1])

    @property
    def bare(self) -> bool:
        """Whether the face can be taken for bare: everyday portraits wear makeup now and then, studio sets don't.

        Studio sets are told by their hand-clicked templates; elsewhere lips as red as lipstick are taken for it.
        """
        return not np.array_equal(self.exact, self.landmarks) or self.lip_contrast <= REDDEST_BARE_LIPS

    @property
    def folder(self) -> str:
        """The photo's folder."""
        return self.name.rsplit("/", 1)[0]


def load(folder: Path, cache: Path | None = None) -> list[Person]:
    """Everyone in a folder, sorted by name; the chips are kept in `cache` (an .npz) for the next run.

    Raises DatasetError where the folder holds fewer than FEWEST people with a face, or the cache is another file.
    """
    found, _ = find_photos([folder])
    digest = hashlib.sha256("\n".join(f"{item.path.name} {item.path.stat().st_size}" for item in found).encode())
    key = f"{digest.hexdigest()} {CHIP_SIZE} {CHIP_PADDING} {REDDEST_SKIN} {USUAL_SKIN} contours"
    if cache and cache.is_file() and (kept := _kept(cache, key)) is not None:
        return kept
    people = [person for item in found if (person := _read(item.path)) is not None]
    if len({person.person for person in people}) < FEWEST:
        raise DatasetError(f"{folder} holds photos of fewer than {FEWEST} people with a face to be found; add some.")
    if cache:
        with whole(cache, overwrite=True) as file:  # half a file of a killed run would be taken for a foreign one
            np.savez(
                file,
                key=key,
                names=[person.name for person in people],
                chips=np.stack([person.chip for person in people]),
                landmarks=np.stack([person.landmarks for person in people]),
                exact=np.stack([person.exact for person in people]),
                contours=np.stack([_UNKNOWN if person.contours is None else person.contours for person in people]),
            )
    return people


def _kept(cache: Path, key: str) -> list[Person] | None:
    """The people of an earlier run's cache; None where they are of other photos or rules, and it is to be made anew.

    Raises DatasetError for a file that `load` did not write: it is somebody's own, and stays.
    """
    try:
        with np.load(cache) as stored:
            if str(stored["key"]) != key:
                return None
            return [
                Person(str(name), chip, landmarks, exact, None if np.isnan(curves).any() else curves)
                for name, chip, landmarks, exact, curves in zip(
                    *(stored[part] for part in ("names", "chips", "landmarks", "exact", "contours")), strict=True
                )
            ]
    except (OSError, ValueError, TypeError, LookupError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{printable(cache)} holds no faces that a training found; move it away or name another file."
        ) from error


def split(people: list[Person]) -> tuple[list[Person], list[Person]]:
    """Training and validation photos, no person in both: every ninth of each folder's sorted people is held out.

    Of a handful of people it is the first and the last one.
    """
    held: set[str] = set()
    for folder in {person.folder for person in people}:
        held.update(sorted({person.person for person in people if person.folder == folder})[::HELD_OUT])
    if len(held) < 2:
        held.add(max(person.person for person in people))
    return [p for p in people if p.person not in held], [p for p in people if p.person in held]


def evened(people: list[Person]) -> list[Person]:
    """The same photos, those of rarer shades of skin several times, so that all shades are learned from alike."""
    shades = [round(person.lightness / SHADE_STEP) for person in people]
    commonest = max(shades.count(shade) for shade in shades)
    times = [min(MOST_TIMES, round(commonest / shades.count(shade))) for shade in shades]
    return [person for person, count in zip(people, times, strict=True) for _ in range(count)]


def _read(path: Path) -> Person | None:
    try:
        pixels = read_photo(path).pixels
        found = detection.detect(pixels)
    except BeautyGANError:
        return None
    if not found:
        return None
    face = found[0]
    crop_transform = alignment.place(face.landmarks, CHIP_SIZE, CHIP_PADDING)
    chip = alignment.crop(pixels, crop_transform)
    landmarks = crop_transform.to_chip(face.landmarks)
    template = path.with_suffix(".tem")
    curves = contours_of(crop_transform.to_chip(read_template(template))) if template.is_file() else None
    exact = landmarks if curves is None else contours.to_landmarks(landmarks, curves)
    return Person(f"{path.parent.name}/{path.stem}", balanced(chip, landmarks), landmarks, exact, curves)


def balanced(chip: UInt8Array, landmarks: FloatArray) -> UInt8Array:
    """The chip with a strong red cast taken out of its colours."""
    lab = rgb_to_lab(chip)
    _, redness, yellowness = weighted_mean(lab, skin_mask(landmarks, lab.shape[:2]))
    if redness <= REDDEST_SKIN:
        return chip
    lab[..., 1] *= USUAL_SKIN[0] / redness
    lab[..., 2] += max(0.0, USUAL_SKIN[1] - yellowness)
    return np.round(lab_to_rgb(lab)).astype(np.uint8)


def read_template(path: Path) -> FloatArray:
    """The (N, 2) hand-clicked points of a `.tem` file, in photo pixels."""
    try:
        lines = path.read_text().split("\n")
        points = [[float(value) for value in line.split()[:2]] for line in lines[1 : int(lines[0]) + 1]]
        return np.array(points, dtype=np.float32).reshape(-1, 2)
    except (ValueError, OSError) as error:
        raise DatasetError(f"{path} is no template of points; take it away or mend it.") from error


# Where the 189-point templates have the rims of the eyes, from the outer to the inner corner, and the lips.
_LIDS = (([18, 19, 20, 21, 22], [18, 28, 29, 30, 22]), ([27, 26, 25, 24, 23], [27, 33, 32, 31, 23]))
_LIPS = slice(87, 109)


def contours_of(template: FloatArray) -> FloatArray | None:
    """The (54, 2) contours of eyes and lips of a template's points, (189, 2); None where it has others."""
    if len(template) != 189:
        return None
    parts = []
    for upper, lower in _LIDS:
        parts.append(contours.along(template[upper], np.arange(9) / 8))
        parts.append(contours.along(template[lower], np.arange(1, 8) / 8))
    return np.concatenate([*parts, template[_LIPS]]).astype(np.float32)


def with_template(landmarks: FloatArray, template: FloatArray) -> FloatArray:
    """Landmarks with eyes and lips put where the template has them."""
    curves = contours_of(template)
    return landmarks if curves is None else contours.to_landmarks(landmarks, curves)
