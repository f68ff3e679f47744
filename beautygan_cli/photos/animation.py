"""Animations in and out: pictures of GIF, WebP and PNG that hold frames to be played.

Pillow composes each frame as it is shown. Frames are looked through once before anything is made, since what a header
says of their number may not be true, and read again one by one as they are made up.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from beautygan_cli.errors import PhotoError
from beautygan_cli.photos import icc, remote
from beautygan_cli.photos.colour_profile import decoded, profile_notes
from beautygan_cli.photos.exif import orientation_left, upright
from beautygan_cli.photos.facts import facts_of
from beautygan_cli.photos.files import opened, printable
from beautygan_cli.photos.formats import format_of
from beautygan_cli.photos.photo import (
    MAX_PIXELS,
    Metadata,
    Photo,
    encoding_options,
    metadata_of,
    refuse_too_many_parts,
    stored_levels,
)
from beautygan_cli.photos.pillow import prepared_pillow
from beautygan_cli.photos.webp import is_lossless

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {"GIF": (".gif",), "WEBP": (".webp",), "PNG": (".png", ".apng")}  # of what is read and written
MOST_FRAMES = 10_000
_USUAL_SECONDS = 0.1  # that browsers show a frame for which says next to nothing of it
_SHORTEST_SECONDS = 0.011
_COLOURS = 256  # of a GIF's frame
_WEBP_FLAGS, _WEBP_ALPHA = 20, 0x10  # where an extended WebP says what it holds, and that it is transparent somewhere


@dataclass(frozen=True)
class Animation:
    """What is known of an animation before its frames are made up.

    size: width and height; seconds: how long each frame is shown; loops: how often it is played, 0 for without end;
    still_first: whether the first frame is no part of it, but stands in where animations aren't played; notes: phrases
    on what is not carried.
    """

    path: Path
    format: str
    size: tuple[int, int]
    seconds: tuple[float, ...]
    loops: int
    still_first: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    orientation: int = 1
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.seconds)

    @property
    def rate(self) -> float:
        """Frames a second, on average."""
        return self.frames / self._times[-1]

    def time_of(self, number: int) -> float:
        """Seconds from the start at which a frame, counted from 0, is shown as browsers play it."""
        return self._times[number]

    @cached_property
    def _times(self) -> list[float]:
        return [0.0, *accumulate(map(_played, self.seconds))]


def _played(seconds: float) -> float:
    return seconds if seconds >= _SHORTEST_SECONDS else _USUAL_SECONDS


def animation_format(path: Path) -> str | None:
    """The format of a file that holds an animation which can be made up, None of any other; nothing is raised.

    What lies behind a URL counts as none, since it would be fetched for it.
    """
    if isinstance(path, remote.RemotePath):
        return None
    with contextlib.suppress(Exception), opened(path) as file:  # reading it as a photo will say what is wrong
        start = file.read(32)
        photo_format = format_of(start)
        still_webp = photo_format == "WEBP" and not (start[12:16] == b"VP8X" and start[_WEBP_FLAGS] & 2)
        if photo_format not in SUFFIXES or still_webp:
            return None
        file.seek(0)
        refuse_too_many_parts(file, printable(path))
        with prepared_pillow().open(file, formats=[photo_format]) as image:
            return photo_format if getattr(image, "is_animated", False) else None
    return None


def animation_suffix(path: Path, photo_format: str, choice: str) -> str:
    """The suffix of an animation's result; `choice` as `photo.suffix_for` has it."""
    if choice != "same":
        return f".{choice}"
    own = path.suffix.lower() in SUFFIXES[photo_format]
    return path.suffix if own else SUFFIXES[photo_format][0]


def probe_animation(path: Path, max_pixels: int = MAX_PIXELS) -> Animation:
    """Look at each frame of an animation; `max_pixels`: of all frames together. PhotoError where that can't be done."""
    seconds: list[float] = []
    with _opened(path, max_pixels) as (image, file, notes):
        lossless = is_lossless(file)
        size, loops, orientation = image.size, image.info.get("loop"), orientation_left(image)
        for _ in _frames(image):
            seconds.append(float(image.info.get("duration") or 0) / 1000)
            if len(seconds) > MOST_FRAMES or len(seconds) * size[0] * size[1] > max_pixels:
                raise PhotoError(
                    f"{printable(path)} has more than {MOST_FRAMES:,} frames, or {max_pixels:,} pixels in all of them;"
                    " make it smaller or shorter, or raise --max-pixels."
                )
        if image.format == "GIF" and isinstance(loops, int) and loops:  # which counts the times that follow the first
            loops += 1
        return Animation(
            path=path,
            format=str(image.format),
            size=size if orientation < 5 else size[::-1],
            seconds=tuple(seconds),
            loops=loops if isinstance(loops, int) else 1,
            still_first=bool(getattr(image, "default_image", False)),
            metadata=metadata_of(image, None, orientation, lossless),
            orientation=orientation,
            notes=notes,
        )


