"""From the network's chips to a written result, measured and pictured."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.outcome import FAULT_FIGURES, MEASURED, BeyondLimitError, Figures, Outcome, Status
from beautygan_cli.batch.sources import ReadyLook, Source, region_colours
from beautygan_cli.errors import OutputError
from beautygan_cli.evaluation import fault_summary, faults, metrics
from beautygan_cli.faces import alignment, tone
from beautygan_cli.faces.alignment import CropTransform, FaceAnalysis
from beautygan_cli.faces.recognition import descriptor
from beautygan_cli.imaging.colour import ciede2000
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.pipeline import Made
from beautygan_cli.photos.files import Journal, present, printable, refuse_foreign, sha256_of
from beautygan_cli.photos.leftovers import temporary_folder
from beautygan_cli.photos.photo import Photo, losses, write_photo
from beautygan_cli.types import UInt8Array

LIMITED_SHARES = (1.0, 0.75, 0.5, 0.25)  # of the asked strengths, tried in turn under an identity limit
PREVIEW_MARGIN = 1.3  # side of a preview to that of the box around all chips


def make(
    source: Source,
    look: ReadyLook,
    made: Sequence[Made],
    outcome: Outcome,
    config: RunConfig,
) -> tuple[Outcome, list[Photo]]:
    """From the network's chips, one of each face, to the photos of a result, and the outcome filled in.

    Raises BeyondLimitError when no strength keeps the face's distance to itself within the limit.
    """
    limit, strengths = config.min_identity, look.look.strengths.scaled(outcome.asked)
    spent = {**outcome.seconds, "composite": 0.0, "measure": 0.0}
    for share in (1.0,) if limit is None else LIMITED_SHARES:
        began = time.monotonic()
        photos = _composed(source, made, strengths.scaled(share), config)
        composed = time.monotonic()
        figures: Figures = {}
        wrong: list[str] = []
        if config.measure or limit is not None:
            figures, wrong = measure(source, look, photos, everything=config.measure, remove=config.remove)
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
        raise BeyondLimitError(replace(outcome, status=Status.FAILED, reason=reason))
    reasons = [f"made at {share:g} of the strength to stay within --min-identity {limit:g}"] if share < 1 else []
    lost = [*_left_out(source, look, strengths, config), *look.notes]
    converted = list(source.photo.notes)
    if any(tone.is_toned(face) for face in source.aligned):
        converted.append("the photo has no colour of its own, so its makeup has none; --in-colour gives it some")
    converted += losses(photos[0], outcome.output) if outcome.output else []
    said = [*reasons, *lost, *wrong, *converted]
    if source.left_alone:
        others = "a face" if source.left_alone == 1 else f"{source.left_alone} faces"
        said.append(f"{others} far smaller, or without colour, left as in the photo")
    notes = (*look.notes, *converted)
    return replace(
        outcome, status=Status.MADE, reason="; ".join(said), partly=bool(reasons or lost), notes=notes
    ), photos


def _left_out(source: Source, look: ReadyLook, strengths: Strengths, config: RunConfig) -> list[str]:
    """What of the regions that were to be made up could not be, a phrase each, once."""
    lacking = list(source.lacks)
    if not config.remove:
        lacking += [item._replace(phrase=f"in the reference {item.phrase}") for item in look.lacks]
    return list(dict.fromkeys(item.phrase for item in lacking if getattr(strengths, item.region) > 0))


def _composed(source: Source, made: Sequence[Made], strengths: Strengths, config: RunConfig) -> list[Photo]:
    """The whole photo made up, or with `crop` the chip of each face."""
    remove = config.remove
    if not source.crop:
        compared = config.measure or config.previews or config.min_identity is not None
        in_place = source.once and not compared
        pixels = pipeline.apply(source.photo.pixels, source.aligned, made, strengths, remove=remove, in_place=in_place)
        return [replace(source.photo, pixels=pixels)]
    photos = []
    for face, item in zip(source.aligned, made, strict=True):
        alone = FaceAnalysis(face.chip, CropTransform.in_itself(face.crop_transform.size), face.landmarks)
        pixels = pipeline.apply(face.chip, [alone], [item], strengths, remove=remove)
        chip = replace(source.photo.native, alpha=None) if source.photo.native else None
        if chip is not None:
            levels = alignment.crop(chip.levels, face.crop_transform)
            chip = replace(chip, levels=levels, working=face.chip)
        photos.append(replace(source.photo, pixels=pixels, alpha=None, native=chip))
    return photos


def measure(
    source: Source, look: ReadyLook, photos: Sequence[Photo], *, everything: bool = True, remove: bool = False
) -> tuple[Figures, list[str]]:
    """The figures of MEASURED, and what they show to have gone wrong, in words.

    Colours, detail and faults of the largest face, identity of the face that changed most. `everything` False: identity
    alone. `remove`: the result has its makeup off, which what is known of painting says nothing of.
    """
    subjects = source.subjects
    first, result = subjects[0], photos[0].pixels
    values: dict[str, float] = {}
    wrong: list[str] = []
    if everything:
        for when, pixels in (("before", first.pixels), ("after", result)):
            for region, colour in region_colours(pixels, first.masks).items():
                if region in look.colours:
                    values[f"{region}_{when}"] = float(ciede2000(colour, look.colours[region]))
        values["detail"] = metrics.detail_correlation(first.pixels, result, first.masks)
        if not remove:
            found = faults.figures_of(source.cropped, look.cropped, result)
            values |= {name: found[name] for name in FAULT_FIGURES}
            wrong = [
                fault_summary.FAULTS[name] for name in fault_summary.faults_of(found) if name in fault_summary.TOLD
            ]
    of_each = [photo.pixels for photo in photos] if source.crop else [result] * len(subjects)
    values["identity"] = max(
        float(np.linalg.norm(subject.descriptor - descriptor(pixels, subject.face)))
        for subject, pixels in zip(subjects, of_each, strict=True)
    )
    figures: dict[str, float | None] = dict.fromkeys(MEASURED) if everything else {}
    known = {name: round(value, 4) if np.isfinite(value) else None for name, value in values.items()}
    return figures | known, wrong


def with_pictures(outcome: Outcome, source: Source, photos: Sequence[Photo], config: RunConfig) -> Outcome:
    """The outcome with the chips and previews that were asked for."""
    face, result = source.aligned[0], photos[0].pixels
    if config.chips:
        lies = CropTransform.in_itself(face.crop_transform.size) if source.crop else face.crop_transform
        outcome = replace(outcome, chips=(face.chip, alignment.crop(result, lies)))
    if config.previews:
        before = face.chip if source.crop else source.photo.pixels
        part = np.s_[:, :] if source.crop else _around(source.aligned, before.shape[:2])
        outcome = replace(
            outcome, previews=(_small(before[part], config.previews), _small(result[part], config.previews))
        )
    return outcome


def write(photos: Sequence[Photo], files: Sequence[Path], config: RunConfig, journal: Journal) -> None:
    """Write each photo of a result to its file; OutputError, before any is written, where a foreign file is there.

    A file that holds to the byte what would be written was left by a run that could not note it, and is taken over.
    """
    there = {}
    for photo, file in zip(photos, files, strict=True):
        if not config.overwrite and present(file) and not journal.wrote(file):
            there[file] = _left_before(photo, file, config)
            if there[file] is None:
                refuse_foreign(file, overwrite=False, journal=journal)
    for photo, file in zip(photos, files, strict=True):
        if digest := there.get(file):
            journal.writing(file, digest)
        else:
            _write(photo, file, config, journal)


def _write(photo: Photo, file: Path, config: RunConfig, journal: Journal | None = None) -> None:
    write_photo(
        photo,
        file,
        quality=config.quality,
        overwrite=config.overwrite,
        journal=journal,
        strip_location=config.strip_location,
        mark=config.mark,
    )


def _left_before(photo: Photo, file: Path, config: RunConfig) -> str | None:
    """The SHA-256 of a file that is what would be written, None of any other."""
    with contextlib.suppress(OSError, OutputError), temporary_folder() as folder:
        copy = Path(folder, file.name)
        _write(photo, copy, config)
        digest = sha256_of(copy)
        return digest if digest == sha256_of(file) else None
    return None


def _around(aligned: Sequence[FaceAnalysis], shape: tuple[int, int]) -> tuple[slice, slice]:
    """The part of a photo that shows its faces and something around them."""
    boxes = np.array([alignment.footprint(face.crop_transform, shape) for face in aligned])
    (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    half = round(PREVIEW_MARGIN * max(right - left, bottom - top) / 2)
    x, y = (left + right) // 2, (top + bottom) // 2
    return slice(max(0, y - half), y + half), slice(max(0, x - half), x + half)


def _small(pixels: UInt8Array, longest: int) -> UInt8Array:
    import cv2

    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
