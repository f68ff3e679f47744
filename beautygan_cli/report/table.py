"""What a batch shows beside its photos: a row a result as JSON or CSV, and the classic grid."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beautygan_cli.batch.outcome import MEASURED, STAGES, Outcome, Status
from beautygan_cli.batch.sources import ReadyLook
from beautygan_cli.errors import OutputError
from beautygan_cli.photos.files import Journal, printable, write_text
from beautygan_cli.photos.photo import Photo, write_photo
from beautygan_cli.types import UInt8Array

SCHEMA = 2  # of the JSON report; raised when a field changes its meaning or goes
SUFFIXES = (".json", ".csv")

# What the JSON says of the run, beside `schema` and `results`; docs/report.md is held against it by a test.
ABOUT: Mapping[str, str] = {
    "beautygan": "version of the program",
    "model": "`name` and `sha256` of the model",
    "command": "the command, argument by argument, that makes the same results again; paths as in the rows",
    "options": "what each result follows from beside its look: `strengths` are those of `--strength`",
    "looks": "`path` of each look, and its `strengths` by region before `--strength`; null goes with the eyes",
    "precision": "of the network's arithmetic: `fp32` or `bf16`",
    "began": "when the run began, in UTC",
    "seconds": "how long it took",
    "stopped": "whether Ctrl-C or a signal ended it",
}

# Every field of a row, with what it says; the table in docs/report.md is held against it by a test.
FIELDS: Mapping[str, str] = {
    "source": "path of the photo that was to be made up",
    "reference": "path of the photo whose makeup was taken, or of the look file",
    "output": "path of the result; of a failed one, where it would be",
    "status": "`made`, `kept` (it was there before) or `failed`",
    "reason": "why it failed, was kept or was made weaker, what of a face or of the reference is covered or out of the"
    " photo, what came out wrong; of a clip, how many frames show no face",
    "partly": "whether something that was asked for is left out or made weaker; `reason` says what",
    "faces": "faces made up",
    "width": "of the result in pixels",
    "height": "of the result in pixels",
    "asked": "overall strength that was asked for with `--strength`",
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
    "lids_ratio": "change of the eyelid that changed less by that of the other, in L*a*b*",
    "patches": "per cent of the skin that stayed as it was while the rest changed",
    "hair": "change in L*a*b* of hair and of what else lies before the face; about 1 is just visible",
    "eyes": "change in L*a*b* inside the eyes' openings",
    "teeth": "change in L*a*b* inside the mouth's opening",
    "smudge": "how much of the darkening above the lashes is still there below the brow",
    "step": "largest fall of that darkening over a twentieth of the eye's width, 0 to 1: how sharp its edge is",
    "alike": "how alike the two eyes are darkened, 1 for the same",
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
        "partly": outcome.partly,
        "faces": outcome.faces,
        "width": width or None,
        "height": height or None,
        "asked": outcome.asked,
        "strength": outcome.strength,
    }
    values |= {f"{stage}_seconds": _rounded(outcome.seconds.get(stage)) for stage in STAGES}
    values |= {name: outcome.figures.get(name) for name in MEASURED}
    return values


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


class Rows:
    """The rows of a run, as many as there are, in a temporary file rather than in memory. OutputError if it is full."""

    def __init__(self) -> None:
        with _told_if_full():
            self._database = sqlite3.connect("", isolation_level=None)  # SQLite's own temporary file, gone at the end
            self._database.execute("CREATE TABLE rows (place INTEGER PRIMARY KEY, failed TEXT, row TEXT)")
            self._database.execute("CREATE INDEX rows_by_failed ON rows (failed) WHERE failed IS NOT NULL")

    def add(self, outcome: Outcome) -> None:
        """Take an outcome in, in the place of one that failed for the same photo, if that came again."""
        values = row(outcome)
        pair = json.dumps([values["source"], values["reference"], values["asked"]])
        failed = pair if outcome.status == Status.FAILED else None
        with _told_if_full():
            self._database.execute("DELETE FROM rows WHERE failed = ?", (pair,))
            self._database.execute("INSERT INTO rows (failed, row) VALUES (?, ?)", (failed, json.dumps(values)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for _, values in self._numbered():
            yield values

    def _numbered(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with _told_if_full():
            for place, text in self._database.execute("SELECT place, row FROM rows ORDER BY place"):
                yield place, json.loads(text)

    def fail_missing(self, lost_file: Callable[[Path, Status], Path | None]) -> list[dict[str, Any]]:
        """The rows of results that were there and are gone or spoilt, which count as failed from now on.

        lost_file: by a result's path and status the first of its files that is not as it was, None where all are.
        """
        lost = [
            (place, values, file)
            for place, values in self._numbered()
            if values["status"] != Status.FAILED
            and values["output"]
            and (file := lost_file(Path(values["output"]), Status(values["status"])))
        ]
        with _told_if_full():
            for place, values, file in lost:
                gone, remedy = "gone", "start again to make it"
                if os.path.lexists(file):
                    gone, remedy = "no longer as it was", "remove it and start again to make it"
                reason = f"{printable(file)} was {values['status']} and is {gone}; {remedy}."
                now = {**values, "status": Status.FAILED, "reason": reason}
                self._database.execute("UPDATE rows SET row = ? WHERE place = ?", (json.dumps(now), place))
        return [values for _, values, _ in lost]

    def close(self) -> None:
        """Free the temporary file."""
        self._database.close()


@contextlib.contextmanager
def _told_if_full() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        folder = printable(tempfile.gettempdir())
        raise OutputError(
            f"the rows of the report can't be kept in {folder} ({printable(str(error))}); free some space there or name"
            " another folder in TMPDIR."
        ) from error


class Shortened:
    """Paths as a report shows them: below the folders that were named, which themselves are shown by name alone.

    `given`: the paths that were named, and the folder of results. Those that were named in full, from the system's
    root, are shortened; with `full` none is. `stdin`: temporary files of photos that came in there.
    """

    def __init__(self, given: Iterable[Path], *, full: bool = False, stdin: Iterable[Path] = ()) -> None:
        self.stdin = {str(path) for path in stdin}
        self.here = ""
        with contextlib.suppress(OSError):  # of a folder that is gone
            self.here = "" if full else f"{Path.cwd()}{os.sep}"
        absolute = {path for path in given if path.is_absolute() and not full}
        # The longest first: of two folders one of which holds the other, the inner one's own name is the shorter path.
        self.parents = sorted({path.parent for path in absolute}, key=lambda path: -len(path.parts))

    def path(self, path: str) -> str:
        """A path as it is shown."""
        if path in self.stdin:
            return "stdin"
        for parent in self.parents:
            if Path(path).is_relative_to(parent):
                return str(Path(path).relative_to(parent))
        return path

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with its paths as they are shown, those inside its reason too."""
        short = dict(row)
        for name in ("source", "reference", "output"):
            if row[name]:
                short[name] = self.path(row[name])
        reason = row["reason"]
        if reason:
            named = [row[name] for name in ("source", "reference", "output") if row[name]]
            for long in sorted(named, key=len, reverse=True):
                told = printable(self.path(long))
                # A library names a file by its URL, whatever it was called.
                reason = reason.replace(f"file:{printable(Path(long).absolute())}", told)
                reason = reason.replace(printable(long), told)
            if len(self.here) > 1:
                reason = reason.replace(printable(self.here), "")
            for parent in self.parents:
                if parent != parent.parent:  # the system's root alone would take every "/" away
                    reason = reason.replace(f"{printable(parent)}{os.sep}", "")
            short["reason"] = reason
        return short


