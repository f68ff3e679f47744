"""The pipeline's queues, simulated with the stage times that are measured here, and checked against a run here.

    pip install simpy
    python benchmarks/queues.py measure --save stages.json     # stage times, a run, and the simulation of that run
    python benchmarks/queues.py driver                         # what one driver looks up and records in a second
    python benchmarks/queues.py cluster --stages stages.json   # machines, blocks and workers, and ten million photos

Photos are the samples at 12 megapixels, with a camera's noise. A station takes as many processor seconds as it was
measured to take alone; cores and networks are shared evenly by all that use them. What other programs leave of this
machine's cores is measured beside each run, and the simulated run has as much.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
import simpy

from beautygan_cli.batch import line as batch_line
from beautygan_cli.batch import result, thread_counts
from beautygan_cli.batch.manifest import Manifest
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.outcome import STAGES, Outcome
from beautygan_cli.batch.plan import Planner
from beautygan_cli.batch.ray.pool import LARGEST_BLOCK
from beautygan_cli.batch.sources import read_looks, read_source
from beautygan_cli.batch.thread_counts import shared as shared_cores
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.look import Look
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import read_photo

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SIZE = (4000, 3000)
NOISE = 3.0  # deviation of a pixel's value, as of a phone's photo indoors
PHOTOS = 10_000_000
VARIATION = 0.3  # deviation of a photo's time to the mean: photos differ, and so workers don't go in step


@dataclass(frozen=True)
class Stages:
    """Processor seconds of a photo with one face and one reference, and the bytes of source and result.

    start: seconds that a worker takes before its first photo. width: cores that the network keeps busy when alone.
    """

    read: float
    detect: float
    network: float
    composite: float
    write: float
    source_bytes: float
    result_bytes: float
    start: float = 0.0
    width: float = 1.0

    @property
    def seconds(self) -> float:
        """Of a processor core, for the whole photo."""
        return self.read + self.detect + self.network + self.composite + self.write


# The simulation


class Shared:
    """Something that so many units of can be used at once (cores, bytes a second), divided evenly among its users."""

    def __init__(self, clock: simpy.Environment, capacity: float) -> None:
        self.clock, self.capacity = clock, capacity
        self.users: list[list[Any]] = []  # [work left, most units at once, event]
        self.since = 0.0
        self.used = 0.0
        self.turn = 0

    def work(self, amount: float, most: float = float("inf")) -> simpy.Event:
        """The event that so much work is done, at no more than `most` units at once."""
        self._advance()
        done = self.clock.event()
        if amount <= 0:
            return done.succeed()
        self.users.append([amount, min(most, self.capacity), done])
        self._plan()
        return done

    def _share(self) -> float:
        """Of what each user would take, the part that it gets."""
        return min(1.0, self.capacity / sum(most for _, most, _ in self.users)) if self.users else 1.0

    def _advance(self) -> None:
        passed, self.since = self.clock.now - self.since, self.clock.now
        share = self._share()
        for user in self.users:
            user[0] -= passed * user[1] * share
            self.used += passed * user[1] * share

    def _plan(self) -> None:
        self.turn += 1
        if self.users:
            share = self._share()
            first = min(left / (most * share) for left, most, _ in self.users)
            self.clock.process(self._wake(max(0.0, first), self.turn))

    def _wake(self, delay: float, turn: int) -> Iterator[simpy.Event]:
        yield self.clock.timeout(delay)
        if turn != self.turn:
            return
        self._advance()
        for user in [user for user in self.users if user[0] <= 1e-9 * (1 + user[1])]:
            self.users.remove(user)
            user[2].succeed()
        self._plan()


def line(
    clock: simpy.Environment,
    count: int,
    stages: Stages,
    cores: Shared,
    most: float,
    net: Sequence[Shared] = (),
    batch_size: int = 8,
    after: Callable[[], None] = lambda: None,
    chance: random.Random = random.Random(1),  # noqa: B008 - one for all, or all lines would go in step
) -> Iterator[simpy.Event]:
    """The stations of `batch/line.py` for so many photos: the same threads, room between them and batches."""
    threads = shared_cores(max(1, round(most)))
    readers, finishers = (simpy.Resource(clock, number) for number in (threads.readers, threads.finishers))
    room = simpy.Resource(clock, round(batch_line.MOST_UNFINISHED * threads.finishers))
    read_ahead = round(batch_line.READ_AHEAD * threads.readers)

    def carry(amount: float) -> Iterator[simpy.Event]:
        for link in net:
            yield link.work(amount)

    def opened() -> Iterator[simpy.Event]:
        more = chance.gammavariate(VARIATION**-2, VARIATION**2)
        with readers.request() as reader:
            yield reader
            yield from carry(stages.source_bytes)
            yield cores.work(more * stages.read, 1)
            yield cores.work(more * stages.detect, 1)

    def finished(place: Any) -> Iterator[simpy.Event]:
        with finishers.request() as finisher:
            yield finisher
            more = chance.gammavariate(VARIATION**-2, VARIATION**2)
            yield cores.work(more * (stages.composite + stages.write), 1)
            yield from carry(stages.result_bytes)
        room.release(place)
        after()

    ahead: deque[simpy.Event] = deque()
    leaving: list[simpy.Event] = []
    filling = 0
    for number in range(count + read_ahead):
        if number < count:
            ahead.append(clock.process(opened()))
        if len(ahead) <= read_ahead and number < count:
            continue
        if ahead:
            yield ahead.popleft()
            filling += 1
        if filling == batch_size or (filling and not ahead):
            yield cores.work(filling * stages.network, min(most, stages.width))
            for _ in range(filling):
                place = room.request()
                yield place
                leaving.append(clock.process(finished(place)))
            filling = 0
    yield simpy.AllOf(clock, leaving)


@dataclass(frozen=True)
class Cluster:
    """Machines of so many cores, so many workers on each, and networks in bytes a second."""

    machines: int
    cores: int = 16
    workers: int = 16
    block: int = LARGEST_BLOCK
    nic: float = 10e9 / 8
    storage: float = 40e9 / 8
    driver: float = float("inf")  # photos a second


def simulate(cluster: Cluster, stages: Stages, photos_each: int = 64) -> dict[str, float]:
    """Photos a second of a cluster, and how busy its cores, the storage and the driver are, once all is in swing."""
    clock = simpy.Environment()
    storage = Shared(clock, cluster.storage)
    driver = Shared(clock, cluster.driver if np.isfinite(cluster.driver) else 1e12)
    cores = [Shared(clock, cluster.cores) for _ in range(cluster.machines)]
    blocks_left = [max(1, cluster.machines * cluster.workers * photos_each // cluster.block)]
    share = max(1.0, cluster.cores / cluster.workers)

    marks: list[tuple[float, float, float, float]] = []  # when a photo was done, and what was used by then

    def mark() -> None:
        marks.append((clock.now, sum(each.used for each in cores), storage.used, driver.used))

    def worker(machine: int, nic: Shared) -> Iterator[simpy.Event]:
        while blocks_left[0] > 0:
            blocks_left[0] -= 1
            yield clock.process(line(clock, cluster.block, stages, cores[machine], share, (storage, nic), after=mark))
            yield driver.work(cluster.block)

    for machine in range(cluster.machines):
        nic = Shared(clock, cluster.nic)
        for _ in range(cluster.workers):
            clock.process(worker(machine, nic))
    clock.run()
    # Beginning and end are left out: there the workers go in step, or some have nothing left to do.
    first, last = (
        next(place for place, mark in enumerate(marks) if mark[0] >= part * clock.now) for part in (0.25, 0.75)
    )
    spent, *used = (after - before for before, after in zip(marks[first], marks[last], strict=True))
    return {
        "rate": (last - first) / spent,
        "cores": used[0] / (spent * cluster.cores * cluster.machines),
        "storage": used[1] / (spent * cluster.storage),
        "driver": used[2] / (spent * driver.capacity),
    }


# Measuring


def generate(folder: Path, count: int) -> list[Path]:
    """So many photos of SIZE: samples at full height, their edges mirrored, with noise."""
    folder.mkdir(parents=True)
    originals = sorted((SAMPLES / "no_makeup").glob("*.jpg"))
    chance = np.random.default_rng(1)
    paths = []
    for number in range(count):
        pixels = iio.imread(originals[number % len(originals)])
        scale = SIZE[1] / pixels.shape[0]
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[: SIZE[1], : SIZE[0]]
        lacking = SIZE[0] - pixels.shape[1]
        pixels = cv2.copyMakeBorder(pixels, 0, 0, lacking // 2, lacking - lacking // 2, cv2.BORDER_REFLECT)
        noise = chance.normal(0, NOISE, pixels.shape).astype(np.float32)
        paths.append(folder / f"{number:03d}.jpg")
        iio.imwrite(paths[-1], np.clip(pixels + noise, 0, 255).astype(np.uint8), quality=92)
    return paths


def free_cores(seconds: float = 2.0, threads: int = 2 * (os.cpu_count() or 1)) -> float:
    """Cores that other programs leave to one that could use them all."""
    end = time.monotonic() + seconds
    block = bytes(1 << 20)

    def burn() -> None:
        while time.monotonic() < end:
            hashlib.sha256(block)  # works without the interpreter's lock

    began, used = time.monotonic(), time.process_time()
    burning = [threading.Thread(target=burn) for _ in range(threads)]
    for thread in burning:
        thread.start()
    for thread in burning:
        thread.join()
    return (time.process_time() - used) / (time.monotonic() - began)


def processor_seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and the processor seconds of all its threads."""
    began = time.process_time()
    value = work()
    return value, time.process_time() - began


