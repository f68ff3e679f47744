"""The networks of three other makeup transfer methods beside ours: parameters, time and memory.

    python benchmarks/peers.py [--runs 5]

PSGAN (Jiang et al., CVPR 2020, arXiv 1909.06956), EleGANt (Yang et al., ECCV 2022, arXiv 2207.09840) and CSD-MT (Sun
et al., CVPR 2024, arXiv 2405.17240) are rebuilt here from how they are described, with random weights: what they cost
doesn't depend on what they learnt, and nothing is said of how their results look. All run in TensorFlow, as ours does,
so that networks are compared and not frameworks; theirs are published for PyTorch, where their times are others. Their
inputs have the published size, 256 x 256 pixels, which is ours as well. One pair goes through at a time. Each network
has a process of its own, which loads a frozen graph into a session with our settings and takes turns with the others.

Only the network is timed. All three need a parsing of both faces, too, PSGAN and EleGANt landmarks besides, and
EleGANt, as rebuilt here, where each place of the reference's face lies on the source's: these are inputs made at random
here, and cost nothing. Ours takes the two photos and nothing else; what comes before and after it uses landmarks.

The descriptions leave much open. Channels and blocks follow PSGAN's where nothing is known, and everything else is the
cheaper of the plausible ways. Only PSGAN's parameters can be checked against a number; of the other two, the order of
magnitude is what to take away.

- PSGAN: two encoders, makeup matrices of one channel, attention among all pixels of the same region over visual
  features (weighted by 0.01) and places relative to 68 landmarks, a decoder. Left open and chosen: a 7 x 7
  convolution to 64 channels, two of 4 x 4 with stride 2 to 128 and 256, three residual blocks, instance normalisation
  throughout; for the source three further blocks and the mirror image of the encoder. These are the layers of
  StarGAN's generator, and add up to the 12.62 million parameters that BeautyREC (Yan et al., arXiv 2212.05855) states
  for PSGAN. One attention serves all regions.
- EleGANt: a pyramid of feature maps, attention on the small ones, attention within shifted overlapping windows on the
  large ones, a decoder that applies both. Left open and chosen: maps at a half and a quarter of the size, one encoder
  for both photos, windows of an eighth of the map's side in four partitions half a window apart, the reference's
  large map aligned beforehand, scale and shift by a 1 x 1 convolution of the makeup's features each, three blocks
  after the small ones and none after the large ones, the source's large map added in the decoder.
- CSD-MT: high frequencies of the source for its content, the reference for style, a map of which places correspond, a
  decoder that normalises as SPADE does. Left open and chosen: PSGAN's encoder for content and the same without blocks
  for style, frequencies split by means of 4 x 4 pixels, correspondence of content features and parsing at a quarter
  of the size, one residual block of two SPADE layers at a quarter and at a half of the size and one SPADE layer at
  the whole, with as many hidden channels as they normalise, worked out at a quarter of the size.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 256
LANDMARKS = 68
REGIONS = 3  # lips, eyes and skin
PARSED = 19  # classes of a face parsing
WIDTH = 64  # channels at the full size
BLOCKS = 3
WINDOWS = 8  # along a side of a map, in EleGANt
VISUAL_WEIGHT = 0.01  # of visual features beside places, in PSGAN
OURS = "bundled model"
PRECISIONS = ("fp32", "bf16")
PARAMETER = "parameter"  # how constants are named that a training would have learnt


# Layers


class Layers:
    """Layers whose weights are random constants of the graph, since nothing here is ever trained."""

    def __init__(self) -> None:
        import tensorflow

        self.tf = tensorflow
        self.random = np.random.default_rng(0)
        self.known: Iterator[Any] | None = None  # constants to take once more
        self.made: list[Any] = []

    def learnt(self, values: np.ndarray) -> Any:
        """A constant that counts as a parameter, or the one that was made at the same place before (`shared`)."""
        if self.known is not None:
            return next(self.known)
        self.made.append(self.tf.constant(values.astype(np.float32), name=PARAMETER))
        return self.made[-1]

    def shared(self, part: Callable[..., Any], *inputs: tuple[Any, ...]) -> list[Any]:
        """A part of the network on several inputs, with the same weights.

        They go through it one after the other: side by side, instance normalisation would not have its faster kernel.
        """
        before = len(self.made)
        results = [part(*inputs[0])]
        for other in inputs[1:]:
            self.known = iter(self.made[before:])
            results.append(part(*other))
        self.known = None
        return results

    def weights(self, *shape: int) -> Any:
        """Convolution weights that keep values at about their size."""
        scale = math.sqrt(2 / math.prod(shape[:-1]))
        return self.learnt(self.random.normal(0, scale, shape))

    def vector(self, channels: int, value: float) -> Any:
        """A number for each channel, not folded away though all are alike."""
        return self.learnt(value + self.random.normal(0, 0.01, channels))

    def convolution(self, values: Any, channels: int, kernel: int, stride: int = 1, bias: bool = False) -> Any:
        """Padded so that only the stride makes a map smaller."""
        weights = self.weights(kernel, kernel, values.shape[-1], channels)
        values = self.tf.nn.conv2d(values, weights, stride, "SAME")
        return self.tf.nn.bias_add(values, self.vector(channels, 0)) if bias else values

    def normalised(self, values: Any, scale: Any = None, offset: Any = None) -> Any:
        """Instance normalisation, which for one photo is batch normalisation and has a faster kernel as that."""
        channels = values.shape[-1]
        scale = self.vector(channels, 1) if scale is None else scale
        offset = self.vector(channels, 0) if offset is None else offset
        return self.tf.compat.v1.nn.fused_batch_norm(values, scale, offset, epsilon=1e-5)[0]

    def step(self, values: Any, channels: int, kernel: int, stride: int = 1) -> Any:
        """A convolution, normalised and rectified."""
        return self.tf.nn.relu(self.normalised(self.convolution(values, channels, kernel, stride)))

    def doubled(self, values: Any, channels: int) -> Any:
        """A transposed convolution to twice the size, normalised and rectified."""
        count, height, width, before = values.shape
        shape, weights = (count, 2 * height, 2 * width, channels), self.weights(4, 4, channels, before)
        return self.tf.nn.relu(self.normalised(self.tf.nn.conv2d_transpose(values, weights, shape, 2, "SAME")))

    def blocks(self, values: Any, count: int = BLOCKS) -> Any:
        """Residual blocks of two convolutions."""
        for _ in range(count):
            inner = self.step(values, values.shape[-1], 3)
            values = values + self.normalised(self.convolution(inner, values.shape[-1], 3))
        return values

    def encoded(self, image: Any, blocks: int = BLOCKS) -> tuple[Any, Any]:
        """Features at a half and a quarter of the image's size."""
        half = self.step(self.step(image, WIDTH, 7), 2 * WIDTH, 4, 2)
        return half, self.blocks(self.step(half, 4 * WIDTH, 4, 2), blocks)

    def image(self, values: Any) -> Any:
        """RGB in [-1, 1] of features at the full size."""
        return self.tf.tanh(self.convolution(values, 3, 7))

    def places(self, landmarks: Any, side: int, size: int) -> Any:
        """Unit vectors (side * side, 136) of where a map's pixels lie, seen from the landmarks of the photo."""
        middles = (np.arange(side, dtype=np.float32) + 0.5) * (size / side)
        grid = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 1, 2)
        return self.tf.math.l2_normalize(self.tf.reshape(grid - landmarks, (side * side, 2 * LANDMARKS)), axis=1)

    def enlarged(self, values: Any, times: int) -> Any:
        """Each pixel several times along both sides."""
        if times == 1:
            return values
        side = values.shape[1] * times
        return self.tf.compat.v1.image.resize_nearest_neighbor(values, (side, side))


