"""Photos from strangers through the whole command: each a correct result, or one clear line in report and on stderr."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image, ImageCms, PngImagePlugin

from beautygan_cli.photos.animation import animation_format, probe_animation, read_animation
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.photo import Photo, read_photo

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and names of any bytes are Unix's")

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BOMB_SCANS = 3_000  # of a progressive JPEG: minutes in the decoder, from 200 KB


def face(side: int = 260) -> np.ndarray:
    """A bare face (H, W, 3) uint8 RGB."""
    pixels = iio.imread(SAMPLES / "no_makeup" / "bea.jpg")
    scale = side / max(pixels.shape[:2])
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def picture(side: int = 260) -> Image.Image:
    return Image.fromarray(face(side))


# What each hostile photo is made of. A maker writes the file at a path.


def saved(mode: str = "RGB", **options: object) -> Callable[[Path], None]:
    return lambda path: picture().convert(mode).save(path, **options)


def of_bytes(make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(make()) and None


def encoded(photo_format: str, **options: object) -> bytes:
    content = io.BytesIO()
    picture().save(content, photo_format, **options)
    return content.getvalue()


def cut(photo_format: str, share: float) -> Callable[[Path], None]:
    return of_bytes(lambda: (content := encoded(photo_format))[: int(len(content) * share)])


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, *more: bytes, rows: bytes | None = None) -> bytes:
    """A PNG that claims a size, with chunks put behind its header, and holds next to nothing."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(1000) if rows is None else rows))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + pixels + png_chunk(b"IEND", b"")


def with_png_chunk(chunk: bytes) -> bytes:
    whole = encoded("PNG")
    return whole[:33] + chunk + whole[33:]


def sixteen_bit(path: Path) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(face(), cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)


