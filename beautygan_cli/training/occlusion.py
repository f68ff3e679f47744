"""Training of the network that sees what lies before a face: one loop to read from top to bottom, `train`.

    python -m beautygan_cli.training.occlusion --faces DIR --out DIR --time 20m

Covers are laid over photos (`occluders`), so what is covered is known exactly there. What the photos show by themselves
(a real fringe, real glasses) nobody has labelled. In the first part of the time a rule of thumb says what is surely the
face, and all else does not count. Then the network itself labels foreheads and temples: what it is sure of counts from
then on, what it is unsure of does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import alignment, masks
from beautygan_cli.faces.occlusion import SIZE
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import rgb_to_lab
from beautygan_cli.imaging.drawing import smoothstep
from beautygan_cli.makeup import rendering as makeup
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.training import disturbances, occluders, run_folder, small_network
from beautygan_cli.training.dataset import STUDIO, Person, load, split
from beautygan_cli.training.saving import save_state, take_over
from beautygan_cli.training.small_network import Clock, ExampleBuffer, Progress, convolution, restore_state
from beautygan_cli.training.turned_heads import MOST_YAW, turned, turned_points
from beautygan_cli.types import FloatArray, UInt8Array

FOLD = 4  # pixels of each side that become channels before the first layer: most of the cost is saved, nothing is lost
CHANNELS = (32, 48, 64)  # of the network at 1/4, 1/8 and 1/16 of its size: 0.21 million weights in all
PADDING = 0.35  # of the chips
CANVAS = 192  # pixels of the chip on which covers are drawn, before it is reduced to the network's SIZE
LID_WEIGHT = 2.0  # lids and lips count so much more than skin: a mistake there is seen first
SMALL_COVER = 0.06  # share of the face: what covers less, as frames and strands do, counts in proportion more, ...
SMALL_MOST = 3.0  # ... at most so many times
MOST_WEIGHT = 6.0  # of a pixel
OUTSIDE_WEIGHT = 0.04  # of a pixel outside the face, where no paint comes
SURE = (0.12, 0.65)  # of the network's own answer: below it is the face, above a cover, between it does not count
JAW = 0.5  # weight of skin along the jaw, where the network learns that the face's edge is no cover
ABOVE_BROWS = -0.35  # interocular distances below the eyes' line: there the network labels by itself
TRUST = 0.7  # weight of a label of the network's own
TURNED = 0.45  # of the heads are turned to a side, where the far half is narrow and the nose hides a part of it
LONGEST = 1.0  # that gradients may be together


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a run; saved beside its weights."""

    faces: str
    out: str
    start: str | None = None  # folder of weights of this network to start from; they label the photos at once
    minutes: float = 20.0
    first_share: float = 0.43  # of the time before the network labels the photos itself
    batch: int = 8
    rate: float = 2e-3
    warm_up: int = 100
    buffer: int = 4000  # examples in memory, the oldest replaced as new ones are drawn
    ready: int = 200  # examples to wait for before the first step
    workers: int = 1
    threads: int = 1
    save_every: float = 120.0  # seconds
    check_count: int = 16  # held-out examples of each kind of cover
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Example:
    """One example, all (SIZE, SIZE, ...) uint8.

    pixels: RGB; face: the face's mask, 0..255; label: how much is covered, 0..255; weight: how much each pixel counts,
    0..255 for 0..MOST_WEIGHT.
    """

    pixels: UInt8Array
    face: UInt8Array
    label: UInt8Array
    weight: UInt8Array


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
    cache = work / "people.npz"
    learners, held = split(load(Path(settings.faces), cache))
    say(f"{len(learners)} photos to train on, {len(held)} held out")
    checks = held_out_examples(held, settings.check_count, settings.seed)

    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.set_random_seed(settings.seed)
        feeds = {
            name: tf.compat.v1.placeholder(tf.uint8, (None, SIZE, SIZE, channels), name)
            for name, channels in (("pixels", 3), ("face", 1), ("label", 1), ("weight", 1))
        }
        gain = tf.compat.v1.placeholder(tf.float32, (None, 1, 1, 3), "gain")
        values = {name: tf.cast(feed, tf.float32) / 255 for name, feed in feeds.items()}
        logits = unet(tf.minimum(values["pixels"] * gain, 1.0) * 255, values["face"])
        answer = tf.sigmoid(logits)
        loss = weighted_entropy(logits, values["label"], values["weight"])
        learning = small_network.learn(loss, LONGEST)
    with tf.compat.v1.Session(graph=graph, config=small_network.configuration(settings.threads)) as session:
        session.run(learning.start)
        progress = Progress()
        if resume and (found := restore_state(session, learning.saver, work)):
            progress = found
            say(f"going on from step {progress.step}")
        elif settings.start:
            take_over(
                session,
                learning.weights,
                learning.averages,
                Path(settings.start),
                network="this network",
                instead="leave --start out to train a new one.",
            )
        rules: dict[str, UInt8Array] = {}
        if not progress.relabelled:
            rules = by_rule(learners)
            _keep(work, rules)
        buffer: ExampleBuffer[Example] | None = None
        rng = np.random.default_rng([settings.seed, progress.step])
        clock = Clock(settings, progress)
        while (share := clock.share()) < 1.0:
            if (settings.start or share >= settings.first_share) and not progress.relabelled:
                weights = session.run(learning.weights if settings.start else learning.averages)
                _keep(work, by_network(weights, learners, rules))
                progress.relabelled = True
                if buffer is not None:
                    buffer.stop()
                buffer = None
                say("the network has labelled the photos")
            if buffer is None:
                given = [
                    (settings.faces, str(work), [settings.seed, progress.step, number])
                    for number in range(settings.workers)
                ]
                buffer = ExampleBuffer(_draw, given, settings.buffer, settings.ready)
            batch = _batch(buffer.pick(rng, settings.batch), rng)
            feed: dict[Any, Any] = {feeds[name]: values for name, values in batch.items()}
            feed[gain] = _random_gain(rng, settings.batch)
            feed[learning.rate] = clock.rate(share)
            value, _ = session.run([loss, learning.step], feed)
            clock.step(value)
            if line := clock.due_line(share, lambda mean: f"loss {mean:.4f}"):
                say(f"{line}  {buffer.drawn} examples")
            if clock.due_save():
                save_state(session, learning.saver, progress, work)
                export(session.run(learning.averages), settings, progress, out)
                say(_summary(validate(session, answer, feeds, gain, checks)))
        save_state(session, learning.saver, progress, work)
        if buffer is not None:
            buffer.stop()
        export(session.run(learning.averages), settings, progress, out)
    say("done")
    return out


