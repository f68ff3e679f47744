"""Every claim of `photos`, on real files written by real codecs."""

from __future__ import annotations

import errno
import io
import os
import random
import resource
import socket
import stat
import struct
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.photos.files import claim, publish, sweep
from beautygan_cli.photos.find import find_photos
from beautygan_cli.photos.formats import FORMATS
from beautygan_cli.photos.photo import Metadata, Photo, read_photo, suffix_for, write_photo
from beautygan_cli.photos.xmp import DIGITAL_SOURCE_TYPE

pillow_heif.register_heif_opener()

pytestmark = pytest.mark.promise("Photos in and out")

LOSSLESS = [".png", ".tif", ".bmp"]
SUFFIXES = [".jpg", ".png", ".webp", ".tif", ".bmp", ".heic", ".avif"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER_NOTE = b"Maker\0" + bytes(range(64))
TURN_BACK = {  # how an upright picture is stored under each orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:Iptc4xmpExt="http://example.org/another-use-of-the-prefix/" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"
 tiff:Orientation="6" exif:GPSLatitude="52,30N" photoshop:City="Berlin" GCamera:MotionPhoto="1">
<dc:creator><rdf:Seq><rdf:li>Zo\u00eb &amp; Co</rdf:li></rdf:Seq></dc:creator>
<exif:GPSLongitude>13,24E</exif:GPSLongitude></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


def picture(width: int = 48, height: int = 32) -> np.ndarray:
    """A smooth picture (HWC uint8 RGB) in which no turn or mirror image equals another."""
    down, across = np.mgrid[0:height, 0:width]
    red = 40 + 180 * across / max(width - 1, 1)
    green = 220 - 170 * down / max(height - 1, 1)
    blue = 60 + 120 * (across + down) / (width + height)
    return np.dstack([red, green, blue]).round().astype(np.uint8)


def exif(orientation: int = 1, *, location: bool = False, thumbnail: bytes = b"") -> bytes:
    """An EXIF block with prefix, as a camera writes it, with a maker's note and on demand a thumbnail in IFD1."""
    tags = Image.Exif()
    tags[0x010F] = "Lens & Sons"
    tags[0x0112] = orientation
    tags.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0x927C: MAKER_NOTE, 0xA002: 9999, 0xA003: 7777})
    if location:
        tags.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 11.25), 29: "2024:05:06"})
    block = bytearray(tags.tobytes()[6:])
    if thumbnail:
        order = "<" if block[:2] == b"II" else ">"
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        block += bytes(len(block) % 2)
        struct.pack_into(order + "I", block, start + 2 + 12 * count, len(block))
        place = len(block) + 2 + 2 * 12 + 4
        block += struct.pack(order + "H", 2)
        block += struct.pack(order + "HHII", 0x0201, 4, 1, place)
        block += struct.pack(order + "HHII", 0x0202, 4, 1, len(thumbnail))
        block += struct.pack(order + "I", 0) + thumbnail
    return b"Exif\0\0" + bytes(block)


def photo(**changes: object) -> Photo:
    return replace(Photo(pixels=picture()), **changes)


def exif_of(path: Path) -> Image.Exif:
    with Image.open(path) as image:
        image.load()
        return image.getexif()


def assert_near(left: np.ndarray, right: np.ndarray, tolerance: float) -> None:
    assert left.shape == right.shape
    assert np.abs(left.astype(int) - right.astype(int)).mean() <= tolerance


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Finding


def test_find_searches_below_in_order_and_keeps_the_sub_folder(tmp_path: Path) -> None:
    names = ["b.JPG", "a.png", "sub/c.heic", "sub/deep/d.avif", "another/e.webp", "a/f.TIFF", "g.bmp", "h.heif"]
    for name in [*names, ".hidden.jpg", ".cache/x.jpg", "notes.txt", "sub/model.data"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, problems = find_photos([tmp_path])
    assert problems == []
    order = ["a.png", "b.JPG", "g.bmp", "h.heif", "a/f.TIFF", "another/e.webp", "sub/c.heic", "sub/deep/d.avif"]
    assert [str(entry.path.relative_to(tmp_path)) for entry in found] == order
    assert [str(entry.inside) for entry in found] == [".", ".", ".", ".", "a", "another", "sub", "sub/deep"]


def test_find_takes_a_named_file_whatever_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "selfie").touch()
    (tmp_path / ".hidden.jpg").touch()
    found, problems = find_photos([tmp_path / "selfie", str(tmp_path / ".hidden.jpg")])
    assert [tuple(entry) for entry in found] == [
        (tmp_path / "selfie", PurePath()),
        (tmp_path / ".hidden.jpg", PurePath()),
    ]
    assert problems == []


