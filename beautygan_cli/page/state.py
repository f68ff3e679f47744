"""What the page works on: photos in memory, the looks to choose from, and what the network made of them.

The network is asked once for each photo and look. What it made is laid on again at each strength that a slider asks
for, on a preview of the photo; the full size is worked out when it is looked at or saved.
"""

from __future__ import annotations

import io
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np

from beautygan_cli.batch.naming import output_name
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.errors import BeautyGANError, LookError, PhotoError
from beautygan_cli.faces import alignment, detection, left_out
from beautygan_cli.faces.alignment import CropTransform, FaceAnalysis
from beautygan_cli.makeup import look as looks
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import REGIONS, Look, Part
from beautygan_cli.makeup.pipeline import Made, Wearing
from beautygan_cli.makeup.words import by_region
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.page.command import command_line
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import Photo, decode_photo, encode_photo, read_photo, suffix_for
from beautygan_cli.types import UInt8Array

PREVIEW = 1000  # longest side in pixels of what sliders work on: laid on in some 0.05 s
THUMBNAIL = 220  # the same of a look's picture: sharp at 110 on a screen of two device pixels each
AROUND_FACE = 1.15  # side of a thumbnail's part of the photo to that of the face's chip
MOST_PHOTOS = 4  # kept at once, and together no more than --max-pixels of them
MOST_MADE = 64  # faces in looks kept of a photo: some 5 MB each
MOST_WEARINGS = 64
LONGEST_NAME = 120  # characters of a photo's name
PREVIEW_QUALITY, FULL_QUALITY = 90, 95  # of JPEGs to look at

Worn = tuple[Part | None, ...]


class GoneError(BeautyGANError):
    """A photo that is kept no longer."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A look to choose from.

    title, about: for the user. option: how the command line names it, such as `("--look", "cat-eye")`. photographed:
    whether it is a reference photo, whose strengths are replaced by those asked for; a look file's are multiplied.
    """

    title: str
    about: str
    option: tuple[str, str]
    look: Look
    photographed: bool = False

    def usual(self, region: str) -> float | None:
        """The strength of a region that the command line takes where none is asked for; None for brows as they come."""
        if region == "brows" and self.look.brows is None:
            return None
        return looks.USUAL[region] if self.photographed else 1.0


@dataclass(frozen=True)
class Wish:
    """What is to be worn.

    choice: index of the look, None for none. strengths: 0 to 1 by region, as the command line's `--lips` has them.
    words: what is drawn in place of the look's own, by kind of makeup: lips, eyes, liner, brows, finish, blush.
    """

    choice: int | None = None
    strengths: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class View:
    """A photo or a part of it at some size, (H, W, 3) uint8 RGB, and its faces as they lie in it, largest first."""

    pixels: UInt8Array
    faces: Sequence[FaceAnalysis]


@dataclass(frozen=True, eq=False)
class Kept:
    """A photo that is worked on.

    notes: what of it was read otherwise than it is, and what of its faces can't be made up, a phrase each. made: what
    the network made of its faces, by what is worn and the face's number.
    """

    key: str
    photo: Photo
    full: View
    preview: View
    thumbnail: View
    notes: Sequence[str]
    made: OrderedDict[tuple[Worn, int], Made] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        """Its file's name."""
        return self.photo.path.name