def unet(pixels: Any, face: Any) -> Any:
    """The network: logits (N, S, S, 1) of occlusion, from RGB in 0..255 (N, S, S, 3) and the face's mask (N, S, S, 1).

    A U-Net (Ronneberger et al. 2015). Its first step only moves each FOLD x FOLD pixels into the channels, and its last
    one moves them back, so a line of one pixel can be told, at a sixteenth of the cost of layers at full size. Called
    again in a graph it shares its weights.
    """
    import tensorflow as tf

    with tf.compat.v1.variable_scope("occlusion", reuse=tf.compat.v1.AUTO_REUSE):
        seen = tf.nn.space_to_depth(tf.concat([pixels / 127.5 - 1.0, face], axis=3), FOLD)
        values, skipped = seen, []
        for level, channels in enumerate(CHANNELS):
            values = tf.nn.relu(convolution(values, channels, 1 if level == 0 else 2, f"encoder_{level}"))
            values = tf.nn.relu(values + convolution(values, channels, 1, f"encoder_{level}_b", gain=0.5))
            skipped.append(values)
        for level in range(len(CHANNELS) - 2, -1, -1):
            side = SIZE // FOLD >> level
            values = tf.compat.v1.image.resize_nearest_neighbor(values, (side, side))
            values = tf.concat([values, skipped[level]], axis=3)
            values = tf.nn.relu(convolution(values, CHANNELS[level], 1, f"decoder_{level}"))
        answer = convolution(tf.concat([values, seen], axis=3), FOLD**2, 1, "answer", gain=0.1)
        return tf.nn.depth_to_space(answer, FOLD)


