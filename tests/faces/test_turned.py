"""Heads at any angle in the plane are found, read upright and made up as upright ones are, at a bounded cost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.faces import detection, masks, turned
from beautygan_cli.faces.alignment import align
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.photos.photo import read_photo

ANGLES = range(15, 360, 15)
REGIONS = {"lips": masks.lips_mask, "lids": masks.lids_mask}


@pytest.fixture(scope="module")
def alma() -> np.ndarray:
    pixels = read_photo(SAMPLES / "no_makeup" / "alma.jpg").pixels
    return cv2.resize(pixels, (400, 400), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def upright(alma: np.ndarray) -> detection.Face:
    return detection.detect(alma)[0]


@pytest.mark.parametrize("angle", ANGLES)
def test_a_face_is_found_and_read_upright_at_every_angle(alma: np.ndarray, upright: detection.Face, angle: int) -> None:
    view = turned.whole(alma, angle)
    (face,) = detection.detect(view.pixels)
    wanted = view.to_view(upright.landmarks)
    assert np.linalg.norm(face.landmarks - wanted, axis=1).mean() < 0.03 * masks.interocular_distance(wanted)
    chips = [align(pixels, found, 128, 0.35).chip for pixels, found in ((alma, upright), (view.pixels, face))]
    inside = np.s_[24:104, 24:104]  # beyond lies what turning filled in
    first, second = (cv2.GaussianBlur(chip.astype(np.float32), (0, 0), 2)[inside] for chip in chips)
    assert np.abs(first - second).mean() < 4


@pytest.mark.parametrize("angle", [60, 90, 180, 255])
def test_lips_and_lids_take_as_much_as_on_an_upright_head(alma, upright, session, angle: int) -> None:
    look = pipeline.find_faces(
        read_photo(SAMPLES / "makeup" / "red.jpg").pixels, session.signature, "", which="largest"
    )

    def changes(pixels: np.ndarray) -> dict[str, float]:
        faces = pipeline.find_faces(pixels, session.signature, "")
        wearing = pipeline.Wearing.all_of(look[0])
        made = pipeline.apply_look(pixels, faces, wearing, pipeline.Strengths(), session, in_place=False)
        marks = faces[0].crop_transform.to_photo(faces[0].landmarks)
        apart = [rgb_to_lab(image) for image in (pixels, made)]
        return {
            name: float(ciede2000(*(weighted_mean(lab, mask(marks, pixels.shape[:2])) for lab in apart)))
            for name, mask in REGIONS.items()
        }

    on_upright, on_turned = changes(alma), changes(turned.whole(alma, angle).pixels)
    assert on_upright["lips"] > 5
    for name, change in on_upright.items():
        assert on_turned[name] >= 0.8 * change, name


class Counted:
    """The frontal detector, counting the pixels that it searches."""

    def __init__(self) -> None:
        self.detector, self.pixels = detection._frontal_detector(), 0

    def run(self, copy: np.ndarray, *arguments: float) -> object:
        self.pixels += copy.size
        return self.detector.run(copy, *arguments)


@pytest.mark.parametrize("angle", [0, 90, 180, 225])
def test_a_turned_face_costs_at_most_three_times_a_clear_ones_search(
    alma: np.ndarray, monkeypatch: pytest.MonkeyPatch, angle: int
) -> None:
    monkeypatch.setattr(detection, "load", lambda *_: pytest.fail("the slow detector was asked"))
    large = cv2.resize(alma, (1600, 1600), interpolation=cv2.INTER_CUBIC)
    counted = Counted()
    monkeypatch.setattr(detection, "_frontal_detector", lambda: counted)
    assert len(detection.detect(turned.whole(large, angle).pixels)) == 1
    assert counted.pixels <= 3 * 800 * 800


def test_what_lies_otherwise_than_a_face_does_is_none(upright: detection.Face) -> None:
    marks = upright.landmarks
    assert turned.make_a_face(marks)
    for angle in (90, 200):
        assert turned.make_a_face(marks @ turned.turn(angle).T)
    swapped, below, flat = marks.copy(), marks.copy(), marks.copy()
    swapped[36:42], swapped[42:48] = marks[42:48], marks[36:42]
    below[48:68] += [0, -1.2 * masks.interocular_distance(marks)]  # the mouth between the eyes
    flat[27:36] = marks[36:48].mean(axis=0)
    assert not any(turned.make_a_face(wrong) for wrong in (swapped, below, flat))


def test_an_upright_guess_at_a_head_that_lies_on_its_side_is_refused(alma: np.ndarray, upright: detection.Face) -> None:
    left, top, right, bottom = upright.box
    assert detection._upright(alma, upright.box, 0.0) is not None
    for angle in (90, 180):
        view = turned.whole(alma, angle)
        centre = view.to_view(np.array([[left + right, top + bottom]]) / 2)[0]
        half = upright.size / 2
        assert detection._upright(view.pixels, (*(centre - half), *(centre + half)), 0.0) is None


def test_eye_patches_of_a_head_on_its_side_lie_upright(alma: np.ndarray, upright: detection.Face) -> None:
    view = turned.whole(alma, 90)
    (face,) = detection.detect(view.pixels)
    straight, lying = (analyse_face(*item, 256, 0.35) for item in ((alma, upright), (view.pixels, face)))
    for one, other in zip(straight.eyes, lying.eyes, strict=True):
        side = min(one.pixels.shape[0], other.pixels.shape[0])
        first, second = (
            cv2.GaussianBlur(cv2.resize(patch.pixels, (side, side)).astype(np.float32), (0, 0), 1.5)
            for patch in (one, other)
        )
        assert np.abs(first - second).mean() < 6