class State:
    """Photos, looks and the open model. Its methods may be called from several threads; one of them works at a time."""

    def __init__(
        self,
        session: MakeupSession,
        given: Sequence[tuple[Found, Look]] = (),
        config: RunConfig | None = None,
        carried: Sequence[str] = (),
    ) -> None:
        """`given`: references and looks of the command line; carried: its options that results follow from.

        Those of which a photo can't be used are left out; `problems` has a sentence on each.
        """
        self.session, self.carried = session, tuple(carried)
        self.config = config or RunConfig(Path())
        self.problems: list[str] = []
        self._faces: dict[Path, FaceAnalysis] = {}
        self._photos: OrderedDict[str, Kept] = OrderedDict()
        self._wearings: OrderedDict[Worn, Wearing] = OrderedDict()
        self._keeping = threading.Lock()  # of photos, held for a moment, so that what is quick waits for no work
        self._work = threading.Lock()
        self._drawing = threading.Lock()  # held while a look is drawn, so that it is not drawn twice at once
        self.choices = [*self._usable(given), *_bundled()]

    # Photos

    def add(self, content: bytes, name: str) -> Kept:
        """Keep a photo and find its faces; the oldest ones go where there are too many. PhotoError or FaceError.

        content: its file's. name: what its user calls it.
        """
        path = Path(_plain(name))
        if not content:
            raise PhotoError(f"{printable(path)} is empty; get a fresh copy of it.")
        with self._work:
            photo = detection.decided(decode_photo(io.BytesIO(content), path, max_pixels=self.config.max_pixels))
            faces = pipeline.find_faces(photo.pixels, self.session.signature, printable(path), which=self.config.which)
            full, notes = View(photo.pixels, faces), _notes(photo, faces)
            preview, thumbnail = _reduced(full, PREVIEW), _face_alone(full)
            kept = Kept(secrets.token_urlsafe(9), photo, full, preview, thumbnail, notes)
        with self._keeping:
            self._photos[kept.key] = kept
            self._make_room()
        return kept

    def photo(self, key: str) -> Kept:
        """The photo of that key; GoneError where it is kept no longer."""
        with self._keeping:
            if key not in self._photos:
                raise GoneError("this photo is no longer kept in memory; choose it again.")
            self._photos.move_to_end(key)
            return self._photos[key]

    def _make_room(self) -> None:
        """Forget the photos that were not asked for the longest, but never the last one."""
        while len(self._photos) > 1:
            pixels = sum(kept.photo.pixels.shape[0] * kept.photo.pixels.shape[1] for kept in self._photos.values())
            if len(self._photos) <= MOST_PHOTOS and pixels <= self.config.max_pixels:
                return
            self._photos.popitem(last=False)

    # Pictures

    def thumbnail(self, kept: Kept, wish: Wish) -> bytes:
        """The largest face in a look, as a small JPEG."""
        worn = self.look(wish)
        if worn is None or worn.references:
            return _jpeg(self._worn_by(kept, kept.thumbnail, wish), PREVIEW_QUALITY)
        view = kept.thumbnail
        with self._work:
            wearing = pipeline.sketched(worn, self.session.signature)
            made = pipeline.make_up([(kept.full.faces[0], wearing)], self.session)
            return _jpeg(pipeline.apply(view.pixels, view.faces, made, worn.strengths), PREVIEW_QUALITY)

    def preview(self, kept: Kept, wish: Wish) -> bytes:
        """The photo in a look at PREVIEW pixels at most, as a JPEG."""
        return _jpeg(self._worn_by(kept, kept.preview, wish), PREVIEW_QUALITY)

    def full_size(self, kept: Kept, wish: Wish) -> bytes:
        """The photo in a look at its full size, as a JPEG to look at."""
        return _jpeg(self._worn_by(kept, kept.full, wish), FULL_QUALITY)

    def result(self, kept: Kept, wish: Wish) -> bytes:
        """The file that the command line writes: full size, the photo's own format, metadata and mark."""
        photo = replace(kept.photo, pixels=self._worn_by(kept, kept.full, wish))
        config, path = self.config, PurePath(self.result_name(kept, wish))
        return encode_photo(photo, path, quality=config.quality, strip_location=config.strip_location, mark=config.mark)

    # What else can be saved

    def result_name(self, kept: Kept, wish: Wish) -> str:
        """What the result's file is called."""
        suffix = suffix_for(kept.photo.format, kept.photo.path, self.config.format)
        return output_name(kept.photo.path.stem, self._slug(wish), suffix)

    def look_file(self, wish: Wish) -> tuple[str, str]:
        """Name and text of the look file that says what is worn. LookError where nothing is."""
        worn = self.look(wish)
        if worn is None:
            raise LookError("nothing is worn yet; choose a look or a colour first.")
        name = f"{self._slug(wish)}{looks.SUFFIX}"
        return name, looks.as_toml(worn, Path(name))

    def command(self, kept: Kept, wish: Wish) -> str:
        """The command line whose result is that of `result`. Paths are as the page's own command had them."""
        choice = self._choice(wish)
        strengths = {region: value for region, value in wish.strengths.items() if value != self._usual(wish, region)}
        option = choice.option if choice else ()
        return command_line(kept.name, option, strengths, wish.words, self.carried, self.result_name(kept, wish))

    def look(self, wish: Wish) -> Look | None:
        """What the command line would take the wish for, None where nothing is worn. LookError."""
        choice = self._choice(wish)
        asked = {region: wish.strengths.get(region, self._usual(wish, region)) for region in REGIONS}
        if choice is None:
            worn = Look(name=" ".join(wish.words.values()))
        elif choice.photographed:
            lips, eyes, skin = (asked[region] or 0.0 for region in looks.USUAL)
            worn = Look.of(Path(choice.option[1]), Strengths(lips, eyes, skin, asked["brows"]))
        else:
            worn = looks.scaled(choice.look, asked)
        if wish.words:
            worn = looks.described(worn, by_region(wish.words), asked)
        return worn if any(worn.part(region) for region in REGIONS) else None

    def warm_up(self, stop: threading.Event) -> None:
        """Draw the looks on the bare face that they are read from, so that no photo waits for it; until `stop`."""
        for choice in self.choices:
            with self._work:  # what somebody waits for goes first
                pass
            if stop.is_set():
                return
            if choice.look.drawn:
                with self._drawing:
                    pipeline.drawn_face(choice.look.style, self.session.signature)

    def _choice(self, wish: Wish) -> Choice | None:
        return None if wish.choice is None else self.choices[wish.choice]

    def _usual(self, wish: Wish, region: str) -> float | None:
        """The strength of a region where the command line asks for none."""
        choice = self._choice(wish)
        if choice is not None and region not in by_region(wish.words):
            return choice.usual(region)
        return None if region == "brows" and not by_region(wish.words).get("brows") else 1.0

    def _slug(self, wish: Wish) -> str:
        """A name for files of what is worn."""
        choice = self._choice(wish)
        text = PurePath(choice.option[1]).stem if choice else " ".join(wish.words.values())
        return re.sub(r"[^\w]+", "-", text.lower()).strip("-_")[:60] or "bare"

    def _usable(self, given: Sequence[tuple[Found, Look]]) -> list[Choice]:
        """The looks whose photos can be read and have a face."""
        usable = []
        for item, look in given:
            try:
                for path in look.references:
                    self._faces[path] = self._faces.get(path) or self._face_in(path)
            except BeautyGANError as error:
                self.problems.append(str(error))
                continue
            photographed = look.file is None
            option = ("--ref" if photographed else "--look", str(item.path))
            usable.append(Choice(look.name, look.about, option, look, photographed))
        return usable

    def _face_in(self, path: Path) -> FaceAnalysis:
        photo = detection.decided(read_photo(path, max_pixels=self.config.max_pixels))
        return pipeline.find_faces(photo.pixels, self.session.signature, printable(path), which="largest")[0]

    def _worn_by(self, kept: Kept, view: View, wish: Wish) -> UInt8Array:
        """A view of the photo with its faces made up."""
        worn = self.look(wish)
        if worn is None:
            return view.pixels
        with self._work:
            made = self._made(kept, worn, len(view.faces))
            return pipeline.apply(view.pixels, view.faces, made, worn.strengths)

    def _made(self, kept: Kept, worn: Look, count: int) -> list[Made]:
        """What the network makes of the first faces of a photo; it is asked for those alone that it has not made."""
        # Of what is worn without its strengths, so that a slider asks for nothing new.
        parts = tuple(part and Part(part.mix) for part in map(worn.part, REGIONS))
        missing = [number for number in range(count) if (parts, number) not in kept.made]
        if missing:
            wearing = self._wearing(parts, worn)
            pairs = [(kept.full.faces[number], wearing) for number in missing]
            for number, made in zip(missing, pipeline.make_up(pairs, self.session), strict=True):
                kept.made[parts, number] = made
        result = [kept.made[parts, number] for number in range(count)]
        for number in range(count):
            kept.made.move_to_end((parts, number))
        while len(kept.made) > max(MOST_MADE, count):
            kept.made.popitem(last=False)
        return result

    def _wearing(self, parts: Worn, worn: Look) -> Wearing:
        if parts not in self._wearings:
            with self._drawing:
                self._wearings[parts] = pipeline.wear(worn, self._faces.__getitem__, self.session.signature)
        self._wearings.move_to_end(parts)
        if len(self._wearings) > MOST_WEARINGS:
            self._wearings.popitem(last=False)
        return self._wearings[parts]


