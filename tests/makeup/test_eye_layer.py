"""The eye layer: a sharp liner stays sharp, as large on every eye, on both alike, and off where it can't be known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.faces import alignment, analysis, detection, masks
from beautygan_cli.imaging.colour import linear_light
from beautygan_cli.makeup import eye_layer, pipeline, rendering
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.style import Brows, EyeShadow, Liner, Style
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos.photo import read_photo

HEIGHT = 0.2  # eye widths that the black lid of the reference is high
BLACK = (6.0, 0.0, 0.0)
CAT_EYE = Style(
    shadow=EyeShadow(BLACK, BLACK, BLACK, 1.0, 0.0, 0.0, height=HEIGHT, outward=0.1, in_widths=True, block=True),
    liner=Liner(BLACK, 1.0, 0.15, 0.35),
)
SOURCES = ("alma", "chi", "dara", "emil")


def photo(name: str) -> np.ndarray:
    return read_photo(SAMPLES / "no_makeup" / f"{name}.jpg").pixels


@pytest.fixture(scope="module")
def reference(session: MakeupSession) -> alignment.FaceAnalysis:
    """A cat-eye drawn on another sample, found anew as in a user's photo."""
    bare = photo("bea")
    worn = rendering.render(bare, detection.detect(bare)[0].landmarks, CAT_EYE)
    pixels = np.clip(np.rint(worn), 0, 255).astype(np.uint8)
    return pipeline.find_faces(pixels, session.signature, "a cat-eye", which="largest")[0]


