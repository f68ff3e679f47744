"""The figures for one result, each against a case whose answer is known, and the command that prints them."""

import csv
import json
import math
import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import SHARED

from beautygan_cli.cli import evaluate
from beautygan_cli.errors import DatasetError
from beautygan_cli.evaluation import metrics
from beautygan_cli.evaluation.metrics import FaceMasks, RegionColours
from beautygan_cli.faces.recognition import descriptor
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def subject(photos):
    """A real photo with its face."""
    return metrics.read_subject(photos("bare", 0))


@pytest.fixture(scope="module")
def other(photos):
    """A real reference."""
    return metrics.read_subject(photos("worn", 1))


def whole(shape, interocular=60.0):
    """Masks that take in all of an image."""
    ones = np.ones(shape, np.float32)
    regions_ = dict.fromkeys(metrics.REGIONS, ones)
    return FaceMasks((0, 0, shape[1], shape[0]), regions_, ones, np.zeros_like(ones), interocular)


def in_lab(pixels, mask, shift):
    """The photo with L*a*b* moved by `shift` under a mask of the whole photo."""
    return np.clip(np.rint(lab_to_rgb(rgb_to_lab(pixels) + mask[..., None] * np.float32(shift))), 0, 255).astype(
        np.uint8
    )


# One figure at a time


def test_quantiles_are_those_of_a_sorted_list():
    values = RNG.normal(0, 10, (40, 30, 3))
    expected = np.quantile(values.reshape(-1, 3), (np.arange(64) + 0.5) / 64, axis=0, method="inverted_cdf")
    assert metrics.weighted_quantiles(values, np.ones((40, 30)), 64) == pytest.approx(expected)


def test_a_pixel_of_twice_the_weight_counts_as_two():
    once = RNG.normal(0, 10, (1, 50, 2))
    weights = RNG.integers(1, 4, (1, 50))
    repeated = np.repeat(once[0], weights[0], axis=0)[None]
    weighted = metrics.weighted_quantiles(once, weights.astype(float))
    assert weighted == pytest.approx(metrics.weighted_quantiles(repeated, np.ones(repeated.shape[:2])))


def coloured(values):
    return RegionColours(values.mean(axis=0), metrics.weighted_quantiles(values[None], np.ones((1, len(values)))))


def test_histogram_distance_of_a_shift_is_the_shift():
    values = RNG.normal(0, 10, (500, 3))
    distance = metrics.histogram_distance(coloured(values), coloured(values + np.array([3, -6, 0])))
    assert distance == pytest.approx((3 + 6 + 0) / 3)


def test_histogram_distance_sees_a_spread_that_the_mean_does_not():
    values = RNG.normal(0, 10, (2001, 3))
    values -= values.mean(axis=0)
    narrow, broad = coloured(values), coloured(3 * values)
    assert metrics.mean_distance(narrow, broad) == pytest.approx(0, abs=1e-6)
    # W1 of a distribution about 0 and its threefold is twice its mean absolute value.
    assert metrics.histogram_distance(narrow, broad) == pytest.approx(2 * np.abs(values).mean(), rel=0.02)


def test_detail_correlation_is_blind_to_shade_and_sees_blur():
    pixels = RNG.integers(60, 190, (120, 120, 3)).astype(np.uint8)
    masks = whole((120, 120))
    assert metrics.detail_correlation(pixels, pixels + 30, masks) == pytest.approx(1, abs=1e-6)
    assert metrics.detail_correlation(pixels, 255 - pixels, masks) == pytest.approx(-1, abs=1e-6)
    noise = RNG.integers(60, 190, (120, 120, 3)).astype(np.uint8)
    assert abs(metrics.detail_correlation(pixels, noise, masks)) < 0.05