def sixteen_bit_grey(path: Path) -> None:
    Image.fromarray(cv2.cvtColor(face(), cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257).save(path)


def with_alpha(path: Path) -> None:
    pixels = picture().convert("RGBA")
    pixels.putalpha(Image.linear_gradient("L").resize(pixels.size))
    pixels.save(path)


def animated(path: Path) -> None:
    picture().save(path, save_all=True, append_images=[Image.new("RGB", picture().size, "red")] * 3, duration=50)


def scan_bomb() -> bytes:
    content = io.BytesIO()
    Image.new("L", (4000, 4000), 128).save(content, "JPEG", progressive=True)
    whole = content.getvalue()
    scan = whole[whole.rindex(b"\xff\xc4") : -2]  # the last one and its table
    return whole[:-2] + scan * BOMB_SCANS + b"\xff\xd9"


def cut_face(path: Path) -> None:
    pixels = face(400)
    Image.fromarray(np.ascontiguousarray(pixels[:, round(0.36 * pixels.shape[1]) :])).save(path)


def half_face(path: Path) -> None:
    pixels = face(400)
    Image.fromarray(np.ascontiguousarray(pixels[:, round(0.62 * pixels.shape[1]) :])).save(path)


def very_wide(path: Path) -> None:
    pixels = face(1400)
    wide = np.full((pixels.shape[0], 20_000, 3), 128, np.uint8)
    wide[:, 9000 : 9000 + pixels.shape[1]] = pixels
    iio.imwrite(path, wide, quality=90)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def bound_socket(path: Path) -> None:
    opened = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(path.parent)  # a socket's address may be no longer than 108 bytes
        opened.bind(path.name)
    finally:
        os.chdir(here)
        opened.close()


class Case(NamedTuple):
    """`expected`: "made", "made like plain.png" with the mean difference in grey levels, or why it fails."""

    make: Callable[[Path], object]
    expected: str | float


MADE = "made"
DAMAGED, UNKNOWN, NO_FACE = "damaged or cut short", "no photo of a known format", "no face found"
CASES: dict[str, Case] = {
    "plain.png": Case(saved(), 0.0),
    "truncated.jpg": Case(cut("JPEG", 0.5), DAMAGED),
    "truncated.png": Case(cut("PNG", 0.5), DAMAGED),
    "truncated.webp": Case(cut("WEBP", 0.5), DAMAGED),
    "truncated.heic": Case(cut("HEIF", 0.5), DAMAGED),
    "truncated.avif": Case(cut("AVIF", 0.5), f"{DAMAGED}|{UNKNOWN}"),
    "header-alone.jpg": Case(cut("JPEG", 0.01), "damaged|known format"),
    "empty.jpg": Case(of_bytes(lambda: b"") and (lambda path: path.touch()), "is empty"),
    "text.jpg": Case(of_bytes(lambda: b"not a photo"), UNKNOWN),
    "zeros.png": Case(of_bytes(lambda: bytes(5000)), UNKNOWN),
    "script.jpg": Case(of_bytes(lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"), UNKNOWN),
    "vector.png": Case(of_bytes(lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), UNKNOWN),
    "png-named.jpg": Case(saved(format="PNG"), MADE),
    "jpeg-named.png": Case(saved(format="JPEG", quality=98, subsampling=0), 2.0),
    "16-bit.png": Case(sixteen_bit, 0.0),
    "16-bit.tif": Case(sixteen_bit, 0.0),
    "16-bit-grey.png": Case(sixteen_bit_grey, MADE),
    "grey.png": Case(saved("L"), MADE),
    "grey-alpha.png": Case(saved("LA"), MADE),
    "palette.png": Case(saved("P"), MADE),
    "one-bit.png": Case(saved("1"), f"{MADE}|{NO_FACE}"),
    "cmyk.jpg": Case(saved("CMYK", quality=98), MADE),
    "cmyk.tif": Case(saved("CMYK"), MADE),
    "lab.tif": Case(lambda path: _lab().save(path), 3.0),
    "alpha.png": Case(with_alpha, 0.0),
    "animated.gif.png": Case(lambda path: _renamed(animated, path, ".gif"), MADE),
    "animated.webp": Case(animated, MADE),
    "animated.png": Case(animated, MADE),
    "broken-profile.png": Case(saved(icc_profile=b"nonsense" * 40), 0.0),
    "cut-profile.png": Case(saved(icc_profile=SRGB[:300]), 0.0),
    "broken-exif.png": Case(saved(exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40), 0.0),
    "exif-in-a-circle.png": Case(
        saved(exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\0\0\0\0"), 0.0
    ),
    "broken-xmp.png": Case(lambda path: _with_xmp(path, "<x:xmpmeta" * 50), 0.0),
    "exploding-xmp.png": Case(lambda path: _with_xmp(path, '<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>'), 0.0),
    "bomb.png": Case(of_bytes(lambda: png_of(60_000, 60_000)), "more than 200,000,000 pixels.*--max-pixels"),
    "bomb.bmp": Case(
        of_bytes(
            lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 1 << 31, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
        ),
        "pixels.*--max-pixels",
    ),
    "bomb.gif.jpg": Case(of_bytes(lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\0;"), "pixels"),
    "text-bomb.png": Case(
        of_bytes(lambda: with_png_chunk(png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 28), 9)))),
        f"{MADE}|{DAMAGED}",
    ),
    "profile-bomb.png": Case(
        of_bytes(lambda: with_png_chunk(png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1 << 28), 9)))),
        f"{MADE}|{DAMAGED}",
    ),
    "scan-bomb.jpg": Case(of_bytes(scan_bomb), "more parts than any camera"),
    "no-pixels.png": Case(of_bytes(lambda: png_of(0, 0)), "damaged|no pixels|known format"),
    "one-wide.png": Case(lambda path: Image.new("RGB", (1, 400)).save(path), NO_FACE),
    "one-high.jpg": Case(lambda path: Image.new("RGB", (400, 1)).save(path), NO_FACE),
    "one-pixel.webp": Case(lambda path: Image.new("RGB", (1, 1)).save(path), NO_FACE),
    "20000-wide-and-low.png": Case(lambda path: Image.new("RGB", (20_000, 3)).save(path), NO_FACE),
    "20000-wide.jpg": Case(very_wide, MADE),
    "cut-by-the-edge.png": Case(cut_face, MADE),
    "half-a-face.png": Case(half_face, f"{MADE}|{NO_FACE}"),
    "noise.png": Case(
        lambda p: iio.imwrite(p, np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)), NO_FACE
    ),
    "holes.jpg": Case(lambda path: [path.touch(), os.truncate(path, 1 << 40)], "larger than 4 GB"),
    "folder.jpg": Case(lambda path: path.mkdir(), ""),  # an empty folder within a folder: nothing to tell
    "pipe.jpg": Case(lambda path: os.mkfifo(path), "device, pipe or socket"),
    "socket.jpg": Case(bound_socket, "device, pipe or socket"),
    "device.png": Case(link_to("/dev/zero"), "device, pipe or socket"),
    "terminal.png": Case(link_to("/dev/tty"), "device, pipe or socket|can't be used"),
    "circle.jpg": Case(link_to("circle.jpg"), "links lead in a circle"),
    "circle-of-two.jpg": Case(
        lambda p: [p.symlink_to("other.jpg"), (p.parent / "other.jpg").symlink_to(p.name)], "circle"
    ),
    "dangling.jpg": Case(link_to("nowhere.jpg"), "no such file"),
    "folder-in-a-circle": Case(lambda path: [path.mkdir(), (path / "back").symlink_to("..")], ""),
    "line\nbreak.png": Case(saved(), 0.0),
    "\x1b[31mred\x07.png": Case(saved(), 0.0),
    "=cmd|calc!A1.png": Case(saved(), 0.0),
    "-rf.png": Case(saved(), 0.0),
    "no-utf8-\udcff\udcfe.png": Case(saved(), 0.0),
    "\u202egnp.exe.png": Case(saved(), 0.0),
    "\u00e9" * 120 + ".png": Case(saved(), 0.0),
    "x" * 251 + ".png": Case(saved(), 0.0),
}


