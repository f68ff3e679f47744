"""A checkpoint's network, opened: the graph of one output with its weights frozen in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import ModelError
from beautygan_cli.model import fold_upsampling
from beautygan_cli.model.checkpoint import CheckpointFiles, open_reader, read_meta_graph
from beautygan_cli.model.graph import (
    FedShape,
    check_sizes,
    check_tensors,
    fed_placeholders,
    fed_shape,
    keep_needed,
    reason_of,
    refuse_forbidden,
    replace_nodes,
)
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import runtime
from beautygan_cli.model.weights import constants, find_variables, read_weights, variable_placeholders

LEARNT_OPERATIONS = frozenset(
    ["Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BatchMatMul", "BatchMatMulV2"]
)

Run = Callable[..., list[NDArray[np.float32]]]  # a part of a graph: an array for each feed in, one for each fetch out


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
    cut: Cut | None = None
    _calls: dict[tuple[tuple[str, ...], tuple[str, ...]], Run] = field(init=False, repr=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def prepared(self, fetches: Sequence[Any], feeds: Sequence[Any]) -> Run:
        """What runs the part of the graph between some tensors: given an array for each feed, it gives one a fetch.

        The first call with the same tensors has TensorFlow rewrite the graph for them, which takes as long as several
        runs, and needs no array.
        """
        asked = tuple(tensor.name for tensor in fetches), tuple(tensor.name for tensor in feeds)
        with self._lock:
            if asked not in self._calls:
                options = runtime().CallableOptions(fetch=asked[0], feed=asked[1])
                self._calls[asked] = self.session._make_callable_from_options(options)
            return self._calls[asked]

    def close(self) -> None:
        """Free its memory."""
        with self._lock:
            self._calls.clear()  # each holds a part of its session's memory
            self.session.close()


class Cut(NamedTuple):
    """Where a network's encoders end: fed here, the rest of it needs neither source nor reference."""

    sources: tuple[Any, ...]  # tensors that follow from the source alone, used together with the reference
    references: tuple[Any, ...]  # and the other way round


def load_network(
    files: CheckpointFiles, signature: Signature, output: str, *, precision: str = "fp32", threads: int | None = None
) -> Network:
    """Open the part of the checkpoint's graph that `output` needs, with its weights frozen in. Raises ModelError."""
    meta_graph = read_meta_graph(files.meta)
    nodes, producer = meta_graph.nodes, meta_graph.producer
    check_tensors(nodes, signature, files.meta)
    fed = fed_shape(nodes, signature, producer, files.meta)
    kept = keep_needed(nodes, output, signature, files.meta)
    refuse_forbidden(kept, signature, meta_graph.functions, files.meta)
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
        raise ModelError(f"{path}: TensorFlow refuses the graph ({reason_of(error)}); copy the model again") from error
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
    rewriting = configuration.graph_options.rewrite_options
    rewriting.meta_optimizer_iterations = tf.RewriterConfig.ONE  # a second time finds nothing, and takes as long
    if precision == "bf16":
        rewriting.auto_mixed_precision_onednn_bfloat16 = tf.RewriterConfig.ON
    return configuration