def fed(name: str, *shape: int) -> Any:
    """An input of the graph; its name says what goes in (`example`)."""
    import tensorflow as tf

    return tf.compat.v1.placeholder(tf.float32, shape, name=name)


def example(name: str, shape: Sequence[int], size: int, random: np.random.Generator) -> np.ndarray:
    """Random values of the kind that an input's name asks for."""
    if name.startswith("landmarks"):  # (1, 68, 2), pixels
        return random.uniform(0, size, shape).astype(np.float32)
    if name.startswith("regions"):  # (1, H, W, classes), of which each pixel has one
        return np.eye(shape[-1], dtype=np.float32)[random.integers(0, shape[-1], tuple(shape[:-1]))]
    if name.startswith("aligned"):  # (1, H, W, 2), pixels of the map: where each comes from
        return random.uniform(0, shape[1] - 1, shape).astype(np.float32)
    return random.uniform(-1, 1, shape).astype(np.float32)  # (1, H, W, 3), RGB


# Networks: each builds its graph into the default one, for images of a size, and returns its result


def psgan(size: int) -> Any:
    """PSGAN's: makeup matrices of the reference, moved to where they belong, scale and shift the source's features."""
    layers = Layers()
    tf, side = layers.tf, size // 4
    source, reference = (fed(name, 1, size, size, 3) for name in ("source", "reference"))
    places = [layers.places(fed(f"landmarks_{name}", 1, LANDMARKS, 2), side, size) for name in ("source", "reference")]
    regions = [
        tf.reshape(fed(f"regions_{name}", 1, side, side, REGIONS), (-1, REGIONS)) for name in ("source", "reference")
    ]

    makeup, bare = layers.encoded(reference)[1], layers.encoded(source)[1]
    matrices = tf.reshape(layers.convolution(makeup, 2, 1, bias=True), (-1, 2))  # scale and shift
    seen = [
        tf.concat([VISUAL_WEIGHT * tf.reshape(features, (side * side, -1)), where], axis=1)
        for features, where in zip((bare, makeup), places, strict=True)
    ]
    likeness = tf.matmul(seen[0], seen[1], transpose_b=True)
    same_region = tf.matmul(regions[0], regions[1], transpose_b=True)
    attention = tf.nn.softmax(likeness - 1e4 * (1 - same_region))
    scale, shift = tf.split(tf.reshape(tf.matmul(attention, matrices), (1, side, side, 2)), 2, axis=3)
    values = layers.blocks(scale * bare + shift)
    return layers.image(layers.doubled(layers.doubled(values, 2 * WIDTH), WIDTH))


