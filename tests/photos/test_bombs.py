"""Files of a few kilobytes that claim much work: refused before it is done, or done within bounds."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beautygan_cli.errors import LookError, PhotoError
from beautygan_cli.makeup import look
from beautygan_cli.photos.animation import animation_format, probe_animation
from beautygan_cli.photos.photo import MOST_PIXELS_A_BYTE, read_photo
from beautygan_cli.photos.pillow import prepared_pillow
from beautygan_cli.photos.xmp import RDF, xmp_for_result

pytestmark = pytest.mark.promise("Hostile photos")

SIDE = 14_000
CPU = 40  # seconds of processor, for a second's work on a machine of today
MEMORY = 1 << 30  # bytes that a refused file may take beside what the program has taken before


def limited(program: str, *arguments: str, memory: int = MEMORY, cpu: int = CPU) -> subprocess.CompletedProcess[str]:
    """A program in a process that the system ends when it takes too much of processor or memory."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))

    head = (
        "import resource, sys\n"
        "import cv2, numpy\n"
        "from beautygan_cli.photos.photo import read_photo\n"
        "from beautygan_cli.photos.pillow import prepared_pillow\n"
        "from beautygan_cli.errors import PhotoError\n"
        "prepared_pillow()\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (taken + {memory},) * 2)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + program, *arguments], capture_output=True, text=True, preexec_fn=limit
    )


def test_the_limits_hold() -> None:
    """Without this the tests after it would prove nothing."""
    assert "MemoryError" in limited("numpy.ones(2 << 30, numpy.uint8)").stderr
    assert limited("while True: pass", cpu=3).returncode < 0


def bmp(width: int, height: int, bits: int, compression: int, body: bytes) -> bytes:
    colours = 4 << bits
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, 1 << bits, 0)
    start = 14 + len(head) + colours
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + bytes(colours) + body


