"""Dim photos: makeup is as dim as they are, and dark skin in good light is no dim photo."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli import MakeupSession
from beautygan_cli.batch.clip import Work
from beautygan_cli.faces import alignment, detection, exposure
from beautygan_cli.faces.masks import lips_mask, openings_mask, skin_mask
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.photos.photo import read_photo

BARE = sorted((SAMPLES / "no_makeup").glob("*.jpg"))
LOOKS = sorted((SAMPLES / "makeup").glob("*.jpg"))


def aligned(pixels: np.ndarray) -> alignment.FaceAnalysis:
    return alignment.align(pixels, detection.detect(pixels)[0], 256, 0.35)


def dim(pixels: np.ndarray, share: float) -> np.ndarray:
    return np.rint(pixels * share).astype(np.uint8)


@pytest.mark.parametrize("photo", [*BARE, *LOOKS], ids=lambda path: path.stem)
def test_no_skin_and_no_makeup_is_taken_for_the_dark(photo: Path) -> None:
    face = aligned(read_photo(photo).pixels)
    assert exposure.exposure(face) == 1
    assert exposure.lit(face) is face


@pytest.mark.parametrize("share", [0.5, 0.35])
@pytest.mark.parametrize("name", ["bea", "dara"])
def test_a_dim_photo_is_brightened_and_the_darker_the_more(name: str, share: float) -> None:
    pixels = read_photo(SAMPLES / "no_makeup" / f"{name}.jpg").pixels
    face = aligned(dim(pixels, share))
    times = exposure.exposure(face)
    assert times is not None and 1.1 < times <= exposure.MOST
    bright = exposure.lit(face)
    assert exposure.lit(face) is bright, "what is encoded once is known by the object"
    assert exposure.exposure(bright) == pytest.approx(1, abs=0.12)
    assert bright.chip.max() <= 255 and bright.chip.mean() > face.chip.mean()


@pytest.mark.parametrize("look", ["red", "teal"])
def test_lips_in_a_dim_photo_are_as_dim_as_the_photo(look: str, session: MakeupSession, monkeypatch) -> None:
    pixels = read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels
    reference = SAMPLES / "makeup" / f"{look}.jpg"
    lips = lips_mask(detection.detect(pixels)[0].landmarks, pixels.shape[:2])

    def colour(result: np.ndarray) -> np.ndarray:
        return weighted_mean(rgb_to_lab(result), lips)

    wanted = colour(dim(pipeline.transfer(pixels, reference, session=session), 0.4))
    got = colour(pipeline.transfer(dim(pixels, 0.4), reference, session=session))
    monkeypatch.setattr(exposure, "exposure", lambda face: 1.0)
    without = colour(pipeline.transfer(dim(pixels, 0.4), reference, session=session))
    assert without[0] > wanted[0] + 5, "the case shows nothing"
    assert ciede2000(got, wanted) < 0.5 * ciede2000(without, wanted)


def test_what_is_not_to_change_in_a_dim_photo_stays_to_the_bit(session: MakeupSession) -> None:
    pixels = dim(read_photo(BARE[0]).pixels, 0.4)
    reference = SAMPLES / "makeup" / "red.jpg"
    strengths = pipeline.Strengths(lips=1, eyes=0, skin=0)
    result = pipeline.transfer(pixels, reference, strengths, session=session)
    changed = np.abs(result.astype(int) - pixels).max(axis=-1) > 0
    assert changed.any()
    rows, columns = np.nonzero(changed)
    marks = detection.detect(pixels)[0].landmarks
    assert rows.min() > marks[30:36, 1].min() and rows.max() < marks[8, 1]
    assert columns.min() > marks[4, 0] and columns.max() < marks[12, 0]


def test_shut_eyes_say_nothing() -> None:
    pixels = read_photo(SAMPLES / "no_makeup" / "dara.jpg").pixels
    face = aligned(pixels)
    points = face.landmarks.copy()
    for eye in (slice(36, 42), slice(42, 48)):
        points[eye, 1] = points[eye, 1].mean()
    assert exposure.exposure(replace(face, landmarks=points)) is None
    assert exposure.lit(replace(face, landmarks=points)).exposure is None


def test_eyes_full_of_black_makeup_do_not_make_a_bright_photo_dim() -> None:
    face = aligned(read_photo(SAMPLES / "no_makeup" / "emil.jpg").pixels)
    eyes = openings_mask(face.landmarks, face.chip.shape[:2], soft=0.02)[..., None]
    skin = np.median(face.chip[skin_mask(face.landmarks, face.chip.shape[:2]) > 0.5].max(axis=-1))
    times = exposure.exposure(replace(face, chip=np.rint(face.chip * (1 - 0.9 * eyes)).astype(np.uint8)))
    assert times is not None and times * skin <= exposure.LIGHTEST_SKIN + 1


def test_a_blink_does_not_flash_in_a_clip() -> None:
    work = Work(Namespace(), Namespace(), 1.0, Namespace(), Namespace())
    pixels = read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels
    dark, lit = aligned(dim(pixels, 0.35)), aligned(pixels)
    first = work._steady(dark, 1).exposure
    assert first is not None and first > 1.3
    steps = [first, *(work._steady(face, 1).exposure for face in (lit, lit, dark, dark))]
    assert np.abs(np.diff(steps)).max() < 0.05
    assert work._steady(lit, 2).exposure == 1, "another face has a light of its own"