def _bundled() -> list[Choice]:
    read = {name: looks.read(path) for name, path in looks.bundled().items()}
    return [Choice(look.name, look.about, ("--look", name), look) for name, look in read.items()]


def _plain(name: str) -> str:
    """A file's name without folders and what no file name may hold."""
    base = printable(PurePath(name.replace("\\", "/")).name)
    suffix = PurePath(base).suffix[:LONGEST_NAME]
    return PurePath(base).stem[: LONGEST_NAME - len(suffix)] + suffix or "photo"


def _notes(photo: Photo, faces: Sequence[FaceAnalysis]) -> list[str]:
    phrases = list(photo.notes)
    height, width = photo.pixels.shape[:2]
    for number, face in enumerate(faces, start=1):
        landmarks = face.crop_transform.to_photo(face.landmarks)
        found = [*left_out.outside(landmarks, (height, width)), *left_out.covered(face)]
        of = f"face {number}: " if len(faces) > 1 else ""
        phrases += [of + item.phrase for item in found]
    return list(dict.fromkeys(phrases))


def _lying(face: FaceAnalysis, crop_transform: CropTransform) -> FaceAnalysis:
    """The same face where another view shows it, with what is known of its chip; nothing was laid on it yet."""
    moved = replace(face, crop_transform=crop_transform)
    moved.known.update(face.known)
    return moved


