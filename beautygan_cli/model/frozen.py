"""A small network of the package's own, kept as the makeup model is, and opened with the same care."""

from __future__ import annotations

import importlib.resources
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from beautygan_cli.errors import ModelError
from beautygan_cli.model.checkpoint import find_checkpoint, open_reader, read_meta_graph
from beautygan_cli.model.graph import (
    check_sizes,
    check_tensors,
    keep_needed,
    placeholder_node,
    refuse_forbidden,
    replace_nodes,
)
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import RUNNING, runtime
from beautygan_cli.model.weights import constants, find_variables, read_weights, variable_placeholders
from beautygan_cli.types import FloatArray


class FrozenNetwork:
    """A network with two inputs and up to two outputs. Open once, use from any thread, `close` it in the end.

    Nothing is loaded before the first run; loading takes about a second where TensorFlow is imported already. Only
    arithmetic is accepted from the graph (see `model/graph.py`).

    Arguments:
        folder: of the checkpoint with its `model.json`.
        inputs: the shapes of one example of `source` and `reference`.
        outputs: by "made_up" or "removed" the shape of one example of it.
        threads: within an operation (None: all cores).
    """

    def __init__(
        self,
        folder: Path,
        inputs: tuple[tuple[int, ...], tuple[int, ...]],
        outputs: Mapping[str, tuple[int, ...]],
        threads: int | None = None,
    ) -> None:
        self._folder, self._inputs, self._outputs, self._threads = folder, inputs, outputs, threads
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._closed = False

    def run(self, output: str, fed: Mapping[str, FloatArray]) -> FloatArray:
        """An output ("made_up" or "removed") of a batch; fed: "source", "reference" or both, as far as it takes them.

        Raises ModelError when the network can't be loaded.
        """
        opened = self._open()
        with RUNNING:
            result: FloatArray = opened.session.run(
                opened.tensors[output], {opened.tensors[name]: values for name, values in fed.items()}
            )
        return result

    def prepare(self) -> None:
        """Load the network now, not at the first run. ModelError as there."""
        self._open()

    def close(self) -> None:
        """Free the network. It can't be used afterwards; closing it again does nothing."""
        with self._lock:
            if self._opened is not None:
                self._opened.session.close()
            self._opened = None
            self._closed = True

    def __enter__(self) -> FrozenNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> _Opened:
        with self._lock:  # two threads would load it twice
            if self._closed:
                raise RuntimeError("this network is closed")
            if self._opened is None:
                self._opened = _Opened(self._folder, self._inputs, self._outputs, self._threads)
            return self._opened


def bundled(name: str) -> Path:
    """The folder of a network that comes with the package. Raises ModelError when it is not there."""
    installed = Path(str(importlib.resources.files("beautygan_cli").joinpath("bundled", name)))
    checkout = Path(__file__).resolve().parent.parent.parent / "models" / name
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise ModelError(f"the bundled {name} network is missing from this installation; reinstall beautygan-cli")


class _Opened:
    """The frozen graph with its session and its tensors by the signature's names."""

    def __init__(
        self,
        folder: Path,
        inputs: tuple[tuple[int, ...], tuple[int, ...]],
        outputs: Mapping[str, tuple[int, ...]],
        threads: int | None,
    ) -> None:
        tf = runtime()
        signature = Signature.load(folder)
        files = find_checkpoint(folder)
        meta_graph = read_meta_graph(files.meta)
        check_tensors(meta_graph.nodes, signature, files.meta)
        names = {name: str(getattr(signature, name)) for name in ("source", "reference", *outputs)}
        kept: dict[str, Any] = {}
        for output in outputs:
            needed = keep_needed(meta_graph.nodes, names[output], signature, files.meta)
            kept |= {node.name: node for node in needed if node.name not in kept}
        refuse_forbidden(kept.values(), signature, meta_graph.functions, files.meta)
        reader = open_reader(files)
        variables = find_variables(kept.values(), reader, files)
        fed = (names["source"], names["reference"])
        one_face = {**_placeholders(fed, inputs, 1), **variable_placeholders(variables)}
        skeleton = replace_nodes(kept.values(), one_face)
        for output, shape in outputs.items():
            check_sizes(skeleton, (1, *shape), names[output], files.meta)
        weights = constants(read_weights(variables, reader, files), variables)
        graph_def = tf.GraphDef(node=replace_nodes(kept.values(), {**_placeholders(fed, inputs, None), **weights}))
        graph_def.versions.producer = meta_graph.producer
        graph = tf.Graph()
        with graph.as_default():
            tensors = tf.import_graph_def(graph_def, name="", return_elements=list(names.values()))
        self.tensors: dict[str, Any] = dict(zip(names, tensors, strict=True))
        count = threads or 0
        settings = tf.ConfigProto(intra_op_parallelism_threads=count, inter_op_parallelism_threads=count)
        rewriting = settings.graph_options.rewrite_options
        rewriting.meta_optimizer_iterations = tf.RewriterConfig.ONE  # a second time finds nothing, and takes as long
        self.session = tf.Session(graph=graph, config=settings)


def _placeholders(tensors: tuple[str, str], inputs: Sequence[tuple[int, ...]], batch: int | None) -> dict[str, Any]:
    tf = runtime()
    names = [tensor.partition(":")[0] for tensor in tensors]
    return {
        name: placeholder_node(name, tf.float32, [batch, *shape]) for name, shape in zip(names, inputs, strict=True)
    }
