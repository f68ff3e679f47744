"""Training of the network that reads an eye's pigment off a photo: one loop to read from top to bottom, `train`.

    python -m beautygan_cli.training.eye_pigment --faces DIR --out DIR --time 60m

Makeup is drawn on bare faces (`rendering`), once with what is worn at the eyes and once without it: the difference is
the pigment, exactly. Both are lit alike, covered by the same hair and glasses, and taken by the same camera; a part of
the faces wears nothing at the eyes, so that shade, wrinkles, lashes and frames are told from pigment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.face import Face
from beautygan_cli.imaging.colour import log_light
from beautygan_cli.makeup import eye_layer, eye_pigment, pipeline, rendering
from beautygan_cli.makeup.eye_pigment import HINTS, SHAPE
from beautygan_cli.makeup.style import Liner, Style
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.training import dataset, disturbances, examples, occluders, run_folder, small_network, validation
from beautygan_cli.training.dataset import Person
from beautygan_cli.training.saving import save_state
from beautygan_cli.training.small_network import Clock, ExampleBuffer, Progress, convolution, restore_state
from beautygan_cli.types import FloatArray, UInt8Array

CHANNELS = (24, 40, 64, 96)  # of the network at 1/2, 1/4, 1/8 and 1/16 of its size: 0.39 million weights in all
LAST = 24  # channels of the layer before the answer
LONGEST = 0.5  # that gradients may be together
LARGEST = 150.0  # pixels between the eyes' centres of what makeup is drawn on, at most
AROUND, BELOW = 3.4, 0.54  # of that distance: the side of the cut around the face, its middle below the eyes
BARE_EYES, LINED, BLACK_LIDS = 0.14, 0.26, 0.10  # shares of the faces; the rest wears what anybody may wear
COVERED = 0.16  # share of the faces with something before them
COVERS = ("fringe", "lock", "strands", "curtain", "glasses", "glasses", "hand")
BARE = "bare.npz"  # in the folder of a run: the faces that makeup is drawn on
STUDIO_SHARE = 0.5  # of the faces: surely bare, and with hand-clicked lids
EYE_PIXELS = (25.0, 80.0)  # an eye's width in a part of the photos; in the rest it is as they have it
LANDMARK_ERROR, EYE_ERROR, BROW_ERROR = 0.006, 0.012, 0.02  # deviations, in units: of each point, of an eye, of a brow
DENSEST = (-1.5, 4.0)  # density that counts
SEEN = 2.2  # the exponent by which the eye sees light: density over it is what is seen
WEAK_HINT = 0.15  # share of the eyes to which the removal is little of a hint, as other models' may be
OUTSIDE = 0.03  # weight of cells where makeup of an eye can't lie
DENSITY_WEIGHT, EDGE_WEIGHT = 0.12, 0.7  # of density itself and of its steps, beside how dark it is seen


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a run; saved beside its weights."""

    faces: str
    out: str
    minutes: float = 60.0
    batch: int = 8
    rate: float = 2e-3
    warm_up: int = 100
    buffer: int = 3000  # eyes in memory, the oldest replaced as new ones are drawn
    ready: int = 150  # eyes to wait for before the first step
    workers: int = 1
    threads: int = 1
    save_every: float = 180.0  # seconds
    check_count: int = 48  # held-out faces
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Bare:
    """The part of a photo around the face.

    pixels: (N, N, 3) uint8 RGB; landmarks: (68, 2) as a user's photo has them; exact: with hand-clicked lids, where
    there are some; studio: whether the photo is of a studio set.
    """

    pixels: UInt8Array
    landmarks: FloatArray
    exact: FloatArray
    studio: bool


@dataclass(frozen=True, eq=False)
class Example:
    """One eye: what `eye_pigment.read` is given, and the density (*SHAPE, 3) float16 that it is to give."""

    worn: UInt8Array
    cheeks: FloatArray
    room: FloatArray
    removed: NDArray[np.float16]
    density: NDArray[np.float16]


# ---------------------------------------------------------------------------------------------------------------------
# The loop


