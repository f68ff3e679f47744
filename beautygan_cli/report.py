"""What a batch shows beside its photos: the classic grid of references and results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import images
from beautygan_cli.batch import Outcome, Reference

UInt8Array = NDArray[np.uint8]

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
