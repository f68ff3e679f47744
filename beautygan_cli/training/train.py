"""The training loop: one function to read from top to bottom, `train`."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.photos.photo import Photo, write_photo
from beautygan_cli.training import examples, networks, run_folder
from beautygan_cli.training.dataset import evened, load, split
from beautygan_cli.training.example_buffer import Buffer, BufferPlan, fill
from beautygan_cli.training.saving import save_state, take_over

REGION_WEIGHT = 3.0  # lips and eyes count four times the rest: they are small, and they are what one looks at
WORN_WEIGHT = 6.0  # by the target's own change: L1 alone draws dark lids and liner at half their depth
DENSITY_WEIGHT = 0.25  # of the error in optical density: dark liner's last half is a few grey levels, and what one sees
DARKEST = 0.004  # of linear light, added before its logarithm
MEAN_WEIGHT = 0.6  # of the difference of region means, the shade that is seen first
GRADIENT_WEIGHT = 1.0
REMOVED_WEIGHT = 1.5
DECAY = 0.998  # of the weights' moving average, which is what is saved for use
VALIDATION_SETS = 64
READY = 300  # sets to wait for before the first step: fewer would be learned by heart


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a training run; saved beside its weights."""

    faces: str
    out: str
    start: str | None = None  # folder of a model of this same network whose weights are the first ones
    minutes: float = 60.0
    steps: int | None = None
    coarse_share: float = 0.4  # of the budget, at half size, where a step costs a quarter
    coarse_batch: int = 6
    fine_batch: int = 3
    rate: float = 7e-4
    fine_rate: float = 5e-4
    warm_up: int = 200
    clip: float = 5.0
    width: int = networks.WIDTH
    size: int = 256
    padding: float = 0.35
    warp_reference: bool = True
    mask: bool = True
    buffer: int = 4096
    workers: int = 1
    without: tuple[str, ...] = ()  # of pairs.VARIATIONS: what isn't varied in the sets to train on
    seed: int = 1
    precision: str = "auto"
    save_every: float = 180.0  # seconds


@dataclass
class Progress:
    """How far a run has come; saved with each checkpoint, so that a killed run goes on from there."""

    step: int = 0
    seconds: float = 0.0

    def share(self, settings: Settings) -> float:
        """Of the budget that is used up, 0 to 1."""
        if settings.steps:
            return min(1.0, self.step / settings.steps)
        return min(1.0, self.seconds / (settings.minutes * 60))


