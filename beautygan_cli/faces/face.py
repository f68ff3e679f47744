"""A face that was found in a photo."""

from __future__ import annotations

from dataclasses import dataclass

from beautygan_cli.types import FloatArray


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo: box (left, top, right, bottom) and (68, 2) landmarks (x, y), all in photo pixels."""

    box: tuple[float, float, float, float]
    landmarks: FloatArray

    @property
    def size(self) -> float:
        """The box's width in photo pixels."""
        return self.box[2] - self.box[0]
