"""Fine-tuning: a checkpoint of the contract, trained on with new losses. One function to read, `finetune`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import BeautyGANError, DatasetError, ModelError
from beautygan_cli.faces import alignment, detection
from beautygan_cli.faces import masks as region_masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.makeup.pipeline import network_chips
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.model.value_range import to_uint8
from beautygan_cli.photos.find import find_photos
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.training import dataset, examples, losses, run_folder, train
from beautygan_cli.training.dataset import Person
from beautygan_cli.training.example_buffer import Buffer, BufferPlan, fill
from beautygan_cli.training.saving import save_state
from beautygan_cli.training.train import Progress, Tower
from beautygan_cli.training.trainable import Trainable, load_values
from beautygan_cli.types import UInt8Array

VALIDATION_SETS = 16
READY = 16  # training sets to wait for before the first step
TRUST = 0.2  # of the budget, over which the discriminators come to count: before that they know nothing


@dataclass(frozen=True)
class Tuning:
    """Everything that shapes a fine-tuning run; saved beside its weights."""

    init: str
    faces: str
    out: str
    makeup: str | None = None
    removal_only: bool = False  # train the weights that putting makeup on does without, and leave the others
    minutes: float = 60.0
    steps: int | None = None
    batch: int = 3  # pairs a step, where the model's graph leaves it free
    rate: float = 2e-4  # the BeautyGAN paper's
    warm_up: int = 50
    clip: float = 5.0
    buffer: int = 4096
    workers: int = 1
    without: tuple[str, ...] = ()  # of pairs.VARIATIONS: what isn't varied in the sets to train on
    seed: int = 1
    precision: str = "auto"
    save_every: float = 180.0  # seconds


def finetune(tuning: Tuning, *, resume: bool = False, say: Callable[[str], None] = print) -> Path:
    """Train the model in `tuning.init` on and save it under `tuning.out`; returns that folder.

    Steps on drawn makeup, whose true answer is known; with `tuning.makeup`, every second step is on real made-up
    photos with BeautyGAN's unpaired losses instead. Raises ModelError where `init` holds no model or the run to
    resume is another one's, DatasetError where a folder holds too few faces, OutputError where `tuning.out` holds what
    no training put there.
    """
    tf = quiet_tensorflow()
    start = Trainable.load(Path(tuning.init))
    out, work = Path(tuning.out), Path(tuning.out) / "finetuning"
    _claim(tuning, start, work, resume)
    signature, size = start.signature, start.batch or tuning.batch
    learners, held = dataset.split(dataset.load(Path(tuning.faces), work / "people.npz"))
    photos = _photos(tuning.makeup, learners, signature) if tuning.makeup else None
    say(f"{len(learners)} photos to train on, {len(held)} held out, {len(photos.made_up) if photos else 0} made up")
    plan = BufferPlan(
        folder=work / "buffer",
        count=tuning.buffer,
        size=signature.size,
        padding=signature.padding,
        warp_reference=signature.warp_reference,
        mask=signature.mask,
        seed=tuning.seed,
    )
    checks = max(1, min(VALIDATION_SETS, tuning.buffer) // size) * size  # whole batches, for graphs that take no others
    check = fill(replace(plan, folder=work / "validation", count=checks, seed=tuning.seed + 1), held)
    buffer = Buffer(replace(plan, varied=examples.all_but(tuning.without)))
    buffer.start(dataset.evened(learners), tuning.workers)
    try:
        graph = tf.Graph()
        with graph.as_default():
            tf.compat.v1.set_random_seed(tuning.seed)
            rate = tf.compat.v1.placeholder(tf.float32, (), "rate")
            variables = start.declare()
            tower = _paired(tuning, start, rate)
            unpaired = _unpaired(tuning, start, rate, size) if photos else None
            saver = tf.compat.v1.train.Saver(max_to_keep=2)
            begin = tf.compat.v1.global_variables_initializer()
        with tf.compat.v1.Session(graph=graph, config=train.configuration(tuning.precision)) as session:
            session.run(begin)
            load_values(variables, start.values, session)
            progress = _restored(session, saver, work, say) if resume else Progress()
            rng = np.random.default_rng([tuning.seed, progress.step])
            say("at the start: " + train.validate(session, tower, check, out, size))
            buffer.wait_for(READY)
            clock = _Clock(tuning.save_every)
            while (share := _share(tuning, progress)) < 1.0:
                feed: dict[Any, Any] = {rate: tuning.rate * max(0.01, 0.5 * (1 + float(np.cos(np.pi * share))))}
                if photos and unpaired and progress.step % 2:
                    feed[unpaired.trust] = min(1.0, share / TRUST)
                    sets = photos.draw(size, signature, rng)
                    feed.update((unpaired.feeds[name], values) for name, values in sets.items())
                    clock.note(session.run([unpaired.losses, unpaired.step], feed)[0])
                else:
                    sets = buffer.batch(rng.choice(buffer.filled, size))
                    feed.update((tower.feeds[name], values) for name, values in sets.items())
                    clock.note({"drawn": session.run([tower.loss, tower.step_both], feed)[0]})
                progress.step += 1
                progress.seconds += clock.lap()
                if line := clock.due_line():
                    say(f"step {progress.step}  {100 * _share(tuning, progress):.1f} %  {line}")
                if clock.due_save():
                    _save(session, saver, tower, check, start, tuning, progress, say)
            _save(session, saver, tower, check, start, tuning, progress, say)
    finally:
        buffer.stop()
    return out


def _share(tuning: Tuning, progress: Progress) -> float:
    """Of the budget that is used up, 0 to 1."""
    if tuning.steps:
        return min(1.0, progress.step / tuning.steps)
    return min(1.0, progress.seconds / max(1e-6, tuning.minutes * 60))


# What a run starts from


FREE = frozenset({"init", "faces", "out", "makeup", "minutes", "steps", "workers", "precision", "save_every"})


def _claim(tuning: Tuning, start: Trainable, work: Path, resume: bool) -> None:
    """Make the run's folder and save its settings there; refuse to mix two runs. A new run clears an old one away.

    Only in a folder of a training's own, see `run_folder`. ModelError, DatasetError, OutputError.
    """
    if Path(tuning.out).resolve() == start.path.resolve():
        raise ModelError(f"{tuning.out} holds the model to start from; give another folder to --out")
    run_folder.claim(Path(tuning.out))
    record = work / "settings.json"
    values = _settings(tuning) | {"sha256 of init": start.digest}
    if resume and record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        if before.get("sha256 of init") != start.digest:
            raise ModelError(f"{work} holds a run that started from another model; give that one to --init")
        for name, value in values.items():
            if name not in FREE and before.get(name) != value:
                raise DatasetError(
                    f"{work} holds a run whose {name} is {before.get(name)}, not {value};"
                    " give the same, or leave --resume out"
                )
        if bool(before.get("makeup")) != bool(tuning.makeup):
            raise DatasetError(
                f"{work} holds a run {'with' if before.get('makeup') else 'without'} --makeup; do as then"
            )
    else:
        for old in (work / "buffer", work / "validation"):
            shutil.rmtree(old, ignore_errors=True)
        for file in (*work.glob("state-*"), *work.glob("checkpoint"), *work.glob("progress.json")):
            file.unlink()
    work.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _settings(tuning: Tuning) -> dict[str, Any]:
    """The settings without this machine's paths."""
    values = asdict(tuning)
    for name in ("init", "faces", "out", "makeup"):
        values[name] = Path(values[name]).name if values[name] else None
    values["without"] = list(tuning.without)  # as JSON gives it back
    return values


