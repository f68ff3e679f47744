"""A page to look through a folder of results in a browser: one file, beside the results, without a network."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from beautygan_cli.batch.outcome import MEASURED, Outcome
from beautygan_cli.errors import OutputError
from beautygan_cli.photos.files import Journal, printable, write_text
from beautygan_cli.photos.photo import Photo, write_photo
from beautygan_cli.report.table import Rows, Shortened
from beautygan_cli.types import UInt8Array

PAGE = "index.html"
THUMBNAILS = "thumbnails"  # folder of the small pictures, beside the page
QUALITY = 82
_MARKER = "/*RESULTS*/"


class Gallery:
    """The page and its small pictures, in a folder of results."""

    def __init__(
        self,
        folder: Path,
        shortened: Shortened | None = None,
        *,
        overwrite: bool = False,
        journal: Journal | None = None,
    ) -> None:
        """`shortened`: how paths are shown (None: as they are); the others: whether a page may be replaced."""
        self.overwrite, self.journal = overwrite, journal
        self.folder = folder
        self.thumbnails = folder / THUMBNAILS
        if self.thumbnails.is_symlink():  # it may lead anywhere
            raise OutputError(f"{printable(self.thumbnails)} is a link; remove it, or choose another --out.")
        self.shortened = shortened or Shortened(())
        self._before: Path | None = None

    def has(self, output: Path) -> bool:
        """Whether a result has its small picture already."""
        return self._after_path(output).exists()

    def add(self, outcome: Outcome) -> None:
        """Write the small pictures of an outcome that brings them."""
        if outcome.previews is None or outcome.output is None:
            return
        before, after = outcome.previews
        path = self._before_path(outcome.source)
        if path != self._before:  # results come source by source: once for all of a source's
            self._before = path
            _write_thumbnail(path, before)
        _write_thumbnail(self._after_path(outcome.output), after)

    def write(self, rows: Rows, about: Mapping[str, Any]) -> None:
        """Write the page with a card for each row. OutputError."""
        page = importlib.resources.files("beautygan_cli.report").joinpath("gallery.html").read_text(encoding="utf-8")
        head, tail = page.split(_MARKER)
        text = self._page(head, rows, tail)
        write_text(self.folder / PAGE, text, overwrite=self.overwrite, journal=self.journal)

    def _page(self, head: str, rows: Rows, tail: str) -> Iterator[str]:
        yield head
        separator = "\n"
        for row in rows:
            # Inside a script element only "<" could end it; as an escape it says the same to JSON.
            yield separator + json.dumps(self._card(row)).replace("<", "\\u003c")
            separator = ",\n"
        yield tail

    def _card(self, row: Mapping[str, Any]) -> dict[str, Any]:
        told = self.shortened.row(row)
        card = {
            "source": printable(told["source"]),
            "reference": told["reference"] and printable(told["reference"]),
            "status": row["status"],
            "reason": told["reason"],
            "partly": row["partly"],
            "faces": row["faces"],
            "strength": row["strength"],
            "figures": {name: row[name] for name in MEASURED},
        }
        output = Path(row["output"]) if row["output"] else None
        if output is not None and row["status"] != "failed" and self.has(output):
            card["output"] = self._link(output)
            card["after"] = self._link(self._after_path(output))
            card["before"] = self._link(self._before_path(Path(row["source"])))
        return card

    def _link(self, path: Path) -> str:
        """The address of a file as the page, which lies in the folder, calls it."""
        return quote(os.fsencode(os.path.relpath(path, self.folder).replace(os.sep, "/")))

    def _before_path(self, source: Path) -> Path:
        return self.thumbnails / f"{_digest(source.absolute())}-before.jpg"

    def _after_path(self, output: Path) -> Path:
        return self.thumbnails / f"{_digest(Path(os.path.relpath(output, self.folder)))}-after.jpg"


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:20]


def _write_thumbnail(path: Path, pixels: UInt8Array) -> None:
    try:
        write_photo(Photo(pixels), path, quality=QUALITY, overwrite=True, mark=False)
    except OutputError as error:
        raise OutputError(f"the gallery's {error}") from error
