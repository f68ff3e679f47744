"""A page to look through a folder of results in a browser: one file, beside the results, without a network."""

from __future__ import annotations

import hashlib
import html
import importlib.resources
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from beautygan_cli.batch.outcome import MEASURED, Outcome, Status
from beautygan_cli.errors import OutputError
from beautygan_cli.evaluation.fault_summary import FAULTS, TOLD
from beautygan_cli.photos.files import Journal, printable, write_text
from beautygan_cli.photos.formats import is_clip
from beautygan_cli.photos.photo import Photo, write_photo
from beautygan_cli.report.table import FIELDS, Rows, Shortened
from beautygan_cli.types import UInt8Array

PAGE = "index.html"
THUMBNAILS = "thumbnails"  # folder of the small pictures, beside the page
QUALITY = 82
_LIST, _WORDS, _RESULTS = "<!--LIST-->", "/*WORDS*/", "/*RESULTS*/"  # places in the page, in this order


class FigureWords(NamedTuple):
    """What a card says of one line of figures.

    names: of MEASURED, one, or the source's and the result's. label: in plain words. good: which values are good ones.
    places: digits behind the point. main: whether the card has it, or only the large view.
    """

    names: tuple[str, ...]
    label: str
    good: str
    places: int = 1
    main: bool = False


_NEARER = "before → after; less is nearer to the look, and below 2 is hardly seen"
_UNTOUCHED = "best near 0"
FIGURES = (
    FigureWords(("lips_before", "lips_after"), "colour of the lips: distance to the look", _NEARER, main=True),
    FigureWords(("lids_before", "lids_after"), "colour of the eyelids: distance to the look", _NEARER, main=True),
    FigureWords(("skin_before", "skin_after"), "colour of the skin: distance to the look", _NEARER, main=True),
    FigureWords(("identity",), "how far the face is from itself", "less is more alike", 3, main=True),
    FigureWords(("detail",), "fine detail that is still there", "1 is all of it", 3, main=True),
    FigureWords(("lids_ratio",), "evenness of the two eyelids", "1 is even", 2),
    FigureWords(("patches",), "skin that was left out, per cent", _UNTOUCHED),
    FigureWords(("hair",), "makeup on hair", _UNTOUCHED, 2),
    FigureWords(("eyes",), "makeup on the eyeballs", _UNTOUCHED, 2),
    FigureWords(("teeth",), "makeup on the teeth", _UNTOUCHED, 2),
    FigureWords(("smudge",), "eye makeup smudged up to the brow", "as the look has it", 2),
    FigureWords(("step",), "sharpness of the eye makeup's edge", "as the look has it", 2),
    FigureWords(("alike",), "likeness of the two eyes", "1 is alike", 2),
)


