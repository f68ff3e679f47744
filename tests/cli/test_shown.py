"""What is shown of strangers' names, values and libraries, on terminals, in pipes and in reports."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.cli.console import shown
from beautygan_cli.errors import PhotoError
from beautygan_cli.photos.clip import probe_clip
from beautygan_cli.report.table import Rows, Shortened, row

Beautygan = Callable[..., tuple[int, list[str], str]]
Place = Callable[..., Path]

pytestmark = pytest.mark.promise("Hostile photos")

# What moves the cursor, begins a command to the terminal, or turns the direction of writing.
CONTROLS = ["\x1b[31m", "\x9b31m", "\r", "\n", "\x07", "\x7f", "\u202e", "\u2066", "\u200f", "\u061c", "\x85", "\u2028"]
PUT = "import sys; from beautygan_cli.cli.console import put; put(sys.argv[1], *sys.argv[2:])"


def on_a_terminal(*arguments: str) -> bytes:
    """What a program writes to stdout where that is a terminal."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", PUT, *map(os.fsencode, arguments)], stdout=theirs, check=True)
    finally:
        os.close(theirs)
    told = os.read(ours, 1 << 16)
    os.close(ours)
    return told


def test_names_on_a_terminal_are_escaped() -> None:
    told = on_a_terminal("a" + "b".join(CONTROLS) + "é.jpg").decode()
    assert told.endswith("é.jpg\r\n") and told[:-2].isprintable()  # the terminal itself puts the \r there


@pytest.mark.parametrize("end", [(), ("\n",)])
def test_names_in_a_pipe_are_as_they_are(end: tuple[str, ...]) -> None:
    name = "a" + "b".join(CONTROLS) + "é\udcff.jpg"
    done = subprocess.run([sys.executable, "-c", PUT, os.fsencode(name), *end], capture_output=True, check=True)
    assert done.stdout == os.fsencode(name) + b"\n"