def weighted_entropy(logits: Any, label: Any, weight: Any) -> Any:
    """Cross-entropy, each pixel by its weight (in 0..1, for 0..MOST_WEIGHT)."""
    import tensorflow as tf

    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logits)
    return tf.reduce_sum(weight * entropy) / (tf.reduce_sum(weight) + 1.0)


def _random_gain(rng: np.random.Generator, count: int) -> FloatArray:
    """Exposure and colour of the light, anew each time that an example is used."""
    exposure = np.exp(rng.normal(0, 0.18, (count, 1, 1, 1)))
    return np.asarray(exposure * np.exp(rng.normal(0, 0.06, (count, 1, 1, 3))), dtype=np.float32)


def export(weights: dict[str, Any], settings: Settings, progress: Progress, out: Path) -> None:
    """Save weights by their names as a checkpoint of the inference graph alone, with its `model.json`."""
    import tensorflow as tf

    def build() -> None:
        pixels = tf.compat.v1.placeholder(tf.float32, (None, SIZE, SIZE, 3), "chips")
        face = tf.compat.v1.placeholder(tf.float32, (None, SIZE, SIZE, 1), "face")
        tf.sigmoid(unet(pixels, face), name="probability")

    about = asdict(settings)
    about["faces"], about["out"] = Path(settings.faces).name, Path(settings.out).name
    signature = Signature(
        name="beautygan-cli occlusion",
        source="chips:0",
        reference="face:0",
        made_up="probability:0",
        removed="probability:0",
        size=SIZE,
        padding=PADDING,
        low=0.0,
        high=255.0,
        about={"settings": about, "step": progress.step, "minutes": round(progress.seconds / 60, 1)},
    )
    small_network.export(build, weights, signature, out)


# ---------------------------------------------------------------------------------------------------------------------
# What the photos show by themselves: a label and how much it counts, for each pixel of a photo's chip


def by_rule(people: Sequence[Person]) -> dict[str, UInt8Array]:
    """A first guess for each photo by its name: (H, W, 2) uint8, label and weight, both 0..255."""
    return {person.name: _rule(person) for person in people}


def _rule(person: Person) -> UInt8Array:
    lab = rgb_to_lab(person.chip)
    shape = lab.shape[:2]
    points = person.landmarks
    frame = occluders.FaceFrame.of(points, shape[0])
    skin_probability = masks.skin_probability(points, lab)
    face = drawing.fill(shape, masks.face_outline(points))
    core = drawing.fill(
        shape, drawing.smooth_curve(points[30] + 0.84 * (masks.face_outline(points, 0.4) - points[30]), closed=True)
    )
    features = masks.around_eyes_mask(points, shape) + masks.openings_mask(points, shape) + (frame.y > 0.3)
    studio = person.folder in STUDIO
    weight = np.zeros(shape, dtype=np.float32)
    # Lids, brows, lips and beards differ from skin by nature. Before them a studio portrait has nothing, an everyday
    # one has glasses in one of four: there the label counts for little.
    inside = core > 0.5
    weight[inside & ((features > 0.5) | (skin_probability > 0.3))] = 1.0 if studio else 0.15
    weight[inside & (skin_probability > 0.7)] = 1.0 if studio else 0.45
    label = np.zeros(shape, dtype=np.float32)
    rim = (face > 0.5) & ~inside & (frame.y < 0.2)
    hair = (rim | (face < 0.5)) & (skin_probability < 0.03)
    label[hair] = 1.0
    weight[hair] = 0.6
    weight[rim & (skin_probability > 0.85)] = 0.25  # pale hair has the hue of skin
    weight[(face < 0.5) & (skin_probability > 0.85)] = 0.6  # neck and ears
    jaw = (face > 0.5) & ~inside & (frame.y >= 0.2)
    weight[jaw] = 0.4 if studio else 0.1
    weight[jaw & (skin_probability > 0.3)] = JAW
    return _packed(label, weight)