def elegant(size: int) -> Any:
    """EleGANt's: makeup features by attention, among all pixels of small maps and within windows of large ones."""
    layers = Layers()
    tf, half, side = layers.tf, size // 2, size // 4
    source, reference = (fed(name, 1, size, size, 3) for name in ("source", "reference"))
    landmarks = [fed(f"landmarks_{name}", 1, LANDMARKS, 2) for name in ("source", "reference")]
    regions = [fed(f"regions_{name}", 1, side, side, REGIONS) for name in ("source", "reference")]
    aligned = fed("aligned", 1, half, half, 2)

    encoded = layers.shared(layers.encoded, (source,), (reference,))
    (large_source, small_source), (large_reference, small_reference) = encoded

    def projected(features: Any, marks: Any) -> Any:
        """Queries or keys, as many channels as the features have."""
        where = tf.reshape(layers.places(marks, features.shape[1], size), (1, *features.shape[1:3], -1))
        return layers.convolution(tf.concat([features, where], axis=3), features.shape[-1], 1)

    def flat(values: Any) -> Any:
        return tf.reshape(values, (-1, values.shape[-1]))

    queries, keys = projected(small_source, landmarks[0]), projected(small_reference, landmarks[1])
    likeness = tf.matmul(flat(queries), flat(keys), transpose_b=True) / math.sqrt(queries.shape[-1])
    same_region = tf.matmul(flat(regions[0]), flat(regions[1]), transpose_b=True)
    attention = tf.nn.softmax(likeness - 1e4 * (1 - same_region))
    small_makeup = tf.reshape(
        tf.matmul(attention, flat(layers.convolution(small_reference, 4 * WIDTH, 1))), small_source.shape
    )

    keys = sampled(projected(large_reference, landmarks[1]), aligned)
    makeup = sampled(layers.convolution(large_reference, 2 * WIDTH, 1), aligned)
    large_makeup = in_windows(projected(large_source, landmarks[0]), keys, makeup)

    def made_up(values: Any, makeup: Any) -> Any:
        scale, shift = (layers.convolution(makeup, values.shape[-1], 1, bias=True) for _ in range(2))
        return scale * values + shift

    values = layers.doubled(layers.blocks(made_up(small_source, small_makeup)), 2 * WIDTH)
    values = layers.doubled(made_up(values + large_source, large_makeup), WIDTH)
    return layers.image(values)


