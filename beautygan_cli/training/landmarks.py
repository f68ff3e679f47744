"""Training of the network that finds a face's landmarks: one loop to read from top to bottom, `train`.

    python -m beautygan_cli.training.landmarks --faces DIR --labels FILE --out DIR --time 60m

Three small networks of one build learn side by side: one sees the whole face and finds the 68 landmarks roughly, the
others see an eye and the mouth closely and find their contours (see `faces/contours.py`). Each point comes with its
spread, which grows where a cover hides it: covers, shut lids, turned heads and makeup are drawn onto photos whose
points are known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import alignment, contours, masks
from beautygan_cli.faces.alignment import CropTransform
from beautygan_cli.faces.warp import field_onto, spline
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.drawing import blur
from beautygan_cli.makeup import rendering as makeup
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.training import disturbances, occluders, run_folder, small_network
from beautygan_cli.training.dataset import Person, load, split
from beautygan_cli.training.saving import save_state
from beautygan_cli.training.small_network import Clock, ExampleBuffer, Progress, convolution, restore_state
from beautygan_cli.training.turned_heads import MOST_PITCH, MOST_YAW, points_in, turned_field
from beautygan_cli.types import FloatArray, UInt8Array

FACE_FOLD, FACE_CHANNELS = 4, (32, 40, 64)  # pixels of each side that become channels first; channels at each size
PATCH_FOLD, PATCH_CHANNELS = 2, (24, 40, 48)
CANVAS = 288  # pixels of the picture that is drawn on: an eye is as wide as in its cut
CANVAS_UNIT = 66.0  # pixels between the eyes in it
MARGIN = 4  # pixels that cuts are kept larger on each side, to be shifted by
LONGEST = 5.0  # that gradients may be together
PLAIN_ERROR = 0.3  # weight of the plain distance beside its likelihood


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a run; saved beside its weights."""

    faces: str
    labels: str
    out: str
    minutes: float = 60.0
    batch: int = 8
    rate: float = 1.5e-3
    warm_up: int = 200
    buffer: int = 5000  # examples in memory, the oldest replaced as new ones are drawn
    ready: int = 200  # examples to wait for before the first step
    workers: int = 1
    threads: int = 1
    save_every: float = 150.0  # seconds
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Labels:
    """Where a photo's points lie in its chip.

    points: (122, 2), the 68 landmarks and the 54 points of the contours. trust: of eyes and of lips, 1 where they were
    clicked by hand.
    """

    points: FloatArray
    trust: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Example:
    """What the three networks see of one face, each with MARGIN around it, and where the points lie.

    face: (120, 120, 3), patches: (3, 72, 72, 3) uint8 RGB (left eye, right eye mirrored, mouth); landmarks: (68, 2) in
    the face's cut; eyes: (2, 16, 2) and mouth: (22, 2) in the patches'; trust: as of its labels.
    """

    face: UInt8Array
    patches: UInt8Array
    landmarks: FloatArray
    eyes: FloatArray
    mouth: FloatArray
    trust: tuple[float, float]


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
    learners, held = split(load(Path(settings.faces), work / "people.npz"))
    labels = load_labels(Path(settings.labels))
    say(f"{len(learners)} photos to train on, {len(held)} held out")

    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.set_random_seed(settings.seed)
        feeds = _feeds(tf)
        loss, parts = _loss(tf, feeds)
        learning = small_network.learn(loss, LONGEST)
    with tf.compat.v1.Session(graph=graph, config=small_network.configuration(settings.threads)) as session:
        session.run(learning.start)
        progress = Progress()
        if resume and (found := restore_state(session, learning.saver, work)):
            progress = found
            say(f"going on from step {progress.step}")
        given = [
            (settings.faces, settings.labels, str(work), [settings.seed, progress.step, number])
            for number in range(settings.workers)
        ]
        buffer: ExampleBuffer[Example] = ExampleBuffer(_draw, given, settings.buffer, settings.ready)
        rng = np.random.default_rng([settings.seed, progress.step])
        clock = Clock(settings, progress)
        while (share := clock.share()) < 1.0:
            batch = _batch(buffer.pick(rng, settings.batch), rng)
            feed: dict[Any, Any] = {feeds[name]: values for name, values in batch.items()}
            feed[learning.rate] = clock.rate(share)
            values, _ = session.run([parts, learning.step], feed)
            clock.step(values)
            if line := clock.due_line(share, _means):
                say(f"{line}  {buffer.drawn} examples")
            if clock.due_save():
                save_state(session, learning.saver, progress, work)
                weights = session.run(learning.averages)
                export(weights, settings, progress, out)
                say(_summary(validate(weights, held, labels)))
        save_state(session, learning.saver, progress, work)
        buffer.stop()
        weights = session.run(learning.averages)
        export(weights, settings, progress, out)
        say(_summary(validate(weights, held, labels)))
    say("done")
    return out


