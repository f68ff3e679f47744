"""A makeup model, opened: a checkpoint folder in, batches of made-up chips out.

A model is data. Of its meta-graph only the part that the asked output needs is kept; that part may hold arithmetic
and nothing else; its sizes are checked before anything of such a size is allocated; its variables are read by the
checkpoint reader and frozen into it. The rest of the meta-graph is never handed to TensorFlow.
"""

import dataclasses
import hashlib
import importlib.resources
import logging
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PureWindowsPath
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import ModelError
from beautygan_cli.pixels import to_network, to_pixels
from beautygan_cli.signature import Signature

PRECISIONS = ("fp32", "bf16")

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


# ---------------------------------------------------------------------------------------------------------------------
# The session


class MakeupSession:
    """An open model. A context manager; `close` it otherwise.

    `model`: the folder of a checkpoint (None: the bundled model). `batch_size`: pairs of chips per run, where the
    graph leaves it free. `precision`: "fp32", or "bf16" for bfloat16 convolutions on processors that have them.
    `threads`: threads within an operation (None: TensorFlow's choice, all cores).

    Raises ModelError when the folder holds no usable model, ValueError for an impossible option.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        batch_size: int = 8,
        precision: str = "fp32",
        threads: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, but is {batch_size}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, but is {precision!r}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, but is {threads}")
        self._batch_size = batch_size
        self._precision = precision
        self._threads = threads
        self._runs = 0
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
    def signature(self) -> Signature:
        """The model's contract; its size is the graph's own where the graph has one."""
        return self._signature

    @property
    def path(self) -> Path:
        """The folder that the model was loaded from."""
        return self._path

    @property
    def runs(self) -> int:
        """How many times a network has been run."""
        return self._runs

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
        step = network.batch or self._batch_size
        for start in range(0, len(sources), step):
            part = slice(start, start + step)
            results[part] = self._run_once(network, sources[part], references[part])
        return results

    def _run_once(self, network: "Network", sources: NDArray[Any], references: NDArray[Any]) -> NDArray[np.float32]:
        """One run of the network, on no more pairs than it takes at once."""
        count = len(sources)
        if network.batch is not None and count < network.batch:
            padding = [*range(count), *[count - 1] * (network.batch - count)]
            sources, references = sources[padding], references[padding]
        try:
            values = network.session.run(
                network.output,
                {
                    network.source: to_network(sources, self._signature),
                    network.reference: to_network(references, self._signature),
                },
            )
        except quiet_tensorflow().errors.OpError as error:
            raise ModelError(
                f"{self._path}: the network failed on {_pairs(len(sources))} of chips at once ({_reason(error)});"
                " try a smaller batch, or copy the model again"
            ) from error
        self._runs += 1
        if not np.isfinite(values).all():
            raise ModelError(f"{self._path}: the network gave values that are no numbers; copy the model again")
        return to_pixels(values[:count], self._signature)


def bundled_model() -> Path:
    """The folder of the model that comes with the package. Raises ModelError when there is none."""
    installed = Path(str(importlib.resources.files("beautygan_cli").joinpath("bundled", "default")))
    checkout = Path(__file__).resolve().parent.parent / "models" / "default"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise ModelError("the bundled model is missing from this installation; reinstall beautygan-cli or give --model DIR")


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _check_chips(name: str, chips: NDArray[Any], size: int) -> None:
    if chips.ndim != 4 or chips.shape[1:] != (size, size, 3):
        raise ValueError(f"{name} must be NHWC RGB of {size} x {size} pixels, but their shape is {chips.shape}")


# ---------------------------------------------------------------------------------------------------------------------
# TensorFlow, quietly


def quiet_tensorflow() -> Any:
    """Import TensorFlow without its and absl's log lines, and return the module.

    Whoever sets TF_CPP_MIN_LOG_LEVEL to anything but 3 gets them all, as does whoever imported TensorFlow before.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3" or "tensorflow" in sys.modules:
        import tensorflow

        return tensorflow
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with standard_error_held_back():
        import tensorflow
    return tensorflow


@contextmanager
def standard_error_held_back() -> Iterator[None]:
    """Keep what is written to descriptor 2 to ourselves, and pass it on only if an exception is raised.

    TensorFlow's libraries log while they are loaded, before they look at TF_CPP_MIN_LOG_LEVEL.
    """
    try:
        original = os.dup(2)
    except OSError:  # there is no standard error to hold back
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        sys.stderr.flush()
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(original, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)


