"""What the README says is so: its Python example runs, its pictures and files are there, its layers hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.photos import images

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CARD = (ROOT / "models" / "README.md").read_text()

# The rooms of the package from the ground up: a module imports, when it is loaded, only what lies below it.
LAYERS = (
    ("errors", "signature", "runtime", "cores"),
    ("images", "pixels", "faces", "regions", "colour", "warp"),
    ("session", "enlarge", "shades", "light"),
    ("composite",),
    ("look", "encoded"),
    ("pipeline", "tracking"),
    ("evaluate", "check"),
    ("manifest", "video"),
    ("batch",),
    ("report", "gallery", "progress"),
    ("watch",),
    ("commands",),
    ("cli",),
)


def test_the_python_example_runs_from_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(code[1], names)
    pixels = names["pixels"]
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == images.read(ROOT / "samples" / "no_makeup" / "dara.jpg").pixels.shape


@pytest.mark.parametrize("text", [README, CARD], ids=["README", "card"])
def test_every_linked_file_is_there(text: str) -> None:
    folder = ROOT if text is README else ROOT / "models"
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        assert (folder / link).exists(), link


def test_modules_import_downward_only() -> None:
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    for name, own in level.items():
        path = ROOT / "beautygan_cli" / f"{name}.py"
        if not path.is_file():
            continue
        for node in ast.parse(path.read_text()).body:  # at the top level: what is loaded with the module
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("beautygan_cli"):
                part = (node.module or "").split(".")[1:2] or [alias.name for alias in node.names]
                for other in part:
                    assert other != "training", f"{name} imports training"
                    assert other not in level or level[other] <= own, f"{name} imports {other}"


@pytest.mark.parametrize("module", ["cli", "session", "faces", "images", "colour", "regions", "signature"])
def test_nothing_heavy_is_imported_at_the_top(module: str) -> None:
    tree = ast.parse((ROOT / "beautygan_cli" / f"{module}.py").read_text())
    names = {alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    names |= {(node.module or "").split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not names & {"tensorflow", "dlib", "cv2"}
