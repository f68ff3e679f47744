"""The thin-plate spline: points go where they belong, what fits needs no bending, nothing folds."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.faces import alignment, detection, masks
from beautygan_cli.faces.warp import field_onto, spline, warp_onto
from beautygan_cli.imaging import drawing
from beautygan_cli.photos.photo import read_photo

SHAPE = (256, 256)


def aligned(path: str) -> alignment.FaceAnalysis:
    pixels = read_photo(SAMPLES / path).pixels
    return alignment.align(pixels, detection.detect(pixels)[0], 256, 0.35)


@pytest.fixture(scope="module")
def chips() -> dict[str, alignment.FaceAnalysis]:
    return {name: aligned(name) for name in ("no_makeup/tilted.jpg", "no_makeup/dara.jpg", "makeup/red.jpg")}


def test_a_face_onto_itself_stays_as_it_is(chips: dict[str, alignment.FaceAnalysis]) -> None:
    face = chips["makeup/red.jpg"]
    field = field_onto(face.landmarks, face.landmarks, SHAPE)
    rows, columns = np.mgrid[:256, :256]
    assert np.abs(field - np.dstack([columns, rows])).max() < 0.01


@pytest.mark.parametrize("name", ["no_makeup/tilted.jpg", "no_makeup/dara.jpg"])
def test_landmarks_come_to_lie_on_the_targets(name: str, chips: dict[str, alignment.FaceAnalysis]) -> None:
    source, reference = chips[name], chips["makeup/red.jpg"]
    field = field_onto(reference.landmarks, source.landmarks, SHAPE)
    inside = [p for p in range(68) if (source.landmarks[p] > 1).all() and (source.landmarks[p] < 254).all()]
    x, y = np.round(source.landmarks[inside]).astype(int).T
    error = np.linalg.norm(field[y, x] - reference.landmarks[inside], axis=1)
    assert error.mean() < 1.0
    assert error.max() < 3.5  # where an open mouth comes from a shut one; the spline is stiff there


def test_the_warp_does_not_fold_the_face(chips: dict[str, alignment.FaceAnalysis]) -> None:
    for first in chips.values():
        for second in chips.values():
            field = field_onto(first.landmarks, second.landmarks, SHAPE)
            across, down = np.gradient(field, axis=1), np.gradient(field, axis=0)
            area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
            inside = masks.face_mask(second.landmarks, SHAPE) > 0.5
            # Between a shut mouth and an open one the spline may all but close, nowhere else.
            inside &= drawing.fill(SHAPE, drawing.smooth_curve(second.landmarks[48:60], closed=True)) < 0.01
            assert (area[inside] > 0).all()


def test_the_spline_is_exact_for_what_is_affine() -> None:
    rng = np.random.default_rng(3)
    source = rng.uniform(0, 256, (40, 2))
    matrix, shift = np.array([[1.1, 0.2], [-0.1, 0.9]]), np.array([4.0, -7.0])
    places = rng.uniform(0, 256, (100, 2))
    assert np.allclose(spline(source, source @ matrix.T + shift, places), places @ matrix.T + shift, atol=1e-6)


def test_pixels_follow_the_field(chips: dict[str, alignment.FaceAnalysis]) -> None:
    source, reference = chips["no_makeup/dara.jpg"], chips["makeup/red.jpg"]
    warped = warp_onto(reference.chip, reference.landmarks, source.landmarks, SHAPE)
    lips = masks.lips_mask(source.landmarks, SHAPE, soft=0) > 0.95
    redness = warped[..., 0].astype(int) - warped[..., 1]
    assert redness[lips].mean() > redness[masks.cheeks_mask(source.landmarks, SHAPE) > 0.9].mean() + 60
