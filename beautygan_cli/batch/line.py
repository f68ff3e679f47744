"""Every source with every look: order, work and outcomes. A failure is a value here, not an exception.

Photos move along a line, so that reading, the network and writing overlap: readers open the next photos and find
their faces; the network takes face after face in full batches, across photos; finishers bring the makeup to full
size, measure, encode and write. At each station only so many photos wait, however many the run has. Outcomes come out
in the order in which the photos went in.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from beautygan_cli.batch import result, thread_counts
from beautygan_cli.batch.clip import OnFrame, make_up_clip
from beautygan_cli.batch.manifest import State
from beautygan_cli.batch.naming import face_path
from beautygan_cli.batch.outcome import BeyondLimitError, Outcome, Status
from beautygan_cli.batch.plan import Place, Plan, Planner, Target, settled, without_paths
from beautygan_cli.batch.sources import ReadyLook, Source, read_source
from beautygan_cli.errors import BeautyGANError, FaceError, PhotoError, StoppedError
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.makeup import pipeline
from beautygan_cli.photos.animation import animation_format
from beautygan_cli.photos.files import present, printable
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.formats import is_clip
from beautygan_cli.photos.photo import read_photo

if TYPE_CHECKING:
    pass


# Threads, not processes: dlib's detector, OpenCV, TensorFlow and the codecs work without the interpreter's lock, as
# `benchmarks/overlap.py` shows; dlib's descriptor alone holds it.
LOOK_EVERY = 0.2  # seconds between two looks at whether the run is to end
READ_AHEAD = 1.5  # photos a reader opens before the network gets to them
MOST_UNFINISHED = 2  # results a finisher has, waiting or at work
LAST_SECONDS = 1.0  # after a stop, for results that are being composed and written
MOST_PIXELS_WAITING = 100_000_000  # of photos with a face in the batch that is being filled: it is run before more wait


def run(
    planner: Planner,
    sources: Iterable[Found | None],
    *,
    stop: threading.Event | None = None,
    on_frame: OnFrame | None = None,
    ahead: dict[Path, Future[Source]] | None = None,
) -> Iterator[Outcome]:
    """Make up every source with every look and yield each outcome as it is known, source by source.

    What the planner's manifest knows to be done is kept. `sources` may go on forever; None among them says that no more
    will come for a while, so that no batch waits to be filled. After `stop` is set, what is with a finisher has
    LAST_SECONDS to be finished, the rest is dropped, and the iterator ends. `on_frame` hears of each frame of a clip
    that is done. `ahead`: sources that are being read already, by path. OutputError where nothing can be recorded.
    """
    if isinstance(sources, Sequence):  # all known: names don't depend on which comes first
        planner.admit([item for item in sources if item is not None])
    line = Line(planner, sources, stop or threading.Event(), on_frame, ahead)
    try:
        yield from line.outcomes()
    finally:
        line.close()


@dataclass(eq=False)
class _Pair:
    """One source with one look on its way through the network: its chips, and the results that are made of them."""

    source: Source
    look: ReadyLook
    results: int = 0
    wanted: list[_Wanted] = field(default_factory=list)  # until they are handed on, so that no ring keeps photos alive
    made: list[Callable[[], pipeline.Made]] = field(default_factory=list)
    network_seconds: float = 0.0
    finished: list[pipeline.Made] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def all_wanted(self) -> list[_Wanted]:
        """The results that are still to be handed on, once."""
        wanted, self.wanted = self.wanted, []
        return wanted

    def faces(self) -> list[pipeline.Made]:
        """What the network made of each face, completed by the first finisher that needs it."""
        with self.lock:
            if self.finished is None:
                began = time.monotonic()
                self.finished = [complete() for complete in self.made]
                self.network_seconds += time.monotonic() - began
            return self.finished


@dataclass(frozen=True, eq=False)
class _Wanted:
    """One result of a pair, and the slot for its outcome."""

    pair: _Pair
    target: Target
    slot: Future[Outcome]

    def outcome(self, status: Status, reason: str = "") -> Outcome:
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


class Line:
    """The stations, and what waits between them. `close` it when its outcomes are taken."""

    def __init__(
        self,
        planner: Planner,
        sources: Iterable[Found | None],
        stop: threading.Event,
        on_frame: OnFrame | None = None,
        ahead: dict[Path, Future[Source]] | None = None,
    ) -> None:
        self.planner, self.sources, self.stop, self.on_frame = planner, sources, stop, on_frame
        self.ahead = ahead or {}
        self.session, self.config, self.manifest = planner.session, planner.config, planner.manifest
        threads = thread_counts.shared(self.config.jobs)
        self.readers = ThreadPoolExecutor(threads.readers, thread_name_prefix="reader")
        self.finishers = ThreadPoolExecutor(threads.finishers, thread_name_prefix="finisher")
        self.read_ahead = round(READ_AHEAD * threads.readers)
        self.room = threading.BoundedSemaphore(max(1, round(MOST_UNFINISHED * threads.finishers)))
        self.filling: list[tuple[_Pair, FaceAnalysis]] = []
        self.slots: deque[Future[Outcome]] = deque()
        self.ends: float | None = None  # after a stop: when nothing is waited for any more
        self.ending = threading.Lock()  # held while it is decided whether a result is still written
        self.over = False
        self.writing: set[Future[Outcome]] = set()

    def close(self) -> None:
        """End its threads; what readers and finishers are at is finished, but after a stop."""
        self.readers.shutdown(wait=not self.stop.is_set(), cancel_futures=True)
        self.finishers.shutdown(wait=not self.stop.is_set(), cancel_futures=True)

    def outcomes(self) -> Iterator[Outcome]:
        """Everything made and recorded, each outcome as it is known."""
        for plan in self._plans():
            if plan is None:
                self._run_network()
                yield from self._in_order(wait=True)
            else:
                yield from self._feed(plan)
        if not self.stop.is_set():
            self._run_network()
        yield from self._in_order(wait=True)

    def _plans(self) -> Iterator[Plan | None]:
        """The sources in their order, opened ahead by the readers."""
        ahead: deque[Future[Plan]] = deque()
        for item in self.sources:
            if self.stop.is_set():
                return
            if item is not None:
                (name,) = self.planner.admit([item])
                ahead.append(self.readers.submit(self.open, item, name))
            while ahead and (item is None or len(ahead) > self.read_ahead):
                if not self._opened(ahead[0]):
                    return
                yield ahead.popleft().result()
            if item is None:
                yield None
        while ahead and self._opened(ahead[0]):
            yield ahead.popleft().result()

    def _opened(self, plan: Future[Plan]) -> bool:
        """Wait for a reader; False when the stop came first: a scan of a large photo takes seconds."""
        while not self.stop.is_set():
            if wait_for([plan], timeout=LOOK_EVERY).done:
                return True
        return False

    def _feed(self, plan: Plan) -> Iterator[Outcome]:
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
                    if self.stop.is_set():  # a photo may have hundreds of faces
                        return
                    self.filling.append((pair, face))
                    if len(self.filling) >= self.config.batch_size or self._too_many_pixels():
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

    def _pairs(self, source: Source, targets: Sequence[Target]) -> list[_Pair]:
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
            if (slot.running() or slot.done()) and self._finished(slot):
                yield slot.result()

    def _finished(self, slot: Future[Outcome]) -> bool:
        """Wait for a finisher; False when it takes too long after a stop: what isn't told is not written either."""
        while not wait_for([slot], timeout=LOOK_EVERY).done:
            if self._too_late():
                with self.ending:
                    self.over = True
                    begun = slot in self.writing
                return begun and bool(wait_for([slot], timeout=LAST_SECONDS).done)
        return True

    def _begin_to_write(self, slot: Future[Outcome]) -> None:
        """StoppedError where the run waits for no result any more."""
        with self.ending:
            if self.over:
                raise StoppedError
            self.writing.add(slot)

    def _too_late(self) -> bool:
        if self.ends is None and self.stop.is_set():
            self.ends = time.monotonic() + LAST_SECONDS
        return self.ends is not None and time.monotonic() > self.ends

    def _too_many_pixels(self) -> bool:
        waiting = {pair.source for pair, _ in self.filling}
        return len(waiting) > 1 and sum(s.photo.pixels.size // 3 for s in waiting) > MOST_PIXELS_WAITING

    # First station: readers

    def open(self, item: Found, name: str) -> Plan:
        """Look up what is done, and open the photo if anything is to be made. Never raises for a photo's sake."""
        outputs, refused = self.planner.apart(item, self.planner.outputs(item, name))
        plan = self._open(item, outputs)
        return replace(plan, settled=[*refused, *plan.settled])

    def _open(self, item: Found, outputs: Sequence[Place]) -> Plan:
        try:
            plan = self.planner.plan(item, self.planner.targets(item, outputs))
        except PhotoError as error:
            self.manifest.announce([(place.output, "") for place in outputs if not present(place.output)])
            failed = [
                Outcome(item.path, place.look.path, place.output, Status.FAILED, str(error), asked=place.asked)
                for place in outputs
            ]
            return Plan(failed)
        if not plan.make and not plan.revisit:
            return plan
        if is_clip(item.path) or animation_format(item.path):
            return replace(plan, clip=item.path)
        try:
            once = len(plan.make) + len(plan.revisit) == 1
            if reading := self.ahead.pop(item.path, None):
                source = replace(reading.result(), once=once)
            else:
                source = read_source(item.path, self.session.signature, self.config, once=once, stop=self.stop)
            for face in source.aligned if plan.make else ():
                pipeline.look_over(face, self.session.signature)
            return Plan(plan.settled, plan.make, plan.revisit, source)
        except StoppedError:
            return Plan(plan.settled)
        except Exception as error:
            reason = reason_of(error, item.path)
            for target in plan.make:
                if isinstance(error, FaceError):  # would be so again; whatever else went wrong may be mended
                    kept = without_paths(reason, item.path, target)
                    self.manifest.record(target.output, target.key, State.FAILED, reason=kept)
                else:
                    self.manifest.announce([(target.output, target.key)])
            failed = [settled(item.path, target, Status.FAILED, reason) for target in (*plan.make, *plan.revisit)]
            return Plan([*plan.settled, *failed])

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
            made = pipeline.run_networks(faces, self.session, **self.config.network)
        except Exception as error:
            for wanted in (wanted for pair in pairs for wanted in pair.all_wanted()):
                wanted.slot.set_result(wanted.outcome(Status.FAILED, reason_of(error, wanted.pair.source.path)))
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

    def _make_clip(self, clip: Path, plan: Plan) -> Iterator[Outcome]:
        """Make up a clip with each look and strength, after the photos that came before it have left the network."""
        self._run_network()
        for target in plan.revisit:  # the figures and pictures of a clip are taken as it is made, or not at all
            self._settle(settled(clip, target, Status.KEPT))
        for target in plan.make:
            if self.stop.is_set():
                return
            slot: Future[Outcome] = Future()
            self.slots.append(slot)
            with contextlib.suppress(StoppedError):
                slot.set_result(self._clip(clip, target))
            yield from self._in_order()

    def _clip(self, clip: Path, target: Target) -> Outcome:
        """One clip with one reference, recorded. StoppedError when the run is to end before it is done."""
        self.manifest.announce([(target.output, target.key)])
        files: list[Path] = []
        try:
            outcome = make_up_clip(
                *(clip, target.look, target.asked, target.output, self.session, self.config),
                journal=self.manifest,
                stop=self.stop,
                on_frame=self.on_frame,
            )
            files = [target.output]
        except StoppedError:
            raise
        except BeyondLimitError as error:
            outcome = replace(error.outcome, output=target.output)
        except FaceError as error:  # would be so again
            outcome = settled(clip, target, Status.FAILED, str(error))
        except Exception as error:
            return settled(clip, target, Status.FAILED, reason_of(error, clip))
        self.manifest.record(
            *(target.output, target.key, State(outcome.status)),
            reason=without_paths(outcome.reason, clip, target),
            files=files,
            details=outcome.details,
        )
        return outcome

    # Third station: finishers

    def _hand_on(self, wanted: _Wanted, work: Callable[[_Wanted], Outcome]) -> None:
        """Give a result to a finisher, as soon as there is room; too late after a stop, to nobody."""
        while not self.room.acquire(timeout=LOOK_EVERY):
            if self._too_late():
                return
        wanted.slot.set_running_or_notify_cancel()

        def finish() -> None:
            try:
                wanted.slot.set_result(work(wanted))
            except StoppedError:
                return  # nobody waits for it
            except Exception as error:  # not the photo's, but the run's: nothing can be recorded
                wanted.slot.set_exception(error)
            finally:
                self.writing.discard(wanted.slot)
                self.room.release()

        self.finishers.submit(finish)

    def _finish(self, wanted: _Wanted) -> Outcome:
        """From the network's chips to a file, recorded."""
        pair, target, options = wanted.pair, wanted.target, self.config
        try:
            faces = pair.faces()
            made = wanted.outcome(Status.MADE)
            outcome, photos = result.make(pair.source, target.look, faces, made, options)
            files = [face_path(target.output, number) for number in range(1, len(photos) + 1)]
            self.planner.refuse_protected(files)
            self.planner.occupy(files, pair.source.path, target.look, target.asked)
            self._begin_to_write(wanted.slot)
            began = time.monotonic()
            result.write(photos, files, self.config, self.manifest)
            outcome = replace(outcome, seconds={**outcome.seconds, "write": time.monotonic() - began})
            outcome = result.with_pictures(outcome, pair.source, photos, options)
        except BeyondLimitError as error:
            outcome, files = error.outcome, []
        except StoppedError:
            raise
        except Exception as error:  # of the disk or the program: not recorded, and so tried again by the next run
            return wanted.outcome(Status.FAILED, reason_of(error, pair.source.path))
        self.manifest.record(
            *(target.output, target.key, State(outcome.status)),
            reason=without_paths(outcome.reason, pair.source.path, target),
            files=files,
            details=outcome.details,
        )
        return outcome

    def _revisit(self, wanted: _Wanted) -> Outcome:
        """Take figures and pictures of a result that is there already."""
        source, target, known = wanted.pair.source, wanted.target, wanted.target.known
        assert known is not None
        outcome = settled(source.path, target, Status.KEPT)
        files = [target.output.parent / name for name, _, _ in known.files]
        try:
            photos = [read_photo(file, max_pixels=self.config.max_pixels) for file in files]
            if self.planner.lacks_figures(target):
                figures, wrong = result.measure(source, target.look, photos, remove=self.config.remove)
                outcome = outcome.with_details({**outcome.details, "figures": figures})
                outcome = replace(outcome, reason="; ".join(filter(None, [outcome.reason, *wrong])))
            outcome = result.with_pictures(outcome, source, photos, self.config)
        except Exception as error:
            return settled(source.path, target, Status.FAILED, reason_of(error, target.output))
        self.manifest.record(
            *(target.output, target.key, known.state), reason=known.reason, files=files, details=outcome.details
        )
        return outcome


def reason_of(error: Exception, path: Path) -> str:
    """One sentence for what went wrong with a photo; a long run does not end for one photo's sake."""
    if isinstance(error, BeautyGANError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{printable(path)} needs more memory than there is; make it smaller first."
    return f"{printable(path)} failed for a reason of the program's own ({type(error).__name__}: {error}); report it."
