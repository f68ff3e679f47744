"""Files are written whole or not at all, also when their folder goes away meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from beautygan_cli.errors import OutputError
from beautygan_cli.photos.files import whole


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
