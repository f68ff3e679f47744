"""A makeup model, opened: a checkpoint folder in, batches of made-up chips out.

A model is data. Of its meta-graph only the part that the asked output needs is kept; that part may hold arithmetic
and nothing else; its sizes are checked before anything of such a size is allocated; its variables are read by the
checkpoint reader and frozen into it. The rest of the meta-graph is never handed to TensorFlow.
"""

import dataclasses
import hashlib
import importlib.resources
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PureWindowsPath
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import ModelError
from beautygan_cli.model import fold_upsampling
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow as quiet_tensorflow
from beautygan_cli.model.tf_runtime import runtime
from beautygan_cli.model.value_range import to_network, to_pixels

PRECISIONS = ("auto", "fp32", "bf16")
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})  # /proc/cpuinfo's words for bfloat16 arithmetic
BUNDLED_BF16_ERROR = (0.1, 2.0)  # mean and largest difference from fp32 in grey levels of a chip, held by the tests

# Bounds on what a model may hold. The published one: a meta-graph of about 12,000 nodes, an index of 10 KB, a shard of
# 360 MB. One output of its generator takes some 450 nodes and 7.6 million numbers, and no tensor on the way holds more
# than 4.2 million numbers for one pair of chips. The meta-graph may be large: a loss network's weights can be in it.
MAX_STATE_BYTES = 1 << 20  # the file `checkpoint`, a few lines of text
MAX_META_BYTES = 1 << 30
MAX_INDEX_BYTES = 1 << 24
MAX_SHARD_BYTES = 1 << 33
MAX_SHARDS = 100
MAX_GRAPH_NODES = 500_000
MAX_KEPT_NODES = 20_000
MAX_CONSTANT_BYTES = 1 << 28  # all constants of the kept part together
MAX_VARIABLES = 5_000
MAX_VARIABLE_NUMBERS = 1 << 27  # all variables of the kept part together
MAX_TENSOR_NUMBERS = 1 << 26  # one tensor, for one pair of chips
MAX_ALL_TENSORS_NUMBERS = 1 << 31  # all tensors together, for one pair of chips; most live for a moment only
MAX_ATTRIBUTE = 1 << 16  # any whole number among an operation's settings
MAX_FIXED_BATCH = 256

# What the kept part of a meta-graph may hold: operations that compute their outputs from their inputs and do nothing
# else. None reads or writes a file, runs code, keeps state, draws random numbers or gives a tensor whose size depends
# on its input's values. Whatever is missing here is refused.
_ALLOWED_BY_KIND = {
    "variables": "VariableV2 Variable VarHandleOp ReadVariableOp",
    "inputs": "Placeholder PlaceholderWithDefault Const",
    "pass-through": "Identity IdentityN Snapshot StopGradient PreventGradient",
    "arithmetic": "Add AddV2 AddN Sub Mul Div RealDiv DivNoNan FloorDiv FloorMod Mod TruncateDiv TruncateMod Neg Abs"
    " Sign Square SquaredDifference Sqrt Rsqrt Reciprocal Inv Pow Exp Expm1 Log Log1p Sin Cos Erf Floor Ceil Round"
    " Rint Maximum Minimum ClipByValue BiasAdd BiasAddV1 MatMul BatchMatMul BatchMatMulV2 Cast",
    "convolution": "Conv2D Conv2DBackpropInput DepthwiseConv2dNative AvgPool MaxPool",
    "normalisation": "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 L2Loss LRN",
    "activation": "Relu Relu6 LeakyRelu Elu Selu Tanh Sigmoid Softplus Softsign Softmax LogSoftmax",
    "reduction": "Mean Sum Prod Max Min All Any ArgMax ArgMin",
    "comparison and choice": "Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalNot"
    " Select SelectV2",
    "resizing": "ResizeNearestNeighbor ResizeBilinear ResizeBicubic ResizeArea DepthToSpace SpaceToDepth"
    " SpaceToBatch SpaceToBatchND BatchToSpace BatchToSpaceND",
    "shape": "Shape ShapeN Size Rank StridedSlice Slice Split SplitV Pack Unpack Concat ConcatV2 Reshape"
    " Squeeze ExpandDims Transpose Pad PadV2 MirrorPad Tile Fill BroadcastTo Range Gather GatherV2 ZerosLike OnesLike"
    " ReverseV2",
}
ALLOWED_OPERATIONS = frozenset(name for names in _ALLOWED_BY_KIND.values() for name in names.split())
VARIABLE_OPERATIONS = frozenset({"VariableV2", "Variable", "VarHandleOp"})
PLACEHOLDER_OPERATIONS = frozenset({"Placeholder", "PlaceholderWithDefault"})
LEARNT_OPERATIONS = frozenset(
    ["Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BatchMatMul", "BatchMatMulV2"]
)


# ---------------------------------------------------------------------------------------------------------------------
# What the encoders give


