"""The report's rows, the quality gate's mark in them, progress, and the pipe's two ends."""

import csv
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

from beautygan_cli.batch.outcome import Outcome
from beautygan_cli.cli.console import Progress
from beautygan_cli.report import table as report_table

PAGE = REPOSITORY / "docs" / "report.md"


def outcome(**changes):
    values = {"source": Path("a.jpg"), "reference": Path("b.jpg"), "output": Path("out/a__b.jpg"), "status": "made"}
    return Outcome(**{**values, **changes})


def written(tmp_path, suffix, *outcomes):
    rows = report_table.Rows()
    for item in outcomes:
        rows.add(item)
    report_table.write_report(rows, tmp_path / f"report{suffix}", {"beautygan": "1.2.3"})
    return (tmp_path / f"report{suffix}").read_text(encoding="utf-8")


# The file


def test_json_has_a_schema_and_every_field_in_every_row(tmp_path):
    whole = json.loads(written(tmp_path, ".json", outcome(), outcome(status="failed", output=None, reason="no face")))
    assert (whole["schema"], whole["beautygan"]) == (report_table.SCHEMA, "1.2.3")
    assert [list(row) for row in whole["results"]] == [list(report_table.FIELDS)] * 2
    assert whole["results"][1]["output"] is None


def test_json_of_no_results_is_valid(tmp_path):
    assert json.loads(written(tmp_path, ".json"))["results"] == []


def test_csv_has_the_same_fields_and_survives_any_name(tmp_path):
    name = 'a, "b"\n\u00e9.jpg'
    rows = list(csv.DictReader(written(tmp_path, ".csv", outcome(source=Path(name))).splitlines(keepends=True)))
    assert [list(row) for row in rows] == [list(report_table.FIELDS)]
    assert rows[0]["source"] == name.replace("\n", "\\n")  # a line's end inside a cell ends a row for many readers


def test_csv_holds_no_formula(tmp_path):
    text = written(tmp_path, ".csv", outcome(source=Path('=HYPERLINK("http://example.org").jpg')))
    assert next(csv.DictReader(text.splitlines()))["source"].startswith("'=")


def test_name_that_is_no_text_is_escaped(tmp_path):
    assert json.loads(written(tmp_path, ".json", outcome(source=Path("a\udcff.jpg"))))["results"]