def test_find_lists_a_photo_once_and_survives_circles(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").touch()
    (tmp_path / "sub/round").symlink_to(tmp_path)
    (tmp_path / "twice").symlink_to(tmp_path / "sub")
    (tmp_path / "z.jpg").symlink_to(tmp_path / "sub/a.jpg")
    found, problems = find_photos([tmp_path, tmp_path / "sub", tmp_path / "sub/a.jpg"])
    assert len(found) == 1
    assert problems == []


def test_find_names_what_gives_no_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder/pipe.jpg")
    (tmp_path / "folder/gone.png").symlink_to("nowhere")
    (tmp_path / "folder/loop.png").symlink_to("loop.png")
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # a socket's path has room for 108 bytes
    server.bind("socket.jpg")
    named = [
        tmp_path / "empty",
        tmp_path / "folder",
        "/dev/zero",
        tmp_path / "socket.jpg",
        tmp_path / "no.jpg",
        "a\0b",
        "",
    ]
    found, problems = find_photos(named)
    server.close()
    assert found == []
    told = "\n".join(problem.message for problem in problems)
    assert len(problems) == 9
    for word in ["empty holds no photo", "pipe.jpg is a device", "/dev/zero is a device", "socket.jpg is a device"]:
        assert word in told
    for word in [
        "gone.png can't be used: there is no such",
        "loop.png can't be used: its links",
        "no.jpg can't be used",
    ]:
        assert word in told
    assert "a\\x00b" in told and "An empty name" in told


def test_odd_names_are_shown_on_one_line_of_valid_text(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/two\nlines \xff.png"))
    Image.fromarray(picture()).save(odd)
    found, _ = find_photos([tmp_path])
    assert found[0].path == odd
    assert_near(read_photo(odd).pixels, picture(), 0)
    odd.write_bytes(b"")
    with pytest.raises(PhotoError, match="is empty") as caught:
        read_photo(odd)
    assert "two\\nlines \\udcff.png" in str(caught.value)
    assert str(caught.value).encode("utf-8").count(b"\n") == 0


# Reading


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_read_gives_rgb_of_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(picture()).save(path, quality=95)
    read = read_photo(path)
    assert_near(read.pixels, picture(), 0 if suffix in LOSSLESS else 4)
    assert read.pixels.dtype == np.uint8 and read.pixels.flags.c_contiguous and read.pixels.flags.writeable
    assert read.alpha is None
    assert read.format == FORMATS[suffix]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"])
def test_orientation_is_applied_and_then_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    stored = Image.fromarray(picture())
    if TURN_BACK[orientation] is not None:
        stored = stored.transpose(TURN_BACK[orientation])
    path = tmp_path / f"photo{suffix}"
    if suffix == ".heic":  # its encoder takes the stored picture and the tag, and records the turn itself
        stored.save(path, quality=95, exif=exif(orientation))
    else:
        stored.save(path, quality=95, exif=exif(orientation), lossless=True)
    read = read_photo(path)
    assert_near(read.pixels, picture(), 6)
    written = write_photo(read, tmp_path / f"result{suffix}")
    assert_near(read_photo(written).pixels, picture(), 6)
    tags = exif_of(written)
    assert tags.get(0x0112, 1) == 1
    assert tags[0x010F] == "Lens & Sons"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "RGB"])
def test_alpha_is_kept_aside(tmp_path: Path, mode: str) -> None:
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, 24:] = 255
    image = Image.fromarray(np.dstack([picture(), alpha]))
    path = tmp_path / "photo.png"
    expected = picture()
    if mode == "RGB":  # one colour stands for transparent
        solid = picture()
        solid[:, :24] = (1, 2, 3)
        Image.fromarray(solid).save(path, transparency=(1, 2, 3))
        expected = solid
    elif mode == "P":
        image.quantize(64, method=Image.Quantize.FASTOCTREE).save(path)
    elif mode == "PA":
        path = tmp_path / "photo.tif"
        palette = Image.fromarray(picture()).quantize(64).convert("PA")
        palette.putalpha(Image.fromarray(alpha))
        palette.save(path)
    else:
        image.convert(mode).save(path)
        expected = np.asarray(Image.fromarray(picture()).convert("L").convert("RGB")) if mode == "LA" else expected
    read = read_photo(path)
    assert read.alpha is not None
    assert np.array_equal(read.alpha, alpha)
    assert_near(read.pixels[:, 24:], expected[:, 24:], 0 if mode in ("RGBA", "LA", "RGB") else 12)
    if mode in ("RGBA", "LA"):
        assert_near(read.pixels, expected, 0)  # colours under transparent pixels stay too


def test_palette_and_two_levels(tmp_path: Path) -> None:
    Image.fromarray(picture()).quantize(128).save(tmp_path / "palette.png")
    read = read_photo(tmp_path / "palette.png")
    assert read.alpha is None
    assert_near(read.pixels, picture(), 6)
    Image.fromarray(picture()).convert("1").save(tmp_path / "two.png")
    assert set(np.unique(read_photo(tmp_path / "two.png").pixels)) == {0, 255}