def _restored(session: Any, saver: Any, work: Path, say: Callable[[str], None]) -> Progress:
    """The session's variables and the progress as last saved; nothing where nothing was saved yet."""
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(str(work))
    if not latest:
        return Progress()
    saver.restore(session, latest)
    try:
        seconds = float(json.loads((work / "progress.json").read_text())["seconds"])
    except (OSError, ValueError, KeyError):  # a kill may have come between the weights and this file
        seconds = 0.0
    progress = Progress(step=int(latest.rsplit("-", 1)[-1]), seconds=seconds)
    say(f"going on from step {progress.step}")
    return progress


# Drawn makeup


def _values(start: Trainable, feed: Any) -> Any:
    """uint8 pixels as the model's graph takes them."""
    import tensorflow as tf

    low, high = start.signature.low, start.signature.high
    return tf.cast(feed, tf.float32) * ((high - low) / 255.0) + low


def _pictures(start: Trainable, values: Any) -> Any:
    """What the model's graph gives, in [-1, 1]: the losses' weights are for that range."""
    low, high = start.signature.low, start.signature.high
    return (values - low) * (2.0 / (high - low)) - 1.0


def _paired(tuning: Tuning, start: Trainable, rate: Any) -> Tower:
    """The step on drawn makeup."""
    import tensorflow as tf

    size = start.signature.size
    channels = {"source": 3, "reference": 3, "target": 3, "removed": 3, "masks": 3, "face": 1}
    feeds = {name: tf.compat.v1.placeholder(tf.uint8, (start.batch, size, size, c)) for name, c in channels.items()}
    shown = {name: tf.cast(feeds[name], tf.float32) / 127.5 - 1.0 for name in tuple(channels)[:4]}
    masks, face = (tf.cast(feeds[name], tf.float32) / 255.0 for name in ("masks", "face"))
    outputs = start.apply(_values(start, feeds["source"]), _values(start, feeds["reference"]), "drawn")
    xs, ys = (_pictures(start, item) for item in outputs)
    made_up, removed = train.paired_losses(xs, ys, shown, masks, face)
    if not start.signature.warp_reference:
        # Masks and face are the source's: the reference lies elsewhere, and only its own makeup says where.
        worn = tf.reduce_mean(tf.abs(shown["reference"] - shown["removed"]), 3, keepdims=True)
        removed = train.difference(ys, shown["removed"], 1.0 + train.WORN_WEIGHT * worn, tf.ones_like(face))
    everything = tf.compat.v1.trainable_variables()
    variables = _of_removal(xs, everything, start) if tuning.removal_only else everything
    adam = _optimiser(variables, "optimiser")
    together = removed if tuning.removal_only else made_up + train.REMOVED_WEIGHT * removed
    return Tower(
        feeds=feeds,
        loss=together,
        error=tf.reduce_mean(tf.abs(ys - shown["removed"] if tuning.removal_only else xs - shown["target"])),
        identity=tf.reduce_mean(
            tf.abs(shown["reference"] - shown["removed"] if tuning.removal_only else shown["source"] - shown["target"])
        ),
        outputs=(xs, ys),
        step_both=_step(adam, together, rate, tuning, start),
        averages={variable.op.name: adam.average.get(variable.ref(), variable) for variable in everything},
    )