def by_network(
    weights: dict[str, Any], people: Sequence[Person], rules: dict[str, UInt8Array]
) -> dict[str, UInt8Array]:
    """What the network says of each photo by its name, the mean over the picture and its mirror image.

    It is asked above the brows alone, where real hair is that no rule of thumb can tell from a forehead. Further down
    it would teach itself its own mistakes (the shade beside a nose), so there `rules`, what `by_rule` gave, hold on.
    """
    import cv2
    import tensorflow as tf

    result = {}
    with tf.Graph().as_default():
        pixels = tf.compat.v1.placeholder(tf.float32, (None, SIZE, SIZE, 3))
        face = tf.compat.v1.placeholder(tf.float32, (None, SIZE, SIZE, 1))
        answer = tf.sigmoid(unet(pixels, face))
        with tf.compat.v1.Session() as session:
            for variable in tf.compat.v1.trainable_variables():
                variable.load(weights[variable.op.name], session)
            for person in people:
                matrix = alignment.place(person.landmarks, SIZE, PADDING).matrix
                chip = _warped(person.chip, matrix, SIZE).astype(np.float32)
                mask = masks.face_mask(_moved(person.landmarks, matrix), (SIZE, SIZE))
                both = np.stack([chip, chip[:, ::-1]]), np.stack([mask, mask[:, ::-1]])[..., None]
                said = session.run(answer, {pixels: both[0], face: both[1]})[..., 0]
                mean = (said[0] + said[1][:, ::-1]) / 2
                back = cv2.invertAffineTransform(matrix)
                side = len(person.chip)
                full = cv2.warpAffine(mean, back, (side, side), flags=cv2.INTER_LINEAR, borderValue=0.5)
                rule = rules[person.name].astype(np.float32) / 255
                above = occluders.FaceFrame.of(person.landmarks, side).y < ABOVE_BROWS
                studio_core = (person.folder in STUDIO) & (rule[..., 1] > 0.99)
                asked = above & ~studio_core
                known = (full < SURE[0]) | (full > SURE[1])
                label = np.where(asked, full > 0.5, rule[..., 0])
                sure = np.where(asked, known * np.float32(TRUST), rule[..., 1])
                result[person.name] = _packed(np.asarray(label, np.float32), np.asarray(sure, np.float32))
    return result


def _keep(work: Path, natural: dict[str, UInt8Array]) -> None:
    arrays: dict[str, Any] = dict(natural)
    np.savez(work / "natural.npz", **arrays)


def _packed(label: FloatArray, weight: FloatArray) -> UInt8Array:
    return np.round(np.dstack([label, weight]) * 255).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# Examples