def tiff(bits: int, sample: int, samples: int = 1, padding: int = 0) -> bytes:
    """A TIFF of SIDE pixels square, all of whose strips are one and the same, deflated, and bytes behind it."""
    rows = 64
    strip = zlib.compress(bytes(SIDE * samples * bits // 8 * rows), 9)
    count = -(-SIDE // rows)
    start = 8 + 2 + 12 * 10 + 4
    places = [start, start + 4 * count, start + 8 * count, start + 8 * count + 2 * samples]
    behind = places[3] + 2 * samples
    arrays = struct.pack(f"<{count}I", *[behind] * count) + struct.pack(f"<{count}I", *[len(strip)] * count)
    arrays += struct.pack(f"<{samples}H", *[bits] * samples) + struct.pack(f"<{samples}H", *[sample] * samples)
    one = samples == 1
    tags = [
        *((256, 4, 1, SIDE), (257, 4, 1, SIDE), (258, 3, samples, bits if one else places[2]), (259, 3, 1, 8)),
        *((262, 3, 1, 1 if one else 2), (273, 4, count, places[0]), (277, 3, 1, samples), (278, 4, 1, rows)),
        *((279, 4, count, places[1]), (339, 3, samples, sample if one else places[3])),
    ]
    folder = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + folder + bytes(4) + arrays + strip + bytes(padding)


def encoded(photo_format: str, **options: object) -> bytes:
    content = io.BytesIO()
    prepared_pillow()
    Image.new("RGB", (64, 64), "red").save(content, photo_format, **options)
    return content.getvalue()


def claiming(photo_format: str) -> bytes:
    """A HEIC or AVIF of 64 pixels square whose header tells of SIDE."""
    content = bytearray(encoded(photo_format))
    struct.pack_into(">II", content, content.index(b"ispe") + 8, SIDE, SIDE)
    return bytes(content)


def flat(photo_format: str) -> bytes:
    content = io.BytesIO()
    Image.new("L", (SIDE, SIDE)).save(content, photo_format)
    return content.getvalue()


def jpeg_of_exif(segments: int) -> bytes:
    """A JPEG with so many segments of EXIF; six megabytes of them are copied for minutes by who appends each to all."""
    content = encoded("JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 308) + b"Exif\0\0" + bytes(300)
    return content[:2] + segments * segment + content[2:]


def tiff_of(tags: list[tuple[int, int, int, int]], behind: bytes = b"") -> bytes:
    """A TIFF whose one folder has these tags, with what lies behind it."""
    folder = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + folder + bytes(4) + behind


def tiff_in_pieces(rows: int, *, pieces: int, more: int = 0) -> bytes:
    """A TIFF one pixel wide and as many high, each row a strip or tile, which all lie at one place.

    pieces: the tag that says where these are; more: how many tags of no meaning it has.
    """
    place = 8 + 2 + 12 * (9 + more) + 4
    sizes = [(278, 4, 1, 1)] if pieces == 273 else [(322, 4, 1, 1)]
    tags = [(256, 4, 1, 1), (257, 4, 1, rows), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), *sizes]
    tags += [(pieces, 4, rows, place), (pieces + (6 if pieces == 273 else 1), 4, rows, place)]
    tags += [(40_000 + number, 3, 1, 0) for number in range(more)]
    return tiff_of(tags, struct.pack("<I", 8) * rows)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(chunks: bytes) -> bytes:
    content = encoded("PNG")
    return content[:33] + chunks + content[33:]


def jpeg_of_scans(scans: int, side: int) -> bytes:
    """A progressive JPEG with its last scan again and again, which tells of so many pixels."""
    content = bytearray(encoded("JPEG", progressive=True))
    struct.pack_into(">HH", content, content.index(b"\xff\xc2") + 5, side, side)
    last = content[content.rindex(b"\xff\xda") : -2]
    return bytes(content[:-2]) + bytes(last) * scans + b"\xff\xd9" + bytes(side * side // MOST_PIXELS_A_BYTE)


TOO_SHORT = "which so short a file can't hold"
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "rle8.bmp": (lambda: bmp(SIDE * SIDE, 1, 8, 1, b"\1\0\0\0" + bytes(1000)), TOO_SHORT),
    "rle4.bmp": (lambda: bmp(SIDE, SIDE, 4, 2, b"\1\0\0\2\0\xff" * 60 + bytes(1000)), TOO_SHORT),
    "padded-rle8.bmp": (lambda: bmp(SIDE * SIDE, 1, 8, 1, b"\1\0\0\0" + bytes(200_000)), "is a large compressed BMP"),
    "float.tif": (lambda: tiff(32, 3), TOO_SHORT),
    "int.tif": (lambda: tiff(32, 2), TOO_SHORT),
    "deep.tif": (lambda: tiff(16, 1, 3), TOO_SHORT),
    "claim.avif": (lambda: claiming("AVIF"), TOO_SHORT),
    "claim.heic": (lambda: claiming("HEIF"), TOO_SHORT),
    "flat.png": (lambda: flat("PNG"), TOO_SHORT),
    "flat.gif": (lambda: flat("GIF"), TOO_SHORT),
    "exif.jpg": (lambda: jpeg_of_exif(9_000), "more parts than any camera"),
    "scans.jpg": (lambda: jpeg_of_scans(80, 8000), "more parts than any camera"),
    "strips.tif": (lambda: tiff_in_pieces(4_000_000, pieces=273), "more parts than any camera"),
    "tiles.tif": (lambda: tiff_in_pieces(4_000_000, pieces=324), "more parts than any camera"),
    "tags.tif": (lambda: tiff_in_pieces(1, pieces=273, more=1000), "more parts than any camera"),
    "chunks.png": (lambda: png_with(png_chunk(b"abCd", b"") * 1_000_000), "more parts than any camera"),
    "pixels.png": (lambda: png_with(png_chunk(b"IDAT", b"") * 1_000_000), "more parts than any camera"),
    "texts.png": (
        lambda: png_with(b"".join(png_chunk(b"tEXt", b"k%d\0v" % number) for number in range(600_000))),
        "more parts than any camera",
    ),
    "spaces.ppm": (lambda: b"P6" + b" " * 30_000_000 + b"2 2 255\n" + bytes(12), "is a PPM with a long head"),
    "comment.ppm": (lambda: b"P6 2 2 #" + b"a" * 3_000_000 + b"\n255\n" + bytes(12), "is a PPM with a long head"),
    "comments.ppm": (lambda: b"P3 500 500 255\n" + b"#\n1 " * 750_000, "a large one written in digits"),
    "digits.ppm": (lambda: b"P2 1000 2500 255\n" + b"1 " * 2_500_000, "a large one written in digits"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_the_work_is_done(tmp_path: Path, name: str) -> None:
    make, words = BOMBS[name]
    (tmp_path / name).write_bytes(make())
    done = limited("try: read_photo(sys.argv[1])\nexcept PhotoError as error: print(error)", str(tmp_path / name))
    assert (done.returncode, done.stderr) == (0, "")
    assert words in done.stdout


def test_animations_in_too_many_parts_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    small = Image.new("L", (8, 8))
    content = io.BytesIO()
    small.save(content, "PNG", save_all=True, append_images=[Image.new("L", (8, 8), 255)])
    many = png_chunk(b"abCd", b"") * 40_000
    (tmp_path / "a.png").write_bytes(content.getvalue()[:33] + many + content.getvalue()[33:])
    assert animation_format(tmp_path / "a.png") is None
    with pytest.raises(PhotoError, match="more parts than any camera"):
        probe_animation(tmp_path / "a.png")


SOUND: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "scans.jpg": (lambda: jpeg_of_scans(80, 64), (64, 64)),
    "usual scans.jpg": (lambda: jpeg_of_scans(8, 8000), (8000, 8000)),
    "strips.tif": (lambda: tiff_in_pieces(25_000, pieces=273), (25_000, 1)),
    "tags.tif": (lambda: tiff_in_pieces(1, pieces=273, more=900), (1, 1)),
    "chunks.png": (lambda: png_with(png_chunk(b"abCd", b"") * 20_000), (64, 64)),
    "comment.ppm": (lambda: b"P6 2 2 #" + b"a" * 3_000 + b"\n255\n" + bytes(12), (2, 2)),
    "blank.ppm": (lambda: b"P6 200 200 255\n" + b" " * 120_000, (200, 200)),
    "digits.ppm": (lambda: b"P3\n# by hand\n20 20\n255\n" + b"255 # a comment\n1 2 " * 400, (20, 20)),
    "bits.ppm": (lambda: b"P4 16 16\n" + bytes(32), (16, 16)),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_within_the_bounds_is_read(tmp_path: Path, name: str) -> None:
    make, shape = SOUND[name]
    (tmp_path / name).write_bytes(make())
    assert read_photo(tmp_path / name).pixels.shape[:2] == shape


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "sample", "samples"), [(32, 3, 1), (32, 2, 1), (16, 1, 1), (16, 1, 3)])
def test_numbers_of_a_tiff_are_worked_on_in_strips(tmp_path: Path, bits: int, sample: int, samples: int) -> None:
    """What is no bomb by its length takes no more memory for each pixel than what its pixels are kept in."""
    path = tmp_path / "large.tif"
    path.write_bytes(tiff(bits, sample, samples, padding=SIDE * SIDE // MOST_PIXELS_A_BYTE))
    done = limited("print(read_photo(sys.argv[1]).pixels.shape)", str(path), memory=17 * SIDE * SIDE + (256 << 20))
    assert (done.returncode, done.stdout) == (0, f"({SIDE}, {SIDE}, 3)\n"), done.stderr


@pytest.mark.parametrize("kind", ["f", "i", "u"])
def test_levels_in_strips_are_those_of_the_whole(tmp_path: Path, kind: str) -> None:
    levels = np.linspace(0, 1, 3_000_000).reshape(1500, 2000)
    deep = {"f": levels.astype(np.float32), "i": (levels * 60000).astype(np.int32), "u": levels * 65535}[kind]
    Image.fromarray(deep.astype(np.uint16) if kind == "u" else deep).save(tmp_path / "a.tif")
    top = {"f": 1.0, "i": 65535.0, "u": 65535.0}[kind]
    expected = np.round(deep.astype(np.uint16 if kind == "u" else deep.dtype) / top * 255)
    assert np.abs(read_photo(tmp_path / "a.tif").pixels[..., 0] - expected).max() <= 1


def test_a_small_photo_may_be_as_flat_as_it_is(tmp_path: Path) -> None:
    Image.new("L", (2000, 2000)).save(tmp_path / "flat.png")
    assert read_photo(tmp_path / "flat.png").pixels.shape == (2000, 2000, 3)
    (tmp_path / "rle.bmp").write_bytes(bmp(40, 30, 8, 1, b"\x28\7\0\0" * 30 + b"\0\1"))
    assert read_photo(tmp_path / "rle.bmp").pixels.shape == (30, 40, 3)


# XMP


def packet(inside: str, spaces: str = 'xmlns:t="http://ns.adobe.com/tiff/1.0/"') -> bytes:
    described = f'<rdf:Description rdf:about="" {spaces}>{inside}</rdf:Description>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">{described}</rdf:RDF></x:xmpmeta>'.encode()


SHORTEST = 400  # bytes of a packet with the mark alone
PACKETS: dict[str, Callable[[], bytes]] = {
    "repeated elements": lambda: packet("<t:Orientation/>" * 49_000),
    "repeated descriptions": lambda: packet("").replace(b"</rdf:RDF>", 12_000 * (_stale() + b"\n") + b"</rdf:RDF>"),
    "more elements than any": lambda: packet("<t:a/>" * 60_000),
    "repeated attributes": lambda: packet("", " ".join(f'b:a{i}="1"' for i in range(40_000)) + ' xmlns:b="urn:b"'),
    "a long namespace in many": lambda: packet(
        "<n:a/>" * 40_000, f'xmlns:n="{"http://ns.a/photos/" * 20_000}panorama"'
    ),
    "many namespaces": lambda: packet("".join(f'<n{i}:a xmlns:n{i}="http://ns.a/{i}"/>' for i in range(20_000))),
    "nested": lambda: packet("<t:a>" * 20_000 + "</t:a>" * 20_000),
    "nested namespaces": lambda: packet("".join(f'<t:a xmlns:n{i}="u{i}">' for i in range(30_000)) + "</t:a>" * 30_000),
    "nested namespaces within bounds": lambda: packet(
        100 * ("".join(f'<t:a xmlns:n{i}="u{i}">' for i in range(95)) + "</t:a>" * 95)
    ),
    "longer than any": lambda: packet("x" * (2 << 20)),
}


def _stale() -> bytes:
    return b'<rdf:Description rdf:about="" t:Orientation="6" xmlns:t="http://ns.adobe.com/tiff/1.0/"/>'


@pytest.mark.parametrize("name", PACKETS)
def test_packets_are_edited_in_time_that_grows_with_their_length(tmp_path: Path, name: str) -> None:
    (tmp_path / "packet").write_bytes(PACKETS[name]())
    program = (
        "from beautygan_cli.photos.xmp import *\nprint(len(xmp_for_result(open(sys.argv[1], 'rb').read(), True, True)))"
    )
    done = limited(program, str(tmp_path / "packet"))
    assert done.returncode == 0 and int(done.stdout) >= SHORTEST, done.stderr


def test_a_packet_as_deep_as_editors_write_it_is_kept() -> None:
    inside = "".join(f'<t:a xmlns:n{number}="urn:{number}">' for number in range(50)) + "kept" + "</t:a>" * 50
    edited = xmp_for_result(packet(inside), True, True)
    assert edited is not None and b"kept" in edited


def test_stale_elements_go_wherever_they_stand() -> None:
    edited = xmp_for_result(
        packet("<t:Orientation>6</t:Orientation><t:Make>M</t:Make>text<t:Orientation/>"), False, False
    )
    assert edited is not None and b"Orientation" not in edited and b"<t:Make>M</t:Make>text" in edited


# Look files


DIGITS = "it holds a number of thousands of digits|out of all bounds"
LOOKS = {
    "dotted": ("a." * 8_000 + "a = 1", "has a key 'a'"),
    "dotted, longer": ("a." * 40_000 + "a = 1", "has more than 16,384 bytes"),
    "dotted headers": (f"[{'a.' * 8_000}a]", "has a key 'a'"),
    "dotted inline": (f"x = {{{'a.' * 8_000}a = 1}}", "has a key 'x'"),
    "nested tables": ("a = {" * 3_000, "is too deeply nested"),
    "nested lists": ("a = " + "[" * 16_000, "is too deeply nested"),
    "digits": (f"strength = {'9' * 5_000}", DIGITS),
    "negative": (f"strength = -{'9' * 5_000}", DIGITS),
    "digits in a mix": (f"lips = [{{ref = 'a', weight = {'9' * 5_000}}}]", DIGITS),
    "hexadecimal": (f"strength = 0x{'f' * 15_000}", DIGITS),
    "hexadecimal in a mix": (f"lips = [{{ref = 'a', weight = 0x{'f' * 15_000}}}]", DIGITS),
    "hexadecimal as a photo": (f"lips = [0x{'f' * 15_000}]", DIGITS),
    "controls": ('strength = "\\u009b31m\\u202e\\u2066"', r"strength is .\\x9b31m\\u202e\\u2066"),
    "controls in a key": ('"\\u009b31m\\u202e" = 1', r"has a key '\\x9b31m\\u202e'"),
    "controls in words": ('lips = {colour = "red \\u009b31m\\u202e"}', r"'\\x9b31m\\u202e' is no word"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_look_files_are_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    text, words = LOOKS[name]
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(LookError, match=words) as refused:
        look.read(tmp_path / "a.toml")
    assert str(refused.value).isprintable() and len(str(refused.value)) < 500
