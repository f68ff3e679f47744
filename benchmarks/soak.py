"""A long run of small results: does memory, the number of open files or of threads grow?

    python benchmarks/soak.py [--results 20000]

The command makes a folder of small photos up in a process of its own, and the system is asked for its resident memory,
open files and threads after every hundredth of the run. What the first hundred results needed is what all others may
need: exit status 1 where threads exceed it, or files by more than those at work at once, or where memory, the median of
the last fifth of the samples against that of the first fifth after a hundred results, grew by more than `--allowed` MB.
Linux alone, for its /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from folder import command, generate

AT_WORK = 6  # files that readers and finishers may have open at the moment they are counted, of which chance decides
FIRST = 100  # results after which everything that is made once has been made


class Sample(NamedTuple):
    """What a process held after so many results."""

    results: int
    megabytes: float
    files: int
    threads: int


def main() -> int:
    """Run, print a table and the verdict; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=20_000)
    parser.add_argument("--references", type=int, default=6)
    parser.add_argument("--allowed", type=float, default=48.0, help="growth of memory, MB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--options", default="", help="more options for the command, in one string")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beautygan-soak-") as folder:
        return soak(options, Path(folder))


def soak(options: argparse.Namespace, folder: Path) -> int:
    """Make the folder up and watch the process."""
    generate(folder / "photos", -(-options.results // options.references), options.seed)
    samples: list[Sample] = []
    began, results = time.monotonic(), 0
    arguments = [*command(folder / "photos", folder / "out", options), "--quiet"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            results += 1
            if results <= FIRST or results % max(1, options.results // 100) == 0:
                with contextlib.suppress(OSError, KeyError):  # the last result's process may have ended
                    samples.append(sample(process.pid, results))
    print(f"{results} results in {time.monotonic() - began:.0f} s, exit {process.returncode}")
    stayed = sound(samples, options.allowed)
    return 0 if stayed and process.returncode == 0 else 1


def sample(process: int, results: int) -> Sample:
    """What a process holds now."""
    place = Path("/proc", str(process))
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    files = len(list((place / "fd").iterdir()))
    return Sample(results, int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]))


def sound(samples: list[Sample], allowed: float) -> bool:
    """Print what was seen, and say whether nothing grew."""
    first = [one for one in samples if one.results <= FIRST]
    later = [one for one in samples if one.results > FIRST]
    print("results  memory MB  open files  threads")
    for one in (first[-1], *later[:: max(1, len(later) // 10)], later[-1]):
        print(f"{one.results:7d}  {one.megabytes:9.0f}  {one.files:10d}  {one.threads:7d}")
    fifth = max(1, len(later) // 5)
    growth = median(one.megabytes for one in later[-fifth:]) - median(one.megabytes for one in later[:fifth])
    files, threads = (max(getattr(one, name) for one in later) for name in ("files", "threads"))
    files_first, threads_first = (max(getattr(one, name) for one in first) for name in ("files", "threads"))
    print(f"memory grew by {growth:+.1f} MB (allowed: {allowed:g})")
    print(f"open files: at most {files}, in the first {FIRST} results {files_first}")
    print(f"threads: at most {threads}, in the first {FIRST} results {threads_first}")
    return growth <= allowed and files <= files_first + AT_WORK and threads <= threads_first


if __name__ == "__main__":
    sys.exit(main())