def train(settings: Settings, *, resume: bool = False, say: Callable[[str], None] = print) -> Path:
    """Train a model from a folder of bare-faced photos and save it under `settings.out`; returns that folder.

    Raises DatasetError where the folder holds too few faces, OutputError where `settings.out` holds what no training
    put there.
    """
    out = Path(settings.out)
    run_folder.claim(out)
    tf = quiet_tensorflow()
    work = out / "training"
    work.mkdir(parents=True, exist_ok=True)
    if not resume:  # sets of another run may be of another size, seed or folder of faces
        for old in ("buffer", "validation"):
            shutil.rmtree(work / old, ignore_errors=True)
    learners, held = split(load(Path(settings.faces), work / "people.npz"))
    say(f"{len(learners)} photos to train on, {len(held)} held out")
    plan = BufferPlan(
        folder=work / "buffer",
        count=settings.buffer,
        size=settings.size,
        padding=settings.padding,
        warp_reference=settings.warp_reference,
        mask=settings.mask,
        seed=settings.seed,
    )
    check = fill(
        replace(plan, folder=work / "validation", count=min(VALIDATION_SETS, settings.buffer), seed=settings.seed + 1),
        held,
    )
    buffer = Buffer(replace(plan, varied=examples.all_but(settings.without)))
    buffer.start(evened(learners), settings.workers)

    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.set_random_seed(settings.seed)
        rate = tf.compat.v1.placeholder(tf.float32, (), "rate")
        towers = {half: _tower(settings, half, rate) for half in (True, False)}
        saver = tf.compat.v1.train.Saver(max_to_keep=2)
        start = tf.compat.v1.global_variables_initializer()
    with tf.compat.v1.Session(graph=graph, config=configuration(settings.precision)) as session:
        session.run(start)
        if settings.start:
            take_over(
                session,
                {variable.op.name: variable for variable in tf.compat.v1.trainable_variables()},
                towers[False].averages,
                Path(settings.start),
                network="this network and width",
                instead="fine-tune it with --init",
            )
        progress = Progress()
        latest = tf.train.latest_checkpoint(str(work))
        if resume and latest:
            saver.restore(session, latest)
            progress = Progress(**json.loads((work / "progress.json").read_text()))
            say(f"going on from step {progress.step}")
        rng = np.random.default_rng([settings.seed, progress.step])
        buffer.wait_for(READY)
        saved = told = time.monotonic()
        losses: list[float] = []
        while (share := progress.share(settings)) < 1.0:
            began = time.monotonic()
            coarse = share < settings.coarse_share
            tower = towers[coarse]
            filled = buffer.filled
            chosen = rng.choice(filled, settings.coarse_batch if coarse else settings.fine_batch)
            feed: dict[Any, Any] = {tower.feeds[name]: values for name, values in buffer.batch(chosen).items()}
            feed[rate] = _rate(settings, progress, share)
            loss, _ = session.run([tower.loss, tower.step_both], feed)
            losses.append(float(loss))
            progress.step += 1
            progress.seconds += min(time.monotonic() - began, 60.0)
            now = time.monotonic()
            if now - told > 20:
                told = now
                say(
                    f"step {progress.step}  {100 * share:.1f} %  loss {np.mean(losses):.4f}  "
                    f"{len(losses) / 20:.2f} steps/s  {len(filled)} sets"
                )
                losses.clear()
            if now - saved > settings.save_every:
                saved = now
                save_state(session, saver, progress, work)
                say(validate(session, towers[False], check, out))
                export(session, towers[False].averages, settings, progress, out)
        save_state(session, saver, progress, work)
        say(validate(session, towers[False], check, out))
        export(session, towers[False].averages, settings, progress, out)
    buffer.stop()
    return out


@dataclass(frozen=True)
class Tower:
    """One size of the training graph: its feeds by name, losses and steps, and outputs of the averaged weights."""

    feeds: dict[str, Any]
    loss: Any
    error: Any
    identity: Any
    outputs: tuple[Any, Any]
    step_both: Any
    averages: dict[str, Any]


def _tower(settings: Settings, half: bool, rate: Any) -> Tower:
    import tensorflow as tf

    size = settings.size
    channels = {"source": 3, "reference": 3, "target": 3, "removed": 3, "masks": 3, "face": 1}
    feeds = {name: tf.compat.v1.placeholder(tf.uint8, (None, size, size, c)) for name, c in channels.items()}
    values = {name: tf.cast(feed, tf.float32) for name, feed in feeds.items()}
    if half:
        values = {name: tf.nn.avg_pool2d(value, 2, 2, "SAME") for name, value in values.items()}
    pictures = {name: values[name] / 127.5 - 1.0 for name in ("source", "reference", "target", "removed")}
    masks, face = values["masks"] / 255.0, values["face"] / 255.0
    xs, ys = networks.generator(pictures["source"], pictures["reference"], settings.width)

    made_up, removed = paired_losses(xs, ys, pictures, masks, face)
    variables = tf.compat.v1.trainable_variables()
    # Both sizes share one optimiser and one average; the names keep them apart from the graph's other half.
    with tf.compat.v1.variable_scope("optimiser", reuse=tf.compat.v1.AUTO_REUSE):
        adam = Adam(variables)
    step_both = adam.step(made_up + REMOVED_WEIGHT * removed, rate, settings.clip, settings.warm_up)
    return Tower(
        feeds=feeds,
        loss=made_up,
        error=tf.reduce_mean(tf.abs(xs - pictures["target"])),
        identity=tf.reduce_mean(tf.abs(pictures["source"] - pictures["target"])),
        outputs=(xs, ys),
        step_both=step_both,
        averages={variable.op.name: adam.average[variable.ref()] for variable in variables},
    )


