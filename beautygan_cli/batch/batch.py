"""Every source with every look: order, work and outcomes. A failure is a value here, not an exception.

Photos move along a line, so that reading, the network and writing overlap: readers open the next photos and find
their faces; the network takes face after face in full batches, across photos; finishers bring the makeup to full
size, measure, encode and write. At each station only so many photos wait, however many the run has. Outcomes come out
in the order in which the photos went in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from beautygan_cli.batch import result, thread_counts, video
from beautygan_cli.batch.naming import Names, face_path, output_name
from beautygan_cli.batch.result import MEASURED, Options, Outcome, ReadyLook, Source
from beautygan_cli.errors import BeautyGANError, FaceError, OutputError, PhotoError
from beautygan_cli.faces.alignment import AlignedFace
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.look import REGIONS, Look
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.formats import FORMATS, is_clip
from beautygan_cli.photos.photo import MAX_PIXELS, Photo, read_photo, suffix_for

if TYPE_CHECKING:
    from beautygan_cli.batch.manifest import Manifest, Record
    from beautygan_cli.model.session import MakeupSession
    from beautygan_cli.model.signature import Signature


# Threads, not processes: dlib's detector, OpenCV, TensorFlow and the codecs work without the interpreter's lock, as
# `benchmarks/overlap.py` shows; dlib's descriptor alone holds it.
READ_AHEAD = 1.5  # photos a reader opens before the network gets to them
MOST_UNFINISHED = 2  # results a finisher has, waiting or at work
MOST_PIXELS_WAITING = 100_000_000  # of photos with a face in the batch that is being filled: it is run before more wait


def read_looks(
    looks: Sequence[tuple[Found, Look]],
    signature: Signature,
    max_pixels: int = MAX_PIXELS,
    *,
    measure: bool = False,
) -> tuple[list[ReadyLook], list[Outcome]]:
    """The looks whose photos can be read and have a face, and the failures of the others."""
    ready: list[ReadyLook] = []
    failed: list[Outcome] = []
    for item, look in looks:
        try:
            ready.append(result.read_look(item, look, signature, max_pixels, measure=measure))
        except BeautyGANError as error:
            of = "" if item.path in look.references else f"{printable(item.path)}: "
            failed.append(Outcome(item.path, item.path, None, "failed", f"{of}{error}"))
    return ready, failed


def run(
    sources: Iterable[Found | None],
    looks: Sequence[ReadyLook],
    session: MakeupSession,
    options: Options,
    manifest: Manifest,
    *,
    inputs: Sequence[Path] = (),
    wanted: Callable[[Path], bool] = lambda _: False,
    stop: threading.Event | None = None,
    told: video.Told | None = None,
) -> Iterator[Outcome]:
    """Make up every source with every look and yield each outcome as it is known, source by source.

    What the manifest knows to be done is kept. `sources` may go on forever; None among them says that no more will
    come for a while, so that no batch waits to be filled. `inputs` are files that are never written over. `wanted`
    tells of an output that is kept whether its pictures are asked for all the same. After `stop` is set, what is with
    a finisher is finished, the rest is dropped, and the iterator ends. `told` hears of each frame of a clip that is
    done. OutputError where nothing can be recorded.
    """
    line = _Line(sources, looks, session, options, manifest, inputs, wanted, stop or threading.Event(), told)
    try:
        yield from line.outcomes()
    finally:
        line.close()


@dataclass(frozen=True, eq=False)
class _Target:
    """One result that is to be: the look, how strong, where it goes, its key, and what is known of it from before."""

    look: ReadyLook
    asked: float
    output: Path
    key: str
    known: Record | None = None

    @property
    def ours(self) -> bool:
        """Whether the file in its place is what an earlier run left there, untouched since."""
        return self.known is not None and (self.known.state == "making" or self.known.intact(self.output.parent))

    @property
    def failed_before(self) -> bool:
        """Whether an earlier run did not come to an end with it."""
        return self.known is not None and self.known.state != "made"


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be done for a source: outcomes that are settled, targets to make, and kept ones to look at again."""

    settled: list[Outcome] = field(default_factory=list)
    make: list[_Target] = field(default_factory=list)
    revisit: list[_Target] = field(default_factory=list)
    source: Source | None = None
    clip: Path | None = None  # in place of a source: it is read as it is made up