@dataclass(frozen=True, eq=False)
class Features:
    """Chips as a model's encoder sees them, from `encode_sources` or `encode_references`.

    arrays: one float32 array for each tensor at which the graph is cut, the first axis of each counting the chips.
    """

    arrays: tuple[NDArray[np.float32], ...]

    def __len__(self) -> int:
        return len(self.arrays[0]) if self.arrays else 0

    def __getitem__(self, which: int | slice) -> "Features":
        """The features of one chip (a `Features` of length 1) or of a slice of them."""
        if isinstance(which, slice):
            return Features(tuple(array[which] for array in self.arrays))
        return self.take([which])

    def take(self, indices: Sequence[int]) -> "Features":
        """The features of these chips, in this order; an index may occur more than once."""
        return Features(tuple(array[list(indices)] for array in self.arrays))

    @staticmethod
    def joined(parts: Sequence["Features"]) -> "Features":
        """Several features, of the same side of the same model, one after the other. ValueError for none."""
        if len(parts) == 1:
            return parts[0]
        _check_alike(parts)
        return Features(tuple(np.concatenate(arrays) for arrays in zip(*(part.arrays for part in parts), strict=True)))

    @staticmethod
    def mixed(parts: Sequence[tuple["Features", float]]) -> "Features":
        """The weighted mean of features of the same side of the same model, chip by chip.

        parts: (features, weight) pairs, as many chips in each; the weights, none below 0, are scaled to a sum of 1. A
        part that has all of the weight is given back as it is, to the bit. ValueError for anything else.
        """
        weights = [weight for _, weight in parts]
        total = math.fsum(weights)
        if not parts or not math.isfinite(total) or min(weights) < 0 or total <= 0:
            raise ValueError(f"weights must be 0 or more, with one above 0, but are {weights}")
        _check_alike([features for features, _ in parts])
        if len({len(features) for features, _ in parts}) != 1:
            raise ValueError("features of unequal numbers of chips can't be mixed")
        counted = [(features, np.float32(weight / total)) for features, weight in parts if weight > 0]
        if len(counted) == 1:
            return counted[0][0]
        by_tensor = zip(*(features.arrays for features, _ in counted), strict=True)
        shares = [share for _, share in counted]
        return Features(
            tuple(
                np.asarray(sum(array * share for array, share in zip(arrays, shares, strict=True)), np.float32)
                for arrays in by_tensor
            )
        )


def _check_alike(parts: Sequence[Features]) -> None:
    if len({tuple(array.shape[1:] for array in part.arrays) for part in parts}) != 1:
        raise ValueError("features must be some of the same side of the same model")


# ---------------------------------------------------------------------------------------------------------------------
# The session