def paired_losses(xs: Any, ys: Any, pictures: dict[str, Any], masks: Any, face: Any) -> tuple[Any, Any]:
    """Loss of `xs` to the target and of `ys` to the bare reference, by a training set's pictures in [-1, 1]."""
    import tensorflow as tf

    regions = REGION_WEIGHT * tf.maximum(masks[..., :1], masks[..., 1:2])

    def loss(result: Any, target: str, start: str) -> Any:
        worn = tf.reduce_mean(tf.abs(pictures[target] - pictures[start]), 3, keepdims=True)
        weight = 0.1 + face * (1.0 + regions + WORN_WEIGHT * worn)
        return difference(result, pictures[target], weight, masks)

    return loss(xs, "target", "source"), loss(ys, "removed", "reference")


def difference(result: Any, target: Any, weight: Any, masks: Any) -> Any:
    """L1 by region, of the gradients, of the region means, and of the optical density."""
    import tensorflow as tf

    error = result - target
    plain = tf.reduce_mean(weight * tf.abs(error))
    down = tf.abs(error[:, 1:] - error[:, :-1])
    across = tf.abs(error[:, :, 1:] - error[:, :, :-1])
    gradient = tf.reduce_mean(weight[:, 1:] * down) + tf.reduce_mean(weight[:, :, 1:] * across)
    area = tf.reduce_sum(masks, (1, 2))[..., None]
    means = tf.einsum("nhwr,nhwc->nrc", masks, error) / (area + 1.0)
    # What a picture's pigment lets through, in linear light; that of the start is the same in both and cancels.
    density = tf.reduce_mean(weight * tf.abs(_log_light(result) - _log_light(target)))
    return plain + GRADIENT_WEIGHT * gradient + MEAN_WEIGHT * tf.reduce_mean(tf.abs(means)) + DENSITY_WEIGHT * density


def _log_light(picture: Any) -> Any:
    """The logarithm of linear light of a picture in [-1, 1], by a display's usual gamma of 2.2."""
    import tensorflow as tf

    return tf.math.log(tf.pow(tf.clip_by_value(0.5 * picture + 0.5, 1e-3, 1.0), 2.2) + DARKEST)


class Adam:
    """Adam (Kingma, Ba 2015) with beta2 0.99 and clipping, and the weights' moving average beside it."""

    def __init__(self, variables: list[Any]) -> None:
        import tensorflow as tf

        def slot(variable: Any, name: str, start: Any) -> Any:
            return tf.compat.v1.get_variable(
                f"{variable.op.name}/{name}", variable.shape, initializer=start, trainable=False
            )

        zeros = tf.compat.v1.zeros_initializer()
        self.variables = variables
        self.count = tf.compat.v1.get_variable("count", (), initializer=zeros, trainable=False)
        self.first = {v.ref(): slot(v, "first", zeros) for v in variables}
        self.second = {v.ref(): slot(v, "second", zeros) for v in variables}
        self.average = {v.ref(): slot(v, "average", zeros) for v in variables}

    def step(self, loss: Any, rate: Any, clip: float, warm_up: int) -> Any:
        import tensorflow as tf

        pairs = [
            (gradient, variable)
            for gradient, variable in zip(tf.gradients(loss, self.variables), self.variables, strict=True)
            if gradient is not None
        ]
        clipped, _ = tf.clip_by_global_norm([gradient for gradient, _ in pairs], clip)
        count = tf.compat.v1.assign_add(self.count, 1.0)
        rate = rate * tf.minimum(1.0, count / warm_up)
        # The average starts from the weights themselves and forgets more slowly as the run goes on.
        decay = tf.minimum(DECAY, (count - 1.0) / (count + 9.0))
        updates = []
        for gradient, (_, variable) in zip(clipped, pairs, strict=True):
            first, second = self.first[variable.ref()], self.second[variable.ref()]
            m = tf.compat.v1.assign(first, 0.9 * first + 0.1 * gradient)
            v = tf.compat.v1.assign(second, 0.99 * second + 0.01 * tf.square(gradient))
            scale = tf.sqrt(1 - tf.pow(0.99, count)) / (1 - tf.pow(0.9, count))
            updates.append(tf.compat.v1.assign_sub(variable, rate * scale * m / (tf.sqrt(v) + 1e-8)))
        with tf.control_dependencies(updates):
            averages = [
                tf.compat.v1.assign(self.average[v.ref()], decay * self.average[v.ref()] + (1 - decay) * v.read_value())
                for v in self.variables
            ]
        return tf.group(*averages)


