"""A checkpoint's index is taken apart by ourselves, and names no file but the shards beside it."""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable

import pytest

from beautygan_cli.errors import ModelError
from beautygan_cli.model import limits, wire
from beautygan_cli.model.checkpoint import bundled_model, find_checkpoint, open_reader, read_meta_graph
from beautygan_cli.model.graph import most_at_once
from beautygan_cli.model.tensor_bundle import _table, masked_crc32c
from beautygan_cli.model.tf_runtime import runtime


@pytest.mark.parametrize("size", [0, 3, 4, 255, 256, 5001, 70001])
def test_checksums_are_those_bit_by_bit(size):
    content = os.urandom(size)
    assert masked_crc32c(content) == masked(crc32c(content))
    assert crc32c(b"123456789") == 0xE3069283


def crc32c(content: bytes) -> int:
    """CRC-32C by its definition, a bit at a time."""
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """As TensorFlow keeps a checksum: turned by 15 bits, with a number added."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def written_number(value: int) -> bytes:
    """A number of variable length."""
    content = b""
    while value > 0x7F:
        content += bytes([value & 0x7F | 0x80])
        value >>= 7
    return content + bytes([value])


def table(entries: dict[bytes, bytes]) -> bytes:
    """A table of these entries, as TensorFlow writes it, in one block."""
    content, handles = b"", []

    def block(pairs):
        nonlocal content
        inside = b"".join(
            b"\0" + written_number(len(key)) + written_number(len(value)) + key + value for key, value in pairs
        )
        inside += bytes(4) + (1).to_bytes(4, "little") + b"\0"
        handles.append(written_number(len(content)) + written_number(len(inside) - 1))
        content += inside + masked_crc32c(inside).to_bytes(4, "little")

    block(entries.items())
    block([])
    block([(max(entries), handles[0])])
    return content + (handles[1] + handles[2]).ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(bundled_model(), tmp_path / "model")


def rewrite(folder, change_header, change_first):
    """Write the index anew after the header and the first variable's entry were changed."""
    tf, index = runtime(), folder / "model.index"
    entries = dict(_table(index.read_bytes()))
    header = tf.BundleHeaderProto.FromString(entries[b""])
    change_header(header)
    name = sorted(entries)[1]
    entry = tf.BundleEntryProto.FromString(entries[name])
    change_first(entry)
    index.write_bytes(table({**entries, b"": header.SerializeToString(), name: entry.SerializeToString()}))


def unchanged(message):
    """Leave it as it is."""


def with_shape(*dimensions):
    def change(entry):
        del entry.shape.dim[:]
        for size in dimensions:
            entry.shape.dim.add(size=size)

    return change


def test_an_index_that_was_written_anew_is_read(folder):
    before = open_reader(find_checkpoint(folder)).entries
    rewrite(folder, unchanged, unchanged)
    assert open_reader(find_checkpoint(folder)).entries == before


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize(
    ("header", "entry"),
    [
        (lambda header: setattr(header, "num_shards", 100_000), unchanged),
        (lambda header: setattr(header, "num_shards", 2), unchanged),
        (lambda header: setattr(header, "num_shards", -1), unchanged),
        (unchanged, lambda entry: setattr(entry, "shard_id", 5)),
        (unchanged, lambda entry: setattr(entry, "shard_id", -1)),
        (unchanged, lambda entry: setattr(entry, "offset", 1 << 40)),
        (unchanged, lambda entry: setattr(entry, "offset", -1)),
        (unchanged, lambda entry: setattr(entry, "size", 1 << 62)),
        (unchanged, with_shape(-7)),
        (unchanged, with_shape(-7, -7)),
        (unchanged, with_shape(1 << 40, 1 << 40)),
        (unchanged, with_shape(*[1] * 300)),
        (unchanged, with_shape(0, 1 << 62)),
    ],
)
def test_an_index_that_names_what_is_not_there_is_refused_and_waits_for_nothing(folder, header, entry):
    """Neither the link out of the folder nor the pipe beside the shards is opened."""
    os.mkfifo(folder / "model.data-00005-of-100000")
    (folder / "model.data-00001-of-100000").symlink_to("/etc/passwd")
    rewrite(folder, header, entry)
    with pytest.raises(ModelError) as caught:
        open_reader(find_checkpoint(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize("where", ["nodes", "inside a node"])
def test_a_meta_graph_of_many_empty_parts_is_refused_before_it_is_parsed(folder, monkeypatch, where):
    """Two bytes in the file are a hundred in memory."""
    nodes = b"".join(b"\x0a\x04\x0a\x02%c%c" % (65 + n // 26, 65 + n % 26) for n in range(600))
    if where == "nodes":
        monkeypatch.setattr(limits, "MAX_GRAPH_NODES", 500)
    else:
        monkeypatch.setattr(limits, "MAX_PARTS", 500)
        body = b"\x0a\x01N" + 600 * b"\x2a\x00"  # settings, all empty
        nodes = b"\x0a" + written_number(len(body)) + body
    (folder / "model.meta").write_bytes(b"\x12" + written_number(len(nodes)) + nodes)
    with pytest.raises(ModelError, match=r"holds more than the|out of all bounds"):
        read_meta_graph(folder / "model.meta").nodes["N"]


def test_a_message_that_is_nested_too_deep_is_refused():
    content = b""
    for _ in range(100):
        content = b"\x52" + written_number(len(content)) + content
    descriptor = runtime().NodeDef.DESCRIPTOR
    with pytest.raises(wire.WireError):
        wire.count_parts(content + b"\x07", 0, len(content) + 1, descriptor, 1000)


def node(name, *inputs):
    return runtime().NodeDef(name=name, op="Identity", input=inputs)


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("a"), node("b", "a"), node("c", "b"), node("d", "c")], 2),  # one after the other: two at a time
        ([node("a"), *(node(f"b{n}", "a") for n in range(5)), node("c", *(f"b{n}" for n in range(5)))], 6),
        ([node("a"), node("b", "a"), node("c", "b"), node("d", "c", "a")], 3),  # the first is kept to the end
        ([node(f"a{n}") for n in range(4)], 4),
    ],
)
def test_what_may_be_in_memory_at_once_is_counted(nodes, expected):
    size = 1 << 20
    assert most_at_once(nodes, {f"{one.name}:0": size for one in nodes}) == expected * size


