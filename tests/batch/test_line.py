"""Every source with every reference: names, what is written and what is not, how much work it takes."""

import sys
import threading
import weakref
from pathlib import Path, PurePath
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from beautygan_cli.batch import line as batch_line
from beautygan_cli.batch import result as batch_result
from beautygan_cli.batch import sources as batch_sources
from beautygan_cli.batch.manifest import Manifest
from beautygan_cli.batch.naming import JOINT, Names, output_name
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.plan import Planner, with_todays_paths, without_paths
from beautygan_cli.batch.sources import read_looks, read_source
from beautygan_cli.faces import alignment, detection
from beautygan_cli.makeup import composite, pipeline
from beautygan_cli.makeup.look import Look
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.formats import FORMATS
from beautygan_cli.photos.photo import Photo, read_photo

needs_case = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names differ by case alone")


def found(*names):
    return [Found(Path(name), PurePath(name).parent) for name in names]


def made(folder):
    """The names of the results in a folder, sub-folders included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("[!.]*") if path.is_file())


# Names


def names(role, *given, manifest=None):
    return Names(manifest or Manifest(None), role).of(found(*given))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a-jpg", "a-png"]),
        (["a.jpg", "A.PNG"], ["a-jpg", "A-png"]),
        (["a.jpg", "a.png", "a-jpg.webp"], ["a-jpg", "a-png", "a-jpg-webp"]),
        (["one/a.jpg", "two/a.jpg"], ["a", "a"]),
        (["a.b.jpg", "a.c.jpg"], ["a.b", "a.c"]),
        (["e\u0301.jpg", "\u00e9.jpg"], ["e\u0301-jpg", "\u00e9-jpg-2"]),
    ],
)
def test_sources_names_are_unique_within_a_folder(given, expected):
    assert names("source", *given) == expected


def test_references_names_are_unique_among_all_folders():
    assert names("reference", "one/a.jpg", "two/a.jpg", "two/b.jpg") == ["a-jpg", "a-jpg-2", "b"]


@pytest.mark.parametrize(
    ("sources", "references"),
    [
        (["a__b", "a"], ["c", "b__c"]),
        (["a", "a_"], ["_b", "b"]),
        (["a"], ["b", "b_face2"]),
    ],
)
def test_joined_names_differ_where_their_parts_could_be_read_in_two_ways(sources, references):
    firsts = names("source", *(f"{name}.jpg" for name in sources))
    seconds = names("reference", *(f"{name}.jpg" for name in references))
    joined = [f"{first}{JOINT}{second}{end}" for first in firsts for second in seconds for end in ("", "_face2")]
    assert len(set(joined)) == len(joined)


@pytest.mark.parametrize("given", [["b.jpg", "b.c__d", "d.jpg"], ["b.jpg", "b._face2"], ["b.jpg", "b.x@50", "x.jpg"]])
def test_a_suffix_that_tells_references_apart_brings_nothing_in_that_joins_names(given):
    """`a` with `b-c__d` and `a__b-c` with `d` would be one result."""
    for name in names("reference", *given):
        assert JOINT not in name
        assert "_face" not in name
        assert "@" not in name


def test_a_photo_that_was_named_in_another_folder_before_takes_no_name_away(tmp_path):
    manifest = Manifest(None)
    first, second = tmp_path / "one" / "a.jpg", tmp_path / "two" / "a.jpg"
    assert Names(manifest, "source").of([Found(first, PurePath("one"))]) == ["a"]
    together = [Found(first, PurePath()), Found(second, PurePath())]
    assert len(set(Names(manifest, "source").of(together))) == 2


@pytest.mark.parametrize(
    ("strength", "told"),
    [(0.5, "50"), (1.0, "100"), (0.125, "12.5"), (0.5000001, "50.00001"), (1e-7, "0.00001"), (0.0, "0"), (1, "100")],
)
def test_strengths_that_differ_have_names_that_do(strength, told):
    assert output_name("a", "b", ".jpg", strength) == f"a__b@{told}.jpg"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("no face found in /x/in/a.jpg; crop it.", "no face found in \x1asource\x1a; crop it."),
        ("/x/in/a.jpg with /x/look.jpg: too far.", "\x1asource\x1a with \x1alook\x1a: too far."),
        ("/y/x/in/a.jpg and /x/in/a.jpg2 stay", "/y/x/in/a.jpg and /x/in/a.jpg2 stay"),
    ],
)
def test_reasons_are_kept_without_paths_and_told_with_those_of_the_run(reason, kept):
    def target(folder):
        return SimpleNamespace(look=SimpleNamespace(path=Path(folder, "look.jpg")), output=Path(folder, "out", "a.jpg"))

    source = Path("/x/in/a.jpg")
    assert without_paths(reason, source, target("/x")) == kept
    told = with_todays_paths(kept, Path("/z/in/a.jpg"), target("/z"))
    assert told == (reason if kept == reason else reason.replace("/x/", "/z/"))


def test_long_stem_is_cut_at_a_character():
    (name,) = names("source", "\u00e9" * 120 + ".jpg")
    assert name == "\u00e9" * 50


def test_name_stays_when_a_photo_of_that_name_arrives_later(tmp_path):
    first, later = tmp_path / "a.jpg", tmp_path / "a.png"
    first.write_bytes(b"1"), later.write_bytes(b"2")
    manifest = Manifest(None)
    assert names("source", first, manifest=manifest) == ["a"]
    assert names("source", first, later, manifest=manifest) == ["a", "a-png"]


def test_moved_photo_takes_its_name_along_and_another_does_not_get_it(tmp_path):
    old, moved, other = tmp_path / "1" / "a.jpg", tmp_path / "2" / "a.jpg", tmp_path / "3" / "a.jpg"
    for path, content in ((old, b"me"), (moved, b"me"), (other, b"you")):
        path.parent.mkdir()
        path.write_bytes(content)
    manifest = Manifest(None)

    def name(path):
        manifest.content(path)
        return Names(manifest, "source").of([Found(path, PurePath())])

    assert name(old) == ["a"]
    old.unlink()
    assert name(other) == ["a-jpg"]
    assert name(moved) == ["a"]


def test_outputs_keep_sub_folders_and_are_named_by_source_and_reference(place, beautygan, tmp_path):
    place("selfies/a.jpg", "bare", 0)
    place("selfies/beach/a.jpg", "bare", 1)
    place("selfies/beach/a.png", "bare", 2)
    place("looks/red.jpg", "worn", 0)
    place("looks/night/red.jpg", "worn", 1)
    status, out, _ = beautygan("--no-makeup", "selfies", "--ref", "looks", "--out", "out")
    expected = [
        *("a__red-jpg-2.jpg", "a__red-jpg.jpg"),
        *("beach/a-jpg__red-jpg-2.jpg", "beach/a-jpg__red-jpg.jpg"),
        *("beach/a-png__red-jpg-2.png", "beach/a-png__red-jpg.png"),
    ]
    assert status == 0
    assert sorted(out) == sorted(f"out/{name}" for name in expected)
    assert made(tmp_path / "out") == sorted(expected)


def test_equal_names_in_two_named_folders_give_two_results(place, beautygan):
    place("one/a.jpg", "bare", 0)
    place("two/a.jpg", "bare", 1)
    place("look.jpg", "worn")
    _, out, _ = beautygan("--no-makeup", "one", "two", "--ref", "look.jpg")
    assert out == ["made_up/a-jpg__look.jpg", "made_up/a-jpg-2__look.jpg"]


# What is written over


def test_input_is_never_written_over(place, beautygan, tmp_path):
    """The result's name may be that of a source or of a reference; --overwrite does not change that."""
    place("a.jpg", "bare", 0)
    victim = place("a__look.jpg", "bare", 1)
    place("look.jpg", "worn")
    before = victim.read_bytes()
    status, out, err = beautygan("--no-makeup", "a.jpg", victim, "--ref", "look.jpg", "--out", ".", "--overwrite")
    assert status == 1
    assert out == ["a__look__look.jpg"]
    assert victim.read_bytes() == before
    assert "a__look.jpg is one of the photos given" in err


