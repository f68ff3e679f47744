"""What the trainings of the small networks share: layers, a run's clock, examples drawn beside it, resuming."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import queue
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from beautygan_cli.errors import DatasetError
from beautygan_cli.model.signature import Signature

Example = TypeVar("Example")
DECAY = 0.998  # of the weights' moving average, which is saved for use
TELL_EVERY = 20  # seconds


@dataclass
class Progress:
    """How far a run has come; saved with each checkpoint, so that a killed run goes on from there."""

    step: int = 0
    seconds: float = 0.0
    relabelled: bool = False  # whether the network has labelled its photos itself, where it does


def convolution(values: Any, channels: int, stride: int, name: str, gain: float = 1.0, side: int = 3) -> Any:
    """A convolution of side x side with bias; weights start as He et al. 2015 derive for ReLU, times `gain`."""
    import tensorflow as tf

    depth = int(values.shape[-1])
    start = tf.compat.v1.truncated_normal_initializer(stddev=gain * float(np.sqrt(2 / (side**2 * depth))))
    kernel = tf.compat.v1.get_variable(f"{name}/kernel", (side, side, depth, channels), initializer=start)
    bias = tf.compat.v1.get_variable(f"{name}/bias", (channels,), initializer=tf.compat.v1.zeros_initializer())
    return tf.nn.bias_add(tf.nn.conv2d(values, kernel, stride, "SAME"), bias)


@dataclass(frozen=True, eq=False)
class Learning:
    """The nodes by which a network learns: the step, the rate that it is fed, and the weights' moving averages.

    weights: by their names; averages: likewise, what is saved for use; saver: of all that a run goes on from; start:
    sets it out.
    """

    step: Any
    rate: Any
    weights: dict[str, Any]
    averages: dict[str, Any]
    saver: Any
    start: Any


def learn(loss: Any, longest: float) -> Learning:
    """Adam (Kingma and Ba, 2015) on a loss in the default graph, with gradients no longer than `longest` together."""
    import tensorflow as tf

    v1 = tf.compat.v1
    rate = v1.placeholder(tf.float32, (), "rate")
    optimiser = v1.train.AdamOptimizer(rate, beta2=0.99)
    gradients, variables = zip(*optimiser.compute_gradients(loss), strict=True)
    clipped, _ = tf.clip_by_global_norm(gradients, longest)
    average = tf.train.ExponentialMovingAverage(DECAY, num_updates=v1.train.get_or_create_global_step())
    step = optimiser.apply_gradients(list(zip(clipped, variables, strict=True)), v1.train.get_global_step())
    with tf.control_dependencies([step]):
        step = average.apply(list(variables))
    weights = {variable.op.name: variable for variable in variables}
    averages = {name: average.average(variable) for name, variable in weights.items()}
    return Learning(step, rate, weights, averages, v1.train.Saver(max_to_keep=2), v1.global_variables_initializer())


def configuration(threads: int) -> Any:
    """A session's, with so many threads."""
    import tensorflow as tf

    return tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)