class MakeupSession:
    """An open model. A context manager; `close` it otherwise.

    `model`: the folder of a checkpoint (None: the bundled model). `batch_size`: pairs of chips per run, where the
    graph leaves it free. `precision`: "fp32"; "bf16" for bfloat16 convolutions, twice as fast on processors that have
    them; "auto" for bf16 where that is so and the model's error with it is known to be invisible, which it is of the
    bundled one (BUNDLED_BF16_ERROR). `threads`: threads within an operation (None: TensorFlow's choice, all cores).

    Raises ModelError when the folder holds no usable model, ValueError for an impossible option.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        batch_size: int = 8,
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, but is {batch_size}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, but is {precision!r}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, but is {threads}")
        self._batch_size = batch_size
        if precision == "auto":
            precision = "bf16" if model is None and native_bf16() else "fp32"
        self._precision = precision
        self._threads = threads
        self._runs = 0
        self._encoded = 0
        self._networks: dict[str, Network] = {}
        self._closed = False

        self._path = bundled_model() if model is None else Path(model)
        self._files = find_checkpoint(self._path)
        self._signature = Signature.load(self._path)
        self._check_digest()
        network = self._network(self._signature.made_up)
        self._signature = dataclasses.replace(self._signature, size=network.size)

    def transfer(self, sources: NDArray[Any], references: NDArray[Any]) -> NDArray[np.float32]:
        """Each source chip wearing the makeup of the reference chip at its side.

        `sources`, `references`: NHWC RGB, uint8 or floats in 0..255, as many of one as of the other, of the size
        that `signature` names. Returns float32 NHWC RGB in 0..255, not rounded. Raises ValueError for chips of
        another shape, ModelError when the network fails on them.
        """
        return self._run(self._signature.made_up, sources, references)

    def remove(self, made_up: NDArray[Any], bare: NDArray[Any]) -> NDArray[np.float32]:
        """Each made-up chip without its makeup, after the example of the bare chip at its side.

        Arrays and errors as in `transfer`. The network for it is loaded by the first call.
        """
        return self._run(self._signature.removed, sources=bare, references=made_up)

    @property
    def can_mix(self) -> bool:
        """Whether the graph can be cut behind encoders of its own for source and reference.

        Where it can't be (as when both chips are joined before the first convolution), `encode_sources`,
        `encode_references` and `decode` raise ModelError.
        """
        return self._network(self._signature.made_up).cut is not None

    def load_removal(self) -> None:
        """Load the network of `remove` now, not at its first call. ModelError as there."""
        self._network(self._signature.removed)

    def encode_sources(self, chips: NDArray[Any]) -> Features:
        """The source chips as the model sees them, for `decode`.

        `chips`: NHWC RGB, uint8 or floats in 0..255, as in `transfer`. Raises as `transfer`, and ModelError for a
        model that can't mix.
        """
        network, cut = self._cut_network()
        return self._encode(network, "sources", network.source, cut.sources, chips)

    def encode_references(self, chips: NDArray[Any]) -> Features:
        """The reference chips as the model sees them, for `decode`; as `encode_sources`."""
        network, cut = self._cut_network()
        return self._encode(network, "references", network.reference, cut.references, chips)

    def decode(self, sources: Features, references: Features) -> NDArray[np.float32]:
        """What `transfer` gives for the chips that were encoded: each source with the reference at its side.

        As many of one as of the other, or one of either, which then goes with each of the other. Returns float32 NHWC
        RGB in 0..255, not rounded. Raises ValueError for features of another model, otherwise as `transfer`.
        """
        network, cut = self._cut_network()
        _check_features("sources", sources, cut.sources)
        _check_features("references", references, cut.references)
        count = _pair_count(len(sources), len(references))
        results = np.empty((count, network.size, network.size, 3), np.float32)
        for part in self._parts(network, count):
            feeds = {
                **dict(zip(cut.sources, _each(sources, part, count).arrays, strict=True)),
                **dict(zip(cut.references, _each(references, part, count).arrays, strict=True)),
            }
            (values,) = self._run_once(network, [network.output], feeds)
            results[part] = to_pixels(values, self._signature)
        return results

    @property
    def signature(self) -> Signature:
        """The model's contract; its size is the graph's own where the graph has one."""
        return self._signature

    @property
    def precision(self) -> str:
        """What the network computes with: "fp32" or "bf16"."""
        return self._precision

    @property
    def path(self) -> Path:
        """The folder that the model was loaded from."""
        return self._path

    @property
    def runs(self) -> int:
        """How many times a network, or a part of one, has been run."""
        return self._runs

    @property
    def encoded(self) -> int:
        """How many chips have gone through an encoder, alone or in a run of the whole network."""
        return self._encoded

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the checkpoint's data shard (of several: one after the other), in hexadecimal."""
        digest = hashlib.sha256()
        try:
            for shard in self._files.shards:
                with shard.open("rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
        except OSError as error:
            raise ModelError(f"{shard} can't be read ({error.strerror}); check its permissions") from error
        return digest.hexdigest()

    def close(self) -> None:
        """Free the networks. The session can't be used afterwards; closing it again does nothing."""
        for network in self._networks.values():
            network.session.close()
        self._networks.clear()
        self._closed = True

    def __enter__(self) -> "MakeupSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_digest(self) -> None:
        expected = self._signature.sha256
        if expected is not None and self.digest != expected:
            raise ModelError(
                f"{self._files.shards[0]} is not the file that model.json names (its SHA-256 begins with"
                f" {self.digest[:12]}, not {expected[:12]}); copy the model's folder again"
            )

    def _network(self, output: str) -> "Network":
        if self._closed:
            raise RuntimeError("this MakeupSession is closed")
        if output not in self._networks:
            self._networks[output] = load_network(
                self._files, self._signature, output, precision=self._precision, threads=self._threads
            )
        return self._networks[output]

    def _run(self, output: str, sources: NDArray[Any], references: NDArray[Any]) -> NDArray[np.float32]:
        network = self._network(output)
        _check_chips("sources", sources, network.size)
        _check_chips("references", references, network.size)
        if len(sources) != len(references):
            raise ValueError(f"{len(sources)} sources can't be paired with {len(references)} references")
        results = np.empty((len(sources), network.size, network.size, 3), np.float32)
        for part in self._parts(network, len(sources)):
            feeds = {
                network.source: to_network(sources[part], self._signature),
                network.reference: to_network(references[part], self._signature),
            }
            (values,) = self._run_once(network, [network.output], feeds)
            self._encoded += 2 * len(values)
            results[part] = to_pixels(values, self._signature)
        return results

    def _cut_network(self) -> tuple["Network", "Cut"]:
        network = self._network(self._signature.made_up)
        if network.cut is None:
            raise ModelError(
                f"{self._path} sees source and reference together from its first layer on, so references can't be"
                " mixed with it; use one reference at a time or another model"
            )
        return network, network.cut

    def _encode(
        self, network: "Network", name: str, placeholder: Any, cut: Sequence[Any], chips: NDArray[Any]
    ) -> Features:
        _check_chips(name, chips, network.size)
        inner = [tensor for tensor in cut if tensor is not placeholder]
        arrays = [np.empty((len(chips), *tensor.shape.as_list()[1:]), np.float32) for tensor in cut]
        for part in self._parts(network, len(chips)):
            fed = to_network(chips[part], self._signature)
            values = iter(self._run_once(network, inner, {placeholder: fed}))
            self._encoded += len(fed)
            for tensor, array in zip(cut, arrays, strict=True):
                array[part] = fed if tensor is placeholder else next(values)
        return Features(tuple(arrays))

    def _parts(self, network: "Network", count: int) -> Iterator[slice]:
        """So many chips in parts of no more than the network takes at once."""
        step = network.batch or self._batch_size
        return (slice(start, min(start + step, count)) for start in range(0, count, step))

    def _run_once(
        self, network: "Network", fetches: Sequence[Any], feeds: Mapping[Any, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """One run of the network or a part of it, on no more chips than it takes at once."""
        count = len(next(iter(feeds.values())))
        if network.batch is not None and count < network.batch:
            padding = [*range(count), *[count - 1] * (network.batch - count)]
            feeds = {tensor: values[padding] for tensor, values in feeds.items()}
        try:
            results = network.session.run(fetches, feeds)
        except runtime().OpError as error:
            raise ModelError(
                f"{self._path}: the network failed on {_pairs(network.batch or count)} of chips at once"
                f" ({_reason(error)}); try a smaller batch, or copy the model again"
            ) from error
        self._runs += 1
        if any(len(values) != (network.batch or count) for values in results):
            raise ModelError(f"{self._path}: the network doesn't give one result for each pair; use another model")
        if not all(np.isfinite(values).all() for values in results):
            raise ModelError(f"{self._path}: the network gave values that are no numbers; copy the model again")
        return [values[:count] for values in results]


def bundled_model() -> Path:
    """The folder of the model that comes with the package. Raises ModelError when there is none."""
    installed = Path(str(importlib.resources.files("beautygan_cli").joinpath("bundled", "default")))
    checkout = Path(__file__).resolve().parent.parent.parent / "models" / "default"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise ModelError("the bundled model is missing from this installation; reinstall beautygan-cli or give --model DIR")


def native_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor computes with bfloat16 itself; False where the system doesn't tell.

    Without it bfloat16 is worked out in float32 and saves nothing.
    """
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, values = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return not BF16_FLAGS.isdisjoint(values.split())
    except OSError:
        pass
    return False


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _check_chips(name: str, chips: NDArray[Any], size: int) -> None:
    if chips.ndim != 4 or chips.shape[1:] != (size, size, 3):
        raise ValueError(f"{name} must be NHWC RGB of {size} x {size} pixels, but their shape is {chips.shape}")


def _check_features(name: str, features: Features, cut: Sequence[Any]) -> None:
    expected = [tensor.shape.as_list()[1:] for tensor in cut]
    if [list(array.shape[1:]) for array in features.arrays] != expected:
        raise ValueError(f"{name} are features of another model, or of the other side of this one")


def _pair_count(sources: int, references: int) -> int:
    """How many pairs so many sources and references make; one of either goes with each of the other."""
    if sources != references and 1 not in (sources, references):
        raise ValueError(f"{sources} sources can't be paired with {references} references")
    return sources if references == 1 else references


def _each(features: Features, part: slice, count: int) -> Features:
    """The features of a part of the pairs; those of a single chip are repeated."""
    if len(features) == count:
        return features[part]
    return features.take([0] * (part.stop - part.start))


# ---------------------------------------------------------------------------------------------------------------------
# From a folder to a network


@dataclass(frozen=True)
class Network:
    """The frozen graph for one output, open.

    `batch`: pairs per run, None where any number will do. `cut`: where its encoders end, None where it has none.
    """

    graph: Any
    session: Any
    source: Any
    reference: Any
    output: Any
    size: int
    batch: int | None
    cut: "Cut | None" = None


class Cut(NamedTuple):
    """Where a network's encoders end: fed here, the rest of it needs neither source nor reference."""

    sources: tuple[Any, ...]  # tensors that follow from the source alone, used together with the reference
    references: tuple[Any, ...]  # and the other way round


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint, each a regular file inside `folder`."""

    folder: Path
    name: str  # what the files' names begin with
    meta: Path
    index: Path
    shards: tuple[Path, ...]


class FedShape(NamedTuple):
    """What the placeholders take: `batch` pairs (None: any number) of chips of `size` pixels square."""

    batch: int | None
    size: int


class Variable(NamedTuple):
    """A variable of the kept part: its name in the checkpoint, its shape and its TensorFlow type."""

    key: str
    shape: tuple[int, ...]
    dtype: Any


def load_network(
    files: CheckpointFiles, signature: Signature, output: str, *, precision: str = "fp32", threads: int | None = None
) -> Network:
    """Open the part of the checkpoint's graph that `output` needs, with its weights frozen in. Raises ModelError."""
    meta_graph = read_meta_graph(files.meta)
    producer = meta_graph.graph_def.versions.producer
    nodes = nodes_by_name(meta_graph, files.meta)
    check_tensors(nodes, signature, files.meta)
    fed = fed_shape(nodes, signature, producer, files.meta)
    kept = keep_needed(nodes, output, signature, files.meta)
    refuse_forbidden(kept, signature, functions_of(meta_graph), files.meta)
    del meta_graph, nodes

    reader = open_reader(files)
    variables = find_variables(kept, reader, files)
    one_pair = fed_placeholders(signature, fed.batch or 1, fed.size)
    skeleton = replace_nodes(kept, one_pair | variable_placeholders(variables))
    shapes = check_sizes(skeleton, (fed.batch or 1, fed.size, fed.size, 3), output, files.meta)

    weights = read_weights(variables, reader, files)
    placeholders = fed_placeholders(signature, fed.batch, fed.size)
    frozen = replace_nodes(kept, placeholders | constants(weights, variables))
    return open_network(
        fold_upsampling.folded(frozen, shapes, fed.batch),
        fed,
        signature,
        output,
        producer=producer,
        precision=precision,
        threads=threads,
        path=files.meta,
    )


# Files


def find_checkpoint(folder: Path) -> CheckpointFiles:
    """The files of the checkpoint in `folder`: the one that the file `checkpoint` names, else the only one there."""
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise ModelError(f"{folder} {problem}; give the folder that holds the model's checkpoint")
    name = _checkpoint_name(folder)
    return CheckpointFiles(
        folder=folder,
        name=name,
        meta=_regular_file(folder, f"{name}.meta", MAX_META_BYTES),
        index=_regular_file(folder, f"{name}.index", MAX_INDEX_BYTES),
        shards=_find_shards(folder, name),
    )


def _checkpoint_name(folder: Path) -> str:
    state_file = folder / "checkpoint"
    if state_file.exists() or state_file.is_symlink():
        return _name_from_state(_regular_file(folder, "checkpoint", MAX_STATE_BYTES))
    names = sorted(path.name.removesuffix(".meta") for path in folder.glob("*.meta"))
    if len(names) == 1:
        return names[0]
    if names:
        raise ModelError(f"{folder} holds {len(names)} meta-graphs but no file 'checkpoint' that names one; add it")
    _lacking(folder, "model.meta")


def _name_from_state(state_file: Path) -> str:
    """The last part of the path that the file `checkpoint` gives: it was written on another machine."""
    state_type = runtime().CheckpointState
    from google.protobuf import text_format  # type: ignore[import-untyped]

    broken = f"{state_file} names no checkpoint; copy it again, or delete it if the folder holds one checkpoint only"
    try:
        state = text_format.Parse(_read(state_file).decode("utf-8"), state_type())
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(broken) from error
    name = PureWindowsPath(state.model_checkpoint_path).name  # knows both kinds of separators
    if not name or name == ".." or not name.isprintable():
        raise ModelError(broken)
    return name


def _find_shards(folder: Path, name: str) -> tuple[Path, ...]:
    pattern = re.compile(re.escape(name) + r"\.data-[0-9]{5}-of-([0-9]{5})")
    counts = {int(match[1]) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))}
    if not counts:
        _lacking(folder, f"{name}.data-00000-of-00001")
    count = max(counts)
    if len(counts) > 1 or not 1 <= count <= MAX_SHARDS:
        raise ModelError(f"{folder} holds data shards of several checkpoints named {name}; keep those of one")
    names = [f"{name}.data-{number:05d}-of-{count:05d}" for number in range(count)]
    return tuple(_regular_file(folder, shard, MAX_SHARD_BYTES) for shard in names)


def _regular_file(folder: Path, name: str, max_bytes: int) -> Path:
    """The file `name` in `folder`, or ModelError if it is missing, special, elsewhere, empty or too large."""
    path = folder / name
    try:
        target = path.resolve(strict=True)
        if not target.is_relative_to(folder.resolve()):
            raise ModelError(f"{path} is a link to a file outside its folder; put the file itself there")
        if not target.is_file():
            raise ModelError(f"{path} is not a regular file; copy the checkpoint's files again")
        size = target.stat().st_size
    except FileNotFoundError:
        _lacking(folder, name)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a link that leads to itself, until Python 3.13
        raise ModelError(f"{path} can't be opened; copy the checkpoint's files again") from error
    if size == 0:
        raise ModelError(f"{path} is empty; copy the checkpoint's files again")
    if size > max_bytes:
        raise ModelError(f"{path} is larger than the {max_bytes >> 20} MB that such a file may take")
    return path


def _lacking(folder: Path, name: str) -> NoReturn:
    prefix = name.rsplit(".", 1)[0]
    raise ModelError(
        f"{folder} lacks {name}: copy all four files of the checkpoint (checkpoint, {prefix}.meta, {prefix}.index,"
        f" {prefix}.data-00000-of-00001) into one folder"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}); check its permissions") from error


