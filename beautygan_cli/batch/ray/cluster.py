"""The same run on a Ray cluster: what `batch.run` does in one process, done by many.

The driver is the process of the command. It alone knows the manifest: it looks up what is done, announces what will
be made, sends the rest out as jobs, a photo each, and records what comes back. The workers are Ray actors; each holds
a session and runs a block of jobs through the very stations of `batch`, with a ledger in memory in the manifest's
place. Photos don't pass through Ray: workers read and write them where they lie.

A worker that dies takes nothing along: Ray starts it anew and gives it its block again. The driver did announce the
block's results, so whatever the dead one left under their names is ours; files appear whole or not at all, and what it
was writing is swept away at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import logging
import os
import pickle
import queue
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from beautygan_cli.batch import batch, result, video
from beautygan_cli.batch.manifest import Content, Entry, Manifest, Record, stamps
from beautygan_cli.batch.result import Options, Outcome, ReadyLook
from beautygan_cli.errors import BeautyGANError, OutputError, PhotoError
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.tf_runtime import standard_error_held_back
from beautygan_cli.photos import remote
from beautygan_cli.photos.files import printable, sweep
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import Photo

LARGEST_BLOCK = 16  # photos that a worker takes at a time: what is made again when it dies
BLOCKS_EACH = 4  # at least for each worker of a small run, so that none waits long for the last
WAVE_EACH = 1000  # photos for each worker that are looked up ahead and are with Ray at once
LOOKING_UP = 8  # threads: a look at a file elsewhere takes milliseconds of waiting
TRIES_ALONE = 2  # of a photo after its worker died, before the photo gets the blame
LAST_SECONDS = 30.0  # after a stop, for workers to finish and report the photo that they are at
OBJECT_STORE = 1 << 30  # bytes on a local cluster: jobs, outcomes and small pictures pass through it, no photos


class ClusterError(BeautyGANError):
    """The cluster can't be reached or can't do the work."""


@dataclass(frozen=True)
class Layout:
    """Where the work is done: the cluster's address (None: one on this machine, for this run) and its workers.

    actors: how many (None: as many as fit); cpus, gpus: what each takes, cores and GPUs.
    """

    address: str | None = None
    actors: int | None = None
    cpus: int = 1
    gpus: float = 0.0


def check_installed() -> None:
    """Raise ClusterError where Ray Data is missing."""
    if any(importlib.util.find_spec(name) is None for name in ("ray", "pyarrow", "pandas")):
        raise ClusterError("--engine ray needs Ray Data; install it with: pip install 'beautygan-cli[ray]'.")


def run(
    sources: Iterable[Found | None],
    looks: Sequence[ReadyLook],
    session: MakeupSession,
    options: Options,
    manifest: Manifest,
    *,
    layout: Layout,
    inputs: Sequence[Path] = (),
    wanted: Callable[[Path], bool] = lambda _: False,
    stop: threading.Event | None = None,
    told: video.Told | None = None,
) -> Iterator[Outcome]:
    """As `batch.run`, with the same files, records and outcomes, these in the order in which blocks are done.

    `sources` must end. Every machine of the cluster sees the photos and `options.out` under the same names. After
    `stop` is set, what workers finish within LAST_SECONDS still counts. ClusterError where the cluster gives up.
    """
    stop = stop or threading.Event()
    planner = _Planner(list(sources), looks, session, options, manifest, inputs, wanted, stop, told)
    try:
        yield from _run(planner, layout)
    finally:
        planner.close()
        sweep(options.out)  # of what a worker that died was writing


def _run(planner: _Planner, layout: Layout) -> Iterator[Outcome]:
    stop, manifest = planner.stop, planner.manifest
    items = iter([item for item in planner.sources if item is not None])
    with ThreadPoolExecutor(1, thread_name_prefix="planner") as ahead, contextlib.ExitStack() as stack:
        size = WAVE_EACH * (layout.actors or os.cpu_count() or 1)
        coming: Future[_Wave] = ahead.submit(planner.wave, list(islice(items, size)))
        pool: _Pool | None = None
        while not stop.is_set():
            wave = coming.result()
            if not wave.items:
                return
            coming = ahead.submit(planner.wave, list(islice(items, size)))
            yield from wave.settled
            if not wave.jobs:
                continue
            if pool is None:
                pool = stack.enter_context(_Pool(layout, planner.shared()))
                size = WAVE_EACH * pool.actors
            manifest.announce(wave.announced)
            for done in pool.results(wave.jobs, stop):
                manifest.learn(done.contents, done.entries)
                yield from done.outcomes


# What goes between driver and workers


@dataclass(frozen=True)
class Job:
    """One source's work: its results' places, and what the driver knows of them.

    known: a record for each output that has one. protected: those that are photos which were given, wanted: those
    whose pictures are asked for, fresh: those that nothing lay under when the driver looked.
    """

    item: Found
    outputs: tuple[Path, ...]
    known: dict[str, Record]
    protected: frozenset[str]
    wanted: frozenset[str]
    fresh: frozenset[str]


@dataclass(frozen=True)
class Done:
    """What came of a block of jobs."""

    outcomes: list[Outcome] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    contents: list[Content] = field(default_factory=list)


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
    options: Options
    inside: frozenset[str]
    model: dict[str, bytes]
    digest: str
    precision: str
    version: str
    run: int
    folder: str


@dataclass(frozen=True)
class _Wave:
    """So many sources, looked up."""

    items: Sequence[Found]
    settled: list[Outcome] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    announced: list[tuple[Path, str]] = field(default_factory=list)


# The driver


class _Planner(batch._Line):
    """The first station of `batch` alone, without opening photos: what is done, what is to be made."""

    def wave(self, items: Sequence[Found]) -> _Wave:
        """Look up so many sources, several at a time."""
        wave = _Wave(items)
        with ThreadPoolExecutor(LOOKING_UP) as several:
            for settled, job, announced in several.map(self._look_up, items, self.names.of(items)):
                if self.stop.is_set():
                    break
                wave.settled.extend(settled)
                wave.announced.extend(announced)
                wave.jobs.extend([job] if job else [])
        return wave

    def shared(self) -> Shared:
        """What the workers need to know."""
        out = os.path.realpath(self.options.out)
        ready = [look for look, _, _ in self.looks]
        worn = [path for look in ready for path in look.look.references]
        given = [*(item.path for item in self.sources if item), *(look.path for look in ready), *worn]
        inside = {real for path in given if (real := os.path.realpath(path)).startswith(out + os.sep)}
        folder = self.session.path
        files = {path.name: path.read_bytes() for path in folder.iterdir() if _of_checkpoint(path)}
        return Shared(
            looks=ready,
            names=[(folder, name, path) for folder, name, path in self.manifest.names("reference")],
            contents={str(path): self.manifest.content(path) for path in worn},
            options=self.options,
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
        targets = self._outputs(item, name)
        outputs = [output for _, _, _, output in targets]
        known = {str(output): record for output in outputs if (record := self.manifest.result(output))}
        fresh = frozenset(str(output) for output in outputs if not batch._present(output))
        announced = [(output, "") for output in outputs if str(output) in fresh or self.options.overwrite]
        left = outputs
        if self.options.again == "failed" and not known:
            return [], None, []
        if known:
            with contextlib.suppress(PhotoError):  # its worker will say what is wrong
                plan = self._plan(item, self._targets(item, targets))
                announced = [(target.output, target.key) for target in plan.make]
                left = [target.output for target in (*plan.make, *plan.revisit)]
                if not left:
                    return plan.settled, None, []
        job = Job(
            item,
            tuple(outputs),
            known | {str(output): Record(key, "making", run=self.manifest.run) for output, key in announced},
            frozenset(str(output) for output in outputs if batch.identity(output) in self.protected),
            frozenset(str(output) for output in left if self.wanted(output)),
            fresh,
        )
        return [], job, [(output, key) for output, key in announced if str(output) not in job.protected]


def _of_checkpoint(path: Path) -> bool:
    """Whether a file in a model's folder is one that opening it may read."""
    name = path.name
    needed = name in ("checkpoint", "model.json") or path.suffix in (".meta", ".index") or ".data-" in name
    return needed and path.is_file()