LONG = "\U0001f600".encode() + b"z" * 4080  # of a name: its one wide character makes all take four bytes in memory
HOSTILE_GRAPHS = {
    "empty nodes": lambda: b"\x0a\x00" * 4_000_000,
    "empty settings": lambda: inside(b"\x0a\x01N" + b"\x2a\x00" * 4_000_000),
    "empty inputs": lambda: inside(b"\x0a\x01N" + b"\x1a\x00" * 4_000_000),
    "unknown fields": lambda: inside(b"\x0a\x01N" + b"\xf8\x07\x00" * 4_000_000),
    "unknown fields beside": lambda: inside(b"\x0a\x01N") + b"\xf8\x07\x00" * 4_000_000,
    "empty functions": lambda: inside(b"\x0a\x01N") + field(2, b"\x0a\x00" * 4_000_000),
    "packed numbers": lambda: inside(b"\x0a\x01N" + setting(field(8, field(7, bytes(40_000_000))))),
    "a packed list": lambda: inside(b"\x0a\x01N" + setting(field(1, field(3, bytes(40_000_000))))),
    "long names": lambda: b"".join(inside(field(1, LONG + b"%06d" % number)) for number in range(20_000)),
    "long names of functions": lambda: field(
        2, b"".join(field(1, field(1, field(1, LONG + b"%06d" % number))) for number in range(20_000))
    ),
    "a long constant": lambda: inside(b"\x0a\x01N" + setting(field(8, field(4, bytes(limits.MAX_NODE_BYTES))))),
}


def field(number, content):
    return written_number(number << 3 | 2) + written_number(len(content)) + content


def inside(content):
    return field(1, content)


def setting(value):
    return field(5, field(1, b"value") + field(2, value))


def assert_refused_by(program, path):
    """A program, given a file in a process of its own, ends well and says that it refused it."""
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("refused: "), done.stderr


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize("name", HOSTILE_GRAPHS)
def test_a_meta_graph_takes_no_more_memory_or_time_than_its_bounds(tmp_path, name):
    """256 MB beside what the program has taken before, and 40 seconds of processor for a few seconds' work."""
    (tmp_path / "model.meta").write_bytes(field(2, HOSTILE_GRAPHS[name]()))
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from beautygan_cli.errors import ModelError\n"
        "from beautygan_cli.model.checkpoint import read_meta_graph\n"
        "from beautygan_cli.model.tf_runtime import runtime\n"
        "runtime(); path = Path(sys.argv[1])\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + path.stat().st_size\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + (256 << 20),) * 2)\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (40, 40))\n"
        "try: read_meta_graph(path).nodes['N']\n"
        "except ModelError as error: print('refused:', error)\n"
    )
    assert_refused_by(program, tmp_path / "model.meta")


def test_names_as_long_as_real_ones_are_read(folder):
    assert len(read_meta_graph(folder / "model.meta").nodes) > 500


def block(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A table's block, in which each key that begins with LONG is stored by what it adds to the one before."""
    content, before = [], b""
    for key, value in pairs:
        shared = len(LONG) if key.startswith(LONG) and before.startswith(LONG) else 0
        content.append(b"".join(map(written_number, (shared, len(key) - shared, len(value)))) + key[shared:] + value)
        before = key
    return b"".join(content) + struct.pack("<II", 0, 1)


def table_of(data: bytes, times: int = 1) -> bytes:
    """A table of one block, which its index names so many times."""
    handles = []
    content = b""

    def add(inside: bytes) -> None:
        nonlocal content
        handles.append(written_number(len(content)) + written_number(len(inside)))
        content += inside + b"\0" + masked_crc32c(inside + b"\0").to_bytes(4, "little")

    add(data)
    add(block([]))
    add(block((b"%08d" % number, handles[0]) for number in range(times)))
    return content + (handles[1] + handles[2]).ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


NUMBER = b"\x08\x01\x28\x04"  # an entry: one float, of four bytes
HOSTILE_INDICES = {
    "long keys": lambda: table_of(block((LONG + b"%06d" % number, NUMBER) for number in range(99_000))),
    "an empty block named again and again": lambda: table_of(
        bytes(8 << 20) + struct.pack("<I", 2 << 20), times=200_000
    ),
}


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize("name", HOSTILE_INDICES)
def test_an_index_takes_no_more_memory_or_time_than_its_bounds(tmp_path, name):
    """128 MB beside what the program has taken before, and 10 seconds of processor for a second's work."""
    (tmp_path / "model.index").write_bytes(HOSTILE_INDICES[name]())
    program = (
        "import resource, sys\n"
        "from beautygan_cli.model.tensor_bundle import Bundle, BundleError\n"
        "from beautygan_cli.model.tf_runtime import runtime\n"
        "runtime(); content = open(sys.argv[1], 'rb').read()\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + (128 << 20),) * 2)\n"
        "used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 10,) * 2)\n"
        "try: Bundle(content, [1 << 20], None)\n"
        "except BundleError as error: print('refused:', error)\n"
    )
    assert_refused_by(program, tmp_path / "model.index")
