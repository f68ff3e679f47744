"""Brows: bare by default, painted where the reference's are painted in a colour or where it is asked for."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.faces import detection, masks, tone
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.imaging.colour import rgb_to_lab
from beautygan_cli.imaging.drawing import blur, smoothstep
from beautygan_cli.makeup import composite, look, pipeline, rendering
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.style import Brows, EyeShadow, Style
from beautygan_cli.photos.photo import read_photo

BLUE = (40.0, 5.0, -45.0)
SHADOW = EyeShadow(BLUE, BLUE, BLUE, 0.9, 0.8, 0.8, height=0.8, outward=0.25)


@pytest.fixture(scope="module")
def bea():
    return read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels


@pytest.fixture(scope="module")
def reference():
    """`reference(style)`: a bare face with that style drawn on it, RGB."""
    pixels = read_photo(SAMPLES / "no_makeup" / "alma.jpg").pixels
    landmarks = detection.detect(pixels)[0].landmarks
    return lambda style: np.rint(rendering.render(pixels, landmarks, style)).astype(np.uint8)


def change(before, after):
    """Mean change of L*, a*, b* where the brows of the photo before are."""
    landmarks = detection.detect(before)[0].landmarks
    brows = masks.brows_mask(landmarks, before.shape[:2]) > 0.7
    return (rgb_to_lab(after) - rgb_to_lab(before))[brows].mean(axis=0)


def test_blue_shadow_up_to_the_brows_leaves_their_hairs_alone(bea, reference, session):
    after = pipeline.transfer(bea, reference(Style(shadow=SHADOW)), session=session)
    assert np.abs(change(bea, after)).max() < 5


def test_a_lid_in_the_shade_of_its_brow_takes_as_much_paint_as_the_other(bea, session):
    landmarks = detection.detect(bea)[0].landmarks
    shape = bea.shape[:2]
    grid = masks.eye_grids(landmarks, shape, whole=True)[0]
    socket = smoothstep(-0.1, 0.2, grid.u) * smoothstep(1.3, 1.0, grid.u)
    socket = blur(socket * smoothstep(0.02, 0.1, grid.v) * (grid.v < 1), 0.03 * grid.width)[..., None]
    shaded = np.rint(bea * (1 - 0.75 * socket)).astype(np.uint8)

    def painted(pixels):
        face = pipeline.find_faces(pixels, session.signature, "")[0]
        canvas = composite.mask_canvas(face.crop_transform)
        weights = composite.change_weights(pixels, face, Strengths())[..., 0]
        lid = masks.eye_grids(canvas.to_chip(landmarks), weights.shape, whole=True)[0]
        on_it = (lid.u > 0.1) & (lid.u < 0.9) & (lid.v > 0.2) & (lid.v < 0.55)
        return weights[on_it].mean()

    assert painted(bea) > 0.8
    assert painted(shaded) > 0.95 * painted(bea)


def test_blue_brows_come_along_by_default(bea, reference, session):
    worn = reference(Style(shadow=SHADOW, brows=Brows(BLUE, 0.9)))
    after = pipeline.transfer(bea, worn, session=session)
    assert change(bea, after)[2] < -10
    bare = pipeline.transfer(bea, worn, Strengths(brows=0.0), session=session)
    assert np.abs(change(bea, bare)).max() < 5


def test_strength_of_the_brows_is_asked_for_by_itself(bea, reference, session):
    worn = reference(Style(brows=Brows(BLUE, 0.9)))
    changes = [
        change(bea, pipeline.transfer(bea, worn, Strengths(0.0, 0.0, 0.0, strength), session=session))[2]
        for strength in (0.0, 0.5, 1.0)
    ]
    assert changes[0] == 0
    assert changes[1] == pytest.approx(changes[2] / 2, rel=0.15)
    assert changes[2] < -10


def test_brows_that_are_asked_for_leave_the_lids_as_they_come_without(bea, reference, session):
    worn = reference(Style(shadow=SHADOW))
    without, with_brows = (
        pipeline.transfer(bea, worn, Strengths(brows=strength), session=session) for strength in (0.0, 1.0)
    )
    landmarks = detection.detect(bea)[0].landmarks
    brows = masks.brows_mask(landmarks, bea.shape[:2], soft=0.06) > 0
    assert np.abs(without.astype(int) - with_brows)[~brows].max() <= 2


@pytest.mark.parametrize("name", sorted(path.stem for path in (SAMPLES / "no_makeup").glob("*.jpg")))
def test_brows_of_bare_faces_are_not_taken_for_painted(name, model):
    pixels = read_photo(SAMPLES / "no_makeup" / f"{name}.jpg").pixels
    assert not tone.brows_painted(analyse_face(pixels, detection.detect(pixels)[0], 256, 0.35))


def test_a_look_file_says_of_brows_nothing_something_or_that_they_stay_bare(tmp_path):
    path = tmp_path / "a.toml"
    silent = look.parse('ref = "a.jpg"', path)
    assert silent.brows is None and silent.strengths.brows is None
    bare = look.parse('ref = "a.jpg"\nbrows = false', path)
    assert bare.strengths.brows == 0
    asked = look.parse('ref = "a.jpg"\nstrength = 0.8\n[brows]\nstrength = 0.5', path)
    assert asked.strengths.brows == pytest.approx(0.4)
    drawn = look.parse('[brows]\ncolour = "brown soft"', path)
    assert (drawn.strengths.brows, drawn.style.brows.amount) == (1.0, 0.3)
    for read in (silent, bare, asked, drawn):
        again = look.parse(look.as_toml(read, path), path)
        assert (again.brows, again.eyes) == (read.brows, read.eyes)


def test_brows_can_be_asked_of_any_look():
    of_photo = look.Look.of("a.jpg")
    asked = {"lips": None, "eyes": None, "skin": None, "brows": 0.7}
    assert look.scaled(of_photo, asked).strengths == replace(of_photo.strengths, brows=0.7)
    assert look.scaled(of_photo, asked).brows.mix == of_photo.eyes.mix
    half = replace(of_photo, brows=look.Part(of_photo.eyes.mix, 0.5))
    assert look.scaled(half, {**asked, "brows": 0.5}).strengths.brows == 0.25
    assert look.scaled(of_photo, {**asked, "brows": None}) == of_photo


@pytest.mark.parametrize("name", ["bea", "emil"])
def test_painted_brows_are_nearly_as_if_drawn_on_the_source_itself(name, reference, session):
    before = read_photo(SAMPLES / "no_makeup" / f"{name}.jpg").pixels
    blue = Brows(BLUE, 0.9)
    made = pipeline.transfer(before, reference(Style(brows=blue)), Strengths(0, 1, 0), session=session)
    landmarks = detection.detect(before)[0].landmarks
    stroke = masks.brows_mask(landmarks, before.shape[:2]) > 0.5
    truth = rgb_to_lab(rendering.with_brows(before, landmarks, blue))[stroke]
    off, undone = (np.abs(rgb_to_lab(item)[stroke] - truth).mean() for item in (made, before))
    assert off < 0.4 * undone  # the network alone leaves half of it to two thirds
