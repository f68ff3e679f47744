"""Where results go, through the whole command: full, read-only and vanishing disks, names, modes, leftovers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import bare_photos

from beautygan_cli import errors
from beautygan_cli.batch.manifest import FILE_NAME, Manifest, State
from beautygan_cli.batch.naming import Names
from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.cli import run
from beautygan_cli.photos import remote
from beautygan_cli.photos.files import printable, write_text
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import Photo, read_photo, write_photo
from beautygan_cli.report.table import Rows

Beautygan = Callable[..., tuple[int, list[str], str]]
Place = Callable[..., Path]

pytestmark = [
    pytest.mark.promise("Safe outputs"),
    pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes, links and mounts of Unix"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """`disk("size=64k")` mounts a small disk and gives its folder."""
    mounted = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def pair(place: Place) -> tuple[str, ...]:
    """A source and a reference, as the command takes them."""
    place("me.png", "bare")
    place("look.jpg", "worn")
    return ("--no-makeup", "me.png", "--ref", "look.jpg")


def files(folder: Path) -> dict[str, bytes]:
    """Files below a folder that are no manifest, by name."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(FILE_NAME)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def complaint(err: str, words: str) -> str:
    """The one line that says so."""
    (line,) = [line for line in err.splitlines() if words in line]
    assert line.startswith("beautygan: ") and "Traceback" not in err and "program's own" not in err
    return line


def test_full_disk_is_named_and_holds_no_partial_file(
    beautygan: Beautygan, place: Place, tmp_path: Path, disk: Callable[[str], Path]
) -> None:
    """Some results fit; the next one does not, and what is there stays whole."""
    (tmp_path / "many").mkdir()
    for number, photo in enumerate(bare_photos()[:3]):
        shutil.copy(photo, tmp_path / "many" / f"{number}.jpg")
    place("look.jpg", "worn")
    full = disk("size=600k")
    status, out, err = beautygan("--no-makeup", "many", "--ref", "look.jpg", "--out", full)
    assert status == 1
    complaint(err, "the disk is full")
    made = files(full)
    assert len(made) == len(out) < 3
    for name in made:
        assert read_photo(full / name).pixels.shape == read_photo(tmp_path / "many" / "0.jpg").pixels.shape


def test_disk_that_holds_no_manifest_is_named(beautygan: Beautygan, pair: tuple[str, ...], disk: Callable) -> None:
    full = disk("size=4k")
    status, out, err = beautygan(*pair, "--out", full)
    assert (status, out) == (2, [])
    complaint(err, "the disk is full or failing")
    assert files(full) == {}


def test_report_that_finds_the_disk_full_leaves_the_earlier_one(
    beautygan: Beautygan, pair: tuple[str, ...], disk: Callable, tmp_path: Path
) -> None:
    full = disk("size=4k")
    (full / "report.json").write_text("earlier")
    arguments = (*pair, "--report", full / "report.json", "--grid", full / "grid.png", "--overwrite")
    status, out, err = beautygan(*arguments)
    assert (status, out) == (1, ["made_up/me__look.png"])
    complaint(err, "grid.png can't be written: the disk is full")
    assert "grid.png" not in files(full)
    assert not [name for name in files(full) if name.endswith(".part")]


def test_read_only_disk_is_named(beautygan: Beautygan, pair: tuple[str, ...], disk: Callable) -> None:
    locked = disk("size=64k,ro")
    for out in (locked, locked / "deeper"):
        status, made, err = beautygan(*pair, "--out", out)
        assert (status, made) == (2, [])
        complaint(err, "choose another --out")
    assert files(locked) == {}


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is forbidden to root")
def test_read_only_folder_is_named(beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    status, made, err = beautygan(*pair, "--out", "locked")
    assert (status, made) == (2, [])
    complaint(err, "choose another --out")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["removed", "moved", "a file in its place"])