class _Pool:
    """A cluster, with what is shared in its object store. A context manager."""

    def __init__(self, layout: Layout, shared: Shared) -> None:
        self.layout, self._shared = layout, shared
        self._folder: str | None = None
        self._streams = contextlib.ExitStack()
        self.actors = 1

    def __enter__(self) -> _Pool:
        try:
            self._streams.enter_context(contextlib.redirect_stdout(_WithoutRay(sys.stdout)))
            self._streams.enter_context(contextlib.redirect_stderr(_WithoutRay(sys.stderr)))
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        if self.layout.address is not None:
            _check_answers(self.layout.address)
        # Ray looks at these when it is imported or started; whoever sets one has the last word.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
        import ray

        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with (
            _own_signals(),
            standard_error_held_back(),
            _as_cluster_error("can't be started" if self.layout.address is None else "can't be reached"),
        ):
            if self.layout.address is not None:
                ray.init(address=self.layout.address, **quiet)
            else:
                # Sockets lie in the folder, and their names may not be long.
                place = "/tmp" if Path("/tmp").is_dir() else None
                self._folder = tempfile.mkdtemp(prefix="beautygan-ray-", dir=place)
                cores = max(os.cpu_count() or 1, (self.layout.actors or 1) * self.layout.cpus)
                ray.init(
                    address="local",
                    num_cpus=cores,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE,
                    _temp_dir=self._folder,
                    **quiet,
                )
            self.actors = self.layout.actors or self._as_many_as_fit(ray.cluster_resources())
            self.reference = ray.put(self._shared)
            foreman = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Foreman)
            self.foreman = foreman.remote()

    def _as_many_as_fit(self, resources: dict[str, float]) -> int:
        fit = resources.get("CPU", 0) // self.layout.cpus
        if self.layout.gpus:
            fit = min(fit, resources.get("GPU", 0) // self.layout.gpus)
        if fit < 1:
            wish = f"{self.layout.cpus} cores" + (f" and {self.layout.gpus:g} GPUs" if self.layout.gpus else "")
            raise ClusterError(f"the cluster has no room for a worker of {wish}; ask for less, or name --num-actors.")
        return int(fit)

    def __exit__(self, *_: object) -> None:
        import ray

        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            ray.shutdown()  # which says what it held back so far
        self._streams.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def results(self, jobs: Sequence[Job], stop: threading.Event) -> Iterator[Done]:
        """What comes of the jobs, block by block as they are done. ClusterError where the cluster gives up."""
        arrived: queue.Queue[Done | BaseException | None] = queue.Queue(maxsize=4 * self.actors)
        threading.Thread(target=self._work, args=(jobs, arrived), daemon=True, name="ray-data").start()
        until: float | None = None
        while True:
            if stop.is_set() and until is None:
                until = time.monotonic() + LAST_SECONDS
                self.foreman.stop.remote()
            if until is not None and time.monotonic() > until:
                return
            try:
                found = arrived.get(timeout=0.2)  # not for ever: a signal is to be noticed
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, BaseException):
                if stop.is_set():
                    return
                with _as_cluster_error("gave up"):
                    raise found
            yield found

    def _work(self, jobs: Sequence[Job], arrived: queue.Queue[Done | BaseException | None]) -> None:
        try:
            for block in self._dataset(jobs).iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for done in block["done"]:
                    arrived.put(pickle.loads(done.as_py()))
            arrived.put(None)
        except BaseException as error:
            arrived.put(error)

    def _dataset(self, jobs: Sequence[Job]) -> Any:
        """The jobs as rows of a dataset, and what the workers make of them."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_options.preserve_order = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        block = max(1, min(LARGEST_BLOCK, len(jobs) // (BLOCKS_EACH * self.actors)))
        resources: dict[str, Any] = {"num_cpus": self.layout.cpus}
        if self.layout.gpus:
            resources["num_gpus"] = self.layout.gpus
        rows = [{"job": pickle.dumps(job)} for job in jobs]
        return ray.data.from_items(rows, override_num_blocks=-(-len(rows) // block)).map_batches(
            _Worker,
            fn_constructor_args=(self.reference, self.foreman, self.layout.cpus),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=self.actors, max_tasks_in_flight_per_actor=2),
            **resources,
        )


def _check_answers(address: str) -> None:
    """Raise ClusterError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "//" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ClusterError(f"nobody answers at {address} ({error.strerror or error}); check --ray-address.") from error


