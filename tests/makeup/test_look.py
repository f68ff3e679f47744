"""Looks: what their files may say, what they say when they are wrong, and what they do to a photo."""

from __future__ import annotations

from pathlib import Path, PurePath

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli import Look, MakeupSession, Strengths
from beautygan_cli.batch import line
from beautygan_cli.batch.manifest import Manifest
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.plan import Planner
from beautygan_cli.batch.sources import read_looks
from beautygan_cli.errors import LookError, OutputError
from beautygan_cli.faces import detection
from beautygan_cli.faces import masks as region_masks
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import look, pipeline, rendering
from beautygan_cli.makeup.look import Ingredient, Part
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.training.dataset import HELD_OUT

SHARED = SAMPLES.parent.parent / "shared" / "faces"


def parsed(text: str) -> Look:
    return look.parse(text, Path("looks/evening.toml"))


def wearing(**worn: str) -> Look:
    """A look of samples by region, at full strength."""
    return Look(**{region: Part((Ingredient(SAMPLES / f"makeup/{name}.jpg"),)) for region, name in worn.items()})


# Files


def test_each_region_has_a_reference_and_a_strength_of_its_own() -> None:
    read = parsed('[lips]\nref = "a.jpg"\nstrength = 0.8\n[eyes]\nref = "sub/b.jpg"\n[skin]\nnone = true\n')
    assert read.lips == Part((Ingredient(Path("looks/a.jpg")),), 0.8)
    assert read.eyes == Part((Ingredient(Path("looks/sub/b.jpg")),), 1.0)
    assert read.skin is None
    assert read.strengths == Strengths(0.8, 1.0, 0.0)
    assert (read.name, read.file) == ("evening", Path("looks/evening.toml"))


def test_what_is_not_named_wears_the_looks_own_reference_at_the_usual_strength() -> None:
    read = parsed('name = "Night"\nref = "all.jpg"\nstrength = 0.5\nlips = false\n')
    assert read.name == "Night"
    assert read.lips is None
    assert read.strengths == Strengths(0.0, 0.5, 0.5 * Strengths().skin)
    assert read.references == [Path("looks/all.jpg")]


@pytest.mark.parametrize(
    "text",
    [
        'lips = [{ref = "a.jpg", weight = 0.7}, {ref = "b.jpg", weight = 0.3}]',
        '[lips]\nmix = [{ref = "a.jpg", weight = 0.7}, {ref = "b.jpg", weight = 0.3}]',
    ],
)
def test_a_region_may_mix_references(text: str) -> None:
    lips = parsed(text).lips
    assert lips is not None
    assert lips.mix == (Ingredient(Path("looks/a.jpg"), 0.7), Ingredient(Path("looks/b.jpg"), 0.3))


