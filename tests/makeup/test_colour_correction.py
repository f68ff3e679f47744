"""Deepening: weak makeup is brought nearer to the reference, within limits. Taking off: only bare hues are left."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.faces import alignment, detection, masks
from beautygan_cli.imaging.colour import ciede2000, lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import colour_correction, rendering
from beautygan_cli.makeup.style import EyeShadow, Lipstick, Style
from beautygan_cli.photos.photo import read_photo

STYLE = Style(
    Lipstick((36, 55, 30), 0.95),
    EyeShadow((40, 18, -20), (28, 18, -22), (20, 12, -16), 0.85, 0.7, 0.7, 0.8, 0.3),
)


@pytest.fixture(scope="module")
def face() -> alignment.FaceAnalysis:
    pixels = read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels
    return alignment.align(pixels, detection.detect(pixels)[0], 256, 0.35)


@pytest.fixture(scope="module")
def worn(face: alignment.FaceAnalysis) -> np.ndarray:
    return rendering.render(face.chip, face.landmarks, STYLE)


def distance(pixels: np.ndarray, wanted: np.ndarray, mask: np.ndarray) -> float:
    return float(ciede2000(*(weighted_mean(rgb_to_lab(item), mask) for item in (pixels, wanted))))


def masks_of(face: alignment.FaceAnalysis) -> dict[str, np.ndarray]:
    lips, lids = masks.lips_mask(face.landmarks, (256, 256), soft=0), masks.lids_mask(face.landmarks, (256, 256))
    return {"lips": lips, "eyes": lids}


def gains(face: alignment.FaceAnalysis, made_up: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """How many times as far as before the result is from the bare face, in the mean of each region."""
    skin = masks.cheeks_mask(face.landmarks, (256, 256))
    bare, before, after = (rgb_to_lab(item) for item in (face.chip, made_up, result))
    known = {}
    for name, mask in masks_of(face).items():
        moves = (weighted_mean(item - bare, mask) - weighted_mean(item - bare, skin) for item in (before, after))
        first, second = (float(np.linalg.norm(move)) for move in moves)
        known[name] = second / first
    return known


@pytest.mark.parametrize("share", [0.85, 0.9])
def test_makeup_at_part_of_its_depth_is_brought_to_the_references(
    share: float, face: alignment.FaceAnalysis, worn: np.ndarray
) -> None:
    network_input = face.chip.astype(np.float32)
    weak = network_input + share * (worn - network_input)
    result = colour_correction.deepen(network_input, weak, face, worn, face.landmarks)
    for mask in masks_of(face).values():
        assert distance(result, worn, mask) < 0.6 * distance(weak, worn, mask)


@pytest.mark.parametrize(("share", "of_reference", "end"), [(1.0, 1.0, 0), (1.0, 0.4, 0), (0.3, 1.0, 1)])
def test_the_change_is_scaled_within_its_limits(
    share: float,
    of_reference: float,
    end: int,
    face: alignment.FaceAnalysis,
    worn: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Makeup as deep as the reference's, or deeper, gets the lower one; faint makeup the higher one."""
    monkeypatch.setattr(colour_correction, "SHIFTS", dict.fromkeys(colour_correction.SHIFTS, 0.0))
    network_input = face.chip.astype(np.float32)
    made_up, reference = (network_input + part * (worn - network_input) for part in (share, of_reference))
    result = colour_correction.deepen(network_input, made_up, face, reference, face.landmarks)
    for name, gain in gains(face, made_up, result).items():
        assert gain == pytest.approx(colour_correction.GAINS[name][end], abs=0.04), name


