"""Enlargements folded into the convolutions that follow them: the same result from fewer products.

A decoder repeats each pixel to 2 x 2 and convolves that with k x k weights: in each place most of them meet the same
pixel. Their sums are the (k+1) x (k+1) weights of a transposed convolution of stride 2 on the pixels themselves, with
4 products in place of 9 where k is 3. Convolutions are linear, so where other features are joined in between, their
part of the weights is applied to them alone and added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.model.tf_runtime import runtime

Shapes = Mapping[str, Sequence[int]]  # of tensors by their full names, for one batch


class _Found(NamedTuple):
    """A convolution of enlarged features: what is enlarged, what is joined to it, and the weights."""

    small: str
    before: tuple[str, ...]  # joined before the enlarged features, by the order of their channels
    after: tuple[str, ...]
    weights: NDArray[np.float32]  # (k, k, in, out)


def folded(nodes: Iterable[Any], shapes: Shapes, batch: int | None) -> list[Any]:
    """The frozen GraphDef nodes, float32, NHWC, with each enlargement by 2 that a convolution follows folded into it.

    shapes: of all their tensors; batch: pairs a run, None for any number. Outputs keep their names. What isn't exactly
    such a pair is left as it is.
    """
    nodes = list(nodes)
    graph = _Graph({node.name: node for node in nodes}, shapes)
    uses = Counter(_name(tensor) for node in nodes for tensor in node.input)
    users = {_name(node.input[0]): node for node in nodes if node.op == "BiasAdd"}
    for node in nodes:
        found = graph.find(node) if node.op == "Conv2D" else None
        if found is None:
            continue
        bias = users.get(node.name) if uses[node.name] == 1 else None
        graph.replace(node, found, batch, bias)
    return graph.needed([node.name for node in nodes if not uses[node.name]])


class _Graph:
    def __init__(self, nodes: dict[str, Any], shapes: Shapes) -> None:
        self.nodes, self.shapes, self.tf = nodes, shapes, runtime()

    def needed(self, ends: Sequence[str]) -> list[Any]:
        """The nodes that those of the given names follow from, and they themselves."""
        waiting, known = list(ends), set(ends)
        while waiting:
            inputs = {_name(tensor) for tensor in self.nodes[waiting.pop()].input} - known
            known |= inputs
            waiting += inputs
        return [node for node in self.nodes.values() if node.name in known]

    def find(self, node: Any) -> _Found | None:
        """The convolution's parts, None where it doesn't follow an enlargement or isn't of the usual kind."""
        settings = node.attr
        usual = (
            settings["T"].type == self.tf.float32.as_datatype_enum
            and settings["padding"].s == b"SAME"
            and settings["data_format"].s in (b"", b"NHWC")
            and all(length == 1 for name in ("strides", "dilations") for length in settings[name].list.i)
        )
        weights = self._constant(node.input[1]) if usual else None
        if weights is None or weights.shape[0] != weights.shape[1] or weights.shape[0] % 2 == 0 or len(weights) < 3:
            return None
        if weights.shape[2] != self.shapes[_tensor(node.input[0])][3]:  # in groups of channels
            return None
        values = self.nodes[_name(node.input[0])]
        if (small := self._enlarged(values)) is not None:
            return _Found(small, (), (), weights)
        if values.op != "ConcatV2":
            return None
        *joined, axis = values.input
        along = self._constant(axis)
        if along is None or int(along) not in (3, -1):
            return None
        for number, tensor in enumerate(joined):
            small = self._enlarged(self.nodes[_name(tensor)])
            if small is not None:
                return _Found(small, tuple(joined[:number]), tuple(joined[number + 1 :]), weights)
        return None

    def _enlarged(self, node: Any) -> str | None:
        """What the node repeats to 2 x 2, None where it does something else."""
        if node.op != "ResizeNearestNeighbor" or node.attr["align_corners"].b:
            return None
        small, large = (self.shapes[_tensor(name)] for name in (node.input[0], node.name))
        return str(node.input[0]) if [2 * length for length in small[1:3]] == list(large[1:3]) else None

    def _constant(self, tensor: str) -> NDArray[Any] | None:
        node = self.nodes[_name(tensor)]
        while node.op == "Identity":
            node = self.nodes[_name(node.input[0])]
        return np.asarray(self.tf.MakeNdarray(node.attr["value"].tensor)) if node.op == "Const" else None

    def replace(self, node: Any, found: _Found, batch: int | None, bias: Any | None) -> None:
        """The folded convolution in the node's place; bias: the BiasAdd that alone takes its output, if one does."""
        channels = [self.shapes[_tensor(tensor)][3] for tensor in (*found.before, found.small, *found.after)]
        ends = np.cumsum([0, *channels])
        own = slice(ends[len(found.before)], ends[len(found.before) + 1])
        others = (*found.before, *found.after)
        name = node.name if not others else self._free(f"{node.name}/enlarged")
        kernel = self._const(f"{name}/weights", enlarging(found.weights[:, :, own]))
        size = self._output_size(f"{name}/size", found, batch)
        large = self._add("Conv2DBackpropInput", name, [size, kernel, found.small], strides=[1, 2, 2, 1])
        if not others:
            return
        rest = others[0]
        if len(others) > 1:
            axis = self._const(f"{name}/axis", np.int32(3))
            rest = self._add("ConcatV2", self._free(f"{name}/others"), [*others, axis], parts=len(others))
        kernel = self._const(f"{name}/weights_of_others", np.delete(found.weights, own, axis=2))
        # TensorFlow runs a convolution, its bias and what is added to both as one operation, in this order alone.
        part = self._add("Conv2D", self._free(f"{name}/part"), [rest, kernel], strides=[1, 1, 1, 1])
        if bias is None:
            self._add("AddV2", node.name, [part, large])
            return
        del self.nodes[node.name]
        biased = self._add("BiasAdd", self._free(f"{name}/biased"), [part, bias.input[1]])
        self._add("AddV2", bias.name, [biased, large])

    def _output_size(self, name: str, found: _Found, batch: int | None) -> str:
        """A tensor of the size of what comes out."""
        count, rows, columns, _ = self.shapes[_tensor(found.small)]
        channels = found.weights.shape[3]
        if batch is not None:
            return self._const(name, np.array([count, 2 * rows, 2 * columns, channels], dtype=np.int32))
        shape = self._add("Shape", self._free(f"{name}_of_features"), [found.small])
        times = self._const(f"{name}_times", np.array([1, 2, 2, 0], dtype=np.int32))
        plus = self._const(f"{name}_plus", np.array([0, 0, 0, channels], dtype=np.int32))
        grown = self._add("Mul", self._free(f"{name}_grown"), [shape, times], dtype=self.tf.int32)
        return self._add("AddV2", self._free(name), [grown, plus], dtype=self.tf.int32)

    def _const(self, name: str, value: Any) -> str:
        node = self.tf.NodeDef(name=self._free(name), op="Const")
        value = np.asarray(value)
        node.attr["dtype"].type = self.tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(self.tf.make_tensor_proto(value))
        self.nodes[node.name] = node
        return str(node.name)

    def _add(
        self,
        operation: str,
        name: str,
        inputs: Sequence[str],
        *,
        dtype: Any = None,
        strides: Sequence[int] = (),
        parts: int | None = None,
    ) -> str:
        node = self.tf.NodeDef(name=name, op=operation, input=inputs)
        node.attr["T"].type = (dtype or self.tf.float32).as_datatype_enum
        if strides:
            node.attr["strides"].list.i.extend(strides)
            node.attr["padding"].s = b"SAME"
        if parts is not None:
            node.attr["N"].i = parts
        if operation == "Shape":
            node.attr["out_type"].type = self.tf.int32.as_datatype_enum
        elif operation == "ConcatV2":
            node.attr["Tidx"].type = self.tf.int32.as_datatype_enum
        self.nodes[name] = node
        return name

    def _free(self, name: str) -> str:
        """The name, or one like it that no node has."""
        while name in self.nodes:
            name += "_"
        return name


def enlarging(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weights of a transposed convolution of stride 2 that does what k x k `weights` do to pixels repeated 2 x 2.

    weights: (k, k, in, out) of a convolution padded with zeros to the same size, k odd; the result is
    (k + 1, k + 1, out, in). Repeating is a transposed convolution with 2 x 2 ones; this is both in one.
    """
    turned = weights[::-1, ::-1]
    sides = ((0, 1), (1, 0))
    total = sum(np.pad(turned, (rows, columns, (0, 0), (0, 0))) for rows in sides for columns in sides)
    return np.ascontiguousarray(np.swapaxes(total, 2, 3), dtype=np.float32)


def _name(tensor: str) -> str:
    return tensor.partition(":")[0]


def _tensor(text: str) -> str:
    return text if ":" in text else f"{text}:0"
