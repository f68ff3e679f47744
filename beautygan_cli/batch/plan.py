"""What is to be done for each photo of a run: under which names, what an earlier run did, what is left to make."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from beautygan_cli.batch.manifest import Manifest, Record, State
from beautygan_cli.batch.naming import Names, folded, output_name
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.outcome import MEASURED, Outcome, Status
from beautygan_cli.batch.sources import ReadyLook, Source
from beautygan_cli.errors import OutputError
from beautygan_cli.makeup.look import REGIONS
from beautygan_cli.makeup.words import Drawn, drawn_style
from beautygan_cli.photos.animation import animation_format, animation_suffix
from beautygan_cli.photos.clip import CLIP_SUFFIX
from beautygan_cli.photos.files import present, printable
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.formats import is_clip
from beautygan_cli.photos.photo import suffix_for, told_format

if TYPE_CHECKING:
    from beautygan_cli.model.session import MakeupSession


DRAWING = 1  # raised when the same style is drawn otherwise than before


class Place(NamedTuple):
    """Where one result goes: the look, the look's content, the strength that is asked for, and the output."""

    look: ReadyLook
    content: str
    asked: float
    output: Path


@dataclass(frozen=True, eq=False)
class Target:
    """One result that is to be: the look, how strong, where it goes, its key, and what is known of it from before."""

    look: ReadyLook
    asked: float
    output: Path
    key: str
    known: Record | None = None

    @property
    def failed_before(self) -> bool:
        """Whether an earlier run did not come to an end with it."""
        return self.known is not None and self.known.state != State.MADE


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done for a source: outcomes that are settled, targets to make, and kept ones to look at again."""

    settled: list[Outcome] = field(default_factory=list)
    make: list[Target] = field(default_factory=list)
    revisit: list[Target] = field(default_factory=list)
    source: Source | None = None
    clip: Path | None = None  # or an animation, in place of a source: it is read as it is made up


class Planner:
    """Looks up what is done and what is to be made; it decodes no photo.

    inputs: files that are never written over, beside the sources and the looks' own. pictures_wanted: of an output that
    is kept, whether its pictures are asked for all the same.
    """

    def __init__(
        self,
        looks: Sequence[ReadyLook],
        session: MakeupSession,
        config: RunConfig,
        manifest: Manifest,
        *,
        inputs: Sequence[Path] = (),
        pictures_wanted: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        self.session, self.config, self.manifest = session, config, manifest
        self.pictures_wanted = pictures_wanted
        given = [path for look in looks for path in (look.path, *look.look.references)]
        self.protected = {identity(path) for path in (*inputs, *given)}
        # Whose each place of this run is, both as hashes: a run may have a million of them.
        self.places: dict[int, int] = {}
        self.names = Names(manifest, "source")
        names = Names(manifest, "reference").of([look.item for look in looks])
        contents = [_content(look, manifest) for look in looks]
        self.looks = list(zip(looks, names, contents, strict=True))
        self.model = {
            **asdict(session.signature),
            "about": None,
            "sha256": session.digest,
            "precision": session.precision,
        }

    def admit(self, items: Sequence[Found]) -> list[str]:
        """Names for sources, which nothing is written over from now on."""
        self.protected.update(identity(item.path) for item in items)
        return self.names.of(items)

    def outputs(self, item: Found, name: str) -> list[Place]:
        """The place of each of a source's results. The suffix is by the source's content when the format stays."""
        paths = result_paths(item, name, [look_name for _, look_name, _ in self.looks], self.config)
        return [
            Place(look, content, asked, path)
            for (look, _, content), made in zip(self.looks, paths, strict=True)
            for asked, path in zip(self.config.sweep, made, strict=True)
        ]

    def apart(self, item: Found, outputs: Sequence[Place]) -> tuple[list[Place], list[Outcome]]:
        """The places that no other result of this run has, and failed outcomes for the others.

        Names keep results apart; this holds even where they would not, as where a disk takes two names for one. A
        source that comes again, as one that is watched does, has its own places still.
        """
        own, refused = [], []
        for place in outputs:
            try:
                self.occupy([place.output], item.path, place.look, place.asked)
                own.append(place)
            except OutputError as error:
                refused.append(
                    Outcome(item.path, place.look.path, place.output, Status.FAILED, str(error), asked=place.asked)
                )
        return own, refused

    def occupy(self, files: Sequence[Path], source: Path, look: ReadyLook, asked: float) -> None:
        """Keep the files' places for one result; OutputError where another result of this run has one of them.

        source, look, asked: what the result is made of. Places count as the same as `folded` compares names.
        """
        owner = hash((str(source.absolute()), id(look), asked))
        for file in files:
            if self.places.setdefault(hash(folded(str(file.absolute()))), owner) != owner:
                raise OutputError(
                    f"{printable(file)} is the place of another result of this run; rename or leave out one of the"
                    " photos."
                )

    def targets(self, item: Found, outputs: Sequence[Place]) -> list[Target]:
        """Key and past of each of a source's results. PhotoError when the source can't even be read as a file."""
        content = self.manifest.content(item.path)
        targets = []
        for look, look_content, asked, output in outputs:
            recipe = {"strengths": asdict(look.look.strengths.scaled(asked)), **self.config.recipe}
            parts = {"source": content, "look": look_content, "model": self.model, "options": recipe}
            key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
            targets.append(Target(look, asked, output, key, self.manifest.result(output)))
        return targets

    def plan(self, item: Found, targets: Sequence[Target]) -> Plan:
        """What each target needs, in the order of the questions: may it, must it, can it be made?"""
        plan = Plan()
        for target in targets:
            shown = printable(target.output)
            if self.config.retry_failed and not target.failed_before:
                continue
            try:
                self.refuse_protected([target.output])
            except OutputError as error:
                plan.settled.append(settled(item.path, target, Status.FAILED, str(error)))
                continue
            if self._done(target):
                if self.lacks_figures(target) or self.pictures_wanted(target.output):
                    plan.revisit.append(target)
                else:
                    plan.settled.append(settled(item.path, target, Status.KEPT))
            elif self._failed_for_good(target):
                plan.settled.append(settled(item.path, target, Status.FAILED))
            elif self.foreign(target):
                reason = f"{shown} was there before; --overwrite replaces it."
                plan.settled.append(settled(item.path, target, Status.KEPT, reason))
            else:
                plan.make.append(target)
        return plan

    def refuse_protected(self, files: Sequence[Path]) -> None:
        """OutputError where one of the files is a photo that was given, or would not be in the folder of results."""
        for file in files:
            if identity(file) in self.protected:
                raise OutputError(f"{printable(file)} is one of the photos given; choose another folder with --out.")
            if not file.parent.resolve().is_relative_to(self.config.out.resolve()):
                raise OutputError(f"{printable(file)} lies behind a link that leads out of the folder of results.")

    def _done(self, target: Target) -> bool:
        """Whether the result is there as this command would make it."""
        known = target.known
        if known is None or (known.state, known.key) != (State.MADE, target.key):
            return False
        if self.config.overwrite and known.run != self.manifest.run:
            return False
        return known.intact(target.output.parent)

    def foreign(self, target: Target) -> bool:
        """Whether a file that no run of ours left there lies in the result's place, and is to stay.

        Of a result that was begun and not ended, which a killed worker may have written, it takes the making to tell.
        """
        if self.config.overwrite or not present(target.output) or self.manifest.owns(target.output):
            return False
        return target.known is None or (target.known.state, target.known.key) != (State.MAKING, target.key)

    def _failed_for_good(self, target: Target) -> bool:
        """Whether trying again would fail again: the photos, the model and the options are the same."""
        known = target.known
        return (
            known is not None
            and (known.state, known.key) == (State.FAILED, target.key)
            and not self.config.retry_failed
        )

    def lacks_figures(self, target: Target) -> bool:
        figures = target.known.details.get("figures", {}) if target.known else {}
        return self.config.measure and not figures.keys() >= set(MEASURED)


def result_paths(item: Found, name: str, looks: Sequence[str], config: RunConfig) -> list[list[Path]]:
    """Where a source's results go: for each look, by its name, a path for each strength of the sweep."""
    if config.file is not None:  # a run with one look and one strength
        return [[config.file]]
    if is_clip(item.path):
        suffix = CLIP_SUFFIX
    elif played := animation_format(item.path):
        suffix = animation_suffix(item.path, played, config.format)
    else:
        suffix = suffix_for(told_format(item.path), item.path, config.format)
    folder, sweep = config.out / item.inside, config.sweep
    return [
        [folder / output_name(name, look, suffix, asked if len(sweep) > 1 else None) for asked in sweep]
        for look in looks
    ]