def test_reference_is_never_written_over(place, beautygan):
    place("a.jpg", "bare", 0)
    victim = place("a__b.jpg", "worn", 1)
    place("b.jpg", "worn", 0)
    before = victim.read_bytes()
    status, _, _ = beautygan("--no-makeup", "a.jpg", "--ref", "b.jpg", victim, "--out", ".", "--overwrite")
    assert status == 1
    assert victim.read_bytes() == before


def test_chip_of_a_second_face_is_never_written_over_an_input(photos, place, beautygan, tmp_path):
    face = iio.imread(photos("bare", 0))
    iio.imwrite(tmp_path / "both.png", np.concatenate([face, face], axis=1))
    victim = place("both__look_face2.png", "bare", 1)
    place("look.jpg", "worn")
    before = victim.read_bytes()
    status, _, err = beautygan(
        *("--no-makeup", "both.png", victim, "--ref", "look.jpg", "--crop", "--out", ".", "--overwrite")
    )
    assert status == 1 and "both__look_face2.png is one of the photos given" in err
    assert victim.read_bytes() == before


def test_file_that_was_there_before_stays_unless_overwrite_is_given(place, beautygan, tmp_path):
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    (tmp_path / "made_up").mkdir()
    earlier = tmp_path / "made_up" / "a__look.jpg"
    earlier.write_bytes(b"mine")
    status, out, err = beautygan("--no-makeup", "a.jpg", "--ref", "look.jpg")
    assert (status, out, earlier.read_bytes()) == (0, [], b"mine")
    assert "1 kept" in err
    status, out, _ = beautygan("--no-makeup", "a.jpg", "--ref", "look.jpg", "--overwrite")
    assert (status, out) == (0, ["made_up/a__look.jpg"])
    assert earlier.read_bytes()[:2] == b"\xff\xd8"


