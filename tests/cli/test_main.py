"""The command as a user meets it: words, exit codes, what goes to stdout and what to stderr, what a start costs."""

import argparse
import os
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from beautygan_cli.cli import main
from beautygan_cli.cli.arguments import parser

OPTIONS = REPOSITORY / "docs" / "options.md"
HEAVY = ("numpy", "tensorflow", "dlib", "cv2", "PIL", "imageio", "tqdm", "sqlite3", "watchdog")


def command(*arguments, folder, **environment):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "beautygan_cli", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
    )


def option_strings():
    strings = [name for action in parser()._actions for name in action.option_strings]
    return [name for name in strings if name not in ("-h", "--help")]


# Words


@pytest.mark.parametrize("asked", [["--help"], ["--version"], ["--no-such-option"], []])
def test_what_needs_no_photo_imports_nothing_heavy(asked, tmp_path):
    program = (
        "import sys; from beautygan_cli.cli.main import main\n"
        f"try: main({asked!r})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "[]"


def test_version_is_the_installed_one(capsys):
    with pytest.raises(SystemExit) as stopped:
        main.main(["--version"])
    assert stopped.value.code == 0
    assert re.fullmatch(r"beautygan \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


def test_every_option_says_what_it_does():
    silent = [action.dest for action in parser()._actions if not action.help or action.help == argparse.SUPPRESS]
    assert silent == []


def test_the_list_of_options_names_every_option():
    text = OPTIONS.read_text(encoding="utf-8")
    assert [name for name in option_strings() if not re.search(rf"{name}(?![\w-])", text)] == []


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))], ids=str)
def test_no_page_names_an_option_that_is_not_there(page):
    text = page.read_text(encoding="utf-8")
    said = re.findall(r"\bbeautygan (?!-train|-cli)(.*)", text)
    named = {name for line in said for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)}
    assert named - {*option_strings(), "--help"} == set()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--strength", "1.5"], "'1.5' is no number from 0 to 1"),
        (["--lips", "nan"], "'nan' is no number from 0 to 1"),
        (["--quality", "0"], "'0' is no whole number from 1 to 100"),
        (["--batch-size", "0"], "'0' is no whole number of 1 or more"),
        (["--quiet", "--verbose"], "not allowed with"),
    ],
)
def test_impossible_value_is_refused_before_anything_starts(options, complaint, capsys):
    with pytest.raises(SystemExit) as stopped:
        main.main(["--no-makeup", "a.jpg", "--ref", "b.jpg", *options])
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


# What goes where


def test_stdout_has_the_results_paths_and_nothing_else(place, model, tmp_path):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    done = command("--no-makeup", "me.jpg", "--ref", "look.jpg", "--model", model, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "made_up/me__look.jpg\n")
    # Neither TensorFlow's nor absl's nor a decoder's log lines: all that stderr holds is the command's own.
    assert [line for line in done.stderr.splitlines() if not line.startswith("beautygan: ")] == []
    assert "1 made" in done.stderr


def test_quiet_says_nothing(place, beautygan):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    assert beautygan("--no-makeup", "me.jpg", "--ref", "look.jpg", "--quiet") == (0, ["made_up/me__look.jpg"], "")


def test_quiet_still_names_failures(place, beautygan, no_face):
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", no_face, "--ref", "look.jpg", "--quiet")
    assert (status, out) == (1, [])
    assert err.startswith("beautygan: no face found in ") and len(err.splitlines()) == 1


def test_verbose_names_the_model(place, beautygan):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    _, _, err = beautygan("--no-makeup", "me.jpg", "--ref", "look.jpg", "--verbose")
    assert re.search(r"model '.+', given by --model, from .+, SHA-256 [0-9a-f]{64}", err)


def test_path_that_the_terminal_cannot_show_does_not_stop_the_run(place, model, tmp_path):
    place("me.jpg", "bare").rename(tmp_path / "mé\n.jpg")
    place("look.jpg", "worn")
    done = command(
        *("--no-makeup", "mé\n.jpg", "--ref", "look.jpg", "--model", model, "--quiet"),
        folder=tmp_path,
        PYTHONIOENCODING="ascii",
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "made_up").glob("*.jpg"))) == 1


# Exit codes


def test_exit_0_when_all_is_done(place, beautygan):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    assert beautygan("--no-makeup", "me.jpg", "--ref", "look.jpg")[0] == 0


def test_exit_1_and_a_reason_for_each_photo_that_failed_while_the_rest_is_done(place, beautygan, no_face, tmp_path):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "me.jpg").read_bytes()[:2000])
    (tmp_path / "note.jpg").write_text("not a photo")
    status, out, err = beautygan(
        "--no-makeup", no_face, "cut.jpg", "note.jpg", "gone.jpg", "me.jpg", "--ref", "look.jpg"
    )
    assert (status, out) == (1, ["made_up/me__look.jpg"])
    for name, reason in [
        ("wall.png", "no face found"),
        ("cut.jpg", "damaged or cut short"),
        ("note.jpg", "no photo of a known format"),
        ("gone.jpg", "no such file"),
    ]:
        assert len([line for line in err.splitlines() if name in line and reason in line]) == 1, (name, err)
    assert "1 made, 3 failed" in err


def test_exit_1_when_a_reference_failed_and_the_others_are_used(place, beautygan, no_face):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", "me.jpg", "--ref", no_face, "look.jpg")
    assert (status, out) == (1, ["made_up/me__look.jpg"])
    assert "no face found in" in err and "wall.png" in err


@pytest.mark.parametrize(
    ("sources", "references", "complaint"),
    [
        (["gone.jpg"], ["look.jpg"], "gone.jpg can't be used"),
        (["empty"], ["look.jpg"], "empty holds no photo"),
        (["me.jpg"], ["gone.jpg"], "gone.jpg can't be used"),
        (["me.jpg"], ["wall.png"], "none of the references can be used"),
    ],
)
def test_exit_2_when_nothing_could_start(place, beautygan, no_face, tmp_path, sources, references, complaint):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    (tmp_path / "empty").mkdir()
    status, out, err = beautygan("--no-makeup", *sources, "--ref", *references)
    assert (status, out) == (2, [])
    assert complaint in err
    assert not (tmp_path / "made_up").exists()


def test_exit_2_without_a_model(place, beautygan, tmp_path):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    status, _, err = beautygan("--no-makeup", "me.jpg", "--ref", "look.jpg", "--model", tmp_path / "nowhere")
    assert status == 2
    assert "nowhere" in err and "Traceback" not in err


def test_exit_2_when_the_folder_of_results_is_a_file(place, beautygan):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", "me.jpg", "--ref", "look.jpg", "--out", "look.jpg")
    assert (status, out) == (2, [])
    assert "look.jpg" in err and "Traceback" not in err