def _rate(settings: Settings, progress: Progress, share: float) -> float:
    """A cosine to zero over each of the two parts of the budget; the warm-up is the optimiser's."""
    if share < settings.coarse_share:
        # The coarse part ends at the fine part's own rate, so that nothing jumps.
        part = share / settings.coarse_share
        return settings.fine_rate + (settings.rate - settings.fine_rate) * 0.5 * (1 + float(np.cos(np.pi * part)))
    part = (share - settings.coarse_share) / max(1e-6, 1 - settings.coarse_share)
    return settings.fine_rate * max(0.01, 0.5 * (1 + float(np.cos(np.pi * part))))


def configuration(precision: str) -> Any:
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto()
    if precision == "bf16" or (precision == "auto" and _has_bfloat16()):
        from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    return config


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively; elsewhere it would only cost accuracy."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def validate(session: Any, tower: Tower, check: Buffer, out: Path, batch: int = 8) -> str:
    """The mean error on held-out people, with a picture of the first sets, by the weights of this moment."""
    errors, identities, rows = [], [], []
    for start in range(0, check.plan.count, batch):
        places = np.arange(start, min(start + batch, check.plan.count))
        arrays = check.batch(places)
        error, identity, (xs, ys) = session.run(
            [tower.error, tower.identity, tower.outputs], {tower.feeds[name]: arrays[name] for name in arrays}
        )
        errors.append(float(error))
        identities.append(float(identity))
        if start < 12:
            for i in range(len(places)):
                result, removed = (_bytes((item[i] + 1) * 127.5) for item in (xs, ys))
                shown = [arrays["source"][i], arrays["reference"][i], result, arrays["target"][i], removed]
                rows.append(np.hstack(shown))
    half = len(rows) // 2
    grid = np.vstack([np.hstack([rows[i], rows[i + half]]) for i in range(half)])
    write_photo(Photo(pixels=grid), out / "validation.jpg", quality=88, overwrite=True)
    return f"validation error {np.mean(errors):.4f}, doing nothing {np.mean(identities):.4f}"


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def export(session: Any, averages: dict[str, Any], settings: Settings, progress: Progress, out: Path) -> None:
    """Save the averaged weights as a checkpoint of the contract: `checkpoint`, `model.*`, `model.json`."""
    import tensorflow as tf

    weights = session.run(averages)
    with tf.Graph().as_default():
        source, reference = networks.placeholders(settings.size)
        networks.named(*networks.generator(source, reference, settings.width))
        own = tf.compat.v1.trainable_variables()
        saver = tf.compat.v1.train.Saver(own, save_relative_paths=True)
        with tf.compat.v1.Session() as plain:
            for variable in own:
                variable.load(weights[variable.op.name], plain)
            part = out / "part"
            part.mkdir(exist_ok=True)
            saver.save(plain, str(part / "model"))
            for file in sorted(part.iterdir()):
                shutil.move(str(file), str(out / file.name))
            part.rmdir()
    signature = Signature(
        name="beautygan-cli default",
        size=settings.size,
        padding=settings.padding,
        warp_reference=settings.warp_reference,
        mask=settings.mask,
        sha256=hashlib.sha256((out / "model.data-00000-of-00001").read_bytes()).hexdigest(),
        about={"settings": _settings_json(settings), "step": progress.step, "minutes": round(progress.seconds / 60, 1)},
    )
    signature.save(out)


def _settings_json(settings: Settings) -> dict[str, Any]:
    """The settings without this machine's paths."""
    values = asdict(settings)
    for name in ("faces", "out", "start"):
        values[name] = Path(values[name]).name if values[name] else None
    return values
