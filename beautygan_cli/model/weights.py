"""A graph's variables: found in the checkpoint's index, and their values read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from beautygan_cli.errors import ModelError
from beautygan_cli.model import limits
from beautygan_cli.model.checkpoint import CheckpointFiles
from beautygan_cli.model.graph import VARIABLE_OPERATIONS, placeholder_node, shown
from beautygan_cli.model.tensor_bundle import Bundle, BundleError
from beautygan_cli.model.tf_runtime import runtime


class Variable(NamedTuple):
    """A variable of the kept part: its name in the checkpoint, its shape and its TensorFlow type."""

    key: str
    shape: tuple[int, ...]
    dtype: Any


def find_variables(kept: Iterable[Any], reader: Bundle, files: CheckpointFiles) -> dict[str, Variable]:
    """The variables of the kept part by their node's names, once graph and checkpoint agree and sizes are in bounds."""
    variables: dict[str, Variable] = {}
    total = 0
    for node in kept:
        if node.op not in VARIABLE_OPERATIONS:
            continue
        key = node.name
        if node.op == "VarHandleOp" and key not in reader:
            key = node.attr["shared_name"].s.decode("utf-8", "replace")
        if key not in reader:
            raise ModelError(
                f"{files.index} has no variable {shown(node.name)}: it belongs to another model than"
                f" {files.meta.name}; copy all files of one checkpoint"
            )
        shape, dtype = reader.shape(key), reader.dtype(key)
        if not _agree(node, shape, dtype):
            raise ModelError(
                f"{files.index}: the variable {shown(node.name)} has the shape {list(shape)} and type {dtype.name},"
                f" but {files.meta.name} has {declared_shape(node)}; copy all files of one checkpoint"
            )
        variables[node.name] = Variable(key, shape, dtype)
        total += math.prod(shape)
        if len(variables) > limits.MAX_VARIABLES or total > limits.MAX_VARIABLE_NUMBERS:
            raise ModelError(
                f"{files.index}: the model takes more than {limits.MAX_VARIABLES} variables"
                f" or {limits.MAX_VARIABLE_NUMBERS >> 20} million numbers; use a smaller one"
            )
    return variables


def _agree(node: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    declared = declared_shape(node)
    same_type: bool = node.attr["dtype"].type == dtype.as_datatype_enum
    return same_type and (
        declared is None
        or (len(declared) == len(shape) and all(a in (-1, b) for a, b in zip(declared, shape, strict=True)))
    )


def declared_shape(node: Any) -> list[int] | None:
    shape = node.attr["shape"].shape
    return None if shape.unknown_rank else [dimension.size for dimension in shape.dim]


def read_weights(variables: Mapping[str, Variable], reader: Bundle, files: CheckpointFiles) -> dict[str, Any]:
    """The variables' values as TensorProtos, by their node's names."""
    tf = runtime()
    weights = {}
    for name, variable in variables.items():
        try:
            weights[name] = tf.make_tensor_proto(reader.value(variable.key), variable.dtype, variable.shape)
        except (BundleError, OSError) as error:
            raise ModelError(
                f"{files.shards[0]} does not fit {files.index.name}: the variable {shown(name)} can't be read from it;"
                " copy all files of the checkpoint again"
            ) from error
    return weights


def variable_placeholders(variables: Mapping[str, Variable]) -> dict[str, Any]:
    """Placeholders of the variables' types and shapes."""
    return {name: placeholder_node(name, variable.dtype, variable.shape) for name, variable in variables.items()}


def constants(weights: Mapping[str, Any], variables: Mapping[str, Variable]) -> dict[str, Any]:
    """A Const of each variable's value."""
    node_type = runtime().NodeDef
    nodes = {}
    for name, value in weights.items():
        nodes[name] = node_type(name=name, op="Const")
        nodes[name].attr["dtype"].type = variables[name].dtype.as_datatype_enum
        nodes[name].attr["value"].tensor.CopyFrom(value)
    return nodes