# ---------------------------------------------------------------------------------------------------------------------
# From a folder to a network


@dataclass(frozen=True)
class Network:
    """The frozen graph for one output, open. `batch`: pairs per run, None where any number will do."""

    graph: Any
    session: Any
    source: Any
    reference: Any
    output: Any
    size: int
    batch: int | None


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
    check_sizes(skeleton, (fed.batch or 1, fed.size, fed.size, 3), output, files.meta)

    weights = read_weights(variables, reader, files)
    placeholders = fed_placeholders(signature, fed.batch, fed.size)
    frozen = replace_nodes(kept, placeholders | constants(weights, variables))
    return open_network(
        frozen,
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
    quiet_tensorflow()
    from google.protobuf import text_format  # type: ignore[import-untyped]
    from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

    broken = f"{state_file} names no checkpoint; copy it again, or delete it if the folder holds one checkpoint only"
    try:
        state = text_format.Parse(_read(state_file).decode("utf-8"), CheckpointState())
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
    tf = quiet_tensorflow()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        meta_graph = tf.compat.v1.MetaGraphDef.FromString(_read(path))
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
    tf = quiet_tensorflow()
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
    bare = quiet_tensorflow().compat.v1.NodeDef(name=node.name, op=node.op, input=inputs)
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
    dtype = quiet_tensorflow().dtypes.as_dtype(enum).base_dtype
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ValueError(f"{dtype.name} is no type of number")
    return dtype


# Weights


def open_reader(files: CheckpointFiles) -> Any:
    """TensorFlow's reader of the checkpoint. Raises ModelError if the index is broken or the shards are too short."""
    tf = quiet_tensorflow()
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(str(files.folder / files.name))
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
    tf = quiet_tensorflow()
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
    return (quiet_tensorflow().errors.OpError, RuntimeError, ValueError, IndexError, KeyError, TypeError)


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
    dtype, shape = quiet_tensorflow().float32, [batch, size, size, 3]
    return {
        _node_name(tensor): _placeholder(_node_name(tensor), dtype, shape)
        for tensor in (signature.source, signature.reference)
    }


def variable_placeholders(variables: Mapping[str, Variable]) -> dict[str, Any]:
    """Placeholders of the variables' types and shapes."""
    return {name: _placeholder(name, variable.dtype, variable.shape) for name, variable in variables.items()}


def _placeholder(name: str, dtype: Any, shape: Sequence[int | None]) -> Any:
    tf = quiet_tensorflow()
    node = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return node


def _identity(node: Any) -> Any:
    identity = quiet_tensorflow().compat.v1.NodeDef(name=node.name, op="Identity", input=node.input)
    identity.attr["T"].CopyFrom(node.attr["dtype"])
    return identity


def check_sizes(nodes: Iterable[Any], chips: Sequence[int], output: str, path: Path) -> None:
    """Raise ModelError for a tensor out of bounds, or for an output that isn't float32 of the shape `chips`.

    Builds the graph node by node, with TensorFlow's shape inference. Each tensor's size is known and in bounds before
    a node that takes it is made, so constant folding during the inference meets no large one either.
    """
    tf = quiet_tensorflow()
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
    node_type = quiet_tensorflow().compat.v1.NodeDef
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
    tf = quiet_tensorflow()
    graph_def = tf.compat.v1.GraphDef(node=nodes)
    graph_def.versions.producer = producer
    graph = tf.compat.v1.Graph()
    try:
        with graph.as_default():
            source, reference, result = tf.compat.v1.import_graph_def(
                graph_def, name="", return_elements=[signature.source, signature.reference, output]
            )
    except Exception as error:  # as in `_make`
        raise ModelError(f"{path}: TensorFlow refuses the graph ({_reason(error)}); copy the model again") from error
    session = tf.compat.v1.Session(graph=graph, config=_configuration(precision, threads))
    return Network(graph, session, source, reference, result, fed.size, fed.batch)


def _configuration(precision: str, threads: int | None) -> Any:
    tf = quiet_tensorflow()
    from tensorflow.core.protobuf import rewriter_config_pb2

    configuration = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads or 0)
    configuration.gpu_options.allow_growth = True
    if precision == "bf16":
        rewriting = configuration.graph_options.rewrite_options
        rewriting.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
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
