"""The notebook in docs/ runs, cell by cell in one process, and prints what stands under its cells."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "docs" / "notebook.ipynb"


def test_each_cell_of_the_notebook_prints_what_stands_under_it(model, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 6 and sum(bool(cell["outputs"]) for cell in cells) >= 4
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, object] = {}
    for cell in cells:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec("".join(cell["source"]), names)
        stored = "".join(text for output in cell["outputs"] for text in output["text"])
        assert printed.getvalue() == stored, cell["source"]


def test_the_page_on_python_leads_to_the_notebook() -> None:
    assert "](notebook.ipynb)" in (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