def test_results_inside_the_source_folder_are_not_made_up_again(place, beautygan, tmp_path):
    place("selfies/a.jpg", "bare")
    place("look.jpg", "worn")
    for _ in range(2):
        beautygan("--no-makeup", "selfies", "--ref", "look.jpg", "--out", "selfies/done")
    assert made(tmp_path / "selfies" / "done") == ["a__look.jpg"]


# RunConfig


def test_crop_writes_the_chip_of_each_face(photos, place, beautygan, tmp_path, session):
    one, two = (iio.imread(photos("bare", number)) for number in (0, 1))
    height = max(one.shape[0], two.shape[0])
    both = np.full((height, one.shape[1] + two.shape[1], 3), 128, np.uint8)
    both[: one.shape[0], : one.shape[1]] = one
    both[: two.shape[0], one.shape[1] :] = two
    iio.imwrite(tmp_path / "both.png", both)
    place("look.jpg", "worn")
    status, out, _ = beautygan("--no-makeup", "both.png", "--ref", "look.jpg", "--crop")
    assert (status, out) == (0, ["made_up/both__look.png"])
    assert made(tmp_path / "made_up") == ["both__look.png", "both__look_face2.png"]
    for name in made(tmp_path / "made_up"):
        assert iio.imread(tmp_path / "made_up" / name).shape == (session.signature.size, session.signature.size, 3)


def test_faces_largest_leaves_the_other_face_as_it_is(photos, place, beautygan, tmp_path):
    large, small = iio.imread(photos("bare", 0)), iio.imread(photos("bare", 1))[::2, ::2]
    height = max(large.shape[0], small.shape[0])
    both = np.full((height, large.shape[1] + small.shape[1], 3), 128, np.uint8)
    both[: large.shape[0], : large.shape[1]] = large
    both[: small.shape[0], large.shape[1] :] = small
    iio.imwrite(tmp_path / "both.png", both)
    place("look.jpg", "worn")
    results = {}
    for which in ("all", "largest"):
        assert beautygan("--no-makeup", "both.png", "--ref", "look.jpg", "--faces", which, "--out", which)[0] == 0
        results[which] = iio.imread(tmp_path / which / "both__look.png")
    right = np.s_[:, large.shape[1] :]
    assert (results["largest"][right] == both[right]).all()
    assert (results["all"][right] != both[right]).any()
    assert (results["largest"][:, : large.shape[1]] != both[:, : large.shape[1]]).any()


@pytest.mark.parametrize(("choice", "suffix"), [("same", ".png"), ("jpg", ".jpg"), ("png", ".png"), ("webp", ".webp")])
def test_format_of_results(place, beautygan, tmp_path, choice, suffix):
    place("a.png", "bare")
    place("look.jpg", "worn")
    _, out, _ = beautygan("--no-makeup", "a.png", "--ref", "look.jpg", "--format", choice)
    assert out == [f"made_up/a__look{suffix}"]
    assert FORMATS[suffix] == Image.open(tmp_path / out[0]).format


