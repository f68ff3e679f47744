"""What the landmark network learns from: wherever a training photo is bent, its points go with the pixels."""

import json
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.faces import alignment, contours, detection, masks
from beautygan_cli.faces.landmark_network import LandmarkNetwork
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.training import dataset, landmark_labels, landmarks, occluders

SAMPLES = Path(__file__).resolve().parent.parent.parent / "samples" / "no_makeup"


@pytest.fixture(scope="module")
def everyone() -> list[dataset.Person]:
    return dataset.load(SAMPLES)


def labels_of(person: dataset.Person) -> landmarks.Labels:
    """All 122 points of a photo, its contours laid through the 68 landmarks."""
    return landmarks.Labels(np.concatenate([person.landmarks, through(person.landmarks)]), (1.0, 1.0))


def through(marks: np.ndarray) -> np.ndarray:
    """Contours through the 68 landmarks."""
    parts = []
    for outer, up, inner, low in ((36, (37, 38), 39, (41, 40)), (45, (44, 43), 42, (46, 47))):
        parts.append(contours.along(marks[[outer, *up, inner]], np.arange(9) / 8))
        parts.append(contours.along(marks[[outer, *low, inner]], np.arange(1, 8) / 8))
    inner_top, inner_low = marks[[48, 61, 62, 63, 54]], marks[[48, 67, 66, 65, 54]]
    places = np.arange(1, 6) / 6
    parts += [marks[48:55], contours.along(inner_top, places), contours.along(inner_low, places), marks[59:54:-1]]
    return np.concatenate(parts).astype(np.float32)