def test_the_page_lists_the_fields_as_they_are():
    table = re.findall(r"^\| `(\w+)` \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [row for row in table if row[0] in report_table.FIELDS] == list(report_table.FIELDS.items())


def test_the_page_lists_what_is_said_of_the_run():
    text = PAGE.read_text(encoding="utf-8")
    assert f"`schema` ({report_table.SCHEMA})" in text
    keys = re.findall(r"^\| `(\w+)` \| (.+?) \|$", text.split("A row of `results`")[0], flags=re.MULTILINE)
    assert keys == list(report_table.ABOUT.items())


# The run


def test_the_command_in_the_report_makes_the_same_again(place, beautygan, tmp_path):
    place("in/a.jpg", "bare")
    place("look.jpg", "worn")
    options = (
        "--strength",
        "0.5,1",
        "--eyes",
        "0.8",
        "--lips",
        "crimson 80% gloss",
        "--skin",
        "0.4",
        "--format",
        "png",
    )
    status, made, err = beautygan(tmp_path / "in", "--ref", tmp_path / "look.jpg", *options, "--report", "report.json")
    assert status == 0, err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report.keys() == {"schema", "results", *report_table.ABOUT}
    assert str(tmp_path) not in json.dumps(report)
    program, *arguments = report["command"]
    assert program == "beautygan"
    status, again, err = beautygan(*arguments, "--out", "again")
    assert status == 0, err
    assert [Path(path).name for path in again] == [Path(path).name for path in made] and len(made) == 2
    for one, other in zip(made, again, strict=True):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()


def test_what_was_converted_is_said_once_a_kind(place, beautygan, tmp_path):
    for number in range(2):
        photo = place(f"in/{number}.png", "bare", number)
        with Image.open(photo) as image:
            clear = image.convert("RGBA")
        clear.putpixel((0, 0), (0, 0, 0, 0))
        clear.save(photo)
    place("looks/one.jpg", "worn")
    place("looks/two.jpg", "worn", 1)
    _, _, err = beautygan("in", "--ref", "looks", "--format", "jpg")
    told = "beautygan: 2 photos, such as in/0.png: transparent parts became white, since a JPEG has none\n"
    assert told in err and err.count("transparent") == 1
    _, _, err = beautygan("in/0.png", "--ref", "looks", "--format", "jpg", "--out", "other")
    assert "beautygan: in/0.png: transparent parts became white, since a JPEG has none\n" in err
    _, _, err = beautygan("in/0.png", "--ref", "looks", "--format", "jpg", "--out", "third", "--quiet")
    assert "transparent" not in err


def test_report_of_a_run_tells_of_each_result(place, beautygan, no_face, tmp_path):
    place("a.jpg", "bare")
    place("red.jpg", "worn", 0)
    place("blue.jpg", "worn", 1)
    command = ("--no-makeup", "a.jpg", no_face, "--ref", "red.jpg", "blue.jpg", "--report", "report.json")
    assert beautygan(*command)[0] == 1
    whole = json.loads((tmp_path / "report.json").read_text())
    assert re.fullmatch("[0-9a-f]{64}", whole["model"]["sha256"])
    rows = whole["results"]
    assert [(row["source"], row["reference"], row["status"]) for row in rows] == [
        ("a.jpg", "red.jpg", "made"),
        ("a.jpg", "blue.jpg", "made"),
        (no_face.name, "red.jpg", "failed"),
        (no_face.name, "blue.jpg", "failed"),
    ]
    height, width = iio.imread(tmp_path / "a.jpg").shape[:2]
    for row in rows[:2]:
        assert (row["width"], row["height"], row["faces"], row["strength"]) == (width, height, 1, 1.0)
        assert row["lips_after"] < row["lips_before"]  # the lips came nearer to the reference's
        assert 0 < row["identity"] < 0.6 and 0.5 < row["detail"] <= 1
        assert all(row[f"{stage}_seconds"] > 0 for stage in ("read", "detect", "network", "composite", "write"))
        assert row["reason"] is None  # nothing went wrong, and that was looked for:
        assert row["lids_ratio"] > 0.5 and row["eyes"] < 1 and 0 <= row["hair"] < 1
    assert "no face found" in rows[2]["reason"]

    # A later run keeps the results, and their figures with them.
    assert beautygan(*command)[1] == []
    again = json.loads((tmp_path / "report.json").read_text())["results"]
    assert [row["status"] for row in again] == ["kept", "kept", "failed", "failed"]
    assert [row["identity"] for row in again] == [row["identity"] for row in rows]


def test_report_asked_for_later_measures_what_is_there(place, beautygan, tmp_path):
    place("a.png", "bare")
    place("look.jpg", "worn")
    command = ("--no-makeup", "a.png", "--ref", "look.jpg")
    beautygan(*command)
    made = (tmp_path / "made_up" / "a__look.png").stat().st_mtime_ns
    assert beautygan(*command, "--report", "later.json")[:2] == (0, [])
    (row,) = json.loads((tmp_path / "later.json").read_text())["results"]
    assert row["status"] == "kept" and row["lips_after"] < row["lips_before"]
    assert (tmp_path / "made_up" / "a__look.png").stat().st_mtime_ns == made


def test_report_that_cannot_be_written_is_named_and_the_results_stay(place, beautygan):
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", "a.jpg", "--ref", "look.jpg", "--report", "a.jpg/report.csv")
    assert (status, out) == (1, ["made_up/a__look.jpg"])
    assert "report.csv can't be written" in err


# The quality gate


def test_result_beyond_the_limit_is_made_weaker_and_marked(place, beautygan, tmp_path):
    place("a.png", "bare")
    place("look.jpg", "worn")
    command = ("--no-makeup", "a.png", "--ref", "look.jpg", "--report", "report.json")

    def row(*options):
        beautygan(*command, *options)
        return json.loads((tmp_path / "report.json").read_text())["results"][0]

    free = row()
    limited = row("--min-identity", str(free["identity"] * 0.7))
    assert limited["status"] == "made" and limited["strength"] in (0.75, 0.5, 0.25)
    assert limited["identity"] <= free["identity"] * 0.7
    assert "to stay within --min-identity" in limited["reason"]


def test_result_that_no_strength_brings_within_the_limit_fails_and_is_not_written(place, beautygan, tmp_path):
    place("a.png", "bare")
    place("look.jpg", "worn")
    command = ("--no-makeup", "a.png", "--ref", "look.jpg", "--report", "report.json", "--min-identity", "0.000001")
    status, out, err = beautygan(*command)
    assert (status, out) == (1, [])
    assert "even at 0.25 of the strength the face's distance to itself is" in err
    (row,) = json.loads((tmp_path / "report.json").read_text())["results"]
    assert row["status"] == "failed" and row["strength"] == 0.25 and row["identity"] > 0
    assert not (tmp_path / "made_up" / "a__look.png").exists()


# Progress


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self):
        return True