def test_paths_end_with_nul_on_request(beautygan: Beautygan, place: Place) -> None:
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    _, lines, _ = beautygan("a.jpg", "--ref", "look.jpg", "--dry-run", "--null")
    assert lines == ["made_up/a__look.jpg\0"]
    assert beautygan("a.jpg", "--ref", "look.jpg", "-0")[1] == ["made_up/a__look.jpg\0"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_messages_are_one_line_that_moves_nothing(control: str, beautygan: Beautygan, tmp_path: Path) -> None:
    assert shown(f"a{control}b.jpg is damaged").isprintable()
    _, _, err = beautygan(f"no{control}such.jpg", "--ref", "none.jpg", with_model=False)
    assert all(line.isprintable() for line in err.split("\n")) and err.count("such.jpg") == 1
    (tmp_path / "a.toml").write_text(f"lips = {json.dumps(control)}\nstrength = {json.dumps(control)}")
    _, _, err = beautygan("x.jpg", "--look", "a.toml", with_model=False)
    assert all(line.isprintable() for line in err.split("\n"))
    _, _, err = beautygan(f"--no{control}such")
    assert all(line.isprintable() for line in err.split("\n"))


def tiff_of_warnings() -> bytes:
    """A deflated TIFF with tags that libtiff has a word to say about: unknown, and out of order."""
    content = io.BytesIO()
    Image.fromarray(np.full((60, 60, 3), 90, np.uint8)).save(content, "TIFF", compression="tiff_adobe_deflate")
    whole = bytearray(content.getvalue())
    (folder,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, folder)
    entries = bytes(whole[folder + 2 : folder + 2 + 12 * count])
    strange = struct.pack("<HHII", 65123, 99, 1, 7) + struct.pack("<HHII", 60001, 3, 1, 7)
    struct.pack_into("<I", whole, 4, len(whole))
    return bytes(whole) + struct.pack("<H", count + 2) + entries + strange + bytes(4)


def tiff_of_no_numbers() -> bytes:
    """A TIFF of floats that are signalling no-numbers, which NumPy warns of."""
    content = io.BytesIO()
    levels = np.full((60, 60), 0x7F800001, np.uint32).view(np.float32)
    Image.fromarray(levels).save(content, "TIFF")
    return content.getvalue()


@pytest.mark.parametrize("make", [tiff_of_warnings, tiff_of_no_numbers])
def test_libraries_have_no_say_on_stderr(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "a.tif").write_bytes(make())
    start = [sys.executable, "-m", "beautygan_cli"]
    done = subprocess.run([*start, "--check", "a.tif"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode in (0, 1) and done.stdout.startswith("a.tif: ")
    assert [line for line in done.stderr.splitlines() if not line.startswith("beautygan: ")] == []


def test_a_clips_reason_names_it_and_not_where_it_lies(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    for name in ("a b.mp4", "a:b.mp4"):
        (tmp_path / name).write_bytes(b"no clip")
        with pytest.raises(PhotoError) as refused:
            probe_clip(tmp_path / name, 1000)
        assert str(refused.value).count(str(tmp_path)) == 1  # as it was named
        assert "file:" not in str(refused.value)


def test_reports_hold_no_place_that_was_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reason = f"a.jpg failed (OSError: {tmp_path}/a.jpg, file:{tmp_path}/a.jpg, {tmp_path}/out/b.png); report it."
    outcome = Outcome(Path("a.jpg"), None, Path("out/b.png"), Status.FAILED, reason)
    told = json.dumps(Shortened([Path("a.jpg"), Path("out")]).row(row(outcome)))
    assert str(tmp_path) not in told and "file:" not in told
    assert str(tmp_path) in json.dumps(Shortened([Path("a.jpg")], full=True).row(row(outcome)))


def test_the_photo_on_stdin_is_called_so(place: Place, model: Path, tmp_path: Path) -> None:
    place("look.jpg", "worn")
    start = [
        sys.executable,
        "-m",
        "beautygan_cli",
        "-",
        "--ref",
        "look.jpg",
        "--model",
        str(model),
        "--report",
        "r.json",
    ]
    done = subprocess.run(start, cwd=tmp_path, input=b"no photo", capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"beautygan: stdin is no photo of a known format")
    (result,) = json.loads((tmp_path / "r.json").read_text())["results"]
    assert result["source"] == "stdin" and result["reason"].startswith("stdin is no photo")


def test_a_full_disk_for_temporary_files_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a report wait there; and what comes through stdin."""
    if (
        sys.platform == "win32"
        or os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "x", tmp_path]).returncode
    ):
        pytest.skip("needs the right to mount")
    try:
        program = (
            "import tempfile; from pathlib import Path; from beautygan_cli.batch.outcome import *\n"
            "from beautygan_cli.report.table import Rows\n"
            "rows = Rows()\n"
            "for number in range(20_000): rows.add(Outcome(Path('a' * 999), None, Path(str(number)), Status.MADE))\n"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path), "SQLITE_TMPDIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert "OutputError: the rows of the report can't be kept in " in done.stderr.splitlines()[-1]
        start = [sys.executable, "-m", "beautygan_cli", "-", "--look", "cat-eye", "--out", "-"]
        done = subprocess.run(start, env=environment, input="x" * 100_000, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "can't be used: the disk is full" in done.stderr
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_the_tables_of_an_evaluation_begin_no_formula_and_move_no_cursor() -> None:
    from beautygan_cli.cli.evaluate import Row, fault_csv

    figures = defaultdict(lambda: 1.0, lids_ratio=1.0)  # of every figure that the faults are told by
    table = fault_csv([Row("=1+1\x1b[31m.jpg", "@look\r.jpg", "=cmd|calc\x1b[2J", (figures,))])
    row = table.splitlines()[1]
    assert row.startswith('"\'=1+1\\x1b[31m.jpg","\'@look\\r.jpg","\'=cmd|calc\\x1b[2J","1.0000"')
    assert table.count("\n") == 2


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_messages_of_the_other_commands_move_no_cursor(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from beautygan_cli.cli import evaluate, train

    name = str(tmp_path / "no\x1b[31mphotos")
    if command == "evaluate":
        assert evaluate.main(["--model", name, "--sources", name, "--refs", name]) == 2
    else:
        assert train.main(["--faces", name, "--out", str(tmp_path / "out"), "--steps", "1"]) == 2
    err = capfd.readouterr().err
    assert "\x1b" not in err
    assert "no\\x1b[31mphotos" in err


def test_rows_of_a_photo_that_came_again_are_one() -> None:
    rows = Rows()
    for status in (Status.FAILED, Status.FAILED, Status.MADE):
        rows.add(Outcome(Path("a.jpg"), Path("look.jpg"), Path("b.jpg"), status))
    assert [values["status"] for values in rows] == ["made"]