class _WithoutRay:
    """A stream that Ray's own threads can't write to: of each dead worker they print to stdout, among the paths."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what isn't Ray's."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals that are set: starting Ray sets its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _as_cluster_error(what: str) -> Iterator[None]:
    try:
        yield
    except BeautyGANError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        ours = [line for line in lines if "ClusterError: " in line]
        said = ours[-1].rpartition("ClusterError: ")[2] if ours else (lines or [type(error).__name__])[-1]
        raise ClusterError(
            f"the Ray cluster {what}: {printable(said)[:300].rstrip('.')}; what is done is kept, and the same"
            " command goes on from there."
        ) from error


# The workers


class _Foreman:
    """Outlives the workers: counts their tries, and passes on that the run is to stop."""

    def __init__(self) -> None:
        self.stopping = False
        self.blocks: Counter[str] = Counter()
        self.alone: Counter[str] = Counter()

    def stop(self) -> None:
        """Ask the workers to begin no other photo."""
        self.stopping = True

    def stopped(self) -> bool:
        """Whether they were asked."""
        return self.stopping

    def begin_block(self, block: str) -> int:
        """Which try of a block this is, from 1 on."""
        self.blocks[block] += 1
        return self.blocks[block]

    def begin_alone(self, source: str) -> int:
        """Which try of a photo by itself this is."""
        self.alone[source] += 1
        return self.alone[source]

    def end_alone(self, source: str) -> None:
        """Its worker lived through it."""
        del self.alone[source]


class _Worker:
    """A Ray actor's inside: a session for as long as it lives, and a block of jobs at a time."""

    def __init__(self, reference: Any, foreman: Any, cpus: int) -> None:
        import ray

        for name in ("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"):
            os.environ.setdefault(name, str(cpus))
        shared: Shared = ray.get(reference)
        self.shared = replace(shared, options=replace(shared.options, jobs=cpus))
        self.foreman = foreman
        version = metadata.version("beautygan-cli")
        if version != self.shared.version:
            raise ClusterError(
                f"a worker's machine has beautygan-cli {version}, the driver {self.shared.version}; install the same"
                " version on all machines."
            )
        _limit_threads(cpus)
        _go_to(self.shared)
        with tempfile.TemporaryDirectory(prefix="beautygan-model-") as folder:
            for name, content in self.shared.model.items():
                Path(folder, name).write_bytes(content)
            options = self.shared.options
            self.session = MakeupSession(
                folder, batch_size=options.batch_size, precision=self.shared.precision, threads=cpus
            )
            if options.remove:
                self.session.load_removal()  # while its files are there
            if self.session.digest != self.shared.digest:
                raise ClusterError("the model came out different at a worker; start again.")

    def __call__(self, block: Any) -> dict[str, list[bytes]]:
        """Rows of pickled jobs to one row of what came of them."""
        rows = [row.as_py() for row in block["job"]]
        jobs: list[Job] = [pickle.loads(row) for row in rows]
        tries = self._ask("begin_block", hashlib.sha256(b"".join(rows)).hexdigest())
        done = self._together(jobs) if tries == 1 else self._one_by_one(jobs)
        return {"done": [pickle.dumps(done)]}

    def _ask(self, question: str, *arguments: str) -> Any:
        import ray

        return ray.get(getattr(self.foreman, question).remote(*arguments))

    def _together(self, jobs: Sequence[Job]) -> Done:
        """All jobs in one line, so that reading, the network and writing overlap."""
        stop, outcomes = threading.Event(), []
        ledger = _Ledger(self.shared, jobs)
        line = _Bench(jobs, self.shared, self.session, ledger, stop, lambda: bool(self._ask("stopped")))
        try:
            for outcome in line.outcomes():
                outcomes.append(outcome)
        except Exception as error:
            told = {outcome.output for outcome in outcomes}
            outcomes += [
                outcome
                for job in jobs
                for outcome in _failures(job, self.shared, batch._reason(error, job.item.path))
                if outcome.output not in told
            ]
        finally:
            line.close()
            ledger.close()
        return Done(outcomes, ledger.entries, ledger.seen)

    def _one_by_one(self, jobs: Sequence[Job]) -> Done:
        """The jobs of a block whose worker died, each by itself, so that a photo that kills its worker is found out."""
        all_done = Done()
        for job in jobs:
            name = str(job.item.path)
            if self._ask("begin_alone", name) > TRIES_ALONE:
                reason = (
                    f"{printable(name)} ended its worker's process each time, perhaps for want of memory; make it"
                    " smaller or leave it out."
                )
                done = Done(_failures(job, self.shared, reason))
            else:
                done = self._together([job])
            self._ask("end_alone", name)
            all_done.outcomes.extend(done.outcomes)
            all_done.entries.extend(done.entries)
            all_done.contents.extend(done.contents)
        return all_done


