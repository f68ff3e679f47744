"""What becomes of what a file says of itself, as a table: each line is that of a test.

    python tests/formats_table.py            # runs the tests and writes docs/formats.md with what passed

A test gives its line by `@pytest.mark.says("formats", "property", "what becomes of it")`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "formats.md"
HOLDERS = ("photos/test_what_files_say.py", "photos/test_what_clips_say.py", "makeup/test_colour_spaces.py")
HEAD = """# Formats

What a photo or clip says of itself is kept, converted, said in the report, or refused in a sentence. Each line is that
of a test; `python tests/formats_table.py` runs them and writes this page.

| Formats | What the file says or holds | What becomes of it | Test |
|---|---|---|---|
"""

Line = tuple[str, str, str, str]


class Lines:
    """A pytest plugin that takes down the lines of the tests as they are collected, and which of them failed."""

    def __init__(self) -> None:
        self.lines: dict[Line, None] = {}
        self.of: dict[str, list[Line]] = {}
        self.failed: set[Line] = set()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            file = item.path.relative_to(TESTS).as_posix()
            for mark in item.iter_markers("says"):
                line = (*mark.args, f"[{item.originalname}](../tests/{file})")
                self.lines[line] = None
                self.of.setdefault(item.nodeid, []).append(line)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.update(self.of.get(report.nodeid, []))

    def page(self) -> str:
        """The page, without the lines of tests that failed."""
        return HEAD + "".join(f"| {' | '.join(line)} |\n" for line in self.lines if line not in self.failed)


def main() -> int:
    """Run the tests and write the page; returns pytest's exit status."""
    lines = Lines()
    status = pytest.main(["-q", *(str(TESTS / holder) for holder in HOLDERS)], plugins=[lines])
    PAGE.write_text(lines.page(), encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