@dataclass(eq=False)
class _Pair:
    """One source with one look on its way through the network: its chips, and the results that are made of them."""

    source: Source
    look: ReadyLook
    results: int = 0
    wanted: list[_Wanted] = field(default_factory=list)  # until they are handed on, so that no ring keeps photos alive
    made: list[pipeline.Made] = field(default_factory=list)
    network_seconds: float = 0.0

    def all_wanted(self) -> list[_Wanted]:
        """The results that are still to be handed on, once."""
        wanted, self.wanted = self.wanted, []
        return wanted


@dataclass(frozen=True, eq=False)
class _Wanted:
    """One result of a pair, and the slot for its outcome."""

    pair: _Pair
    target: _Target
    slot: Future[Outcome]

    def outcome(self, status: str, reason: str = "") -> Outcome:
        """What is known of its outcome after the network."""
        return Outcome(
            self.pair.source.path,
            self.target.look.path,
            self.target.output,
            status,
            reason,
            faces=len(self.pair.source.aligned),
            size=self.pair.source.size,
            asked=self.target.asked,
            seconds={**self.pair.source.seconds, "network": self.pair.network_seconds / self.pair.results},
        )


class _Line:
    """The stations and what waits between them."""

    def __init__(
        self,
        sources: Iterable[Found | None],
        looks: Sequence[ReadyLook],
        session: MakeupSession,
        options: Options,
        manifest: Manifest,
        inputs: Sequence[Path],
        wanted: Callable[[Path], bool],
        stop: threading.Event,
        told: video.Told | None = None,
    ) -> None:
        self.sources, self.session = sources, session
        self.options, self.manifest, self.wanted, self.stop, self.told = options, manifest, wanted, stop, told
        given = [path for look in looks for path in (look.path, *look.look.references)]
        self.protected = {identity(path) for path in (*inputs, *given)}
        self.names = Names(manifest, "source")
        if isinstance(sources, Sequence):  # all known: names don't depend on which comes first
            self._admit([item for item in sources if item is not None])
        names = Names(manifest, "reference").of([look.item for look in looks])
        contents = [_content(look, manifest) for look in looks]
        self.looks = list(zip(looks, names, contents, strict=True))
        self.model = {
            **asdict(session.signature),
            "about": None,
            "sha256": session.digest,
            "precision": session.precision,
        }
        threads = thread_counts.shared(options.jobs)
        self.readers = ThreadPoolExecutor(threads.readers, thread_name_prefix="reader")
        self.finishers = ThreadPoolExecutor(threads.finishers, thread_name_prefix="finisher")
        self.read_ahead = round(READ_AHEAD * threads.readers)
        self.room = threading.BoundedSemaphore(max(1, round(MOST_UNFINISHED * threads.finishers)))
        self.filling: list[tuple[_Pair, AlignedFace]] = []
        self.slots: deque[Future[Outcome]] = deque()

    def close(self) -> None:
        self.readers.shutdown(cancel_futures=True)
        self.finishers.shutdown(cancel_futures=True)

    def outcomes(self) -> Iterator[Outcome]:
        for plan in self._plans():
            if plan is None:
                self._run_network()
                yield from self._in_order(wait=True)
            else:
                yield from self._feed(plan)
        if not self.stop.is_set():
            self._run_network()
        yield from self._in_order(wait=True)

    def _plans(self) -> Iterator[_Plan | None]:
        """The sources in their order, opened ahead by the readers."""
        ahead: deque[Future[_Plan]] = deque()
        for item in self.sources:
            if self.stop.is_set():
                return
            if item is not None:
                (name,) = self._admit([item])
                ahead.append(self.readers.submit(self._open, item, name))
            while ahead and (item is None or len(ahead) > self.read_ahead):
                yield ahead.popleft().result()
            if item is None:
                yield None
        while ahead and not self.stop.is_set():
            yield ahead.popleft().result()

    def _feed(self, plan: _Plan) -> Iterator[Outcome]:
        """Put a source's faces into the batch, and yield what comes out at the end of the line meanwhile."""
        for outcome in plan.settled:
            self._settle(outcome)
        if plan.source is not None:
            for pair in self._pairs(plan.source, plan.revisit):
                for wanted in pair.all_wanted():
                    self.slots.append(wanted.slot)
                    self._hand_on(wanted, self._revisit)
            for pair in self._pairs(plan.source, plan.make):
                if self.stop.is_set():
                    return
                for wanted in pair.wanted:
                    self.slots.append(wanted.slot)
                for face in plan.source.aligned:
                    self.filling.append((pair, face))
                    if len(self.filling) >= self.options.batch_size or self._too_many_pixels():
                        self._run_network()
                yield from self._in_order()
        if plan.clip is not None:
            yield from self._make_clip(plan.clip, plan)
        yield from self._in_order()

    def _settle(self, outcome: Outcome) -> None:
        """Put an outcome that needs no work in its place in the order."""
        slot: Future[Outcome] = Future()
        slot.set_result(outcome)
        self.slots.append(slot)

    def _pairs(self, source: Source, targets: Sequence[_Target]) -> list[_Pair]:
        """The source with each look once, however many strengths of it are wanted."""
        pairs: dict[ReadyLook, _Pair] = {}
        for target in targets:
            pair = pairs.setdefault(target.look, _Pair(source, target.look))
            pair.results += 1
            pair.wanted.append(_Wanted(pair, target, Future()))
        return list(pairs.values())

    def _in_order(self, wait: bool = False) -> Iterator[Outcome]:
        """The outcomes that are known, up to the first that is not; `wait`: of all that have been handed on."""
        while self.slots and (wait or self.slots[0].done()):
            slot = self.slots.popleft()
            if slot.running() or slot.done():
                yield slot.result()

    def _too_many_pixels(self) -> bool:
        waiting = {pair.source for pair, _ in self.filling}
        return len(waiting) > 1 and sum(s.photo.pixels.size // 3 for s in waiting) > MOST_PIXELS_WAITING

    # First station: readers

    def _admit(self, items: Sequence[Found]) -> list[str]:
        """Names for sources, which nothing is written over from now on."""
        self.protected.update(identity(item.path) for item in items)
        return self.names.of(items)

    def _open(self, item: Found, name: str) -> _Plan:
        """Look up what is done, and open the photo if anything is to be made. Never raises for a photo's sake."""
        outputs = self._outputs(item, name)
        try:
            plan = self._plan(item, self._targets(item, outputs))
        except PhotoError as error:
            self.manifest.announce([(output, "") for _, _, _, output in outputs if not _present(output)])
            failed = [
                Outcome(item.path, look.path, output, "failed", str(error), asked=asked)
                for look, _, asked, output in outputs
            ]
            return _Plan(failed)
        if not plan.make and not plan.revisit:
            return plan
        if is_clip(item.path):
            return replace(plan, clip=item.path)
        try:
            once = len(plan.make) + len(plan.revisit) == 1
            source = result.read_source(item.path, self.session.signature, self.options, once=once)
            return _Plan(plan.settled, plan.make, plan.revisit, source)
        except Exception as error:
            reason = _reason(error, item.path)
            for target in plan.make:
                if isinstance(error, FaceError):  # would be so again; whatever else went wrong may be mended
                    self.manifest.record(target.output, target.key, "failed", reason=reason)
                else:
                    self.manifest.announce([(target.output, target.key)])
            failed = [_settled(item.path, target, "failed", reason) for target in (*plan.make, *plan.revisit)]
            return _Plan([*plan.settled, *failed])

    def _outputs(self, item: Found, name: str) -> list[tuple[ReadyLook, str, float, Path]]:
        """Look, the look's content, strength and place of each of a source's results.

        The suffix is by the source's own when the format stays.
        """
        suffix = video.SUFFIX
        if not is_clip(item.path):
            photo_format = FORMATS.get(item.path.suffix.lower(), "PNG")
            nothing = Photo(np.zeros((1, 1, 3), np.uint8), path=item.path, format=photo_format)
            suffix = suffix_for(nothing, self.options.format)
        folder, sweep = self.options.out / item.inside, self.options.sweep
        return [
            (look, content, asked, folder / output_name(name, look_name, suffix, asked if len(sweep) > 1 else None))
            for look, look_name, content in self.looks
            for asked in sweep
        ]

    def _targets(self, item: Found, outputs: Sequence[tuple[ReadyLook, str, float, Path]]) -> list[_Target]:
        """Key and past of each of a source's results. PhotoError when the source can't even be read as a file."""
        content = self.manifest.content(item.path)
        targets = []
        for look, look_content, asked, output in outputs:
            recipe = {"strengths": asdict(look.look.strengths.scaled(asked)), **self.options.recipe}
            parts = {"source": content, "look": look_content, "model": self.model, "options": recipe}
            key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
            targets.append(_Target(look, asked, output, key, self.manifest.result(output)))
        return targets

    def _plan(self, item: Found, targets: Sequence[_Target]) -> _Plan:
        """What each target needs, in the order of the questions: may it, must it, can it be made?"""
        plan = _Plan()
        for target in targets:
            shown = printable(target.output)
            if self.options.again == "failed" and not target.failed_before:
                continue
            try:
                self._refuse_protected([target.output])
            except OutputError as error:
                plan.settled.append(_settled(item.path, target, "failed", str(error)))
                continue
            if self._done(target):
                if self._lacks_figures(target) or self.wanted(target.output):
                    plan.revisit.append(target)
                else:
                    plan.settled.append(_settled(item.path, target, "kept"))
            elif self._failed_for_good(target):
                plan.settled.append(_settled(item.path, target, "failed"))
            elif _present(target.output) and not self.options.overwrite and not target.ours:
                reason = f"{shown} was there before; --overwrite replaces it."
                plan.settled.append(_settled(item.path, target, "kept", reason))
            else:
                plan.make.append(target)
        return plan

    def _refuse_protected(self, files: Sequence[Path]) -> None:
        """OutputError where one of the files is a photo that was given, or would not be in the folder of results."""
        for file in files:
            if identity(file) in self.protected:
                raise OutputError(f"{printable(file)} is one of the photos given; choose another folder with --out.")
            if not file.parent.resolve().is_relative_to(self.options.out.resolve()):
                raise OutputError(f"{printable(file)} lies behind a link that leads out of the folder of results.")

    def _done(self, target: _Target) -> bool:
        """Whether the result is there as this command would make it."""
        known = target.known
        if known is None or (known.state, known.key) != ("made", target.key):
            return False
        if self.options.overwrite and known.run != self.manifest.run:
            return False
        return known.intact(target.output.parent)

    def _failed_for_good(self, target: _Target) -> bool:
        """Whether trying again would fail again: the photos, the model and the options are the same."""
        known = target.known
        return (
            known is not None and (known.state, known.key) == ("failed", target.key) and self.options.again != "failed"
        )

    def _lacks_figures(self, target: _Target) -> bool:
        figures = target.known.details.get("figures", {}) if target.known else {}
        return self.options.measure and not figures.keys() >= set(MEASURED)

    # Second station: the network

    def _run_network(self) -> None:
        """Run the faces that wait as one batch, and hand on the results that are complete with it."""
        batch, self.filling = self.filling, []
        if not batch:
            return
        began = time.monotonic()
        pairs = list(dict.fromkeys(pair for pair, _ in batch))
        targets = [wanted.target for pair in pairs for wanted in pair.wanted]
        self.manifest.announce([(target.output, target.key) for target in targets])
        try:
            faces = [(face, pair.look.wearing) for pair, face in batch]
            made = pipeline.make_up(faces, self.session, remove=self.options.remove)
        except Exception as error:
            for wanted in (wanted for pair in pairs for wanted in pair.all_wanted()):
                wanted.slot.set_result(wanted.outcome("failed", _reason(error, wanted.pair.source.path)))
            return
        seconds = (time.monotonic() - began) / len(batch)
        for (pair, _), item in zip(batch, made, strict=True):
            pair.made.append(item)
            pair.network_seconds += seconds
        for pair in pairs:
            if len(pair.made) == len(pair.source.aligned):
                for wanted in pair.all_wanted():
                    self._hand_on(wanted, self._finish)

    # All stations in one, for clips

    def _make_clip(self, clip: Path, plan: _Plan) -> Iterator[Outcome]:
        """Make up a clip with each look and strength, after the photos that came before it have left the network."""
        self._run_network()
        for target in plan.revisit:  # the figures and pictures of a clip are taken as it is made, or not at all
            self._settle(_settled(clip, target, "kept"))
        for target in plan.make:
            if self.stop.is_set():
                return
            slot: Future[Outcome] = Future()
            self.slots.append(slot)
            with contextlib.suppress(video.StoppedError):
                slot.set_result(self._clip(clip, target))
            yield from self._in_order()

    def _clip(self, clip: Path, target: _Target) -> Outcome:
        """One clip with one reference, recorded. StoppedError when the run is to end before it is done."""
        overwrite = self.options.overwrite or target.ours
        self.manifest.announce([(target.output, target.key)])
        files: list[Path] = []
        try:
            outcome = video.make(
                *(clip, target.look, target.asked, target.output, self.session, self.options),
                overwrite=overwrite,
                stop=self.stop,
                told=self.told,
            )
            files = [target.output]
        except video.StoppedError:
            raise
        except result.BeyondLimitError as error:
            outcome = replace(error.outcome, output=target.output)
        except FaceError as error:  # would be so again
            outcome = _settled(clip, target, "failed", str(error))
        except Exception as error:
            return _settled(clip, target, "failed", _reason(error, clip))
        self.manifest.record(
            *(target.output, target.key, outcome.status),
            reason=outcome.reason,
            files=files,
            details=outcome.details,
        )
        return outcome

    # Third station: finishers

    def _hand_on(self, wanted: _Wanted, work: Callable[[_Wanted], Outcome]) -> None:
        """Give a result to a finisher, as soon as there is room."""
        self.room.acquire()
        wanted.slot.set_running_or_notify_cancel()

        def finish() -> None:
            try:
                wanted.slot.set_result(work(wanted))
            except Exception as error:  # not the photo's, but the run's: nothing can be recorded
                wanted.slot.set_exception(error)
            finally:
                self.room.release()

        self.finishers.submit(finish)

    def _finish(self, wanted: _Wanted) -> Outcome:
        """From the network's chips to a file, recorded."""
        pair, target, options = wanted.pair, wanted.target, self.options
        try:
            made = wanted.outcome("made")
            outcome, photos = result.make(pair.source, target.look, pair.made, made, options)
            files = [face_path(target.output, number) for number in range(1, len(photos) + 1)]
            self._refuse_protected(files)
            began = time.monotonic()
            self._write(photos, files, target)
            outcome = replace(outcome, seconds={**outcome.seconds, "write": time.monotonic() - began})
            outcome = result.with_pictures(outcome, pair.source, photos, options)
        except result.BeyondLimitError as error:
            outcome, files = error.outcome, []
        except Exception as error:  # of the disk or the program: not recorded, and so tried again by the next run
            return wanted.outcome("failed", _reason(error, pair.source.path))
        self.manifest.record(
            *(target.output, target.key, outcome.status),
            reason=outcome.reason,
            files=files,
            details=outcome.details,
        )
        return outcome

    def _write(self, photos: Sequence[Photo], files: Sequence[Path], target: _Target) -> None:
        result.write(photos, files, self.options, overwrite=self.options.overwrite or target.ours)

    def _revisit(self, wanted: _Wanted) -> Outcome:
        """Take figures and pictures of a result that is there already."""
        source, target, known = wanted.pair.source, wanted.target, wanted.target.known
        assert known is not None
        outcome = _settled(source.path, target, "kept")
        files = [target.output.parent / name for name, _, _ in known.files]
        try:
            photos = [read_photo(file, max_pixels=self.options.max_pixels) for file in files]
            if self._lacks_figures(target):
                figures = result.measure(source, target.look, photos)
                outcome = outcome.with_details({**outcome.details, "figures": figures})
            outcome = result.with_pictures(outcome, source, photos, self.options)
        except Exception as error:
            return _settled(source.path, target, "failed", _reason(error, target.output))
        self.manifest.record(
            *(target.output, target.key, known.state), reason=known.reason, files=files, details=outcome.details
        )
        return outcome


def _content(look: ReadyLook, manifest: Manifest) -> str:
    """What of a look its results follow from, beside its strengths: its photos' contents, as they are mixed."""
    parts = {region: look.look.part(region) for region in REGIONS}
    mixes = {
        region: part and [(manifest.content(item.ref), item.weight) for item in part.mix]
        for region, part in parts.items()
    }
    return json.dumps(mixes)


def _settled(source: Path, target: _Target, status: str, reason: str | None = None) -> Outcome:
    """The outcome of a target that needs no work; its details and, unless given, its reason are the known ones."""
    known = target.known
    if reason is None:
        reason = known.reason if known else ""
    outcome = Outcome(source, target.look.path, target.output, status, reason, asked=target.asked)
    return outcome.with_details(known.details) if known and status == "kept" else outcome


def _reason(error: Exception, path: Path) -> str:
    """One sentence for what went wrong with a photo; a long run does not end for one photo's sake."""
    if isinstance(error, BeautyGANError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{printable(path)} needs more memory than there is; make it smaller first."
    return f"{printable(path)} failed for a reason of the program's own ({type(error).__name__}: {error}); report it."


def _present(output: Path) -> bool:
    return output.exists() or output.is_symlink()


def identity(path: Path) -> tuple[int, int] | str:
    """What makes two paths one file: its inode where it exists, else its place."""
    try:
        found = path.stat()
        return found.st_dev, found.st_ino
    except OSError:
        return str(path.absolute())
