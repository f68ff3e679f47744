"""What the README says is so: its Python example runs, its pictures and files are there, its layers hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.photos.photo import read_photo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CARD = (ROOT / "models" / "README.md").read_text()

# The packages from the ground up: a module imports only from its own package and from those below it.
LAYERS = (
    "errors",
    "types",
    "imaging",
    "photos",
    "model",
    "faces",
    "makeup",
    "evaluation",
    "batch",
    "report",
    "training",
    "cli",
)


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


def test_packages_import_downward_only() -> None:
    package = ROOT / "beautygan_cli"
    parts = {path.name.removesuffix(".py") for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__init__", "__main__", "__pycache__"} == set(LAYERS)
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if own not in LAYERS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("beautygan_cli."):
                other = (node.module or "").split(".")[1]
                assert LAYERS.index(other) <= LAYERS.index(own), f"{path.relative_to(ROOT)} imports {node.module}"


@pytest.mark.parametrize(
    "module",
    [
        *("cli/main", "model/session", "model/signature", "faces/detection", "faces/alignment", "faces/masks"),
        *("photos/photo", "imaging/colour"),
    ],
)
def test_nothing_heavy_is_imported_at_the_top(module: str) -> None:
    tree = ast.parse((ROOT / "beautygan_cli" / f"{module}.py").read_text())
    names = {alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    names |= {(node.module or "").split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not names & {"tensorflow", "dlib", "cv2"}