def test_bar_on_a_terminal_shows_photos_results_failures_rate_and_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(12, paths=False) as progress:
        progress._bar.mininterval = 0
        for number in range(8):
            progress.tell(outcome(source=Path(f"{number // 4}.jpg")))
        progress.tell(outcome(source=Path("2.jpg"), status="failed", reason="no face found in 2.jpg"))
    last = terminal.getvalue().split("\r")[-1]
    assert re.search(r"9/12 \[\d\d:\d\d<\d\d:\d\d, .*result.*, 3 photos, 1 failed\]", last), last
    assert terminal.getvalue().count("beautygan: no face found in 2.jpg\n") == 1


def test_progress_without_a_terminal_is_a_line_now_and_then(place, beautygan, monkeypatch):
    from beautygan_cli.cli import console

    monkeypatch.setattr(console, "LINE_EVERY", 0.0)
    monkeypatch.setattr(console, "ENOUGH_RESULTS", 2)
    for number in range(2):
        place(f"selfies/{number}.jpg", "bare", number)
    place("look.jpg", "worn")
    _, _, err = beautygan("--no-makeup", "selfies", "--ref", "look.jpg")
    lines = err.splitlines()
    assert re.fullmatch(r"beautygan: 1 photo, 1 result, 0 failed, \d+\.\d\d a second", lines[0])
    assert re.fullmatch(r"beautygan: 2 photos, 2 results, 0 failed, \d+\.\d\d a second, 0 min left", lines[1])
    assert "\r" not in err


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_time_left_goes_by_the_results_that_take_work(monkeypatch, capsys):
    """A run that goes on after a stop: 500 results are there, 500 take 2 seconds each, in batches of 8."""
    from beautygan_cli.cli import console

    clock = Clock(monkeypatch)
    monkeypatch.setattr(console, "LINE_EVERY", 0.0)
    with Progress(1000, paths=False) as progress:
        for _ in range(500):
            clock.now += 0.001
            progress.tell(outcome(status="kept"))
        clock.now += 10  # the network's first run
        for number in range(100):
            clock.now += 16 if number % 8 == 0 else 0
            progress.tell(outcome())
    lines = capsys.readouterr().err.splitlines()
    told = [re.search(r", (\d+) min left$", line) for line in lines]
    assert not any(told[:507])  # nothing is made up before it can be known
    in_truth = [2 * (500 - number) / 60 for number in range(8, 101)]
    assert all(1 / 2.5 < int(minutes[1]) / truth < 2.5 for minutes, truth in zip(told[507:], in_truth, strict=True))


