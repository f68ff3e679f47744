"""Command lines as people type them: names anywhere, mistakes told with what was meant, all before anything starts."""

import imageio.v3 as iio
import pytest

from beautygan_cli.cli import evaluate, main, train
from beautygan_cli.cli.arguments import Arguments, completed, parser


def options_of(*arguments):
    return completed(parser().read(arguments, Arguments()))


@pytest.fixture
def refused(capsys):
    """`refused("--such", "options")` gives the first line of the refusal, after checking its status."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main.main(arguments)
        assert stopped.value.code == 2
        return capsys.readouterr().err.splitlines()[0]

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("a.jpg", "b.jpg", "--ref", "c.jpg"),
        ("--no-makeup", "a.jpg", "--ref", "c.jpg", "--no-makeup", "b.jpg"),
        ("a.jpg", "--ref", "c.jpg", "--quality", "90", "b.jpg"),
        ("a.jpg", "--photos", "b.jpg", "--ref", "c.jpg"),
    ],
)
def test_photos_are_the_same_with_and_without_an_option(arguments):
    options = options_of(*arguments)
    assert (options.no_makeup, options.ref) == (["a.jpg", "b.jpg"], ["c.jpg"])


def test_repeated_options_add_up():
    options = options_of(
        *("a.jpg", "--ref", "b.jpg", "--ref", "c.jpg", "d.jpg", "--look", "e.toml", "--look", "f.toml"),
        *("--strength", "0.5", "--strength", "0.25,0.5,1"),
    )
    assert (options.ref, options.look) == (["b.jpg", "c.jpg", "d.jpg"], ["e.toml", "f.toml"])
    assert options.strength == (0.5, 0.25, 1.0)
    assert options_of("a.jpg").strength == (1.0,)


def test_home_and_patterns_are_expanded_where_the_shell_did_not(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("b.jpg", "a.jpg", "[1].jpg"):
        (tmp_path / name).touch()
    options = options_of("~/?.jpg", f"{tmp_path}/[1].jpg", "none*.jpg", "--ref", "~/b.jpg", "--out", "~/made")
    assert options.no_makeup == [*(f"{tmp_path}/{name}" for name in ("a.jpg", "b.jpg", "[1].jpg")), "none*.jpg"]
    assert (options.ref, options.out) == ([f"{tmp_path}/b.jpg"], f"{tmp_path}/made")


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("--nomakeup", "--no-makeup"),
        ("--no_makeup=a.jpg", "--no-makeup"),
        ("--stren", "--strength"),
        ("--qualty", "--quality"),
        ("--input", "--no-makeup"),
        ("-o", "--out"),
    ],
)
def test_mistyped_option_gets_a_suggestion_and_no_abbreviation_is_taken(refused, mistyped, meant):
    name = mistyped.partition("=")[0]
    assert (
        refused("a.jpg", mistyped, "--ref", "b.jpg") == f"beautygan: there is no option {name}; did you mean {meant}?"
    )


def test_option_like_none_there_is_gets_no_suggestion(refused):
    assert refused("a.jpg", "--xyzzy", "--ref", "b.jpg") == "beautygan: there is no option --xyzzy"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-selfie.jpg", "--ref", "b.jpg"), "write ./-selfie.jpg"),
        (("-hat.png", "--ref", "b.jpg"), "write ./-hat.png"),
        (("https://example.org/a.jpg", "--ref", "b.jpg"), "download it first"),
        (("a.jpg", "--ref", "HTTP://example.org/b.jpg"), "download it first"),
        (("--ref", "b.jpg", "a.jpg"), "photos go before --ref"),
        (("--ref", "b.jpg"), "give the photos to make up"),
        (("a.jpg",), "give the makeup to take"),
        (("a.jpg", "--ref", "b.jpg", "--grid", "noext"), "such as noext.jpg"),
        (("a.jpg", "--ref", "b.jpg", "--report", "table.xls"), "neither in .json nor in .csv"),
        (("a.jpg", "--ref", "b.jpg", "--out", "me.jpg", "--gallery"), "need a folder"),
        (("a.jpg", "--ref", "b.jpg", "--out", "me.jpg", "--format", "png"), "leave --format out"),
    ],
)
def test_what_can_not_work_is_told_at_once_with_the_remedy(refused, arguments, told):
    assert told in refused(*arguments)


def test_command_alone_shows_three_examples(capsys):
    assert main.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    examples = [line for line in printed.err.splitlines() if line.startswith("  beautygan ")]
    assert len(examples) == 3
    for line in examples:
        options_of(*line.split("   ")[0].split()[1:])


@pytest.mark.parametrize("command", [main, evaluate, train])
def test_each_command_tells_its_version_and_mistyped_options(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["--version"])
    assert stopped.value.code == 0
    version = capsys.readouterr().out.split()
    with pytest.raises(SystemExit) as stopped:
        command.main(["--version=", "--modle"] if command is main else ["--faces=a", "--out=b", "--sede", "1"])
    assert stopped.value.code == 2
    assert version[0].startswith("beautygan") and version[1][0].isdigit()


def test_one_result_goes_to_the_file_that_is_named_and_leaves_nothing_beside_it(place, beautygan, tmp_path):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    command = ("me.jpg", "--ref", "look.jpg", "--out", "new/result.png")
    assert beautygan(*command)[:2] == (0, ["new/result.png"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["result.png"]
    assert iio.immeta(tmp_path / "new" / "result.png")["mode"] == "RGB"
    before = (tmp_path / "new" / "result.png").read_bytes()
    status, out, err = beautygan(*command, "--strength", "0.2")
    assert (status, out) == (2, []) and "--overwrite" in err
    assert (tmp_path / "new" / "result.png").read_bytes() == before
    assert beautygan(*command, "--strength", "0.2", "--overwrite")[:2] == (0, ["new/result.png"])
    assert (tmp_path / "new" / "result.png").read_bytes() != before


@pytest.mark.parametrize(
    ("extra", "out", "told"),
    [
        (("other.jpg",), "result.jpg", "writes one photo"),
        (("--strength", "0.5,1"), "result.jpg", "writes one photo"),
        ((), "result.mp4", "is a photo"),
        ((), "me.jpg", "one of the files given"),
        ((), "look.jpg", "one of the files given"),
    ],
)
def test_file_for_one_result_is_refused_for_several_and_over_inputs(place, beautygan, extra, out, told):
    for name, kind in (("me.jpg", "bare"), ("other.jpg", "bare"), ("look.jpg", "worn")):
        place(name, kind)
    status, made, err = beautygan("me.jpg", *extra, "--ref", "look.jpg", "--out", out)
    assert (status, made) == (2, []) and told in err


def test_bad_path_among_good_ones_is_named_and_the_rest_is_done(place, beautygan):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    status, out, err = beautygan("me.jpg", "gone.jpg", "--ref", "look.jpg")
    assert (status, out) == (1, ["made_up/me__look.jpg"])
    assert [line for line in err.splitlines() if "gone.jpg" in line] == [
        "beautygan: gone.jpg can't be used: there is no such file or folder, check the name."
    ]
    assert len(err.splitlines()) == 2  # and the summary
