"""Landmarks lie where the edge is seen: on any size, in a mirror, in makeup, on shut lids; what is covered is told."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SAMPLES, SHARED

from beautygan_cli.errors import ModelError
from beautygan_cli.faces import contours, detection, masks
from beautygan_cli.faces.landmark_network import LandmarkNetwork, of_the_package
from beautygan_cli.faces.landmarks import five_points
from beautygan_cli.makeup import rendering
from beautygan_cli.makeup.style import EyeShadow, Liner, Lipstick, Style
from beautygan_cli.model import frozen
from beautygan_cli.photos.photo import read_photo

NAMES = ("alma", "bea", "chi", "dara", "emil")
EYES = np.arange(36, 48)


def photo(name: str) -> np.ndarray:
    return read_photo(SAMPLES / "no_makeup" / f"{name}.jpg").pixels


@pytest.fixture(scope="module")
def starts() -> dict[str, np.ndarray]:
    """Dlib's five points of each sample."""
    return {name: five_points(photo(name), detection.detect(photo(name))[0].box) for name in NAMES}


def found(pixels: np.ndarray, start: np.ndarray) -> np.ndarray:
    return of_the_package().find(pixels, [start])[0].landmarks


def apart(first: np.ndarray, second: np.ndarray, numbers: np.ndarray | slice = slice(68)) -> float:
    """The mean distance of landmarks, in units."""
    return float(np.linalg.norm((first - second)[numbers], axis=1).mean()) / masks.interocular_distance(first)


@pytest.mark.parametrize("name", NAMES)
def test_the_start_may_be_a_twentieth_off_without_moving_the_eyes(name: str, starts: dict[str, np.ndarray]) -> None:
    pixels, start = photo(name), starts[name]
    middle = found(pixels, start)
    rng = np.random.default_rng(0)
    moved = start + rng.normal(0, 0.05 * masks.interocular_distance(middle), (5, 2))
    assert apart(middle, found(pixels, moved), EYES) < 0.01
    assert apart(middle, found(pixels, moved)) < 0.025


@pytest.mark.parametrize("name", NAMES)
def test_a_mirror_image_has_the_mirrored_landmarks(name: str, starts: dict[str, np.ndarray]) -> None:
    pixels, width = photo(name), photo(name).shape[1]
    there = found(np.ascontiguousarray(pixels[:, ::-1]), ([width - 1, 0] + starts[name] * [-1, 1])[[3, 2, 1, 0, 4]])
    assert apart(found(pixels, starts[name]), masks.mirrored(there, width), EYES) < 0.015


def test_landmarks_of_a_small_copy_are_those_of_the_photo(starts: dict[str, np.ndarray]) -> None:
    pixels = photo("bea")
    small = cv2.resize(pixels, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    start = (starts["bea"] + 0.5) / 3 - 0.5
    whole = found(pixels, starts["bea"])
    assert apart(whole, (found(small, start) + 0.5) * 3 - 0.5, EYES) < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_makeup_moves_neither_lids_nor_lips(name: str, starts: dict[str, np.ndarray]) -> None:
    """Shadow, a wing and dark lipstick: what a reference wears is found where it is bare."""
    pixels = photo(name)
    bare = found(pixels, starts[name])
    dark = (18, 5, 5)
    style = Style(
        shadow=EyeShadow(dark, dark, dark, 0.9, 0.7, 0.9, height=0.6, outward=0.3),
        liner=Liner((8, 0, 0), 0.95, 0.06, wing=0.4),
        lipstick=Lipstick((28, 35, 12), 0.95),
    )
    worn = np.clip(np.round(rendering.render(pixels, bare, style)), 0, 255).astype(np.uint8)
    assert np.abs(worn.astype(int) - pixels).max() > 50, "nothing is worn"
    assert apart(bare, found(worn, starts[name]), EYES) < 0.02
    assert apart(bare, found(worn, starts[name]), np.arange(48, 68)) < 0.02


def test_confidence_falls_where_something_hides_the_face_and_stays_elsewhere(starts: dict[str, np.ndarray]) -> None:
    pixels = photo("alma")
    clear = of_the_package().find(pixels, [starts["alma"]])[0]
    assert clear.confidence[36:68].min() > 0.8
    hidden = pixels.copy()
    left, top = clear.landmarks[48:68].min(axis=0).astype(int) - 40
    right, bottom = clear.landmarks[48:68].max(axis=0).astype(int) + 40
    hidden[top:bottom, left:right] = (96, 104, 120)
    covered = of_the_package().find(hidden, [starts["alma"]])[0]
    assert covered.confidence[48:68].mean() < 0.6
    assert covered.confidence[36:48].min() > 0.8
    assert covered.contour_confidence[contours.LIPS].mean() < 0.6


def test_faces_looked_at_together_are_found_as_alone(starts: dict[str, np.ndarray]) -> None:
    pixels, start = photo("alma"), starts["alma"]
    several = [start, start + 4, start - 3]
    together = of_the_package().find(pixels, several * 7)
    assert len(together) == 21
    for shape, one in zip(together, several * 7, strict=True):
        assert np.abs(shape.landmarks - found(pixels, one)).max() < 0.05


def test_the_landmarks_are_read_off_the_contours(starts: dict[str, np.ndarray]) -> None:
    shape = of_the_package().find(photo("chi"), [starts["chi"]])[0]
    eye = shape.contours[contours.LEFT_EYE]
    assert np.allclose(shape.landmarks[[36, 39]], eye[[0, 8]], atol=0.01)
    assert eye[0, 0] < eye[8, 0]
    assert shape.contours[contours.RIGHT_EYE][8, 0] < shape.contours[contours.RIGHT_EYE][0, 0]
    assert np.allclose(shape.landmarks[51], shape.contours[contours.LIPS][3], atol=0.01)


@pytest.mark.parametrize("pixels", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)])
def test_arrays_of_other_shapes_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be"):
        of_the_package().find(pixels, [np.zeros((5, 2))])
    with pytest.raises(ValueError, match=r"\(5, 2\)"):
        of_the_package().find(np.zeros((9, 9, 3), np.uint8), [np.zeros((68, 2))])


def test_a_folder_without_a_network_is_refused_by_name(tmp_path: Path) -> None:
    with LandmarkNetwork(tmp_path) as network, pytest.raises(ModelError, match=str(tmp_path)):
        network.find(np.zeros((99, 99, 3), np.uint8), [np.array([[20.0, 40], [40, 40], [60, 40], [80, 40], [50, 70]])])


def test_the_network_takes_at_most_a_megabyte_and_a_half() -> None:
    assert sum(file.stat().st_size for file in frozen.bundled("landmarks").iterdir()) < 1_500_000


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos are not here")
def test_eyes_and_lips_of_people_not_trained_on_lie_where_they_were_clicked() -> None:
    from beautygan_cli.training.dataset import contours_of, read_template
    from beautygan_cli.training.landmarks import landmark_errors

    errors: dict[str, list[float]] = {}
    held = sorted((SHARED / "london_neutral").glob("[01]*.jpg"))[::9]
    assert len(held) == 12
    for path in held:
        true = contours_of(read_template(path.with_suffix(".tem")))
        pixels = read_photo(path).pixels
        landmarks = found(pixels, five_points(pixels, detection.detect(pixels)[0].box))
        for part, values in landmark_errors(landmarks, true).items():
            errors.setdefault(part, []).extend(values)
    means = {part: float(np.mean(values)) for part, values in errors.items()}
    assert means["upper lid"] < 1.6
    assert means["lower lid"] < 1.7
    assert means["corners"] < 3.6
    assert means["lips"] < 1.4