def read_animation(animation: Animation) -> Generator[Photo, None, None]:
    """Its frames one by one, as they are shown. PhotoError."""
    with _opened(animation.path, MAX_PIXELS) as (image, file, _):
        facts = facts_of(image, file)
        width, height = image.size
        for _ in _frames(image):
            # A GIF's frame may reach beyond the size of the whole, where nothing shows it.
            colours = "L" if image.mode in ("1", "L", "LA") else "RGB"  # which their profile is one of
            frame = image.convert(colours + ("A" if image.has_transparency_data else "")).crop((0, 0, width, height))
            read = decoded(frame, replace(facts, bits=8), file)
            kept = replace(animation.metadata, icc_profile=read.profile)
            photo = Photo(read.pixels, read.alpha, kept, animation.path, animation.format, read.native)
            yield photo.mapped(lambda array: upright(array, animation.orientation))


def write_animation(
    frames: Iterable[Photo],
    animation: Animation,
    file: IO[bytes],
    photo_format: str,
    *,
    quality: int = 95,
    strip_location: bool = False,
    mark: bool = True,
) -> None:
    """Write made-up frames with an animation's timing, loops and metadata, as a "GIF", "WEBP" or "PNG".

    A frame that is just like the one before it may become one with it, which is shown as long as both. The rest as
    `write_photo` has it; a GIF has no place for the mark, and 256 colours a frame.
    """
    prepared_pillow().init()
    coming = iter(frames)
    first = next(coming)
    options = encoding_options(first, photo_format, quality=quality, strip_location=strip_location, mark=mark)
    # The formats' own units: a GIF counts hundredths of a second.
    options["duration"] = [round(1000 * seconds) for seconds in animation.seconds]
    options |= _looping(animation.loops, photo_format)
    pictures = [_picture(first, photo_format), *(_picture(frame, photo_format) for frame in coming)]
    if photo_format == "GIF":
        options = {name: options[name] for name in ("duration", "loop") if name in options}
        clear = any("transparency" in picture.info for picture in pictures)
        options |= {"optimize": False, "disposal": 2 if clear else 1, "comment": b"\n".join(first.metadata.comments)}
    if photo_format == "PNG" and animation.still_first:
        options |= {"default_image": True, "duration": options["duration"][1:]}
    content = io.BytesIO()
    pictures[0].save(content, photo_format, save_all=True, append_images=pictures[1:], **options)
    if photo_format == "WEBP" and any(picture.mode == "RGBA" for picture in pictures):
        # Where each frame's opaque part is a rectangle, the encoder stores that alone and forgets to say so.
        content.getbuffer()[_WEBP_FLAGS] |= _WEBP_ALPHA
    file.write(content.getbuffer())


def _looping(loops: int, photo_format: str) -> dict[str, int]:
    if photo_format != "GIF":
        return {"loop": loops}
    return {} if loops == 1 else {"loop": max(0, loops - 1)}


def _picture(frame: Photo, photo_format: str) -> Image:
    from PIL import Image

    # Frames have 8 bits, whatever the format; all three hold transparency, and a GIF no profile.
    levels = stored_levels(frame, photo_format)
    picture = Image.fromarray(levels)
    if photo_format != "GIF":
        return picture
    colours = picture.convert("RGB")
    seen = levels.shape[2] == 3 or bool((levels[..., 3] >= 128).all())
    most = _COLOURS if seen else _COLOURS - 1
    palette = colours.quantize(most, Image.Quantize.MAXCOVERAGE)  # others drain small parts, such as lips, of colour
    result = colours.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    if not seen:
        numbers = np.where(levels[..., 3] >= 128, np.asarray(result), most).astype(np.uint8)
        flat = (result.getpalette() or [])[: 3 * most]
        result = Image.fromarray(numbers, "P")
        result.putpalette(flat + [0] * (3 * _COLOURS - len(flat)))
        result.info["transparency"] = most
    return result


@contextlib.contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[tuple[Any, Any, tuple[str, ...]]]:
    """An animation opened at its first frame, its file, and phrases on what of it is not carried. PhotoError."""
    name = printable(path)
    pillow = prepared_pillow(max_pixels)
    with opened(path) as file:
        refuse_too_many_parts(file, name)
        try:
            with pillow.open(file, formats=list(SUFFIXES)) as image:
                facts = facts_of(image, file)
                if image.mode.startswith("I"):
                    raise PhotoError(f"{name} is an animation in greys of 16 bits; save it with 8 bits first.")
                if facts.hdr:
                    raise PhotoError(f"{name} is an HDR animation ({facts.hdr}); export it in SDR first.")
                deep = (f"{facts.bits} bits a channel became 8",) if facts.bits > 8 else ()
                grey = icc.grey_as_rgb(facts.profile) if facts.profile and image.mode in ("1", "L", "LA") else None
                yield image, file, (*facts.notes, *deep, *profile_notes(grey or facts.profile))
        except (PhotoError, GeneratorExit):
            raise
        except MemoryError as error:
            raise PhotoError(f"{name} needs more memory than there is; make it smaller first.") from error
        except Exception as error:  # decoders raise whatever a broken file makes them stumble over
            raise PhotoError(f"{name} is damaged or cut short; get a fresh copy of it.") from error


def _frames(image: Any) -> Iterator[None]:
    """Bring each frame of an opened animation up in turn."""
    number = 0
    while True:
        try:
            image.seek(number)
            image.load()
        except EOFError:
            return
        yield
        number += 1