def write_report(
    rows: Iterable[Mapping[str, Any]],
    path: Path,
    about: Mapping[str, Any],
    *,
    overwrite: bool = False,
    journal: Journal | None = None,
) -> None:
    """Write the rows as JSON or CSV, as the path's suffix says, whole or not at all. OutputError.

    `about`: what the JSON says of the run beside its schema and its rows. `overwrite`, `journal`: which files may be
    replaced, see `files.whole`.
    """
    text = _csv(rows) if path.suffix.lower() == ".csv" else _json(rows, about)
    write_text(path, text, overwrite=overwrite, journal=journal)


def _json(rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any]) -> Iterator[str]:
    head = json.dumps({"schema": SCHEMA, **about}, ensure_ascii=False, indent=2)
    yield head.removesuffix("\n}") + ',\n  "results": ['
    before = "\n    "
    for values in rows:
        yield before + json.dumps(values, ensure_ascii=False)
        before = ",\n    "
    yield "\n  ]\n}\n"


def _csv(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    page = io.StringIO()
    table = csv.DictWriter(page, FIELDS, lineterminator="\n", quoting=csv.QUOTE_ALL)
    table.writeheader()
    for values in rows:
        table.writerow({name: cell(value) for name, value in values.items()})
        yield page.getvalue()
        page.seek(0)
        page.truncate()
    yield page.getvalue()


def cell(value: Any) -> Any:
    """A value as a cell of a table: text is one line, without what moves a terminal's cursor, and begins no formula."""
    # A spreadsheet takes a cell that begins so for a formula, and a file's name may be a stranger's.
    if not isinstance(value, str):
        return value
    told = printable(value)  # a line's end inside a cell is a row's end for many readers
    return f"'{told}" if told.lstrip().startswith(("=", "+", "-", "@")) else told


# The grid

LARGEST_GRID = 80_000_000  # pixels; with more results the cells get smaller
SMALLEST_CELL = 48
GAP = 4  # white pixels between cells
LABEL = 0.14  # height of a column's label, of a cell's


class Grid:
    """Collects chips as results come in: first row the references, then a row a source, itself in front.

    With several strengths each look has a column for each, under a label that says how strong.
    """

    def __init__(self, looks: Sequence[ReadyLook], sources: int, sweep: Sequence[float] = (1.0,)) -> None:
        self.columns = [(look, asked) for look in looks for asked in sweep]
        columns, rows = len(self.columns) + 1, sources + 1
        largest = looks[0].face.chip.shape[0]
        self.cell = int(np.clip((LARGEST_GRID / (columns * rows)) ** 0.5 - GAP, SMALLEST_CELL, largest))
        self.label = round(LABEL * self.cell) if len(sweep) > 1 else 0
        self.rows: dict[Path, list[UInt8Array | None]] = {}

    def add(self, outcome: Outcome) -> None:
        """Take in an outcome; one that was not made leaves its cell white."""
        row = self.rows.setdefault(outcome.source, [None] * (len(self.columns) + 1))
        if outcome.chips is None:
            return
        before, after = outcome.chips
        row[0] = self._fit(before)
        for column, (look, asked) in enumerate(self.columns, start=1):
            if (look.path, asked) == (outcome.reference, outcome.asked):
                row[column] = self._fit(after)

    def picture(self) -> UInt8Array:
        """The grid so far, (H, W, 3) uint8 RGB."""
        head: list[UInt8Array | None] = [None, *(self._fit(look.face.chip) for look, _ in self.columns)]
        rows = [head, *(row for row in self.rows.values() if any(cell is not None for cell in row))]
        pitch = self.cell + GAP
        canvas = np.full((self.label + len(rows) * pitch + GAP, len(head) * pitch + GAP, 3), 255, dtype=np.uint8)
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                if cell is not None:
                    top, left = self.label + GAP + y * pitch, GAP + x * pitch
                    canvas[top : top + self.cell, left : left + self.cell] = cell
        for column, (_, asked) in enumerate(self.columns, start=1) if self.label else ():
            _write_label(canvas, f"{100 * asked:.4g} %", (column * pitch + GAP, GAP), (self.cell, self.label))
        return canvas

    def write(self, path: Path, *, overwrite: bool, journal: Journal | None = None) -> None:
        """Write the grid; OutputError where it can't be."""
        write_photo(Photo(pixels=self.picture()), path, quality=92, overwrite=overwrite, journal=journal)

    def _fit(self, chip: UInt8Array) -> UInt8Array:
        import cv2

        if chip.shape[0] == self.cell:
            return chip
        return np.asarray(cv2.resize(chip, (self.cell, self.cell), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def menu(chips: Mapping[str, UInt8Array]) -> UInt8Array:
    """Square pictures of one size, (S, S, 3) uint8 RGB, under their names, in a picture of (H, W, 3)."""
    side = next(iter(chips.values())).shape[0]
    label, columns = round(LABEL * side), int(np.ceil(len(chips) ** 0.5))
    width, height = side + GAP, side + label + GAP
    canvas = np.full((-(-len(chips) // columns) * height + GAP, columns * width + GAP, 3), 255, dtype=np.uint8)
    for number, (name, chip) in enumerate(chips.items()):
        top, left = GAP + number // columns * height, GAP + number % columns * width
        canvas[top + label : top + label + side, left : left + side] = chip
        _write_label(canvas, name, (left, top), (side, label))
    return canvas


def _write_label(canvas: UInt8Array, text: str, corner: tuple[int, int], size: tuple[int, int]) -> None:
    """Text in the middle of a box: its left upper corner, its width and height."""
    import cv2

    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, size[1] // 16)
    scale = cv2.getFontScaleFromHeight(font, size[1] // 2, thickness)
    (width, height), _ = cv2.getTextSize(text, font, scale, thickness)
    place = (corner[0] + (size[0] - width) // 2, corner[1] + (size[1] + height) // 2)
    cv2.putText(canvas, text, place, font, scale, (40, 40, 40), thickness, cv2.LINE_AA)