def profiles(before: np.ndarray, after: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of both eyes the density of what came on, by height over the lid in hundredths of the eye's width, 0 to 0.5."""
    result = []
    for number in (0, 1):
        frame = masks.eye_frame(landmarks, number)
        rows, columns = np.mgrid[: before.shape[0], : before.shape[1]]
        u, y = frame.coordinates(columns, rows)
        height = y - frame.heights(u)[0]
        light = [np.log(linear_light(item).mean(axis=-1) + 0.004) for item in (before, after)]
        density = light[0] - light[1]
        inside = (u > 0.2) & (u < 0.9)
        steps = np.arange(0, 0.5, 0.025)
        result.append(np.array([density[inside & (height >= low) & (height < low + 0.025)].mean() for low in steps]))
    return result[0], result[1]


def worn_by(
    name: str, reference: alignment.FaceAnalysis, session: MakeupSession, layer: bool = True
) -> tuple[np.ndarray, ...]:
    before = photo(name)
    face = pipeline.find_faces(before, session.signature, name, which="largest")[0]
    made = pipeline.make_up([(face, reference)], session)
    assert made[0].eyes is not None, "the bundled model takes makeup off well enough"
    if not layer:
        made = [replace(made[0], eyes=None)]
    after = pipeline.apply(before, [face], made, Strengths())
    return profiles(before, after, face.crop_transform.to_photo(face.landmarks))


@pytest.mark.parametrize("name", SOURCES)
def test_a_cat_eye_is_as_high_as_the_references_and_ends_there(name, reference, session) -> None:
    for profile in worn_by(name, reference, session):
        near, far = profile[1:4].mean(), profile[14:].mean()
        assert near > 0.7, "dark at the lashes"
        assert far < 0.3 * near, "and no smudge up to the brow"


@pytest.mark.parametrize("name", SOURCES)
def test_both_eyes_are_alike(name, reference, session) -> None:
    left, right = (profile[1:4].mean() for profile in worn_by(name, reference, session))
    assert 1 - abs(left - right) / (left + right) > 0.85


@pytest.mark.parametrize("name", SOURCES)
def test_a_lower_rim_takes_nothing_of_the_liner_above_it_and_does_not_shine(name, reference, session) -> None:
    before = photo(name)
    face = pipeline.find_faces(before, session.signature, name, which="largest")[0]
    made = pipeline.make_up([(face, reference)], session)
    after = pipeline.apply(before, [face], made, Strengths(lips=0.0, eyes=1.0, skin=0.0))
    light = [np.log(linear_light(item).mean(axis=-1) + 0.004) for item in (before, after)]
    landmarks = face.crop_transform.to_photo(face.landmarks)
    for number in (0, 1):
        frame = masks.eye_frame(landmarks, number)
        rows, columns = np.mgrid[: before.shape[0], : before.shape[1]]
        u, y = frame.coordinates(columns, rows)
        lid, rim, _ = frame.heights(u)
        lower = (u > 0.3) & (u < 0.7) & (lid - y > y - rim)
        inside, below = (
            (light[0] - light[1])[lower & (y - rim > low) & (y - rim < high)].mean()
            for low, high in ((0, 0.015), (-0.05, -0.01))
        )
        assert abs(inside) < 0.25, "no line on the rim"
        assert -0.05 < below < 0.25, "and no shine under it"


@pytest.mark.parametrize("name", SOURCES[:2])
def test_its_edge_is_sharper_than_the_networks(name, reference, session) -> None:
    def steepest(profile: np.ndarray) -> float:
        return float((profile[:-2] - profile[2:]).max() / profile[1:4].mean())

    with_layer = np.mean([steepest(item) for item in worn_by(name, reference, session)])
    without = np.mean([steepest(item) for item in worn_by(name, reference, session, layer=False)])
    assert with_layer > without


def test_a_references_layer_is_read_once_for_all_sources(reference, session, monkeypatch) -> None:
    runs = []
    remove = session.remove
    monkeypatch.setattr(session, "remove", lambda *given: runs.append(len(given[0])) or remove(*given))
    fresh = replace(reference)
    faces_ = [pipeline.find_faces(photo(name), session.signature, name)[0] for name in SOURCES[:2]]
    pipeline.make_up([(face, fresh) for face in faces_], session)
    pipeline.make_up([(faces_[0], fresh)], session)
    assert runs == [1]


def test_a_model_that_takes_no_makeup_off_is_used_without_a_layer(reference, session, monkeypatch) -> None:
    monkeypatch.setattr(session, "remove", lambda made_up, bare: np.asarray(made_up, np.float32))
    assert eye_layer._explained(session, pipeline._bare_pair) < eye_layer.LEAST_EXPLAINED


def test_eyes_at_no_strength_stay_as_they_are(reference, session) -> None:
    before = photo("alma")
    face = pipeline.find_faces(before, session.signature, "alma")[0]
    made = pipeline.make_up([(face, reference)], session)
    after = pipeline.apply(before, [face], made, Strengths(lips=1.0, eyes=0.0, skin=0.0))
    left, right = profiles(before, after, face.crop_transform.to_photo(face.landmarks))
    assert np.abs([left, right]).max() < 0.02


def test_of_a_turned_reference_the_near_eye_serves_both(session: MakeupSession) -> None:
    bare = photo("bea")
    found = detection.detect(bare)[0]
    pixels = np.clip(np.rint(rendering.render(bare, found.landmarks, CAT_EYE)), 0, 255).astype(np.uint8)
    middle = round(float(found.landmarks[27, 0]))
    pixels[:, :middle] = bare[:, :middle]  # only the right eye, the near one below, wears something
    face = analysis.analyse_face(pixels, found, session.signature.size, session.signature.padding)
    landmarks = face.landmarks.copy()
    landmarks[:17, 0] += 70  # the jaw seen from the side: as of a face that is turned
    apart = []
    for one in (face, replace(face, landmarks=landmarks)):
        (layers,) = eye_layer.eye_layers([one], *pipeline.bared([face], session))
        assert layers is not None
        size = layers[0].density.shape[1::-1]
        apart.append(float(np.abs(layers[0].density - cv2.resize(layers[1].density, size)).mean()))
    assert apart[1] < 0.3 * apart[0]


def layers_of(bare: np.ndarray, worn: np.ndarray, session: MakeupSession) -> tuple[eye_layer.EyeLayer, ...]:
    """Both eyes' layers as they are read off a photo."""
    face = detection.detect(bare)[0]
    aligned = analysis.analyse_face(worn, face, session.signature.size, session.signature.padding)
    (layers,) = eye_layer.eye_layers([aligned], *pipeline.bared([aligned], session))
    assert layers is not None
    return layers


def depth(layer: eye_layer.EyeLayer) -> float:
    """The mean density over the lid, where a lid's makeup lies."""
    u, v = eye_layer.coordinates(layer.density.shape[:2])
    lid = ((v[:, None] > 0) & (v[:, None] < HEIGHT)) & ((u > 0.1) & (u < 0.9))
    return float(layer.density.mean(axis=-1)[lid].mean())


def test_what_is_wide_is_the_mean_of_two_eyes_alike_and_what_is_fine_stays_each_ones_own(
    session: MakeupSession,
) -> None:
    bare = photo("bea")
    face = detection.detect(bare)[0]
    worn = np.clip(np.rint(rendering.render(bare, face.landmarks, CAT_EYE)), 0, 255).astype(np.uint8)
    left, right = layers_of(bare, worn, session)
    misread = replace(right, density=np.float32(0.6) * right.density)
    after = eye_layer._evened(left, misread)
    whole, less = depth(left), depth(misread)
    first, second = map(depth, after)
    assert whole - less > 0.3
    assert abs(first - second) < 0.3 * (whole - less)
    assert first + second == pytest.approx(whole + less, rel=0.05)
    for own, evened in ((left, after[0]), (misread, after[1])):
        steps = [np.diff(item.density.mean(axis=-1), axis=0).ravel() for item in (own, evened)]
        assert np.corrcoef(steps)[0, 1] > 0.95


def test_makeup_of_one_eye_alone_stays_on_that_eye(session: MakeupSession) -> None:
    bare = photo("bea")
    face = detection.detect(bare)[0]
    worn = np.clip(np.rint(rendering.render(bare, face.landmarks, Style(shadow=CAT_EYE.shadow))), 0, 255).astype(
        np.uint8
    )
    half = int(face.landmarks[27, 0])
    worn[:, :half] = bare[:, :half]
    left, right = map(depth, layers_of(bare, worn, session))
    assert right > 0.8
    assert left < 0.15 * right


def test_nothing_of_the_references_brows_lies_on_its_layer(session: MakeupSession) -> None:
    bare = photo("bea")
    face = detection.detect(bare)[0]
    teal = Brows((45.0, -25.0, -15.0), 1.0)
    worn = np.clip(np.rint(rendering.with_brows(bare, face.landmarks, teal)), 0, 255).astype(np.uint8)
    aligned = analysis.analyse_face(worn, face, session.signature.size, session.signature.padding)
    brows = masks.brows_mask(face.landmarks, bare.shape[:2])
    for number, layer in enumerate(layers_of(bare, worn, session)):
        landmarks = aligned.crop_transform.to_photo(aligned.landmarks)
        places, _ = eye_layer.cells(landmarks, number, layer.density.shape[:2])
        on_brows = cv2.remap(brows, places[..., 0], places[..., 1], cv2.INTER_LINEAR) > 0.95
        assert on_brows.any()
        assert np.abs(layer.density[on_brows]).max() < 0.1