def _reduced(view: View, longest: int) -> View:
    """The same view with no side longer than that."""
    import cv2

    ratio = longest / max(view.pixels.shape[:2])
    if ratio >= 1:
        return View(view.pixels, [_lying(face, face.crop_transform) for face in view.faces])
    size = [max(1, round(side * ratio)) for side in view.pixels.shape[1::-1]]
    pixels = cv2.resize(view.pixels, size, interpolation=cv2.INTER_AREA)
    faces = [_lying(face, face.crop_transform.resized(ratio)) for face in view.faces]
    return View(np.asarray(pixels, dtype=np.uint8), faces)


def _face_alone(view: View) -> View:
    """What the photo shows around its largest face, no larger than THUMBNAIL."""
    face = view.faces[0]
    height, width = view.pixels.shape[:2]
    left, top, right, bottom = alignment.footprint(face.crop_transform, (height, width))
    side = min(height, width, round(AROUND_FACE * max(right - left, bottom - top)))
    x = int(np.clip((left + right - side) // 2, 0, width - side))
    y = int(np.clip((top + bottom - side) // 2, 0, height - side))
    part = view.pixels[y : y + side, x : x + side]
    return _reduced(View(part, [_lying(face, face.crop_transform.in_part(x, y, 1))]), THUMBNAIL)


def _jpeg(pixels: UInt8Array, quality: int) -> bytes:
    import cv2

    _, content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(content)