def test_quality_changes_the_size(place, beautygan, tmp_path):
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    sizes = []
    for quality in (40, 95):
        _, out, _ = beautygan("--no-makeup", "a.jpg", "--ref", "look.jpg", "--quality", quality, "--out", f"q{quality}")
        sizes.append((tmp_path / out[0]).stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_strength_0_gives_the_photo_back(place, beautygan, tmp_path):
    source = place("a.png", "bare")
    place("look.jpg", "worn")
    _, out, _ = beautygan("--no-makeup", "a.png", "--ref", "look.jpg", "--strength", 0)
    assert (iio.imread(tmp_path / out[0]) == iio.imread(source)).all()


def test_full_strength_makes_up_the_face_and_nothing_else(place, beautygan, tmp_path):
    source = iio.imread(place("a.png", "bare"))
    place("look.jpg", "worn")
    _, out, _ = beautygan("--no-makeup", "a.png", "--ref", "look.jpg")
    changed = (iio.imread(tmp_path / out[0]) != source).any(axis=-1)
    left, top, right, bottom = (round(value) for value in detection.detect(source)[0].box)
    margin = round(0.6 * (right - left))  # forehead and chin reach over dlib's box
    inside = changed[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    assert inside.sum() == changed.sum() > 0.2 * (right - left) * (bottom - top)


def test_alpha_and_exif_survive_and_the_orientation_is_upright(photos, place, beautygan, tmp_path):
    upright = Image.open(photos("bare", 0)).convert("RGBA")
    alpha = Image.linear_gradient("L").resize(upright.size)
    upright.putalpha(alpha)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Makers of cameras"  # 6: turn right by 90 degrees
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    place("look.jpg", "worn")
    status, out, _ = beautygan("--no-makeup", "a.png", "--ref", "look.jpg")
    assert status == 0
    result = Image.open(tmp_path / out[0])
    assert result.size == upright.size
    assert (np.asarray(result)[..., 3] == np.asarray(alpha)).all()
    assert (result.getexif()[0x0112], result.getexif()[0x010F]) == (1, "Makers of cameras")


def test_grid_has_a_row_for_each_source_under_the_references(place, beautygan, tmp_path, session, no_face):
    for number in range(2):
        place(f"selfies/{number}.jpg", "bare", number)
    for number in range(3):
        place(f"looks/{number}.jpg", "worn", number)
    status, _, _ = beautygan("--no-makeup", "selfies", no_face, "--ref", "looks", "--grid", "grid.png")
    assert status == 1  # the photo of nothing, which gets no row
    pitch = session.signature.size + 4
    grid = iio.imread(tmp_path / "grid.png")
    assert grid.shape == (3 * pitch + 4, 4 * pitch + 4, 3)
    cells = [[grid[y * pitch + 4 :, x * pitch + 4 :][:pitch, :pitch] for x in range(4)] for y in range(3)]
    assert [[bool((cell[:-4, :-4] == 255).all()) for cell in row] for row in cells] == [
        [True, False, False, False],
        [False] * 4,
        [False] * 4,
    ]
    look = read_photo(tmp_path / "looks" / "0.jpg").pixels
    chip = alignment.align(look, detection.detect(look)[0], session.signature.size, session.signature.padding).chip
    assert (cells[0][1][:-4, :-4] == chip).all()


# How much work


def test_one_photo_with_nine_references_is_detected_once_and_run_in_full_batches(place, session, tmp_path, monkeypatch):
    detections = []
    detect = detection.detect
    monkeypatch.setattr(
        detection, "detect", lambda pixels, **how: detections.append(pixels.shape) or detect(pixels, **how)
    )
    source = place("a.jpg", "bare")
    looks = [place(f"looks/{number}.jpg", "worn", number) for number in range(9)]
    runs = session.runs
    outcomes = list(line([source], looks, session, RunConfig(out=tmp_path / "out", batch_size=4)))
    assert [outcome.status for outcome in outcomes] == ["made"] * 9
    assert len(detections) == 1 + 9
    # 9 pairs by 4 at a time, and as often for the pigment of the references' eyes.
    assert session.runs - runs == 3 + 3


def line(sources, looks, session, options, **more):
    """The outcomes of a batch of photos named one by one."""
    given = [(Found(look, PurePath()), Look.of(look)) for look in looks]
    references, failures = read_looks(given, session.signature)
    assert failures == []
    with Manifest(options.out) as manifest:
        items = [Found(source, PurePath()) for source in sources]
        yield from batch_line.run(Planner(references, session, options, manifest), items, **more)


def test_batches_are_filled_across_photos_and_outcomes_keep_the_photos_order(place, session, tmp_path):
    sources = [place(f"{number}.jpg", "bare", number) for number in range(3)]
    looks = [place(f"looks/{number}.jpg", "worn", number) for number in range(2)]
    runs = session.runs
    outcomes = list(line(sources, looks, session, RunConfig(out=tmp_path / "out", batch_size=4)))
    assert [(outcome.source, outcome.reference) for outcome in outcomes] == [
        (s, look) for s in sources for look in looks
    ]
    # 6 pairs by 4 at a time, where photo by photo it would be 3; and once for the pigment of both references' eyes.
    assert session.runs - runs == 2 + 1


def test_results_do_not_depend_on_the_batch_that_they_were_in(place, session, tmp_path):
    sources = [place(f"{number}.png", "bare", number) for number in range(3)]
    look = place("look.jpg", "worn")
    for size in (1, 2):
        list(line(sources, [look], session, RunConfig(out=tmp_path / str(size), batch_size=size)))
    for name in made(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_photos_in_memory_are_bounded_by_the_line_and_not_by_the_folder(place, session, tmp_path, monkeypatch):
    read, alive, most = read_photo, weakref.WeakSet(), []

    def watched(*arguments, **options):
        photo = read(*arguments, **options)
        alive.add(photo)
        most.append(len(alive))
        return photo

    sources = [place(f"{number:02d}.jpg", "bare") for number in range(14)]
    look = place("look.jpg", "worn")
    monkeypatch.setattr(batch_sources, "read_photo", watched)
    outcomes = line(sources, [look], session, RunConfig(out=tmp_path / "out", batch_size=1, jobs=2))
    assert [outcome.status for outcome in outcomes] == ["made"] * 14
    on_the_way = 2 * batch_line.READ_AHEAD + 1 + 1 + 2 * batch_line.MOST_UNFINISHED + 1
    assert 2 <= max(most) <= on_the_way < 14


def test_stop_finishes_what_is_in_work_and_drops_the_rest(place, session, tmp_path):
    sources = [place(f"{number}.jpg", "bare", number % 3) for number in range(8)]
    look = place("look.jpg", "worn")
    stop = threading.Event()
    outcomes = line(sources, [look], session, RunConfig(out=tmp_path / "out", batch_size=1), stop=stop)
    told = [next(outcomes)]
    stop.set()
    told += outcomes
    assert [outcome.status for outcome in told] == ["made"] * len(told)
    assert made(tmp_path / "out") == sorted(outcome.output.name for outcome in told)
    assert len(told) < 8


def test_program_error_in_one_photo_is_a_failure_of_that_photo(place, session, tmp_path, monkeypatch):
    sources = [place(f"{number}.jpg", "bare", number) for number in range(2)]
    look = place("look.jpg", "worn")
    paste = composite.paste_into

    def fails_once(pixels, *rest):
        if np.array_equal(pixels, iio.imread(sources[0])):
            raise ZeroDivisionError("a bug")
        return paste(pixels, *rest)

    options = RunConfig(out=tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(composite, "paste_into", fails_once)
        first, second = line(sources, [look], session, options)
    assert (first.status, second.status) == ("failed", "made")
    assert "0.jpg failed for a reason of the program's own (ZeroDivisionError: a bug); report it." in first.reason
    assert [outcome.status for outcome in line(sources, [look], session, options)] == ["made", "kept"]


def test_a_lid_that_stayed_bare_is_said_of_that_result_alone(place, session, tmp_path):
    source = read_source(place("a.jpg", "bare"), session.signature, RunConfig(out=tmp_path))
    looks, _ = read_looks(
        [(Found(p := place("look.jpg", "worn"), PurePath()), Look.of(p))], session.signature, measure=True
    )
    before, face = source.photo.pixels, source.aligned[0]
    after = pipeline.apply_look(before, [face], looks[0].wearing, looks[0].look.strengths, session, in_place=False)
    middle = int(face.crop_transform.to_photo(face.landmarks)[27, 0])
    half = np.concatenate([before[:, :middle], after[:, middle:]], axis=1)
    said = [batch_result.measure(source, looks[0], [Photo(pixels=pixels)])[1] for pixels in (after, half)]
    assert "one eyelid took much less makeup than the other" not in said[0]
    assert "one eyelid took much less makeup than the other" in said[1]
