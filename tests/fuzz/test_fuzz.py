"""Every target of the fuzzer: past failures stay mended, damaged files are refused, and atheris finds nothing new."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from targets import TARGETS, mutations, seeds  # noqa: E402

CORPUS = sorted(path for path in (HERE / "corpus").glob("*/*") if path.is_file())
MUTATIONS = 40  # of each seed, where atheris may be missing
RUNS = {  # of the fuzzer in CI; each target's take a few seconds. The seeds are among them
    "photo": 500,
    "exif": 300,
    "xmp": 300,
    "model_json": 3000,
    "checkpoint_state": 100,
    "meta_graph": 100,
    "index": 60,
    "manifest": 300,
    "look": 1000,
}
LONGEST = 120  # seconds for one target, on a machine that is busy with other things


@pytest.mark.promise("Fuzzing: past failures")
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}"[:40])
def test_past_failures_stay_mended(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.promise("Fuzzing: damaged files", trials=MUTATIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_are_read_or_refused_in_one_sentence(target: str, trials: int) -> None:
    for content in seeds(target):
        TARGETS[target](content)
        for damaged in mutations(content, trials, seed=1):
            try:
                TARGETS[target](damaged)
            except BaseException:
                (Path(tempfile.gettempdir()) / f"beautygan-fuzz-{target}").write_bytes(damaged)  # to be looked at
                raise


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.promise("Fuzzing: atheris")
@pytest.mark.parametrize("target", TARGETS)
def test_coverage_guided_fuzzer_finds_nothing(target: str, tmp_path: Path) -> None:
    arguments = [target, "--here", "--runs", str(RUNS[target]), "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE), *arguments], capture_output=True, text=True, timeout=LONGEST
    )
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert done.returncode == 0 and found == [], done.stderr[-3000:]
    (runs,) = re.findall(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert int(runs) >= RUNS[target]
