"""A meta-graph from a stranger: the part that an output needs, vetted node by node and sized before it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from beautygan_cli.errors import ModelError
from beautygan_cli.model import limits
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import runtime

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


class FedShape(NamedTuple):
    """What the placeholders take: `batch` pairs (None: any number) of chips of `size` pixels square."""

    batch: int | None
    size: int


def check_tensors(nodes: Mapping[str, Any], signature: Signature, path: Path) -> None:
    """Raise ModelError unless the graph has the signature's four tensors, the first two placeholders of float32."""
    tf = runtime()
    for tensor in (signature.source, signature.reference, signature.made_up, signature.removed):
        if node_name(tensor) not in nodes:
            raise ModelError(
                f"{path} has no tensor {tensor!r}; use a BeautyGAN model or name its tensors in model.json"
            )
    for tensor in (signature.source, signature.reference):
        node = nodes[node_name(tensor)]
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
        shape = nodes[node_name(tensor)].attr["shape"].shape
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
    if batch is not None and not 1 <= batch <= limits.MAX_FIXED_BATCH:
        raise ModelError(
            f"{path}: the graph takes {batch} pairs at once, but 1 to {limits.MAX_FIXED_BATCH} are possible"
        )
    if not 16 <= size <= 2048:
        raise ModelError(f"{path}: the graph takes chips of {size} pixels, but 16 to 2048 are possible")
    return FedShape(batch, size)


def keep_needed(nodes: Mapping[str, Any], output: str, signature: Signature, path: Path) -> list[Any]:
    """The NodeDefs that `output` is computed from, each after its inputs; the placeholders are always among them.

    Control inputs are dropped: in a frozen graph nothing is left for them to put in order. So are devices and
    private attributes (`_class` and the like). Raises ModelError for a node that is missing or its own input.
    """
    fed = (node_name(signature.source), node_name(signature.reference))
    kept: dict[str, Any] = {}
    open_nodes: set[str] = set()  # begun but not kept yet: those on the way from the output to here
    to_visit = [node_name(output), *fed]
    while to_visit:
        name = to_visit[-1]
        if name in kept:
            to_visit.pop()
            continue
        node = nodes.get(name)
        if node is None:
            raise ModelError(f"{path} lacks the node {shown(name)} that {output!r} needs; copy it again")
        inputs = [] if name in fed else _data_inputs(node)
        if name in open_nodes:
            kept[name] = _bare_node(node, inputs)
            open_nodes.remove(name)
            to_visit.pop()
            continue
        open_nodes.add(name)
        if len(open_nodes) + len(kept) > limits.MAX_KEPT_NODES:
            raise ModelError(
                f"{path}: {output!r} needs more than the {limits.MAX_KEPT_NODES} nodes that a model may have"
            )
        missing = [parent for tensor in inputs if (parent := node_name(tensor)) not in kept]
        for parent in missing:
            if parent in open_nodes:
                raise ModelError(f"{path}: the graph runs in a circle at the node {shown(parent)}; use another model")
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


def refuse_forbidden(kept: Iterable[Any], signature: Signature, functions: frozenset[str], path: Path) -> None:
    """Raise ModelError, naming it, for an operation, setting or constant that a makeup model may not hold."""
    fed = (node_name(signature.source), node_name(signature.reference))
    constant_bytes = 0
    for node in kept:
        called = node.op if node.op in functions else _function_in(node)
        if called is not None:
            raise ModelError(
                f"{path}: the node {shown(node.name)} calls the function {shown(called)}, but a makeup model may not"
                " hold functions; do not use this model"
            )
        if node.op not in ALLOWED_OPERATIONS:
            raise ModelError(
                f"{path}: the node {shown(node.name)} is the operation {shown(node.op)}, which a makeup model may not"
                " hold; do not use this model"
            )
        if node.op == "Placeholder" and node.name not in fed:
            raise ModelError(f"{path}: the placeholder {shown(node.name)} must be fed as well; use another model")
        if any(abs(number) > limits.MAX_ATTRIBUTE for number in _whole_numbers(node)):
            raise ModelError(f"{path}: the node {shown(node.name)} has a setting out of all bounds; use another model")
        if node.op == "Const":
            constant_bytes += _constant_bytes(node, path)
        if constant_bytes > limits.MAX_CONSTANT_BYTES:
            raise ModelError(
                f"{path}: constants take more than the {limits.MAX_CONSTANT_BYTES >> 20} MB that a model may have"
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
        dtype = number_type(value.dtype)
        dimensions = [dimension.size for dimension in value.tensor_shape.dim]
        if value.tensor_shape.unknown_rank or any(dimension < 0 for dimension in dimensions):
            raise ValueError("no shape")
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: the constant {shown(node.name)} is not made of numbers; use another model"
        ) from error
    size: int = math.prod(dimensions) * dtype.size
    return size