def _of_removal(made_up: Any, variables: list[Any], start: Trainable) -> list[Any]:
    """The variables that the made-up picture does not depend on. ModelError where there are none."""
    import tensorflow as tf

    gradients = tf.gradients(made_up, variables)
    own = [variable for gradient, variable in zip(gradients, variables, strict=True) if gradient is None]
    if not own:
        raise ModelError(f"{start.path} has no weights of its own for taking makeup off; leave --removal-only out")
    return own


def _optimiser(variables: list[Any], scope: str) -> train.Adam:
    import tensorflow as tf

    with tf.compat.v1.variable_scope(scope, reuse=tf.compat.v1.AUTO_REUSE):
        return train.Adam(variables)


def _step(adam: train.Adam, loss: Any, rate: Any, tuning: Tuning, start: Trainable) -> Any:
    try:
        return adam.step(loss, rate, tuning.clip, tuning.warm_up)
    except LookupError as error:  # TensorFlow has no gradient for an operation of the model
        raise ModelError(f"{start.path} can be run but not trained; give another model to --init") from error


# Real makeup


@dataclass(frozen=True)
class Unpaired:
    """The step on real made-up photos: feeds and losses by name; `trust` weighs the discriminators, 0 to 1."""

    feeds: dict[str, Any]
    trust: Any
    losses: dict[str, Any]
    step: Any


