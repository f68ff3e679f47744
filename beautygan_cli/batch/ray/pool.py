"""A Ray cluster with its workers: started or joined, given jobs, and quiet."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import pickle
import queue
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beautygan_cli.batch.ray.jobs import ClusterError, Done, Job, Shared
from beautygan_cli.batch.ray.worker import Foreman, Worker
from beautygan_cli.errors import BeautyGANError
from beautygan_cli.model.tf_runtime import standard_error_held_back
from beautygan_cli.photos.files import printable

LARGEST_BLOCK = 16  # photos that a worker takes at a time: what is made again when it dies
BLOCKS_EACH = 4  # at least for each worker of a small run, so that none waits long for the last
LAST_SECONDS = 30.0  # after a stop, for workers to finish and report the photo that they are at
OBJECT_STORE = 1 << 30  # bytes on a local cluster: jobs, outcomes and small pictures pass through it, no photos


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
        raise ClusterError("--engine ray needs Ray Data; install it with: pip install '.[ray]'.")


class Pool:
    """A cluster, with what is shared in its object store. A context manager."""

    def __init__(self, layout: Layout, shared: Shared) -> None:
        self.layout, self._shared = layout, shared
        self._folder: str | None = None
        self._streams = contextlib.ExitStack()
        self.actors = 1

    def __enter__(self) -> Pool:
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
        if self.layout.address is None:
            # A cluster of one machine: its processes then hear each other on 127.0.0.1 and nobody on the network, on
            # any system. An address of loopback given to `ray.init` is replaced by one of the network.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
            if "RAY_AUTH_MODE" not in os.environ:
                # Nobody but this run's processes may ask it anything; Ray itself would leave its token in the home.
                os.environ["RAY_AUTH_MODE"] = "token"
                os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray

        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with (
            _own_signals(),
            standard_error_held_back(),
            as_cluster_error("can't be started" if self.layout.address is None else "can't be reached"),
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
            foreman = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Foreman)
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
                with as_cluster_error("gave up"):
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
            Worker,
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
def as_cluster_error(what: str) -> Iterator[None]:
    """Turn what goes wrong inside into a ClusterError that says what, and why, in one sentence."""
    try:
        yield
    except BeautyGANError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if any(map(str.isalpha, line))]
        ours = [line for line in lines if "ClusterError: " in line]
        # What fails in a worker ends with its reason; what fails here begins with it, and advice follows.
        told = lines[-1:] if "Traceback (most recent call last)" in str(error) else lines[:1]
        said = ours[-1].rpartition("ClusterError: ")[2] if ours else (told or [type(error).__name__])[0]
        raise ClusterError(
            f"the Ray cluster {what}: {printable(said)[:300].rstrip('.')}; what is done is kept, and the same"
            " command goes on from there."
        ) from error
