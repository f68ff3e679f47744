"""How a process shares its processor cores: the network's threads, the workers beside it, and OpenCV's threads."""

from __future__ import annotations

import os
from dataclasses import dataclass

MOST_WORKERS = 8  # of one kind; more photos than that in memory would cost more than they bring


@dataclass(frozen=True)
class Threads:
    """network: threads of one run; readers, finishers: workers before and after it; opencv: threads within each."""

    network: int
    readers: int
    finishers: int
    opencv: int


def available() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shared(jobs: int | None = None) -> Threads:
    """The threads for `jobs` cores (None: all that the process may use).

    The network takes every core, for a moment at a time. Beside it photos are read, and others composited and written,
    one a worker; what is left over of the cores goes into each worker's OpenCV calls.
    """
    cores = max(1, available() if jobs is None else jobs)
    workers = cores if cores <= 2 else min(MOST_WORKERS, -(-cores // 2))
    return Threads(network=cores, readers=workers, finishers=workers, opencv=max(1, cores // workers))


def keep_linear_algebra_single() -> None:
    """Tell NumPy's and OpenCV's linear algebra (OpenBLAS) to use one thread; call it before either is imported.

    The largest system that is solved here has a hundred unknowns. Two threads share that work by spinning, and where
    the network or another worker has the second core, a solution that takes 0.1 ms takes 100.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def use(jobs: int | None = None) -> Threads:
    """`shared`, told to OpenCV, whose threads belong to the whole process."""
    import cv2

    threads = shared(jobs)
    cv2.setNumThreads(threads.opencv)
    return threads
