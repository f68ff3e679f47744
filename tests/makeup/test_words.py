"""Makeup in words: what is said is what is drawn, in the colour that was asked for, and where it belongs."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.errors import LookError
from beautygan_cli.evaluation import metrics
from beautygan_cli.faces import detection, masks
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import look, pipeline, rendering
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Ingredient, Look, Part
from beautygan_cli.makeup.words import COLOURS, VOCABULARY, Drawn, describe, drawn_style
from beautygan_cli.model.checkpoint import bundled_model
from beautygan_cli.model.signature import Signature
from beautygan_cli.photos.photo import read_photo


@pytest.fixture(scope="module")
def bea():
    pixels = read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels[::2, ::2].copy()
    return pixels, analyse_face(pixels, detection.detect(pixels)[0], 256, 0.45)


def test_colour_is_the_same_by_name_and_by_number():
    assert describe("lips", "Crimson 80% gloss") == describe("lips", f"gloss {COLOURS['crimson']}, 80%")
    assert describe("lips", "#f00").colours == describe("lips", "#ff0000").colours
    assert describe("lips", "dark red").colours[0][0] < describe("lips", "red").colours[0][0] - 10


def test_words_become_what_they_say():
    style = drawn_style({"lips": "red 50% matte", "eyes": "teal navy smoky", "liner": "winged", "blush": "peach nose"})
    assert style.lipstick.gloss < 0 and style.lipstick.amount < 0.5
    assert style.shadow.lower > 0 and style.shadow.crease == describe("eyes", "navy").colours[0]
    assert style.liner.wing > 0 and style.blush.nose > 0
    assert (style.brows, style.finish, style.paint) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("lips", "crimsn", "did you mean crimson?"),
        ("lips", "gloss", "names no colour"),
        ("lips", "red blue", "at most 1"),
        ("lips", "#12345", "#rrggbb"),
        ("lips", "red 130%", "'130%' is no word"),
        ("liner", "wingd", "did you mean winged?"),
        ("finish", "red", "'red'"),
        ("blush", "", "described by nothing"),
    ],
)
def test_word_that_says_nothing_is_named_with_what_was_meant(kind, text, told):
    with pytest.raises(LookError, match=told.replace("?", r"\?")):
        describe(kind, text)
        drawn_style({kind: text})


def test_every_word_of_the_vocabulary_changes_what_is_drawn():
    for kind, words in VOCABULARY.items():
        colour = "teal " if kind in ("lips", "eyes") else ""
        plain = drawn_style({kind: f"{colour}100%"})
        usual = {"finish": {"natural"}, "lips": {"satin"}, "eyes": {"matte"}}.get(kind, set())
        same = {word for word in words if drawn_style({kind: f"{colour}{word}"}) == plain}
        assert same == usual, kind


def test_lips_get_the_colour_that_was_asked_for_and_nothing_else_changes(bea):
    """The network is not asked, so none is there: what it would give is another colour on each face."""
    pixels, face = bea
    session = SimpleNamespace(signature=Signature.load(bundled_model()), digest="none")
    worn = Look(lips=Part((Ingredient(Drawn("lips", (("colour", "#b00020"),))),)))
    wearing = pipeline.wear(worn, read_photo, session.signature)
    result = pipeline.apply_look(pixels, [face], wearing, Strengths(1, 0, 0), session, in_place=False)
    landmarks = face.crop_transform.to_photo(face.landmarks)
    measured = metrics.face_masks(landmarks, pixels.shape[:2])
    before, after = (
        weighted_mean(rgb_to_lab(measured.part(item)), measured.regions["lips"]) for item in (pixels, result)
    )
    wanted = rgb_to_lab(np.array([[[0xB0, 0x00, 0x20]]], np.uint8))[0, 0]
    assert ciede2000(before, wanted) > 20
    assert ciede2000(after, wanted) < 6
    around = masks.lips_mask(landmarks, pixels.shape[:2], grow=0.3, soft=0)
    assert np.array_equal(result[around == 0], pixels[around == 0])


def test_looks_that_come_along_are_many_and_each_is_its_own(bea):
    looks = {name: look.read(path) for name, path in look.bundled().items()}
    assert len(looks) >= 16
    assert {"natural", "red-lip", "smoky", "cat-eye", "festival", "bridal", "sixties", "no-makeup"} <= looks.keys()
    assert all(item.about and not item.references for item in looks.values())
    assert len({item.style for item in looks.values()}) == len(looks)
    _, face = bea
    for name in ("natural", "gothic"):
        drawn = rendering.render(face.chip, face.landmarks, looks[name].style)
        assert np.abs(drawn - face.chip).mean() > 0.5, name


def test_look_in_words_survives_its_file(tmp_path):
    path = look.bundled()["festival"]
    read = look.read(path)
    look.write(read, tmp_path / "mine.toml")
    again = look.read(tmp_path / "mine.toml")
    assert (again.lips, again.eyes, again.skin, again.about) == (read.lips, read.eyes, read.skin, read.about)


def test_look_is_found_by_name_and_a_mistyped_one_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, problems = look.find(["Cat Eye", "cat-ey"])
    assert [item.path for item in found] == [look.bundled()["cat-eye"]]
    assert ["did you mean cat-eye?" in problem.message for problem in problems] == [True]
    (tmp_path / "cat-eye").mkdir()
    (tmp_path / "cat-eye" / "own.toml").touch()
    assert [item.path.name for item in look.find(["cat-eye"])[0]] == ["own.toml"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[lips]\ncolour = "crimsn"', "lips.colour: 'crimsn' is no word for lips"),
        ('[lips]\ncolour = "red"\nref = "a.jpg"', "lips has both ref and colour"),
        ('[lips]\nliner = "winged"', "has a key 'lips.liner'"),
        ("[eyes]\nliner = 1", "eyes.liner is 1"),
    ],
)
def test_wrong_words_in_a_look_file_are_named_with_their_key(tmp_path, text, told):
    with pytest.raises(LookError) as error:
        look.parse(text, tmp_path / "a.toml")
    assert told in str(error.value)


def test_words_of_a_command_replace_a_region_and_leave_the_others(tmp_path):
    base = look.parse('ref = "a.jpg"\n[eyes]\ncolour = "teal"\nliner = "thin"', tmp_path / "a.toml")
    worn = look.drawn_over(base, {"lips": {"colour": "crimson"}, "eyes": {"liner": "winged"}})
    assert worn.skin == base.skin
    assert worn.lips == Part((Ingredient(Drawn("lips", (("colour", "crimson"),))),), 1.0)
    assert worn.eyes.mix[0].ref.words == (("colour", "teal"), ("liner", "winged"))
