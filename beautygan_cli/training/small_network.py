"""What the trainings of the small networks share: layers, examples drawn beside the training, saving and resuming."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import queue
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from beautygan_cli.errors import DatasetError
from beautygan_cli.model.signature import Signature

Example = TypeVar("Example")


@dataclass
class Progress:
    """How far a run has come; saved with each checkpoint, so that a killed run goes on from there."""

    step: int = 0
    seconds: float = 0.0
    relabelled: bool = False  # whether the network has labelled its photos itself, where it does


def convolution(values: Any, channels: int, stride: int, name: str, gain: float = 1.0) -> Any:
    """A 3 x 3 convolution with bias; weights start as He et al. 2015 derive for ReLU, times `gain`."""
    import tensorflow as tf

    depth = int(values.shape[-1])
    start = tf.compat.v1.truncated_normal_initializer(stddev=gain * float(np.sqrt(2 / (9 * depth))))
    kernel = tf.compat.v1.get_variable(f"{name}/kernel", (3, 3, depth, channels), initializer=start)
    bias = tf.compat.v1.get_variable(f"{name}/bias", (channels,), initializer=tf.compat.v1.zeros_initializer())
    return tf.nn.bias_add(tf.nn.conv2d(values, kernel, stride, "SAME"), bias)


def cosine(share: float) -> float:
    """The rate of learning in parts of its highest, when `share` of the time is over."""
    return max(0.02, 0.5 * (1 + float(np.cos(np.pi * min(share, 1.0)))))


def save_state(session: Any, saver: Any, progress: Progress, work: Path) -> None:
    """Save a run's variables and how far it has come, to go on from."""
    saver.save(session, str(work / "state"), global_step=progress.step, write_meta_graph=False)
    part = work / "progress.json.part"
    part.write_text(json.dumps(asdict(progress)))
    part.replace(work / "progress.json")


def restore_state(session: Any, saver: Any, work: Path) -> Progress | None:
    """Go on from what `save_state` saved last; None where there is nothing."""
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
            saver.save(plain, str(part / "model"))
            for file in sorted(part.iterdir()):
                shutil.move(str(file), str(out / file.name))
            part.rmdir()
    digest = hashlib.sha256((out / "model.data-00000-of-00001").read_bytes()).hexdigest()
    Signature(**{**asdict(signature), "sha256": digest}).save(out)


class ExampleBank(Generic[Example]):
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