# The graph, as data


def read_meta_graph(path: Path) -> Any:
    """The MetaGraphDef in a `.meta` file."""
    tf = runtime()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        meta_graph = tf.MetaGraphDef.FromString(_read(path))
    except DecodeError as error:
        raise ModelError(f"{path} is not a TensorFlow meta-graph; copy it again") from error
    if not meta_graph.graph_def.node:
        raise ModelError(f"{path} holds no graph; copy it again")
    if len(meta_graph.graph_def.node) > MAX_GRAPH_NODES:
        raise ModelError(f"{path} holds more than the {MAX_GRAPH_NODES} nodes that a model may have")
    return meta_graph


def nodes_by_name(meta_graph: Any, path: Path) -> dict[str, Any]:
    """The graph's NodeDefs by their names."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    if len(nodes) != len(meta_graph.graph_def.node):
        raise ModelError(f"{path} holds two nodes of the same name; copy it again")
    return nodes


def check_tensors(nodes: Mapping[str, Any], signature: Signature, path: Path) -> None:
    """Raise ModelError unless the graph has the signature's four tensors, the first two placeholders of float32."""
    tf = runtime()
    for tensor in (signature.source, signature.reference, signature.made_up, signature.removed):
        if _node_name(tensor) not in nodes:
            raise ModelError(
                f"{path} has no tensor {tensor!r}; use a BeautyGAN model or name its tensors in model.json"
            )
    for tensor in (signature.source, signature.reference):
        node = nodes[_node_name(tensor)]
        if node.op not in PLACEHOLDER_OPERATIONS or tensor != f"{node.name}:0":
            raise ModelError(f"{path}: the tensor {tensor!r} is not a placeholder; name the right one in model.json")
        if node.attr["dtype"].type != tf.float32.as_datatype_enum:
            raise ModelError(f"{path}: the placeholder {tensor!r} must take float32; use another model")
    if signature.source == signature.reference:
        raise ModelError(f"{path}: source and reference are the same tensor {signature.source!r}; correct model.json")