def train(settings: Settings, *, resume: bool = False, say: Callable[[str], None] = print) -> Path:
    """Train the network from a folder of photos and save it under `settings.out`; returns that folder.

    Raises DatasetError where the folder holds too few faces, OutputError where `settings.out` holds what no training
    put there.
    """
    out = Path(settings.out)
    run_folder.claim(out)
    tf = quiet_tensorflow()
    work = out / "training"
    work.mkdir(parents=True, exist_ok=True)
    people = dataset.load(Path(settings.faces), work / "people.npz")
    learners, held = dataset.split(people)
    say(f"{len(learners)} photos to train on, {len(held)} held out")
    checks = held_out_eyes(settings, held)
    if not (work / BARE).is_file():
        _keep(bare_people(settings.faces, learners), work / BARE)

    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.set_random_seed(settings.seed)
        relative = tf.compat.v1.placeholder(tf.float32, (None, *SHAPE, 3), "relative")
        hints = tf.compat.v1.placeholder(tf.float32, (None, *SHAPE, HINTS), "hints")
        truth = tf.compat.v1.placeholder(tf.float32, (None, *SHAPE, 3), "truth")
        window = tf.compat.v1.placeholder(tf.float32, (None, *SHAPE, 1), "window")
        answer = unet(relative, hints)
        loss = difference(answer, tf.clip_by_value(truth, *DENSEST), window)
        learning = small_network.learn(loss, LONGEST)
    with tf.compat.v1.Session(graph=graph, config=small_network.configuration(settings.threads)) as session:
        session.run(learning.start)
        progress = Progress()
        if resume and (found := restore_state(session, learning.saver, work)):
            progress = found
            say(f"going on from step {progress.step}")
        given = [
            (settings.faces, str(work), [settings.seed, progress.step, number]) for number in range(settings.workers)
        ]
        buffer: ExampleBuffer[Example] = ExampleBuffer(_draw, given, settings.buffer, settings.ready)
        rng = np.random.default_rng([settings.seed, progress.step])
        clock = Clock(settings, progress)
        while (share := clock.share()) < 1.0:
            feed = _feed(buffer.pick(rng, settings.batch), (relative, hints, truth, window))
            feed[learning.rate] = clock.rate(share)
            value, _ = session.run([loss, learning.step], feed)
            clock.step(value)
            if line := clock.due_line(share, lambda mean: f"loss {mean:.4f}"):
                say(f"{line}  {buffer.drawn} eyes")
            if clock.due_save():
                save_state(session, learning.saver, progress, work)
                export(session.run(learning.averages), settings, progress, out)
                say(_summary(*validate(lambda seen, hint: session.run(answer, {relative: seen, hints: hint}), checks)))
        save_state(session, learning.saver, progress, work)
        buffer.stop()
        export(session.run(learning.averages), settings, progress, out)
    say("done")
    return out


def _feed(chosen: Sequence[Example], tensors: tuple[Any, Any, Any, Any]) -> dict[Any, Any]:
    window = np.stack([eye_layer.window_of(item.room) for item in chosen])
    return dict(zip(tensors, (*_inputs(chosen), _truth(chosen), window), strict=True))


def _inputs(chosen: Sequence[Example]) -> tuple[FloatArray, FloatArray]:
    names = ("worn", "cheeks", "room", "removed")
    return eye_pigment.network_input(*(np.stack([getattr(item, name) for item in chosen]) for name in names))


def _truth(chosen: Sequence[Example]) -> FloatArray:
    return np.stack([item.density for item in chosen]).astype(np.float32)


