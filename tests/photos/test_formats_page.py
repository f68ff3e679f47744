"""The page of formats names each property's test, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from formats_table import HOLDERS, PAGE, TESTS, Lines


def test_the_page_has_the_line_of_each_test_and_no_other() -> None:
    lines = Lines()
    arguments = ["-q", "--collect-only", *(str(TESTS / holder) for holder in HOLDERS)]
    assert pytest.main(arguments, plugins=[lines]) == 0
    assert PAGE.read_text(encoding="utf-8") == lines.page()
    assert len(lines.lines) > 30


def test_no_test_with_a_line_lies_elsewhere() -> None:
    marked = re.compile(r"^@says\(", re.MULTILINE)
    holding = {path for path in Path(TESTS).rglob("test_*.py") if marked.search(path.read_text(encoding="utf-8"))}
    assert holding == {TESTS / holder for holder in HOLDERS}
