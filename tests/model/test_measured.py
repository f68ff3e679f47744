"""What was measured of a model is remembered, and no result depends on whether it was."""

from pathlib import Path

import pytest

from beautygan_cli.model import measured
from beautygan_cli.model.signature import Signature


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """A cache folder of this test's own."""
    monkeypatch.setattr(measured, "folder", lambda: tmp_path / "cache" / "measured")
    return tmp_path / "cache" / "measured"


def counted(number):
    """A measurement that gives a number, and the list of its calls."""
    calls = []
    return calls, lambda: calls.append(number) or number


def test_a_number_is_measured_once():
    calls, measure = counted(0.1)
    first = measured.remembered("levels", "digest", Signature(), measure)
    assert measured.remembered("levels", "digest", Signature(), measure) == first == 0.1
    assert len(calls) == 1


@pytest.mark.parametrize(
    "other",
    [
        ("share", "digest", Signature()),
        ("levels", "another", Signature()),
        ("levels", "digest", Signature(padding=0.5)),
    ],
)
def test_another_measurement_or_model_is_measured_by_itself(other):
    calls, measure = counted(1.0)
    measured.remembered("levels", "digest", Signature(), measure)
    measured.remembered(*other, measure)
    assert len(calls) == 2


@pytest.mark.parametrize("content", [b"", b"nan", b"inf", b"1" * 100, b"\xff\xfe", b"__import__('os')", b"1.0 2.0"])
def test_what_is_no_number_is_measured_again_and_mended(empty, content):
    calls, measure = counted(1.0)
    measured.remembered("levels", "digest", Signature(), measure)
    (file,) = empty.iterdir()
    file.write_bytes(content)
    for _ in range(2):
        assert measured.remembered("levels", "digest", Signature(), measure) == 1.0
    assert len(calls) == 2


def test_without_a_home_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measured, "folder", lambda: Path("~/.cache/beautygan/measured"))
    calls, measure = counted(3.0)
    for _ in range(2):
        assert measured.remembered("levels", "digest", Signature(), measure) == 3.0
    assert len(calls) == 2 and list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_costs_a_measurement_and_nothing_else(empty):
    empty.parent.parent.joinpath("cache").write_text("a file, where the folder would be")
    calls, measure = counted(2.0)
    for _ in range(2):
        assert measured.remembered("levels", "digest", Signature(), measure) == 2.0
    assert len(calls) == 2
