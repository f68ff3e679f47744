"""What a run does with each pair of a photo and a look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beautygan_cli.photos.photo import MAX_PIXELS


@dataclass(frozen=True)
class RunConfig:
    """What a batch does with each pair of a photo and a look.

    out: folder of the results. file: the one result, in that folder, where it was named. sweep: overall strengths, 0 to
    1, each of which gives a result of its own. remove: take makeup off, by the looks' bare faces. min_identity: the
    largest distance of dlib's descriptors of source and result; a result beyond it is made weaker. measure: take the
    figures of MEASURED. chips, previews: small pictures for the outcome, of that longest side, 0 for none.
    retry_failed: make only what failed before. jobs: processor cores to use, None for all. in_colour: makeup in colour
    on photos that have none.
    """

    out: Path
    file: Path | None = None
    sweep: tuple[float, ...] = (1.0,)
    remove: bool = False
    which: str = "all"
    crop: bool = False
    format: str = "same"
    quality: int = 95
    overwrite: bool = False
    max_pixels: int = MAX_PIXELS
    mark: bool = True
    strip_location: bool = False
    batch_size: int = 4
    min_identity: float | None = None
    measure: bool = False
    chips: bool = False
    previews: int = 0
    retry_failed: bool = False
    jobs: int | None = None
    in_colour: bool = False

    @property
    def recipe(self) -> dict[str, Any]:
        """Of the options, those that a result's pixels or metadata follow from."""
        names = ("remove", "which", "crop", "format", "quality", "mark", "strip_location")
        # Named and left out so that keys of earlier runs hold.
        limit = {"largest_distance": self.min_identity}
        asked = {"in_colour": True} if self.in_colour else {}
        return {name: getattr(self, name) for name in names} | limit | asked

    @property
    def network(self) -> dict[str, bool]:
        """What `pipeline.make_up` is told beside faces and session."""
        return {"remove": self.remove, "in_colour": self.in_colour}