def unet(relative: Any, hints: Any) -> Any:
    """The network: density (N, *SHAPE, 3), from what `eye_pigment.network_input` gives.

    A U-Net (Ronneberger et al. 2015). Its first step only moves each 2 x 2 cells into the channels, and its last one
    moves them back. Called again in a graph it shares its weights.
    """
    import tensorflow as tf

    with tf.compat.v1.variable_scope("eye_pigment", reuse=tf.compat.v1.AUTO_REUSE):
        seen = tf.nn.space_to_depth(tf.concat([relative, hints], axis=3), 2)
        values, skipped = seen, []
        for level, channels in enumerate(CHANNELS):
            values = tf.nn.relu(convolution(values, channels, 1 if level == 0 else 2, f"encoder_{level}"))
            values = tf.nn.relu(values + convolution(values, channels, 1, f"encoder_{level}_b", gain=0.5))
            skipped.append(values)
        for level in range(len(CHANNELS) - 2, -1, -1):
            sides = [side // 2 >> level for side in SHAPE]
            values = tf.compat.v1.image.resize_nearest_neighbor(values, sides)
            values = tf.concat([values, skipped[level]], axis=3)
            values = tf.nn.relu(convolution(values, CHANNELS[level], 1, f"decoder_{level}"))
        values = tf.nn.relu(convolution(tf.concat([values, seen], axis=3), LAST, 1, "last"))
        return tf.nn.depth_to_space(convolution(values, 12, 1, "answer", gain=0.1), 2)


def difference(answer: Any, truth: Any, window: Any) -> Any:
    """The loss: how differently dark it is seen, its steps from cell to cell, and the density itself, in the window."""
    import tensorflow as tf

    weight = window + OUTSIDE

    def seen(density: Any) -> Any:
        return tf.exp(-tf.minimum(density, 6.0) / SEEN)

    def mean(values: Any, weights: Any) -> Any:
        return tf.reduce_sum(weights * tf.abs(values)) / tf.reduce_sum(weight) / 3

    error = seen(answer) - seen(truth)
    steps = mean(error[:, 1:] - error[:, :-1], weight[:, 1:]) + mean(
        error[:, :, 1:] - error[:, :, :-1], weight[:, :, 1:]
    )
    return mean(error, weight) + DENSITY_WEIGHT * mean(answer - truth, weight) + EDGE_WEIGHT * steps


def export(weights: dict[str, Any], settings: Settings, progress: Progress, out: Path) -> None:
    """Save weights by their names as a checkpoint of the inference graph alone, with its `model.json`."""
    import tensorflow as tf

    def build() -> None:
        relative = tf.compat.v1.placeholder(tf.float32, (None, *SHAPE, 3), "relative")
        hints = tf.compat.v1.placeholder(tf.float32, (None, *SHAPE, HINTS), "hints")
        tf.identity(unet(relative, hints), name="density")

    about = asdict(settings)
    about["faces"], about["out"] = Path(settings.faces).name, Path(settings.out).name
    signature = Signature(
        name="beautygan-cli eye pigment",
        source="relative:0",
        reference="hints:0",
        made_up="density:0",
        removed="density:0",
        size=SHAPE[1],
        low=DENSEST[0],
        high=DENSEST[1],
        about={"settings": about, "step": progress.step, "minutes": round(progress.seconds / 60, 1)},
    )
    small_network.export(build, weights, signature, out)


# ---------------------------------------------------------------------------------------------------------------------
# Examples


def cut_out(pixels: UInt8Array, landmarks: FloatArray, exact: FloatArray, studio: bool) -> Bare:
    """The part of a photo around the face, reduced where the face is larger than LARGEST."""
    import cv2

    interocular = masks.interocular_distance(landmarks)
    scale = min(1.0, LARGEST / interocular)
    side = int(AROUND * interocular * scale)
    centre = scale * (landmarks[36:48].mean(axis=0) + np.array([0, BELOW * interocular]))
    if scale < 1:
        pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    shift = side / 2 - centre
    matrix = np.column_stack([np.eye(2), shift])
    cut = cv2.warpAffine(pixels, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    placed = [np.asarray(points * scale + shift, dtype=np.float32) for points in (landmarks, exact)]
    return Bare(np.asarray(cut, np.uint8), placed[0], placed[1], studio)


def random_style(rng: np.random.Generator) -> Style:
    """What anybody may wear, with more lines, wings and black lids than most wear, and now and then bare eyes."""
    style, kind = rendering.random_style(rng), rng.random()
    if kind < BARE_EYES:
        return without_eyes(style)
    if kind < BARE_EYES + LINED:
        line = Liner(
            rendering.random_liner_colour(rng),
            amount=float(rng.uniform(0.8, 1)),
            width=float(rng.uniform(0.025, 0.17)),
            wing=float(rng.uniform(0, 0.7)),
            lift=float(rng.uniform(0, 0.75)),
            lower=float(rng.uniform(0.2, 0.95) if rng.random() < 0.35 else 0),
            lashes=float(rng.uniform(0.12, 0.45) if rng.random() < 0.6 else 0),
            count=int(rng.integers(20, 48)),
            floating=float(rng.uniform(0.14, 0.42) if rng.random() < 0.15 else 0),
        )
        return replace(style, liner=line, shadow=style.shadow if rng.random() < 0.5 else None)
    if kind < BARE_EYES + LINED + BLACK_LIDS:
        shadow, line = rendering.black_lid(rng)
        if rng.random() < 0.4:
            colour = rendering.random_colour(rng)
            shadow = replace(shadow, lid=colour, crease=colour, corner=colour)
        height, outward = float(rng.uniform(0.08, 0.55)), float(rng.uniform(0, 0.5))
        return replace(style, shadow=replace(shadow, height=height, outward=outward), liner=line)
    return style


def without_eyes(style: Style) -> Style:
    """The style without what the eyes' layer holds. Brows are a region of their own."""
    return replace(style, shadow=None, liner=None, paint=None)


def make_examples(
    bare: Bare, textures: occluders.Textures, session: MakeupSession, rng: np.random.Generator
) -> list[Example]:
    """Both eyes of a face in random makeup, light and camera; none where its cheeks are out of sight."""
    import cv2

    side = len(bare.pixels)
    matrix = np.eye(2, 3)
    if rng.random() < 0.3:
        stretch, angle = np.exp(rng.normal(0, 0.06, 2)), rng.normal(0, 0.06)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(stretch)
        middle = np.full(2, side / 2)
        matrix = np.column_stack([turn, middle - turn @ middle])
    pixels = cv2.warpAffine(bare.pixels.astype(np.float32), matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    marks, exact = (
        np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32) for points in (bare.landmarks, bare.exact)
    )
    style = random_style(rng)
    # Real makeup follows the lid itself, wherever the landmarks that read it may lie.
    drawn_at = exact if rng.random() < 0.6 else marks
    both = [rendering.render(pixels, drawn_at, one) for one in (without_eyes(style), style)]
    light = examples.random_light(rng, side)
    both = [light(item) for item in both]
    if rng.random() < COVERED:
        cover = occluders.random_cover(marks, side, textures, rng, str(rng.choice(COVERS)))
        both = [occluders.laid_over(item, cover)[0] for item in both]
    worn, density = both[1], log_light(both[0]) - log_light(both[1])
    eye = float(np.linalg.norm(marks[39] - marks[36]))
    wanted = float(np.exp(rng.uniform(*np.log(EYE_PIXELS)))) if rng.random() < 0.6 else eye
    scale = 1.0
    if wanted < eye:
        small = round(side * wanted / eye)
        scale = small / side
        worn, density = (cv2.resize(item, (small, small), interpolation=cv2.INTER_AREA) for item in (worn, density))
    photo = np.clip(np.rint(disturbances.camera(worn, rng)), 0, 255).astype(np.uint8)
    # A pixel's centre lies at its whole coordinate.
    marks = _mistaken(np.asarray((marks + 0.5) * scale - 0.5, dtype=np.float32), rng)
    face = analyse_face(
        photo, Face((0.0, 0.0, *photo.shape[1::-1]), marks), session.signature.size, session.signature.padding
    )
    seen = eye_layer.look_at(face, *(chips[0] for chips in pipeline.bared([face], session)))
    if seen is None:
        return []
    result = []
    marks = face.crop_transform.to_photo(face.landmarks)
    for number, shown in enumerate(seen):
        cells, _ = eye_layer.cells(marks, number, SHAPE)
        truth = cv2.remap(density, cells[..., 0], cells[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = np.all((cells >= 0) & (cells <= len(photo) - 1), axis=-1, keepdims=True)
        removed = shown.removed * (rng.uniform(0, 1) if rng.random() < WEAK_HINT else 1)
        truth = np.clip(truth, *DENSEST) * inside
        result.append(
            Example(shown.worn, shown.cheeks, shown.room, removed.astype(np.float16), truth.astype(np.float16))
        )
    return result


def _mistaken(landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Landmarks as wrong as they are in photos: eyes and brows as wholes, and each point."""
    interocular = masks.interocular_distance(landmarks)
    moved = landmarks + rng.normal(0, LANDMARK_ERROR * interocular, landmarks.shape)
    for points, error in ((masks.LEFT_EYE, EYE_ERROR), (masks.RIGHT_EYE, EYE_ERROR), (slice(17, 27), BROW_ERROR)):
        moved[points] += rng.normal(0, error * interocular, 2)
    return np.asarray(moved, dtype=np.float32)


def bare_people(faces: str, people: Sequence[Person]) -> list[Bare]:
    """The parts of photos around the faces of those who are bare-faced."""
    paths = validation.paths_of(Path(faces))
    result = []
    for person in people:
        if person.bare:
            found = validation.bare_of(person, paths[person.name])
            studio = not np.array_equal(person.exact, person.landmarks)
            result.append(
                cut_out(read_photo(paths[person.name]).pixels, found.photo.face.landmarks, found.exact, studio)
            )
    return result


def _keep(people: Sequence[Bare], path: Path) -> None:
    """Save them for the workers: finding the faces anew in each takes minutes."""
    values = {f"{index} {name}": value for index, bare in enumerate(people) for name, value in vars(bare).items()}
    np.savez(path, count=len(people), **values)


def _kept(path: Path) -> list[Bare]:
    with np.load(path) as stored:

        def one(index: int) -> Bare:
            pixels, landmarks, exact = (stored[f"{index} {name}"] for name in ("pixels", "landmarks", "exact"))
            return Bare(pixels, landmarks, exact, bool(stored[f"{index} studio"]))

        return [one(index) for index in range(int(stored["count"]))]


def _draw(queue: Any, faces: str, work: str, seed: list[int]) -> None:
    """What a worker does: draw examples until it is stopped."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    learners, _ = dataset.split(dataset.load(Path(faces), Path(work) / "people.npz"))
    textures = occluders.textures_of([learners[int(index)] for index in rng.permutation(len(learners))])
    bare = _kept(Path(work) / BARE)
    studio = [person for person in bare if person.studio] or bare
    others = [person for person in bare if not person.studio] or bare
    session = MakeupSession(threads=1)
    while True:
        several = studio if rng.random() < STUDIO_SHARE else others
        for example in make_examples(several[int(rng.integers(len(several)))], textures, session, rng):
            queue.put(example)


# ---------------------------------------------------------------------------------------------------------------------
# Held-out people


def held_out_eyes(settings: Settings, held: Sequence[Person]) -> list[Example]:
    """Both eyes of so many faces of people not trained on, always the same."""
    rng = np.random.default_rng([settings.seed, 77])
    textures, bare = occluders.textures_of(held), bare_people(settings.faces, held)
    result: list[Example] = []
    with MakeupSession(threads=1) as session:
        while len(result) < 2 * settings.check_count:
            result += make_examples(bare[int(rng.integers(len(bare)))], textures, session, rng)
    return result


def validate(
    read: Callable[[FloatArray, FloatArray], FloatArray], eyes: Sequence[Example]
) -> tuple[float, float, float, float]:
    """How much of dark pigment is read, of that past the outer corner, what is read where there is none, and the error.

    read: the network, from what `eye_pigment.network_input` gives. The first two are shares of the true mean density;
    the third is a density; the last the mean difference of how dark it is seen, 0..1.
    """
    truth, inputs = _truth(eyes), _inputs(eyes)
    found = np.concatenate([read(*(item[at : at + 16] for item in inputs)) for at in range(0, len(eyes), 16)])
    window = np.stack([eye_layer.window_of(eye.room) for eye in eyes])
    deep, level = truth.mean(axis=-1), found.mean(axis=-1)
    counts = window[..., 0] > 0.5
    dark = counts & (deep > 0.8)
    wing = dark & (eye_pigment.coordinates(SHAPE)[0] > 1.08)
    nothing = counts & (np.abs(deep) < 0.03)
    seen = np.abs(np.exp(-found / SEEN) - np.exp(-truth / SEEN))
    return (
        float(level[dark].mean() / deep[dark].mean()),
        float(level[wing].mean() / deep[wing].mean()),
        float(np.abs(found).mean(axis=-1)[nothing].mean()),
        float((window * seen).sum() / window.sum() / 3),
    )


def _summary(dark: float, wing: float, nothing: float, error: float) -> str:
    return f"held out: of dark pigment {dark:.2f}, of wings {wing:.2f}; of none {nothing:.3f}; error {error:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; 0 when done."""
    parser = small_network.command_line(
        "eye_pigment",
        "Train the network that reads an eye's pigment off a photo, from portraits without makeup.",
        "60m",
    )
    options = parser.parse_args(arguments)
    settings = Settings(
        options.faces,
        options.out,
        minutes=options.time,
        workers=options.workers,
        threads=options.threads,
        seed=options.seed,
    )
    train(settings, resume=options.resume, say=lambda line: print(line, file=sys.stderr, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
