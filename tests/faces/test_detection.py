"""Faces: found at any size and turn, landmarks in the photo's pixels, chips that lie where dlib lays them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
from conftest import REPOSITORY

from beautygan_cli.errors import StoppedError
from beautygan_cli.faces import alignment, detection, masks
from beautygan_cli.faces.dlib_models import predictor_file
from beautygan_cli.faces.landmarks import grey
from beautygan_cli.faces.recognition import descriptor
from beautygan_cli.imaging.resize import averaged
from beautygan_cli.photos.photo import read_photo

ROOT = REPOSITORY
SHARED = ROOT.parent / "shared" / "faces"
BARE = sorted((ROOT / "samples" / "no_makeup").glob("*.jpg"))
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos are not here")


@pytest.fixture(scope="module")
def alma() -> np.ndarray:
    return read_photo(ROOT / "samples" / "no_makeup" / "alma.jpg").pixels


@pytest.fixture(scope="module")
def alma_face(alma: np.ndarray) -> detection.Face:
    return detection.detect(alma)[0]


def test_the_frontal_detector_in_its_file_is_dlibs_own(alma: np.ndarray) -> None:
    """Dlib unpacks its own anew for each thread, which takes a hundred times as long as reading the file."""
    own, read = dlib.get_frontal_face_detector(), detection._frontal_detector()
    # So low a threshold that all five that it is made of answer.
    (boxes, scores, which), again = (detector.run(alma, 0, -2.0) for detector in (own, read))
    assert len(set(which)) == 5
    assert (list(boxes), list(scores), list(which)) == tuple(map(list, again))


@pytest.mark.parametrize("path", BARE, ids=lambda path: path.stem)
def test_every_sample_has_exactly_one_face(path: Path) -> None:
    pixels = read_photo(path).pixels
    found = detection.detect(pixels)
    assert len(found) == 1
    left, top, right, bottom = found[0].box
    height, width = pixels.shape[:2]
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert found[0].landmarks.shape == (68, 2)


def test_a_picture_without_a_face_gives_an_empty_list() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    assert detection.detect(noise) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (30, 30)])
def test_pictures_too_small_for_a_face_are_searched_without_harm(shape: tuple[int, int]) -> None:
    assert detection.detect(np.full((*shape, 3), 128, dtype=np.uint8)) == []


def test_landmarks_are_in_the_pixels_of_the_photo_whatever_its_size(
    alma: np.ndarray, alma_face: detection.Face
) -> None:
    large = cv2.resize(alma, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    found = detection.detect(large)[0]
    error = np.linalg.norm(found.landmarks / 2.5 - alma_face.landmarks, axis=1)
    assert error.mean() < 0.015 * masks.interocular_distance(alma_face.landmarks)


def test_a_far_face_is_found_on_a_larger_copy(alma: np.ndarray, alma_face: detection.Face) -> None:
    # In the first copy, 800 pixels wide, this face is about 40 pixels wide: too small for the detector.
    small = cv2.resize(alma, (250, 250), interpolation=cv2.INTER_AREA)
    canvas = np.full((1500, 1700, 3), 200, dtype=np.uint8)
    canvas[900:1150, 1200:1450] = small
    found = detection.detect(canvas)
    assert len(found) == 1
    centre = found[0].landmarks.mean(axis=0)
    wanted = alma_face.landmarks.mean(axis=0) * 250 / alma.shape[0] + (1200, 900)
    assert np.linalg.norm(centre - wanted) < 6


def test_a_head_turned_too_far_for_the_frontal_detector_is_found_on_turned_copies(alma: np.ndarray) -> None:
    centre = (alma.shape[1] / 2, alma.shape[0] / 2)
    turned = cv2.warpAffine(alma, cv2.getRotationMatrix2D(centre, 60, 0.8), alma.shape[1::-1], borderValue=(190,) * 3)
    detector = detection._frontal_detector()
    assert not detector(cv2.resize(turned, (720, 720)), 1), "the case is too easy to show anything"
    assert len(detection.detect(turned)) == 1


def test_several_faces_come_largest_first(alma: np.ndarray) -> None:
    canvas = np.full((1000, 1500, 3), 200, dtype=np.uint8)
    canvas[:500, :500] = cv2.resize(alma, (500, 500), interpolation=cv2.INTER_AREA)
    canvas[:900, 600:1500] = cv2.resize(alma, (900, 900), interpolation=cv2.INTER_AREA)
    found = detection.detect(canvas)
    assert len(found) == 2
    assert found[0].size > found[1].size
    assert found[0].landmarks[:, 0].min() > 600


class Counted:
    """The frontal detector, counting the pixels that it searches."""

    def __init__(self) -> None:
        self.detector, self.searched = detection._frontal_detector(), []

    def run(self, copy: np.ndarray, *arguments: float) -> object:
        self.searched.append(max(copy.shape[:2]))
        return self.detector.run(copy, *arguments)


def test_a_clear_face_is_searched_for_once_on_a_small_copy(alma: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    monkeypatch.setattr(detection, "_frontal_detector", lambda: counted)
    assert len(detection.detect(cv2.resize(alma, (3000, 3000)))) == 1
    assert counted.searched == [800]


def test_a_sampled_copy_shows_the_face_where_an_averaged_one_does(
    alma: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = cv2.resize(alma, (3600, 3600), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 5, large.shape[:2])[..., None]
    large = np.clip(large + grain, 0, 255).astype(np.uint8)
    sampled = detection.detect(large)
    monkeypatch.setattr(
        detection, "_sampled", lambda pixels: cv2.resize(pixels, (900, 900), interpolation=cv2.INTER_AREA)
    )
    assert [face.box for face in sampled] == [face.box for face in detection.detect(large)]


def test_five_points_in_grey_are_those_in_colour(alma: np.ndarray, alma_face: detection.Face) -> None:
    predictor = dlib.shape_predictor(str(predictor_file("shape_predictor_5_face_landmarks.dat")))
    box = dlib.rectangle(*(round(v) for v in alma_face.box))
    in_colour, in_grey = (
        [(point.x, point.y) for point in predictor(pixels, box).parts()] for pixels in (alma, grey(alma))
    )
    assert in_colour == in_grey


def test_the_back_row_of_a_group_is_found_with_the_front_row(alma: np.ndarray) -> None:
    canvas = np.full((1500, 2000, 3), 200, dtype=np.uint8)
    for number, side in enumerate((620, 300, 300, 300)):  # faces of about 220 and 105 pixels
        canvas[20 : 20 + side, 480 * number : 480 * number + side] = cv2.resize(
            alma, (side, side), interpolation=cv2.INTER_AREA
        )
        canvas[20 : 20 + side, 480 * (number + 1) :] = 200
    sizes = [face.size for face in detection.detect(canvas)]
    assert len(sizes) == 4
    assert sizes[-1] < 0.1 * 2000 * 0.8, "the case is too easy to show anything"


def test_a_search_that_is_not_thorough_still_finds_faces_of_a_fifteenth_of_the_photo(alma: np.ndarray) -> None:
    canvas = np.full((1500, 2000, 3), 200, dtype=np.uint8)
    canvas[600:960, 800:1160] = cv2.resize(alma, (360, 360), interpolation=cv2.INTER_AREA)  # the face: about 125
    assert len(detection.detect(canvas, thorough=False)) == 1


@pytest.mark.parametrize("size", [(700, 500), (333, 211), (64, 48)])
def test_averaging_keeps_the_mean_and_the_place(alma: np.ndarray, size: tuple[int, int]) -> None:
    rows, columns = np.mgrid[:1000, :1400].astype(np.float32)
    ramp = np.stack([columns / 6, rows / 5], axis=-1).astype(np.uint8)
    small = averaged(ramp, size).astype(float)
    middle = (np.arange(size[0]) + 0.5) * 1400 / size[0] - 0.5
    assert np.abs(small[..., 0].mean(axis=0) - (middle / 6 - 0.5)).max() < 1.5  # each halving rounds
    assert np.abs(averaged(alma, size).mean(axis=(0, 1)) - alma.mean(axis=(0, 1))).max() < 0.5


def test_the_chip_is_the_one_that_dlib_cuts(alma: np.ndarray, alma_face: detection.Face) -> None:
    import dlib

    points = [dlib.point(round(float(x)), round(float(y))) for x, y in alma_face.landmarks]
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), points)
    theirs = dlib.get_face_chip(alma, shape, size=256, padding=0.35).astype(float)
    ours = alignment.align(alma, alma_face, 256, 0.35).chip.astype(float)
    # dlib halves the photo by a pyramid before it interpolates, so the two differ in sharpness, not in place.
    smooth = [cv2.GaussianBlur(chip, (0, 0), 2)[8:-8, 8:-8] for chip in (theirs, ours)]
    assert np.abs(smooth[0] - smooth[1]).mean() < 1.5
    shift, _ = cv2.phaseCorrelate(*(chip.mean(axis=2) for chip in smooth))
    assert np.hypot(*shift) < 0.5


def test_placement_there_and_back_gives_the_same_points(alma_face: detection.Face) -> None:
    crop_transform = alignment.place(alma_face.landmarks, 256, 0.35)
    back = crop_transform.to_photo(crop_transform.to_chip(alma_face.landmarks))
    assert np.abs(back - alma_face.landmarks).max() < 1e-2


def test_a_chip_over_the_photos_edge_repeats_it_and_is_never_black(alma: np.ndarray, alma_face: detection.Face) -> None:
    left, top, right, bottom = (int(v) for v in alma_face.box)
    tight = np.ascontiguousarray(alma[top - 20 : bottom + 10, left - 10 : right + 10])
    face = detection.Face((10, 20, right - left + 10, bottom - top + 20), alma_face.landmarks - (left - 10, top - 20))
    chip = alignment.align(tight, face, 256, 0.35).chip
    assert chip.min(axis=2).reshape(-1).min() >= tight.min()
    assert (chip.sum(axis=2) == 0).mean() < 0.001


def test_crop_of_a_large_photo_does_not_alias() -> None:
    # Single-pixel stripes, four to a chip pixel: plain interpolation would pick some, averaging gives their mean.
    stripes = np.zeros((1600, 1600, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    crop_transform = alignment.CropTransform(np.array([[0.25, 0, -72], [0, 0.25, -72]], dtype=np.float32), 256)
    chip = alignment.crop(stripes, crop_transform)
    assert np.abs(chip.astype(int) - 127).max() <= 3


def test_crop_keeps_places_when_it_reduces() -> None:
    rows, columns = np.mgrid[:1600, :1600]
    ramp = np.dstack([columns / 8, rows / 8, rows * 0]).astype(np.uint8)
    crop_transform = alignment.CropTransform(np.array([[0.25, 0, -72], [0, 0.25, -72]], dtype=np.float32), 256)
    chip = alignment.crop(ramp, crop_transform).astype(float)
    points = crop_transform.to_photo(np.array([[10, 20], [128, 128], [240, 250]], dtype=np.float32))
    for (x, y), (photo_x, photo_y) in zip([(10, 20), (128, 128), (240, 250)], points, strict=True):
        assert abs(chip[y, x, 0] - photo_x / 8) < 1
        assert abs(chip[y, x, 1] - photo_y / 8) < 1


def test_descriptor_tells_people_apart(alma: np.ndarray, alma_face: detection.Face) -> None:
    same = cv2.convertScaleAbs(alma, alpha=0.9, beta=8)
    other = read_photo(ROOT / "samples" / "no_makeup" / "emil.jpg").pixels
    own = descriptor(alma, alma_face)
    assert np.linalg.norm(own - descriptor(same, detection.detect(same)[0])) < 0.3
    assert np.linalg.norm(own - descriptor(other, detection.detect(other)[0])) > 0.6


@needs_shared
@pytest.mark.parametrize("path", sorted(SHARED.glob("selfie_lisa/*.jpg")), ids=lambda path: path.stem)
def test_every_unaligned_selfie_has_its_face_where_the_template_says(path: Path) -> None:
    from beautygan_cli.training.dataset import read_template

    found = detection.detect(read_photo(path).pixels)
    assert len(found) == 1
    clicked = read_template(path.with_suffix(".tem"))
    pupils = found[0].landmarks[36:42].mean(axis=0), found[0].landmarks[42:48].mean(axis=0)
    for pupil, point in zip(pupils, clicked[:2], strict=True):
        assert np.linalg.norm(pupil - point) < 0.12 * masks.interocular_distance(found[0].landmarks)


def test_a_doubtful_hit_counts_only_where_the_cnn_sees_a_face_too(
    alma: np.ndarray, alma_face: detection.Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dlib

    left, top, right, bottom = (round(v) for v in alma_face.box)
    assert detection._confirmed(alma, dlib.rectangle(left, top, right, bottom), 0.1)
    assert not detection._confirmed(alma, dlib.rectangle(0, 0, 180, 180), 0.1)  # wall
    monkeypatch.setattr(detection, "DOUBTFUL", 100.0)
    found = detection.detect(alma)
    assert len(found) == 1
    assert np.abs(found[0].landmarks - alma_face.landmarks).max() < 1


def test_threads_find_the_same_faces_at_the_same_time() -> None:
    photos = [read_photo(path).pixels for path in BARE[:3]]
    alone = [detection.detect(pixels)[0].landmarks for pixels in photos]
    with ThreadPoolExecutor(3) as threads:
        together = [found[0].landmarks for found in threads.map(detection.detect, photos * 2)]
    for one, other in zip(alone * 2, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.promise("Hostile photos")
def test_search_is_asked_whether_to_go_on_between_its_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise looks like a face in many places, each of which is looked at again."""
    happened = []
    detector = detection._frontal_detector()

    class Counted:
        def run(self, *arguments):
            happened.append("scan")
            return detector.run(*arguments)

    monkeypatch.setattr(detection, "_frontal_detector", Counted)
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
    detection.detect(noise, go_on=lambda: happened.append("asked"))
    scans = "".join(event[0] for event in happened).split("a")
    assert sum(map(len, scans)) >= 7  # two copies and five turned ones at the least
    assert max(map(len, scans)) <= 2  # one, or the two of a view that is turned upright


@pytest.mark.promise("Hostile photos")
@pytest.mark.parametrize("after", [0, 1, 3])
def test_search_ends_when_it_is_not_to_go_on(after: int) -> None:
    left = iter(range(after))

    def go_on():
        if next(left, None) is None:
            raise StoppedError

    with pytest.raises(StoppedError):
        detection.detect(np.full((1500, 1500, 3), 90, np.uint8), go_on=go_on)
