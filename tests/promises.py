"""What SECURITY.md promises, counted: which tests try each promise, with how many cases, and what came out.

    python tests/promises.py            # runs them all and prints the table with what passed; about 15 minutes
    python tests/promises.py --count    # counts the cases without running them
    python tests/promises.py --write    # the same, into SECURITY.md

A test belongs to a promise by `@pytest.mark.promise("name")`. Each of its parameters is a case; one that goes through
several by itself says so with `trials=200`, and takes the number from the fixture `trials`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
SECURITY = TESTS.parent / "SECURITY.md"
BLOCK = re.compile(r"(<!-- promises -->\n)(.*?)(<!-- end of promises -->)", re.DOTALL)

PROMISES = {
    "Hostile models": "A model is data: it computes, or is refused by name; it reads, writes and runs nothing",
    "Known weights": "The bundled weights are those of the model card; `--verbose` names model, digest and origin",
    "Hostile photos": "Any photo ends as a correct result or as one clear line, and stops, hangs or harms nothing",
    "Photos in and out": "Every format is read upright and written whole or not at all, with its metadata",
    "Safe outputs": "A result is whole or absent, its failure is named, inputs and all else stay as they were",
    "Stopping": "A run that is told to end does so within seconds, wherever it is, with nothing half written",
    "Privacy": "Nothing leaves the machine; reports hold no absolute paths; position and mark as asked",
    "Determinism": "The same input gives the same bytes; how the work is spread changes one grey level at most",
    "Long runs": "After the first hundred results memory grows by 48 MB at most, open files and threads not at all",
    "Fuzzing: past failures": "What once failed is tried again",
    "Fuzzing: damaged files": "Damaged copies of sound files are read or refused in one sentence",
    "Fuzzing: atheris": "A coverage-guided fuzzer finds nothing in a fixed number of runs on each reader and writer",
}


class Count:
    """A pytest plugin that counts the cases of each promise as they are collected and as they end."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.files: defaultdict[str, set[str]] = defaultdict(set)
        self.ended: Counter[tuple[str, str]] = Counter()
        self.of: dict[str, dict[str, int]] = {}
        self.longest: dict[str, tuple[float, str]] = {}  # of what trials measure: the most, and where

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            trials: dict[str, int] = {}
            for mark in item.iter_markers("promise"):
                (name,) = mark.args
                trials[name] = max(trials.get(name, 1), mark.kwargs.get("trials", 1))
            self.of[item.nodeid] = trials
            for name, number in trials.items():
                self.cases[name] += number
                self.files[name].add(item.path.relative_to(TESTS).as_posix())

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            for name, number in self.of.get(report.nodeid, {}).items():
                self.ended[name, report.outcome] += number
            for what, value in report.user_properties:
                self.longest[what] = max(self.longest.get(what, (value, report.nodeid)), (value, report.nodeid))

    def table(self, ran: bool = False) -> str:
        """The promises as a Markdown table, with what came out if they were run."""
        columns = ["Promise", "What it says", "Tests", "Cases", *(["Passed", "Failed", "Skipped"] if ran else [])]
        lines = [columns, ["---"] * len(columns)]
        for name, says in PROMISES.items():
            files = ", ".join(f"[{file}](tests/{file})" for file in sorted(self.files[name]))
            outcomes = [str(self.ended[name, outcome]) for outcome in ("passed", "failed", "skipped")]
            lines.append([name, says, files, f"{self.cases[name]:,}", *(outcomes if ran else [])])
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    """Run or count; returns pytest's exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", action="store_true", help="without running")
    parser.add_argument("--write", action="store_true", help="the count into SECURITY.md")
    options = parser.parse_args()
    count, ran = Count(), not (options.count or options.write)
    with_promises = [path for path in sorted(TESTS.rglob("test_*.py")) if "mark.promise(" in path.read_text("utf-8")]
    arguments = [
        *map(str, with_promises),
        "-m",
        "promise",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(TESTS.parent),
    ]
    arguments += [] if ran else ["--collect-only", "-qq", "--no-header"]
    status = pytest.main(arguments, plugins=[count])
    if unknown := set(count.cases) - set(PROMISES):
        print(f"promises that tests/promises.py does not know: {unknown}")
        return 1
    print(f"\n{count.table(ran)}")
    for what, (value, where) in count.longest.items():
        print(f"most {what}: {value:.1f}, in {where}")
    if options.write:
        SECURITY.write_text(BLOCK.sub(rf"\1{count.table()}\3", SECURITY.read_text(encoding="utf-8")), encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
