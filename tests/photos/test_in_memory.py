"""A photo that never lies on a disk is read and written as one that does."""

import io
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.errors import OutputError
from beautygan_cli.photos.photo import decode_photo, encode_photo, read_photo, write_photo


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_photo_in_memory_is_read_and_written_as_one_on_disk(tmp_path, photos, suffix):
    content = photos("bare", 0).read_bytes()
    on_disk, in_memory = read_photo(photos("bare", 0)), decode_photo(io.BytesIO(content), Path("me.jpg"))
    assert np.array_equal(on_disk.pixels, in_memory.pixels) and on_disk.metadata == in_memory.metadata
    write_photo(on_disk, tmp_path / f"on_disk{suffix}", quality=80)
    assert encode_photo(in_memory, Path(f"nowhere{suffix}"), quality=80) == (tmp_path / f"on_disk{suffix}").read_bytes()


def test_a_name_without_a_format_is_told_as_for_a_file(photos):
    with pytest.raises(OutputError, match=r"^nowhere\.xyz can't be written: its suffix names no known format"):
        encode_photo(read_photo(photos("bare", 0)), Path("nowhere.xyz"))