def test_greyscale(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_photo(tmp_path / "grey.png").pixels, np.dstack([grey] * 3))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_scaled(tmp_path: Path, suffix: str) -> None:
    deep = np.linspace(0, 65535, 48 * 32).round().astype(np.uint16).reshape(32, 48)
    Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
    read = read_photo(tmp_path / f"deep{suffix}").pixels
    assert np.array_equal(read[..., 0], np.round(deep / 257))
    assert read[0, 0, 1] == 0 and read[-1, -1, 2] == 255


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_rgb_is_scaled(tmp_path: Path, suffix: str) -> None:
    import cv2

    deep = picture().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"deep{suffix}"), deep[..., ::-1])
    read = read_photo(tmp_path / f"deep{suffix}").pixels
    assert np.abs(read.astype(int) - picture()).max() <= 1


@pytest.mark.parametrize("scale", [1 / 255, 1.0, 257.0])
def test_float_tiff_is_scaled(tmp_path: Path, scale: float) -> None:
    levels = picture()[..., 0].astype(np.float32)
    levels[0, 0], levels[0, 1] = 0, 255
    broken = levels * np.float32(scale)
    broken[5, 5] = np.nan
    Image.fromarray(broken).save(tmp_path / "float.tif")
    read = read_photo(tmp_path / "float.tif").pixels[..., 2]
    assert read[5, 5] == 0
    read[5, 5] = levels[5, 5]
    assert np.abs(read - levels).max() <= 1


def test_32_bit_tiff_is_scaled(tmp_path: Path) -> None:
    levels = picture()[..., 0].astype(np.int32) * 257
    Image.fromarray(levels).save(tmp_path / "deep.tif")
    assert_near(read_photo(tmp_path / "deep.tif").pixels[..., 0], picture()[..., 0], 0)


def cmyk_profile() -> bytes:
    """A tiny CMYK profile, whose every mixture is a middle green: nothing like the colours without a profile."""

    def text(kind: bytes, content: bytes) -> bytes:
        return kind + bytes(4) + content

    corners = struct.pack(">BBB", 140, 78, 178) * 16  # Lab as 8 bits
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes(4) + struct.pack(">BBBB", 4, 3, 2, 0) + identity + ramp * 4 + corners + ramp * 3
    white = text(b"XYZ ", struct.pack(">3i", 63190, 65536, 54061))
    name = b"green\0"
    tags = {
        b"desc": text(b"desc", struct.pack(">I", len(name)) + name + bytes(78)),
        b"cprt": text(b"text", b"none\0"),
        b"wtpt": white,
        b"A2B0": table,
    }
    offset = 128 + 4 + 12 * len(tags)
    listing, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        listing += tag + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = offset + len(body)
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head = struct.pack(">I", size) + bytes(4) + b"\x02\x40\0\0" + b"prtrCMYKLab " + date + b"acsp"
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + listing + body


def test_cmyk_goes_through_its_profile(tmp_path: Path) -> None:
    image = Image.fromarray(picture()).convert("CMYK")
    image.save(tmp_path / "plain.jpg", quality=98)
    plain = read_photo(tmp_path / "plain.jpg")
    assert_near(plain.pixels, picture(), 4)
    image.save(tmp_path / "profiled.jpg", quality=98, icc_profile=cmyk_profile())
    profiled = read_photo(tmp_path / "profiled.jpg")
    red, green, blue = profiled.pixels.reshape(-1, 3).mean(axis=0)
    assert green > red + 50 and green > blue + 50
    assert profiled.metadata.icc_profile is None  # it described CMYK
    image.save(tmp_path / "broken.jpg", quality=98, icc_profile=cmyk_profile()[:200])
    assert_near(read_photo(tmp_path / "broken.jpg").pixels, picture(), 4)


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(picture()), to_lab).save(tmp_path / "lab.tif")
    assert_near(read_photo(tmp_path / "lab.tif").pixels, picture(), 3)


@pytest.mark.parametrize("profile", [b"nonsense", SRGB[:300], cmyk_profile(), b"\0" * 128])
def test_a_broken_or_foreign_profile_is_left_out(tmp_path: Path, profile: bytes) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.png", icc_profile=profile)
    read = read_photo(tmp_path / "photo.png")
    assert read.metadata.icc_profile is None
    assert np.array_equal(read.pixels, picture())


