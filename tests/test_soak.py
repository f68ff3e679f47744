"""A short soak; `python benchmarks/soak.py` is the long one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parent.parent / "benchmarks" / "soak.py"
RESULTS = 300


@pytest.mark.slow
@pytest.mark.promise("Long runs", trials=RESULTS)
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux's /proc")
def test_memory_stays_within_a_bound_and_files_and_threads_do_not_grow_after_the_first_hundred(trials: int) -> None:
    done = subprocess.run(
        [sys.executable, str(SOAK), "--results", str(trials)], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{trials} results in", done.stdout, re.MULTILINE)