def fed_shape(nodes: Mapping[str, Any], signature: Signature, producer: int, path: Path) -> FedShape:
    """How many pairs at once and chips of which size the graph takes, read from both placeholders.

    `producer`: the version of the graph's writer. The size that the graph leaves open is the signature's.
    """
    batches, sizes = set(), set()
    for tensor in (signature.source, signature.reference):
        shape = nodes[_node_name(tensor)].attr["shape"].shape
        dimensions = [dimension.size for dimension in shape.dim]
        if shape.unknown_rank or (not dimensions and producer < 24):  # until version 24, [] stood for "unknown"
            continue
        if len(dimensions) != 4 or dimensions[3] not in (-1, 3):
            raise ModelError(f"{path}: the placeholder {tensor!r} must be NHWC RGB, but has the shape {dimensions}")
        batches.add(dimensions[0])
        sizes.update(dimensions[1:3])
    batches.discard(-1)
    sizes.discard(-1)
    if len(batches) > 1 or len(sizes) > 1:
        raise ModelError(f"{path}: the placeholders take chips of unequal numbers or sizes; use another model")
    batch = batches.pop() if batches else None
    size = sizes.pop() if sizes else signature.size
    if batch is not None and not 1 <= batch <= MAX_FIXED_BATCH:
        raise ModelError(f"{path}: the graph takes {batch} pairs at once, but 1 to {MAX_FIXED_BATCH} are possible")
    if not 16 <= size <= 2048:
        raise ModelError(f"{path}: the graph takes chips of {size} pixels, but 16 to 2048 are possible")
    return FedShape(batch, size)