def test_what_scaling_leaves_is_added_up_to_a_limit(
    face: alignment.FaceAnalysis, worn: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is of another colour than what the network painted, a little or much; lips move with skin."""
    monkeypatch.setattr(colour_correction, "GAINS", dict.fromkeys(colour_correction.GAINS, (1.0, 1.0)))
    network_input = face.chip.astype(np.float32)
    where = {"lips": masks_of(face)["lips"], "skin": masks.cheeks_mask(face.landmarks, (256, 256))}
    lab = rgb_to_lab(network_input + 0.9 * (worn - network_input)) + np.float32([-6, 0, 0])
    made_up = lab_to_rgb(lab)
    for off in (2.0, 7.0):
        reference = lab_to_rgb(lab + np.float32([0, 0, off]))
        result = rgb_to_lab(colour_correction.deepen(network_input, made_up, face, reference, face.landmarks))
        moved = {name: weighted_mean(result - lab, mask)[2] for name, mask in where.items()}
        assert moved["skin"] == pytest.approx(min(off, colour_correction.SHIFTS["skin"]), abs=0.3)
        assert moved["lips"] == pytest.approx(
            min(off, colour_correction.SHIFTS["skin"] + colour_correction.SHIFTS["lips"]), abs=0.3
        )


def test_another_skins_tone_is_not_taken_over(face: alignment.FaceAnalysis) -> None:
    """What lies far from what the network made of it is another person's skin or another lamp."""
    cheeks = masks.cheeks_mask(face.landmarks, (256, 256))
    lab = rgb_to_lab(face.chip)
    made_up = lab_to_rgb(lab + np.float32([-6, 0, 0]))
    paler = lab_to_rgb(lab + np.float32([14, 0, 0]))
    result = colour_correction.deepen(face.chip.astype(np.float32), made_up, face, paler, face.landmarks)
    assert np.abs(weighted_mean(rgb_to_lab(result) - rgb_to_lab(made_up), cheeks)).max() < 0.3


def test_the_skins_shade_reaches_the_references_and_comes_back_no_further_than_its_limit(
    face: alignment.FaceAnalysis,
) -> None:
    network_input = face.chip.astype(np.float32)
    cheeks = masks.cheeks_mask(face.landmarks, (256, 256))
    lab = rgb_to_lab(network_input)
    made_up, deeper = (lab_to_rgb(lab - np.array([part * 8, 0, -part * 3], np.float32)) for part in (0.8, 1.0))
    moves = []
    for reference in (deeper, made_up, network_input):
        result = colour_correction.deepen(network_input, made_up, face, reference, face.landmarks)
        moves.append(np.linalg.norm(weighted_mean(rgb_to_lab(result) - rgb_to_lab(made_up), cheeks)))
    wanted = np.linalg.norm(weighted_mean(rgb_to_lab(deeper) - rgb_to_lab(made_up), cheeks))
    assert moves == pytest.approx([wanted, 0, colour_correction.SHIFTS["skin"]], abs=0.15)


def test_where_nothing_was_painted_nothing_is_deepened(face: alignment.FaceAnalysis, worn: np.ndarray) -> None:
    result = colour_correction.deepen(face.chip, face.chip, face, worn, face.landmarks)
    assert np.abs(result - face.chip).max() < 1


def test_the_skin_outside_lips_and_eyes_does_not_move(face: alignment.FaceAnalysis, worn: np.ndarray) -> None:
    network_input = face.chip.astype(np.float32)
    weak = network_input + 0.5 * (worn - network_input)
    result = colour_correction.deepen(network_input, weak, face, worn, face.landmarks)
    cheeks = masks.cheeks_mask(face.landmarks, (256, 256)) > 0.9
    assert np.abs(result - weak)[cheeks].max() < 1.5


# Makeup off


@pytest.mark.parametrize("name", ["alma", "bea", "chi", "dara", "emil", "tilted"])
def test_a_bare_face_has_no_hues_to_take_off(name: str) -> None:
    pixels = read_photo(SAMPLES / "no_makeup" / f"{name}.jpg").pixels
    face = alignment.align(pixels, detection.detect(pixels)[0], 256, 0.35)
    result = colour_correction.bared(face.chip, face.landmarks)
    change = ciede2000(rgb_to_lab(face.chip), rgb_to_lab(result))
    whole = masks.face_mask(face.landmarks, (256, 256))
    assert float((change * whole).sum() / whole.sum()) < 1.0


def test_coloured_lids_and_lips_get_the_hues_of_bare_ones(face: alignment.FaceAnalysis, worn: np.ndarray) -> None:
    result = colour_correction.bared(worn, face.landmarks)
    lids = masks.lids_mask(face.landmarks, (256, 256))
    skin = masks.cheeks_mask(face.landmarks, (256, 256))
    own, before, after = (weighted_mean(rgb_to_lab(pixels), lids)[1:] for pixels in (face.chip, worn, result))
    assert np.hypot(*(after - own)) < 0.4 * np.hypot(*(before - own))
    assert distance(result, face.chip, skin) < 1
    lips = masks.lips_mask(face.landmarks, (256, 256), soft=0)
    own, before, after = (weighted_mean(rgb_to_lab(pixels), lips)[1:] for pixels in (face.chip, worn, result))
    assert np.hypot(*(after - own)) < 0.5 * np.hypot(*(before - own))


def test_eyeballs_and_lightness_stay_where_makeup_comes_off(face: alignment.FaceAnalysis, worn: np.ndarray) -> None:
    result = colour_correction.bared(worn, face.landmarks)
    eyeballs = masks.openings_mask(face.landmarks, (256, 256), soft=0) > 0.99
    assert np.abs(result - worn)[eyeballs].mean() < 2
    assert np.abs(rgb_to_lab(result)[..., 0] - rgb_to_lab(worn)[..., 0]).mean() < 0.5


def test_a_chip_without_skin_stays_as_it_is(face: alignment.FaceAnalysis) -> None:
    nowhere = face.landmarks + 2000
    assert np.array_equal(colour_correction.bared(face.chip, nowhere), face.chip.astype(np.float32))