def alone(paths: Sequence[Path], look: Any, session: MakeupSession, options: RunConfig) -> tuple[Stages, list[float]]:
    """Each stage by itself, one photo after the other; also the whole processor seconds a photo."""
    spent: dict[str, list[float]] = {name: [] for name in ("read", "detect", "network", "composite", "write")}
    results_bytes, widths = [], []
    for start in range(0, len(paths), options.batch_size):
        sources = []
        for path in paths[start : start + options.batch_size]:
            _, seconds = processor_seconds(lambda path=path: read_photo(path))
            spent["read"].append(seconds)
            source, seconds = processor_seconds(lambda path=path: read_source(path, session.signature, options))
            spent["detect"].append(seconds - spent["read"][-1])
            sources.append(source)
        pairs = [(source.aligned[0], look.face) for source in sources]
        began = time.monotonic()
        made, seconds = processor_seconds(lambda pairs=pairs: pipeline.make_up(pairs, session))
        widths.append(seconds / (time.monotonic() - began))
        spent["network"] += [seconds / len(pairs)] * len(pairs)
        for source, item in zip(sources, made, strict=True):
            outcome = Outcome(source.path, look.path, None, "made")
            (_, photos), seconds = processor_seconds(
                lambda source=source, item=item, outcome=outcome: result.make(source, look, [item], outcome, options)
            )
            spent["composite"].append(seconds)
            file = options.out / f"alone-{source.path.name}"
            _, seconds = processor_seconds(
                lambda photos=photos, file=file: result.write(photos, [file], options, overwrite=True)
            )
            spent["write"].append(seconds)
            results_bytes.append(file.stat().st_size)
    medians = {name: statistics.median(values) for name, values in spent.items()}
    whole = [sum(values) for values in zip(*spent.values(), strict=True)]
    sizes = statistics.mean(path.stat().st_size for path in paths), statistics.mean(results_bytes)
    return Stages(**medians, source_bytes=sizes[0], result_bytes=sizes[1], width=max(1.0, max(widths))), whole