def in_windows(queries: Any, keys: Any, values: Any) -> Any:
    """Attention within windows of four partitions, each shifted by half a window, whose results are blended.

    A pixel's weight falls from the middle of its window to nothing at the window's edge; its four add up to one. At the
    map's edges windows go on at the opposite side, which costs what a padding would, or less.
    """
    import tensorflow as tf

    _, side, _, channels = queries.shape
    window = side // WINDOWS
    near = 1 - np.abs((np.arange(window) + 0.5) / window * 2 - 1)
    weight = np.tile(np.outer(near, near)[..., None], (WINDOWS, WINDOWS, 1)).astype(np.float32)

    def cut(maps: Any) -> Any:
        maps = tf.reshape(maps, (WINDOWS, window, WINDOWS, window, -1))
        return tf.reshape(tf.transpose(maps, (0, 2, 1, 3, 4)), (WINDOWS**2, window**2, -1))

    blended = 0
    for shift in ((down, right) for down in (0, window // 2) for right in (0, window // 2)):
        query, key, value = (
            cut(tf.roll(maps, [-step for step in shift], (1, 2)) if any(shift) else maps)
            for maps in (queries, keys, values)
        )
        attention = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / math.sqrt(channels))
        found = tf.reshape(tf.matmul(attention, value), (WINDOWS, WINDOWS, window, window, -1))
        found = weight * tf.reshape(tf.transpose(found, (0, 2, 1, 3, 4)), (1, side, side, -1))
        blended += tf.roll(found, shift, (1, 2)) if any(shift) else found
    return blended


def sampled(values: Any, places: Any) -> Any:
    """A map's values, interpolated, at places (1, H, W, 2), row and column, in its pixels."""
    import tensorflow as tf

    first = tf.floor(places)
    down, right = tf.split(places - first, 2, axis=3)
    first = tf.cast(first, tf.int32)
    found = 0
    for step, weight in (
        ((0, 0), (1 - down) * (1 - right)),
        ((0, 1), (1 - down) * right),
        ((1, 0), down * (1 - right)),
        ((1, 1), down * right),
    ):
        where = tf.minimum(first + np.array(step, np.int32), values.shape[1] - 1)
        found += weight * tf.gather_nd(values[0], where)
    return found


def csd_mt(size: int) -> Any:
    """CSD-MT's: the reference's style, put where it corresponds to the source's content, normalises what is drawn."""
    layers = Layers()
    tf, side = layers.tf, size // 4
    source, reference = (fed(name, 1, size, size, 3) for name in ("source", "reference"))
    parsed = [fed(f"regions_{name}", 1, side, side, PARSED) for name in ("source", "reference")]

    def content(image: Any) -> Any:
        coarse = layers.enlarged(tf.nn.avg_pool2d(image, 4, 4, "VALID"), 4)
        return layers.encoded(image - coarse)[1]

    drawn, other = layers.shared(content, (source,), (reference,))
    style = layers.encoded(reference, blocks=0)[1]

    features = [
        tf.math.l2_normalize(tf.reshape(tf.concat(maps, axis=3), (side * side, -1)), axis=1)
        for maps in zip((drawn, other), parsed, strict=True)
    ]
    corresponding = tf.nn.softmax(tf.matmul(100 * features[0], features[1], transpose_b=True))
    moved = tf.reshape(tf.matmul(corresponding, tf.reshape(style, (side * side, -1))), style.shape)

    def spade(values: Any, times: int) -> Any:
        channels = values.shape[-1]
        hidden = layers.enlarged(tf.nn.relu(layers.convolution(moved, channels, 3, bias=True)), times)
        scale, shift = (layers.convolution(hidden, channels, 3, bias=True) for _ in range(2))
        plain = layers.normalised(values, tf.ones(channels), tf.zeros(channels))  # nothing learnt but scale and shift
        return plain * (1 + scale) + shift

    values = drawn
    for times, channels in ((1, 4 * WIDTH), (2, 2 * WIDTH)):
        inner = values
        for _ in range(2):
            inner = layers.convolution(tf.nn.leaky_relu(spade(inner, times)), channels, 3, bias=True)
        values = layers.enlarged(layers.convolution(values + inner, channels // 2, 1), 2)
    return layers.image(tf.nn.leaky_relu(spade(values, 4)))


PEERS: dict[str, Callable[[int], Any]] = {"PSGAN": psgan, "EleGANt": elegant, "CSD-MT": csd_mt}


def built(name: str, size: int = SIZE) -> Any:
    """A peer's graph, as a GraphDef whose output is called `result`."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.identity(PEERS[name](size), name="result")
    return graph.as_graph_def()


def parameters(graph_def: Any) -> int:
    """How many numbers of a peer's graph a training would have learnt."""
    return sum(
        math.prod(dimension.size for dimension in node.attr["value"].tensor.tensor_shape.dim)
        for node in graph_def.node
        if node.op == "Const" and node.name.startswith(PARAMETER)
    )


# Processes


def save(name: str, file: Path) -> None:
    """A peer's graph in a file: building it takes the whole of TensorFlow, whose memory is not the network's."""
    from beautygan_cli.model.tf_runtime import quiet_tensorflow

    quiet_tensorflow()
    file.write_bytes(built(name).SerializeToString())


def opened_peer(file: Path, precision: str, size: int = SIZE) -> tuple[Callable[[], Any], int]:
    """What runs a peer once, with our session's settings, and its parameters."""
    from beautygan_cli.model import network
    from beautygan_cli.model.tf_runtime import runtime

    tf = runtime()
    graph_def = tf.GraphDef.FromString(file.read_bytes())
    random = np.random.default_rng(0)
    names, inputs = [], []
    for node in graph_def.node:
        if node.op == "Placeholder":
            shape = [dimension.size for dimension in node.attr["shape"].shape.dim]
            names.append(f"{node.name}:0")
            inputs.append(example(node.name, shape, size, random))
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    session = tf.Session(graph=graph, config=network._configuration(precision, None))
    call = session._make_callable_from_options(tf.CallableOptions(fetch=["result:0"], feed=names))
    return lambda: call(*inputs), parameters(graph_def)


def opened_ours(precision: str) -> tuple[Callable[[], Any], int]:
    """The same of the bundled model."""
    from beautygan_cli import MakeupSession
    from beautygan_cli.model import checkpoint, graph, weights

    session = MakeupSession(precision=precision, batch_size=1)
    files, signature = checkpoint.find_checkpoint(checkpoint.bundled_model()), session.signature
    kept = graph.keep_needed(checkpoint.read_meta_graph(files.meta).nodes, signature.made_up, signature, files.meta)
    learnt = weights.find_variables(kept, checkpoint.open_reader(files), files)
    chip = np.random.default_rng(0).uniform(0, 255, (1, signature.size, signature.size, 3)).astype(np.float32)
    return lambda: session.transfer(chip, chip), sum(math.prod(variable.shape) for variable in learnt.values())


def serve(name: str, precision: str, file: str) -> None:
    """Run a network once for each line that comes in, and write a line of what it took."""
    run, learnt = opened_ours(precision) if name == OURS else opened_peer(Path(file), precision)
    run()  # the first has TensorFlow prepare the graph
    print(json.dumps(learnt), flush=True)
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        run()
        took = time.perf_counter() - began, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps([*took, peak / (1024 * 1024 if sys.platform == "darwin" else 1024)]), flush=True)


class Served:
    """A network in a process of its own, which waits between its runs."""

    def __init__(self, name: str, precision: str, file: Path) -> None:
        code = "import sys; sys.path.insert(0, sys.argv[1]); import peers; peers.serve(*sys.argv[2:])"
        arguments = [str(Path(__file__).parent), name, precision, str(file)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.parameters: int = self._answer()
        self.memory = 0.0  # megabytes at its largest, as of the last run

    def run(self) -> tuple[float, float]:
        """Once: seconds elapsed, and seconds of the processor."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        elapsed, processor, self.memory = self._answer()
        return elapsed, processor

    def close(self) -> None:
        """End the process."""
        self.process.communicate()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise subprocess.CalledProcessError(self.process.wait(), self.process.args)
        return json.loads(line)


@contextmanager
def served(place: Path) -> Iterator[dict[tuple[str, str], Served]]:
    """All networks by name and precision, ready to run; the peers' graphs are saved in the folder."""
    code = "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import peers;"
    code += " peers.save(sys.argv[2], Path(sys.argv[3]))"
    with ExitStack() as ending:
        networks = {}
        for name in (OURS, *PEERS):
            file = place / f"{name}.pb"
            if name in PEERS:
                subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), name, str(file)], check=True)
            for precision in PRECISIONS:
                networks[name, precision] = Served(name, precision, file)
                ending.callback(networks[name, precision].close)
        yield networks


def main() -> None:
    """Print the table."""
    import all as tables

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each network (default: 5)")
    options = parser.parse_args()
    print(f"Machine: {tables.machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="beautygan-benchmark-") as place:
        tables.other_networks(options, Path(place))


if __name__ == "__main__":
    main()
