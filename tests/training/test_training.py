"""Training: makeup that is drawn, sets whose answer is known, people kept apart, a run that resumes and saves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli import MakeupSession
from beautygan_cli.cli.train import _minutes, _settings, parser
from beautygan_cli.cli.train import main as train_command
from beautygan_cli.errors import DatasetError
from beautygan_cli.faces import alignment, detection, masks
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import rendering
from beautygan_cli.makeup.style import EyeShadow, Finish, Liner, Lipstick, Style
from beautygan_cli.model.signature import Signature
from beautygan_cli.photos.photo import Photo, read_photo, write_photo
from beautygan_cli.training import dataset, examples, run_folder
from beautygan_cli.training.example_buffer import Buffer, BufferPlan, fill

BARE = SAMPLES / "no_makeup"
SIGNATURE = Signature(warp_reference=True, mask=True)


@pytest.fixture(scope="module")
def everyone(cast: Path) -> list[dataset.Person]:
    return dataset.load(BARE, cast)


@pytest.fixture(scope="module")
def chip() -> alignment.FaceAnalysis:
    pixels = read_photo(BARE / "bea.jpg").pixels
    return alignment.align(pixels, detection.detect(pixels)[0], 384, 0.35)


def region(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return weighted_mean(rgb_to_lab(pixels), mask)


# Drawn makeup


def test_no_style_changes_nothing(chip: alignment.FaceAnalysis) -> None:
    assert np.abs(rendering.render(chip.chip, chip.landmarks, Style()) - chip.chip).max() < 1


@pytest.mark.parametrize("colour", [(36, 55, 30), (50, 35, -5), (24, 28, -8)])
def test_lipstick_gives_the_lips_its_colour_and_stays_on_them(
    colour: tuple[float, float, float], chip: alignment.FaceAnalysis
) -> None:
    result = rendering.render(chip.chip, chip.landmarks, Style(lipstick=Lipstick(colour, 0.97)))
    lips = masks.lips_mask(chip.landmarks, result.shape[:2], soft=0) > 0.99
    assert ciede2000(region(result, lips), np.array(colour)) < 4
    far = drawing.fill(result.shape[:2], drawing.smooth_curve(chip.landmarks[48:60], closed=True), soft=5) < 0.01
    assert np.abs(result - chip.chip)[far].max() < 1.5


def test_a_rare_shade_of_skin_is_drawn_more_often_but_not_without_bound(everyone: list[dataset.Person]) -> None:
    darkest = min(everyone, key=lambda person: person.lightness)
    light = [person for person in everyone if person.lightness > darkest.lightness + 2 * dataset.SHADE_STEP]
    crowd = dataset.evened([darkest, *[light[0]] * 20])
    assert crowd.count(darkest) == dataset.MOST_TIMES
    assert crowd.count(light[0]) == 20
    assert dataset.evened([light[0]] * 3) == [light[0]] * 3


def test_lipstick_keeps_the_lips_own_texture(chip: alignment.FaceAnalysis) -> None:
    result = rendering.render(chip.chip, chip.landmarks, Style(lipstick=Lipstick((36, 55, 30), 0.97)))
    lips = masks.lips_mask(chip.landmarks, result.shape[:2], soft=0) > 0.99
    light = [rgb_to_lab(p)[..., 0] for p in (chip.chip, result)]
    fine = [(item - drawing.blur(item, 3))[lips] for item in light]
    assert np.corrcoef(*fine)[0, 1] > 0.8


def test_lipstick_leaves_teeth_white() -> None:
    pixels = read_photo(BARE / "tilted.jpg").pixels
    face = alignment.align(pixels, detection.detect(pixels)[0], 384, 0.35)
    result = rendering.render(face.chip, face.landmarks, Style(lipstick=Lipstick((30, 50, 20), 1.0)))
    opening = masks.mouth_opening(face.landmarks, (384, 384)) > 0.99
    assert opening.sum() > 100
    assert np.median(np.abs(result - face.chip)[opening]) < 3


def test_eye_shadow_colours_the_lids_and_not_the_eyeballs(chip: alignment.FaceAnalysis) -> None:
    blue = (35.0, 5.0, -40.0)
    style = Style(shadow=EyeShadow(blue, blue, blue, 0.9, 0.0, 0.0, 0.9, 0.3))
    result = rendering.render(chip.chip, chip.landmarks, style)
    lids = masks.lids_mask(chip.landmarks, result.shape[:2])
    assert region(result, lids)[2] < region(chip.chip, lids)[2] - 20
    eyeballs = masks.openings_mask(chip.landmarks, result.shape[:2], soft=0) > 0.99
    assert np.median(np.abs(result - chip.chip)[eyeballs]) < 2


def test_a_wing_reaches_past_the_eyes_outer_corner(chip: alignment.FaceAnalysis) -> None:
    line = Liner((10, 0, 0), 0.95, 0.08)
    plain, winged = (
        rendering.render(chip.chip, chip.landmarks, Style(liner=item)) for item in (line, replace(line, wing=0.4))
    )
    changed = np.abs(winged - plain).max(axis=2) > 20
    columns = np.nonzero(changed)[1]
    assert columns.min() < chip.landmarks[36, 0] - 3
    assert columns.max() > chip.landmarks[45, 0] + 3


def test_foundation_evens_the_skin_and_keeps_its_pores(chip: alignment.FaceAnalysis) -> None:
    result = rendering.render(chip.chip, chip.landmarks, Style(finish=Finish(even=1.0)))
    cheeks = masks.cheeks_mask(chip.landmarks, result.shape[:2]) > 0.95
    before, after = rgb_to_lab(chip.chip), rgb_to_lab(result)
    assert drawing.blur(after, 4)[cheeks][:, 1].std() < drawing.blur(before, 4)[cheeks][:, 1].std()
    fine = [(lab[..., 0] - drawing.blur(lab[..., 0], 1.5))[cheeks] for lab in (before, after)]
    assert np.corrcoef(*fine)[0, 1] > 0.9


def test_styles_are_the_seeds_own_and_vary() -> None:
    styles = [rendering.random_style(np.random.default_rng(seed)) for seed in range(60)]
    assert styles == [rendering.random_style(np.random.default_rng(seed)) for seed in range(60)]
    reds = [style.lipstick.colour for style in styles if style.lipstick]
    assert len(reds) > 45
    assert np.std(reds, axis=0).min() > 8
    assert any(style.shadow is None for style in styles)
    assert any(style.liner and style.liner.wing for style in styles)


def test_every_random_style_can_be_drawn_on_every_sample(everyone: list[dataset.Person]) -> None:
    for seed in range(12):
        person = everyone[seed % len(everyone)]
        result = rendering.render(person.chip, person.exact, rendering.random_style(np.random.default_rng(seed)))
        assert np.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 255


# People and sets


def test_people_are_held_out_whole() -> None:
    blank, marks = np.zeros((2, 2, 3), np.uint8), np.zeros((68, 2), np.float32)
    photos = [dataset.Person(f"{folder}/{i:03}_1", blank, marks, marks) for folder in ("a", "b") for i in range(30)]
    learners, held = dataset.split(photos)
    assert {p.person for p in held} == {"000", "009", "018", "027"}
    assert not {p.person for p in held} & {p.person for p in learners}
    assert len(learners) + len(held) == len(photos)


def test_a_folder_without_faces_is_refused_by_name(tmp_path: Path) -> None:
    write_photo(Photo(pixels=np.full((64, 64, 3), 99, np.uint8)), tmp_path / "wall.png")
    with pytest.raises(DatasetError, match=str(tmp_path)):
        dataset.load(tmp_path)


def test_the_cache_gives_the_same_people(everyone: list[dataset.Person]) -> None:
    again = dataset.load(BARE)
    assert [p.name for p in again] == [p.name for p in everyone]
    assert all(np.array_equal(a.chip, b.chip) for a, b in zip(again, everyone, strict=True))


def test_a_broken_template_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "a.tem"
    bad.write_text("3\n1 2\nx y\n")
    with pytest.raises(DatasetError, match=r"a\.tem"):
        dataset.read_template(bad)


def test_mirroring_landmarks_twice_gives_them_back() -> None:
    assert sorted(masks.MIRROR) == list(range(68))
    assert (masks.MIRROR[masks.MIRROR] == np.arange(68)).all()


def test_a_set_depends_on_its_seed_alone(everyone: list[dataset.Person]) -> None:
    first, again, other = (examples.make_set(everyone, np.random.default_rng(s), SIGNATURE) for s in (5, 5, 6))
    assert np.array_equal(first.target, again.target)
    assert np.array_equal(first.reference, again.reference)
    assert not np.array_equal(first.target, other.target)


@pytest.mark.parametrize("name", examples.VARIATIONS)
def test_each_variation_can_be_left_out_by_itself(name: str, everyone: list[dataset.Person]) -> None:
    def pictures(varied: tuple[str, ...]) -> list[np.ndarray]:
        drawn = (
            examples.make_set(everyone, np.random.default_rng(seed), SIGNATURE, varied=varied) for seed in range(6)
        )
        return [item.reference for item in drawn]

    assert name not in examples.all_but([name])
    assert set(examples.all_but([name])) | {name} == set(examples.VARIATIONS)
    for without in ((), examples.all_but([name])):
        same = [np.array_equal(*both) for both in zip(pictures(without), pictures((*without, name)), strict=True)]
        assert not all(same)


def test_the_target_is_the_source_with_the_references_colours(everyone: list[dataset.Person]) -> None:
    nearer = []
    for seed in range(8):
        item = examples.make_set(everyone, np.random.default_rng(seed), SIGNATURE, varied=())
        lips = item.masks[..., 0] > 250
        source, target, reference = (region(p, lips) for p in (item.source, item.target, item.reference))
        nearer.append(ciede2000(target, reference) / max(1.0, float(ciede2000(source, reference))))
        outside = item.face[..., 0] == 0
        assert np.abs(item.source[outside].astype(int) - item.target[outside]).max() <= 1
    assert np.median(nearer) < 0.45


def test_skin_is_matched_within_its_bound() -> None:
    pixels = read_photo(BARE / "dara.jpg").pixels
    face = alignment.align(pixels, detection.detect(pixels)[0], 256, 0.35)
    own = examples.skin_statistics(face.chip.astype(np.float32), face.landmarks)
    pale = (np.array([90.0, 8.0, 12.0]), own[1])
    result = examples.match_skin(face.chip.astype(np.float32), face.landmarks, own, pale)
    moved = examples.skin_statistics(result, face.landmarks)[0] - own[0]
    assert 8 < moved[0] <= examples.MATCH_LIMIT[0] + 0.5


def test_light_keeps_what_is_in_range_and_never_leaves_it() -> None:
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.float32)[:, None, None], (1, 64, 3))
    for seed in range(20):
        lit = examples.random_light(np.random.default_rng(seed), 64)(ramp)
        assert lit.min() >= 0
        assert lit.max() <= 255
        assert np.corrcoef(lit[..., 1].mean(axis=1), ramp[:, 0, 1])[0, 1] > 0.9


@pytest.mark.parametrize("seed", range(6))
def test_what_covers_a_face_is_a_layer_with_opacity(seed: int) -> None:
    pixels = read_photo(BARE / "chi.jpg").pixels
    face = alignment.align(pixels, detection.detect(pixels)[0], 256, 0.35)
    layer = examples.random_cover(face.landmarks, 256, np.random.default_rng(seed))
    assert layer.shape == (256, 256, 4)
    assert 0 <= layer[..., 3].min() <= layer[..., 3].max() <= 1
    assert layer[..., 3].max() > 0.5


def test_a_bank_is_filled_by_workers_as_in_this_process(tmp_path: Path, everyone: list[dataset.Person]) -> None:
    plan = BufferPlan(tmp_path / "one", 6, 64, 0.35, True, True, 3)
    here = fill(plan, everyone)
    there = Buffer(replace(plan, folder=tmp_path / "two"))
    there.start(everyone, 2)
    try:
        there.wait_for(6)
    finally:
        there.stop()
    # A worker may have begun to replace the first places, which the next round draws anew.
    last = np.array([4, 5])
    same = [np.array_equal(here.batch(last)[name], there.batch(last)[name]) for name in ("source", "target")]
    assert all(same) or len(there.filled) == 6


# The run


@pytest.mark.parametrize(("text", "minutes"), [("2h", 120), ("90m", 90), ("1h30m", 90), ("30s", 0.5)])
def test_times_are_read(text: str, minutes: float) -> None:
    assert _minutes(text) == minutes


def test_only_a_new_model_begins_at_half_size() -> None:
    common = ["--faces", str(BARE), "--out", "model"]
    assert _settings(parser().parse_args(common)).coarse_share > 0
    assert _settings(parser().parse_args([*common, "--start", "trained"])).coarse_share == 0


@pytest.mark.slow
def test_a_run_trains_saves_resumes_and_its_model_loads(
    tmp_path: Path, cast: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    run_folder.claim(out)
    (out / "training").mkdir()
    shutil.copyfile(cast, out / "training" / "people.npz")
    common = ["--faces", str(BARE), "--out", str(out), "--buffer", "6", "--width", "4", "--precision", "fp32"]
    assert train_command([*common, "--steps", "6"]) == 0
    assert json.loads((out / "training" / "progress.json").read_text())["step"] == 6
    first = (out / "model.data-00000-of-00001").read_bytes()
    assert train_command([*common, "--steps", "10", "--resume"]) == 0
    assert json.loads((out / "training" / "progress.json").read_text())["step"] == 10
    assert "going on from step 6" in capfd.readouterr().err
    assert (out / "model.data-00000-of-00001").read_bytes() != first
    assert (out / "validation.jpg").is_file()
    about = Signature.load(out).about
    assert about["step"] == 10
    assert str(tmp_path) not in json.dumps(dict(about))
    with MakeupSession(out) as session:
        pixels = read_photo(BARE / "bea.jpg").pixels
        face = alignment.align(pixels, detection.detect(pixels)[0], session.signature.size, session.signature.padding)
        result = session.transfer(face.chip[None], face.chip[None])
    assert result.shape == (1, 256, 256, 3)


def test_training_on_a_missing_folder_ends_with_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train_command(["--faces", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--steps", "1"]) == 2
    error = capfd.readouterr().err.strip()
    assert "none" in error
    assert len(error.splitlines()) == 1


def test_where_all_wear_lipstick_the_palest_lips_are_taken_for_bare(everyone: list[dataset.Person]) -> None:
    red = Style(lipstick=Lipstick((38.0, 60.0, 36.0), 0.95))
    worn = []
    for person in everyone[:3]:
        chip = np.rint(rendering.render(person.chip, person.landmarks, red)).astype(np.uint8)
        worn.append(dataset.Person(person.name, chip, person.landmarks, person.landmarks))
    assert not any(person.bare for person in worn)
    palest = sorted(worn, key=lambda person: person.lip_contrast)[:2]
    for seed in range(8):
        first, second = examples._two(worn, np.random.default_rng(seed))
        assert second.person == next(person.person for person in palest if person.person != first.person)