@pytest.mark.parametrize("broken", [b"Exif\0\0nonsense", exif()[:40], b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_broken_exif_is_left_out(tmp_path: Path, broken: bytes) -> None:
    for suffix in [".jpg", ".png", ".webp"]:
        path = tmp_path / f"photo{suffix}"
        Image.fromarray(picture()).save(path, exif=broken)
        read = read_photo(path)
        assert_near(read.pixels, picture(), 4)
        written = write_photo(read, tmp_path / f"result{suffix}", overwrite=True)
        assert not exif_of(written)


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.jpg", format="PNG")
    read = read_photo(tmp_path / "photo.jpg")
    assert read.format == "PNG"
    assert np.array_equal(read.pixels, picture())
    assert suffix_for(read.format, read.path, "same") == ".png"


def test_the_main_picture_of_a_heic_and_of_a_multi_picture_jpeg_counts(tmp_path: Path) -> None:
    other = Image.new("RGB", (64, 64), "white")
    heic = pillow_heif.from_pillow(other)
    heic.add_from_pillow(Image.fromarray(picture()))
    heic.save(tmp_path / "two.heic", quality=95, primary_index=1)
    assert_near(read_photo(tmp_path / "two.heic").pixels, picture(), 6)
    path = tmp_path / "two.jpg"
    Image.fromarray(picture()).save(path, format="MPO", save_all=True, append_images=[other], quality=95)
    read = read_photo(path)
    assert read.format == "JPEG"
    assert_near(read.pixels, picture(), 4)


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (1, 1), (20_000, 3)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_extreme_shapes(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    Image.fromarray(picture(*size)).save(tmp_path / f"photo{suffix}", quality=95, subsampling=0)
    read = read_photo(tmp_path / f"photo{suffix}")
    assert_near(read.pixels, picture(*size), 4)
    written = write_photo(read, tmp_path / f"result{suffix}")
    assert_near(read_photo(written).pixels, picture(*size), 5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_photo_is_an_error_with_name_and_remedy(tmp_path: Path, suffix: str) -> None:
    whole = io.BytesIO()
    noisy = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noisy).save(whole, format=FORMATS[suffix])
    path = tmp_path / f"photo{suffix}"
    for share in (0.05, 0.5, 0.8):
        path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * share)])
        with pytest.raises(PhotoError, match=f"photo{suffix} is .*; (get|convert)") as caught:
            read_photo(path)
        assert caught.value.__cause__ is not None


