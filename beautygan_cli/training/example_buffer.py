"""A ring of training sets on disk, filled and kept fresh by worker processes beside the training.

Drawing a set costs as much as a training step learns from several, so each is used more than once; the workers
replace the oldest ones for as long as they run. What lies in place `i` of round `r` depends on the seed alone.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.model.signature import Signature
from beautygan_cli.training.dataset import Person
from beautygan_cli.training.examples import VARIATIONS, TrainingSet, make_set
from beautygan_cli.types import UInt8Array

CHANNELS = {"source": 3, "reference": 3, "target": 3, "removed": 3, "masks": 3, "face": 1}
RESTING = 0.25  # share of its time in which a worker goes on once the ring is full, leaving the cores to training


@dataclass(frozen=True)
class BufferPlan:
    """What a buffer holds: how many sets, for which model, from which seed, and what is varied in them."""

    folder: Path
    count: int
    size: int
    padding: float
    warp_reference: bool
    mask: bool
    seed: int
    varied: tuple[str, ...] = VARIATIONS

    @property
    def signature(self) -> Signature:
        """The part of a model's signature that training sets depend on."""
        return Signature(size=self.size, padding=self.padding, warp_reference=self.warp_reference, mask=self.mask)


class Buffer:
    """The arrays of a buffer, open for reading while its workers write."""

    def __init__(self, plan: BufferPlan) -> None:
        self.plan = plan
        self.arrays = {name: _open(plan, name, create=True) for name in CHANNELS}
        self._workers: list[multiprocessing.process.BaseProcess] = []

    def start(self, people: list[Person], workers: int) -> None:
        """Start the worker processes; they end with this process."""
        context = multiprocessing.get_context("spawn")
        for worker in range(workers):
            process = context.Process(target=_work, args=(self.plan, people, worker, workers, os.getpid()), daemon=True)
            process.start()
            self._workers.append(process)

    def stop(self) -> None:
        """End the workers."""
        for process in self._workers:
            process.terminate()
            process.join()
        self._workers.clear()

    @property
    def filled(self) -> NDArray[np.int64]:
        """The places that hold a set."""
        done = [_progress(self.plan, int(file.suffix[1:])) for file in self.plan.folder.glob("done.*")]
        step = max(1, len(done))
        places = [np.arange(worker, self.plan.count, step)[: done[worker]] for worker in range(len(done))]
        return np.concatenate(places) if places else np.zeros(0, dtype=np.int64)

    def wait_for(self, count: int) -> None:
        """Return once at least `count` sets are there; a worker that died is an error."""
        while len(self.filled) < min(count, self.plan.count):
            if self._workers and not all(process.is_alive() for process in self._workers):
                raise RuntimeError("a worker that draws training sets has died; its error is above")
            time.sleep(0.5)

    def batch(self, places: NDArray[np.int64]) -> dict[str, UInt8Array]:
        """The sets in these places, (N, S, S, C) uint8 by name."""
        return {name: np.stack([array[place] for place in places]) for name, array in self.arrays.items()}


def fill(plan: BufferPlan, people: list[Person]) -> Buffer:
    """A whole buffer drawn in this process, for validation; one that is there already is taken as it is."""
    buffer = Buffer(plan)
    if len(buffer.filled) < plan.count:
        for place in range(plan.count):
            _put(buffer.arrays, place, _draw(plan, people, 0, place))
        _note(plan, 0, plan.count)
    return buffer


def _draw(plan: BufferPlan, people: list[Person], turn: int, place: int) -> TrainingSet:
    return make_set(people, np.random.default_rng([plan.seed, turn, place]), plan.signature, varied=plan.varied)


def _work(plan: BufferPlan, people: list[Person], worker: int, workers: int, parent: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    os.nice(5)
    arrays = {name: _open(plan, name, create=False) for name in CHANNELS}
    places = np.arange(worker, plan.count, workers)
    start = _progress(plan, worker)
    for index in range(start, 1 << 30):
        if os.getppid() != parent:
            return
        began = time.monotonic()
        turn, position = divmod(index, len(places))
        _put(arrays, int(places[position]), _draw(plan, people, turn, int(places[position])))
        _note(plan, worker, index + 1)
        if turn:
            time.sleep((time.monotonic() - began) * (1 / RESTING - 1))


def _put(arrays: dict[str, UInt8Array], place: int, item: TrainingSet) -> None:
    for name, array in arrays.items():
        array[place] = getattr(item, name)


def _open(plan: BufferPlan, name: str, *, create: bool) -> UInt8Array:
    shape = (plan.count, plan.size, plan.size, CHANNELS[name])
    file = plan.folder / f"{name}.npy"
    if create and not file.is_file():
        plan.folder.mkdir(parents=True, exist_ok=True)
        return np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    return np.lib.format.open_memmap(file, mode="r+")


def _progress(plan: BufferPlan, worker: int) -> int:
    try:
        return int((plan.folder / f"done.{worker}").read_text())
    except (OSError, ValueError):
        return 0


def _note(plan: BufferPlan, worker: int, done: int) -> None:
    file = plan.folder / f"done.{worker}"
    part = file.with_name(f"part.{worker}")
    part.write_text(str(done))
    part.replace(file)