def _unpaired(tuning: Tuning, start: Trainable, rate: Any, count: int) -> Unpaired:
    """BeautyGAN's losses on `count` pairs of a bare face and a made-up one of somebody else."""
    import tensorflow as tf

    size = start.signature.size
    names = ("source", "reference", "masks", "reference_masks")
    feeds = {name: tf.compat.v1.placeholder(tf.uint8, (count, size, size, 3)) for name in names}
    trust = tf.compat.v1.placeholder(tf.float32, (), "trust")
    source, reference = (tf.cast(feeds[name], tf.float32) / 127.5 - 1.0 for name in names[:2])
    masks, reference_masks = (tf.cast(feeds[name], tf.float32) / 255.0 for name in names[2:])
    generator = tf.compat.v1.trainable_variables()
    outputs = start.apply(_values(start, feeds["source"]), _values(start, feeds["reference"]), "real")
    # Made up and bare have changed places: what was the reference, bare now, is the source of the way back.
    back = start.apply(outputs[1], outputs[0], "back")
    xs, ys, reference_again, source_again = (_pictures(start, item) for item in (*outputs, *back))

    judged = {
        "discriminator_made_up": (
            losses.discriminator(reference, "discriminator_made_up"),
            losses.discriminator(xs, "discriminator_made_up"),
        ),
        "discriminator_bare": (
            losses.discriminator(source, "discriminator_bare"),
            losses.discriminator(ys, "discriminator_bare"),
        ),
    }
    parts = {
        "makeup": losses.makeup_loss(xs, reference, masks, reference_masks, count),
        "cycle": losses.CYCLE_WEIGHT * losses.cycle_loss(source, reference, source_again, reference_again),
        "adversarial": losses.ADVERSARIAL_WEIGHT * sum(losses.generator_loss(fake) for _, fake in judged.values()),
        "structure": losses.STRUCTURE_WEIGHT
        * (losses.structure_loss(xs, source) + losses.structure_loss(ys, reference)),
    }
    together = parts["makeup"] + parts["cycle"] + trust * parts["adversarial"] + parts["structure"]
    discriminating = sum(losses.discriminator_loss(real, fake) for real, fake in judged.values())
    discriminators = [v for v in tf.compat.v1.trainable_variables() if v.op.name.split("/")[0] in judged]
    steps = [
        _step(_optimiser(generator, "optimiser"), losses.UNPAIRED_WEIGHT * together, rate, tuning, start),
        _step(_optimiser(discriminators, "discriminating"), discriminating, rate, tuning, start),
    ]
    return Unpaired(feeds, trust, parts | {"discriminators": discriminating}, tf.group(*steps))


@dataclass(frozen=True)
class Photos:
    """Bare faces and made-up ones, aligned for the model."""

    bare: list[FaceAnalysis]
    made_up: list[FaceAnalysis]

    def draw(self, count: int, signature: Signature, rng: np.random.Generator) -> dict[str, UInt8Array]:
        """`count` random pairs as the network sees them, (N, S, S, 3) uint8 RGB, each face mirrored or not.

        masks, reference_masks: lips, eye shadow and skin of either, as three channels of 0..255.
        """
        sets: dict[str, list[UInt8Array]] = {"source": [], "reference": [], "masks": [], "reference_masks": []}
        for _ in range(count):
            source, reference = (_perhaps_mirrored(_one_of(kind, rng), rng) for kind in (self.bare, self.made_up))
            network_input, look = network_chips(source, reference, signature)
            worn_by = source if signature.warp_reference else reference
            sets["source"].append(to_uint8(network_input))
            sets["reference"].append(to_uint8(look))
            sets["masks"].append(masks_of_regions(source.landmarks, signature.size))
            sets["reference_masks"].append(masks_of_regions(worn_by.landmarks, signature.size))
        return {name: np.stack(items) for name, items in sets.items()}


