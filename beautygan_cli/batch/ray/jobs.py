"""What goes between the driver and the workers of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from beautygan_cli.batch.manifest import Content, Entry, Record
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.outcome import Outcome
from beautygan_cli.batch.sources import ReadyLook
from beautygan_cli.errors import BeautyGANError
from beautygan_cli.photos.find import Found


class ClusterError(BeautyGANError):
    """The cluster can't be reached or can't do the work."""


@dataclass(frozen=True)
class Job:
    """One source's work: its results' places, and what the driver knows of them.

    known: a record for each output that has one. protected: those that are photos which were given, wanted: those
    whose pictures are asked for. written: SHA-256 of what was written at a path before.
    """

    item: Found
    outputs: tuple[Path, ...]
    known: dict[str, Record]
    protected: frozenset[str]
    wanted: frozenset[str]
    written: dict[str, frozenset[str]]


@dataclass(frozen=True)
class Done:
    """What came of a block of jobs; written: (path, SHA-256) of each file that got its name."""

    outcomes: list[Outcome] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    contents: list[Content] = field(default_factory=list)
    written: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Shared:
    """What all workers need, once in the object store.

    names: the looks', as a manifest keeps them; inside: photos that were given and lie in the folder of results,
    by their real paths; model: the checkpoint's files by name; run: the driver's, see `Manifest.run`; folder: that
    relative paths start from.
    """

    looks: list[ReadyLook]
    names: list[tuple[str, str, Path]]
    contents: dict[str, str]
    config: RunConfig
    inside: frozenset[str]
    model: dict[str, bytes]
    digest: str
    precision: str
    version: str
    run: int
    folder: str