def test_bar_is_whole_on_a_narrow_terminal_and_above_the_summary(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    with Progress(12_000, paths=False) as progress:
        progress._bar.mininterval = 0
        progress._bar.dynamic_ncols = lambda _: (40, 20)
        for _ in range(8):
            progress.tell(outcome())
        progress.tell(outcome(source=Path("2.jpg"), status="failed", reason="no face found in 2.jpg"))
        progress.close_bar()
        progress.say(progress.summary())
    shown = terminal.getvalue()
    last, summary = shown.split("\r")[-1].splitlines()
    assert re.fullmatch(r" +0%\|.+\| 9/12000 <\d\d:\d\d, 1 failed", last) and len(last) <= 40
    assert summary == "beautygan: 8 made, 1 failed"


def test_something_turns_while_the_model_is_opened_and_is_gone_afterwards(monkeypatch, capsys):
    from beautygan_cli.cli.console import spinner

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with spinner("opening the model"):
        while "opening the model" not in terminal.getvalue():
            time.sleep(0.001)
    assert terminal.getvalue().startswith("\r| opening the model")
    assert terminal.getvalue().endswith("\r" + " " * len("| opening the model") + "\r")
    silent = io.StringIO()
    monkeypatch.setattr(sys, "stderr", silent)
    with spinner("opening the model"):
        pass
    assert silent.getvalue() == ""


def test_reader_that_stops_listening_ends_the_run_without_a_trace(place, model, tmp_path):
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    command = [
        sys.executable,
        "-m",
        "beautygan_cli",
        "--no-makeup",
        "a.jpg",
        "--ref",
        "look.jpg",
        "--model",
        str(model),
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (1, "")
    assert (tmp_path / "made_up" / "a__look.jpg").is_file()


# Pipes


def test_photo_from_stdin_to_stdout_is_the_photo_that_files_give(place, beautygan, model, tmp_path):
    source = place("a.jpg", "bare")
    place("look.jpg", "worn")
    command = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "-", "--ref", "look.jpg", "--out", "-"]
    done = subprocess.run(
        [*command, "--model", str(model)], cwd=tmp_path, input=source.read_bytes(), capture_output=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, b"beautygan: 1 made\n")
    beautygan("--no-makeup", source, "--ref", "look.jpg")
    assert done.stdout == (tmp_path / "made_up" / "a__look.jpg").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "look.jpg", "made_up"]


@pytest.fixture
def stdin(monkeypatch):
    """`stdin(content)` has the command find these bytes there."""
    return lambda content: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_photo_from_stdin_into_a_folder_is_called_stdin_and_has_its_format(place, beautygan, stdin):
    stdin(place("a.png", "bare").read_bytes())
    place("look.jpg", "worn")
    assert beautygan("--no-makeup", "-", "--ref", "look.jpg")[:2] == (0, ["made_up/stdin__look.png"])


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [(b"", 2, "stdin holds no photo"), (b"no photo", 1, "is no photo of a known format")],
)
def test_stdin_without_a_photo_is_told(place, beautygan, stdin, content, status, reason):
    stdin(content)
    place("look.jpg", "worn")
    ended, out, err = beautygan("--no-makeup", "-", "--ref", "look.jpg", "--out", "-")
    assert (ended, out) == (status, [])
    assert reason in err


def test_stdout_takes_one_result_only(place, beautygan):
    for number in range(2):
        place(f"selfies/{number}.jpg", "bare", number)
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", "selfies", "--ref", "look.jpg", "--out", "-")
    assert (status, out) == (2, [])
    assert "--out - writes one photo" in err


@pytest.mark.parametrize(
    "options",
    [
        ["--no-makeup", "-", "-", "--ref", "b.jpg"],
        ["--no-makeup", "a.jpg", "--ref", "-"],
        ["--no-makeup", "-", "--ref", "b.jpg", "--watch"],
        ["--no-makeup", "a.jpg", "--ref", "b.jpg", "--out", "-", "--gallery"],
    ],
)
def test_impossible_use_of_pipes_is_refused_at_once(beautygan, options):
    status, _, err = beautygan(*options, with_model=False)
    assert status == 2 and "usage: beautygan" in err


# The grid


def test_grid_of_a_resumed_run_has_the_earlier_results_too(place, beautygan, tmp_path):
    for number in range(2):
        place(f"selfies/{number}.png", "bare", number)
    place("look.jpg", "worn")
    command = ("--no-makeup", "selfies", "--ref", "look.jpg", "--grid", "grid.png")
    beautygan(*command)
    first = iio.imread(tmp_path / "grid.png")
    (tmp_path / "made_up" / "1__look.png").unlink()
    assert beautygan(*command)[1] == ["made_up/1__look.png"]
    assert np.array_equal(iio.imread(tmp_path / "grid.png"), first)
