"""What README and pages say is so: the Python example runs, pictures and files are there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.photos.photo import read_photo

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("*/**/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
PAGES = [page for page in PAGES if ".venv" not in page.parts]


def test_the_python_example_runs_from_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(code[1], names)
    pixels = names["pixels"]
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == read_photo(ROOT / "samples" / "no_makeup" / "dara.jpg").pixels.shape


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_linked_file_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in link or (page.parent / link).exists(), link


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/([^)#]+)\)", (ROOT / "README.md").read_text()))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_the_readme_takes_five_minutes() -> None:
    words = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL).split()
    assert len(words) < 5 * 200  # a slow reader's words a minute
