"""The wheel: it carries the model, and the command works from any folder with nothing of the checkout around."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODEL_FILES = ("checkpoint", "model.meta", "model.index", "model.data-00000-of-00001", "model.json")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True, text=True)
    return next(folder.glob("beautygan_cli-*.whl"))


def test_the_wheel_carries_the_model_and_no_photos_but_two_of_nobody(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for file in MODEL_FILES:
        assert f"beautygan_cli/bundled/default/{file}" in names
    photos = [name for name in names if name.endswith((".jpg", ".npz", ".tem"))]
    assert photos == ["beautygan_cli/bare_face.jpg", "beautygan_cli/made_up_face.jpg"]  # a face of nobody
    assert wheel.stat().st_size < 12e6


def test_the_wheel_carries_every_module(wheel: Path) -> None:
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert carried == {path.relative_to(ROOT).as_posix() for path in (ROOT / "beautygan_cli").rglob("*.py")}


def test_the_wheel_carries_every_look(wheel: Path) -> None:
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".toml")}
    assert carried == {path.relative_to(ROOT).as_posix() for path in (ROOT / "beautygan_cli" / "looks").glob("*.toml")}
    assert len(carried) >= 16


def test_the_wheel_carries_every_page(wheel: Path) -> None:
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".html")}
    assert carried == {path.relative_to(ROOT).as_posix() for path in (ROOT / "beautygan_cli").rglob("*.html")}
    assert "beautygan_cli/page/page.html" in carried


@pytest.mark.slow
def test_the_installed_wheel_makes_up_a_photo_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    # `site` comes first on the path, so that the checkout's own package is not what runs.
    environment = {**os.environ, "PYTHONPATH": str(site)}
    samples = ROOT / "samples"
    code = (
        "import beautygan_cli, sys; print(beautygan_cli.__file__)\n"
        "from beautygan_cli.cli.main import main; sys.exit(main())"
    )
    photos = ["--no-makeup", str(samples / "no_makeup" / "bea.jpg"), "--ref", str(samples / "makeup" / "red.jpg")]
    done = subprocess.run(
        [sys.executable, "-c", code, *photos, "--out", "results"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(site) in done.stdout
    assert (tmp_path / "results" / "bea__red.jpg").is_file()


def test_the_bundled_model_is_small_and_names_no_machine() -> None:
    folder = ROOT / "models" / "default"
    assert sum((folder / file).stat().st_size for file in MODEL_FILES) < 10e6
    for file in ("checkpoint", "model.json"):
        assert "/" not in re.sub(r"generator/\w+", "", (folder / file).read_text())


def test_top_level_is_as_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    top = {Path(name).parts[0] for name in listed.stdout.splitlines()}
    agreed = {"beautygan_cli", "models", "samples", "tests", "pyproject.toml", "README.md"}
    assert top == agreed | {
        *("LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".ci", ".gitignore", ".pre-commit-config.yaml"),
        *("benchmarks", "docs"),
    }


def test_the_container_copies_what_is_there_and_all_that_the_package_is_built_from(tmp_path: Path) -> None:
    """The steps of the Dockerfile, by hand: what it copies is enough to build the wheel."""
    lines = (ROOT / "docs" / "packaging" / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            *sources, target = line.split()[1:]
            for source in sources:
                place = tmp_path / target / (Path(source).name if target.endswith("/") else "")
                place.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
                copy(ROOT / source, place)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "out", "."],
        cwd=tmp_path,
    )
    assert built.returncode == 0
    (wheel,) = (tmp_path / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert all(f"beautygan_cli/bundled/default/{file}" in names for file in MODEL_FILES)
    assert "beautygan_cli/looks/cat-eye.toml" in names
    user = [line for line in lines if line.startswith("USER ")]
    assert user == ["USER beautygan"], "the container's user is not root"


def test_what_is_needed_beside_tensorflow_is_told_for_lighter_installations() -> None:
    script = ROOT / "docs" / "packaging" / "others.py"
    told = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy>=1.26" in told and not any(name.startswith("tensorflow") for name in told)