def foretold(sources: Sequence[Found], looks: Sequence[Found], config: RunConfig, manifest: Manifest) -> list[Path]:
    """Where all results of a run would go, source by source. The manifest takes the names down."""
    look_names = Names(manifest, "reference").of(looks)
    names = Names(manifest, "source").of(sources)
    made = (result_paths(item, name, look_names, config) for item, name in zip(sources, names, strict=True))
    return [path for of_source in made for of_look in of_source for path in of_look]


def _content(look: ReadyLook, manifest: Manifest) -> str:
    """What of a look its results follow from, beside its strengths: its photos' contents, as they are mixed."""
    parts = {region: look.look.part(region) for region in REGIONS}
    mixes = {
        region: part and [(_ingredient(item.ref, manifest), item.weight) for item in part.mix]
        for region, part in parts.items()
    }
    return json.dumps(mixes)


def _ingredient(ref: Path | Drawn, manifest: Manifest) -> str:
    if isinstance(ref, Drawn):
        return f"drawn {DRAWING}: {drawn_style(ref.by_kind)}"
    return manifest.content(ref)


_MARK = "\x1a{}\x1a"  # in place of a path in a reason; no reason holds such a character, `printable` escapes it


def without_paths(reason: str, source: Path, target: Target) -> str:
    """A reason as the manifest keeps it: marks in place of the paths of source, look and output.

    The folder may be moved, or passed on: a report of a later run tells the paths of its own, shortened as its others.
    """
    for role, path in sorted(_paths(source, target), key=lambda item: -len(str(item[1]))):
        for told in (printable(path.absolute()), printable(path)):
            # A short name may stand in another word, or in another path.
            reason = re.sub(rf"(?<![\w./\\-]){re.escape(told)}(?![\w/\\-])", _MARK.format(role), reason)
    return reason


def with_todays_paths(reason: str, source: Path, target: Target) -> str:
    """The inverse of `without_paths`, for the paths of this run."""
    for role, path in _paths(source, target):
        reason = reason.replace(_MARK.format(role), printable(path))
    return reason


def _paths(source: Path, target: Target) -> list[tuple[str, Path]]:
    return [("source", source), ("look", target.look.path), ("output", target.output)]


def settled(source: Path, target: Target, status: Status, reason: str | None = None) -> Outcome:
    """The outcome of a target that needs no work; its details and, unless given, its reason are the known ones."""
    known = target.known
    if reason is None:
        reason = with_todays_paths(known.reason, source, target) if known else ""
    outcome = Outcome(source, target.look.path, target.output, status, reason, asked=target.asked)
    return outcome.with_details(known.details) if known and status == Status.KEPT else outcome


def identity(path: Path) -> tuple[int, int] | str:
    """What makes two paths one file: its inode where it exists, else its place."""
    try:
        found = path.stat()
        return found.st_dev, found.st_ino
    except (OSError, ValueError):  # ValueError of a name that no file may have, such as one with a NUL in it
        return str(path.absolute())