def number_type(enum: int) -> Any:
    """The TensorFlow type of a number or truth value. Raises TypeError or ValueError for text, handles and others."""
    dtype = runtime().as_dtype(enum).base_dtype
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ValueError(f"{dtype.name} is no type of number")
    return dtype


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
        node_name(tensor): placeholder_node(node_name(tensor), dtype, shape)
        for tensor in (signature.source, signature.reference)
    }


def placeholder_node(name: str, dtype: Any, shape: Sequence[int | None]) -> Any:
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
    nodes = list(nodes)
    tensors: dict[str, Any] = {}
    total = 0
    with tf.Graph().as_default() as scratch:
        for node in nodes:
            for tensor_name, tensor, count in _make(scratch, node, tensors, path):
                if count is None:
                    raise ModelError(f"{path}: the size of {shown(tensor_name)} can't be known; use another model")
                total += count
                if count > limits.MAX_TENSOR_NUMBERS or total > limits.MAX_ALL_TENSORS_NUMBERS:
                    raise ModelError(f"{path}: the tensor {shown(tensor_name)} is out of all bounds; use another model")
                tensors[tensor_name] = tensor
    if output not in tensors:
        raise ModelError(f"{path} has no tensor {output!r}; name the right one in model.json")
    sizes = {name: tensor.shape.num_elements() for name, tensor in tensors.items()}
    if most_at_once(nodes, sizes) > limits.MAX_NUMBERS_AT_ONCE:
        raise ModelError(
            f"{path}: the tensors that may be there at the same time take more than the"
            f" {limits.MAX_NUMBERS_AT_ONCE >> 28} GB that a model's may; use another model"
        )
    result = tensors[output]
    if result.dtype != tf.float32 or result.shape.as_list() != list(chips):
        raise ModelError(
            f"{path}: {output!r} must be float32 of the shape {list(chips)}, but is {result.dtype.name} of the shape"
            f" {result.shape.as_list()}; name the right tensor and size in model.json"
        )
    return {name: tuple(tensor.shape.as_list()) for name, tensor in tensors.items()}


def most_at_once(nodes: Sequence[Any], sizes: Mapping[str, int]) -> int:
    """A bound on the numbers in all tensors that are there at the same time, whatever the order of the work.

    nodes: each after its inputs; sizes: the tensors' numbers, by name. Two tensors are never there together where one
    is made after all that takes the other is done. The large ones are put into rows of such tensors, of each of which
    one at a time is there; the small ones are taken to be there for good.
    """
    places = {node.name: number for number, node in enumerate(nodes)}
    before: list[int] = []  # for each node, as bits, those that are done when it begins
    takers = dict.fromkeys(sizes, 0)  # for each tensor, as bits, the nodes that take it
    for number, node in enumerate(nodes):
        inputs = [places[node_name(tensor)] for tensor in node.input]
        done = 0
        for parent in inputs:
            done |= before[parent] | 1 << parent
        before.append(done)
        for tensor in node.input:
            if _tensor_name(tensor) in takers:
                takers[_tensor_name(tensor)] |= 1 << number
    small = sum(size for size in sizes.values() if size < _LARGE)
    rows: list[tuple[int, int]] = []  # for each, the bits of the nodes that take its last tensor, and its largest size
    for name, size in sizes.items():
        if size < _LARGE:
            continue
        done = before[places[node_name(name)]]
        for place, (last, largest) in enumerate(rows):
            if last and not last & ~done:
                rows[place] = (takers[name], max(largest, size))
                break
        else:
            rows.append((takers[name], size))
        if len(rows) > _MOST_ROWS:
            return limits.MAX_ALL_TENSORS_NUMBERS
    return small + sum(largest for _, largest in rows)


_LARGE = 1 << 16  # numbers of a tensor for which it is looked at when it is there
_MOST_ROWS = 512  # of large tensors beside each other


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
            f"{path}: TensorFlow can't make the node {shown(node.name)} ({reason_of(error)}); copy the model again"
        ) from error


def _tensor_name(text: str) -> str:
    """A tensor's full name: a node's input leaves the index 0 out."""
    return text if ":" in text else f"{text}:0"


def node_name(tensor: str) -> str:
    return tensor.partition(":")[0]


def shown(name: str) -> str:
    """A name out of a file, fit for a message: quoted, escaped and not too long."""
    return repr(name if len(name) <= 80 else name[:77] + "...")


def reason_of(error: BaseException) -> str:
    """The first sentence of TensorFlow's message, without the nodes and definitions that it appends."""
    text = re.split(r"[.;:] |\n|\{\{|<", str(getattr(error, "message", "") or error).strip())[0]
    return (
        "".join(character if character.isprintable() else "?" for character in text)[:200].rstrip(" .:;")
        or type(error).__name__
    )