def command_line(module: str, description: str, minutes: str) -> argparse.ArgumentParser:
    """The options that all trainings have; minutes: how long by default, as `--time` takes it."""
    parser = argparse.ArgumentParser(prog=f"python -m beautygan_cli.training.{module}", description=description)
    parser.add_argument("--faces", required=True, metavar="DIR", help="folder of portraits, searched below")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder that the network is saved to")
    parser.add_argument(
        "--time", default=minutes, type=_minutes, metavar=minutes, help="how long to train (default: %(metavar)s)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out where it ended")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw examples (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network (default: 1)")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _minutes(text: str) -> float:
    return float(text[:-1]) * {"s": 1 / 60, "m": 1.0, "h": 60.0}[text[-1]]


def cosine(share: float) -> float:
    """The rate of learning in parts of its highest, when `share` of the time is over."""
    return max(0.02, 0.5 * (1 + float(np.cos(np.pi * min(share, 1.0)))))


class Schedule(Protocol):
    """What of a training's settings its clock goes by; `save_every` in seconds."""

    @property
    def minutes(self) -> float: ...
    @property
    def rate(self) -> float: ...
    @property
    def warm_up(self) -> int: ...
    @property
    def save_every(self) -> float: ...


class Clock:
    """The time of a run: how much of it is over, the rate of learning by it, when to tell of it and when to save it."""

    def __init__(self, schedule: Schedule, progress: Progress) -> None:
        self.schedule = schedule
        self.progress = progress
        self.began = self.told = self.saved = time.monotonic()
        self.losses: list[Any] = []

    def share(self) -> float:
        """How much of the time is over, 1 or more at its end. A step begins with it."""
        self.began = time.monotonic()
        return self.progress.seconds / (self.schedule.minutes * 60)

    def rate(self, share: float) -> float:
        """That of learning, of the step that begins."""
        warm = min(1.0, (self.progress.step + 1) / self.schedule.warm_up)
        return self.schedule.rate * warm * cosine(share)

    def step(self, loss: Any) -> None:
        """Count a step that is done, with its loss or losses."""
        self.losses.append(loss)
        self.progress.step += 1
        self.progress.seconds += min(time.monotonic() - self.began, 60.0)

    def due_line(self, share: float, words: Callable[[Any], str]) -> str:
        """What the log says of the steps since it last did, every 20 seconds, "" in between; words: of their mean."""
        passed = time.monotonic() - self.told
        if passed <= TELL_EVERY:
            return ""
        told = words(np.mean(self.losses, axis=0))
        speed = len(self.losses) / passed
        self.told += passed
        self.losses.clear()
        return f"step {self.progress.step}  {100 * share:.1f} %  {told}  {speed:.2f} steps/s"

    def due_save(self) -> bool:
        """Whether it is time to save the run again."""
        now = time.monotonic()
        due = now - self.saved > self.schedule.save_every
        if due:
            self.saved = now
        return due


def restore_state(session: Any, saver: Any, work: Path) -> Progress | None:
    """Go on from what `saving.save_state` saved last; None where there is nothing."""
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(str(work))
    if not latest:
        return None
    saver.restore(session, latest)
    return Progress(**json.loads((work / "progress.json").read_text()))


def export(build: Callable[[], None], weights: Mapping[str, Any], signature: Signature, out: Path) -> None:
    """Save an inference graph alone with its weights as a checkpoint, and its `model.json`.

    build: adds the graph's nodes to the default graph; weights: by variables' names; signature: without its digest.
    """
    import tensorflow as tf

    with tf.Graph().as_default():
        build()
        own = tf.compat.v1.trainable_variables()
        saver = tf.compat.v1.train.Saver(own, save_relative_paths=True)
        with tf.compat.v1.Session() as plain:
            for variable in own:
                variable.load(weights[variable.op.name], plain)
            part = out / "part"
            part.mkdir(parents=True, exist_ok=True)
            saver.save(plain, str(part / "model"), write_meta_graph=False)
            # Without what the variables started from, which is as much again.
            outputs = sorted({tensor.partition(":")[0] for tensor in (signature.made_up, signature.removed)})
            needed = tf.compat.v1.graph_util.extract_sub_graph(plain.graph_def, outputs)
            meta = str(part / "model.meta")
            tf.compat.v1.train.export_meta_graph(meta, graph_def=needed, strip_default_attrs=True)
            for file in sorted(part.iterdir()):
                shutil.move(str(file), str(out / file.name))
            part.rmdir()
    digest = hashlib.sha256((out / "model.data-00000-of-00001").read_bytes()).hexdigest()
    Signature(**{**asdict(signature), "sha256": digest}).save(out)


class ExampleBuffer(Generic[Example]):
    """Examples drawn by processes of their own while the network learns, the oldest replaced by the newest.

    draw: a module's function that puts examples into the queue that it is given first, until it is stopped; arguments:
    the rest of what it is given, by process; keep: examples in memory; ready: so many are waited for at first.
    """

    def __init__(self, draw: Callable[..., None], arguments: list[tuple[Any, ...]], keep: int, ready: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.queue: Any = context.Queue(64)
        self.processes = [context.Process(target=draw, args=(self.queue, *given), daemon=True) for given in arguments]
        for process in self.processes:
            process.start()
        self.kept: list[Example] = []
        self.drawn = 0
        self.count = keep
        self._fetch(ready)

    def pick(self, rng: np.random.Generator, count: int) -> list[Example]:
        """So many of the examples at random."""
        self._fetch(0)
        return [self.kept[int(index)] for index in rng.integers(0, len(self.kept), count)]

    def stop(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.terminate()
            process.join()

    def _fetch(self, least: int) -> None:
        """Take what has been drawn; wait until there are so many."""
        while True:
            try:
                example = self.queue.get(timeout=5) if len(self.kept) < least else self.queue.get_nowait()
            except queue.Empty:
                if len(self.kept) >= least:
                    return
                if not any(process.is_alive() for process in self.processes):
                    raise DatasetError(
                        "the processes that draw examples have ended; their own message is above"
                    ) from None
                continue  # a worker reads all photos before it draws the first example
            if len(self.kept) < self.count:
                self.kept.append(example)
            else:
                self.kept[self.drawn % self.count] = example
            self.drawn += 1
