"""The house stands: layers hold and name every module, nothing heavy loads early, the public names are these."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import REPOSITORY

import beautygan_cli

PACKAGE = REPOSITORY / "beautygan_cli"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
HEAVY = {"tensorflow", "dlib", "cv2", "ray", "imageio", "PIL", "pillow_heif"}
PUBLIC = ["BeautyGANError", "Look", "MakeupSession", "Strengths", "__version__", "remove", "transfer"]


def test_every_module_has_a_layer_and_imports_from_those_below_it() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_name_every_module_and_every_package_is_in_the_wheel() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    named: set[str] = set()
    for contract in project["importlinter"]["contracts"]:
        assert contract["type"] == "layers" and contract["exhaustive"]
        (container,) = contract["containers"]
        named |= {f"{container}.{name.strip()}" for layer in contract["layers"] for name in layer.split("|")}
    inside = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if path.parent != PACKAGE or not path.name.startswith("__")
    }
    assert named == inside
    packages = {name for name in inside if (REPOSITORY / name.replace(".", "/")).is_dir()}
    assert set(project["setuptools"]["packages"]) == packages | {"beautygan_cli", "beautygan_cli.bundled"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_heavy_is_imported_at_the_top(path: Path) -> None:
    """What takes long to import, or may be missing, is imported where it is used."""
    tree = ast.parse(path.read_text())
    names = {alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    names |= {(node.module or "").split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not names & HEAVY


def test_dir_shows_the_public_names_whatever_is_loaded() -> None:
    code = (
        "import beautygan_cli.makeup.pipeline, beautygan_cli.batch.line\n"
        "print(*dir(beautygan_cli)); from beautygan_cli import *; print(callable(transfer), callable(remove))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == [*PUBLIC, "True", "True"]
    assert sorted(beautygan_cli.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(beautygan_cli, name).__doc__, name


def test_what_the_documents_name_is_there() -> None:
    """Each `folder/module.py: name` of docs/architecture.md and each path of CONTRIBUTING.md."""
    named = re.findall(r"`([\w/]+)\.py: ([\w.]+)`", (REPOSITORY / "docs" / "architecture.md").read_text())
    assert len(named) > 20
    for module, name in named:
        found: object = importlib.import_module(f"beautygan_cli.{module.replace('/', '.')}")
        for part in name.split("."):
            found = getattr(found, part)
    for path in re.findall(r"`(beautygan_cli/[\w/]+\.py)`", (REPOSITORY / "CONTRIBUTING.md").read_text()):
        assert (REPOSITORY / path).is_file(), path
    rooms = (REPOSITORY / "docs" / "architecture.md").read_text().split("## Packages")[1].split("## Rules")[0]
    for path in MODULES:
        if not path.name.startswith("__"):
            assert path.stem in rooms, f"docs/architecture.md does not name {path.relative_to(PACKAGE)}"


AROUND_THE_NETWORK = (
    *(f"makeup/{name}.py" for name in ("brows", "colour_correction", "composite", "encoded", "eye_layer", "pipeline")),
    *(f"faces/{name}.py" for name in ("exposure", "left_out", "occlusion", "reference", "tone")),
)
NOT_TUNED = {0.0, 0.5, 1.0, 2.0, 255.0}
SMALLEST = 1e-3  # what is not over it keeps a division from nothing, or tells a change from none


def test_at_most_a_hundred_tuned_numbers_stand_around_the_network() -> None:
    found = {}
    for name in AROUND_THE_NETWORK:
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        numbers = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        floats = [value for value in numbers if isinstance(value, float)]
        found[name] = [value for value in floats if value > SMALLEST and value not in NOT_TUNED]
    assert sum(map(len, found.values())) <= 100, {name: len(values) for name, values in found.items()}
    assert len(found["makeup/composite.py"]) > 10  # else nothing is counted
