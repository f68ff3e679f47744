"""Files are written whole or not at all, also when their folder goes away meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from beautygan_cli.errors import OutputError
from beautygan_cli.photos import files
from beautygan_cli.photos.files import sha256_of, whole


@pytest.mark.skipif(os.unlink not in os.supports_dir_fd, reason="this system keeps a folder in use where it is")
@pytest.mark.parametrize("anew", [False, True])
def test_folder_that_is_moved_while_a_file_is_written_keeps_no_part_of_it(tmp_path: Path, anew: bool) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    with pytest.raises(OutputError, match=r"result.jpg can't be written"), whole(folder / "result.jpg", False) as file:
        file.write(b"half of it")
        folder.rename(elsewhere)
        if anew:
            folder.mkdir()
    assert list(elsewhere.iterdir()) == []
    assert not anew or list(folder.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="folders have no such permission there")
def test_folder_that_can_be_written_to_and_not_be_read_takes_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o300)
    try:
        with whole(folder / "result.jpg", False) as file:
            file.write(b"all of it")
        assert (folder / "result.jpg").read_bytes() == b"all of it"
    finally:
        folder.chmod(0o700)


class Ours:
    """A journal that knows one content as ours; `then` happens right after it said so."""

    def __init__(self, sha256: str, then: object = None) -> None:
        self.sha256, self.then = sha256, then

    def wrote(self, path: Path) -> bool:
        ours = sha256_of(path) == self.sha256
        if self.then:
            self.then()
        return ours

    def writing(self, path: Path, sha256: str) -> None:
        """Nothing."""


@pytest.mark.promise("Safe outputs")
@pytest.mark.parametrize("exchanging", [True, False])
@pytest.mark.parametrize("how", ["put in its place", "written into it", "a link", "a folder"])
def test_what_comes_to_a_place_after_it_was_found_to_be_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool, how: str
) -> None:
    path, mine = tmp_path / "result.jpg", tmp_path / "mine.jpg"
    path.write_bytes(b"ours")
    mine.write_bytes(b"mine")

    def come() -> None:
        if how == "put in its place":
            mine.replace(path)
        elif how == "written into it":
            path.write_bytes(b"mine!")
        else:
            path.unlink()
            path.mkdir() if how == "a folder" else path.symlink_to(mine)

    if not exchanging:
        monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    journal = Ours(sha256_of(path), come)
    with pytest.raises(OutputError, match=r"result\.jpg exists already"), whole(path, False, journal) as file:
        file.write(b"new")
    assert path.is_dir() if how == "a folder" else path.read_bytes().startswith(b"mine")
    assert path.is_symlink() == (how == "a link")
    assert {item.name for item in tmp_path.iterdir()} <= {"result.jpg", "mine.jpg"}


@pytest.mark.promise("Safe outputs")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is Linux'")
def test_no_moment_is_left_in_which_a_users_file_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.jpg"
    path.write_bytes(b"ours")
    exchanged, calls = files._exchanged, []

    def late(one: Path, other: Path) -> bool:
        if not calls:
            other.unlink()
            other.write_bytes(b"mine")
        calls.append(exchanged(one, other))
        return calls[-1]

    monkeypatch.setattr(files, "_exchanged", late)
    with pytest.raises(OutputError, match="exists already"), whole(path, False, Ours(sha256_of(path))) as file:
        file.write(b"new")
    if not all(calls):
        pytest.skip("this disk exchanges no names")
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exchanging", [True, False])
@pytest.mark.parametrize("gone", [True, False])
def test_one_of_ours_is_replaced_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool, gone: bool
) -> None:
    path = tmp_path / "result.jpg"
    path.write_bytes(b"ours")
    if not exchanging:
        monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    with whole(path, False, Ours(sha256_of(path), path.unlink if gone else None)) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