def _lab() -> Image.Image:
    return ImageCms.applyTransform(
        picture(), ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    )


def _renamed(make: Callable[[Path], None], path: Path, suffix: str) -> None:
    make(path.with_suffix(suffix))
    path.with_suffix(suffix).rename(path)


def _with_xmp(path: Path, packet: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet)
    picture().save(path, pnginfo=info)


class Run(NamedTuple):
    folder: Path
    status: int
    rows: dict[str, dict[str, object]]  # the report's, by the source's name
    lines: list[str]  # on stderr
    inputs: dict[str, bytes]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that is no link; of a giant one the beginning."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                found[str(path.relative_to(folder))] = file.read(1 << 24)
    return found


def command(*arguments: object, folder: Path, timeout: float = 900) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, from whose side a hang or a crash would show."""
    start = [sys.executable, "-m", "beautygan_cli"]
    return subprocess.run(
        [*start, *(os.fsencode(str(a)) for a in arguments)], cwd=folder, capture_output=True, timeout=timeout
    )


def first_picture(path: Path) -> Photo:
    """A photo, or the first frame of an animation."""
    return next(read_animation(probe_animation(path))) if animation_format(path) else read_photo(path)


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All cases in one folder, made up by one command."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "strangers").mkdir()
    shutil.copy(SAMPLES / "makeup" / "red.jpg", folder / "look.jpg")
    for name, case in CASES.items():
        case.make(folder / "strangers" / name)
    before = contents(folder)
    done = command(
        *("--no-makeup", "strangers", "--ref", "look.jpg", "--model", model, "--report", "report.json"), folder=folder
    )
    lines = done.stderr.decode("utf-8", "strict").splitlines()
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows = {row["source"].removeprefix("strangers/"): row for row in report["results"]}
    return Run(folder, done.returncode, rows, lines, before)


@pytest.mark.slow
@pytest.mark.promise("Hostile photos")
@pytest.mark.parametrize("name", CASES, ids=lambda name: printable(name)[:40])
def test_each_ends_as_a_correct_result_or_as_one_clear_line(run: Run, name: str) -> None:
    expected = CASES[name].expected
    row = run.rows.get(name)
    told = [
        line for line in run.lines if f"strangers/{printable(name)} " in f"{line} " or f"/{printable(name)};" in line
    ]
    if isinstance(expected, float) or (row and row["status"] == "made"):
        assert isinstance(expected, float) or MADE in expected.split("|")
        assert row is not None and row["status"] == "made" and told == []
        source, result = first_picture(run.folder / "strangers" / name), first_picture(run.folder / str(row["output"]))
        assert result.pixels.shape == source.pixels.shape
        assert (result.alpha is None) == (source.alpha is None or result.format == "JPEG")
        if isinstance(expected, float):
            plain = read_photo(run.folder / str(run.rows["plain.png"]["output"])).pixels
            assert np.abs(result.pixels.astype(int) - plain).mean() <= expected
        return
    if expected:
        assert len(told) == 1, run.lines
        assert re.search(expected, told[0])
        assert row is None or (row["status"] == "failed" and re.search(expected, str(row["reason"])))
    else:
        assert (row, told) == (None, [])


@pytest.mark.slow
@pytest.mark.promise("Hostile photos")
def test_the_batch_goes_on_to_its_end_and_the_inputs_stay(run: Run) -> None:
    assert run.status == 1
    assert run.lines[-1].startswith("beautygan: ") and " made, " in run.lines[-1]
    assert not [line for line in run.lines if not line.startswith("beautygan: ") or "Traceback" in line]
    assert not [line for line in run.lines if "program's own" in line]
    after = contents(run.folder)
    assert {name: after.get(name) for name in run.inputs} == run.inputs
    new = set(after) - set(run.inputs) - {"report.json"}
    assert new and all(name.startswith("made_up/") for name in new)
    assert not [name for name in new if name.endswith(".part")]


@pytest.mark.slow
@pytest.mark.promise("Hostile photos")
def test_hundreds_of_faces_in_one_photo_are_made_up(model: Path, tmp_path: Path) -> None:
    across, down = 16, 13
    tile = face(84)[2:82, 2:62]
    iio.imwrite(tmp_path / "crowd.png", np.tile(tile, (down, across, 1)))
    shutil.copy(SAMPLES / "makeup" / "red.jpg", tmp_path / "look.jpg")
    arguments = ("--no-makeup", "crowd.png", "--ref", "look.jpg", "--model", model, "--report", "report.json")
    done = command(*arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "report.json").read_text())["results"]
    assert row["faces"] >= 200
    crowd, result = read_photo(tmp_path / "crowd.png").pixels, read_photo(tmp_path / row["output"]).pixels
    changed = (crowd != result).any(axis=2).reshape(down, tile.shape[0], across, tile.shape[1]).mean(axis=(1, 3))
    assert (changed > 0.05).sum() >= 200


@pytest.mark.slow
@pytest.mark.promise("Hostile photos")
def test_files_that_vanish_or_change_during_the_run_stop_nothing(model: Path, tmp_path: Path) -> None:
    count = 22
    (tmp_path / "photos").mkdir()
    for number in range(count):
        picture(240).save(tmp_path / "photos" / f"{number:02d}.png")
    shutil.copy(SAMPLES / "makeup" / "red.jpg", tmp_path / "look.jpg")
    start = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "photos", "--ref", "look.jpg", "--model", str(model)]
    with subprocess.Popen(
        [*start, "--batch-size", "1"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "made_up/00__look.png\n"
        gone, cut_short, empty, pipe, folder, other = (tmp_path / "photos" / f"{n:02d}.png" for n in range(16, 22))
        gone.unlink()
        os.truncate(cut_short, cut_short.stat().st_size // 2)
        os.truncate(empty, 0)
        for path in (pipe, folder):
            path.unlink()
        os.mkfifo(pipe)
        folder.mkdir()
        Image.fromarray(face(300)).save(other)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 1, err
    for path, reason in [
        (gone, "no such file|can't be read"),
        (cut_short, DAMAGED),
        (empty, "is empty"),
        (pipe, "device, pipe or socket"),
        (folder, "is a folder|directory"),
    ]:
        (line,) = [line for line in err.splitlines() if f"photos/{path.name} " in line]
        assert re.search(reason, line, re.IGNORECASE), line
    assert len(out.splitlines()) == count - 6  # the first was read before
    assert read_photo(tmp_path / "made_up" / "21__look.png").pixels.shape == face(300).shape
    assert "Traceback" not in err and "program's own" not in err


@pytest.mark.promise("Hostile photos")
@pytest.mark.parametrize("role", ["source", "reference"])
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "pipe", "photos\n\udcff", "circle", "x" * 5000, ""])
def test_what_is_named_and_is_no_photo_is_told_without_waiting(
    beautygan: Callable[..., tuple[int, list[str], str]],
    place: Callable[..., Path],
    tmp_path: Path,
    role: str,
    name: str,
) -> None:
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    sources, looks = (["me.jpg", name], ["look.jpg"]) if role == "source" else (["me.jpg"], ["look.jpg", name])
    status, out, err = beautygan("--no-makeup", *sources, "--ref", *looks)
    assert (status, out) == (1, ["made_up/me__look.jpg"])
    assert len([line for line in err.splitlines() if "1 made" not in line]) == 1