def keep_needed(nodes: Mapping[str, Any], output: str, signature: Signature, path: Path) -> list[Any]:
    """The NodeDefs that `output` is computed from, each after its inputs; the placeholders are always among them.

    Control inputs are dropped: in a frozen graph nothing is left for them to put in order. So are devices and
    private attributes (`_class` and the like). Raises ModelError for a node that is missing or its own input.
    """
    fed = (_node_name(signature.source), _node_name(signature.reference))
    kept: dict[str, Any] = {}
    open_nodes: set[str] = set()  # begun but not kept yet: those on the way from the output to here
    to_visit = [_node_name(output), *fed]
    while to_visit:
        name = to_visit[-1]
        if name in kept:
            to_visit.pop()
            continue
        node = nodes.get(name)
        if node is None:
            raise ModelError(f"{path} lacks the node {_shown(name)} that {output!r} needs; copy it again")
        inputs = [] if name in fed else _data_inputs(node)
        if name in open_nodes:
            kept[name] = _bare_node(node, inputs)
            open_nodes.remove(name)
            to_visit.pop()
            continue
        open_nodes.add(name)
        if len(open_nodes) + len(kept) > MAX_KEPT_NODES:
            raise ModelError(f"{path}: {output!r} needs more than the {MAX_KEPT_NODES} nodes that a model may have")
        missing = [parent for tensor in inputs if (parent := _node_name(tensor)) not in kept]
        for parent in missing:
            if parent in open_nodes:
                raise ModelError(f"{path}: the graph runs in a circle at the node {_shown(parent)}; use another model")
        to_visit.extend(missing)
    return list(kept.values())


def _data_inputs(node: Any) -> list[str]:
    return [tensor for tensor in node.input if not tensor.startswith("^")]


def _bare_node(node: Any, inputs: Sequence[str]) -> Any:
    bare = runtime().NodeDef(name=node.name, op=node.op, input=inputs)
    for key, value in node.attr.items():
        if not key.startswith("_"):
            bare.attr[key].CopyFrom(value)
    return bare


def functions_of(meta_graph: Any) -> frozenset[str]:
    """The names of the functions that the meta-graph defines."""
    return frozenset(function.signature.name for function in meta_graph.graph_def.library.function)


def refuse_forbidden(kept: Iterable[Any], signature: Signature, functions: frozenset[str], path: Path) -> None:
    """Raise ModelError, naming it, for an operation, setting or constant that a makeup model may not hold."""
    fed = (_node_name(signature.source), _node_name(signature.reference))
    constant_bytes = 0
    for node in kept:
        called = node.op if node.op in functions else _function_in(node)
        if called is not None:
            raise ModelError(
                f"{path}: the node {_shown(node.name)} calls the function {_shown(called)}, but a makeup model may not"
                " hold functions; do not use this model"
            )
        if node.op not in ALLOWED_OPERATIONS:
            raise ModelError(
                f"{path}: the node {_shown(node.name)} is the operation {_shown(node.op)}, which a makeup model may not"
                " hold; do not use this model"
            )
        if node.op == "Placeholder" and node.name not in fed:
            raise ModelError(f"{path}: the placeholder {_shown(node.name)} must be fed as well; use another model")
        if any(abs(number) > MAX_ATTRIBUTE for number in _whole_numbers(node)):
            raise ModelError(f"{path}: the node {_shown(node.name)} has a setting out of all bounds; use another model")
        if node.op == "Const":
            constant_bytes += _constant_bytes(node, path)
        if constant_bytes > MAX_CONSTANT_BYTES:
            raise ModelError(
                f"{path}: constants take more than the {MAX_CONSTANT_BYTES >> 20} MB that a model may have"
            )


def _function_in(node: Any) -> str | None:
    for value in node.attr.values():
        for function in (*value.list.func, *([value.func] if value.HasField("func") else [])):
            return str(function.name)
    return None


def _whole_numbers(node: Any) -> list[int]:
    return [number for value in node.attr.values() for number in (value.i, *value.list.i)]


def _constant_bytes(node: Any, path: Path) -> int:
    """How much memory a Const takes by its declared shape, whatever the file spends on it."""
    value = node.attr["value"].tensor
    try:
        dtype = _number_type(value.dtype)
        dimensions = [dimension.size for dimension in value.tensor_shape.dim]
        if value.tensor_shape.unknown_rank or any(dimension < 0 for dimension in dimensions):
            raise ValueError("no shape")
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: the constant {_shown(node.name)} is not made of numbers; use another model"
        ) from error
    size: int = math.prod(dimensions) * dtype.size
    return size


def _number_type(enum: int) -> Any:
    """The TensorFlow type of a number or truth value. Raises TypeError or ValueError for text, handles and others."""
    dtype = runtime().as_dtype(enum).base_dtype
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ValueError(f"{dtype.name} is no type of number")
    return dtype


# Weights


def open_reader(files: CheckpointFiles) -> Any:
    """TensorFlow's reader of the checkpoint. Raises ModelError if the index is broken or the shards are too short."""
    tf = runtime()
    try:
        reader = tf.NewCheckpointReader(str(files.folder / files.name))
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    except _checkpoint_errors() as error:
        raise ModelError(
            f"{files.index} is not the index of a TensorFlow checkpoint; copy all its files again"
        ) from error
    numeric = [name for name, dtype in dtypes.items() if dtype != tf.string]
    indexed = sum(math.prod(shapes[name]) * dtypes[name].size for name in numeric)
    try:
        present = sum(shard.stat().st_size for shard in files.shards)
    except OSError as error:
        raise ModelError(f"{files.shards[0]} can't be read ({error.strerror}); check its permissions") from error
    if present < indexed:
        raise ModelError(
            f"{files.shards[0]} does not fit {files.index.name}: it holds {present} of {indexed} bytes;"
            " copy all files of the checkpoint again"
        )
    return reader