def _limit_threads(cpus: int) -> None:
    import cv2

    cv2.setNumThreads(cpus)


def _go_to(shared: Shared) -> None:
    try:
        os.chdir(shared.folder)
    except OSError as error:
        if not isinstance(shared.options.out, remote.RemotePath):
            raise ClusterError(
                f"a worker's machine has no folder {shared.folder}; give it the same network drive, or use URLs."
            ) from error


def _failures(job: Job, shared: Shared, reason: str) -> list[Outcome]:
    worn = [(look, asked) for look in shared.looks for asked in shared.options.sweep]
    pairs = zip(worn, job.outputs, strict=True)
    return [Outcome(job.item.path, look.path, output, "failed", reason, asked=asked) for (look, asked), output in pairs]


class _Ledger(Manifest):
    """A manifest in memory, with what the driver told; what is recorded in it is the driver's to keep."""

    def __init__(self, shared: Shared, jobs: Sequence[Job]) -> None:
        super().__init__(None)
        self.run = shared.run
        self.shared = shared
        self.told = {output: record for job in jobs for output, record in job.known.items()}
        self.entries: list[Entry] = []
        self.seen: list[Content] = []

    def content(self, path: Path) -> str:
        """As the driver told, else read."""
        return self.shared.contents.get(str(path)) or super().content(path)

    def names(self, role: str) -> list[tuple[str, str, Path]]:
        """The references' are the driver's."""
        return self.shared.names if role == "reference" else []

    def result(self, output: Path) -> Record | None:
        """As the driver told."""
        return self.told.get(str(output))

    def announce(self, results: Sequence[tuple[Path, str]]) -> None:
        """Nothing: the driver did."""

    def record(
        self, output: Path, key: str, state: str, *, reason: str = "", files: Iterable[Path] = (), details: Any = None
    ) -> None:
        """Keep for the driver."""
        self.entries.append(Entry(output, key, state, reason, stamps(files), details))

    def close(self) -> None:
        """Keep what was read, too."""
        self.seen += self.contents()
        super().close()


