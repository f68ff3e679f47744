"""A worker of a Ray cluster: blocks of jobs through the stations of the line, by what the driver found out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from beautygan_cli.batch.line import Line, reason_of
from beautygan_cli.batch.manifest import Content, Entry, Manifest, Record, State, stamps
from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.batch.plan import Place, Plan, Planner, Target
from beautygan_cli.batch.ray.jobs import ClusterError, Done, Job, Shared
from beautygan_cli.errors import ModelError, OutputError
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos import remote
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.find import Found

TRIES_ALONE = 2  # of a photo after its worker died, before the photo gets the blame


class Foreman:
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


class Worker:
    """A Ray actor's inside: a session for as long as it lives, and a block of jobs at a time."""

    def __init__(self, reference: Any, foreman: Any, cpus: int) -> None:
        import ray

        for name in ("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"):
            os.environ.setdefault(name, str(cpus))
        shared: Shared = ray.get(reference)
        self.shared = replace(shared, config=replace(shared.config, jobs=cpus))
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
            config = self.shared.config
            self.session = MakeupSession(
                folder, batch_size=config.batch_size, precision=self.shared.precision, threads=cpus
            )
            try:
                self.session.load_removal()  # while its files are there: the eyes' pigment is read by it, too
            except ModelError:
                if config.remove:
                    raise
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
        ledger = Ledger(self.shared, jobs)
        planner = BlockPlanner(jobs, self.shared, self.session, ledger)
        line = BlockLine(jobs, planner, stop, lambda: bool(self._ask("stopped")))
        try:
            for outcome in line.outcomes():
                outcomes.append(outcome)
        except Exception as error:
            told = {outcome.output for outcome in outcomes}
            outcomes += [
                outcome
                for job in jobs
                for outcome in _failures(job, self.shared, reason_of(error, job.item.path))
                if outcome.output not in told
            ]
        finally:
            line.close()
            ledger.close()
        return Done(outcomes, ledger.entries, ledger.seen, ledger.named)

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
            all_done.written.extend(done.written)
        return all_done


def _limit_threads(cpus: int) -> None:
    import cv2

    cv2.setNumThreads(cpus)


def _go_to(shared: Shared) -> None:
    try:
        os.chdir(shared.folder)
    except OSError as error:
        if not isinstance(shared.config.out, remote.RemotePath):
            raise ClusterError(
                f"a worker's machine has no folder {shared.folder}; give it the same network drive, or use URLs."
            ) from error


def _failures(job: Job, shared: Shared, reason: str) -> list[Outcome]:
    worn = [(look, asked) for look in shared.looks for asked in shared.config.sweep]
    pairs = zip(worn, job.outputs, strict=True)
    return [
        Outcome(job.item.path, look.path, output, Status.FAILED, reason, asked=asked) for (look, asked), output in pairs
    ]


class Ledger(Manifest):
    """A manifest in memory, with what the driver told; what is recorded in it is the driver's to keep."""

    def __init__(self, shared: Shared, jobs: Sequence[Job]) -> None:
        super().__init__(None)
        self.run = shared.run
        self.shared = shared
        self.told = {output: record for job in jobs for output, record in job.known.items()}
        self.written = {path: digests for job in jobs for path, digests in job.written.items()}
        self.entries: list[Entry] = []
        self.seen: list[Content] = []
        self.named: list[tuple[Path, str]] = []

    def content(self, path: Path) -> str:
        """As the driver told, else read."""
        return self.shared.contents.get(str(path)) or super().content(path)

    def names(self, role: str) -> list[tuple[str, str, Path]]:
        """The references' are the driver's."""
        return self.shared.names if role == "reference" else []

    def result(self, output: Path) -> Record | None:
        """As the driver told."""
        return self.told.get(str(output))

    def digests(self, path: Path) -> frozenset[str]:
        """As the driver told, and what was written since."""
        return self.written.get(str(path), frozenset()) | super().digests(path)

    def writing(self, path: Path, sha256: str) -> None:
        """Keep for the driver, too."""
        super().writing(path, sha256)
        self.named.append((path, sha256))

    def announce(self, results: Sequence[tuple[Path, str]]) -> None:
        """Nothing: the driver did."""

    def record(
        self, output: Path, key: str, state: State, *, reason: str = "", files: Iterable[Path] = (), details: Any = None
    ) -> None:
        """Keep for the driver."""
        self.entries.append(Entry(output, key, state, reason, stamps(files), details))

    def close(self) -> None:
        """Keep what was read, too."""
        self.seen += self.contents()
        super().close()


class BlockPlanner(Planner):
    """Plans a block of jobs by what the driver found out."""

    def __init__(self, jobs: Sequence[Job], shared: Shared, session: MakeupSession, ledger: Ledger) -> None:
        wanted = {output for job in jobs for output in job.wanted}
        super().__init__(
            shared.looks, session, shared.config, ledger, pictures_wanted=lambda output: str(output) in wanted
        )
        self.jobs = {job.item.path: job for job in jobs}
        self.inside = shared.inside
        self.given = {output for job in jobs for output in job.protected}

    def admit(self, items: Sequence[Found]) -> list[str]:
        """Nothing: the driver gave the names."""
        return [""] * len(items)

    def outputs(self, item: Found, name: str) -> list[Place]:
        """As the driver told."""
        worn = [(look, content, asked) for look, _, content in self.looks for asked in self.config.sweep]
        return [Place(*of, output) for of, output in zip(worn, self.jobs[item.path].outputs, strict=True)]

    def foreign(self, target: Target) -> bool:
        """Not what the driver announced: a worker that died may have written it, and the making tells."""
        announced = target.known is not None and target.known.state == State.MAKING
        return not announced and super().foreign(target)

    def refuse_protected(self, files: Sequence[Path]) -> None:
        """OutputError for a photo that was given, as the driver told."""
        for file in files:
            if str(file) in self.given or os.path.realpath(file) in self.inside:
                raise OutputError(f"{printable(file)} is one of the photos given; choose another folder with --out.")


class BlockLine(Line):
    """The stations for a block of jobs."""

    def __init__(
        self,
        jobs: Sequence[Job],
        planner: Planner,
        stop: threading.Event,
        stopped: Callable[[], bool],
    ) -> None:
        def coming() -> Iterator[Found]:
            for job in jobs:
                if stopped():
                    stop.set()
                    return
                yield job.item

        super().__init__(planner, coming(), stop)

    def open(self, item: Found, name: str) -> Plan:
        """A photo elsewhere is fetched once, however often it is read."""
        if not isinstance(item.path, remote.RemotePath):
            return super().open(item, name)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # reading it will say what is wrong
                stack.enter_context(item.path.held())
            return super().open(item, name)