def spots(points: np.ndarray, side: int) -> np.ndarray:
    """A black picture with a soft bright spot at each point."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    picture = np.zeros((side, side), np.float32)
    for x, y in points:
        picture = np.maximum(picture, np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8))
    return np.repeat(255 * picture[..., None], 3, axis=2)


def spot_near(picture: np.ndarray, point: np.ndarray, reach: int = 6) -> np.ndarray:
    """The centre of what is bright within `reach` pixels of a point."""
    x, y = (round(float(value)) for value in point)
    part = picture[y - reach : y + reach + 1, x - reach : x + reach + 1, 0].astype(np.float64)
    rows, columns = np.mgrid[y - reach : y + reach + 1, x - reach : x + reach + 1]
    return np.array([(part * columns).sum(), (part * rows).sum()]) / max(part.sum(), 1e-6)


WATCHED = [8, 19, 24, 30, 36, 45, 48, 54, 57]  # landmarks far enough apart for their spots to be told apart


@pytest.mark.parametrize("seed", range(8))
def test_points_of_a_turned_head_lie_where_its_pixels_went(everyone: list[dataset.Person], seed: int) -> None:
    points = labels_of(everyone[0]).points
    picture = spots(points[WATCHED], dataset.CHIP_SIZE)
    posed, moved = landmarks.posed(picture, points, np.random.default_rng(seed))
    apart = [np.linalg.norm(spot_near(posed, moved[number]) - moved[number]) for number in WATCHED]
    assert max(apart) < 0.75
    assert np.linalg.norm(moved[WATCHED] - points[WATCHED] * 288 / 448, axis=1).mean() > 3, "nothing was posed"


def test_points_of_a_mixed_face_lie_on_both_of_its_halves(everyone: list[dataset.Person]) -> None:
    first, second = (labels_of(person).points for person in everyone[:2])
    pictures = [spots(points[WATCHED], dataset.CHIP_SIZE) for points in (first, second)]
    mixed, points = landmarks.morph((pictures[0], first), (pictures[1], second), 0.5)
    assert max(np.linalg.norm(spot_near(mixed, points[number]) - points[number]) for number in WATCHED) < 1.0
    assert mixed[tuple(np.round(points[30, ::-1]).astype(int))].max() > 200, "the halves' spots lie apart"


def canvas(person: dataset.Person) -> tuple[np.ndarray, np.ndarray]:
    """The face on the training canvas as it is."""
    crop_transform = alignment.place(person.landmarks, landmarks.CANVAS, 0.5)
    points = crop_transform.to_chip(labels_of(person).points)
    return alignment.crop(person.chip, crop_transform).astype(np.float32), points


def test_a_shut_lid_lies_on_the_lower_one_and_hides_the_eye(everyone: list[dataset.Person]) -> None:
    pixels, points = canvas(everyone[0])
    shut, moved = landmarks.lowered_lid(pixels, points, 0, 1.0, np.random.default_rng(1))
    assert np.abs(moved[[37, 38]] - points[[41, 40]])[:, 1].max() < 2
    lid = contours.LEFT_EYE.start + 68 + np.arange(1, 8)
    assert (moved[lid, 1] - points[lid, 1]).max() > 5
    assert np.array_equal(moved[:36], points[:36])
    opening = masks.openings_mask(points[:68], pixels.shape[:2]) > 0.9
    left = opening & (np.arange(landmarks.CANVAS) < points[30, 0])
    assert np.abs(shut - pixels)[left].mean() > 15
    assert np.array_equal(shut[opening & ~left], pixels[opening & ~left])


def test_an_opened_mouth_takes_the_lower_lip_and_its_points_along(everyone: list[dataset.Person]) -> None:
    _, points = canvas(everyone[0])
    picture = spots(points[[57, 8]], landmarks.CANVAS) + 1  # the lower lip's edge and the chin
    opened, moved = landmarks.opened_mouth(picture, points, np.random.default_rng(2))
    assert moved[57, 1] - points[57, 1] > 2
    for number in (57, 8):
        assert np.linalg.norm(spot_near(opened, moved[number]) - moved[number]) < 1
    assert np.array_equal(moved[[51, 62]], points[[51, 62]])


def test_a_drawn_example_holds_its_points_within_its_cuts(everyone: list[dataset.Person]) -> None:
    rng = np.random.default_rng(4)
    textures = occluders.textures_of(everyone)
    for number in range(6):
        first, second = everyone[number % 4], everyone[number % 4 + 1]
        other = (second, labels_of(second)) if number % 2 else None
        example = landmarks.make_example(first, labels_of(first), other, textures, rng)
        assert example.face.shape == (120, 120, 3)
        assert example.patches.shape == (3, 72, 72, 3)
        size = contours.PATCH_SIZE
        for points in (*example.eyes, example.mouth):
            assert ((points > -landmarks.MARGIN) & (points < size + landmarks.MARGIN)).all()
        assert example.eyes[:, 0, 0].max() < example.eyes[:, 8, 0].min(), "the outer corner is at the left in both cuts"


def test_labels_of_clicked_photos_are_the_clicks_and_others_learn_from_them(everyone: list[dataset.Person]) -> None:
    """The mesh is made here: the true points with the same error everywhere, which must be taken out."""
    clicked = [
        dataset.Person(person.name, person.chip, person.landmarks, person.landmarks, through(person.landmarks))
        for person in everyone
    ]
    mesh = np.stack([made_mesh(person) for person in clicked])
    bare = dataset.Person(clicked[-1].name, clicked[-1].chip, clicked[-1].landmarks, clicked[-1].landmarks)
    labels = landmark_labels.labels_of([*clicked[:-1], bare], mesh, [])
    for person, curves in zip(clicked[:-1], labels["contours"], strict=False):
        assert np.array_equal(person.contours, curves)
    assert labels["trust"][-1].max() < 1
    truth = clicked[-1].contours
    interocular = masks.interocular_distance(bare.landmarks)
    off = np.linalg.norm(labels["contours"][-1] - truth, axis=1).mean() / interocular
    assert off < 0.02
    assert off < 0.7 * ERROR


ERROR = 0.03  # units by which the made mesh lies too low


def made_mesh(person: dataset.Person) -> np.ndarray:
    """A mesh of 478 points whose eyes and lips are the contours, moved down by ERROR."""
    rng = np.random.default_rng(0)
    low, high = person.landmarks.min(axis=0), person.landmarks.max(axis=0)
    mesh = low + rng.random((478, 2)) * (high - low)
    mesh[landmark_labels._FIVE_MESH] = contours.five_points(person.landmarks)
    for indices, part in zip(landmark_labels._EYE_MESH, (contours.LEFT_EYE, contours.RIGHT_EYE), strict=True):
        eye = person.contours[part]
        where = np.asarray(indices)
        mesh[where[landmark_labels._UPPER]] = eye[contours.UPPER_LID]
        mesh[where[landmark_labels._LOWER]] = eye[contours.LOWER_LID]
    lips = person.contours[contours.LIPS]
    mesh[landmark_labels._TOP_MESH] = contours.along(lips[contours.TOP], np.arange(11) / 10)
    mesh[landmark_labels._LOW_MESH] = contours.along(lips[contours.BOTTOM], np.arange(1, 10) / 10)
    inner = contours.along(lips[contours.INNER_TOP], 0.05 + 0.9 * np.arange(11) / 10)
    mesh[landmark_labels._INNER_TOP_MESH] = inner
    mesh[landmark_labels._INNER_LOW_MESH] = contours.along(
        np.concatenate([inner[:1], lips[12:17], inner[-1:]]), np.arange(1, 10) / 10
    )
    mesh += [0, ERROR * masks.interocular_distance(person.landmarks)]
    other = mesh.copy()
    # The mirror image's reading has the sides exchanged.
    for left, right in zip(*landmark_labels._EYE_MESH, strict=True):
        other[[left, right]] = mesh[[right, left]]
    lip = np.array(landmark_labels._LIPS_MESH)
    other[lip] = mesh[lip[landmark_labels._LIPS_MIRROR]]
    return np.stack([mesh, other])


def test_errors_are_counted_across_a_curve_and_not_along_it(everyone: list[dataset.Person]) -> None:
    marks = everyone[0].landmarks
    true = through(marks)
    width = float(np.linalg.norm(true[8] - true[0]))
    assert max(max(values) for values in landmarks.landmark_errors(marks, true).values()) < 1
    moved = marks.copy()
    moved[[40, 41], 1] += 0.1 * width  # the left eye's lower lid
    found = landmarks.landmark_errors(moved, true)
    assert np.mean(found["lower lid"]) == pytest.approx(5, abs=1), "10 % of one of two eyes"
    assert max(found["upper lid"]) < 0.5
    slid = marks.copy()
    slid[[41, 40]] = contours.along(true[contours.LOWER_LID], np.array([0.38, 0.72]))
    assert np.linalg.norm(slid[41] - marks[41]) > 0.03 * width
    assert max(landmarks.landmark_errors(slid, true)["lower lid"]) < 0.7


@pytest.mark.slow
def test_a_short_training_gives_a_network_that_can_be_used(tmp_path: Path, everyone: list[dataset.Person]) -> None:
    named = [labels_of(person) for person in everyone]
    np.savez(
        tmp_path / "labels.npz",
        names=[person.name for person in everyone],
        points=np.stack([label.points[:68] for label in named]),
        contours=np.stack([label.points[68:] for label in named]),
        trust=np.ones((len(named), 2)),
    )
    out = tmp_path / "out"
    said: list[str] = []
    settings = landmarks.Settings(
        str(SAMPLES), str(tmp_path / "labels.npz"), str(out), minutes=0.1, batch=2, ready=4, seed=3
    )
    landmarks.train(settings, say=said.append)
    assert said[-1] == "done"
    assert json.loads((out / "model.json").read_text())["about"]["step"] >= 1
    photo = read_photo(SAMPLES / "alma.jpg").pixels
    face = detection.detect(photo)[0]
    with LandmarkNetwork(out) as network:
        shape = network.find(photo, [contours.five_points(face.landmarks)])[0]
    assert np.isfinite(shape.landmarks).all()
    assert shape.confidence.shape == (68,)
