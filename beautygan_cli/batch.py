"""Every source with every reference: names, order, work and outcomes. A failure is a value here, not an exception."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import composite, faces, images, pipeline
from beautygan_cli.composite import Strengths
from beautygan_cli.errors import BeautyGANError, OutputError
from beautygan_cli.faces import AlignedFace, Placement
from beautygan_cli.images import Found, Photo

if TYPE_CHECKING:
    from beautygan_cli.session import MakeupSession
    from beautygan_cli.signature import Signature

UInt8Array = NDArray[np.uint8]

JOINT = "__"  # between the source's and the reference's name
LONGEST_STEM = 100  # bytes of each name that an output's name takes over: most file systems end at 255


@dataclass(frozen=True)
class Options:
    """What a batch does with each pair of photos."""

    out: Path
    strengths: Strengths = field(default_factory=Strengths)
    which: str = "all"
    crop: bool = False
    format: str = "same"
    quality: int = 95
    overwrite: bool = False
    max_pixels: int = images.MAX_PIXELS
    mark: bool = True
    strip_location: bool = False


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference that is ready: its face, and the name that it gives to results."""

    path: Path
    name: str
    face: AlignedFace


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one source with one reference.

    status: "made", "kept" (it was there before) or "failed", with the reason. chips: the source's and the result's
    chip of the largest face, (S, S, 3) uint8 RGB, for a grid; None unless it was made.
    """

    source: Path
    reference: Path | None
    output: Path | None
    status: str
    reason: str = ""
    faces: int = 0
    seconds: float = 0.0
    chips: tuple[UInt8Array, UInt8Array] | None = None


@dataclass(frozen=True, eq=False)
class _Opened:
    """A source that was read, or the reason why not."""

    item: Found
    photo: Photo | None
    aligned: tuple[AlignedFace, ...]
    reason: str = ""


def read_references(
    found: Sequence[Found], signature: Signature, max_pixels: int = images.MAX_PIXELS
) -> tuple[list[Reference], list[Outcome]]:
    """The references with a face, each read and aligned once, and the failures of the others."""
    ready: list[Reference] = []
    failed: list[Outcome] = []
    names = stems(found, joined=True)
    for item, name in zip(found, names, strict=True):
        try:
            photo = images.read(item.path, max_pixels=max_pixels)
            face = pipeline.find_faces(photo.pixels, signature, images.shown(item.path), which="largest")[0]
            ready.append(Reference(item.path, name, face))
        except BeautyGANError as error:
            failed.append(Outcome(item.path, None, None, "failed", str(error)))
    return ready, failed


def run(
    sources: Sequence[Found],
    references: Sequence[Reference],
    session: MakeupSession,
    options: Options,
    *,
    inputs: Sequence[Path] = (),
    step: Callable[[str], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Make up every source with every reference and yield each outcome as it is known, source by source.

    The next source is read and its faces are found while the present one is made up, and results are encoded and
    written beside both. `inputs` are files that are never written over. `step` is told each source's name.
    """
    protected = {_identity(path) for path in (*inputs, *(item.path for item in sources))}
    names = stems(sources)
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(2) as writer:
        ahead: Future[_Opened] | None = None
        work = [(item, _plan(item, name, references, options)) for item, name in zip(sources, names, strict=True)]
        for index, (item, outputs) in enumerate(work):
            step(images.shown(item.path))
            todo = [pair for pair in outputs if options.overwrite or not _present(pair[1])]
            for reference, output in outputs:
                if (reference, output) not in todo:
                    yield Outcome(item.path, reference.path, output, "kept")
            if not todo:
                continue
            opened = (ahead or reader.submit(_open, item, session.signature, options)).result()
            if opened.item is not item:
                opened = _open(item, session.signature, options)
            ahead = _read_ahead(reader, work[index + 1 :], session.signature, options)
            if opened.photo is None:
                for reference, output in todo:
                    yield Outcome(item.path, reference.path, output, "failed", opened.reason)
                continue
            yield from _make_up(opened, todo, session, options, protected, writer)


def _read_ahead(
    reader: ThreadPoolExecutor,
    rest: Sequence[tuple[Found, list[tuple[Reference, Path]]]],
    signature: Signature,
    options: Options,
) -> Future[_Opened] | None:
    """Begin to read the next source that has anything to be made."""
    for item, outputs in rest:
        if options.overwrite or not all(_present(output) for _, output in outputs):
            return reader.submit(_open, item, signature, options)
    return None


def _open(item: Found, signature: Signature, options: Options) -> _Opened:
    try:
        photo = images.read(item.path, max_pixels=options.max_pixels)
        aligned = pipeline.find_faces(photo.pixels, signature, images.shown(item.path), which=options.which)
        return _Opened(item, photo, tuple(aligned))
    except BeautyGANError as error:
        return _Opened(item, None, (), str(error))