def masks_of_regions(landmarks: NDArray[Any], size: int) -> UInt8Array:
    """Lips, eye shadow and skin of a face as the (size, size, 3) uint8 channels of 0..255."""
    shape = (size, size)
    face = region_masks.face_mask(landmarks, shape)
    lips = region_masks.lips_mask(landmarks, shape)
    eyes = region_masks.eyes_mask(landmarks, shape) * face
    skin = region_masks.skin_mask(landmarks, shape)
    return to_uint8(np.stack([lips, eyes, skin], axis=-1) * 255)


def _one_of(faces_: list[FaceAnalysis], rng: np.random.Generator) -> FaceAnalysis:
    return faces_[int(rng.integers(len(faces_)))]


def _perhaps_mirrored(face: FaceAnalysis, rng: np.random.Generator) -> FaceAnalysis:
    if rng.random() < 0.5:
        return face
    landmarks = region_masks.mirrored(face.landmarks, face.chip.shape[1])
    chip = np.ascontiguousarray(face.chip[:, ::-1])
    return FaceAnalysis(chip, face.crop_transform, landmarks)


def _photos(folder: str, learners: list[Person], signature: Signature) -> Photos:
    """The bare faces that are trained on, and everyone in the folder of made-up photos."""
    found, _ = find_photos([Path(folder)])
    worn = [face for item in found if (face := _aligned(item.path, signature)) is not None]
    if not worn:
        raise DatasetError(f"{folder} holds no photo with a face to be found; give made-up photos to --makeup")
    bare = []
    for person in learners:
        crop_transform = alignment.place(person.landmarks, signature.size, signature.padding)
        chip = alignment.crop(person.chip, crop_transform)
        bare.append(FaceAnalysis(chip, crop_transform, crop_transform.to_chip(person.landmarks)))
    return Photos(bare, worn)


def _aligned(path: Path, signature: Signature) -> FaceAnalysis | None:
    try:
        pixels = read_photo(path).pixels
    except BeautyGANError:
        return None
    found = detection.detect(pixels)
    return analyse_face(pixels, found[0], signature.size, signature.padding) if found else None


# As it goes


TELL_EVERY = 20.0  # seconds


@dataclass
class _Clock:
    """What is due when, and the losses since it was last told."""

    save_every: float
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)
    losses: dict[str, list[float]] = field(default_factory=dict)
    steps: int = 0

    def note(self, values: dict[str, Any]) -> None:
        """Keep a step's losses."""
        self.steps += 1
        for name, value in values.items():
            self.losses.setdefault(name, []).append(float(value))

    def lap(self) -> float:
        """Seconds since the last lap, of which a pause of the machine counts a minute at most."""
        now = time.monotonic()
        passed, self.began = now - self.began, now
        return min(passed, 60.0)

    def due_line(self) -> str | None:
        """The mean losses and the rate, every TELL_EVERY seconds."""
        passed = time.monotonic() - self.told
        if passed < TELL_EVERY:
            return None
        parts = [f"{name} {np.mean(values):.4f}" for name, values in self.losses.items()]
        line = "  ".join([*parts, f"{self.steps / passed:.2f} steps/s"])
        self.told, self.steps = time.monotonic(), 0
        self.losses.clear()
        return line

    def due_save(self) -> bool:
        """Whether a checkpoint is due; the next one is, `save_every` seconds later."""
        if time.monotonic() - self.saved < self.save_every:
            return False
        self.saved = time.monotonic()
        return True


def _save(
    session: Any,
    saver: Any,
    tower: Tower,
    check: Buffer,
    start: Trainable,
    tuning: Tuning,
    progress: Progress,
    say: Callable[[str], None],
) -> None:
    """The run's state, a picture of held-out people, and the averaged weights as a checkpoint of the contract."""
    out = Path(tuning.out)
    save_state(session, saver, progress, out / "finetuning")
    say(train.validate(session, tower, check, out, start.batch or tuning.batch))
    about = {
        "fine-tuned from": {"name": start.signature.name, "sha256": start.digest},
        "settings": _settings(tuning),
        "step": progress.step,
        "minutes": round(progress.seconds / 60, 1),
    }
    start.save(session.run(tower.averages), out, about)