def find_variables(kept: Iterable[Any], reader: Any, files: CheckpointFiles) -> dict[str, Variable]:
    """The variables of the kept part by their node's names, once graph and checkpoint agree and sizes are in bounds."""
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    variables: dict[str, Variable] = {}
    total = 0
    for node in kept:
        if node.op not in VARIABLE_OPERATIONS:
            continue
        key = node.name
        if node.op == "VarHandleOp" and key not in shapes:
            key = node.attr["shared_name"].s.decode("utf-8", "replace")
        if key not in shapes:
            raise ModelError(
                f"{files.index} has no variable {_shown(node.name)}: it belongs to another model than"
                f" {files.meta.name}; copy all files of one checkpoint"
            )
        shape, dtype = tuple(shapes[key]), dtypes[key].base_dtype
        if not _agree(node, shape, dtype):
            raise ModelError(
                f"{files.index}: the variable {_shown(node.name)} has the shape {list(shape)} and type {dtype.name},"
                f" but {files.meta.name} has {_declared_shape(node)}; copy all files of one checkpoint"
            )
        variables[node.name] = Variable(key, shape, dtype)
        total += math.prod(shape)
        if len(variables) > MAX_VARIABLES or total > MAX_VARIABLE_NUMBERS:
            raise ModelError(
                f"{files.index}: the model takes more than {MAX_VARIABLES} variables or {MAX_VARIABLE_NUMBERS >> 20}"
                " million numbers; use a smaller one"
            )
    return variables


