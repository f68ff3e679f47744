"""A checkpoint's variables, read by ourselves: TensorFlow's own reader trusts the index.

It opens whatever file the index names, waits for a pipe, and ends the process for a shape that can't be. Here the index
is taken apart and checked as a whole before a byte of a shard is read, and the shards are the files that were checked.
The format is that of LevelDB's tables: blocks of keys, each with what it shares with the one before, and values, which
are BundleEntryProtos.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from beautygan_cli.model import limits
from beautygan_cli.model.tf_runtime import runtime
from beautygan_cli.model.wire import WireError, count_parts, varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_BLOCK_END = 5  # one byte of compression, four of checksum
_MOST_PARTS = 64  # of an entry: a shape of eight dimensions has 20


class BundleError(ValueError):
    """An index or shard that is not what a checkpoint holds."""


class MisfitError(BundleError):
    """An index of other shards."""


class Entry(NamedTuple):
    """Where a variable lies: its TensorFlow type and shape; shard, offset and size in bytes; its checksum."""

    dtype: Any
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int


class Bundle:
    """An index that was checked, with the shards that it speaks of."""

    def __init__(
        self, index: bytes, sizes: Sequence[int], shard: Callable[[int], AbstractContextManager[IO[bytes]]]
    ) -> None:
        """`shard` opens one by its number. Raises BundleError for an index that is broken or doesn't fit the sizes."""
        self._shard = shard
        self.entries = _entries(index, sizes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a variable."""
        return self.entries[name.encode()].shape

    def dtype(self, name: str) -> Any:
        """Its TensorFlow type."""
        return self.entries[name.encode()].dtype

    def __contains__(self, name: str) -> bool:
        return name.encode() in self.entries

    def value(self, name: str) -> NDArray[Any]:
        """A variable's value. BundleError where the shard holds something else."""
        entry = self.entries[name.encode()]
        with self._shard(entry.shard) as file:
            file.seek(entry.offset)
            content = file.read(entry.size)
        if len(content) != entry.size or masked_crc32c(content) != entry.crc32c:
            raise BundleError("a variable that is damaged")
        return np.frombuffer(content, entry.dtype.as_numpy_dtype).reshape(entry.shape)


def _entries(index: bytes, sizes: Sequence[int]) -> dict[bytes, Entry]:
    """The variables of an index by their names in UTF-8, as the index has them; sizes: of the shards, in bytes."""
    tf = runtime()
    header, needed = None, 0
    entries: dict[bytes, Entry] = {}
    try:
        for key, value in _table(index):
            kind = tf.BundleEntryProto if key else tf.BundleHeaderProto
            count_parts(value, 0, len(value), kind.DESCRIPTOR, _MOST_PARTS)
            message = kind.FromString(value)
            if not key:
                header = message
            elif (entry := _entry(message)) is not None:
                entries[key] = entry
                needed += entry.size
    except (WireError, tf.DecodeError, IndexError) as error:
        raise BundleError("no index of a checkpoint") from error
    if header is None or header.endianness != 0 or header.num_shards != len(sizes):
        raise MisfitError(f"it is one of {len(sizes)} data shards, and the index is not theirs")
    if sum(sizes) < needed:
        raise MisfitError(f"it holds {sum(sizes)} of {needed} bytes")
    for entry in entries.values():
        if not 0 <= entry.shard < len(sizes) or not 0 <= entry.offset <= sizes[entry.shard] - entry.size:
            raise MisfitError("a variable lies outside of the shards")
    return entries


def _entry(message: Any) -> Entry | None:
    """An entry, None for one that is not made of numbers or lies in slices, which no model needs."""
    dimensions = [dimension.size for dimension in message.shape.dim]
    numbers = math.prod(dimensions) if len(dimensions) <= limits.MAX_DIMENSIONS else -1
    if numbers < 0 or message.shape.unknown_rank or any(size < 0 for size in dimensions):
        raise BundleError("a variable has a shape that can't be")
    dtype = _number_type(message.dtype)
    if dtype is None or message.slices:
        return None
    if numbers * dtype.size != message.size:
        raise BundleError("a variable has another size than its shape")
    return Entry(dtype, tuple(dimensions), message.shard_id, message.offset, message.size, message.crc32c)


def masked_crc32c(content: bytes) -> int:
    """The CRC-32C of some bytes as TensorFlow keeps it: turned by 15 bits, with a number added."""
    crc: int = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _number_type(enum: int) -> Any:
    try:
        dtype = runtime().as_dtype(enum).base_dtype
    except TypeError:
        return None
    return dtype if dtype.is_floating or dtype.is_integer or dtype.is_bool else None


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table in their order. WireError or IndexError for anything else."""
    foot = len(content) - _FOOTER
    if foot < 0 or int.from_bytes(content[-8:], "little") != _MAGIC:
        raise WireError("no table")
    _, place = _handle(content, foot, len(content))
    (start, size), _ = _handle(content, place, len(content))
    total, length, last = 0, 0, b""
    left = len(content)  # bytes; blocks lie beside each other, and one that is named again and again is read each time
    for blocks, (name, where) in enumerate(_block(content, start, size), start=1):
        (block_start, block_size), _ = _handle(where, 0, len(where))
        left -= block_size + _BLOCK_END
        length += len(name)
        if left < 0 or blocks > limits.MAX_INDEX_ENTRIES:
            raise WireError("a table of too many blocks")
        for key, value in _block(content, block_start, block_size):
            total += 1
            length += len(key)
            if total > limits.MAX_INDEX_ENTRIES or length > limits.MAX_ALL_KEYS_BYTES:
                raise WireError("a table with too many keys, or too long ones")
            if total > 1 and key <= last:
                raise WireError("a table that is out of order")
            last = key
            yield key, value


def _handle(content: bytes, place: int, end: int) -> tuple[tuple[int, int], int]:
    start, place = varint(content, place, end)
    size, place = varint(content, place, end)
    return (start, size), place


def _block(content: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    end = start + size
    if end + _BLOCK_END > len(content) - _FOOTER or size < 4 or content[end] != 0:
        raise WireError("a block that is cut short or compressed")
    if masked_crc32c(content[start : end + 1]) != int.from_bytes(content[end + 1 : end + _BLOCK_END], "little"):
        raise WireError("a block that is damaged")
    restarts = int.from_bytes(content[end - 4 : end], "little")
    end -= 4 * (restarts + 1)
    key, place = b"", start
    while place < end:
        shared, place = varint(content, place, end)
        fresh, place = varint(content, place, end)
        length, place = varint(content, place, end)
        if shared > len(key) or place + fresh + length > end or shared + fresh > limits.MAX_KEY_BYTES:
            raise WireError("an entry that is cut short")
        key = key[:shared] + content[place : place + fresh]
        yield key, content[place + fresh : place + fresh + length]
        place += fresh + length