class Gallery:
    """The page and its small pictures, in a folder of results."""

    def __init__(
        self,
        folder: Path,
        shortened: Shortened | None = None,
        *,
        looks: Mapping[Path, UInt8Array] | None = None,
        overwrite: bool = False,
        journal: Journal | None = None,
    ) -> None:
        """A gallery in a folder of results. OutputError where its pictures would go elsewhere.

        Arguments:
            folder: where the results and the page are.
            shortened: how paths are shown (None: as they are).
            looks: by the reference that outcomes name, the face that shows its makeup, (S, S, 3) uint8 RGB.
            overwrite: whether a page that is there may be replaced, whoever wrote it.
            journal: what knows the pages that may be replaced in any case, see `files.whole`.
        """
        self.overwrite, self.journal = overwrite, journal
        self.looks = dict(looks or {})
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
        """Write the small pictures of an outcome that brings them, and the one of its look."""
        if outcome.output is None:
            return
        if outcome.status != Status.FAILED and outcome.reference in self.looks:  # once for all of a look's results
            _write_thumbnail(self._look_path(outcome.reference), self.looks.pop(outcome.reference))
        if outcome.previews is None:
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
        text = self._page(page, rows)
        write_text(self.folder / PAGE, text, overwrite=self.overwrite, journal=self.journal)

    def _page(self, page: str, rows: Rows) -> Iterator[str]:
        before_list, rest = page.split(_LIST)
        before_words, rest = rest.split(_WORDS)
        before_results, end = rest.split(_RESULTS)
        yield before_list
        yield from (_list_item(self._card(row)) for row in rows)
        yield before_words + _json(_words()) + before_results
        yield from _separated(_json(self._card(row)) for row in rows)
        yield end

    def _card(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What the page is told of a result; links are relative to it."""
        told = self.shortened.row(row)
        card = {
            "source": printable(told["source"]),
            "reference": told["reference"] and printable(told["reference"]),
            "status": row["status"],
            "reason": told["reason"],
            "partly": row["partly"],
            "faults": _faults(row),
            "faces": row["faces"],
            "asked": row["asked"],
            "strength": row["strength"],
            "figures": {name: row[name] for name in MEASURED},
        }
        output = Path(row["output"]) if row["output"] else None
        if output is not None and row["status"] != "failed" and self.has(output):
            card["clip"] = is_clip(output)
            card["output"] = self._link(output)
            card["after"] = self._link(self._after_path(output))
            card["before"] = self._link(self._before_path(Path(row["source"])))
            if self._tells_nothing_new(Path(row["source"]), Path(told["source"])):
                card["original"] = self._link(Path(row["source"]))
            if row["reference"] and (look := self._look_path(Path(row["reference"]))).exists():
                card["look"] = self._link(look)
        return card

    def _tells_nothing_new(self, path: Path, shown: Path) -> bool:
        """Whether the way from the page to a file names no folder beyond those that its path is shown with."""
        try:
            way = Path(os.path.relpath(path, self.folder))
        except ValueError:  # on another drive
            return False
        named = tuple(part for part in way.parts if part != os.pardir)
        return shown.parts[-len(named) :] == named

    def _link(self, path: Path) -> str:
        """The address of a file as the page, which lies in the folder, calls it."""
        return quote(os.fsencode(os.path.relpath(path, self.folder).replace(os.sep, "/")))

    def _look_path(self, reference: Path) -> Path:
        return self.thumbnails / f"{_digest(reference.absolute())}-look.jpg"

    def _before_path(self, source: Path) -> Path:
        return self.thumbnails / f"{_digest(source.absolute())}-before.jpg"

    def _after_path(self, output: Path) -> Path:
        return self.thumbnails / f"{_digest(Path(os.path.relpath(output, self.folder)))}-after.jpg"


def _faults(row: Mapping[str, Any]) -> list[str]:
    """The names of the faults that a result's reason tells of."""
    phrases = (row["reason"] or "").split("; ") if row["status"] != "failed" else []
    return [name for name in TOLD if FAULTS[name] in phrases]


def _words() -> dict[str, Any]:
    """What figures and faults are called on the page, and what each means."""
    return {
        "faults": {name: FAULTS[name] for name in TOLD},
        "figures": [
            {
                "names": figure.names,
                "label": figure.label,
                "meaning": f"{FIELDS[figure.names[0]].removesuffix(', in the source')}; {figure.good}",
                "places": figure.places,
                "main": figure.main,
            }
            for figure in FIGURES
        ],
    }


def _json(value: Any) -> str:
    """JSON to stand inside a script element, which only "<" could end; as an escape it says the same."""
    return json.dumps(value).replace("<", "\\u003c")


def _separated(parts: Iterator[str]) -> Iterator[str]:
    separator = "\n"
    for part in parts:
        yield separator + part
        separator = ",\n"


def _list_item(card: Mapping[str, Any]) -> str:
    """A result in the list that stands in for the cards where scripts don't run."""
    name = html.escape(card["source"])
    look = f" with {html.escape(card['reference'])}" if card["reference"] else ""
    said = f"{name}{look}, at {100 * card['asked']:.4g}&nbsp;%"
    if "output" not in card:
        return f"<li>{name}{look}: {html.escape(card['reason'] or card['status'])}</li>\n"
    link, before, after = (html.escape(card[name]) for name in ("output", "before", "after"))
    pictures = "".join(
        f'<img src="{address}" alt="{when}" loading="lazy">' for address, when in ((before, "before"), (after, "after"))
    )
    return f'<li><a href="{link}">{pictures}<span>{said}</span></a></li>\n'


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:20]


def _write_thumbnail(path: Path, pixels: UInt8Array) -> None:
    try:
        write_photo(Photo(pixels), path, quality=QUALITY, overwrite=True, mark=False)
    except OutputError as error:
        raise OutputError(f"the gallery's {error}") from error
