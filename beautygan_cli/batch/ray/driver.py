"""The same run on a Ray cluster: what `batch/line.py` does in one process, done by many.

The driver is the process of the command. It alone knows the manifest: it looks up what is done, announces what will
be made, sends the rest out as jobs, a photo each, and records what comes back. The workers are Ray actors; each holds
a session and runs a block of jobs through the very stations of the line, with a ledger in memory in the manifest's
place. Photos don't pass through Ray: workers read and write them where they lie.

A worker that dies takes nothing along: Ray starts it anew and gives it its block again. What the dead one left is known
as ours by its content, to the byte; files appear whole or not at all, and what it was writing is swept away at the end.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from pathlib import Path

from beautygan_cli.batch.manifest import Record, State
from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.batch.plan import Place, Planner, identity
from beautygan_cli.batch.ray.jobs import Job, Shared
from beautygan_cli.batch.ray.pool import Layout, Pool
from beautygan_cli.errors import PhotoError
from beautygan_cli.photos.files import present, sweep
from beautygan_cli.photos.find import Found

WAVE_EACH = 1000  # photos for each worker that are looked up ahead and are with Ray at once
LOOKING_UP = 8  # threads: a look at a file elsewhere takes milliseconds of waiting


def run(
    planner: Driver,
    sources: Iterable[Found | None],
    *,
    layout: Layout,
    stop: threading.Event | None = None,
) -> Iterator[Outcome]:
    """As `line.run`, with the same files, records and outcomes, these in the order in which blocks are done.

    `sources` must end. Every machine of the cluster sees the photos and the planner's folder of results under the same
    names. After `stop` is set, what workers finish within LAST_SECONDS still counts. ClusterError where the cluster
    gives up.
    """
    stop = stop or threading.Event()
    given = [item for item in sources if item is not None]
    planner.admit(given)
    try:
        yield from _run(planner, given, layout, stop)
    finally:
        sweep(planner.config.out)  # of what a worker that died was writing


def _run(planner: Driver, given: Sequence[Found], layout: Layout, stop: threading.Event) -> Iterator[Outcome]:
    manifest, items = planner.manifest, iter(given)
    with ThreadPoolExecutor(1, thread_name_prefix="planner") as ahead, contextlib.ExitStack() as stack:
        size = WAVE_EACH * (layout.actors or os.cpu_count() or 1)
        coming: Future[_Wave] = ahead.submit(planner.wave, list(islice(items, size)), stop)
        pool: Pool | None = None
        while not stop.is_set():
            wave = coming.result()
            if not wave.items:
                return
            coming = ahead.submit(planner.wave, list(islice(items, size)), stop)
            yield from wave.settled
            if not wave.jobs:
                continue
            if pool is None:
                pool = stack.enter_context(Pool(layout, planner.shared(given)))
                size = WAVE_EACH * pool.actors
            manifest.announce(wave.announced)
            for done in pool.results(wave.jobs, stop):
                manifest.learn(done.contents, done.entries, done.written)
                yield from done.outcomes


@dataclass(frozen=True)
class _Wave:
    """So many sources, looked up."""

    items: Sequence[Found]
    settled: list[Outcome] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    announced: list[tuple[Path, str]] = field(default_factory=list)


class Driver(Planner):
    """Plans for all workers, several photos at a time."""

    def wave(self, items: Sequence[Found], stop: threading.Event) -> _Wave:
        """Look up so many sources, several at a time."""
        wave = _Wave(items)
        with ThreadPoolExecutor(LOOKING_UP) as several:
            for settled, job, announced in several.map(self._look_up, items, self.names.of(items)):
                if stop.is_set():
                    break
                wave.settled.extend(settled)
                wave.announced.extend(announced)
                wave.jobs.extend([job] if job else [])
        return wave

    def shared(self, sources: Sequence[Found]) -> Shared:
        """What the workers need to know."""
        out = os.path.realpath(self.config.out)
        ready = [look for look, _, _ in self.looks]
        worn = [path for look in ready for path in look.look.references]
        given = [*(item.path for item in sources), *(look.path for look in ready), *worn]
        inside = {real for path in given if (real := os.path.realpath(path)).startswith(out + os.sep)}
        folder = self.session.path
        files = {path.name: path.read_bytes() for path in folder.iterdir() if _of_checkpoint(path)}
        return Shared(
            looks=ready,
            names=[(folder, name, path) for folder, name, path in self.manifest.names("reference")],
            contents={str(path): self.manifest.content(path) for path in worn},
            config=self.config,
            inside=frozenset(inside),
            model=files,
            digest=self.session.digest,
            precision=self.session.precision,
            version=metadata.version("beautygan-cli"),
            run=self.manifest.run,
            folder=str(Path.cwd()),
        )

    def _look_up(self, item: Found, name: str) -> tuple[list[Outcome], Job | None, list[tuple[Path, str]]]:
        """Settled outcomes of a source, its job if there is work left, and (output, key) of what that will make.

        A source without any record is not read here: nothing of it can be done already, and its worker reads it anyway.
        """
        places = self.outputs(item, name)
        own, refused = self.apart(item, places)
        if refused:  # a job has all of a source's places or none
            reason = refused[0].reason
            return [*refused, *(_failed(item, place, reason) for place in own)], None, []
        outputs = [place.output for place in places]
        known = {str(output): record for output in outputs if (record := self.manifest.result(output))}
        announced = [(output, "") for output in outputs if self.config.overwrite or not present(output)]
        left = outputs
        if self.config.retry_failed and not known:
            return [], None, []
        if known:
            with contextlib.suppress(PhotoError):  # its worker will say what is wrong
                plan = self.plan(item, self.targets(item, places))
                announced = [(target.output, target.key) for target in plan.make]
                left = [target.output for target in (*plan.make, *plan.revisit)]
                if not left:
                    return plan.settled, None, []
        files = {output.with_name(name) for output in outputs for name in _names_of(known.get(str(output)))}
        job = Job(
            item,
            tuple(outputs),
            known | {str(output): Record(key, State.MAKING, run=self.manifest.run) for output, key in announced},
            frozenset(str(output) for output in outputs if identity(output) in self.protected),
            frozenset(str(output) for output in left if self.pictures_wanted(output)),
            {str(file): self.manifest.digests(file) for file in {*outputs, *files}},
        )
        return [], job, [(output, key) for output, key in announced if str(output) not in job.protected]


def _failed(item: Found, place: Place, reason: str) -> Outcome:
    return Outcome(item.path, place.look.path, place.output, Status.FAILED, reason, asked=place.asked)


def _names_of(record: Record | None) -> list[str]:
    return [name for name, _, _ in record.files] if record else []


def _of_checkpoint(path: Path) -> bool:
    """Whether a file in a model's folder is one that opening it may read."""
    name = path.name
    needed = name in ("checkpoint", "model.json") or path.suffix in (".meta", ".index") or ".data-" in name
    return needed and path.is_file()
