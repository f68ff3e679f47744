"""A training's folder: what a training did not put there is never cleared, moved or replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import SAMPLES
from standin import StandIn

from beautygan_cli.cli.train import main as train_command
from beautygan_cli.errors import DatasetError, OutputError
from beautygan_cli.training import dataset, eye_pigment, landmarks, occlusion, run_folder

FACES = ("--faces", str(SAMPLES / "no_makeup"))
# What a training writes, clears or moves over, by where it lies in --out.
OURS = (
    "training/buffer/mine.txt",
    "training/validation/mine.txt",
    "training/people.npz",
    "finetuning/state-1.index",
    "finetuning/checkpoint",
    "finetuning/progress.json",
    "finetuning/buffer/mine.txt",
    "part/mine.txt",
    "validation.jpg",
    "model.json",
    "checkpoint",
)


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return StandIn(size=64, width=2, batch=1, training=True).save(tmp_path_factory.mktemp("start"))


@pytest.mark.promise("Safe outputs")
@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("more", [(), ("--resume",), ("--init",)], ids=["new", "resume", "finetune"])
def test_a_folder_with_anything_else_in_it_is_left_as_it_is(
    name: str, more: tuple[str, ...], tmp_path: Path, start: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if more == ("--resume",) and name.startswith("finetuning"):
        more = ("--resume", "--init")  # else another sentence says that this is what is missing
    more = (*more, str(start)) if "--init" in more else more
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert train_command([*FACES, "--out", str(tmp_path / "out"), "--steps", "1", "--buffer", "2", *more]) == 2
    told = capfd.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert f"{tmp_path / 'out'} holds what no training put there" in told[0]
    assert contents(tmp_path / "out") == {name: b"mine"}


@pytest.mark.promise("Safe outputs")
@pytest.mark.parametrize("kind", [eye_pigment, landmarks, occlusion])
def test_the_small_networks_trainings_ask_for_a_folder_of_their_own_too(kind: object, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(b"mine")
    named = {"labels": ""} if kind is landmarks else {}
    with pytest.raises(OutputError, match="no training put there"):
        kind.train(kind.Settings(faces=FACES[1], out=str(tmp_path), **named))
    assert contents(tmp_path) == {"model.json": b"mine"}


@pytest.mark.parametrize("there", [False, True])
def test_a_missing_or_empty_folder_is_marked_and_known_again(there: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    run_folder.claim(out)
    (out / "model.json").touch()
    run_folder.claim(out)
    assert run_folder.is_own(out)


def test_a_mark_that_is_a_link_or_says_something_else_is_none(tmp_path: Path) -> None:
    run_folder.claim(tmp_path / "real")
    for name in ("linked", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "linked" / run_folder.MARK).symlink_to(tmp_path / "real" / run_folder.MARK)
    (tmp_path / "other" / run_folder.MARK).write_text("mine")
    for name in ("linked", "other"):
        with pytest.raises(OutputError, match="no training put there"):
            run_folder.claim(tmp_path / name)


@pytest.mark.parametrize("content", [b"mine", b"", b"PK\x03\x04 half an archive", "arrays"])
def test_a_file_of_faces_that_no_training_wrote_is_refused_and_stays(content: bytes | str, tmp_path: Path) -> None:
    import numpy as np

    cache = tmp_path / "people.npz"
    if isinstance(content, bytes):
        cache.write_bytes(content)
    else:
        np.savez(cache, mine=np.zeros(3))
    before = cache.read_bytes()
    with pytest.raises(DatasetError, match=r"people\.npz holds no faces that a training found"):
        dataset.load(SAMPLES / "no_makeup", cache)
    assert cache.read_bytes() == before
