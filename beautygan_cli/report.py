"""What a batch shows beside its photos: a row a result as JSON or CSV, and the classic grid."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import images
from beautygan_cli.errors import OutputError
from beautygan_cli.result import MEASURED, STAGES, Outcome, Reference

UInt8Array = NDArray[np.uint8]

SCHEMA = 1  # of the JSON report; raised when a field changes its meaning or goes
SUFFIXES = (".json", ".csv")

# Every field of a row, with what it says. The README's table is held against it by a test.
FIELDS: Mapping[str, str] = {
    "source": "path of the photo that was to be made up",
    "reference": "path of the photo whose makeup was taken",
    "output": "path of the result; of a failed one, where it would be",
    "status": "`made`, `kept` (it was there before) or `failed`",
    "reason": "why it failed, was kept or was made weaker; of a clip, how many frames show no face",
    "faces": "faces made up",
    "width": "of the result in pixels",
    "height": "of the result in pixels",
    "strength": "share of the asked strengths that was applied; below 1 where `--min-identity` asked for it",
    "read_seconds": "time to read and decode the source",
    "detect_seconds": "time to find and align its faces",
    "network_seconds": "time in the network, its share of the batches",
    "composite_seconds": "time to bring the makeup to full size",
    "measure_seconds": "time to take the figures below",
    "write_seconds": "time to encode and write the result",
    "lips_before": "colour distance (CIEDE2000) of the lips to the reference's, in the source",
    "lips_after": "the same in the result",
    "lids_before": "colour distance of the eyelids to the reference's, in the source",
    "lids_after": "the same in the result",
    "skin_before": "colour distance of cheeks and chin to the reference's, in the source",
    "skin_after": "the same in the result",
    "identity": "distance of dlib's face descriptors of source and result; two people are 0.6 or more apart",
    "detail": "correlation of fine detail (pores, lashes) with the source inside the face",
}


def row(outcome: Outcome) -> dict[str, Any]:
    """One result in the report's fields; what is not known is None."""
    width, height = outcome.size
    values: dict[str, Any] = {
        "source": str(outcome.source),
        "reference": None if outcome.reference is None else str(outcome.reference),
        "output": None if outcome.output is None else str(outcome.output),
        "status": outcome.status,
        "reason": outcome.reason or None,
        "faces": outcome.faces,
        "width": width or None,
        "height": height or None,
        "strength": outcome.strength,
    }
    values |= {f"{stage}_seconds": _rounded(outcome.seconds.get(stage)) for stage in STAGES}
    values |= {name: outcome.figures.get(name) for name in MEASURED}
    return values


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


class Rows:
    """The rows of a run, as many as there are, in a temporary file rather than in memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # SQLite's own temporary file, gone at the end
        self._database.execute("CREATE TABLE rows (place INTEGER PRIMARY KEY, row TEXT)")

    def add(self, outcome: Outcome) -> None:
        """Take an outcome in."""
        self._database.execute("INSERT INTO rows (row) VALUES (?)", (json.dumps(row(outcome)),))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for (text,) in self._database.execute("SELECT row FROM rows ORDER BY place"):
            yield json.loads(text)

    def close(self) -> None:
        """Free the temporary file."""
        self._database.close()


def write_report(rows: Rows, path: Path, about: Mapping[str, Any]) -> None:
    """Write the rows as JSON or CSV, as the path's suffix says, whole or not at all. OutputError.

    `about`: what the JSON says of the run beside its schema and its rows.
    """
    text = _csv(rows) if path.suffix.lower() == ".csv" else _json(rows, about)
    write_text(path, text)


def _json(rows: Rows, about: Mapping[str, Any]) -> Iterator[str]:
    head = json.dumps({"schema": SCHEMA, **about}, ensure_ascii=False, indent=2)
    yield head.removesuffix("\n}") + ',\n  "results": ['
    before = "\n    "
    for values in rows:
        yield before + json.dumps(values, ensure_ascii=False)
        before = ",\n    "
    yield "\n  ]\n}\n"


def _csv(rows: Rows) -> Iterator[str]:
    page = io.StringIO()
    table = csv.DictWriter(page, FIELDS, lineterminator="\n")
    table.writeheader()
    for values in rows:
        table.writerow({name: _cell(value) for name, value in values.items()})
        yield page.getvalue()
        page.seek(0)
        page.truncate()
    yield page.getvalue()


def _cell(value: Any) -> Any:
    # A spreadsheet takes a cell that begins so for a formula, and a file's name may be a stranger's.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def write_text(path: Path, parts: Iterator[str]) -> None:
    """Write text to a file, whole or not at all: a temporary file beside it first. OutputError."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(parts)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{images.shown(path)} can't be written: {error.strerror}; choose another place.") from error


# The grid

LARGEST_GRID = 80_000_000  # pixels; with more results the cells get smaller
SMALLEST_CELL = 48
GAP = 4  # white pixels between cells


class Grid:
    """Collects chips as results come in: first row the references, then a row a source, itself in front."""

    def __init__(self, references: Sequence[Reference], sources: int) -> None:
        columns, rows = len(references) + 1, sources + 1
        largest = references[0].face.chip.shape[0]
        self.cell = int(np.clip((LARGEST_GRID / (columns * rows)) ** 0.5 - GAP, SMALLEST_CELL, largest))
        self.references = list(references)
        self.rows: dict[Path, list[UInt8Array | None]] = {}

    def add(self, outcome: Outcome) -> None:
        """Take in an outcome; one that was not made leaves its cell white."""
        row = self.rows.setdefault(outcome.source, [None] * (len(self.references) + 1))
        if outcome.chips is None:
            return
        before, after = outcome.chips
        row[0] = self._fit(before)
        for column, reference in enumerate(self.references, start=1):
            if reference.path == outcome.reference:
                row[column] = self._fit(after)

    def picture(self) -> UInt8Array:
        """The grid so far, (H, W, 3) uint8 RGB."""
        head: list[UInt8Array | None] = [None, *(self._fit(reference.face.chip) for reference in self.references)]
        rows = [head, *(row for row in self.rows.values() if any(cell is not None for cell in row))]
        pitch = self.cell + GAP
        canvas = np.full((len(rows) * pitch + GAP, len(head) * pitch + GAP, 3), 255, dtype=np.uint8)
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                if cell is not None:
                    top, left = GAP + y * pitch, GAP + x * pitch
                    canvas[top : top + self.cell, left : left + self.cell] = cell
        return canvas

    def write(self, path: Path, *, overwrite: bool) -> None:
        """Write the grid; OutputError where it can't be."""
        images.write(images.Photo(pixels=self.picture()), path, quality=92, overwrite=overwrite)

    def _fit(self, chip: UInt8Array) -> UInt8Array:
        import cv2

        if chip.shape[0] == self.cell:
            return chip
        return np.asarray(cv2.resize(chip, (self.cell, self.cell), interpolation=cv2.INTER_AREA), dtype=np.uint8)
