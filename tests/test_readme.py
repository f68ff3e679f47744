"""What the README says is so: its Python example runs, its pictures and files are there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.photos.photo import read_photo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CARD = (ROOT / "models" / "README.md").read_text()


def test_the_python_example_runs_from_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(code[1], names)
    pixels = names["pixels"]
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == read_photo(ROOT / "samples" / "no_makeup" / "dara.jpg").pixels.shape


@pytest.mark.parametrize("text", [README, CARD], ids=["README", "card"])
def test_every_linked_file_is_there(text: str) -> None:
    folder = ROOT if text is README else ROOT / "models"
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        assert (folder / link).exists(), link
