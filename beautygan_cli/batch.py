"""Every source with every reference: order, work and outcomes. A failure is a value here, not an exception.

Photos move along a line, so that reading, the network and writing overlap: readers open the next photos and find
their faces; the network takes face after face in full batches, across photos; finishers bring the makeup to full
size, measure, encode and write. At each station only so many photos wait, however many the run has. Outcomes come out
in the order in which the photos went in.
"""

from __future__ import annotations

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
from numpy.typing import NDArray

from beautygan_cli import images, pipeline, result
from beautygan_cli.errors import BeautyGANError, FaceError, OutputError, PhotoError
from beautygan_cli.faces import AlignedFace
from beautygan_cli.images import Found, Photo
from beautygan_cli.naming import Names, face_path, output_name
from beautygan_cli.result import MEASURED, Options, Outcome, Reference, Source

if TYPE_CHECKING:
    from beautygan_cli.manifest import Manifest, Record
    from beautygan_cli.session import MakeupSession
    from beautygan_cli.signature import Signature

FloatArray = NDArray[np.float32]

# Threads, not processes: dlib's detector, OpenCV, TensorFlow and the codecs work without the interpreter's lock, as
# `benchmarks/overlap.py` shows; dlib's descriptor alone holds it.
READERS = 2  # dlib's detector serves one at a time, another photo is decoded meanwhile
READ_AHEAD = 3  # photos opened before the network gets to them
FINISHERS = 2
MOST_UNFINISHED = 4  # results that wait for a finisher or are with one
MOST_PIXELS_WAITING = 100_000_000  # of photos with a face in the batch that is being filled: it is run before more wait


def read_references(
    found: Sequence[Found], signature: Signature, max_pixels: int = images.MAX_PIXELS, *, measure: bool = False
) -> tuple[list[Reference], list[Outcome]]:
    """The references with a face, each read once, and the failures of the others."""
    ready: list[Reference] = []
    failed: list[Outcome] = []
    for item in found:
        try:
            ready.append(result.read_reference(item, signature, max_pixels, measure=measure))
        except BeautyGANError as error:
            failed.append(Outcome(item.path, item.path, None, "failed", str(error)))
    return ready, failed


def run(
    sources: Iterable[Found | None],
    references: Sequence[Reference],
    session: MakeupSession,
    options: Options,
    manifest: Manifest,
    *,
    inputs: Sequence[Path] = (),
    wanted: Callable[[Path], bool] = lambda _: False,
    stop: threading.Event | None = None,
) -> Iterator[Outcome]:
    """Make up every source with every reference and yield each outcome as it is known, source by source.

    What the manifest knows to be done is kept. `sources` may go on forever; None among them says that no more will
    come for a while, so that no batch waits to be filled. `inputs` are files that are never written over. `wanted`
    tells of an output that is kept whether its pictures are asked for all the same. After `stop` is set, what is with
    a finisher is finished, the rest is dropped, and the iterator ends. OutputError where nothing can be recorded.
    """
    line = _Line(sources, references, session, options, manifest, inputs, wanted, stop or threading.Event())
    try:
        yield from line.outcomes()
    finally:
        line.close()


@dataclass(frozen=True, eq=False)
class _Target:
    """One result that is to be: the reference, where it goes, its key, and what is known of it from before."""

    reference: Reference
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


@dataclass(eq=False)
class _Pair:
    """One source with one reference on its way: chips that go through the network, and the slot for the outcome."""

    source: Source
    target: _Target
    slot: Future[Outcome]
    fed: list[FloatArray] = field(default_factory=list)
    made_up: list[FloatArray] = field(default_factory=list)
    network_seconds: float = 0.0

    def outcome(self, status: str, reason: str = "") -> Outcome:
        """What is known of its outcome after the network."""
        return Outcome(
            self.source.path,
            self.target.reference.path,
            self.target.output,
            status,
            reason,
            faces=len(self.source.aligned),
            size=self.source.size,
            seconds={**self.source.seconds, "network": self.network_seconds},
        )


