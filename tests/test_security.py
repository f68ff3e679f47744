"""SECURITY.md says what the tests hold, and the model card names the weights that are there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from promises import BLOCK, PROMISES, SECURITY, TESTS

ROOT = TESTS.parent
BUNDLED = ROOT / "models" / "default"


def test_security_names_each_promise_its_tests_and_the_cases_they_run() -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / "promises.py"), "--count"], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = BLOCK.search(SECURITY.read_text(encoding="utf-8"))
    assert written is not None
    assert written[2] in done.stdout, "SECURITY.md is behind; run: python tests/promises.py --write"
    for name in PROMISES:
        row = next(line for line in written[2].splitlines() if line.startswith(f"| {name} |"))
        assert "tests/" in row, f"nothing tries {name!r}"


@pytest.mark.promise("Known weights")
def test_the_model_card_has_the_digest_of_the_bundled_weights() -> None:
    digest = hashlib.sha256((BUNDLED / "model.data-00000-of-00001").read_bytes()).hexdigest()
    card = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"SHA-256[^`]*`([0-9a-f]{64})`", card) == [digest]
    assert json.loads((BUNDLED / "model.json").read_text())["sha256"] == digest


@pytest.mark.promise("Known weights")
def test_weights_of_which_one_bit_differs_are_refused(tmp_path: Path) -> None:
    from beautygan_cli.errors import ModelError
    from beautygan_cli.model.session import MakeupSession

    model = shutil.copytree(BUNDLED, tmp_path / "model")
    shard = model / "model.data-00000-of-00001"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ModelError, match=r"is not the file that model.json names"):
        MakeupSession(model)


@pytest.mark.promise("Known weights")
@pytest.mark.parametrize("bundled", [True, False])
def test_verbose_tells_model_digest_and_origin(
    beautygan: Callable[..., tuple[int, list[str], str]],
    place: Callable[..., Path],
    tmp_path: Path,
    bundled: bool,
) -> None:
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    copied = shutil.copytree(BUNDLED, tmp_path / "copied")
    arguments = () if bundled else ("--model", copied)
    _, _, err = beautygan("--no-makeup", "me.jpg", "--ref", "look.jpg", "--verbose", *arguments, with_model=False)
    digest = json.loads((BUNDLED / "model.json").read_text())["sha256"]
    origin = "the bundled one" if bundled else "given by --model"
    (line,) = [line for line in err.splitlines() if digest in line]
    assert f", {origin}, from " in line and (bundled or str(copied) in line)
