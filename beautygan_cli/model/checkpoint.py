"""The files of a checkpoint: found in a folder, measured against the limits, read."""

from __future__ import annotations

import importlib.resources
import math
import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, NoReturn

from beautygan_cli.errors import ModelError
from beautygan_cli.model import limits
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}); check its permissions") from error


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
    if len(meta_graph.graph_def.node) > limits.MAX_GRAPH_NODES:
        raise ModelError(f"{path} holds more than the {limits.MAX_GRAPH_NODES} nodes that a model may have")
    return meta_graph


def open_reader(files: CheckpointFiles) -> Any:
    """TensorFlow's reader of the checkpoint. Raises ModelError if the index is broken or the shards are too short."""
    tf = runtime()
    try:
        reader = tf.NewCheckpointReader(str(files.folder / files.name))
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    except checkpoint_errors() as error:
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


def checkpoint_errors() -> tuple[type[Exception], ...]:
    """What the checkpoint reader raises for broken files: it turns each status of its own into another kind."""
    return (runtime().OpError, RuntimeError, ValueError, IndexError, KeyError, TypeError)
