"""Deepening: weak makeup is brought nearer to the reference, within limits, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beautygan_cli import faces, images, regions, shades
from beautygan_cli.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.training import makeup

SAMPLES = Path(__file__).parent.parent / "samples"
STYLE = makeup.Style(
    makeup.Lipstick((36, 55, 30), 0.95),
    makeup.EyeShadow((40, 18, -20), (28, 18, -22), (20, 12, -16), 0.85, 0.7, 0.7, 0.8, 0.3),
)


@pytest.fixture(scope="module")
def face() -> faces.AlignedFace:
    pixels = images.read(SAMPLES / "no_makeup" / "bea.jpg").pixels
    return faces.align(pixels, faces.detect(pixels)[0], 256, 0.35)


@pytest.fixture(scope="module")
def worn(face: faces.AlignedFace) -> np.ndarray:
    return makeup.render(face.chip, face.landmarks, STYLE)


def distance(pixels: np.ndarray, wanted: np.ndarray, mask: np.ndarray) -> float:
    return float(ciede2000(*(weighted_mean(rgb_to_lab(item), mask) for item in (pixels, wanted))))


@pytest.mark.parametrize("share", [0.6, 0.75])
def test_makeup_at_part_of_its_depth_is_brought_to_the_references(
    share: float, face: faces.AlignedFace, worn: np.ndarray
) -> None:
    fed = face.chip.astype(np.float32)
    weak = fed + share * (worn - fed)
    result = shades.deepen(fed, weak, face.landmarks, worn, face.landmarks)
    for mask in (regions.lips_mask(face.landmarks, (256, 256), soft=0), regions.lids_mask(face.landmarks, (256, 256))):
        assert distance(result, worn, mask) < 0.5 * distance(weak, worn, mask)


def test_makeup_that_is_deep_enough_stays_as_it_is(face: faces.AlignedFace, worn: np.ndarray) -> None:
    result = shades.deepen(face.chip, worn, face.landmarks, worn, face.landmarks)
    assert np.abs(result - worn).max() < 3


def test_makeup_deeper_than_the_references_is_not_taken_back(face: faces.AlignedFace, worn: np.ndarray) -> None:
    fed = face.chip.astype(np.float32)
    light = fed + 0.4 * (worn - fed)
    result = shades.deepen(fed, worn, face.landmarks, light, face.landmarks)
    assert np.abs(result - worn).max() < 3


def test_the_change_grows_no_further_than_its_limit(face: faces.AlignedFace, worn: np.ndarray) -> None:
    fed = face.chip.astype(np.float32)
    faint = fed + 0.3 * (worn - fed)
    result = shades.deepen(fed, faint, face.landmarks, worn, face.landmarks)
    lips = regions.lips_mask(face.landmarks, (256, 256), soft=0)
    before, weak, after = (weighted_mean(rgb_to_lab(item), lips) for item in (fed, faint, result))
    assert np.linalg.norm(after - before) < (shades.LIMITS["lips"] + 0.1) * np.linalg.norm(weak - before)


def test_where_nothing_was_painted_nothing_is_deepened(face: faces.AlignedFace, worn: np.ndarray) -> None:
    result = shades.deepen(face.chip, face.chip, face.landmarks, worn, face.landmarks)
    assert np.abs(result - face.chip).max() < 1


def test_the_skin_outside_lips_and_eyes_does_not_move(face: faces.AlignedFace, worn: np.ndarray) -> None:
    fed = face.chip.astype(np.float32)
    weak = fed + 0.5 * (worn - fed)
    result = shades.deepen(fed, weak, face.landmarks, worn, face.landmarks)
    cheeks = regions.cheeks_mask(face.landmarks, (256, 256)) > 0.9
    assert np.abs(result - weak)[cheeks].max() < 1.5


# Makeup off


@pytest.mark.parametrize("name", ["alma", "bea", "chi", "dara", "emil", "tilted"])
def test_a_bare_face_has_no_hues_to_take_off(name: str) -> None:
    pixels = images.read(SAMPLES / "no_makeup" / f"{name}.jpg").pixels
    face = faces.align(pixels, faces.detect(pixels)[0], 256, 0.35)
    result = shades.bared(face.chip, face.landmarks)
    change = ciede2000(rgb_to_lab(face.chip), rgb_to_lab(result))
    whole = regions.face_mask(face.landmarks, (256, 256))
    assert float((change * whole).sum() / whole.sum()) < 1.0


def test_coloured_lids_and_lips_get_the_hues_of_bare_ones(face: faces.AlignedFace, worn: np.ndarray) -> None:
    result = shades.bared(worn, face.landmarks)
    lids = regions.lids_mask(face.landmarks, (256, 256))
    skin = regions.cheeks_mask(face.landmarks, (256, 256))
    own, before, after = (weighted_mean(rgb_to_lab(pixels), lids)[1:] for pixels in (face.chip, worn, result))
    assert np.hypot(*(after - own)) < 0.4 * np.hypot(*(before - own))
    assert distance(result, face.chip, skin) < 1
    lips = regions.lips_mask(face.landmarks, (256, 256), soft=0)
    own, before, after = (weighted_mean(rgb_to_lab(pixels), lips)[1:] for pixels in (face.chip, worn, result))
    assert np.hypot(*(after - own)) < 0.5 * np.hypot(*(before - own))


def test_eyeballs_and_lightness_stay_where_makeup_comes_off(face: faces.AlignedFace, worn: np.ndarray) -> None:
    result = shades.bared(worn, face.landmarks)
    eyeballs = regions.openings_mask(face.landmarks, (256, 256), soft=0) > 0.99
    assert np.abs(result - worn)[eyeballs].mean() < 2
    assert np.abs(rgb_to_lab(result)[..., 0] - rgb_to_lab(worn)[..., 0]).mean() < 0.5


def test_a_chip_without_skin_stays_as_it_is(face: faces.AlignedFace) -> None:
    nowhere = face.landmarks + 2000
    assert np.array_equal(shades.bared(face.chip, nowhere), face.chip.astype(np.float32))
