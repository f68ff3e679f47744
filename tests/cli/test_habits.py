"""Habits of command lines: kept defaults, completion, a manual page."""

import shutil
import subprocess
import sys
from pathlib import Path

import man_page
import pytest

from beautygan_cli.cli import defaults
from beautygan_cli.cli.arguments import Arguments, parser
from beautygan_cli.cli.main import completion


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Where the user's own defaults lie; the run is in an empty folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    file = defaults.own_file()
    file.parent.mkdir(parents=True)
    return file


def read(*arguments):
    """The options of a command line, by the files' defaults."""
    command = parser()
    defaults.apply(command)
    return command.read(list(arguments), Arguments())


def test_the_command_line_goes_before_the_folders_file_and_that_before_the_users(own):
    own.write_text('strength = 0.5\nformat = "png"\nquality = 80\nout = "mine"\n')
    Path(defaults.NAME).write_text('format = "webp"\nquality = 70\n')
    options = read("me.jpg", "--quality", "60")
    assert (options.strength, options.format, options.quality, options.out) == ((0.5,), "webp", 60, "mine")
    assert read("me.jpg", "--strength", "0.2").strength == (0.2,)


def test_several_strengths_and_switches_can_be_defaults(own):
    own.write_text("strength = [0.25, 1]\ngallery = true\nmin-identity = 0.3\neyes = 0.5\n")
    options = read("me.jpg")
    assert (options.strength, options.gallery, options.min_identity, options.eyes) == ((0.25, 1.0), True, 0.3, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strength = 2", "strength: '2' is no number from 0 to 1"),
        ("lips = 'crimson'", "lips must be a number from 0 to 1"),
        ("gallery = 1", "gallery must be true or false"),
        ("format = 'gif'", "format must be one of same, jpg, png, webp"),
        ("overwrite = true", "overwrite is none of strength"),
        ("ref = 'a.jpg'", "ref is none of"),
        ("out = 'elsewhere'", "out is for your own file alone"),
        ("model = 'theirs'", "model is for your own file alone"),
        ("strength = ", "holds no defaults"),
        ("quality = " + "9" * 5000, "holds no defaults"),
        ("a." * 8000 + "a = 1", "it has more than 8,192 bytes"),
        ("strength = [[1]]", "strength"),
        ("#" * 70_000, "more than 8,192 bytes"),
    ],
)
def test_a_folders_file_that_says_what_cannot_be_is_named_and_nothing_starts(own, beautygan, text, said, monkeypatch):
    file = Path(defaults.NAME).resolve()
    monkeypatch.chdir(file.parent)
    file.write_text(text)
    status, _, err = beautygan("me.jpg", "--look", "cat-eye")
    assert status == 2
    assert said in err.splitlines()[0] and "beautygan.toml" in err.splitlines()[0] and "--no-defaults" in err


def test_defaults_can_be_left_alone(own, beautygan, monkeypatch):
    folder = Path.cwd()
    (folder / defaults.NAME).write_text("strength = 2")
    status, _, err = beautygan("missing.jpg", "--look", "cat-eye", "--no-defaults")
    assert status == 2 and "strength" not in err


def test_saved_defaults_are_those_of_the_next_run(own, beautygan):
    status, out, _ = beautygan("--strength", "0.5", "--format", "png", "--gallery", "--save-defaults", with_model=False)
    assert (status, out) == (0, [str(own)])
    options = read("me.jpg")
    assert (options.strength, options.format, options.gallery, options.quality) == ((0.5,), "png", True, 95)
    before = own.read_bytes()
    status, _, err = beautygan("--strength", "0.7", "--save-defaults", with_model=False)
    assert status == 2 and "--overwrite" in err and own.read_bytes() == before
    assert beautygan("--strength", "0.7", "--save-defaults", "--overwrite", with_model=False)[0] == 0
    assert read("me.jpg").strength == (0.7,)


def test_words_are_no_defaults(own, beautygan):
    status, _, err = beautygan("--lips", "crimson", "--save-defaults", with_model=False)
    assert status == 2 and "--save-look" in err
    assert not own.exists()


def test_a_run_says_whose_defaults_it_goes_by(own, beautygan, place, tmp_path, monkeypatch):
    place("me.jpg", "bare")
    (tmp_path / defaults.NAME).write_text('format = "png"\n')
    status, out, err = beautygan("me.jpg", "--look", "natural")
    assert status == 0 and out[0].endswith(".png")
    assert "defaults from beautygan.toml" in err


def test_every_kept_key_is_an_option():
    names = {option for action in parser()._actions for option in action.option_strings}
    assert {f"--{key}" for key in (*defaults.KEPT, *defaults.OWN_ALONE)} <= names


def test_bash_completes_options_choices_and_folders(own):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    script = completion("bash") + (
        "\nCOMP_WORDS=(beautygan --form); COMP_CWORD=1; _shtab_beautygan; echo ${COMPREPLY[@]}"
        "\nCOMP_WORDS=(beautygan --format we); COMP_CWORD=2; _shtab_beautygan; echo ${COMPREPLY[@]}\n"
    )
    script += "COMP_WORDS=(beautygan --out w); COMP_CWORD=2; _shtab_beautygan; echo ${COMPREPLY[@]}\n"
    (own.parent.parent.parent / "work" / "wedding").mkdir()
    said = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["--format", "webp", "wedding"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_is_printed_by_the_command(shell):
    command = [sys.executable, "-m", "beautygan_cli.cli.main", "--completion", shell]
    assert "min-identity" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_manual_page_is_that_of_the_options():
    assert man_page.PAGE.read_text() == man_page.man_page(), "run: python tests/man_page.py --write"