@pytest.mark.xfail(strict=True, reason="0.88 against 0.86 at the landmark network's unit, where 0.02 is allowed")
def test_detail_counts_the_same_at_any_size_of_the_photo(subject):
    """Detail scales with the face: a photo twice as large, blurred twice as far, has the same correlation."""
    import cv2

    def correlation(scale):
        size = (round(subject.pixels.shape[1] * scale), round(subject.pixels.shape[0] * scale))
        pixels = cv2.resize(subject.pixels, size, interpolation=cv2.INTER_CUBIC)
        blurred = np.rint(drawing.blur(pixels.astype(np.float32), 0.02 * scale * subject.masks.interocular)).astype(
            np.uint8
        )
        masks = metrics.face_masks((subject.face.landmarks + 0.5) * scale - 0.5, pixels.shape[:2])
        return metrics.detail_correlation(pixels, blurred, masks)

    assert correlation(1) < 0.9
    assert correlation(2) == pytest.approx(correlation(1), abs=0.02)


def test_ssim_of_shifted_brightness_is_its_luminance_term():
    grey = np.full((80, 80, 3), 100, np.uint8)
    brighter = np.full((80, 80, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert metrics.similarity(grey, brighter, whole((80, 80))) == pytest.approx(expected, abs=1e-4)


def test_ssim_falls_with_noise(subject):
    noise = RNG.normal(0, 1, subject.pixels.shape[:2])[..., None]
    values = [
        metrics.similarity(subject.pixels, np.clip(subject.pixels + sd * noise, 0, 255).astype(np.uint8), subject.masks)
        for sd in (0, 8, 25)
    ]
    assert values[0] == pytest.approx(1, abs=1e-5)
    assert values[0] > values[1] > values[2]


def test_change_outside_is_counted_outside_alone(subject):
    inside = subject.pixels.copy()
    x, y = subject.face.landmarks[30].astype(int)  # the nose's tip
    inside[y - 3 : y + 3, x - 3 : x + 3] ^= 128
    assert metrics.change_outside(subject.pixels, inside, subject.masks) == (0, 0)
    corner = subject.pixels.copy()
    corner[0, 0] = np.where(corner[0, 0] > 100, corner[0, 0] - 90, corner[0, 0] + 90)
    mean, most = metrics.change_outside(subject.pixels, corner, subject.masks)
    assert most == 90
    assert 0 < mean < 90 * 2 / (subject.pixels.shape[0] * subject.pixels.shape[1] * 0.3)


def test_change_outside_is_none_where_the_face_fills_the_photo():
    masks = FaceMasks((0, 0, 8, 8), {}, np.ones((8, 8), np.float32), np.ones((8, 8), np.float32), 60.0)
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert all(math.isnan(value) for value in metrics.change_outside(pixels, pixels, masks))


# All figures on a real face


def test_an_unchanged_photo_is_as_far_from_the_reference_as_before_and_else_perfect(subject, other):
    figures = metrics.figures(subject, other, subject.pixels, truth=subject.pixels)
    for region in metrics.REGIONS:
        assert figures[region] == figures[f"{region}_before"] > 0
        assert figures[f"{region}_histogram"] == figures[f"{region}_histogram_before"] > 0
        assert figures[f"{region}_true"] == figures[f"{region}_true_before"] == 0
    assert figures["identity"] == figures["outside"] == figures["outside_most"] == 0
    assert figures["detail"] == pytest.approx(1)
    assert figures["ssim"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("region", metrics.REGIONS)
def test_colour_on_one_region_shows_in_its_figure_and_in_no_other(subject, region):
    left, top, right, bottom = subject.masks.box
    mask = np.zeros(subject.pixels.shape[:2], np.float32)
    mask[top:bottom, left:right] = subject.masks.regions[region]
    figures = metrics.figures(subject, subject, in_lab(subject.pixels, mask, (-10, 12, 0)))
    for name in metrics.REGIONS:
        assert figures[f"{name}_before"] == 0
        if name == region:
            assert figures[name] > 5
            assert figures[f"{name}_histogram"] == pytest.approx((10 + 12) / 3, abs=1.2)
        else:
            assert figures[name] < 0.5


def test_the_regions_lie_where_the_face_has_them(subject):
    left, top, _, _ = subject.masks.box

    def centre(mask):
        rows, columns = np.nonzero(mask > 0.5)
        return np.array([columns.mean() + left, rows.mean() + top])

    landmarks, interocular = subject.face.landmarks, subject.masks.interocular
    lips, lids = centre(subject.masks.regions["lips"]), centre(subject.masks.regions["lids"])
    assert np.linalg.norm(lips - landmarks[48:60].mean(axis=0)) < 0.1 * interocular
    eyes, brows = landmarks[36:48].mean(axis=0), landmarks[17:27].mean(axis=0)
    assert brows[1] < lids[1] < eyes[1]


def test_figures_of_a_crop_are_those_of_the_photo(subject, other):
    """Where the face lies in the photo makes no difference."""
    result = in_lab(subject.pixels, np.ones(subject.pixels.shape[:2], np.float32), (4, 6, -3))
    wide = np.pad(subject.pixels, ((40, 0), (70, 0), (0, 0)), mode="edge")
    wide_result = np.pad(result, ((40, 0), (70, 0), (0, 0)), mode="edge")
    face = type(subject.face)(
        tuple(np.array(subject.face.box) + np.array([70, 40, 70, 40])),
        subject.face.landmarks + np.array([70, 40], np.float32),
    )
    moved = metrics.Subject("wide", wide, face)
    first = metrics.figures(subject, other, result)
    second = metrics.figures(moved, other, wide_result)
    for name, value in first.items():
        if not name.startswith("outside"):
            # The descriptor aligns to whole sixteenths of a pixel.
            assert second[name] == pytest.approx(value, abs=0.02), name


def test_another_person_is_far_and_the_same_one_near(subject, photos):
    someone_else = metrics.read_subject(photos("bare", 2))
    far = np.linalg.norm(subject.descriptor - someone_else.descriptor)
    slightly = in_lab(subject.pixels, np.ones(subject.pixels.shape[:2], np.float32), (3, 2, 2))
    near = np.linalg.norm(subject.descriptor - descriptor(slightly, subject.face))
    assert near < 0.2 < far


def test_every_figure_is_defined_in_the_help_and_none_else(subject, other):
    measured = set(metrics.figures(subject, other, subject.pixels, truth=subject.pixels))
    assert {name for figure in evaluate.FIGURES for name in figure.names} == measured
    assert all(name in evaluate.parser().format_help() for name in measured)


# Averages and tables


def row(group, lips, detail, other_lips=1.0):
    return evaluate.Row(
        f"{group}.jpg",
        "r.jpg",
        group,
        ({"lips_before": 9.0, "lips": lips, "detail": detail}, {"lips_before": 9.0, "lips": other_lips, "detail": 0.5}),
    )


def test_a_figure_that_is_missing_for_a_pair_does_not_enter_the_mean():
    means = evaluate.mean(
        [{"lips": 2.0, "lids": math.nan}, {"lips": 4.0, "lids": math.nan}, {"lips": math.nan, "lids": math.nan}]
    )
    assert means["lips"] == 3.0
    assert math.isnan(means["lids"])


def test_table_gives_groups_their_share_of_the_mean_and_counts_wins():
    rows = [row("a", 2.0, 0.9), row("a", 4.0, 0.9), row("b", 0.5, 0.4)]
    lines = evaluate.table(rows, ["new", "old"]).splitlines()
    groups = [line.split() for line in lines]
    assert ["a", "(2)", "new", "9.0", ">", "3.00", "0.900"] in groups
    assert ["of", "the", "mean", "new", "1.38", "1.227"] in groups  # 3 / 2.1667 and 0.9 / 0.7333
    assert ["mean", "(3)", "old", "9.0", ">", "1.00", "0.500"] in groups
    assert lines[-1].split() == ["pairs", "in", "which", "new", "is", "better", "1", "2"]


def test_a_figure_that_is_not_known_is_a_dash_in_the_table():
    assert evaluate.table([row("a", math.nan, 0.9)], ["new", "old"]).splitlines()[1].split()[-3:] == [
        ">",
        "-",
        "0.900",
    ]


def test_report_is_json_with_unknown_figures_as_null():
    written = evaluate.report([row("a", math.nan, 0.9)], [{"name": "new"}, {"name": "old"}])
    again = json.loads(json.dumps(written, allow_nan=False))
    assert again["schema"] == evaluate.SCHEMA
    assert again["pairs"][0]["figures"][0] == {"lips_before": 9.0, "lips": None, "detail": 0.9}
    assert again["mean"]["figures"][1]["lips"] == 1.0
    assert again["groups"]["a"]["pairs"] == 1


# Files that the user writes


def test_pairs_are_read_with_tabs_or_commas(tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text("# mine\na.jpg, b.jpg\n\nsub/c, d.jpg\te.jpg\n")
    pairs = evaluate.read_pairs(file, tmp_path / "bare", tmp_path / "worn")
    assert pairs == [
        (tmp_path / "bare/a.jpg", tmp_path / "worn/b.jpg"),
        (tmp_path / "bare/sub/c, d.jpg", tmp_path / "worn/e.jpg"),
    ]


@pytest.mark.parametrize("text", ["a.jpg b.jpg\n", "a.jpg,b.jpg,c.jpg\n", "a.jpg,\n", "", "# none\n"])
def test_a_line_that_is_no_pair_is_named(tmp_path, text):
    file = tmp_path / "pairs.txt"
    file.write_text(text)
    with pytest.raises(DatasetError, match=r"pairs\.txt .*no pair; write a source"):
        evaluate.read_pairs(file, tmp_path, tmp_path)


def test_group_is_that_of_the_person_before_the_first_underscore(tmp_path):
    file = tmp_path / "people.csv"
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([["face_id", "face_age", "face_eth"], ["001", "24", "white"]])
    groups = evaluate.read_groups(file)
    assert evaluate.group_of("x/001_03_b.jpg", groups) == "white"
    assert evaluate.group_of("x/0013.jpg", groups) == evaluate.NO_GROUP


@pytest.mark.parametrize("text", ["", "person,group\n1,a\n"])
def test_a_table_without_the_columns_is_refused(tmp_path, text):
    file = tmp_path / "people.csv"
    file.write_text(text)
    with pytest.raises(DatasetError, match=r"people\.csv lacks the columns face_id and face_eth"):
        evaluate.read_groups(file)


# The command


def test_help_imports_nothing_heavy(tmp_path):
    program = (
        "import sys; from beautygan_cli.cli.evaluate import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([n for n in ('numpy', 'tensorflow', 'dlib', 'cv2', 'tqdm') if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "SSIM" in done.stdout.upper()
    assert done.stderr.splitlines()[-1] == "[]"


def test_every_option_says_what_it_does():
    assert [action.dest for action in evaluate.parser()._actions if not action.help] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give --sources and --refs, or --rendered"),
        (["--sources", "a"], "give --sources and --refs, or --rendered"),
        (["--rendered", "a", "--refs", "b"], "leave out --sources, --refs and --pairs"),
        (["--rendered", "a", "--count", "0"], "'0' is no whole number of 1 or more"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_said_before_the_work(tmp_path, capsys):
    status = evaluate.main(["--sources", "a", "--refs", "b", "--grid", str(tmp_path / "grid.txt")])
    assert status == 2
    assert "grid.txt can't be written: its suffix names no picture" in capsys.readouterr().err


@pytest.mark.slow
def test_command_measures_two_models_on_every_pair(model, place, no_face, tmp_path, capsys):
    """Two sources of which one shows no face, two references, one model against itself."""
    place("bare/001_a.jpg", "bare", 0)
    no_face.rename(tmp_path / "bare" / "wall.png")
    place("worn/x.jpg", "worn", 0)
    place("worn/y.jpg", "worn", 1)
    (tmp_path / "people.csv").write_text("face_id,face_eth\n001,white\n")
    outputs = ["--json", tmp_path / "out" / "figures.json", "--grid", tmp_path / "out" / "grid.png"]
    arguments = ["--model", model, "--against", model, "--sources", tmp_path / "bare", "--refs", tmp_path / "worn"]
    arguments += ["--groups", tmp_path / "people.csv", *outputs]
    status = evaluate.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert status == 1
    assert printed.err.count("no face found in") == 1 and "wall.png" in printed.err
    assert printed.out.splitlines()[-1].split()[-1] == "0"  # no model is better than itself
    written = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert [pair["group"] for pair in written["pairs"]] == ["white", "white"]
    assert all(pair["figures"][0] == pair["figures"][1] for pair in written["pairs"])
    assert written["models"][0]["sha256"] == written["models"][1]["sha256"]
    first = written["pairs"][0]["figures"][0]
    assert first["lips"] != first["lips_before"]
    assert first["outside_most"] == 0
    assert iio.imread(tmp_path / "out" / "grid.png").shape[2] == 3


def test_pairs_file_chooses_the_pairs(model, place, tmp_path, capsys):
    place("bare/a.jpg", "bare", 0)
    place("bare/b.jpg", "bare", 1)
    place("worn/x.jpg", "worn", 0)
    (tmp_path / "pairs.txt").write_text("b.jpg\tx.jpg\nmissing.jpg\tx.jpg\n")
    arguments = ["--model", model, "--sources", tmp_path / "bare", "--refs", tmp_path / "worn"]
    status = evaluate.main([str(argument) for argument in [*arguments, "--pairs", tmp_path / "pairs.txt"]])
    printed = capsys.readouterr()
    assert status == 1
    assert "missing.jpg" in printed.err
    assert [line.split()[0] for line in printed.out.splitlines() if line] == ["pair", "b", "mean"]


# With a known truth


def test_rendered_truth_wears_what_the_reference_wears(photos):
    """Lipstick alone, drawn on both: lips of truth and reference agree, and what lies outside the face is the photo."""
    from beautygan_cli.makeup.style import Lipstick, Style
    from beautygan_cli.training import validation

    bare, worn = (metrics.read_subject(photos("bare", number)) for number in (0, 2))
    style = Style(lipstick=Lipstick(colour=(40.0, 55.0, 25.0), amount=0.95))
    case = validation.make_case(*(validation.Bare(item, item.face.landmarks) for item in (bare, worn)), style)
    figures = metrics.figures(case.source, case.reference, case.truth, case.truth)
    assert figures["lips"] < 0.4 * figures["lips_before"]
    assert figures["lips_true"] == 0 < figures["lips_true_before"]
    assert figures["lips_of_truth"] == figures["lips"]
    assert figures["outside_most"] <= 1  # a round trip through L*a*b*
    assert figures["detail"] == figures["detail_of_truth"] > 0.9


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared faces are not here")
def test_rendered_cases_are_of_held_out_people_and_the_same_for_a_seed(tmp_path):
    from beautygan_cli.training import dataset, validation

    folder = tmp_path / "faces"
    folder.mkdir()
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
        for photo in (SHARED / "london_neutral").glob(f"{number:03d}_03.*"):
            (folder / photo.name).symlink_to(photo)
    cache = tmp_path / "people.npz"
    first, second = (list(validation.cases(folder, 2, 4, cache)) for _ in range(2))
    held = {person.name.rsplit("/", 1)[1] for person in dataset.split(dataset.load(folder, cache))[1]}
    assert {case.source.name.rsplit("/", 1)[1].removesuffix(".jpg") for case in first} == held
    assert all(case.source.name not in case.reference.name for case in first)
    for one, again in zip(first, second, strict=True):
        assert np.array_equal(one.truth, again.truth)
        assert np.array_equal(one.reference.pixels, again.reference.pixels)
