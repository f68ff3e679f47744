"""Makeup in words on the command line: strengths and words in one option, names of results, what is refused."""

import json

import pytest

from beautygan_cli.cli import main, run
from beautygan_cli.cli.arguments import Arguments, completed, parser
from beautygan_cli.makeup import look


def looks_of(*arguments):
    options = completed(parser().read(arguments, Arguments()))
    looks, problems = run._looks(options)
    assert problems == []
    return [(item.path.name, worn) for item, worn in looks]


def test_number_stays_a_strength_and_words_are_drawn():
    ((name, worn),) = looks_of("me.jpg", "--lips", "crimson 80% gloss", "--lips", "0.5", "--liner", "winged")
    assert name == "crimson-80-gloss-winged"
    assert worn.lips.mix[0].ref.words == (("colour", "crimson 80% gloss"),)
    assert (worn.lips.strength, worn.eyes.strength, worn.skin) == (0.5, 1.0, None)


def test_words_go_over_a_look_that_comes_along():
    ((name, worn),) = looks_of("me.jpg", "--look", "cat-eye", "--lips", "#b00020", "--eyes", "0.4")
    base = look.read(look.bundled()["cat-eye"])
    assert name == "cat-eye.toml"
    assert worn.eyes.mix == base.eyes.mix and worn.eyes.strength == 0.4
    assert worn.lips.mix[0].ref.words == (("colour", "#b00020"),)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--lips", "crimsn"), "did you mean crimson?"),
        (("--lips", "1.5"), "'1.5' is no number from 0 to 1"),
        (("--liner", "0.5"), "'0.5' is no word for liner"),
        (("--remove", "--lips", "red"), "leave out what is to be drawn"),
    ],
)
def test_words_that_say_nothing_are_refused_at_once(options, told, capsys):
    with pytest.raises(SystemExit) as stopped:
        main.main(["me.jpg", *options])
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


def test_looks_that_come_along_are_listed_a_line_each(capsys):
    assert main.main(["--list-looks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(look.bundled())
    assert all(len(line.split()) > 2 for line in lines)


def test_photo_is_made_up_in_words_and_the_look_can_be_saved(place, beautygan, tmp_path):
    place("me.jpg", "bare")
    command = ("me.jpg", "--lips", "crimson", "--save-look", "mine.toml", "--report", "r.csv")
    assert beautygan(*command)[:2] == (0, ["made_up/me__crimson.jpg"])
    assert look.read(tmp_path / "mine.toml").lips.mix[0].ref.words == (("colour", "crimson"),)
    assert '"crimson"' in (tmp_path / "r.csv").read_text()
    status, made, err = beautygan("me.jpg", "--lips", "crimson")
    assert (status, made) == (0, []) and "1 kept" in err
    assert beautygan("me.jpg", "--lips", "crimson matte")[:2] == (0, ["made_up/me__crimson-matte.jpg"])


def test_dry_run_names_what_would_be_made_and_writes_nothing(place, beautygan, tmp_path):
    place("selfies/a.jpg", "bare")
    place("selfies/below/b.png", "bare", 1)
    before = sorted(tmp_path.rglob("*"))
    command = ("selfies", "--look", "cat-eye", "--lips", "red", "--strength", "0.5,1", "--save-look", "x.toml")
    status, named, err = beautygan(*command, "--dry-run")
    assert (status, named) == (
        0,
        [f"made_up/{name}" for name in ("a__cat-eye@50.jpg", "a__cat-eye@100.jpg")]
        + [f"made_up/below/{name}" for name in ("b__cat-eye@50.png", "b__cat-eye@100.png")],
    )
    assert "4 results would be made; nothing was written" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_json_has_a_line_a_result_with_the_reports_fields(capsys):
    from pathlib import Path
    from types import SimpleNamespace

    from beautygan_cli.batch.outcome import Outcome, Status
    from beautygan_cli.cli.console import Progress
    from beautygan_cli.report.table import FIELDS, Shortened

    with Progress(1, quiet=True, paths=False) as progress:
        outputs = SimpleNamespace(
            progress=progress, options=SimpleNamespace(json=True, out="made_up"), shortened=Shortened([]),
            grid=None, rows=None, gallery=None,
        )  # fmt: skip
        run.Outputs.take(outputs, Outcome(Path("a.jpg"), Path("red"), Path("m\u00fc/a.jpg"), Status.MADE))
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told.keys() == FIELDS.keys()
    assert (told["source"], told["output"], told["status"]) == ("a.jpg", "m\u00fc/a.jpg", "made")
