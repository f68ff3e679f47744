"""The files of a checkpoint: found in a folder, measured against the limits, read."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import mmap
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PureWindowsPath
from typing import IO, Any, NamedTuple, NoReturn

from beautygan_cli.errors import ModelError
from beautygan_cli.model import limits, wire
from beautygan_cli.model.tensor_bundle import Bundle, BundleError, MisfitError
from beautygan_cli.model.tf_runtime import runtime


def bundled_model() -> Path:
    """The folder of the model that comes with the package. Raises ModelError when there is none."""
    installed = Path(str(importlib.resources.files("beautygan_cli").joinpath("bundled", "default")))
    checkout = Path(__file__).resolve().parent.parent.parent / "models" / "default"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise ModelError("the bundled model is missing from this installation; reinstall beautygan-cli or give --model DIR")


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint, each a regular file inside `folder`."""

    folder: Path
    name: str  # what the files' names begin with
    meta: Path
    index: Path
    shards: tuple[Path, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the data shard (of several: one after the other), in hexadecimal. Raises ModelError."""
        digest = hashlib.sha256()
        try:
            for shard in self.shards:
                with shard.open("rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
        except OSError as error:
            raise ModelError(f"{shard} can't be read ({error.strerror}); check its permissions") from error
        return digest.hexdigest()


def find_checkpoint(folder: Path) -> CheckpointFiles:
    """The files of the checkpoint in `folder`: the one that the file `checkpoint` names, else the only one there."""
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise ModelError(f"{folder} {problem}; give the folder that holds the model's checkpoint")
    name = _checkpoint_name(folder)
    return CheckpointFiles(
        folder=folder,
        name=name,
        meta=_regular_file(folder, f"{name}.meta", limits.MAX_META_BYTES),
        index=_regular_file(folder, f"{name}.index", limits.MAX_INDEX_BYTES),
        shards=_find_shards(folder, name),
    )


def _checkpoint_name(folder: Path) -> str:
    state_file = folder / "checkpoint"
    if state_file.exists() or state_file.is_symlink():
        return _name_from_state(_regular_file(folder, "checkpoint", limits.MAX_STATE_BYTES))
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
        state = text_format.Parse(_read(state_file, limits.MAX_STATE_BYTES).decode("utf-8"), state_type())
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
    if len(counts) > 1 or not 1 <= count <= limits.MAX_SHARDS:
        raise ModelError(f"{folder} holds data shards of several checkpoints named {name}; keep those of one")
    names = [f"{name}.data-{number:05d}-of-{count:05d}" for number in range(count)]
    return tuple(_regular_file(folder, shard, limits.MAX_SHARD_BYTES) for shard in names)


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


def _read(path: Path, max_bytes: int) -> bytes:
    with opened(path, max_bytes) as file:
        return file.read(max_bytes + 1)


@contextlib.contextmanager
def opened(path: Path, max_bytes: int) -> Iterator[IO[bytes]]:
    """A file that was found regular and small enough, open; ModelError if it is so no more, without waiting for it."""
    try:
        descriptor = os.open(path.resolve(strict=True), _FLAGS)
        file = os.fdopen(descriptor, "rb")
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}); check its permissions") from error
    with file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= max_bytes:
            raise ModelError(f"{path} has changed while it was read; copy the checkpoint's files again")
        yield file


_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class MetaGraph(NamedTuple):
    """What is needed of a meta-graph.

    Its nodes by name, the version of its writer, the names of its functions, and its list of trainable variables, each
    a VariableDef that is not parsed.
    """

    nodes: Nodes
    producer: int
    functions: frozenset[str]
    trainable: tuple[bytes, ...]


class Nodes(Mapping[str, Any]):
    """The NodeDefs of a meta-graph by their names, each parsed when it is asked for. ModelError for one too large."""

    def __init__(self, path: Path, content: Any, places: Mapping[str, tuple[int, int]]) -> None:
        self._path, self._content, self._places = path, content, places
        self._left = limits.MAX_PARTS
        self._bytes_left = limits.MAX_NODE_BYTES
        self._parsed: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            start, end = self._places[name]
            node_type = runtime().NodeDef
            self._bytes_left -= end - start
            if self._bytes_left < 0:
                raise ModelError(
                    f"{self._path}: the nodes that are needed take more than the {limits.MAX_NODE_BYTES >> 20} MB that"
                    " a model's may"
                )
            try:
                self._left -= wire.count_parts(self._content, start, end, node_type.DESCRIPTOR, self._left)
                self._parsed[name] = node_type.FromString(self._content[start:end])
            except wire.WireError as error:
                raise ModelError(f"{self._path}: the node {name!r:.80} is broken or out of all bounds") from error
            except runtime().DecodeError as error:
                raise ModelError(f"{self._path} is not a TensorFlow meta-graph; copy it again") from error
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


# Numbers of fields in TensorFlow's messages, which stay as they are for good.
_GRAPH_DEF, _COLLECTION = 2, 4  # of a MetaGraphDef
_KEY, _VALUE, _BYTES_LIST = 1, 2, 2  # of a collection among others, and of itself
_NODE, _LIBRARY, _VERSIONS = 1, 2, 4  # of a GraphDef
_PRODUCER = 1  # of its versions
_FUNCTION, _SIGNATURE, _NAME = 1, 1, 1  # of a library, a function; of a signature and of a node


def read_meta_graph(path: Path) -> MetaGraph:
    """What a model needs of the MetaGraphDef in a `.meta` file, which is looked through and not parsed as a whole."""
    try:
        return _looked_through(_Content(_mapped(path), path), path)
    except (wire.WireError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a TensorFlow meta-graph; copy it again") from error


class _Content:
    """A meta-graph's bytes, of which no more than MAX_FIELDS fields are looked at: each takes a microsecond or two."""

    def __init__(self, data: Any, path: Path) -> None:
        self.data, self._path, self._left = data, path, limits.MAX_FIELDS
        self._names_left = limits.MAX_ALL_NAMES

    def fields(self, start: int, end: int) -> Iterator[wire.Field]:
        """Those of the message that lies there. ModelError for too many in all."""
        for field in wire.fields(self.data, start, end):
            self._left -= 1
            if self._left < 0:
                raise ModelError(f"{self._path} holds more parts than a model's graph may have")
            yield field

    def name(self, message: wire.Field) -> str:
        """That of a node or of a function's signature. ModelError for too long ones in all.

        One character beyond the first 65,536 makes each of a name's take four bytes in memory.
        """
        found = _text(self, message, _NAME)
        self._names_left -= len(found)
        if self._names_left < 0:
            raise ModelError(f"{self._path} holds longer names than a model's graph may have")
        return found


def _mapped(path: Path) -> Any:
    """The file's content, of which only what is looked at takes memory."""
    with opened(path, limits.MAX_META_BYTES) as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError:  # a file system that can't
            return file.read(limits.MAX_META_BYTES + 1)


def _looked_through(content: _Content, path: Path) -> MetaGraph:
    places: dict[str, tuple[int, int]] = {}
    functions: set[str] = set()
    producer = count = 0
    for graph in _within(content, 0, len(content.data), _GRAPH_DEF):
        for part in content.fields(graph.start, graph.end):
            if part.number == _NODE and part.kind == wire.BYTES:
                count += 1
                if count > limits.MAX_GRAPH_NODES:
                    raise ModelError(f"{path} holds more than the {limits.MAX_GRAPH_NODES} nodes that a model may have")
                places[content.name(part)] = part.start, part.end
            elif part.number == _LIBRARY:
                for function in _within(content, part.start, part.end, _FUNCTION):
                    for signature in _within(content, function.start, function.end, _SIGNATURE):
                        functions.add(content.name(signature))
                    if len(functions) > limits.MAX_GRAPH_NODES:
                        raise ModelError(f"{path} holds more functions than a model may have")
            elif part.number == _VERSIONS and part.kind == wire.BYTES:
                for field in content.fields(part.start, part.end):
                    producer = field.value if field.number == _PRODUCER else producer
    if not count:
        raise ModelError(f"{path} holds no graph; copy it again")
    if len(places) != count:
        raise ModelError(f"{path} holds two nodes of the same name; copy it again")
    if producer >= 1 << 31:
        raise wire.WireError("a version that can't be")
    return MetaGraph(Nodes(path, content.data, places), producer, frozenset(functions), _trainable(content))


def _trainable(content: _Content) -> tuple[bytes, ...]:
    listed: list[bytes] = []
    for collection in _within(content, 0, len(content.data), _COLLECTION):
        if _text(content, collection, _KEY) != "trainable_variables":
            continue
        for value in _within(content, collection.start, collection.end, _VALUE):
            for values in _within(content, value.start, value.end, _BYTES_LIST):
                for item in _within(content, values.start, values.end, 1):
                    if item.end - item.start > limits.MAX_KEY_BYTES or len(listed) >= limits.MAX_INDEX_ENTRIES:
                        raise wire.WireError("a list of variables out of all bounds")
                    listed.append(bytes(content.data[item.start : item.end]))
    return tuple(listed)


def _within(content: _Content, start: int, end: int, number: int) -> Iterator[wire.Field]:
    """The messages of that number in a message."""
    for field in content.fields(start, end):
        if field.number == number and field.kind == wire.BYTES:
            yield field


def _text(content: _Content, message: wire.Field, number: int) -> str:
    """A text in a message; of several the last counts, as for the parser."""
    found = b""
    for field in _within(content, message.start, message.end, number):
        short = field.end - field.start <= limits.MAX_KEY_BYTES
        found = bytes(content.data[field.start : field.end]) if short else b"\xff"
    return found.decode("utf-8")


def open_reader(files: CheckpointFiles) -> Bundle:
    """The checkpoint's variables. ModelError if the index is broken or names what is not in the shards."""

    def shard(number: int) -> contextlib.AbstractContextManager[IO[bytes]]:
        return opened(files.shards[number], limits.MAX_SHARD_BYTES)

    sizes = []
    for number in range(len(files.shards)):
        with shard(number) as file:
            sizes.append(os.fstat(file.fileno()).st_size)
    try:
        return Bundle(_read(files.index, limits.MAX_INDEX_BYTES), sizes, shard)
    except MisfitError as error:
        raise ModelError(
            f"{files.shards[0]} does not fit {files.index.name}: {error}; copy all files of the checkpoint again"
        ) from error
    except BundleError as error:
        raise ModelError(
            f"{files.index} is not the index of a TensorFlow checkpoint ({error}); copy all its files again"
        ) from error