def _make_up(
    opened: _Opened,
    todo: Sequence[tuple[Reference, Path]],
    session: MakeupSession,
    options: Options,
    protected: set[tuple[int, int] | str],
    writer: ThreadPoolExecutor,
) -> Iterator[Outcome]:
    """All of one source's results, through one batched transfer."""
    began = time.monotonic()
    photo, aligned = opened.photo, opened.aligned
    assert photo is not None
    pairs = [
        pipeline.network_chips(face, reference.face, session.signature) for reference, _ in todo for face in aligned
    ]
    try:
        made_up = session.transfer(np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs]))
    except BeautyGANError as error:
        for reference, output in todo:
            yield Outcome(opened.item.path, reference.path, output, "failed", str(error))
        return
    waiting = []
    for index, (reference, output) in enumerate(todo):
        part = slice(index * len(aligned), (index + 1) * len(aligned))
        fed = [pair[0] for pair in pairs[part]]
        results = _results(photo, aligned, fed, list(made_up[part]), options)
        lies = _itself(aligned[0].placement.size) if options.crop else aligned[0].placement
        chips = (aligned[0].chip, faces.crop(results[0].pixels, lies))
        waiting.append((reference, output, chips, writer.submit(_write, results, output, options, protected)))
    for reference, output, chips, writing in waiting:
        try:
            writing.result()
        except BeautyGANError as error:
            yield Outcome(opened.item.path, reference.path, output, "failed", str(error), len(aligned))
            continue
        seconds = (time.monotonic() - began) / len(todo)
        yield Outcome(opened.item.path, reference.path, output, "made", "", len(aligned), seconds, chips)


def _results(
    photo: Photo,
    aligned: Sequence[AlignedFace],
    fed: Sequence[NDArray[np.float32]],
    made_up: Sequence[NDArray[np.float32]],
    options: Options,
) -> list[Photo]:
    """The whole photo made up, or with `crop` the chip of each face."""
    if not options.crop:
        return [replace(photo, pixels=pipeline.apply(photo.pixels, aligned, fed, made_up, options.strengths))]
    chips = []
    for face, before, after in zip(aligned, fed, made_up, strict=True):
        alone = AlignedFace(face.chip, _itself(face.placement.size), face.landmarks)
        pixels = composite.paste(face.chip, alone, before, after, options.strengths)
        chips.append(replace(photo, pixels=pixels, alpha=None))
    return chips


def _itself(size: int) -> Placement:
    """How a chip lies in itself."""
    return Placement(np.eye(2, 3, dtype=np.float32), size)


def _write(results: Sequence[Photo], output: Path, options: Options, protected: set[tuple[int, int] | str]) -> None:
    for index, photo in enumerate(results):
        path = output if index == 0 else output.with_name(f"{output.stem}_face{index + 1}{output.suffix}")
        if _identity(path) in protected:
            raise OutputError(f"{images.shown(path)} is one of the photos given; choose another folder with --out.")
        images.write(
            photo,
            path,
            quality=options.quality,
            overwrite=options.overwrite,
            strip_location=options.strip_location,
            mark=options.mark,
        )


def _plan(item: Found, name: str, references: Sequence[Reference], options: Options) -> list[tuple[Reference, Path]]:
    """The output's path for each reference; the suffix by the source's own when the format stays the same."""
    nothing = np.zeros((1, 1, 3), np.uint8)
    suffix = images.suffix_for(Photo(nothing, path=item.path, format=_format(item.path)), options.format)
    return [
        (reference, options.out / item.inside / f"{name}{JOINT}{reference.name}{suffix}") for reference in references
    ]


def _format(path: Path) -> str:
    return images.FORMATS.get(path.suffix.lower(), "PNG")


def _present(output: Path) -> bool:
    return output.exists() or output.is_symlink()


def _identity(path: Path) -> tuple[int, int] | str:
    """What makes two paths one file: its inode where it exists, else its place."""
    try:
        found = path.stat()
        return found.st_dev, found.st_ino
    except OSError:
        return str(path.absolute())


def stems(found: Sequence[Found], *, joined: bool = False) -> list[str]:
    """A name for each photo, unique in its folder of results (`joined`: among all), whatever the case of letters.

    A stem that two photos share is told apart by its suffix (`a-jpg`, `a-png`), then by a number (`a-jpg-2`).
    """

    def place(item: Found) -> str:
        return "" if joined else str(item.inside).casefold()

    plain = [_short(item.path.stem) for item in found]
    times = Counter((place(item), name.casefold()) for item, name in zip(found, plain, strict=True))
    taken: set[tuple[str, str]] = set()
    names = []
    for item, stem in zip(found, plain, strict=True):
        name = stem
        if times[place(item), stem.casefold()] > 1:
            name = f"{stem}-{item.path.suffix.lower().lstrip('.')}"
        unique, number = name, 2
        while (place(item), unique.casefold()) in taken or (unique != stem and times[place(item), unique.casefold()]):
            unique, number = f"{name}-{number}", number + 1
        taken.add((place(item), unique.casefold()))
        names.append(unique)
    return names


def _short(stem: str) -> str:
    """A stem cut to LONGEST_STEM bytes, at a character's end."""
    return stem.encode("utf-8", "surrogateescape")[:LONGEST_STEM].decode("utf-8", "ignore") or "photo"
