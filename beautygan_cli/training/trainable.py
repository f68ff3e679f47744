"""A checkpoint of the contract as a graph whose weights can be trained, and back.

The same part of the meta-graph is kept, and the same is refused, as in `model/network.py`. Where that freezes the
weights into the graph, here each variable is made again, and whatever read the old one reads the new one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import ModelError
from beautygan_cli.model.checkpoint import MetaGraph, find_checkpoint, open_reader, read_meta_graph
from beautygan_cli.model.graph import (
    check_sizes,
    check_tensors,
    fed_placeholders,
    fed_shape,
    keep_needed,
    refuse_forbidden,
    replace_nodes,
)
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.model.weights import Variable, find_variables, read_weights, variable_placeholders


@dataclass(frozen=True, eq=False)
class Trainable:
    """The generator of a checkpoint, as data.

    signature: its contract, `size` being the graph's own; batch: pairs that it takes at once (None: any number);
    values: the variables' values by name; trained: the variables that the model's makers trained; digest: SHA-256
    of the data shard.
    """

    path: Path
    signature: Signature
    digest: str
    batch: int | None
    values: Mapping[str, NDArray[Any]]
    trained: frozenset[str]
    _variables: Mapping[str, Variable]
    _resources: frozenset[str]  # variables of TensorFlow's newer kind; the others are reference variables
    _nodes: tuple[Any, ...]
    _producer: int

    @classmethod
    def load(cls, folder: Path) -> Trainable:
        """The checkpoint in a folder, once it has passed every check of `MakeupSession`. Raises ModelError."""
        tf = quiet_tensorflow()
        with MakeupSession(folder) as opened:
            signature, digest = opened.signature, opened.digest
        files = find_checkpoint(folder)
        meta_graph = read_meta_graph(files.meta)
        nodes, producer = meta_graph.nodes, meta_graph.producer
        check_tensors(nodes, signature, files.meta)
        fed = fed_shape(nodes, signature, producer, files.meta)
        reader = open_reader(files)
        together: dict[str, Any] = {}
        for output in (signature.made_up, signature.removed):
            kept = keep_needed(nodes, output, signature, files.meta)
            refuse_forbidden(kept, signature, meta_graph.functions, files.meta)
            placeholders = fed_placeholders(signature, fed.batch or 1, fed.size)
            variables = find_variables(kept, reader, files)
            skeleton = replace_nodes(kept, placeholders | variable_placeholders(variables))
            check_sizes(skeleton, (fed.batch or 1, fed.size, fed.size, 3), output, files.meta)
            together.update((node.name, node) for node in kept if node.name not in together)
        variables = find_variables(together.values(), reader, files)
        weights = read_weights(variables, reader, files)
        outside = {*variables, *fed_placeholders(signature, fed.batch, fed.size)}
        return cls(
            path=folder,
            signature=dataclasses.replace(signature, size=fed.size, sha256=None),
            digest=digest,
            batch=fed.batch,
            values={name: tf.make_ndarray(weight) for name, weight in weights.items()},
            trained=_trained(meta_graph, variables),
            _variables=variables,
            _resources=frozenset(name for name in variables if together[name].op == "VarHandleOp"),
            _nodes=tuple(node for node in replace_nodes(together.values(), {}) if node.name not in outside),
            _producer=producer,
        )

    def declare(self, *, as_saved: bool = False) -> dict[str, Any]:
        """Make the variables in the current graph, under their own names, with values still to come.

        as_saved: of the kind that the checkpoint has them in; otherwise all of the newer kind, whose reads and
        writes TensorFlow keeps in order.
        """
        import tensorflow as tf

        return {
            name: tf.compat.v1.get_variable(
                name,
                variable.shape,
                variable.dtype,
                initializer=tf.compat.v1.zeros_initializer(),
                trainable=name in self.trained,
                use_resource=not as_saved or name in self._resources,
            )
            for name, variable in self._variables.items()
        }

    def apply(self, source: Any, reference: Any, scope: str = "") -> tuple[Any, Any]:
        """The network on two tensors, (N, S, S, 3) float32 RGB in the signature's range: made up, and removed.

        The variables that `declare` made in the current graph are read, however often this is called. `scope` is
        put before the nodes' names; without one they are the checkpoint's own.
        """
        import tensorflow as tf

        graph = tf.compat.v1.get_default_graph()
        there = set() if scope else {operation.name for operation in graph.get_operations()}
        given = {self.signature.source: source, self.signature.reference: reference}
        for name in self._variables:
            kind = "/Read/ReadVariableOp:0" if _exists(graph, f"{name}/Read/ReadVariableOp") else "/read:0"
            given[f"{name}:0"] = graph.get_tensor_by_name(name + kind)
        # A reference variable comes with the very node that the checkpoint reads it through.
        given.update((f"{node.name}:0", graph.get_tensor_by_name(f"{node.name}:0")) for node in self._reads(there))
        nodes = [node for node in self._nodes if node.name not in there]
        graph_def = tf.compat.v1.GraphDef(node=nodes)
        graph_def.versions.producer = self._producer
        taken = {text if ":" in text else f"{text}:0" for node in nodes for text in node.input}
        try:
            made_up, removed = tf.import_graph_def(
                graph_def,
                input_map={name: tensor for name, tensor in given.items() if name in taken},
                name=scope,
                return_elements=[self.signature.made_up, self.signature.removed],
            )
        except (ValueError, tf.errors.OpError) as error:
            raise ModelError(f"{self.path} can't be put together for training; copy the model again") from error
        return made_up, removed

    def _reads(self, there: set[str]) -> list[Any]:
        """The nodes that only hand a variable's value on and are in the graph already."""
        return [node for node in self._nodes if node.name in there and node.op == "Identity"]

    def save(self, values: Mapping[str, NDArray[Any]], folder: Path, about: Mapping[str, Any]) -> None:
        """Write the checkpoint with these values into a folder: nodes, variables and signature as they were.

        Variables that `values` lacks keep their own. The files are written aside first, then moved into place.
        """
        import tensorflow as tf

        part = folder / "part"
        part.mkdir(parents=True, exist_ok=True)
        with tf.Graph().as_default():
            variables = self.declare(as_saved=True)
            size = self.signature.size
            chips = [
                tf.compat.v1.placeholder(tf.float32, (self.batch, size, size, 3), name.partition(":")[0])
                for name in (self.signature.source, self.signature.reference)
            ]
            self.apply(*chips)
            saver = tf.compat.v1.train.Saver(list(variables.values()), save_relative_paths=True)
            with tf.compat.v1.Session() as plain:
                load_values(variables, {**self.values, **values}, plain)
                saver.save(plain, str(part / "model"))
        name = self.signature.name.removesuffix(TUNED)[: 100 - len(TUNED)] + TUNED
        dataclasses.replace(self.signature, name=name, about=about).save(part)
        for file in sorted(part.iterdir()):
            shutil.move(str(file), str(folder / file.name))
        part.rmdir()


TUNED = ", fine-tuned"  # after the model's name in `model.json`


def load_values(variables: Mapping[str, Any], values: Mapping[str, NDArray[Any]], session: Any) -> None:
    """Give the variables of a session's graph their values, in place of running their initialisers.

    All in one run: TensorFlow looks through the whole graph anew for each other set of operations that is run.
    """
    starts = [variable.initializer for variable in variables.values()]
    session.run(starts, {start.inputs[1]: values[name] for name, start in zip(variables, starts, strict=True)})


def _exists(graph: Any, operation: str) -> bool:
    try:
        graph.get_operation_by_name(operation)
    except KeyError:
        return False
    return True


def _trained(meta_graph: MetaGraph, variables: Mapping[str, Variable]) -> frozenset[str]:
    """The float32 variables that the meta-graph lists as trainable; all of them where it lists none that we have."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.framework.variable_pb2 import VariableDef

    floats = {name for name, variable in variables.items() if variable.dtype.as_numpy_dtype == np.float32}
    listed: set[str] = set()
    for content in meta_graph.trainable:
        with contextlib.suppress(DecodeError):
            listed.add(VariableDef.FromString(content).variable_name.partition(":")[0])
    return frozenset(floats & listed or floats)