def _agree(node: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        return False
    declared = _declared_shape(node)
    same_type: bool = node.attr["dtype"].type == dtype.as_datatype_enum
    return same_type and (
        declared is None
        or (len(declared) == len(shape) and all(a in (-1, b) for a, b in zip(declared, shape, strict=True)))
    )


def _declared_shape(node: Any) -> list[int] | None:
    shape = node.attr["shape"].shape
    return None if shape.unknown_rank else [dimension.size for dimension in shape.dim]


def read_weights(variables: Mapping[str, Variable], reader: Any, files: CheckpointFiles) -> dict[str, Any]:
    """The variables' values as TensorProtos, by their node's names."""
    tf = runtime()
    weights = {}
    for name, variable in variables.items():
        try:
            weights[name] = tf.make_tensor_proto(reader.get_tensor(variable.key), variable.dtype, variable.shape)
        except _checkpoint_errors() as error:
            raise ModelError(
                f"{files.shards[0]} does not fit {files.index.name}: the variable {_shown(name)} can't be read from it;"
                " copy all files of the checkpoint again"
            ) from error
    return weights


def _checkpoint_errors() -> tuple[type[Exception], ...]:
    """What the checkpoint reader raises for broken files: it turns each status of its own into another kind."""
    return (runtime().OpError, RuntimeError, ValueError, IndexError, KeyError, TypeError)


# The graph, checked and opened


def replace_nodes(kept: Iterable[Any], replacements: Mapping[str, Any]) -> list[Any]:
    """The kept nodes with some replaced by name, so that no variable is left: reading one becomes an Identity.

    A placeholder with a default that isn't fed becomes an Identity of its default.
    """
    replaced = []
    for node in kept:
        if node.name in replacements:
            node = replacements[node.name]
        elif node.op in ("ReadVariableOp", "PlaceholderWithDefault"):
            node = _identity(node)
        replaced.append(node)
    return replaced


def fed_placeholders(signature: Signature, batch: int | None, size: int) -> dict[str, Any]:
    """Placeholders for source and reference that take `batch` chips (None: any number) of `size` pixels square."""
    dtype, shape = runtime().float32, [batch, size, size, 3]
    return {
        _node_name(tensor): _placeholder(_node_name(tensor), dtype, shape)
        for tensor in (signature.source, signature.reference)
    }


def variable_placeholders(variables: Mapping[str, Variable]) -> dict[str, Any]:
    """Placeholders of the variables' types and shapes."""
    return {name: _placeholder(name, variable.dtype, variable.shape) for name, variable in variables.items()}


def _placeholder(name: str, dtype: Any, shape: Sequence[int | None]) -> Any:
    tf = runtime()
    node = tf.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return node


def _identity(node: Any) -> Any:
    identity = runtime().NodeDef(name=node.name, op="Identity", input=node.input)
    identity.attr["T"].CopyFrom(node.attr["dtype"])
    return identity


def check_sizes(nodes: Iterable[Any], chips: Sequence[int], output: str, path: Path) -> dict[str, tuple[int, ...]]:
    """All tensors' shapes; ModelError for one out of bounds, or for an output that isn't float32 of the shape `chips`.

    Builds the graph node by node, with TensorFlow's shape inference. Each tensor's size is known and in bounds before
    a node that takes it is made, so constant folding during the inference meets no large one either.
    """
    tf = runtime()
    tensors: dict[str, Any] = {}
    total = 0
    with tf.Graph().as_default() as scratch:
        for node in nodes:
            for tensor_name, tensor, count in _make(scratch, node, tensors, path):
                if count is None:
                    raise ModelError(f"{path}: the size of {_shown(tensor_name)} can't be known; use another model")
                total += count
                if count > MAX_TENSOR_NUMBERS or total > MAX_ALL_TENSORS_NUMBERS:
                    raise ModelError(
                        f"{path}: the tensor {_shown(tensor_name)} is out of all bounds; use another model"
                    )
                tensors[tensor_name] = tensor
    if output not in tensors:
        raise ModelError(f"{path} has no tensor {output!r}; name the right one in model.json")
    result = tensors[output]
    if result.dtype != tf.float32 or result.shape.as_list() != list(chips):
        raise ModelError(
            f"{path}: {output!r} must be float32 of the shape {list(chips)}, but is {result.dtype.name} of the shape"
            f" {result.shape.as_list()}; name the right tensor and size in model.json"
        )
    return {name: tuple(tensor.shape.as_list()) for name, tensor in tensors.items()}


def _make(graph: Any, node: Any, tensors: Mapping[str, Any], path: Path) -> list[tuple[str, Any, int | None]]:
    """Add the node to the graph; its outputs, each with its name in the meta-graph and its size (None: unknown)."""
    try:
        inputs = [tensors[_tensor_name(tensor)] for tensor in node.input]
        operation = graph.create_op(node.op, inputs, name=node.name, attrs=dict(node.attr), compute_device=False)
        return [
            (f"{node.name}:{index}", tensor, tensor.shape.num_elements())
            for index, tensor in enumerate(operation.outputs)
        ]
    except Exception as error:  # TensorFlow raises nearly anything for a node that doesn't fit its operation
        raise ModelError(
            f"{path}: TensorFlow can't make the node {_shown(node.name)} ({_reason(error)}); copy the model again"
        ) from error


def constants(weights: Mapping[str, Any], variables: Mapping[str, Variable]) -> dict[str, Any]:
    """A Const of each variable's value."""
    node_type = runtime().NodeDef
    nodes = {}
    for name, value in weights.items():
        nodes[name] = node_type(name=name, op="Const")
        nodes[name].attr["dtype"].type = variables[name].dtype.as_datatype_enum
        nodes[name].attr["value"].tensor.CopyFrom(value)
    return nodes


def open_network(
    nodes: Iterable[Any],
    fed: FedShape,
    signature: Signature,
    output: str,
    *,
    producer: int,
    precision: str,
    threads: int | None,
    path: Path,
) -> Network:
    """The frozen nodes as a graph with a session of its own."""
    tf = runtime()
    graph_def = tf.GraphDef(node=nodes)
    graph_def.versions.producer = producer
    graph = tf.Graph()
    try:
        with graph.as_default():
            source, reference, result = tf.import_graph_def(
                graph_def, name="", return_elements=[signature.source, signature.reference, output]
            )
    except Exception as error:  # as in `_make`
        raise ModelError(f"{path}: TensorFlow refuses the graph ({_reason(error)}); copy the model again") from error
    session = tf.Session(graph=graph, config=_configuration(precision, threads))
    return Network(graph, session, source, reference, result, fed.size, fed.batch, find_cut(graph, source, reference))


def find_cut(graph: Any, source: Any, reference: Any) -> Cut | None:
    """The tensors at which what follows from source or reference alone meets the other.

    None where one of the two has nothing learnt of its own before they meet. What isn't a float32 for each chip
    (a tensor's shape, say) is worked out again from the placeholder, which then is one of the tensors itself.
    """
    float32 = runtime().float32
    placeholders = (source, reference)
    follows_from: dict[str, frozenset[int]] = {}  # operation -> which of the placeholders
    learnt: set[str] = set()  # operations with learnt ones between them and a placeholder
    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for operation in graph.get_operations():  # each comes after its inputs
        sources = [follows_from[tensor.op.name] for tensor in operation.inputs]
        of = frozenset().union(*sources)
        of |= {side for side, placeholder in enumerate(placeholders) if placeholder.op is operation}
        follows_from[operation.name] = of
        if of and (operation.type in LEARNT_OPERATIONS or any(t.op.name in learnt for t in operation.inputs)):
            learnt.add(operation.name)
        if len(of) < 2:
            continue
        for tensor, before in zip(operation.inputs, sources, strict=True):
            if len(before) == 1:
                (side,) = before
                tensor = tensor if _one_a_chip(tensor, placeholders[side], float32) else placeholders[side]
                sides[side][tensor.name] = tensor
    if not all(any(tensor.op.name in learnt for tensor in side.values()) for side in sides):
        return None
    return Cut(tuple(sides[0].values()), tuple(sides[1].values()))


def _one_a_chip(tensor: Any, placeholder: Any, float32: Any) -> bool:
    """Whether a tensor is float32 of a known size for each of the chips."""
    if tensor.dtype != float32 or tensor.shape.rank is None or tensor.shape.rank < 1:
        return False
    count, *sizes = tensor.shape.as_list()
    return count == placeholder.shape.as_list()[0] and None not in sizes


def _configuration(precision: str, threads: int | None) -> Any:
    tf = runtime()
    configuration = tf.ConfigProto(intra_op_parallelism_threads=threads or 0, inter_op_parallelism_threads=threads or 0)
    configuration.gpu_options.allow_growth = True
    if precision == "bf16":
        rewriting = configuration.graph_options.rewrite_options
        rewriting.auto_mixed_precision_onednn_bfloat16 = tf.RewriterConfig.ON
    return configuration


# Words


def _tensor_name(text: str) -> str:
    """A tensor's full name: a node's input leaves the index 0 out."""
    return text if ":" in text else f"{text}:0"


def _node_name(tensor: str) -> str:
    return tensor.partition(":")[0]


def _shown(name: str) -> str:
    """A name out of a file, fit for a message: quoted, escaped and not too long."""
    return repr(name if len(name) <= 80 else name[:77] + "...")


def _reason(error: BaseException) -> str:
    """The first sentence of TensorFlow's message, without the nodes and definitions that it appends."""
    text = re.split(r"[.;:] |\n|\{\{|<", str(getattr(error, "message", "") or error).strip())[0]
    return (
        "".join(character if character.isprintable() else "?" for character in text)[:200].rstrip(" .:;")
        or type(error).__name__
    )
