"""The network that reads an eye's pigment: as deep as it was drawn, sharp, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.faces import alignment, analysis, detection
from beautygan_cli.faces.face import Face
from beautygan_cli.makeup import eye_layer, eye_pigment, pipeline, rendering
from beautygan_cli.makeup.style import EyeShadow, Liner, Style
from beautygan_cli.model.frozen import bundled
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos.photo import read_photo

BLACK = (6.0, 0.0, 0.0)
WINGED = Style(liner=Liner(BLACK, 0.97, 0.1, wing=0.4))
VIOLET = (22.0, 24.0, -30.0)
SHADOWED = Style(shadow=EyeShadow(VIOLET, VIOLET, VIOLET, 0.9, 0.0, 0.0, height=0.4, outward=0.15, in_widths=True))
NAMES = ("alma", "bea", "chi", "dara", "emil")


Layers = list[np.ndarray]


@cache
def found(name: str) -> tuple[np.ndarray, Face]:
    pixels = read_photo(SAMPLES / "no_makeup" / f"{name}.jpg").pixels
    return pixels, detection.detect(pixels)[0]


@pytest.fixture(scope="module")
def wearing(session: MakeupSession) -> Callable[..., alignment.FaceAnalysis]:
    """`wearing(name, style, scale)`: a sample in a style, known by the landmarks of its bare face; enlarged before
    makeup is drawn on it. Each is drawn and looked at once for all tests.
    """

    @cache
    def worn(name: str, style: Style | None, scale: float = 1.0) -> alignment.FaceAnalysis:
        pixels, face = found(name)
        if scale != 1:
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            face = replace(face, landmarks=np.asarray(scale * face.landmarks, np.float32))
        if style is not None:
            pixels = np.clip(np.rint(rendering.render(pixels, face.landmarks, style)), 0, 255).astype(np.uint8)
        signature = session.signature
        return analysis.analyse_face(pixels, face, signature.size, signature.padding)

    return worn


@pytest.fixture(scope="module")
def layers(wearing, session: MakeupSession) -> Callable[..., Layers]:
    """`layers(name, style, scale)`: the mean density of both layers, read."""

    @cache
    def read(name: str, style: Style | None, scale: float = 1.0) -> Layers:
        face = wearing(name, style, scale)
        (both,) = eye_layer.eye_layers([face], *pipeline.bared([face], session))
        assert both is not None
        return [layer.density.mean(axis=-1) for layer in both]

    return read


@pytest.fixture(scope="module")
def drawn(wearing) -> Callable[..., Layers]:
    """The same, exactly, since the face is known without it."""

    @cache
    def true(name: str, style: Style, scale: float = 1.0) -> Layers:
        both = eye_layer.drawn_layers(wearing(name, None, scale), wearing(name, style, scale))
        return [layer.density.mean(axis=-1) for layer in both]

    return true


def fitted(density: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.resize(density, shape[::-1], interpolation=cv2.INTER_LINEAR)


# Violet shadow is hardly darker than dark skin: there its depth is nothing to go by.
@pytest.mark.parametrize(
    ("name", "style", "deep"),
    [*((name, WINGED, 0.5) for name in NAMES), *((name, SHADOWED, 0.2) for name in ("bea", "chi", "emil"))],
)
def test_pigment_is_read_as_deep_as_it_was_drawn(name: str, style: Style, deep: float, layers, drawn) -> None:
    for read, true in zip(layers(name, style), drawn(name, style), strict=True):
        true = fitted(true, read.shape)
        worn = true > deep
        assert worn.any()
        assert 0.6 * true[worn].mean() < read[worn].mean() < 1.4 * true[worn].mean()


@pytest.mark.parametrize("name", NAMES)
def test_a_wing_past_the_outer_corner_is_read_too(name: str, layers, drawn) -> None:
    for read, true in zip(layers(name, WINGED), drawn(name, WINGED), strict=True):
        true = fitted(true, read.shape)
        u, _ = eye_pigment.coordinates(read.shape)
        wing = (true > 0.8) & (u > 1.08)
        assert wing.any()
        assert read[wing].mean() > 0.7 * true[wing].mean()


@pytest.mark.parametrize("name", NAMES)
def test_bare_eyes_hold_next_to_nothing(name: str, layers) -> None:
    for read in layers(name, None):
        window = eye_layer.window_of(np.full(read.shape[1], 0.4, np.float32), read.shape)[..., 0] > 0.5
        assert np.abs(read[window]).mean() < 0.04


def test_lipstick_and_blush_are_no_pigment_of_the_eyes(layers) -> None:
    style = replace(rendering.random_style(np.random.default_rng(4)), shadow=None, liner=None, brows=None, paint=None)
    assert style.lipstick
    for read in layers("bea", style):
        assert np.abs(read).mean() < 0.04


def test_the_edge_of_a_line_is_as_sharp_on_a_large_photo_as_it_was_drawn(layers, drawn) -> None:
    for read, true in zip(layers("bea", WINGED, 2.0), drawn("bea", WINGED, 2.0), strict=True):
        assert read.shape[1] > eye_pigment.SHAPE[1]  # the photo shows more than the network sees
        steps = [np.abs(np.diff(item, axis=0)).max(axis=0) for item in (read, fitted(true, read.shape))]
        columns = steps[1] > 0.3
        assert np.median(steps[0][columns] / steps[1][columns]) > 0.5


def test_a_face_whose_photo_is_not_at_hand_has_no_layer(wearing, session: MakeupSession) -> None:
    face = replace(wearing("bea", WINGED), eyes=())
    assert eye_layer.eye_layers([face], *pipeline.bared([face], session)) == [None]


def test_eyes_of_several_faces_are_read_in_batches_as_one_by_one(wearing, session: MakeupSession) -> None:
    faces = [wearing(name, WINGED) for name in NAMES]  # ten eyes: more than one run
    together = eye_layer.eye_layers(faces, *pipeline.bared(faces, session))
    alone = eye_layer.eye_layers(faces[-1:], *pipeline.bared(faces[-1:], session))
    assert together[-1] is not None and alone[0] is not None
    for first, second in zip(together[-1], alone[0], strict=True):
        np.testing.assert_allclose(first.density, second.density, atol=0.02)


def test_the_network_takes_less_than_two_megabytes() -> None:
    assert sum(file.stat().st_size for file in bundled("eye_pigment").iterdir()) < 2_000_000