class _Bench(batch._Line):
    """The stations of `batch` for a block of jobs."""

    def __init__(
        self,
        jobs: Sequence[Job],
        shared: Shared,
        session: MakeupSession,
        ledger: _Ledger,
        stop: threading.Event,
        stopped: Callable[[], bool],
    ) -> None:
        self.jobs = {job.item.path: job for job in jobs}
        self.inside = shared.inside
        self.given = {output for job in jobs for output in job.protected}
        self.fresh = {output for job in jobs for output in job.fresh}
        wanted = {output for job in jobs for output in job.wanted}

        def coming() -> Iterator[Found]:
            for job in jobs:
                if stopped():
                    stop.set()
                    return
                yield job.item

        def is_wanted(output: Path) -> bool:
            return str(output) in wanted

        super().__init__(coming(), shared.looks, session, shared.options, ledger, (), is_wanted, stop)

    def _admit(self, items: Sequence[Found]) -> list[str]:
        return [""] * len(items)  # the driver gave the names

    def _outputs(self, item: Found, name: str) -> list[tuple[ReadyLook, str, float, Path]]:
        worn = [(look, content, asked) for look, _, content in self.looks for asked in self.options.sweep]
        return [(*of, output) for of, output in zip(worn, self.jobs[item.path].outputs, strict=True)]

    def _open(self, item: Found, name: str) -> batch._Plan:
        if not isinstance(item.path, remote.RemotePath):
            return super()._open(item, name)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # reading it will say what is wrong
                stack.enter_context(item.path.held())
            return super()._open(item, name)

    def _refuse_protected(self, files: Sequence[Path]) -> None:
        for file in files:
            if str(file) in self.given or os.path.realpath(file) in self.inside:
                raise OutputError(f"{printable(file)} is one of the photos given; choose another folder with --out.")

    def _write(self, photos: Sequence[Photo], files: Sequence[Path], target: batch._Target) -> None:
        """Write a result, which an earlier try of the block may have done; a file that is no result of ours stays."""
        if self.options.overwrite or str(target.output) not in self.fresh:
            return super()._write(photos, files, target)
        for photo, file in zip(photos, files, strict=True):
            if not file.exists() or file.read_bytes() != self._encoded(photo, file):
                result.write([photo], [file], self.options, overwrite=False)

    def _encoded(self, photo: Photo, file: Path) -> bytes:
        """What would be written."""
        with tempfile.TemporaryDirectory(prefix="beautygan-") as folder:
            result.write([photo], [Path(folder, file.name)], self.options, overwrite=False)
            return Path(folder, file.name).read_bytes()