def test_folder_of_results_that_vanishes_during_the_run_is_told(
    photos: Callable, place: Place, model: Path, tmp_path: Path, how: str
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(14):
        shutil.copy(photos("bare", number % 3), tmp_path / "many" / f"{number:02d}.jpg")
    place("look.jpg", "worn")
    before = files(tmp_path)
    start = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "many", "--ref", "look.jpg", "--model", str(model)]
    with subprocess.Popen(
        [*start, "--batch-size", "1"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "made_up/00__look.jpg\n"
        (tmp_path / "made_up").rename(tmp_path / "elsewhere")
        if how == "removed":
            while (tmp_path / "elsewhere").exists():  # the run may take its own unfinished file away first
                shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
        if how == "a file in its place":
            (tmp_path / "made_up").touch()
        _, err = process.stdout.read(), process.stderr.read()
    # What is written after that lies in a folder made anew, or is a failure with a reason; the run comes to its end.
    assert process.returncode == 1, err
    assert how == "a file in its place" or "were there and are gone" in err
    assert "Traceback" not in err and "program's own" not in err
    if how == "a file in its place":
        assert process.returncode == 1 and "made_up" in err
    assert {name: content for name, content in files(tmp_path).items() if name in before} == before
    left = [name for name in files(tmp_path) if name not in before]
    assert not [name for name in left if name.endswith(".part")]
    for name in left:
        if name.endswith(".jpg"):
            read_photo(tmp_path / name)


@pytest.mark.parametrize("out", ["x" * 300, "a/" * 2500 + "b", "me.png/out", "nul\0"])
def test_impossible_folder_of_results_is_named(beautygan: Beautygan, pair: tuple[str, ...], out: str) -> None:
    status, made, err = beautygan(*pair, "--out", out)
    assert (status, made) == (2, [])
    assert len(err.splitlines()) == 1 and "choose another --out" in err


@pytest.mark.parametrize("option", ["--report", "--grid"])
def test_impossible_report_or_grid_is_named_and_the_results_stay(
    beautygan: Beautygan, pair: tuple[str, ...], option: str
) -> None:
    name = "x" * 300 + (".json" if option == "--report" else ".png")
    status, made, err = beautygan(*pair, option, name)
    assert (status, made) == (1, ["made_up/me__look.png"])
    complaint(err, "its name is too long")


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names differ by case alone")
def test_names_that_differ_by_case_alone_give_results_that_do_not(
    beautygan: Beautygan, place: Place, tmp_path: Path
) -> None:
    for number, name in enumerate(["a.jpg", "A.jpg", "a.JPG"]):
        place("x.jpg", "bare", number).rename(tmp_path / name)
    place("look.jpg", "worn")
    status, out, _ = beautygan("--no-makeup", "a.jpg", "A.jpg", "a.JPG", "--ref", "look.jpg")
    assert status == 0
    assert len({name.casefold() for name in out}) == 3
    assert {name.casefold() for name in files(tmp_path / "made_up")} == {Path(name).name.casefold() for name in out}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_modes_of_all_that_is_written_follow_the_umask(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        done = beautygan(*pair, "--report", "out/r.csv", "--grid", "out/g.png", "--gallery", "--out", "out")
    finally:
        os.umask(before)
    assert done[0] == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert len(modes) >= 6 and set(modes.values()) == {mode}, modes


def test_what_a_killed_run_left_is_gone_at_the_next_start(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path
) -> None:
    for folder in ("made_up", "made_up/deeper", "reports"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ".beautygan-0123456789abcdef.part").write_bytes(b"half")
        (tmp_path / folder / "mine.part").write_bytes(b"whole")
    assert beautygan(*pair, "--report", "reports/r.json")[0] == 0
    parts = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.part"))
    assert parts == ["made_up/deeper/mine.part", "made_up/mine.part", "reports/mine.part"]


@pytest.mark.parametrize("option", ["--grid", "--report"])
@pytest.mark.parametrize("way", ["itself", "link", "hard link"])
def test_grid_and_report_never_take_the_place_of_a_photo(
    beautygan: Beautygan, place: Place, tmp_path: Path, option: str, way: str
) -> None:
    suffix = ".png" if option == "--grid" else ".json"
    victim = place("me.png", "bare").rename(tmp_path / f"me{suffix}")
    place("look.jpg", "worn")
    before, target = victim.read_bytes(), tmp_path / f"other{suffix}"
    if way == "itself":
        target = victim
    elif way == "link":
        target.symlink_to(victim)
    else:
        target.hardlink_to(victim)
    status, out, err = beautygan("--no-makeup", victim, "--ref", "look.jpg", option, target)
    assert (status, out) == (2, [])
    complaint(err, "is one of the files given; choose another")
    assert victim.read_bytes() == before


def test_nothing_is_written_through_links_out_of_the_folder_of_results(
    beautygan: Beautygan, place: Place, tmp_path: Path
) -> None:
    """A folder of strangers' photos that is the folder of results as well holds links to where they want to write."""
    outside = tmp_path / "outside"
    place("outside/b.jpg", "bare", 1)
    place("outside/c.jpg", "bare", 2)
    place("strangers/a.jpg", "bare", 0)
    (tmp_path / "strangers" / "sub").symlink_to(outside)
    (tmp_path / "strangers" / "a__look.jpg").symlink_to(outside / "b.jpg")
    (tmp_path / "strangers" / ".report.json.part").symlink_to(outside / "b.jpg")
    place("look.jpg", "worn")
    before = files(outside)
    arguments = ("--no-makeup", "strangers", "--ref", "look.jpg", "--out", "strangers", "--overwrite")
    status, _, err = beautygan(*arguments, "--report", "strangers/report.json")
    assert status == 1
    complaint(err, "lies behind a link that leads out of the folder of results")
    assert files(outside) == before
    (tmp_path / "strangers" / "thumbnails").symlink_to(outside)
    status, _, err = beautygan(*arguments, "--gallery")
    assert status == 2
    complaint(err, "thumbnails is a link")
    assert files(outside) == before


@pytest.mark.parametrize("ending", ["", "-wal", "-journal"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_manifest_that_is_a_link_or_a_pipe_is_refused(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path, ending: str, kind: str
) -> None:
    (tmp_path / "made_up").mkdir()
    planted = tmp_path / "made_up" / (FILE_NAME + ending)
    if kind == "link":
        planted.symlink_to(tmp_path / "victim")
    else:
        os.mkfifo(planted)
    status, out, err = beautygan(*pair)
    assert (status, out) == (2, [])
    complaint(err, "is a link or no file")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE results SET details = '{'",
        "UPDATE results SET details = '[1]'",
        """UPDATE results SET details = '{"size": "big"}'""",
        """UPDATE results SET details = '{"size": [1, 2], "seconds": {"read": {}}}'""",
        "UPDATE results SET files = '[[1]]'",
        """UPDATE results SET files = '[["../../me.png", 1, 1]]'""",
        "UPDATE results SET state = 'whatever'",
        "UPDATE results SET run = 'x'",
        "UPDATE results SET key = x'ff'",
        "DROP TABLE results; CREATE TABLE results (output)",
        "DROP TABLE results; CREATE VIEW results AS SELECT load_extension('x') AS output, 1 AS key, 'made' AS state,"
        " '' AS reason, '[]' AS files, '{}' AS details, 1 AS run",
        "CREATE TRIGGER evil BEFORE INSERT ON results BEGIN SELECT RAISE(ABORT, 'evil'); END",
    ],
)
def test_manifest_of_a_stranger_is_refused_in_one_line_or_read_as_it_is(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path, change: str
) -> None:
    before = files(tmp_path)
    assert beautygan(*pair, "--report", "r.json")[0] == 0
    with sqlite3.connect(tmp_path / "made_up" / FILE_NAME) as database:
        database.executescript(change)
    database.close()
    status, _, err = beautygan(*pair, "--report", "r.json", "--gallery")
    assert "Traceback" not in err and "program's own" not in err
    assert status in (0, 1, 2)
    if status:
        complaint(err, "made_up/.beautygan.sqlite")
    assert {name: files(tmp_path)[name] for name in before} == before


@pytest.mark.parametrize(
    "told",
    [
        '{"size": [1, 2], "colour": "red"}',
        '{"size": [1, 2], "source": "/etc/passwd"}',
        '{"size": [1, 2], "output": null}',
        '{"size": [1]}',
        '{"size": [1, "2"]}',
        '{"size": [-1, 2]}',
        '{"faces": true}',
        '{"faces": 1.5}',
        '{"partly": 1}',
        '{"strength": 2}',
        '{"strength": NaN}',
        '{"strength": Infinity}',
        '{"seconds": [1]}',
        '{"seconds": {"lunch": 1}}',
        '{"seconds": {"read": null}}',
        '{"figures": {"lips_before": "x"}}',
        '{"figures": {"beauty": 1}}',
        '{"figures": []}',
        '{"figures": {"identity": {"a": []}}}',
        f'{{"faces": {"9" * 5000}}}',
        f'{{"faces": {"9" * 4000}}}',
        "[" * 100_000,
        '"text"',
        "null",
    ],
    ids=lambda told: told[:40],
)
def test_details_that_no_run_writes_count_as_none(tmp_path: Path, told: str) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.record(
            tmp_path / "a.png", "key", State.MADE, details=Outcome(tmp_path, None, None, Status.MADE).details
        )
        assert manifest.result(tmp_path / "a.png") is not None
        manifest._execute("UPDATE results SET details = ?", told)
        assert manifest.result(tmp_path / "a.png") is None


def test_a_result_of_which_no_sense_is_told_is_made_anew(beautygan: Beautygan, pair: tuple[str, ...]) -> None:
    """A file whose content we wrote is ours still; one that somebody changed stays, as it would without a record."""
    assert beautygan(*pair)[0] == 0
    with sqlite3.connect(Path("made_up", FILE_NAME)) as database:
        database.execute("""UPDATE results SET details = '{"size": [1, 2], "source": "/etc/passwd"}'""")
    database.close()
    status, out, err = beautygan(*pair, "--report", "r.json")
    assert (status, out) == (0, ["made_up/me__look.png"]) and "Traceback" not in err
    json.loads(Path("r.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["", "..", "a\0b", "/etc/passwd", "../me.png", 7])
def test_names_of_files_that_lead_elsewhere_count_as_none(tmp_path: Path, name: object) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.record(tmp_path / "a.png", "key", State.MADE)
        manifest._execute("UPDATE results SET files = ?", json.dumps([["a.png", 1, 1]]))
        assert manifest.result(tmp_path / "a.png") is not None
        manifest._execute("UPDATE results SET files = ?", json.dumps([[name, 1, 1]]))
        assert manifest.result(tmp_path / "a.png") is None


ELSEWHERE = [
    *("webhdfs://127.0.0.1:9/me.png", "ftp://127.0.0.1:9/me.png", "s3://me.png", "file:///me.png", "x1+y://a/me.png"),
    *("/" + "long" * 2000, "a\0b"),
]


@pytest.mark.parametrize("role", ["source", "reference"])
@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=lambda place: printable(place)[:20])
def test_photos_that_a_strangers_manifest_places_elsewhere_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, elsewhere: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(remote, "_file_system", lambda root: asked.append(root))
    (tmp_path / "me.png").touch()
    with Manifest(tmp_path) as manifest:
        manifest._execute(
            "INSERT INTO names VALUES (?, ?, ?, ?)", role, "." if role == "source" else "", "me", elsewhere
        )
        (name,) = Names(manifest, role).of([Found(tmp_path / "me.png", PurePath())])
    # A name that the class does not give to such a photo keeps nobody from having it.
    assert (name, asked) == ("me-png" if elsewhere.endswith("me.png") else "me", [])


NOT_OURS = ["x", "..", "../me", "/me", "", "me\0", "me\x1b[31m", "me-jpg", "me-png-1", "me-png-02", "me" * 50_000]


@pytest.mark.parametrize("role", ["source", "reference"])
@pytest.mark.parametrize("planted", NOT_OURS, ids=lambda name: repr(name)[:12])
def test_a_name_in_the_manifest_counts_only_if_a_run_gives_it(tmp_path: Path, role: str, planted: str) -> None:
    (tmp_path / "me.png").touch()
    with Manifest(tmp_path) as manifest:
        folder = "." if role == "source" else ""
        manifest._execute("INSERT INTO names VALUES (?, ?, ?, ?)", role, folder, planted, str(tmp_path / "me.png"))
        assert Names(manifest, role).of([Found(tmp_path / "me.png", PurePath())]) == ["me"]


@pytest.mark.parametrize("given", ["me", "me-png", "me-png-7"])
def test_a_name_that_a_run_gives_stays(tmp_path: Path, given: str) -> None:
    (tmp_path / "me.png").touch()
    with Manifest(tmp_path) as manifest:
        manifest.name("source", [(".", given, tmp_path / "me.png")])
        assert Names(manifest, "source").of([Found(tmp_path / "me.png", PurePath())]) == [given]


@pytest.mark.parametrize("role", ["source", "reference"])
def test_one_name_for_two_photos_in_a_manifest_is_the_first_ones_alone(
    beautygan: Beautygan, place: Place, tmp_path: Path, role: str
) -> None:
    for folder, index in (("1", 0), ("2", 1)):
        place(f"{folder}/me.jpg", "bare", index)
        place(f"{folder}/look.jpg", "worn", index)
    stem, folder = ("me", ".") if role == "source" else ("look", "")
    with Manifest(tmp_path / "made_up") as manifest:
        for which in "12":
            path = str(tmp_path / which / f"{stem}.jpg")
            manifest._execute("INSERT INTO names VALUES (?, ?, ?, ?)", role, folder, stem, path)
    sources, looks = (["1/me.jpg", "2/me.jpg"], ["1/look.jpg"]) if role == "source" else (["1/me.jpg"], ["1", "2"])
    looks = [f"{item}/look.jpg" if "/" not in item else item for item in looks]
    status, out, _ = beautygan("--no-makeup", *sources, "--ref", *looks)
    assert status == 0
    assert len(set(out)) == len(files(tmp_path / "made_up")) == 2


def test_two_results_never_share_a_place(
    beautygan: Beautygan, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place("a.jpg", "bare", 0)
    place("b.jpg", "bare", 1)
    place("look.jpg", "worn")
    monkeypatch.setattr(Names, "of", lambda names, items: ["Me" if "a" in item.path.stem else "me" for item in items])
    status, out, err = beautygan("--no-makeup", "a.jpg", "b.jpg", "--ref", "look.jpg")
    assert (status, len(out)) == (1, 1)
    complaint(err, "is the place of another result of this run; rename or leave out one of the photos.")
    assert list(files(tmp_path / "made_up")) == [Path(out[0]).name]


@pytest.mark.promise("Safe outputs", trials=20)
def test_manifest_cut_short_at_any_place_is_refused_in_one_line_or_used(tmp_path: Path, trials: int) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.record(tmp_path / "a.jpg", "key", "made", files=[], details={})
    whole = (tmp_path / FILE_NAME).read_bytes()
    for number in range(trials):
        (tmp_path / FILE_NAME).write_bytes(whole[: len(whole) * number // trials])
        try:
            with Manifest(tmp_path) as manifest:
                manifest.result(tmp_path / "a.jpg")
        except errors.OutputError as error:
            assert "\n" not in str(error)


def test_json_report_names_each_failure_with_its_reason(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path, no_face: Path
) -> None:
    (tmp_path / "cut.png").write_bytes((tmp_path / "me.png").read_bytes()[:3000])
    beautygan("--no-makeup", "me.png", "cut.png", no_face, "--ref", "look.jpg", "--report", "r.json")
    rows = json.loads((tmp_path / "r.json").read_text())["results"]
    assert [(row["source"], bool(row["reason"])) for row in rows] == [
        ("me.png", False),
        ("cut.png", True),
        ("wall.png", True),
    ]


# Files that are not ours


@pytest.mark.parametrize("how", ["at the first run", "after a failure", "in place of a result"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_file_of_the_users_at_a_results_place_stays(
    beautygan: Beautygan, place: Place, tmp_path: Path, how: str, suffix: str
) -> None:
    source = place(f"a{suffix}", "bare")
    whole, own = source.read_bytes(), tmp_path / "out" / f"a__look{suffix}"
    place("look.jpg", "worn")
    command = ("--no-makeup", source, "--ref", "look.jpg", "--out", "out")
    if how == "after a failure":
        source.write_bytes(whole[: len(whole) // 2])
        assert beautygan(*command)[0] == 1
        assert not own.exists()
    if how == "in place of a result":
        assert beautygan(*command)[0] == 0
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(b"the user's own")
    source.write_bytes(whole)
    for more in ((), ("--lips", "0.5"), ("--crop",), ("--retry-failed",)):
        assert "Traceback" not in beautygan(*command, *more)[2]
        assert own.read_bytes() == b"the user's own"


def test_a_file_at_the_place_of_another_faces_chip_stays(
    beautygan: Beautygan, photos: Callable, tmp_path: Path, place: Place
) -> None:
    """With --crop a result is several files, each of which may be in somebody's way."""
    faces = [iio.imread(photos("bare", number)) for number in (0, 1)]
    height = min(face.shape[0] for face in faces)
    iio.imwrite(tmp_path / "two.png", np.hstack([face[:height] for face in faces]))
    place("look.jpg", "worn")
    command = ("--no-makeup", "two.png", "--ref", "look.jpg", "--crop", "--out", "out")
    assert beautygan(*command)[0] == 0
    second = tmp_path / "out" / "two__look_face2.png"
    assert second.exists()
    second.write_bytes(b"the user's own")
    beautygan(*command, "--lips", "0.5")
    assert second.read_bytes() == b"the user's own"


def test_a_result_of_ours_is_made_anew_for_other_options(beautygan: Beautygan, pair: tuple[str, ...]) -> None:
    """As long as it is, to the byte, what was written; also by a run that was killed before it could say so."""
    assert beautygan(*pair)[0] == 0
    with sqlite3.connect(Path("made_up", FILE_NAME)) as database:
        database.execute("UPDATE results SET state = 'making', files = '[]'")
    database.close()
    assert beautygan(*pair, "--lips", "0.5")[:2] == (0, ["made_up/me__look.png"])


OUTPUTS = {
    "--grid": ("grid.png",),
    "--report": ("r.json",),
    "--save-look": ("saved.toml",),
    "--gallery": ("made_up/index.html",),
}


@pytest.mark.parametrize("option", OUTPUTS)
def test_no_output_takes_the_place_of_a_file_that_is_not_ours(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path, option: str
) -> None:
    (name,) = OUTPUTS[option]
    arguments = (*pair, option) if option == "--gallery" else (*pair, option, name)
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(b"the user's own")
    status, out, err = beautygan(*arguments)
    assert (status, out) == (2, [])  # before the work
    complaint(err, f"{name} exists already; remove it, allow --overwrite or choose another")
    assert own.read_bytes() == b"the user's own"
    own.unlink()
    assert beautygan(*arguments)[:2] == (0, ["made_up/me__look.png"])
    ours = own.read_bytes()
    if option != "--save-look":  # a look is a file to be edited: it is saved once
        assert beautygan(*arguments)[:2] == (0, [])  # what we wrote we may write again
        ours = own.read_bytes()
    own.write_bytes(ours + b" ")
    assert beautygan(*arguments)[0] == 2
    assert own.read_bytes() == ours + b" "


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device", "socket"])
def test_no_file_takes_the_place_of_a_device_or_pipe(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "r.json"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place))
    elif kind == "device":
        try:
            os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("needs the right to make devices")
    else:
        place.symlink_to("/dev/null")
    before = place.lstat()
    with pytest.raises(errors.OutputError, match="is a device, pipe or socket; choose another"):
        write_text(place, ["text"], overwrite=True)
    picture = place.rename(place.with_suffix(".png"))
    with pytest.raises(errors.OutputError, match="is a device, pipe or socket; choose another"):
        write_photo(Photo(np.zeros((8, 8, 3), np.uint8)), picture, overwrite=True)
    assert (picture.lstat().st_ino, picture.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--report", "Ünder.json", "--save-look", "u\u0308NDER.json"), "are one place, for two outputs"),
        (("--grid", "made_up/me__look.png"), "has a name like a result's"),
        (("--grid", "x.jpg", "--save-look", "./x.jpg"), "are one place, for two outputs"),
        (("--gallery", "--save-look", "made_up/index.html"), "are one place, for two outputs"),
        (("--gallery", "--grid", "made_up/thumbnails/x.jpg"), "lies among the gallery's pictures"),
        (("--report", "MODEL/report.json"), "lies in the model's own folder"),
        (("--report", "MODEL/model.json", "--overwrite"), "lies in the model's own folder"),
        (("--grid", "link/grid.png"), "lies in the model's own folder"),
        (("--out", "link"), "is the model's own folder"),
    ],
)
def test_outputs_keep_out_of_each_others_way_and_of_the_models(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "MODEL").mkdir()
    (tmp_path / "link").symlink_to("MODEL")
    (tmp_path / "MODEL" / "model.json").write_text("{}")
    before = files(tmp_path)
    status, out, err = beautygan(*pair, *arguments, "--model", "MODEL")
    assert (status, out) == (2, [])
    complaint(err, words)
    assert files(tmp_path) == before


@pytest.mark.parametrize("status", [Status.MADE, Status.KEPT])
@pytest.mark.parametrize("spoilt", ["emptied", "longer", "gone", "its second file gone"])
def test_a_result_of_which_anything_is_lost_counts_as_failed(tmp_path: Path, spoilt: str, status: Status) -> None:
    both = [tmp_path / "a__b.jpg", tmp_path / "a__b_face2.jpg"]
    for file in both:
        file.write_bytes(b"a photo")
    rows = Rows()
    rows.add(Outcome(tmp_path / "a.jpg", tmp_path / "b.jpg", both[0], status))
    with Manifest(tmp_path) as manifest:
        manifest.record(both[0], "key", State.MADE, files=both)
        assert rows.fail_missing(manifest.lost_file) == []
        lost = both[1] if "second" in spoilt else both[0]
        if "gone" in spoilt:
            lost.unlink()
        else:
            lost.write_bytes(b"" if spoilt == "emptied" else b"a photo, and more")
        # One that was edited before the run kept it is somebody's own, of any length.
        failed = not (spoilt == "longer" and status == Status.KEPT)
        assert len(rows.fail_missing(manifest.lost_file)) == failed
    (row,) = rows
    assert (row["status"] == "failed") == failed
    assert not failed or printable(lost) in row["reason"]


def test_a_result_that_is_gone_at_the_end_has_failed(
    beautygan: Beautygan, pair: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = run.Outputs.take

    def remove_after(outputs: run.Outputs, outcome: Outcome) -> None:
        take(outputs, outcome)
        assert outcome.output is not None
        outcome.output.unlink()

    monkeypatch.setattr(run.Outputs, "take", remove_after)
    status, out, err = beautygan(*pair, "--report", "r.json")
    assert (status, out) == (1, ["made_up/me__look.png"])
    complaint(err, "made_up/me__look.png were there and are gone or spoilt")
    assert "0 made, 1 failed" in err
    (row,) = json.loads((tmp_path / "r.json").read_text())["results"]
    assert row["status"] == "failed" and "is gone" in row["reason"]
