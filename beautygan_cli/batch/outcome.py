"""What became of a photo with a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from beautygan_cli.errors import BeautyGANError
from beautygan_cli.types import UInt8Array

Figures = Mapping[str, float | None]  # by name of MEASURED; None where a photo gives no ground for one

STAGES = ("read", "detect", "network", "composite", "measure", "write")
FAULT_FIGURES = ("lids_ratio", "patches", "hair", "eyes", "teeth", "smudge", "step", "alike")
MEASURED = (
    *(f"{region}_{when}" for region in ("lips", "lids", "skin") for when in ("before", "after")),
    "identity",
    "detail",
    *FAULT_FIGURES,
)


class Status(StrEnum):
    """How a result ended; in manifest and reports by its value."""

    MADE = "made"
    KEPT = "kept"  # it was there before
    FAILED = "failed"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one source with one look.

    reference: the look's photo or file. status, with the reason; notes: of this the phrases on what of photo, clip or
    reference was left out or converted. partly: something that was asked for is left out of
    the result, or weaker.
    asked: the overall strength that was asked for; strength: the share of it that the result has, less than 1 where the
    identity limit asked for it. seconds by name of STAGES; figures
    where they were asked for. chips: the source's and the result's chip of the largest face, (S, S, 3) uint8 RGB, and
    previews: the faces in both with something around them, where they were asked for.
    """

    source: Path
    reference: Path | None
    output: Path | None
    status: Status
    reason: str = ""
    partly: bool = False
    faces: int = 0
    size: tuple[int, int] = (0, 0)
    asked: float = 1.0
    strength: float = 1.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)
    chips: tuple[UInt8Array, UInt8Array] | None = None
    previews: tuple[UInt8Array, UInt8Array] | None = None
    notes: tuple[str, ...] = ()

    @property
    def details(self) -> dict[str, Any]:
        """What the manifest keeps of it, for the reports of later runs."""
        names = ("partly", "faces", "size", "strength", "seconds", "figures")
        return {name: getattr(self, name) for name in names}

    def with_details(self, details: Mapping[str, Any]) -> Outcome:
        """The inverse of `details`."""
        known = {**details, "size": tuple(details["size"])} if "size" in details else details
        return replace(self, **known)


class BeyondLimitError(BeautyGANError):
    """A result that no strength brings within the identity limit; the outcome tells of the weakest one."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