def test_what_is_no_photo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    began = time.monotonic()
    for name, why in {
        "pipe.jpg": "is a device, pipe or socket",
        "folder.jpg": "is a folder",
        "empty.jpg": "is empty",
        "text.jpg": "is no photo of a known format",
        "page.eps": "is no photo of a known format",
        "loop.jpg": "links lead in a circle",
        "missing.jpg": "there is no such file",
        "text.jpg/deeper.jpg": "is a file, not a folder",
        "x" * 300: "its name is too long",
        "nul\0": "no file name may hold",
    }.items():
        with pytest.raises(PhotoError, match=why):
            read_photo(tmp_path / name)
    with pytest.raises(PhotoError, match="device"):
        read_photo("/dev/zero")
    assert time.monotonic() - began < 5


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20_000, 10_001), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(*size))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PhotoError, match=r"bomb.png has more than 200,000,000 pixels; .*--max-pixels"):
        read_photo(tmp_path / "bomb.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


def test_max_pixels_is_exact(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    assert read_photo(tmp_path / "photo.png", max_pixels=48 * 32).pixels.shape == (32, 48, 3)
    with pytest.raises(PhotoError, match="1,535 pixels"):
        read_photo(tmp_path / "photo.png", max_pixels=48 * 32 - 1)


def test_a_photo_over_pillows_own_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for suffix in [".png", ".tif"]:
        Image.fromarray(picture()).save(tmp_path / f"photo{suffix}")
        assert read_photo(tmp_path / f"photo{suffix}", max_pixels=1600).pixels.shape == (32, 48, 3)
    assert Image.MAX_IMAGE_PIXELS == 800


def test_a_file_that_changes_while_it_is_read_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    noise = np.random.default_rng(1).integers(0, 255, (300, 300, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            path.write_bytes(whole[:50_000])
            path.write_bytes(whole)

    changer = threading.Thread(target=change)
    changer.start()
    outcomes = set()
    for _ in range(150):
        try:
            outcomes.add(read_photo(path).pixels.shape)
        except PhotoError:
            outcomes.add(None)
    stop.set()
    changer.join()
    assert outcomes <= {None, (300, 300, 3)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_hundreds_of_mutated_photos_end_as_a_photo_or_an_error(tmp_path: Path, suffix: str) -> None:
    whole = io.BytesIO()
    metadata = {"exif": exif(6, location=True, thumbnail=b"\xff\xd8 old face"), "xmp": XMP, "icc_profile": SRGB}
    if suffix == ".png":
        metadata["pnginfo"] = PngImagePlugin.PngInfo()
        metadata["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    Image.fromarray(picture(16, 16)).save(whole, format=FORMATS[suffix], **metadata)
    chance = random.Random(suffix)
    path = tmp_path / f"photo{suffix}"
    for _ in range(60 if suffix in (".heic", ".avif") else 100):
        content = bytearray(whole.getvalue())
        for _ in range(chance.choice([1, 1, 3, 20])):
            content[chance.randrange(len(content))] = chance.choice([0, 255, chance.randrange(256)])
        path.write_bytes(content)
        try:
            read = read_photo(path, max_pixels=1_000_000)
        except PhotoError:
            continue
        assert read.pixels.ndim == 3 and read.pixels.dtype == np.uint8
        write_photo(read, tmp_path / "result.png", overwrite=True, strip_location=True)
        write_photo(read, tmp_path / "result.tif", overwrite=True)


def test_pillows_warnings_reach_nobody(tmp_path: Path) -> None:
    broken = exif(location=True)[:120] + b"\xff" * 40
    Image.fromarray(picture()).save(tmp_path / "photo.jpg", exif=broken)
    Image.fromarray(picture(400, 400)).save(tmp_path / "large.png")
    Image.fromarray(picture()).save(tmp_path / "samples.tif")
    content = (tmp_path / "samples.tif").read_bytes()
    samples = struct.pack("<HHIHH", 0x0115, 3, 1, 3, 0)
    assert content.count(samples) == 1
    (tmp_path / "samples.tif").write_bytes(content.replace(samples, struct.pack("<HHIHH", 0x0115, 3, 1, 2048, 0)))
    script = f"""
        from PIL import Image
        Image.MAX_IMAGE_PIXELS = 100_000
        from beautygan_cli.photos.photo import PhotoError, read_photo
        read_photo({str(tmp_path / "photo.jpg")!r})
        read_photo({str(tmp_path / "large.png")!r})
        try:
            read_photo({str(tmp_path / "samples.tif")!r})
        except PhotoError:
            pass
    """
    command = [sys.executable, "-W", "always", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_module_loads_no_codec() -> None:
    script = (
        "import sys, beautygan_cli.photos.photo; print(sorted({'PIL', 'imageio', 'pillow_heif'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Writing


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_keep_every_bit(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (37, 53, 3), np.uint8)
    written = write_photo(photo(pixels=noise), tmp_path / f"result{suffix}")
    assert np.array_equal(read_photo(written).pixels, noise)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_alpha_survives_where_the_format_has_it(tmp_path: Path, suffix: str) -> None:
    alpha = np.tile(np.linspace(0, 255, 48).round().astype(np.uint8), (32, 1))
    read = read_photo(write_photo(photo(alpha=alpha), tmp_path / f"result{suffix}"))
    if suffix in (".jpg", ".bmp"):
        share = alpha[..., None] / 255
        assert read.alpha is None
        assert_near(read.pixels, share * picture() + (1 - share) * 255, 1 if suffix == ".bmp" else 4)
    else:
        assert_near(read.pixels, picture(), 0 if suffix in LOSSLESS else 4)  # the colours themselves, not blended
        assert read.alpha is not None
        assert_near(read.alpha, alpha, 3)


def test_jpeg_keeps_full_chroma_and_quality_counts(tmp_path: Path) -> None:
    lips = np.full((64, 64, 3), 200, np.uint8)
    lips[21:43] = (200, 0, 40)
    written = write_photo(photo(pixels=lips), tmp_path / "fine.jpg")
    with Image.open(written) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    assert np.abs(read_photo(written).pixels.astype(int) - lips).max() < 20
    write_photo(photo(pixels=lips), tmp_path / "coarse.jpg", quality=20)
    assert (tmp_path / "coarse.jpg").stat().st_size < written.stat().st_size


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_survives_where_the_format_has_it(tmp_path: Path, suffix: str) -> None:
    kept = Metadata(exif=exif(6)[6:], icc_profile=SRGB, dpi=(300, 240), xmp=XMP)
    written = write_photo(photo(metadata=kept), tmp_path / f"result{suffix}")
    metadata = read_photo(written).metadata
    if suffix not in (".webp", ".heic", ".avif"):
        assert metadata.dpi == pytest.approx((300, 240), abs=0.1)
    if suffix == ".bmp":
        return
    assert metadata.icc_profile == SRGB
    tags = exif_of(written)
    assert tags.get(0x0112, 1) == 1
    assert tags[0x010F] == "Lens & Sons"
    details = tags.get_ifd(0x8769)
    assert details[0x9003] == "2024:05:06 07:08:09"
    assert (details[0xA002], details[0xA003]) == (48, 32)  # the result's own size
    assert MAKER_NOTE in written.read_bytes()
    assert metadata.xmp is not None
    assert "Zo\u00eb &amp; Co" in metadata.xmp.decode()
    again = read_photo(write_photo(read_photo(written), tmp_path / f"again{suffix}")).metadata
    assert again.xmp == metadata.xmp  # a result of a result gains nothing further
    assert again.exif == metadata.exif


def test_tiff_tags_travel_to_jpeg_and_back(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.tif", exif=exif(8, location=True), icc_profile=SRGB, dpi=(72, 96))
    read = read_photo(tmp_path / "photo.tif")
    assert read.metadata.dpi == (96, 72)  # turned with the photo
    tags = exif_of(write_photo(read, tmp_path / "result.jpg"))
    assert tags[0x010F] == "Lens & Sons"
    assert tags.get_ifd(0x8825)[1] == "N"
    assert 0x0111 not in tags  # where the TIFF kept its pixels
    back = write_photo(read_photo(tmp_path / "result.jpg"), tmp_path / "back.tif")
    assert exif_of(back).get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"


def test_maker_notes_stay_where_they_were(tmp_path: Path) -> None:
    """A maker's note counts its offsets from the start of the block."""
    before = exif(6, location=True, thumbnail=b"\xff\xd8 the old face" * 20)[6:]
    written = write_photo(photo(metadata=Metadata(exif=before)), tmp_path / "result.jpg", strip_location=True)
    after = read_photo(written).metadata.exif
    assert after is not None
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"])
def test_the_stale_thumbnail_goes(tmp_path: Path, suffix: str) -> None:
    old = b"\xff\xd8 the old face"
    before = Metadata(exif=exif(thumbnail=old * 10)[6:])
    written = write_photo(photo(metadata=before), tmp_path / f"result{suffix}")
    assert b"old face" not in written.read_bytes()
    tags = exif_of(written)
    assert tags.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    assert tags.get_ifd(ExifTags.IFD.IFD1) == {}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"])
def test_the_location_goes_on_demand(tmp_path: Path, suffix: str) -> None:
    before = Metadata(exif=exif(location=True)[6:], xmp=XMP)
    kept = write_photo(photo(metadata=before), tmp_path / f"kept{suffix}")
    assert exif_of(kept).get_ifd(0x8825)[2] == (52.0, 30.0, 11.25)
    assert b"GPSLatitude" in kept.read_bytes()
    stripped = write_photo(photo(metadata=before), tmp_path / f"stripped{suffix}", strip_location=True)
    tags = exif_of(stripped)
    assert tags.get_ifd(0x8825) == {}
    assert 0x8825 not in tags
    assert tags[0x010F] == "Lens & Sons"
    assert tags.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    content = stripped.read_bytes()
    for word in (b"GPS", b"52,30N", b"13,24E", b"Berlin", b"2024:05:06\0"):
        assert word not in content
    assert b"Zo\xc3\xab" in content


def description(xmp: bytes, space: str, local: str) -> list[str]:
    """All values of a property in a packet, found by a parser that knows nothing of prefixes."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(xmp)
    values = [node.attrib[f"{{{space}}}{local}"] for node in root.iter() if f"{{{space}}}{local}" in node.attrib]
    return values + [node.text or "" for node in root.iter(f"{{{space}}}{local}")]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"])
def test_results_are_marked_as_altered_by_a_model(tmp_path: Path, suffix: str) -> None:
    space = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    for name, before in {"none": None, "some": XMP, "broken": b"<x:xmpmeta"}.items():
        given = photo(metadata=Metadata(xmp=before))
        xmp = read_photo(write_photo(given, tmp_path / f"{name}{suffix}")).metadata.xmp
        assert xmp is not None
        assert description(xmp, space, "DigitalSourceType") == [DIGITAL_SOURCE_TYPE]
        unmarked = read_photo(write_photo(given, tmp_path / f"{name}-unmarked{suffix}", mark=False)).metadata.xmp
        assert (unmarked is None) == (name != "some")
        assert DIGITAL_SOURCE_TYPE.encode() not in (unmarked or b"")


def test_an_earlier_mark_gives_way_to_the_new_one_alone(tmp_path: Path) -> None:
    space = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    capture = b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    other = b'<rdf:Description xmlns:e="' + space.encode() + b'"><e:DigitalSourceType>' + capture
    earlier = XMP.replace(b"</rdf:RDF>", other + b"</e:DigitalSourceType></rdf:Description></rdf:RDF>")
    given = photo(metadata=Metadata(xmp=earlier))
    for mark, value in {True: DIGITAL_SOURCE_TYPE, False: capture.decode()}.items():
        xmp = read_photo(write_photo(given, tmp_path / f"{mark}.png", mark=mark)).metadata.xmp
        assert xmp is not None
        assert description(xmp, space, "DigitalSourceType") == [value]


def test_an_edited_packet_keeps_the_rest_as_it_was(tmp_path: Path) -> None:
    written = write_photo(photo(metadata=Metadata(xmp=XMP)), tmp_path / "result.png")
    xmp = read_photo(written).metadata.xmp
    assert xmp is not None
    assert xmp.startswith(b'<?xpacket begin="\xef\xbb\xbf"') and xmp.endswith(b'<?xpacket end="w"?>')
    assert description(xmp, "http://ns.adobe.com/tiff/1.0/", "Orientation") == ["1"]
    assert description(xmp, "http://ns.google.com/photos/1.0/camera/", "MotionPhoto") == []
    assert b"<dc:creator><rdf:Seq><rdf:li>Zo\xc3\xab &amp; Co</rdf:li></rdf:Seq></dc:creator>" in xmp


@pytest.mark.parametrize(
    "hostile",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
        b"<a>" * 100_000,
        b"<a>" * 50_000 + b"</a>" * 50_000,
        "<x/>".encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?><x/>',
        b"\xff\xfe\0\0",
    ],
)
def test_hostile_xmp_gives_way_to_the_mark(tmp_path: Path, hostile: bytes) -> None:
    written = write_photo(photo(metadata=Metadata(xmp=hostile)), tmp_path / "result.jpg")
    xmp = read_photo(written).metadata.xmp
    assert xmp is not None and DIGITAL_SOURCE_TYPE.encode() in xmp


def test_metadata_too_long_for_jpeg_stops_nothing(tmp_path: Path) -> None:
    long_exif = exif()[6:] + bytes(70_000)
    long_xmp = XMP.replace(b"Zo", b"Zo" * 40_000)
    given = photo(metadata=Metadata(exif=long_exif, xmp=long_xmp))
    metadata = read_photo(write_photo(given, tmp_path / "result.jpg")).metadata
    assert metadata.exif is None
    assert metadata.xmp is not None and DIGITAL_SOURCE_TYPE.encode() in metadata.xmp
    metadata = read_photo(write_photo(given, tmp_path / "result.png")).metadata
    assert metadata.exif is not None
    assert metadata.xmp is not None and len(metadata.xmp) > 80_000


def test_hostile_exif_takes_no_time(tmp_path: Path) -> None:
    many = struct.pack("<HHII", 0x8825, 4, 1, 8) * 60_000
    block = b"II*\0" + struct.pack("<IH", 8, 60_000) + many + bytes(4)
    overlap = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 0x8825, 4, 1, 8) + bytes(4)
    again = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    began = time.monotonic()
    for number, hostile in enumerate([block, overlap, again]):
        given = photo(metadata=Metadata(exif=hostile))
        assert exif_of(write_photo(given, tmp_path / f"{number}.png", strip_location=True)) == {}
    assert time.monotonic() - began < 2


def test_suffix_for(tmp_path: Path) -> None:
    for suffix in [".jpg", ".JPEG", ".png", ".webp", ".tiff", ".bmp", ".heic", ".HEIF", ".avif"]:
        given = photo(path=Path(f"a{suffix}"), format=FORMATS[suffix.lower()])
        assert suffix_for(given.format, given.path, "same") == suffix
    assert suffix_for("GIF", Path("a.gif"), "same") == ".png"
    assert suffix_for("HEIF", Path("a.png"), "same") == ".heic"
    assert suffix_for("JPEG", Path("a.png"), "same") == ".jpg"
    assert [suffix_for("PNG", Path(), choice) for choice in ("jpg", "png", "webp")] == [".jpg", ".png", ".webp"]


def test_an_earlier_file_stays_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / "result.png"
    path.write_bytes(b"earlier")
    with pytest.raises(OutputError, match=r"result.png exists already; remove it, allow --overwrite"):
        write_photo(photo(), path)
    assert path.read_bytes() == b"earlier"
    write_photo(photo(), path, overwrite=True)
    assert np.array_equal(read_photo(path).pixels, picture())
    assert entries(tmp_path) == ["result.png"]


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    outcomes = []

    def attempt(level: int) -> None:
        try:
            write_photo(photo(pixels=np.full((8, 8, 3), level, np.uint8)), tmp_path / "result.png")
            outcomes.append(level)
        except OutputError:
            pass

    threads = [threading.Thread(target=attempt, args=(level,)) for level in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert read_photo(tmp_path / "result.png").pixels[0, 0, 0] == outcomes[0]
    assert entries(tmp_path) == ["result.png"]


def test_without_hard_links_a_file_still_appears_whole_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write_photo(photo(), tmp_path / "result.png")
    with pytest.raises(OutputError, match="exists already"):
        publish([b"other"], tmp_path / "result.png", overwrite=False)
    assert np.array_equal(read_photo(tmp_path / "result.png").pixels, picture())
    assert entries(tmp_path) == ["result.png"]


def test_the_photo_itself_is_never_replaced(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    (tmp_path / "link.png").symlink_to("photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    read = read_photo(tmp_path / "photo.png")
    for name in ("photo.png", "link.png"):
        with pytest.raises(OutputError, match="is the photo itself"):
            write_photo(read, tmp_path / name, overwrite=True)
    assert (tmp_path / "photo.png").read_bytes() == content


def test_a_link_at_the_output_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.png").write_bytes(b"precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/result.png").symlink_to("../elsewhere.png")
    write_photo(photo(), tmp_path / "out/result.png", overwrite=True)
    assert (tmp_path / "elsewhere.png").read_bytes() == b"precious"
    assert not (tmp_path / "out/result.png").is_symlink()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_file_modes_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        written = write_photo(photo(), tmp_path / "result.jpg")
    finally:
        os.umask(before)
    assert stat.S_IMODE(written.stat().st_mode) == mode


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    assert write_photo(photo(), tmp_path / "a/b/result.jpg").is_file()


def test_what_can_not_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.png").mkdir()
    for name, why, overwrite in [
        ("x" * 260 + ".png", "its name is too long, use shorter names", False),
        ("file/result.png", "not a folder", False),
        ("folder.png", "it is a folder", True),
        ("nul\0.png", "no file name may hold", False),
        ("result.xyz", "its suffix names no known format", False),
    ]:
        with pytest.raises(OutputError, match=why) as caught:
            write_photo(photo(), tmp_path / name, overwrite=overwrite)
        assert str(tmp_path) in str(caught.value)
    wide = photo(pixels=np.zeros((1, 20_000, 3), np.uint8))
    with pytest.raises(OutputError, match=r"can't be written as WEBP at 20000 x 1 pixels; choose another --format"):
        write_photo(wide, tmp_path / "wide.webp")
    assert entries(tmp_path) == ["file", "folder.png"]


def in_mounted_folder(folder: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    in_mounted_folder(tmp_path, "size=64k")
    try:
        noise = np.random.default_rng(3).integers(0, 255, (300, 300, 3), np.uint8)
        with pytest.raises(OutputError, match=r"result.png can't be written: the disk is full, free some space"):
            write_photo(photo(pixels=noise), tmp_path / "result.png")
        assert entries(tmp_path) == []
        write_photo(photo(), tmp_path / "small.png")
        with pytest.raises(OutputError, match="disk is full"):
            write_photo(photo(pixels=noise), tmp_path / "small.png", overwrite=True)
        assert np.array_equal(read_photo(tmp_path / "small.png").pixels, picture())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_fault_of_the_disk_while_a_photo_is_encoded_is_not_the_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(image: Image.Image, file: object, **options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(OutputError, match=r"photo\.jpg can't be written: .*fault of the disk"):
        write_photo(Photo(picture()), tmp_path / "photo.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_disk_is_named(tmp_path: Path) -> None:
    in_mounted_folder(tmp_path, "size=64k,ro")
    try:
        with pytest.raises(OutputError, match="the disk is read-only, choose another folder"):
            write_photo(photo(), tmp_path / "result.png")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="access is denied"):
        write_photo(photo(), tmp_path / "result.png")
    tmp_path.chmod(0o700)


def test_a_limit_on_file_size_leaves_nothing(tmp_path: Path) -> None:
    script = f"""
        import resource
        import numpy as np
        from pathlib import Path
        from beautygan_cli.photos.photo import Photo, write_photo
        from beautygan_cli.errors import OutputError
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
        try:
            write_photo(Photo(pixels=noise), Path({str(tmp_path)!r}) / "result.png")
        except OutputError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "result.png can't be written: it is larger than files may be here" in done.stdout
    assert entries(tmp_path) == []


def test_sweep_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    script = f"""
        import os
        from pathlib import Path
        import numpy as np
        from beautygan_cli.photos.photo import Photo, write_photo
        os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
        write_photo(Photo(pixels=np.zeros((8, 8, 3), np.uint8)), Path({str(tmp_path)!r}) / "sub/result.png")
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False).returncode == -9
    left = entries(tmp_path / "sub")
    assert len(left) == 1 and left[0].startswith(".beautygan-")
    assert find_photos([tmp_path])[0] == []
    held = tmp_path / ".beautygan-0123456789abcdef.part"
    for name in (held.name, ".beautygan-notes.part", "result.png", ".part"):
        (tmp_path / name).write_bytes(b"x")
    with held.open("rb") as file:
        assert claim(file)
        assert sweep(tmp_path) == 1
    assert entries(tmp_path / "sub") == []
    assert entries(tmp_path) == [held.name, ".beautygan-notes.part", ".part", "result.png", "sub"]
    assert sweep(tmp_path) == 1
    assert sweep(tmp_path / "missing") == 0


def test_a_jpeg_is_encoded_into_a_real_file_and_so_beside_other_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, given = Image.Image.save, []

    def spied(image: Image.Image, file: io.BufferedIOBase, **options: object) -> None:
        given.append(os.fstat(file.fileno()))  # without a descriptor Pillow would keep the interpreter's lock
        save(image, file, **options)

    monkeypatch.setattr(Image.Image, "save", spied)
    written = write_photo(Photo(picture()), tmp_path / "photo.jpg")
    assert [status.st_ino for status in given] == [written.stat().st_ino]


MEMORY = """
import sys
from pathlib import Path
from PIL import Image
from beautygan_cli.photos.photo import read_photo, write_photo
for number in range(4):
    if number == 2:
        Image.core.reset_stats()
    write_photo(read_photo(sys.argv[1]), Path(sys.argv[1]).with_name(f"{number}.jpg"))
stats = Image.core.get_stats()
print(Image.core.get_blocks_max(), stats["allocated_blocks"], stats["reused_blocks"] > 0)
"""


@pytest.mark.parametrize(("own", "shown"), [({}, "8 0 True"), ({"PILLOW_BLOCKS_MAX": "12"}, "12 0 True")])
def test_the_memory_of_a_photo_serves_the_next_one(tmp_path: Path, own: dict[str, str], shown: str) -> None:
    Image.fromarray(picture(3000, 2000)).save(tmp_path / "photo.jpg")
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "photo.jpg")]
    ended = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == shown


def test_the_same_photo_gives_the_same_bytes(tmp_path: Path) -> None:
    given = photo(metadata=Metadata(exif=exif(6)[6:], icc_profile=SRGB, dpi=(300, 300), xmp=XMP))
    for suffix in SUFFIXES:
        first = write_photo(given, tmp_path / f"first{suffix}").read_bytes()
        assert write_photo(given, tmp_path / f"second{suffix}").read_bytes() == first