def test_a_reference_without_weight_is_left_out_of_a_mix() -> None:
    lips = parsed('lips = [{ref = "a.jpg"}, {ref = "b.jpg", weight = 0}]').lips
    assert lips == Part((Ingredient(Path("looks/a.jpg")),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lips = 3", "lips is 3; it must be a photo's path, a mix, a table or false"),
        ("", "no region wears anything"),
        ("lip = 'a.jpg'", "it has a key 'lip'; the keys allowed there are name, about, ref, strength, lips"),
        ("[eyes]\nreff = 'a.jpg'", "it has a key 'eyes.reff'"),
        ("[eyes]\nref = 'a.jpg'\nstrength = 1.5", "eyes.strength is 1.5; it must be a number from 0 to 1"),
        ("[eyes]\nref = 'a.jpg'\nstrength = true", "eyes.strength is true"),
        ("[eyes]\nref = 'a.jpg'\nstrength = nan", "eyes.strength is NaN"),
        ("[eyes]\nstrength = 1", "eyes names no reference"),
        ("[eyes]\nref = 'a.jpg'\nmix = ['b.jpg']", "eyes has both ref and mix"),
        ("ref = ''", 'ref is ""; it must be a photo'),
        ("ref = 7", "ref is 7; it must be text in quotes"),
        ("name = 7\nref = 'a.jpg'", "name is 7"),
        ("lips = []", "lips is []; it must be a list of 1 to 16 references"),
        ("lips = [{weight = 1}]", "lips[0].ref is missing"),
        ("lips = [{ref = 'a.jpg', weight = -1}]", "lips[0].weight is -1; it must be a number from 0 up"),
        ("lips = [{ref = 'a.jpg', weight = 0}]", "lips has no weight above 0"),
        ("lips = [{ref = 'a.jpg', weight = inf}]", "lips[0].weight is Infinity"),
        ("[skin]\nnone = 'yes'", 'skin.none is "yes"; it must be true or false'),
        ("lips = [1, 2", "is no look file"),
        ("[" * 5000, "is no look file"),
    ],
)
def test_a_wrong_file_is_told_by_file_key_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(LookError) as told:
        parsed(text)
    assert "looks/evening.toml" in str(told.value)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_files_that_are_no_looks_are_told_in_a_sentence(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary.toml", tmp_path / "large.toml"
    binary.write_bytes(b"\xff\xfe\x00ref")
    large.write_bytes(b"#" * (look.LARGEST_FILE + 1))
    for path in (binary, large, tmp_path, tmp_path / "none.toml", Path("a\0b.toml")):
        with pytest.raises(LookError, match=r"\.$"):
            look.read(path)


def test_a_look_that_is_saved_reads_as_it_was(tmp_path: Path) -> None:
    lips = Part((Ingredient(tmp_path / "a.jpg", 0.7), Ingredient(tmp_path / "sub" / 'q"\\uote\x7f.jpg', 0.3)), 0.25)
    saved = Look(lips, Part((Ingredient(tmp_path.parent / "c.jpg"),)), None, name='Nu"it\n')
    look.write(saved, tmp_path / "look.toml")
    read = look.read(tmp_path / "look.toml")
    assert [Path(path).resolve() for path in read.references] == [path.resolve() for path in saved.references]
    assert (read.strengths, read.name, read.skin) == (saved.strengths, saved.name, None)
    assert read.lips is not None and [item.weight for item in read.lips.mix] == [0.7, 0.3]
    with pytest.raises(OutputError, match="exists already"):
        look.write(saved, tmp_path / "look.toml")


def test_a_folder_of_looks_is_a_menu(tmp_path: Path) -> None:
    for name in ("b.toml", "a.toml", "sub/c.toml", ".hidden.toml", "photo.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("ref = 'x.jpg'")
    found, problems = look.find([tmp_path, tmp_path / "a.toml", tmp_path / "gone.toml"])
    assert [item.path.name for item in found] == ["a.toml", "b.toml", "c.toml"]
    assert [problem.path.name for problem in problems] == ["gone.toml"]


# On a photo


@pytest.fixture(scope="module")
def bea() -> np.ndarray:
    return read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels


@pytest.fixture(scope="module")
def marks(bea: np.ndarray) -> np.ndarray:
    return detection.detect(bea)[0].landmarks


def core(region: str, marks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Where a region certainly is, without the soft edges that it shares with its neighbours."""
    masks = {
        "lips": region_masks.lips_mask,
        "eyes": region_masks.eyes_mask,
        "skin": region_masks.cheeks_mask,
        "brows": region_masks.brows_mask,
    }
    painted = {name: mask(marks, shape) for name, mask in masks.items()}
    # Shadow reaches up to the brows, and where a brow is, the brow counts.
    above = {"brows": ("lips",)}.get(region, ("lips", "eyes", "brows"))
    others = [painted[name] for name in above if name != region]
    return (painted[region] > 0.9) & np.all([other == 0 for other in others], axis=0)


@pytest.mark.parametrize("region", look.REGIONS)
def test_a_region_of_strength_0_is_unchanged_to_the_bit(
    region: str, bea: np.ndarray, marks: np.ndarray, session: MakeupSession
) -> None:
    strengths = Strengths(**{name: float(name != region) for name in look.REGIONS})
    result = pipeline.transfer(bea, SAMPLES / "makeup" / "plum.jpg", strengths, session=session)
    there = core(region, marks, bea.shape[:2])
    assert there.sum() > 500
    assert np.array_equal(result[there], bea[there])
    assert not np.array_equal(result, bea)


def test_each_region_takes_the_colour_of_its_own_reference(
    bea: np.ndarray, marks: np.ndarray, session: MakeupSession
) -> None:
    worn = pipeline.transfer(bea, wearing(lips="red", eyes="teal"), session=session)
    measured = {"lips": region_masks.lips_mask, "eyes": region_masks.lids_mask}
    lab, shape = rgb_to_lab(worn), bea.shape[:2]
    for region, own, other in (("lips", "red", "teal"), ("eyes", "teal", "red")):
        got = weighted_mean(lab, measured[region](marks, shape))
        distances = []
        for name in (own, other):
            pixels = read_photo(SAMPLES / "makeup" / f"{name}.jpg").pixels
            landmarks = detection.detect(pixels)[0].landmarks
            mask = measured[region](landmarks, pixels.shape[:2])
            distances.append(float(ciede2000(got, weighted_mean(rgb_to_lab(pixels), mask))))
        assert distances[0] < 0.5 * distances[1], region
    cheeks = core("skin", marks, shape)
    assert np.array_equal(worn[cheeks], bea[cheeks])


def test_all_regions_from_one_reference_are_that_reference(bea: np.ndarray, session: MakeupSession) -> None:
    reference = SAMPLES / "makeup" / "plum.jpg"
    one = pipeline.transfer(bea, Look.of(reference), session=session)
    assert np.array_equal(one, pipeline.transfer(bea, reference, session=session))


def mix(*weights: float) -> Look:
    names = ("red", "plum")
    part = Part(
        tuple(Ingredient(SAMPLES / f"makeup/{n}.jpg", w) for n, w in zip(names, weights, strict=True)),
    )
    return Look(part, part, part)


def test_a_mix_with_all_weight_on_one_reference_is_that_reference(bea: np.ndarray, session: MakeupSession) -> None:
    mixed = pipeline.transfer(bea, mix(1.0, 0.0), session=session).astype(int)
    alone = pipeline.transfer(bea, wearing(lips="red", eyes="red", skin="red"), session=session).astype(int)
    assert np.abs(mixed - alone).max() <= 1  # encoder and decoder run apart: nothing but rounding


def test_the_mixed_colour_lies_between_and_follows_the_weights(
    bea: np.ndarray, marks: np.ndarray, session: MakeupSession
) -> None:
    mask = region_masks.lips_mask(marks, bea.shape[:2], soft=0)
    shares = (1.0, 0.7, 0.3, 0.0)
    lips = [
        weighted_mean(rgb_to_lab(pipeline.transfer(bea, mix(share, 1 - share), session=session)), mask)
        for share in shares
    ]
    from_red = [float(ciede2000(colour, lips[0])) for colour in lips]
    assert from_red == sorted(from_red)
    assert from_red[1] > 0.1 * from_red[3] and from_red[2] < 0.9 * from_red[3]


# In a batch


def test_a_sweep_gives_a_result_for_each_strength_from_one_run(place, session: MakeupSession, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    source, reference = place("me.jpg", "bare"), place("red.jpg", "worn")
    options = RunConfig(out=tmp_path / "out", sweep=(0.0, 0.5, 1.0))
    looks, _ = read_looks([(Found(reference, PurePath()), Look.of(reference))], session.signature)
    runs = session.runs
    with Manifest(options.out) as manifest:
        outcomes = list(line.run(Planner(looks, session, options, manifest), [Found(source, PurePath())]))
    assert session.runs == runs + 1 + 1  # for the pair, and for the pigment of the reference's eyes
    assert [outcome.asked for outcome in outcomes] == [0.0, 0.5, 1.0]
    assert [outcome.output.name for outcome in outcomes] == ["me__red@0.jpg", "me__red@50.jpg", "me__red@100.jpg"]
    none, half, full = (iio.imread(outcome.output).astype(float) for outcome in outcomes)
    assert 0.3 < np.abs(half - none).mean() / np.abs(full - none).mean() < 0.7


def test_a_second_sweep_makes_only_the_strengths_that_are_new(place, beautygan) -> None:  # type: ignore[no-untyped-def]
    place("me.jpg", "bare"), place("red.jpg", "worn")
    command = ("--no-makeup", "me.jpg", "--ref", "red.jpg", "--out", "out", "--strength")
    assert len(beautygan(*command, "0.5,1")[1]) == 2
    status, paths, _ = beautygan(*command, "0.25,0.5,1")
    assert status == 0
    assert [Path(path).name for path in paths] == ["me__red@25.jpg"]


def test_the_grid_of_a_sweep_has_a_labelled_column_for_each_strength(place, beautygan, tmp_path) -> None:  # type: ignore[no-untyped-def]
    place("me.jpg", "bare"), place("red.jpg", "worn")
    beautygan("--no-makeup", "me.jpg", "--ref", "red.jpg", "--strength", "0.25,1", "--grid", "grid.png", "--quiet")
    grid = iio.imread(tmp_path / "grid.png")
    cells, label = grid.shape[1] // 260, grid.shape[0] - 2 * 260 - 4
    assert cells == 3
    columns = [grid[4:label, 4 + 260 * n : 260 * (n + 1)] for n in range(cells)]
    assert [column.min() < 120 for column in columns] == [False, True, True]
    assert not np.array_equal(columns[1], columns[2])


def test_looks_and_references_go_side_by_side_and_a_broken_look_stops_none(place, beautygan, tmp_path) -> None:  # type: ignore[no-untyped-def]
    place("me.jpg", "bare"), place("red.jpg", "worn"), place("menu/plum.jpg", "worn", 1)
    (tmp_path / "menu/evening.toml").write_text('lips = "plum.jpg"\neyes = "../red.jpg"\n')
    (tmp_path / "menu/gone.toml").write_text('ref = "gone.jpg"\n')
    (tmp_path / "menu/wrong.toml").write_text("lipps = 1\n")
    status, paths, told = beautygan("--no-makeup", "me.jpg", "--ref", "red.jpg", "--look", "menu", "--out", "out")
    assert status == 1
    assert sorted(Path(path).name for path in paths) == ["me__evening.jpg", "me__red.jpg"]
    assert "menu/gone.toml" in told and "gone.jpg" in told
    assert "menu/wrong.toml: it has a key 'lipps'" in told


@pytest.mark.slow
def test_a_changed_look_redoes_its_results_and_no_others(place, beautygan, tmp_path) -> None:  # type: ignore[no-untyped-def]
    place("me.jpg", "bare"), place("red.jpg", "worn"), place("plum.jpg", "worn", 1)
    (tmp_path / "one.toml").write_text('lips = "red.jpg"\n')
    (tmp_path / "two.toml").write_text('lips = "plum.jpg"\n')
    command = ("--no-makeup", "me.jpg", "--look", "one.toml", "two.toml", "--out", "out")
    assert len(beautygan(*command)[1]) == 2
    (tmp_path / "two.toml").write_text('name = "Other words, same look"\nlips = "plum.jpg"\n')
    assert beautygan(*command)[1] == []
    (tmp_path / "two.toml").write_text('lips = "red.jpg"\neyes = "plum.jpg"\n')
    assert [Path(path).name for path in beautygan(*command)[1]] == ["me__two.jpg"]


@pytest.mark.slow
def test_a_saved_look_gives_the_same_results_as_its_command(place, beautygan, tmp_path) -> None:  # type: ignore[no-untyped-def]
    place("me.png", "bare"), place("red.jpg", "worn")
    strengths = ("--strength", "0.8", "--lips", "0.5", "--skin", "0")
    beautygan("--no-makeup", "me.png", "--ref", "red.jpg", *strengths, "--out", "a", "--save-look", "looks/soft.toml")
    status, _, told = beautygan("--no-makeup", "me.png", "--look", "looks/soft.toml", "--out", "b")
    assert status == 0, told
    assert np.array_equal(iio.imread(tmp_path / "a/me__red.png"), iio.imread(tmp_path / "b/me__soft.png"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give the makeup to take with --ref or --look"),
        (("--remove", "--look", "a.toml"), "--remove goes by a bare face"),
        (("--ref", "red.jpg", "--strength", "0.5,2"), "'2' is no number from 0 to 1"),
        (("--ref", "red.jpg", "red2.jpg", "--save-look", "a.toml"), "--save-look saves one look"),
    ],
)
def test_options_that_say_nothing_together_are_refused(place, beautygan, arguments, said) -> None:  # type: ignore[no-untyped-def]
    place("me.jpg", "bare"), place("red.jpg", "worn"), place("red2.jpg", "worn", 1)
    status, paths, told = beautygan("--no-makeup", "me.jpg", *arguments)
    assert (status, paths) == (2, [])
    assert said in told


# Makeup off


def held_out() -> list[Path]:
    """The neutral photos of the London set's validation people, on whom the bundled model was not trained."""
    photos = sorted((SHARED / "london_neutral").glob("[0-9]*.jpg"))
    if not photos:
        pytest.skip("the shared photos are not here")
    return photos[::HELD_OUT]


@pytest.mark.slow
def test_removal_brings_a_made_up_face_back_to_its_bare_photo(session: MakeupSession) -> None:
    masks = {"lips": region_masks.lips_mask, "lids": region_masks.lids_mask, "skin": region_masks.cheeks_mask}
    before: dict[str, list[float]] = {name: [] for name in masks}
    after: dict[str, list[float]] = {name: [] for name in masks}
    for number, path in enumerate(held_out()):
        bare = cv2.resize(read_photo(path).pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        marks = detection.detect(bare)[0].landmarks
        style = rendering.random_style(np.random.default_rng(number))
        worn = np.round(rendering.render(bare.astype(np.float32), marks, style)).clip(0, 255).astype(np.uint8)
        removed = pipeline.remove(worn, session=session)
        for name, mask in masks.items():
            there = mask(marks, bare.shape[:2])
            own, made_up, back = (weighted_mean(rgb_to_lab(pixels), there) for pixels in (bare, worn, removed))
            before[name].append(float(ciede2000(made_up, own)))
            after[name].append(float(ciede2000(back, own)))
    figures = {name: (np.mean(before[name]), np.mean(after[name])) for name in masks}
    print({name: f"{first:.2f} > {second:.2f}" for name, (first, second) in figures.items()})
    # A blush can't be told for sure from a natural one: the skin comes nearer, and that is all that is claimed of it.
    most = {"lips": 0.5, "lids": 0.42, "skin": 1.0}
    assert all(second <= most[name] * first for name, (first, second) in figures.items()), figures


def test_coloured_lips_lose_their_colour_on_the_samples(session: MakeupSession) -> None:
    for name in ("berry", "plum", "red", "teal"):
        worn = read_photo(SAMPLES / f"makeup/{name}.jpg").pixels
        marks = detection.detect(worn)[0].landmarks
        bare = pipeline.remove(worn, session=session)
        lips = region_masks.lips_mask(marks, worn.shape[:2], soft=0)
        before, after = (weighted_mean(rgb_to_lab(pixels), lips) for pixels in (worn, bare))
        assert np.hypot(*after[1:]) < 0.75 * np.hypot(*before[1:]), name
        assert np.array_equal(worn[:20], bare[:20])


def test_remove_is_a_command_too_with_and_without_a_bare_face(place, beautygan, tmp_path) -> None:  # type: ignore[no-untyped-def]
    place("party.jpg", "worn"), place("bare.jpg", "bare")
    status, paths, told = beautygan("--photos", "party.jpg", "--remove", "--out", "out")
    assert status == 0, told
    assert [Path(path).name for path in paths] == ["party__bare_face.jpg"]
    status, paths, _ = beautygan("--photos", "party.jpg", "--remove", "--ref", "bare.jpg", "--out", "out")
    assert [Path(path).name for path in paths] == ["party__bare.jpg"]
    assert not np.array_equal(iio.imread(tmp_path / "party.jpg"), iio.imread(tmp_path / paths[0]))
    assert cv2.norm(iio.imread(tmp_path / "out/party__bare.jpg"), iio.imread(tmp_path / "party.jpg"), cv2.NORM_INF) > 10
