"""TensorFlow, imported quietly and no more of it than a session takes.

`import tensorflow` loads Keras, `tf.data`, TensorFlow Lite and some two thousand modules more, which takes three times
as long as what running a frozen graph needs. A program that has TensorFlow already, or wants it later, isn't touched
by that: the first gives us what it has, the second imports the whole of it as ever.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

# Held while a network runs. Two that run at once compete for the same cores and share TensorFlow's threads: nothing is
# gained, and how the work is cut, and with that the last bits of a result, could depend on the moment.
RUNNING = threading.Lock()

# What a session uses, under its public name, and the module of TensorFlow's own that holds it.
_PARTS = {
    "MetaGraphDef": "tensorflow.core.protobuf.meta_graph_pb2",
    "GraphDef": "tensorflow.core.framework.graph_pb2",
    "NodeDef": "tensorflow.core.framework.node_def_pb2",
    "CallableOptions": "tensorflow.core.protobuf.config_pb2",
    "ConfigProto": "tensorflow.core.protobuf.config_pb2",
    "RewriterConfig": "tensorflow.core.protobuf.rewriter_config_pb2",
    "CheckpointState": "tensorflow.python.training.checkpoint_state_pb2",
    "BundleHeaderProto": "tensorflow.core.protobuf.tensor_bundle_pb2",
    "BundleEntryProto": "tensorflow.core.protobuf.tensor_bundle_pb2",
    "DecodeError": "google.protobuf.message",
    "Graph": "tensorflow.python.framework.ops",
    "Session": "tensorflow.python.client.session",
    "import_graph_def": "tensorflow.python.framework.importer",
    "make_tensor_proto": "tensorflow.python.framework.tensor_util",
    "MakeNdarray": "tensorflow.python.framework.tensor_util",
    "TensorShape": "tensorflow.python.framework.tensor_shape",
    "as_dtype": "tensorflow.python.framework.dtypes",
    "int32": "tensorflow.python.framework.dtypes",
    "float32": "tensorflow.python.framework.dtypes",
    "string": "tensorflow.python.framework.dtypes",
    "OpError": "tensorflow.python.framework.errors_impl",
}


@dataclass(frozen=True)
class Runtime:
    """The parts of TensorFlow that a session uses, by their public names."""

    MetaGraphDef: Any
    GraphDef: Any
    NodeDef: Any
    CallableOptions: Any
    ConfigProto: Any
    RewriterConfig: Any
    CheckpointState: Any
    BundleHeaderProto: Any
    BundleEntryProto: Any
    DecodeError: Any
    Graph: Any
    Session: Any
    import_graph_def: Any
    make_tensor_proto: Any
    MakeNdarray: Any
    TensorShape: Any
    as_dtype: Any
    int32: Any
    float32: Any
    string: Any
    OpError: Any


_known: Runtime | None = None
_lock = threading.Lock()


def runtime() -> Runtime:
    """The parts of TensorFlow that a session uses, imported by the first call."""
    global _known
    with _lock:
        if _known is None:
            with _quiet():
                _import_without_package(list(_PARTS.values()))
                # In a release that has them elsewhere, this imports the whole package and fails in its words.
                _known = Runtime(
                    **{name: getattr(importlib.import_module(home), name) for name, home in _PARTS.items()}
                )
        return _known


def quiet_tensorflow() -> Any:
    """Import the whole of TensorFlow without its and absl's log lines, and return the module.

    Whoever sets TF_CPP_MIN_LOG_LEVEL to anything but 3 gets them all, as does whoever imported TensorFlow before.
    """
    with _quiet():
        import tensorflow
    return tensorflow


class _EnoughError(Exception):
    """Ends the import of a package whose submodules are all that was wanted."""


class _SubmodulesAlone(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `tensorflow` for one thread, and in place of running the package's own code imports some submodules.

    The import ends in an exception. So Python forgets the package, whose submodules stay, and the next
    `import tensorflow` of anybody is an ordinary one. A thread that begins it meanwhile waits, as for any import, and
    is then given what Python forgot; that passes on whatever it is asked for to the whole package.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "tensorflow" or threading.get_ident() != self.thread:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.origin is None:
            return None
        return importlib.util.spec_from_file_location(
            name, spec.origin, loader=self, submodule_search_locations=spec.submodule_search_locations
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        for name in self.names:
            importlib.import_module(name)
        vars(module)["__getattr__"] = lambda name: getattr(importlib.import_module("tensorflow"), name)
        raise _EnoughError


def _import_without_package(names: Sequence[str]) -> None:
    """Import submodules of TensorFlow; if that can't be, nothing is lost but time.

    Where the package is there already, or another thread is at it, this waits until it is whole and does nothing.
    """
    finder = _SubmodulesAlone(names)
    sys.meta_path.insert(0, finder)
    try:
        import tensorflow  # noqa: F401
    except (_EnoughError, ImportError, AttributeError):
        pass
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither TensorFlow nor absl says anything while it is imported, nor absl afterwards, unless that is wanted."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3" or "tensorflow" in sys.modules:
        yield
        return
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with standard_error_held_back():
        yield


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