def make_example(
    person: Person, natural: UInt8Array, textures: occluders.Textures, rng: np.random.Generator, kind: str | None = None
) -> Example:
    """A photo turned, made up, covered and lit at random. kind: of `occluders.KINDS`, "" for no cover, None for any."""
    import cv2

    matrix = np.vstack([alignment.place(person.landmarks, CANVAS, PADDING).matrix, [0, 0, 1]]).astype(np.float64)
    angle, scale = np.radians(rng.normal(0, 5)), np.exp(rng.normal(0, 0.06))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, CANVAS / 2)
    bend = np.eye(3)
    bend[:2, :2] = turn @ np.array([[np.exp(rng.normal(0, 0.04)), rng.normal(0, 0.03)], [0, 1]])
    bend[:2, 2] = middle - bend[:2, :2] @ middle + rng.normal(0, 0.02 * CANVAS, 2)
    matrix = (bend @ matrix)[:2].astype(np.float32)
    pixels = _warped(person.chip, matrix, CANVAS).astype(np.float32)
    label, weight = cv2.split(_warped(natural, matrix, CANVAS).astype(np.float32) / 255)
    marks, exact = _moved(person.landmarks, matrix), _moved(person.exact, matrix)
    if rng.random() < TURNED:
        yaw = float(np.clip(rng.normal(0, 17), -MOST_YAW, MOST_YAW))
        seen, found = turned(np.dstack([pixels, label, weight]), np.concatenate([marks, exact]), yaw, 0.0)
        # Where the picture folds, no point can be told.
        if np.abs(found[:68] - turned_points(marks, yaw, 0.0)).max() < 0.05 * masks.interocular_distance(marks):
            pixels, label, weight = np.ascontiguousarray(seen[..., :3]), seen[..., 3], seen[..., 4]
            marks, exact = found[:68], found[68:]

    if rng.random() < 0.4:
        pixels = makeup.render(pixels, exact, makeup.random_style(rng))
    if rng.random() < 0.15:
        pixels = disturbances.eye_paint(pixels, exact, rng)
    if rng.random() < 0.25:
        pixels = disturbances.face_paint(pixels, exact, rng)
    if rng.random() < 0.3:
        pixels = disturbances.shine(pixels, marks, rng)
    if rng.random() < 0.45:
        pixels = disturbances.shaded(pixels, marks, rng)
    kinds: list[str | None] = [kind] if kind is not None else [None] * int(rng.choice([0, 1, 2], p=[0.22, 0.56, 0.22]))
    hides = np.zeros((CANVAS, CANVAS), dtype=np.float32)
    for one in kinds:
        if one != "":
            pixels, hidden = occluders.laid_over(
                pixels, occluders.random_cover(marks, CANVAS, textures, rng, one or "")
            )
            hides = np.maximum(hides, hidden)
            label = 1 - (1 - label) * (1 - hidden)
            weight = np.maximum(weight, smoothstep(0.02, 0.3, hidden))
    pixels = disturbances.lit(pixels, rng)

    pixels, label, weight, hides = (
        cv2.resize(values, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for values in (pixels, label, weight, hides)
    )
    pixels = disturbances.camera(pixels, rng)
    marks = ((marks + 0.5) * (SIZE / CANVAS) - 0.5).astype(np.float32)
    marks = marks + rng.normal(0, 0.012 * masks.interocular_distance(marks), marks.shape).astype(np.float32)
    face = masks.face_mask(marks, (SIZE, SIZE))
    share = float((face * hides).sum() / face.sum())
    small = min(SMALL_MOST, SMALL_COVER / max(share, 1e-3)) - 1 if share < SMALL_COVER else 0.0
    lids = np.maximum(masks.around_eyes_mask(marks, (SIZE, SIZE)), masks.openings_mask(marks, (SIZE, SIZE)))
    counts = OUTSIDE_WEIGHT + face * (
        1 - OUTSIDE_WEIGHT + LID_WEIGHT * np.maximum(lids, masks.lips_mask(marks, (SIZE, SIZE), grow=0.03))
    )
    counts = counts * (1 + small * smoothstep(0.02, 0.3, hides))
    return Example(
        np.clip(np.round(pixels), 0, 255).astype(np.uint8),
        np.round(face * 255).astype(np.uint8),
        np.round(np.clip(label, 0, 1) * 255).astype(np.uint8),
        np.round(np.clip(weight * counts / MOST_WEIGHT, 0, 1) * 255).astype(np.uint8),
    )


def _warped(values: NDArray[Any], matrix: NDArray[Any], size: int) -> NDArray[Any]:
    import cv2

    # Averaged before it is reduced: OpenCV's warp looks at four pixels alone.
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2].astype(np.float64)))))
    if scale < 0.6:
        half = cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        doubled = matrix.astype(np.float64).copy()
        doubled[:, 2] += doubled[:, :2] @ np.array([0.5, 0.5])
        doubled[:, :2] *= 2
        values, matrix = half, doubled.astype(np.float32)
    return np.asarray(
        cv2.warpAffine(values, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _moved(points: NDArray[Any], matrix: NDArray[Any]) -> FloatArray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)


def _batch(chosen: Sequence[Example], rng: np.random.Generator) -> dict[str, UInt8Array]:
    """What is fed for examples, half of them mirrored."""
    flipped = rng.random(len(chosen)) < 0.5
    return {
        name: np.stack(
            [
                (values[:, ::-1] if flip else values).reshape(SIZE, SIZE, -1)
                for values, flip in zip((getattr(example, name) for example in chosen), flipped, strict=True)
            ]
        )
        for name in ("pixels", "face", "label", "weight")
    }


def _draw(examples: Any, folder: str, work: str, seed: list[int]) -> None:
    """What a worker does: draw examples until it is stopped."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    learners, _ = split(load(Path(folder), Path(work) / "people.npz"))
    with np.load(Path(work) / "natural.npz") as stored:
        natural = {person.name: stored[person.name] for person in learners}
    textures = occluders.textures_of([learners[int(index)] for index in rng.permutation(len(learners))])
    studio = [person for person in learners if person.folder in STUDIO] or learners
    while True:
        # Half of the faces are studio ones, of which more is certain.
        several = studio if rng.random() < 0.45 else learners
        person = several[int(rng.integers(len(several)))]
        examples.put(make_example(person, natural[person.name], textures, rng))


# ---------------------------------------------------------------------------------------------------------------------
# Held-out people


def held_out_examples(held: Sequence[Person], count: int, seed: int) -> dict[str, list[Example]]:
    """By kind of cover ("" for none) so many examples of people not trained on, with covers cut from them as well."""
    rng = np.random.default_rng([seed, 77])
    textures = occluders.textures_of(held)
    natural = by_rule(held)
    result = {}
    for kind in ("", *occluders.KINDS):
        people = [held[int(index)] for index in rng.integers(0, len(held), count)]
        result[kind] = [make_example(person, natural[person.name], textures, rng, kind) for person in people]
    return result


def validate(
    session: Any, answer: Any, feeds: dict[str, Any], gain: Any, checks: dict[str, list[Example]]
) -> dict[str, float]:
    """By kind of cover the intersection over union within the face; for "" the mean that is called covered."""
    found = {}
    for kind, examples in checks.items():
        pixels, face, label, weight = (
            np.stack([getattr(example, name).reshape(SIZE, SIZE, -1) for example in examples])
            for name in ("pixels", "face", "label", "weight")
        )
        ones = np.ones((len(pixels), 1, 1, 3), np.float32)
        said = session.run(answer, {feeds["pixels"]: pixels, feeds["face"]: face, gain: ones})
        found[kind] = (
            intersection_over_union(said, label, weight) if kind else float((said * weight).sum() / weight.sum())
        )
    return found


def intersection_over_union(said: NDArray[Any], label: NDArray[Any], weight: NDArray[Any]) -> float:
    """Of soft masks: the sum of the lesser over the sum of the greater, where `weight` is. said 0..1, label 0..255."""
    known = weight > 6  # inside the face, and labelled
    truth = label[known] / 255
    given = said[known]
    return float(np.minimum(truth, given).sum() / max(float(np.maximum(truth, given).sum()), 1e-6))


def _summary(found: dict[str, float]) -> str:
    parts = [f"{kind} {value:.2f}" for kind, value in found.items() if kind]
    return f"held out: false alarm {found['']:.4f}; IoU " + ", ".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; 0 when done."""
    parser = small_network.command_line(
        "occlusion", "Train the network that sees what lies before a face, from portraits without labels.", "20m"
    )
    parser.add_argument("--start", metavar="DIR", help="folder of weights that this command trained before, to go on")
    parser.add_argument("--rate", type=float, default=Settings.rate, help="highest rate of learning (default: 0.002)")
    options = parser.parse_args(arguments)
    settings = Settings(
        options.faces,
        options.out,
        start=options.start,
        rate=options.rate,
        minutes=options.time,
        workers=options.workers,
        threads=options.threads,
        seed=options.seed,
    )
    train(settings, resume=options.resume, say=lambda line: print(line, file=sys.stderr, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