def _means(distances: FloatArray) -> str:
    return "face, eyes, mouth: " + "  ".join(f"{value:.3f}" for value in distances)


def _feeds(tf: Any) -> dict[str, Any]:
    face, patch = contours.FACE_SIZE, contours.PATCH_SIZE
    eyes, lips = contours.EYE_POINTS, contours.LIP_POINTS
    shapes = {
        "face": (None, face, face, 3),
        "eyes": (None, patch, patch, 3),
        "mouth": (None, patch, patch, 3),
        "landmarks": (None, 68, 2),
        "rims": (None, eyes, 2),
        "lips": (None, lips, 2),
        "landmarks_trust": (None, 68),
        "rims_trust": (None, eyes),
        "lips_trust": (None, lips),
    }
    return {name: tf.compat.v1.placeholder(tf.float32, shape, f"fed_{name}") for name, shape in shapes.items()}


def _loss(tf: Any, feeds: dict[str, Any]) -> tuple[Any, Any]:
    """The sum that is made small, and the three mean distances in pixels for the log."""
    answers = networks(feeds["face"], feeds["eyes"], feeds["mouth"])
    losses, parts = [], []
    for answer, name in zip(answers, ("landmarks", "rims", "lips"), strict=True):
        trust = feeds[f"{name}_trust"]
        distance = tf.sqrt(tf.reduce_sum(tf.square(answer[..., :2] - feeds[name]), axis=2) + 1e-3)
        # A Laplace distribution in the plane, of density exp(-distance / spread) / (2 pi spread^2).
        likelihood = distance * tf.exp(-answer[..., 2]) + 2 * answer[..., 2]
        total = tf.reduce_sum(trust) + 1e-3
        losses.append(tf.reduce_sum(trust * (likelihood + PLAIN_ERROR * distance)) / total)
        parts.append(tf.reduce_sum(trust * distance) / total)
    return tf.add_n(losses), tf.stack(parts)


def networks(face: Any, eyes: Any, mouth: Any) -> tuple[Any, Any, Any]:
    """The three networks' answers (N, points, 3): x and y in the cut's pixels, and the logarithm of the spread in them.

    RGB in 0..255: face (N, 112, 112, 3), eyes (M, 64, 64, 3) with the outer corner at the left, mouth (N, 64, 64, 3).
    """
    return (
        hourglass(face, 68, FACE_FOLD, FACE_CHANNELS, "face"),
        hourglass(eyes, contours.EYE_POINTS, PATCH_FOLD, PATCH_CHANNELS, "eye"),
        hourglass(mouth, contours.LIP_POINTS, PATCH_FOLD, PATCH_CHANNELS, "mouth"),
    )