def measure(options: argparse.Namespace) -> int:
    """Stage times, runs of `batch/line.py`, and the simulation of these runs."""
    thread_counts.use()
    with tempfile.TemporaryDirectory(prefix="beautygan-benchmark-") as name:
        folder = Path(name)
        paths = generate(folder / "photos", options.photos)
        began = time.monotonic()
        with MakeupSession() as session:
            settings = RunConfig(folder / "alone")
            found = [Found(SAMPLES / "makeup" / "plum.jpg", Path())]
            looks, _ = read_looks([(item, Look.of(item.path)) for item in found], session.signature)
            alone(paths[:2], looks[0], session, settings)  # warms up
            start = time.monotonic() - began
            ratios = []
            for turn in range(options.turns):
                stages, _ = alone(paths, looks[0], session, settings)
                before = free_cores()
                out = RunConfig(folder / f"run{turn}")
                with Manifest(out.out) as manifest:
                    began, used = time.monotonic(), time.process_time()
                    outcomes = list(
                        batch_line.run(Planner(looks, session, out, manifest), [Found(path, Path()) for path in paths])
                    )
                    spent, used = time.monotonic() - began, time.process_time() - used
                assert all(outcome.status == "made" for outcome in outcomes)
                free = (before + free_cores()) / 2
                clock = simpy.Environment()
                clock.process(line(clock, len(paths), stages, Shared(clock, free), free))
                clock.run()
                ratios.append(clock.now / spent)
                print(
                    f"run {turn + 1}: {free:.2f} cores free, the run used {used / spent:.2f};"
                    f" {len(paths) / spent:.3f} photos a second measured, {len(paths) / clock.now:.3f} simulated;"
                    f" {used / len(paths):.2f} processor seconds a photo, the stages alone {stages.seconds:.2f}",
                    flush=True,
                )
    stages = Stages(**{**asdict(stages), "start": start})
    print(json.dumps({name: round(value, 4) for name, value in asdict(stages).items()}))
    print(f"simulated to measured time: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"largest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")
    if options.save:
        options.save.write_text(json.dumps(asdict(stages)))
    return 0


def drive(options: argparse.Namespace) -> int:
    """Sources without a past looked up, results recorded, and done ones looked up again, each a second."""
    from beautygan_cli.batch.manifest import Content, Entry
    from beautygan_cli.batch.ray.driver import Driver

    with tempfile.TemporaryDirectory(prefix="beautygan-benchmark-") as name, MakeupSession() as session:
        folder = Path(name)
        plum = SAMPLES / "makeup" / "plum.jpg"
        looks, _ = read_looks([(Found(plum, Path()), Look.of(plum))], session.signature)
        settings = RunConfig(folder / "out")
        with Manifest(settings.out) as manifest:
            gc.collect()
            tracemalloc.start()
            items = [Found(folder / f"{number:07d}.jpg", Path()) for number in range(options.photos)]
            planner = Driver(looks, session, settings, manifest)
            planner.admit(items)
            print(f"{tracemalloc.get_traced_memory()[0] / len(items):.0f} bytes of memory a source")
            tracemalloc.stop()
            for what in ("looked up", "looked up again"):
                began = time.monotonic()
                wave = planner.wave(items, threading.Event())
                manifest.announce(wave.announced)
                print(f"{len(items) / (time.monotonic() - began):.0f} sources a second {what}")
                if what == "looked up":
                    began = time.monotonic()
                    for start in range(0, len(wave.jobs), LARGEST_BLOCK):
                        block = wave.jobs[start : start + LARGEST_BLOCK]
                        for job in block:
                            job.item.path.write_bytes(b"photo")
                            job.outputs[0].write_bytes(b"result")
                        record(manifest, planner, block, Content, Entry)
                    print(f"{len(items) / (time.monotonic() - began):.0f} results a second recorded")
        size = sum(path.stat().st_size for path in settings.out.glob(".beautygan.sqlite*"))
        print(f"{size / len(items):.0f} bytes a result in the manifest")
    return 0


def record(manifest: Manifest, planner: Any, block: Sequence[Any], content: Any, entry: Any) -> None:
    """Record a block as a worker would report it."""
    from beautygan_cli.batch.manifest import stamps

    seconds = dict.fromkeys(STAGES, 0.123456789)
    contents, entries = [], []
    for job in block:
        status = job.item.path.stat()
        digest = hashlib.sha256(b"photo").hexdigest()
        contents.append(content(str(job.item.path), status.st_size, status.st_mtime_ns, status.st_ino, digest))
        details = {"faces": 1, "size": SIZE, "strength": 1.0, "seconds": seconds, "figures": {}}
        key = digest
        entries.append(entry(job.outputs[0], key, "made", "", stamps(job.outputs), details))
    manifest.learn(contents, entries)
    del planner


# What follows for a cluster


def project(options: argparse.Namespace) -> int:
    """Tables of machines, of blocks and of workers, and what ten million photos take."""
    stages = Stages(**json.loads(options.stages.read_text()))
    driver = options.driver
    print(f"{stages.seconds:.2f} core seconds a photo, network's share {stages.network / stages.seconds:.0%}")
    core_hours = PHOTOS * stages.seconds / 3600
    print(
        f"ten million: {core_hours:,.0f} core hours, {PHOTOS * stages.source_bytes / 1e12:.1f} TB read,"
        f" {PHOTOS * stages.result_bytes / 1e12:.1f} TB written"
    )
    print("\nmachines of 16 cores, 16 workers each, 10 Gbit/s each, storage of 40 Gbit/s")
    for machines in options.machines:
        found = simulate(Cluster(machines, driver=driver), stages, 96)
        busiest = max(("cores", "storage", "driver"), key=lambda name, found=found: found[name])
        print(
            f"{machines:4d}: {found['rate']:8.1f} photos/s, {PHOTOS / found['rate'] / 3600:7.1f} h;"
            f" cores {found['cores']:.0%},"
            f" storage {found['storage']:.0%}, driver {found['driver']:.0%} busy; first to be full: {busiest}",
            flush=True,
        )
    print("\nphotos in a block (one machine)")
    for block in (1, 2, 4, 8, 16, 32, 64):
        found = simulate(Cluster(1, block=block, driver=driver), stages, 128)
        print(f"{block:4d}: {found['rate']:8.2f} photos/s, cores {found['cores']:.0%}")
    print("\nworkers on a machine of 16 cores")
    for workers in (1, 2, 4, 8, 12, 16, 20):
        found = simulate(Cluster(1, workers=workers, driver=driver), stages, 1024 // workers)
        print(f"{workers:4d}: {found['rate']:8.2f} photos/s, cores {found['cores']:.0%}")
    return 0


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "driver", "cluster"))
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--stages", type=Path, help="what `measure --save` wrote")
    parser.add_argument("--driver", type=float, default=float("inf"), help="photos a second that the driver manages")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 4, 16, 64])
    options = parser.parse_args()
    return {"measure": measure, "driver": drive, "cluster": project}[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