class _Line:
    """The stations and what waits between them."""

    def __init__(
        self,
        sources: Iterable[Found | None],
        references: Sequence[Reference],
        session: MakeupSession,
        options: Options,
        manifest: Manifest,
        inputs: Sequence[Path],
        wanted: Callable[[Path], bool],
        stop: threading.Event,
    ) -> None:
        self.sources, self.references, self.session = sources, references, session
        self.options, self.manifest, self.wanted, self.stop = options, manifest, wanted, stop
        self.protected = {_identity(path) for path in (*inputs, *(reference.path for reference in references))}
        self.names = Names(manifest, "source")
        if isinstance(sources, Sequence):  # all known: names don't depend on which comes first
            self._admit([item for item in sources if item is not None])
        names = Names(manifest, "reference").of([reference.item for reference in references])
        contents = [manifest.content(reference.path) for reference in references]
        self.looks = list(zip(references, names, contents, strict=True))
        self.model = {**asdict(session.signature), "about": None, "sha256": session.digest}
        self.readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self.finishers = ThreadPoolExecutor(FINISHERS, thread_name_prefix="finisher")
        self.room = threading.BoundedSemaphore(MOST_UNFINISHED)
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
            while ahead and (item is None or len(ahead) > READ_AHEAD):
                yield ahead.popleft().result()
            if item is None:
                yield None
        while ahead and not self.stop.is_set():
            yield ahead.popleft().result()

    def _feed(self, plan: _Plan) -> Iterator[Outcome]:
        """Put a source's faces into the batch, and yield what comes out at the end of the line meanwhile."""
        for outcome in plan.settled:
            self._slot().set_result(outcome)
        if plan.source is not None:
            for target in plan.revisit:
                self._hand_on(_Pair(plan.source, target, self._slot()), self._revisit)
            for target in plan.make:
                if self.stop.is_set():
                    return
                pair = _Pair(plan.source, target, self._slot())
                for face in plan.source.aligned:
                    self.filling.append((pair, face))
                    if len(self.filling) >= self.options.batch_size or self._too_many_pixels():
                        self._run_network()
                yield from self._in_order()
        yield from self._in_order()

    def _slot(self) -> Future[Outcome]:
        slot: Future[Outcome] = Future()
        self.slots.append(slot)
        return slot

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
        self.protected.update(_identity(item.path) for item in items)
        return self.names.of(items)

    def _open(self, item: Found, name: str) -> _Plan:
        """Look up what is done, and open the photo if anything is to be made. Never raises for a photo's sake."""
        outputs = self._outputs(item, name)
        try:
            plan = self._plan(item, self._targets(item, outputs))
        except PhotoError as error:
            self.manifest.announce([(output, "") for output in outputs if not _present(output)])
            pairs = zip(self.references, outputs, strict=True)
            return _Plan([Outcome(item.path, look.path, output, "failed", str(error)) for look, output in pairs])
        if not plan.make and not plan.revisit:
            return plan
        try:
            source = result.read_source(item.path, self.session.signature, self.options)
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

    def _outputs(self, item: Found, name: str) -> list[Path]:
        """Where each of a source's results goes; the suffix by the source's own when the format stays."""
        photo_format = images.FORMATS.get(item.path.suffix.lower(), "PNG")
        nothing = Photo(np.zeros((1, 1, 3), np.uint8), path=item.path, format=photo_format)
        suffix = images.suffix_for(nothing, self.options.format)
        return [self.options.out / item.inside / output_name(name, look, suffix) for _, look, _ in self.looks]

    def _targets(self, item: Found, outputs: Sequence[Path]) -> list[_Target]:
        """Key and past of each of a source's results. PhotoError when the source can't even be read as a file."""
        content = self.manifest.content(item.path)
        targets = []
        for output, (reference, _, look_content) in zip(outputs, self.looks, strict=True):
            parts = {"source": content, "look": look_content, "model": self.model, "options": self.options.recipe}
            key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
            targets.append(_Target(reference, output, key, self.manifest.result(output)))
        return targets

    def _plan(self, item: Found, targets: Sequence[_Target]) -> _Plan:
        """What each target needs, in the order of the questions: may it, must it, can it be made?"""
        plan = _Plan()
        for target in targets:
            shown = images.shown(target.output)
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
        """OutputError where one of the files is a photo that was given."""
        for file in files:
            if _identity(file) in self.protected:
                raise OutputError(f"{images.shown(file)} is one of the photos given; choose another folder with --out.")

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
        self.manifest.announce([(pair.target.output, pair.target.key) for pair in pairs])
        try:
            fed, made_up = pipeline.make_up([(face, pair.target.reference.face) for pair, face in batch], self.session)
        except Exception as error:
            for pair in pairs:
                if not pair.slot.done():
                    pair.slot.set_result(pair.outcome("failed", _reason(error, pair.source.path)))
            return
        seconds = (time.monotonic() - began) / len(batch)
        for (pair, _), chip, made in zip(batch, fed, made_up, strict=True):
            pair.fed.append(chip)
            pair.made_up.append(made)
            pair.network_seconds += seconds
        for pair in pairs:
            if len(pair.made_up) == len(pair.source.aligned):
                self._hand_on(pair, self._finish)

    # Third station: finishers

    def _hand_on(self, pair: _Pair, work: Callable[[_Pair], Outcome]) -> None:
        """Give a pair to a finisher, as soon as there is room."""
        self.room.acquire()
        pair.slot.set_running_or_notify_cancel()

        def finish() -> None:
            try:
                pair.slot.set_result(work(pair))
            except Exception as error:  # not the photo's, but the run's: nothing can be recorded
                pair.slot.set_exception(error)
            finally:
                self.room.release()

        self.finishers.submit(finish)

    def _finish(self, pair: _Pair) -> Outcome:
        """From the network's chips to a file, recorded."""
        target, options = pair.target, self.options
        try:
            made = pair.outcome("made")
            outcome, photos = result.make(pair.source, target.reference, pair.fed, pair.made_up, made, options)
            files = [face_path(target.output, number) for number in range(1, len(photos) + 1)]
            self._refuse_protected(files)
            began = time.monotonic()
            self._write(photos, files, target)
            outcome = replace(outcome, seconds={**outcome.seconds, "write": time.monotonic() - began})
            outcome = result.with_pictures(outcome, pair.source, photos, options)
        except result.BeyondLimitError as error:
            outcome, files = error.outcome, []
        except Exception as error:  # of the disk or the program: not recorded, and so tried again by the next run
            return pair.outcome("failed", _reason(error, pair.source.path))
        self.manifest.record(
            *(target.output, target.key, outcome.status),
            reason=outcome.reason,
            files=files,
            details=outcome.details,
        )
        return outcome

    def _write(self, photos: Sequence[Photo], files: Sequence[Path], target: _Target) -> None:
        result.write(photos, files, self.options, overwrite=self.options.overwrite or target.ours)

    def _revisit(self, pair: _Pair) -> Outcome:
        """Take figures and pictures of a result that is there already."""
        target, known = pair.target, pair.target.known
        assert known is not None
        outcome = _settled(pair.source.path, target, "kept")
        files = [target.output.parent / name for name, _, _ in known.files]
        try:
            photos = [images.read(file, max_pixels=self.options.max_pixels) for file in files]
            if self._lacks_figures(target):
                figures = result.measure(pair.source, target.reference, photos)
                outcome = outcome.with_details({**outcome.details, "figures": figures})
            outcome = result.with_pictures(outcome, pair.source, photos, self.options)
        except Exception as error:
            return _settled(pair.source.path, target, "failed", _reason(error, target.output))
        self.manifest.record(
            *(target.output, target.key, known.state), reason=known.reason, files=files, details=outcome.details
        )
        return outcome


def _settled(source: Path, target: _Target, status: str, reason: str | None = None) -> Outcome:
    """The outcome of a target that needs no work; its details and, unless given, its reason are the known ones."""
    known = target.known
    if reason is None:
        reason = known.reason if known else ""
    outcome = Outcome(source, target.reference.path, target.output, status, reason)
    return outcome.with_details(known.details) if known and status == "kept" else outcome


def _reason(error: Exception, path: Path) -> str:
    """One sentence for what went wrong with a photo; a long run does not end for one photo's sake."""
    if isinstance(error, BeautyGANError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{images.shown(path)} needs more memory than there is; make it smaller first."
    return (
        f"{images.shown(path)} failed for a reason of the program's own ({type(error).__name__}: {error}); report it."
    )


def _present(output: Path) -> bool:
    return output.exists() or output.is_symlink()


def _identity(path: Path) -> tuple[int, int] | str:
    """What makes two paths one file: its inode where it exists, else its place."""
    try:
        found = path.stat()
        return found.st_dev, found.st_ino
    except OSError:
        return str(path.absolute())