def hourglass(pixels: Any, points: int, fold: int, channels: Sequence[int], name: str) -> Any:
    """(N, points, 3) from RGB in 0..255 (N, S, S, 3): x, y and the logarithm of their spread, in pixels.

    Convolutions go down to small pictures and up again (A. Newell et al., "Stacked Hourglass Networks", 2016). For each
    point there is a map of where it may be; the answer is that map's mean place (X. Sun et al., "Integral Human Pose
    Regression", 2018). Called again in a graph it shares its weights.
    """
    import tensorflow as tf

    size = int(pixels.shape[1])
    with tf.compat.v1.variable_scope(name, reuse=tf.compat.v1.AUTO_REUSE):
        # Dim and bright photos look alike to it.
        middle = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
        variance = tf.reduce_mean(tf.square(pixels - middle), axis=[1, 2, 3], keepdims=True)
        values = tf.nn.space_to_depth((pixels - middle) * tf.math.rsqrt(variance + 16.0), fold)
        skipped = []
        for level, depth in enumerate(channels):
            values = tf.nn.relu(convolution(values, depth, 1 if level == 0 else 2, f"down_{level}"))
            values = tf.nn.relu(values + convolution(values, depth, 1, f"down_{level}_b", gain=0.5))
            skipped.append(values)
        for level in range(len(channels) - 2, -1, -1):
            side = size // fold >> level
            values = convolution(values, channels[level], 1, f"narrow_{level}", side=1)
            values = tf.compat.v1.image.resize_nearest_neighbor(values, (side, side)) + skipped[level]
            values = tf.nn.relu(values + convolution(values, channels[level], 1, f"up_{level}", gain=0.5))
        cells = (size // fold) ** 2
        maps = tf.transpose(convolution(values, 2 * points, 1, "maps", gain=0.3, side=1), (0, 3, 1, 2))
        maps = tf.reshape(maps, (-1, 2 * points, cells))
        chance = tf.nn.softmax(maps[:, :points])
        rows, columns = np.mgrid[: size // fold, : size // fold]
        places = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * fold - 0.5
        where = tf.reshape(tf.matmul(tf.reshape(chance, (-1, cells)), tf.constant(places, tf.float32)), (-1, points, 2))
        spread = tf.reduce_sum(chance * maps[:, points:], axis=2, keepdims=True)
        return tf.concat([where, tf.clip_by_value(spread, -3.0, 3.5)], axis=2)


def export(weights: dict[str, Any], settings: Settings, progress: Progress, out: Path) -> None:
    """Save weights by their names as a checkpoint of the inference graph alone, with its `model.json`."""
    import tensorflow as tf

    def build() -> None:
        face = tf.compat.v1.placeholder(tf.float32, (None, contours.FACE_SIZE, contours.FACE_SIZE, 3), "face")
        patches = tf.compat.v1.placeholder(
            tf.float32, (None, 3, contours.PATCH_SIZE, contours.PATCH_SIZE, 3), "patches"
        )
        eyes = tf.reshape(patches[:, :2], (-1, contours.PATCH_SIZE, contours.PATCH_SIZE, 3))
        landmarks, rims, lips = networks(face, eyes, patches[:, 2])
        tf.identity(landmarks, name="landmarks")
        tf.concat([tf.reshape(rims, (-1, 2 * contours.EYE_POINTS, 3)), lips], axis=1, name="contours")

    about = asdict(settings)
    about |= {name: Path(about[name]).name for name in ("faces", "labels", "out")}
    signature = Signature(
        name="beautygan-cli landmarks",
        source="face:0",
        reference="patches:0",
        made_up="landmarks:0",
        removed="contours:0",
        size=contours.FACE_SIZE,
        low=0.0,
        high=255.0,
        about={"settings": about, "step": progress.step, "minutes": round(progress.seconds / 60, 1)},
    )
    small_network.export(build, weights, signature, out)


def load_labels(path: Path) -> dict[str, Labels]:
    """The labels of photos by their names, as `landmark_labels` writes them."""
    with np.load(path) as stored:
        both = np.concatenate([stored["points"], stored["contours"]], axis=1)
        return {
            str(name): Labels(points, (float(eyes), float(lips)))
            for name, points, (eyes, lips) in zip(stored["names"], both, stored["trust"], strict=True)
        }


# ---------------------------------------------------------------------------------------------------------------------
# Examples


def make_example(
    person: Person,
    labels: Labels,
    other: tuple[Person, Labels] | None,
    textures: occluders.Textures,
    rng: np.random.Generator,
) -> Example:
    """A photo turned, made up, its lids shut, its mouth opened, covered and lit, each at random.

    other: somebody to mix the face with; None for the face as it is.
    """
    chip, points = person.chip.astype(np.float32), labels.points
    if other is not None:
        chip, points = morph((chip, points), (other[0].chip.astype(np.float32), other[1].points), rng.uniform(0.3, 0.7))
    pixels, points = posed(chip, points, rng)
    marks = points[:68].copy()
    if rng.random() < 0.5:
        pixels = makeup.render(pixels, marks, makeup.random_style(rng))
    if rng.random() < 0.2:
        pixels = disturbances.eye_paint(pixels, marks, rng)
    if rng.random() < 0.15:
        pixels = disturbances.face_paint(pixels, marks, rng)
    if rng.random() < 0.25:
        pixels = disturbances.shine(pixels, marks, rng)
    if rng.random() < 0.3:
        pixels = disturbances.shaded(pixels, marks, rng)
    if rng.random() < 0.35:
        both = rng.random() < 0.7
        closing = rng.uniform(0.2, 1.0) if rng.random() < 0.6 else 1.0
        chosen = (0, 1) if both else (int(rng.integers(2)),)
        for number in chosen:
            pixels, points = lowered_lid(pixels, points, number, closing, rng)
    if rng.random() < 0.25:
        pixels, points = opened_mouth(pixels, points, rng)
    if rng.random() < 0.5:
        layers = occluders.random_cover(marks, CANVAS, textures, rng)
        pixels, _ = occluders.laid_over(pixels, layers)
    pixels = disturbances.lit(pixels, rng)
    if rng.random() < 0.15:
        pixels = _dim(pixels, rng)
    if rng.random() < 0.35:
        pixels = _coarse(pixels, rng)
    pixels = disturbances.camera(pixels, rng)
    canvas = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
    return _cut(canvas, points, labels.trust, rng)


def _cut(canvas: UInt8Array, points: FloatArray, trust: tuple[float, float], rng: np.random.Generator) -> Example:
    """The example's cuts, laid as roughly as they will be in use."""
    marks = points[:68]
    interocular = masks.interocular_distance(marks)
    five = (
        contours.five_points(marks) + rng.normal(0, 0.025 * interocular, (5, 2)) + rng.normal(0, 0.03 * interocular, 2)
    )
    face = _wider(contours.face_placement(five))
    wandering = []
    for part in (slice(36, 42), slice(42, 48), slice(48, 68)):
        near = marks.copy()
        middle, width = marks[part].mean(axis=0), float(np.ptp(marks[part][:, 0]))
        angle, scale = np.radians(rng.normal(0, 4)), np.exp(rng.normal(0, 0.07))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        near[part] = (marks[part] - middle) @ turn.T + middle + rng.normal(0, 0.05 * width, 2)
        wandering.append(near)
    patches = [
        _wider(contours.eye_placement(wandering[0], 0)),
        _wider(contours.eye_placement(wandering[1], 1)),
        _wider(contours.mouth_placement(wandering[2])),
    ]
    dense = points[68:]
    return Example(
        alignment.crop(canvas, face),
        np.stack([alignment.crop(canvas, patch) for patch in patches]),
        face.to_chip(marks) - MARGIN,
        np.stack(
            [
                patches[0].to_chip(dense[contours.LEFT_EYE]) - MARGIN,
                patches[1].to_chip(dense[contours.RIGHT_EYE]) - MARGIN,
            ]
        ),
        patches[2].to_chip(dense[contours.LIPS]) - MARGIN,
        trust,
    )


def _wider(crop_transform: CropTransform) -> CropTransform:
    matrix = crop_transform.matrix.copy()
    matrix[:, 2] += MARGIN
    return CropTransform(matrix, crop_transform.size + 2 * MARGIN)


def morph(
    first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray], share: float
) -> tuple[FloatArray, FloatArray]:
    """A face of nobody: pixels and (122, 2) points of two chips bent to their mean shape, `share` of the second."""
    import cv2

    aim = (1 - share) * first[1][:68] + share * second[1][:68]
    pixels, points = [], []
    for chip, own in (first, second):
        field = field_onto(own[:68], aim, (chip.shape[0], chip.shape[1]))
        pixels.append(cv2.remap(chip, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        guess = own + spline(own[:68], aim, own) - own
        points.append(points_in(field, own, guess, np.eye(2)))
    return (
        np.asarray((1 - share) * pixels[0] + share * pixels[1], np.float32),
        np.asarray((1 - share) * points[0] + share * points[1], np.float32),
    )


def posed(chip: FloatArray, points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """The face on the canvas, its head turned, tilted and seen in perspective at random: pixels and points."""
    import cv2

    marks = points[:68]
    interocular = masks.interocular_distance(marks)
    left, right = marks[masks.LEFT_EYE].mean(axis=0), marks[masks.RIGHT_EYE].mean(axis=0)
    tilt = float(np.arctan2(right[1] - left[1], right[0] - left[0]))
    angle = -tilt + np.radians(rng.normal(0, 15 if rng.random() < 0.2 else 5))
    scale = CANVAS_UNIT / interocular * np.exp(rng.normal(0, 0.08))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.array([[np.exp(rng.normal(0, 0.05)), rng.normal(0, 0.05)], [0, 1]])
    aim = np.array([CANVAS / 2, 0.38 * CANVAS]) + rng.normal(0, 0.02 * CANVAS, 2)
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = aim - turn @ ((left + right) / 2)
    bend = np.vstack([np.eye(2, 3), [*rng.normal(0, 0.12 / CANVAS, 2), 1]])
    bend[2, 2] -= bend[2, :2] @ aim
    matrix = bend @ matrix
    straight = _through(matrix, points)
    back = np.linalg.inv(matrix)
    rows, columns = np.mgrid[:CANVAS, :CANVAS]
    places = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
    guess = straight
    if rng.random() < 0.6:
        yaw = float(np.clip(rng.normal(0, 17), -MOST_YAW, MOST_YAW))
        pitch = float(np.clip(rng.normal(0, 8), -MOST_PITCH, MOST_PITCH))
        inner, guess = turned_field(straight, yaw, pitch, (CANVAS, CANVAS))
        places = inner.reshape(-1, 2).astype(np.float64)
    field = _through(back, places).reshape(CANVAS, CANVAS, 2).astype(np.float32)
    pixels = cv2.remap(chip, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found = points_in(field, points, guess, turn)
    return np.asarray(pixels, np.float32), np.asarray(found, np.float32)


def _through(matrix: NDArray[Any], points: NDArray[Any]) -> NDArray[np.float64]:
    full = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(full[:, :2] / full[:, 2:])


def lowered_lid(
    pixels: FloatArray, points: FloatArray, number: int, share: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """The eye (0: the image's left one) with its upper lid stretched down by `share` of its opening, lashes with it."""
    import cv2

    interocular = masks.interocular_distance(points[:68])
    dense = points[68:][contours.LEFT_EYE if number == 0 else contours.RIGHT_EYE].astype(np.float64)
    upper, lower = dense[contours.UPPER_LID], dense[contours.LOWER_LID]
    if upper[0, 0] > upper[-1, 0]:
        upper, lower = upper[::-1], lower[::-1]
    if np.any(np.diff(upper[:, 0]) <= 0) or np.any(np.diff(lower[:, 0]) <= 0):
        return pixels, points  # turned so far that no column crosses the eye once
    left, right = int(upper[0, 0]) - 2, int(upper[-1, 0]) + 3
    brow = points[17:22] if number == 0 else points[22:27]
    room = float(np.clip(upper[:, 1].min() - brow[:, 1].max(), 0.1 * interocular, 0.4 * interocular))
    top, bottom = int(upper[:, 1].min() - room) - 2, int(lower[:, 1].max() + 0.1 * interocular) + 3
    if left < 2 or top < 2 or right > CANVAS - 2 or bottom > CANVAS - 2:
        return pixels, points
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    x = columns[0]
    lid = np.interp(x, *drawing.smooth_curve(upper).T.astype(np.float64))
    rim = np.maximum(np.interp(x, *drawing.smooth_curve(lower).T.astype(np.float64)), lid)
    aim = lid + share * (rim - lid)
    edge = 0.02 * interocular  # lashes lie below the lid's edge, and are carried along
    start = lid - room
    stretched = start + (rows - start) * (lid + edge - start) / (aim + edge - start)
    source = np.where(rows < start, rows, stretched)
    skin = cv2.remap(pixels, columns, source.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    # The lashes are dark along the lid's edge wherever that lies, and darkest on a shut eye.
    dark = np.exp(-(((rows - aim) / (rng.uniform(0.012, 0.03) * interocular)) ** 2))
    wide = np.clip((rim - lid) / (0.05 * interocular), 0, 1)
    dark = (dark * wide * rng.uniform(0, 0.75) * share)[..., None]
    skin = skin * (1 - dark) + dark * np.array([38, 26, 22], np.float32)
    over = drawing.smoothstep(0.6, -0.6, rows - aim - edge)[..., None]
    beside = np.clip((columns - left) / 3, 0, 1) * np.clip((right - 1 - columns) / 3, 0, 1)
    over = over * beside[..., None]
    result = pixels.copy()
    part = result[top:bottom, left:right]
    result[top:bottom, left:right] = part + over * (skin - part)
    moved = points.copy()
    first = 68 + (0 if number == 0 else contours.EYE_POINTS)
    of_upper = first + np.arange(1, 8)
    moved[of_upper, 1] = np.interp(points[of_upper, 0], x, aim)
    ids = np.array([37, 38]) if number == 0 else np.array([43, 44])
    moved[ids, 1] = np.interp(points[ids, 0], x, aim)
    return np.clip(result, 0, 255), moved


def opened_mouth(pixels: FloatArray, points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """The mouth opened by its lower lip and chin, with teeth or without; points with it."""
    import cv2

    interocular = masks.interocular_distance(points[:68])
    lips = points[68:][contours.LIPS].astype(np.float64)
    top, low = lips[contours.INNER_TOP], lips[contours.INNER_BOTTOM]
    width = float(lips[6, 0] - lips[0, 0])
    if width < 0.4 * interocular or np.any(np.diff(low[:, 0]) <= 0) or np.any(np.diff(top[:, 0]) <= 0):
        return pixels, points
    gap = float(rng.uniform(0.04, 0.4)) * interocular
    reach = 1.1 * interocular
    rows, columns = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)

    def moved_by(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        """How far down a point at or under the lower lip goes."""
        across = np.clip(1 - ((x - (lips[0, 0] + lips[6, 0]) / 2) / (0.52 * width)) ** 2, 0, None) ** 0.8
        under = y - np.interp(x, low[:, 0], low[:, 1])
        fall = np.clip(1 - np.maximum(under - 0.45 * interocular, 0) / reach, 0, 1)
        return np.asarray(gap * across * fall)

    source = rows
    for _ in range(3):
        source = rows - moved_by(columns, source).astype(np.float32)
    seam = np.interp(columns[0], low[:, 0], low[:, 1]).astype(np.float32)
    upper = np.interp(columns[0], top[:, 0], top[:, 1]).astype(np.float32)
    inside_x = (columns > lips[0, 0]) & (columns < lips[6, 0])
    lower_part = cv2.remap(pixels, columns, source, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    edge = seam + gap * np.clip(moved_by(columns[0], seam) / gap, 0, 1)
    below = drawing.smoothstep(-0.7, 0.7, rows - np.where(inside_x, edge, seam))[..., None]
    skin = pixels[int(points[33, 1])][int(points[33, 0])].mean()
    inner = np.zeros_like(pixels) + np.array([0.28, 0.14, 0.13], np.float32) * skin * np.float32(rng.uniform(0.3, 1.1))
    if rng.random() < 0.6:
        tall = rng.uniform(0.04, 0.16) * interocular
        teeth = drawing.smoothstep(1.0, -1.0, rows - upper - tall)[..., None] * np.float32(rng.uniform(0.6, 1.0))
        pattern = 0.85 + 0.15 * np.abs(np.sin((columns - lips[0, 0]) * np.pi / (0.1 * interocular)))[..., None]
        inner = inner + teeth * (np.minimum(235, rng.uniform(1.1, 1.8) * skin) * pattern * [1.0, 0.97, 0.88] - inner)
    if rng.random() < 0.6:
        high, middle = rng.uniform(0.05, 0.3) * interocular, (lips[0, 0] + lips[6, 0]) / 2
        rise = high * np.sqrt(np.clip(1 - ((columns - middle) / (rng.uniform(0.25, 0.5) * width)) ** 2, 0, 1))
        tongue = drawing.smoothstep(-2.0, 2.0, rows - edge + rise)[..., None] * rng.uniform(0.3, 1)
        colour = np.array([0.75, 0.42, 0.4], np.float32) * rng.uniform(0.7, 1.3, 3).astype(np.float32)
        inner = inner + tongue * (colour * skin - inner)
    hole = (drawing.smoothstep(-0.7, 0.7, rows - upper) * drawing.smoothstep(0.7, -0.7, rows - edge))[..., None]
    hole = hole * inside_x[..., None] * (edge - upper > 1)[..., None]
    was_open = (rows > upper) & (rows < seam) & inside_x
    result = pixels * (1 - below) + lower_part * below
    keep = (
        blur(was_open.astype(np.float32), 0.6)[..., None] if float(np.max(seam - upper)) > 0.04 * interocular else 0.0
    )
    result = result * (1 - hole * (1 - keep)) + inner * hole * (1 - keep)
    moved = points.copy()
    ids = np.r_[55:60, 65:68, 6:11, 68 + 32 + np.r_[12:22]]
    moved[ids, 1] += moved_by(points[ids, 0].astype(np.float64), points[ids, 1].astype(np.float64)).astype(np.float32)
    return np.asarray(np.clip(result, 0, 255), np.float32), moved


def _dim(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A photo taken with little light: dark, noisy."""
    dark = pixels * np.float32(rng.uniform(0.2, 0.7))
    return dark + rng.normal(0, rng.uniform(0.5, 3.5), pixels.shape).astype(np.float32)


def _coarse(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A small face, enlarged."""
    import cv2

    side = round(CANVAS / np.exp(rng.uniform(0, np.log(4))))
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR), np.float32)


def _batch(chosen: Sequence[Example], rng: np.random.Generator) -> dict[str, FloatArray]:
    """What is fed for examples: mirrored, shifted and lit anew each time."""
    fed: dict[str, list[Any]] = {name: [] for name in ("face", "eyes", "mouth", "landmarks", "rims", "lips")} | {
        f"{name}_trust": [] for name in ("landmarks", "rims", "lips")
    }
    for example in chosen:
        gain = np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
        face, landmarks = _shifted(example.face, example.landmarks, contours.FACE_SIZE, gain, rng)
        mouth, lips = _shifted(example.patches[2], example.mouth, contours.PATCH_SIZE, gain, rng)
        if rng.random() < 0.5:
            face, landmarks = face[:, ::-1], masks.mirrored(landmarks, contours.FACE_SIZE)
            mouth = mouth[:, ::-1]
            lips = _mirrored_lips(lips)
        fed["face"].append(face)
        fed["mouth"].append(mouth)
        fed["landmarks"].append(landmarks)
        fed["lips"].append(lips)
        for number in range(2):
            eye, rim = _shifted(example.patches[number], example.eyes[number], contours.PATCH_SIZE, gain, rng)
            fed["eyes"].append(eye)
            fed["rims"].append(rim)
            fed["rims_trust"].append(np.full(contours.EYE_POINTS, example.trust[0]))
        fed["landmarks_trust"].append(np.r_[np.ones(36), np.full(32, 0.5)])
        fed["lips_trust"].append(np.full(contours.LIP_POINTS, example.trust[1]))
    return {name: np.asarray(values, dtype=np.float32) for name, values in fed.items()}


def _mirrored_lips(lips: FloatArray) -> FloatArray:
    """The lips' points in the mirror image of their cut."""
    mirrored = np.array([contours.PATCH_SIZE - 1, 0]) + lips * [-1, 1]
    return np.asarray(mirrored[contours.LIPS_MIRROR], np.float32)


def _shifted(
    pixels: UInt8Array, points: FloatArray, size: int, gain: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """A cut of that size out of a larger one, at random, and where its points are."""
    x, y = (int(value) for value in rng.integers(0, 2 * MARGIN + 1, 2))
    part = np.minimum(pixels[y : y + size, x : x + size] * gain, 255)
    return np.asarray(part, np.float32), np.asarray(points + MARGIN - [x, y], np.float32)


def _draw(examples: Any, folder: str, labels_file: str, work: str, seed: list[int]) -> None:
    """What a worker does: draw examples until it is stopped."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    learners, _ = split(load(Path(folder), Path(work) / "people.npz"))
    labels = load_labels(Path(labels_file))
    textures = occluders.textures_of([learners[int(index)] for index in rng.permutation(len(learners))])
    clicked = [person for person in learners if labels[person.name].trust[0] >= 1]
    while True:
        other = None
        if clicked and rng.random() < 0.5:
            person = clicked[int(rng.integers(len(clicked)))]
            if rng.random() < 0.45:
                second = clicked[int(rng.integers(len(clicked)))]
                other = second, labels[second.name]
        else:
            person = learners[int(rng.integers(len(learners)))]
        examples.put(make_example(person, labels[person.name], other, textures, rng))


# ---------------------------------------------------------------------------------------------------------------------
# Held-out people


def validate(weights: dict[str, Any], held: Sequence[Person], labels: dict[str, Labels]) -> dict[str, float]:
    """Mean distances on photos of people not trained on, from the first rough cut on.

    Of those clicked by hand: "upper lid", "lower lid" and "corners" in % of the eye's width, "lips" in % of the
    mouth's; of all: "jaw", "brows" and "nose" in % of the distance between the eyes.
    """
    import tensorflow as tf

    with tf.Graph().as_default():
        face = tf.compat.v1.placeholder(tf.float32, (None, contours.FACE_SIZE, contours.FACE_SIZE, 3))
        patch = (None, contours.PATCH_SIZE, contours.PATCH_SIZE, 3)
        eyes, mouth = tf.compat.v1.placeholder(tf.float32, patch), tf.compat.v1.placeholder(tf.float32, patch)
        answers = networks(face, eyes, mouth)
        with tf.compat.v1.Session() as session:
            for variable in tf.compat.v1.trainable_variables():
                variable.load(weights[variable.op.name], session)
            found: dict[str, list[float]] = {}
            for person in held:
                place = contours.face_placement(contours.five_points(person.landmarks))
                said = session.run(answers[0], {face: alignment.crop(person.chip, place)[None]})[0]
                rough = place.to_photo(said[:, :2])
                places = [contours.eye_placement(rough, number) for number in range(2)]
                rims = session.run(answers[1], {eyes: np.stack([alignment.crop(person.chip, one) for one in places])})
                mouth_place = contours.mouth_placement(rough)
                lips = session.run(answers[2], {mouth: alignment.crop(person.chip, mouth_place)[None]})[0]
                dense = np.concatenate(
                    [
                        places[0].to_photo(rims[0, :, :2]),
                        places[1].to_photo(rims[1, :, :2]),
                        mouth_place.to_photo(lips[:, :2]),
                    ]
                )
                true = labels[person.name]
                interocular = masks.interocular_distance(true.points[:68])
                for name, part in (("jaw", slice(0, 17)), ("brows", slice(17, 27)), ("nose", slice(27, 36))):
                    away = np.linalg.norm(rough[part] - true.points[:68][part], axis=1)
                    found.setdefault(name, []).append(100 * float(away.mean()) / interocular)
                if true.trust[0] >= 1:
                    whole = contours.to_landmarks(rough, dense)
                    for name, values in landmark_errors(whole, true.points[68:]).items():
                        found.setdefault(name, []).extend(values)
    return {name: float(np.mean(values)) for name, values in found.items()}


def landmark_errors(landmarks: NDArray[Any], true: NDArray[Any]) -> dict[str, list[float]]:
    """How far (68, 2) landmarks of eyes and lips lie from true contours, (54, 2), in % of the eye's or mouth's width.

    By "upper lid", "lower lid", "corners" (of the eyes) and "lips". What lies along a curve counts by its distance from
    the true curve, corners by theirs from the true corner.
    """
    found: dict[str, list[float]] = {"upper lid": [], "lower lid": [], "corners": [], "lips": []}
    for part, outer, upper, inner, lower in (
        (contours.LEFT_EYE, 36, (37, 38), 39, (40, 41)),
        (contours.RIGHT_EYE, 45, (43, 44), 42, (46, 47)),
    ):
        eye = true[part]
        width = float(np.linalg.norm(eye[8] - eye[0])) / 100
        found["upper lid"] += [distance_to(eye[contours.UPPER_LID], landmarks[k]) / width for k in upper]
        found["lower lid"] += [distance_to(eye[contours.LOWER_LID], landmarks[k]) / width for k in lower]
        found["corners"] += [float(np.linalg.norm(landmarks[k] - eye[n])) / width for k, n in ((outer, 0), (inner, 8))]
    lips = true[contours.LIPS]
    width = float(np.linalg.norm(lips[6] - lips[0])) / 100
    for curve, numbers in (
        (contours.TOP, range(49, 54)),
        (contours.BOTTOM, range(55, 60)),
        (contours.INNER_TOP, range(61, 64)),
        (contours.INNER_BOTTOM, range(65, 68)),
    ):
        found["lips"] += [distance_to(lips[curve], landmarks[k]) / width for k in numbers]
    return found


def distance_to(curve: NDArray[Any], point: NDArray[Any]) -> float:
    """How far a point lies from the smooth curve through (N, 2) points."""
    return float(np.linalg.norm(contours.along(curve, np.linspace(0, 1, 200)) - point, axis=1).min())


def _summary(found: dict[str, float]) -> str:
    return "held out, %: " + ", ".join(f"{name} {value:.2f}" for name, value in found.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; 0 when done."""
    parser = small_network.command_line("landmarks", "Train the network that finds the landmarks of a face.", "60m")
    parser.add_argument("--labels", required=True, metavar="FILE", help="their points, an .npz file")
    options = parser.parse_args(arguments)
    settings = Settings(
        options.faces,
        options.labels,
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
