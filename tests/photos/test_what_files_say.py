"""What a photo's file says of itself is kept, converted, said or refused; `docs/formats.md` is a table of these tests.

Results are looked at as a viewer that honours their metadata shows them: through LittleCMS, by the profile in the file.
"""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin, TiffImagePlugin

from beautygan_cli.errors import PhotoError
from beautygan_cli.photos import animation, icc, photo
from beautygan_cli.photos.animation import animation_format, probe_animation, read_animation, write_animation
from beautygan_cli.photos.captions import iim_segment
from beautygan_cli.photos.find import passed_over
from beautygan_cli.photos.formats import FIRST_SUFFIX, FORMATS, SOURCE_SUFFIXES
from beautygan_cli.photos.photo import (
    Metadata,
    Photo,
    losses,
    photo_of,
    read_photo,
    told_format,
    turned_by_exif,
    write_photo,
)
from beautygan_cli.photos.tiff import as_deep
from beautygan_cli.photos.xmp import NEW_XMP, is_result

pillow_heif.register_heif_opener()

says = pytest.mark.says

SPACES = {
    "Display P3": icc.matrix_profile(icc.PRIMARIES[12], None),
    "Adobe RGB": icc.matrix_profile((0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256),
    "ProPhoto": icc.matrix_profile((0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), 1.8),
}
P3 = SPACES["Display P3"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FACE = np.s_[8:24, 12:36]  # the part of `picture` that is changed


def picture() -> np.ndarray:
    """Skin-like colours with soft changes, HWC uint8 sRGB."""
    down, across = np.mgrid[0:32, 0:48]
    return np.dstack([120 + 2 * across, 60 + 3 * down, 70 + down + across]).astype(np.uint8)


def converted(pixels: np.ndarray, profile: bytes, *, back: bool = False) -> np.ndarray:
    """Pixels of sRGB in the space of a profile, or (`back`) the other way, by LittleCMS."""
    sides = [ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))]
    one, other = reversed(sides) if back else sides
    transform = ImageCms.buildTransform(one, other, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))


def levels_of(path: Path) -> np.ndarray:
    """A file's levels as they stand, at their own depth, by no reader of ours."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


def with_makeup(photo: Photo) -> Photo:
    """A photo whose FACE is redder, as if by makeup."""
    pixels = photo.pixels.astype(int)
    pixels[FACE] += [30, -25, -10]
    return replace(photo, pixels=np.clip(pixels, 0, 255).astype(np.uint8))


def chunked(png: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one chunk more behind its head."""
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return png[:33] + chunk + png[33:]


def encoded(pixels: np.ndarray, photo_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, photo_format, **options)
    return file.getvalue()


# Colour


@says("JPEG, PNG, TIFF, WebP, HEIC, AVIF", "ICC profile of RGB by matrix and curves", "kept; the work is done in sRGB")
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".heic", ".avif"])
def test_a_profile_is_seen_through_and_kept(tmp_path: Path, suffix: str, space: str) -> None:
    profile = SPACES[space]
    path = tmp_path / f"photo{suffix}"
    own = converted(picture(), profile)
    exact = {"subsampling": "4:4:4"} if suffix in (".jpg", ".avif") else {}
    Image.fromarray(own).save(path, quality=100, icc_profile=profile, **exact)
    photo = read_photo(path)
    assert np.abs(photo.pixels.astype(int) - picture()).mean() < (1 if suffix in (".png", ".tif") else 4)
    made = with_makeup(photo)
    written = write_photo(made, tmp_path / f"made{suffix}", quality=100)
    with Image.open(written) as image:
        assert image.info["icc_profile"] == profile
        shown = converted(np.asarray(image.convert("RGB")), profile, back=True)
    assert np.abs(shown.astype(int) - made.pixels).mean() < (1.2 if suffix in (".png", ".tif") else 5)


@says("PNG, TIFF", "pixels outside the face, whatever the profile", "kept to the bit")
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_does_not_change_stays_to_the_bit(tmp_path: Path, suffix: str, space: str) -> None:
    own = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)  # far out of sRGB for the most part
    Image.fromarray(own).save(tmp_path / f"photo{suffix}", icc_profile=SPACES[space])
    written = write_photo(with_makeup(read_photo(tmp_path / f"photo{suffix}")), tmp_path / f"made{suffix}")
    same = (levels_of(written) == own).all(axis=-1)
    assert not same[FACE].all()
    same[FACE] = True
    assert same.all()


@says("all with a profile", "colours that sRGB does not hold", "kept, in the face too")
def test_colours_out_of_srgb_stay_out_of_it(tmp_path: Path) -> None:
    own = np.full((32, 48, 3), (250, 40, 30), np.uint8)
    Image.fromarray(own).save(tmp_path / "photo.png", icc_profile=P3)
    photo = read_photo(tmp_path / "photo.png")
    pixels = photo.pixels.copy()
    pixels[FACE] -= np.array([20, 0, 0], np.uint8)
    written = levels_of(write_photo(replace(photo, pixels=pixels), tmp_path / "made.png"))
    seen = icc.srgb_coded(icc.rgb_space(P3).light(written))[16, 24]
    assert seen[0] > 1 - 20 / 255 + 0.03  # redder than sRGB's own red less the change
    assert written[16, 24, 0] < 250


@says("all into BMP, GIF", "colour profile", "the pixels become sRGB, and this is said of a photo")
@pytest.mark.parametrize("space", SPACES)
def test_where_a_format_carries_no_profile_the_pixels_are_srgb(tmp_path: Path, space: str) -> None:
    own = converted(picture(), SPACES[space])
    Image.fromarray(own).save(tmp_path / "photo.png", icc_profile=SPACES[space])
    photo = read_photo(tmp_path / "photo.png")
    assert losses(photo, Path("made.bmp")) == ["its colour profile gave way to sRGB, since a BMP carries none"]
    made = with_makeup(photo)
    with Image.open(write_photo(made, tmp_path / "made.bmp")) as image:
        assert np.array_equal(np.asarray(image), made.pixels)
    frames = [Image.fromarray(np.roll(own, number, axis=0)) for number in range(2)]
    source = animated(tmp_path / "a.webp", "WEBP", frames, icc_profile=SPACES[space])
    seen = played(through(source, tmp_path / "made.gif", "GIF"))[2][0][..., :3]
    assert np.abs(seen.astype(int) - made.pixels).mean() < 3


@says("all", "profile of sRGB, or none", "kept; nothing is converted")
@pytest.mark.parametrize("profile", [None, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_srgb_is_not_converted(tmp_path: Path, profile: bytes | None) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.png", icc_profile=profile)
    photo = read_photo(tmp_path / "photo.png")
    assert photo.native is None and photo.metadata.icc_profile == profile
    assert np.array_equal(photo.pixels, picture())


def coded_p3(kind: str) -> bytes:
    own = converted(picture(), P3)
    if kind == "cICP":
        return chunked(encoded(own, "PNG"), b"cICP", bytes([12, 13, 0, 1]))
    if kind == "cHRM":
        places = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
        png = chunked(encoded(own, "PNG"), b"cHRM", struct.pack(">8I", *places))
        return chunked(png, b"gAMA", struct.pack(">I", 45455))
    if kind == "AVIF":
        avif = encoded(own, "AVIF", quality=100, subsampling="4:4:4")
        assert b"nclx\0\1\0\x0d" in avif
        return avif.replace(b"nclx\0\1\0\x0d", b"nclx\0\x0c\0\x0d")
    return encoded(own, "HEIF", quality=100, chroma=444, color_primaries=12, transfer_characteristics=13)


@says("PNG (cICP, gAMA with cHRM), HEIC and AVIF (nclx)", "colour space without a profile", "converted to a profile")
@pytest.mark.parametrize("kind", ["cICP", "cHRM", "AVIF", "HEIF"])
def test_a_space_told_without_a_profile_is_kept_as_one(tmp_path: Path, kind: str) -> None:
    (tmp_path / "photo").write_bytes(coded_p3(kind))
    photo = read_photo(tmp_path / "photo")
    assert np.abs(photo.pixels.astype(int) - picture()).mean() < (1 if kind.startswith("c") else 3)
    written = write_photo(photo, tmp_path / "made.png")
    with Image.open(written) as image:
        shown = converted(np.asarray(image), image.info["icc_profile"], back=True)
    assert np.abs(shown.astype(int) - photo.pixels).mean() < 1


@says("PNG", "gAMA of another power", "converted to a profile")
def test_a_png_of_linear_light_is_seen_as_it_is_meant(tmp_path: Path) -> None:
    linear = np.rint(255 * icc.srgb_light(picture() / np.float32(255))).astype(np.uint8)
    (tmp_path / "photo.png").write_bytes(chunked(encoded(linear, "PNG"), b"gAMA", struct.pack(">I", 100_000)))
    assert np.abs(read_photo(tmp_path / "photo.png").pixels.astype(int) - picture()).mean() < 2


def grey_profile() -> bytes:
    """A profile of greys with a power curve of 1.8."""
    tags = icc._tags(icc.matrix_profile(icc.BT709, 1.8))
    return of_tags({name: tags[name] for name in (b"desc", b"cprt", b"wtpt")} | {b"kTRC": tags[b"rTRC"]}, b"GRAY")


def of_tags(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """A profile of such tags, for pixels of such a space."""
    listing, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        listing += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = bytearray(P3[:128])
    head[16:20] = space
    struct.pack_into(">I", head, 0, 128 + len(listing) + len(body))
    return bytes(head) + listing + body


@says("JPEG, PNG, TIFF, of 8 and 16 bits", "profile of greys", "converted to one of RGB, to the bit")
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_greys_keep_their_levels_under_a_profile_of_rgb(tmp_path: Path, suffix: str, bits: int) -> None:
    grey = picture()[..., 0] if bits == 8 else picture()[..., 0].astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / f"photo{suffix}", icc_profile=grey_profile())
    photo = read_photo(tmp_path / f"photo{suffix}")
    expected = 255 * icc.srgb_coded(((picture()[..., 0] / 255) ** 1.8).astype(np.float32))
    assert np.abs(photo.pixels[..., 0] - expected).max() <= 1.5
    written = write_photo(photo, tmp_path / f"made{suffix}")
    assert np.array_equal(levels_of(written)[..., 0], grey)
    with Image.open(written) as image:
        assert icc.rgb_space(image.info["icc_profile"]) is not None


@says("all with a profile", "profile that is broken or of another kind than the pixels", "left out, and said")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".heic", ".avif"])
@pytest.mark.parametrize("kind", ["cut", "junk", "of CMYK", "of greys"])
def test_a_profile_of_no_use_is_said(tmp_path: Path, suffix: str, kind: str) -> None:
    profile = {"cut": P3[:300], "junk": b"no profile" * 30, "of CMYK": P3[:16] + b"CMYK" + P3[20:]}.get(kind)
    Image.fromarray(picture()).save(tmp_path / f"photo{suffix}", icc_profile=profile or grey_profile())
    photo = read_photo(tmp_path / f"photo{suffix}")
    assert photo.notes == ("its colour profile is broken, or none for such pixels, and was left out",)
    with Image.open(write_photo(photo, tmp_path / f"made{suffix}")) as image:
        assert not image.info.get("icc_profile")


def test_a_profile_that_can_not_be_put_together_is_said(tmp_path: Path) -> None:
    png = encoded(picture(), "PNG", icc_profile=P3)
    (tmp_path / "photo.png").write_bytes(chunked(encoded(picture(), "PNG"), b"iCCP", b"x\0\0no zlib"))
    segment = b"ICC_PROFILE\0\1\2" + P3  # the first of two, and no second
    segment = b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment
    jpeg = encoded(picture(), "JPEG")
    (tmp_path / "photo.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    for path in (tmp_path / "photo.png", tmp_path / "photo.jpg"):
        assert read_photo(path).notes == ("its colour profile is broken, or none for such pixels, and was left out",)
    (tmp_path / "sound.png").write_bytes(png)
    assert read_photo(tmp_path / "sound.png").notes == ()


def test_a_profile_of_rgb_in_cmyk_is_said(tmp_path: Path) -> None:
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "photo.jpg", icc_profile=P3)
    assert "its colour profile is broken, or none for such pixels, and was left out" in (
        read_photo(tmp_path / "photo.jpg").notes
    )


def one_way_profile() -> bytes:
    """A profile of RGB that leads to the connection space by a table, and not back."""
    steps = np.linspace(0, 1, 5)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    xyz = (grid**2) @ icc._columns(icc.BT709).T / (1 + 32767 / 32768)
    table = b"mft2" + bytes(4) + bytes([3, 3, 5, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += struct.pack(">HH", 2, 2) + struct.pack(">6H", *(0, 65535) * 3)
    table += np.rint(xyz * 65535).astype(">u2").tobytes() + struct.pack(">6H", *(0, 65535) * 3)
    tags = icc._tags(P3)
    tags = {name: tags[name] for name in (b"desc", b"cprt", b"wtpt")} | {b"A2B0": table}
    return of_tags(tags, b"RGB ")


@says("PNG, TIFF", "16 bits under a profile that leads one way alone", "converted to sRGB of 8 bits, and said")
def test_16_bits_under_a_profile_of_one_way_become_8_and_this_is_said(tmp_path: Path) -> None:
    deep = deep_picture()
    plain = io.BytesIO(cv2.imencode(".png", deep[..., ::-1])[1].tobytes())
    packed = b"x\0\0" + zlib.compress(one_way_profile())
    (tmp_path / "photo.png").write_bytes(chunked(plain.getvalue(), b"iCCP", packed))
    photo = read_photo(tmp_path / "photo.png")
    assert photo.notes == (
        "its colour profile leads one way alone and gave way to sRGB",
        "16 bits a channel became 8",
    )


@says("JPEG, TIFF", "CMYK and Lab", "converted to sRGB, and said")
def test_cmyk_becomes_srgb_and_this_is_said(tmp_path: Path) -> None:
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "photo.jpg", quality=98)
    assert read_photo(tmp_path / "photo.jpg").notes == ("its CMYK became sRGB",)


def hdr(kind: str) -> bytes:
    if kind == "PNG":
        return chunked(encoded(picture(), "PNG"), b"cICP", bytes([9, 16, 0, 1]))
    if kind == "AVIF":
        return encoded(picture(), "AVIF").replace(b"nclx\0\1\0\x0d", b"nclx\0\x09\0\x12")
    if kind == "HEIF":
        return encoded(picture(), "HEIF", color_primaries=9, transfer_characteristics=16)
    named = [text.ljust(28).encode("utf-16-be") for text in ("RGB as the file described it", "Rec. 2020 PQ")]
    profile = P3.replace(*named)
    return encoded(picture(), "JPEG", icc_profile=profile)


@says("HEIC, AVIF, PNG, JPEG", "HDR (PQ, HLG)", "refused")
@pytest.mark.parametrize("kind", ["PNG", "AVIF", "HEIF", "JPEG"])
def test_hdr_is_refused_with_what_to_export(tmp_path: Path, kind: str) -> None:
    (tmp_path / "photo").write_bytes(hdr(kind))
    with pytest.raises(
        PhotoError, match=r"photo is an HDR photo \((PQ|HLG)\); export it in SDR, as JPEG or PNG, first"
    ):
        read_photo(tmp_path / "photo")


def mp4(brand: bytes = b"isom") -> bytes:
    return struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, b"isom") + bytes(3000)


def behind(kind: str) -> bytes:
    """What cameras lay behind a JPEG's end without a word in its XMP."""
    small = picture()[:8, :8]
    hdrgm = b"<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'/>"
    iso = encoded(small, "JPEG")
    segment = b"urn:iso:std:iso:ts:21496:-1\0"
    iso = iso[:2] + b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment + iso[2:]
    return {
        "Samsung's": b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + mp4() + b"SEFH" + bytes(20) + b"SEFT",
        "a video": mp4(),
        "a video of QuickTime": bytes(9) + mp4(b"qt  "),
        "a video far behind": b"x" * ((1 << 20) - 6) + mp4(),
        "a gain map of Adobe's": encoded(small, "JPEG", xmp=hdrgm),
        "a gain map of ISO": iso,
        "a picture": bytes(100) + encoded(small, "JPEG"),
        "Samsung's time": b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1577934245000SEFH" + bytes(20) + b"SEFT",
        "nothing": b"",
    }[kind]


@says("JPEG", "video, gain map, further picture behind its end, though nothing says so", "left out, and said")
@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("Samsung's", "video"), ("a video", "video"), ("a video of QuickTime", "video"),
        ("a video far behind", "video"),
        ("a gain map of Adobe's", "gain map"), ("a gain map of ISO", "gain map"), ("a picture", "further picture"),
        ("Samsung's time", None), ("nothing", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("progressive", [False, True])
def test_what_lies_behind_the_end_of_a_jpeg_is_said(
    tmp_path: Path, kind: str, word: str | None, progressive: bool
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "\xff\xd9"  # no end, though it looks like one
    jpeg = encoded(picture(), "JPEG", progressive=progressive, exif=exif.tobytes())
    (tmp_path / "photo.jpg").write_bytes(jpeg + behind(kind))
    said = (f"the {word} in the file was left out, since it shows the face as it was",) if word else ()
    assert read_photo(tmp_path / "photo.jpg").notes == said


@says("JPEG (Ultra HDR), HEIC", "gain map, depth map, video behind the photo", "left out, and said")
@pytest.mark.parametrize(
    ("mark", "word"),
    [("hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'", "gain map"), ("GCamera='x' GCamera:MotionPhoto='1'", "video")],
)
def test_what_lies_behind_a_jpeg_is_left_out_and_said(tmp_path: Path, mark: str, word: str) -> None:
    packet = f"<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:{mark}/>".encode()
    Image.fromarray(picture()).save(tmp_path / "photo.jpg", xmp=packet)
    (note,) = read_photo(tmp_path / "photo.jpg").notes
    assert note.startswith(f"the {word} in the file was left out")


# Depth


def deep_picture() -> np.ndarray:
    return picture().astype(np.uint16) * 257 + np.random.default_rng(2).integers(0, 100, (32, 48, 3)).astype(np.uint16)


@says("PNG, TIFF", "16 bits a channel", "kept to the bit outside the face")
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_kept(tmp_path: Path, suffix: str, channels: int) -> None:
    deep = deep_picture()
    stored = {1: deep[..., 0], 3: deep, 4: np.dstack([deep, np.full(deep.shape[:2], 65000, np.uint16)])}[channels]
    cv2.imwrite(str(tmp_path / f"photo{suffix}"), stored if channels == 1 else stored[..., [2, 1, 0, 3][:channels]])
    photo = read_photo(tmp_path / f"photo{suffix}")
    path = write_photo(with_makeup(photo), tmp_path / f"made{suffix}")
    written = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint16
    colours = written[..., [2, 1, 0]]
    expected = np.repeat(deep[..., :1], 3, axis=-1) if channels == 1 else deep
    outside = np.ones(deep.shape[:2], bool)
    outside[FACE] = False
    assert np.array_equal(colours[outside], expected[outside])
    assert np.abs(colours[FACE].astype(int) - expected[FACE] - np.array([30, -25, -10]) * 257).max() <= 1
    if channels == 4:
        assert (written[..., 3] == 65000).all()
    again = read_photo(path)
    assert again.native is not None and again.metadata.xmp is not None


def plain_tiff(levels: np.ndarray, *others: tuple[int, int, int | bytes], big: bool = False, order: str = "<") -> bytes:
    """A TIFF without compression, of greys or RGB, with other tags: number, type, and a value or several of type 3.

    big: whether it is a BigTIFF; order: of its bytes.
    """
    height, width = levels.shape[:2]
    channels = levels.shape[2] if levels.ndim == 3 else 1
    content = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
    head = 16 if big else 8
    bits = struct.pack(f"{order}{channels}H", *(8 * levels.itemsize,) * channels)
    told = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, channels, bits), 259: (3, 1, 1),
        262: (3, 1, 2 if channels > 1 else 1), 273: (4, 1, head), 277: (3, 1, channels), 278: (4, 1, height),
        279: (4, 1, len(content)), 339: (3, 1, {"u": 1, "i": 2, "f": 3}[levels.dtype.kind]),
    }  # fmt: skip
    for number, kind, value in others:
        told[number] = (kind, 1 if isinstance(value, int) else len(value) // 2, value)
    room, letter = (8, "Q") if big else (4, "I")
    behind = b""
    entries = []
    for number, (kind, count, value) in sorted(told.items()):
        if isinstance(value, int):
            value = struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], value)
        if len(value) > room:
            place = head + len(content) + len(behind)
            behind += value
            value = struct.pack(order + letter, place)
        entries.append(struct.pack(f"{order}HH{letter}", number, kind, count) + value.ljust(room, b"\0"))
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    start += struct.pack(order + "HH", 8, 0) if big else b""
    start += struct.pack(order + letter, head + len(content) + len(behind))
    folder = struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries) + bytes(room)
    return start + content + behind + folder


@says("TIFF", "greys in which 0 is white", "read as they are meant")
@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "floats"])
def test_greys_from_white_to_black_are_no_negative(tmp_path: Path, kind: str) -> None:
    grey = picture()[..., 0]
    stored = {"8 bits": grey, "16 bits": grey.astype(np.uint16) * 257, "floats": (grey / 255).astype(np.float32)}[kind]
    white = np.float32(1) if kind == "floats" else np.iinfo(stored.dtype).max
    (tmp_path / "photo.tif").write_bytes(plain_tiff((white - stored).astype(stored.dtype), (262, 3, 0)))
    assert np.abs(read_photo(tmp_path / "photo.tif").pixels[..., 0].astype(int) - grey).max() <= 1
    with Image.open(tmp_path / "photo.tif") as image:
        assert np.abs(photo_of(image).pixels[..., 0].astype(int) - grey).max() <= 1


@says("TIFF", "greys of 12 bits", "kept, in 16")
def test_greys_of_12_bits_keep_their_lightness(tmp_path: Path) -> None:
    tiff = plain_tiff(np.zeros((8, 18), np.uint8))  # whose rows hold 12 pixels of 12 bits
    tiff = tiff.replace(struct.pack("<HHII", 256, 4, 1, 18), struct.pack("<HHII", 256, 4, 1, 12))
    tiff = tiff.replace(struct.pack("<HHIHH", 258, 3, 1, 8, 0), struct.pack("<HHIHH", 258, 3, 1, 12, 0))
    (tmp_path / "photo.tif").write_bytes(tiff[:8] + bytes([0xFF, 0xF8, 0x00]) * 48 + tiff[8 + 144 :])
    photo = read_photo(tmp_path / "photo.tif")
    assert photo.pixels[0, :2, 0].tolist() == [255, 128] and photo.native.levels[0, 0, 0] == 65535


@says("TIFF", "greys of 32 bits", "converted to 8, and said")
@pytest.mark.parametrize("top", [2**32 - 1, 2**31 - 1, 65535, 255])
def test_greys_of_32_bits_keep_their_lightness(tmp_path: Path, top: int) -> None:
    grey = picture()[..., 0]
    grey = np.where(np.arange(48) == 47, np.uint8(255), grey)  # signed ones are taken by their peak
    stored = np.rint(grey / 255 * top).astype(np.int32 if top == 2**31 - 1 else np.uint32)
    (tmp_path / "photo.tif").write_bytes(plain_tiff(stored))
    photo = read_photo(tmp_path / "photo.tif")
    assert np.abs(photo.pixels[..., 0].astype(int) - grey).max() <= 1
    assert photo.notes == ("32 bits a channel became 8",)


@says("PNG, TIFF", "16 bits with a profile", "kept, both")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_under_a_profile(tmp_path: Path, suffix: str) -> None:
    own = converted(picture(), SPACES["ProPhoto"]).astype(np.uint16) * 257 + 60
    photo = Photo(pixels=picture())
    cv2.imwrite(str(tmp_path / "plain.png"), own[..., ::-1])
    plain = read_photo(tmp_path / "plain.png")
    native = replace(plain.native, profile=SPACES["ProPhoto"])
    given = replace(plain, native=native)
    path = write_photo(given, tmp_path / f"photo{suffix}")
    photo = read_photo(path)
    assert photo.native.profile == SPACES["ProPhoto"]
    assert np.array_equal(photo.native.levels, own)
    assert np.abs(photo.pixels.astype(int) - picture()).max() <= 2
    made = with_makeup(photo)
    written = levels_of(write_photo(made, tmp_path / f"made{suffix}"))
    shown = converted(np.rint(written / 257).astype(np.uint8), SPACES["ProPhoto"], back=True)
    assert np.abs(shown.astype(int) - made.pixels).max() <= 4


@says("PPM, PGM into PNG", "more than 8 bits a channel", "kept, in 16")
@pytest.mark.parametrize("top", [65535, 4095, 1000])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_deep_ppm_is_kept(tmp_path: Path, channels: int, top: int) -> None:
    deep = deep_picture()[..., :channels]
    stored = np.rint(deep / 65535 * top).astype(np.uint16)
    writer = "a writer of many words " * 300
    head = f"P{6 if channels == 3 else 5} # {writer}\n48 # so wide, and so high\n32\n{top}\n".encode()
    (tmp_path / "photo.ppm").write_bytes(head + stored.astype(">u2").tobytes())
    photo = read_photo(tmp_path / "photo.ppm")
    assert photo.notes == () and photo.native.bits == top.bit_length()
    written = levels_of(write_photo(photo, tmp_path / "made.png"))
    assert written.dtype == np.uint16
    assert np.abs(written - stored / top * 65535).max() <= 1


@says("PNG", "a transparent grey or colour of 16 bits", "kept, as transparency")
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_level_of_16_bits_is_kept(tmp_path: Path, channels: int) -> None:
    deep = deep_picture()[..., :channels]
    deep[:8] = [40_000, 30_001, 20_002][:channels]
    png = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    (tmp_path / "photo.png").write_bytes(chunked(png, b"tRNS", struct.pack(f">{channels}H", *map(int, deep[0, 0]))))
    photo = read_photo(tmp_path / "photo.png")
    assert not photo.alpha[:8].any() and (photo.alpha[8:] == 255).all()
    again = cv2.imread(str(write_photo(photo, tmp_path / "made.png")), cv2.IMREAD_UNCHANGED)
    assert not again[:8, :, 3].any() and (again[8:, :, 3] == 65535).all()
    assert np.array_equal(again[..., 2], deep[..., 0])


@says("PNG, TIFF into another format", "16 bits a channel", "converted to 8, and said")
def test_16_bits_that_a_format_can_not_hold_are_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), deep_picture()[..., ::-1])
    photo = read_photo(tmp_path / "photo.png")
    assert losses(photo, Path("made.jpg")) == ["16 bits a channel became 8, since a JPEG has no more"]
    assert losses(photo, Path("made.tif")) == []
    written = read_photo(write_photo(photo, tmp_path / "made.bmp"))
    assert np.abs(written.pixels.astype(int) - picture()).max() <= 1


def ramps() -> np.ndarray:
    """Colours with changes of less than a step of 8 bits, HWC uint16."""
    down, across = np.mgrid[0:64, 0:96]
    return (np.dstack([150 + across / 2, 60 + down, 70 + across / 4 + down / 3]) * 257).astype(np.uint16)


def saved_deep_heif(path: Path, levels: np.ndarray, **options: object) -> Path:
    height, width, channels = levels.shape
    mode = {3: "RGB;16", 4: "RGBA;16"}[channels]
    pillow_heif.from_bytes(mode=mode, size=(width, height), data=levels.tobytes()).save(path, quality=100, **options)
    return path


@says("HEIC", "10 bits a channel", "kept")
@pytest.mark.parametrize("profile", [None, P3])
def test_10_bits_of_a_heic_are_kept(tmp_path: Path, profile: bytes | None) -> None:
    own = ramps()
    path = saved_deep_heif(tmp_path / "photo.heic", own, chroma=444, **({"icc_profile": profile} if profile else {}))
    photo = read_photo(path)
    assert (photo.native.bits, photo.native.levels.dtype, photo.notes) == (10, np.uint16, ())
    assert np.abs(photo.native.levels.astype(int) - own).max() < 257 * 1.5
    assert len(np.unique(photo.native.levels[..., 0])) > 1.5 * len(np.unique(photo.pixels[..., 0]))
    assert losses(photo, Path("made.heic")) == losses(photo, Path("made.png")) == []
    assert losses(photo, Path("made.jpg")) == ["10 bits a channel became 8, since a JPEG has no more"]
    made = with_makeup(photo)
    written = write_photo(made, tmp_path / "made.heic", quality=100)
    again = read_photo(written)
    assert again.native.bits == 10 and again.native.profile == profile
    outside = np.ones(own.shape[:2], bool)
    outside[4:28, 8:40] = False  # FACE and what half of the colour's resolution spreads of it
    assert np.abs(again.native.levels.astype(int) - photo.native.levels)[outside].mean() < 257
    assert (again.pixels.astype(int) - photo.pixels)[FACE][..., 0].mean() > 15


@says("HEIC", "greys of 10 bits", "kept")
def test_greys_of_10_bits_are_kept(tmp_path: Path) -> None:
    grey = ramps()[..., 0].copy()
    pillow_heif.from_bytes(mode="I;16L", size=(96, 64), data=grey.tobytes()).save(tmp_path / "photo.heic", quality=100)
    photo = read_photo(tmp_path / "photo.heic")
    assert photo.native.bits == 10 and photo.notes == ()
    assert np.abs(photo.native.levels - grey[..., None].astype(int)).max() < 257 * 1.5
    assert np.abs(photo.pixels[..., 0] - grey / 257).max() < 2
    with Image.open(tmp_path / "photo.heic") as image:
        assert np.abs(photo_of(image).pixels[..., 0] - grey / 257).max() < 2


@says("HEIC", "12 bits a channel; 16 of another format into HEIC", "converted to 10, and said")
def test_more_than_10_bits_become_10_and_this_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", True)
    photo = read_photo(saved_deep_heif(tmp_path / "photo.heic", ramps()))
    monkeypatch.undo()
    assert photo.native.bits == 12
    assert losses(photo, Path("made.heic")) == ["12 bits a channel became 10, since a HEIC has no more"]
    cv2.imwrite(str(tmp_path / "photo.png"), ramps()[..., ::-1])
    deep = read_photo(tmp_path / "photo.png")
    assert losses(deep, Path("made.heic")) == ["16 bits a channel became 10, since a HEIC has no more"]
    assert read_photo(write_photo(deep, tmp_path / "made.heic")).native.bits == 10


@says("HEIC", "transparency with 10 bits", "kept")
def test_transparency_of_a_deep_heic_is_kept(tmp_path: Path) -> None:
    alpha = np.full((64, 96, 1), 65535, np.uint16)
    alpha[:, :20] = 0
    photo = read_photo(saved_deep_heif(tmp_path / "photo.heic", np.dstack([ramps(), alpha])))
    assert photo.alpha[0, 0] == 0 and photo.alpha[0, -1] == 255
    again = read_photo(write_photo(photo, tmp_path / "made.heic"))
    assert again.native.bits == 10 and again.alpha[0, 0] == 0 and again.alpha[0, -1] == 255


@says("AVIF", "10 or 12 bits a channel", "converted to 8, and said")
@pytest.mark.parametrize("bits", [10, 12])
def test_a_deep_avif_becomes_8_bits_and_this_is_said(tmp_path: Path, bits: int) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    told = [ffmpeg, "-loglevel", "error", "-i", tmp_path / "photo.png", "-vf", "scale=64:64", "-c:v", "libaom-av1"]
    told += ["-still-picture", "1", "-pix_fmt", f"yuv420p{bits}le", tmp_path / "photo.avif"]
    subprocess.run([*map(str, told)], check=True)
    photo = read_photo(tmp_path / "photo.avif")
    assert photo.notes == (f"{bits} bits a channel became 8",)


@says("TIFF", "orientation with 16 bits", "applied")
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_deep_tiff_is_turned(tmp_path: Path, orientation: int) -> None:
    cv2.imwrite(str(tmp_path / "photo.tif"), deep_picture()[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    expected = read_photo(tmp_path / "photo.tif")
    content = bytearray((tmp_path / "photo.tif").read_bytes())
    (place,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, place)
    tags = [content[place + 2 + 12 * i : place + 14 + 12 * i] for i in range(count)]
    tags = [tag for tag in tags if struct.unpack_from("<H", tag)[0] != 274]
    tags = sorted([*tags, struct.pack("<HHIHH", 274, 3, 1, orientation, 0)], key=lambda tag: tag[0] + 256 * tag[1])
    struct.pack_into("<I", content, 4, len(content))
    content += struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)
    (tmp_path / "turned.tif").write_bytes(content)
    photo = read_photo(tmp_path / "turned.tif")
    upright = turned_by_exif(replace(expected, doubtful_orientation=orientation))
    assert np.array_equal(photo.pixels, upright.pixels)
    assert photo.native is None or np.array_equal(photo.native.levels, upright.native.levels)
    assert photo.native is not None or photo.notes == ("16 bits a channel became 8",)


# Content


@says("PNG, WebP, TIFF, HEIC, AVIF into JPEG, BMP", "transparency", "laid on white, and said")
@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_transparent_parts_become_white_where_there_is_no_transparency(tmp_path: Path, suffix: str) -> None:
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, 24:] = 255
    hidden = replace(Photo(picture()), alpha=alpha)
    (said,) = losses(hidden, Path(f"made{suffix}"))
    assert said.startswith("transparent parts became white")
    assert losses(hidden, Path("made.png")) == [] == losses(Photo(picture()), Path(f"made{suffix}"))
    shown = read_photo(write_photo(hidden, tmp_path / f"made{suffix}", quality=100)).pixels
    assert shown[:, :20].min() > 245
    assert np.abs(shown[:, 28:].astype(int) - picture()[:, 28:]).mean() < 3


@says("all", "format of a file whose name says another", "told by its content")
def test_format_is_told_by_content(tmp_path: Path) -> None:
    for suffix, photo_format in FORMATS.items():
        (tmp_path / "photo.xyz").write_bytes(encoded(picture(), photo_format))
        assert told_format(tmp_path / "photo.xyz") == photo_format, suffix
    (tmp_path / "photo.webp").write_bytes(b"?")
    assert told_format(tmp_path / "photo.webp") == "WEBP"  # reading it will say what is wrong


@says("TIFF", "further pages", "left out, and said")
def test_of_a_document_the_first_page_is_taken_and_this_is_said(tmp_path: Path) -> None:
    page = Image.fromarray(picture())
    page.save(tmp_path / "photo.tif", save_all=True, append_images=[page, page])
    photo = read_photo(tmp_path / "photo.tif")
    assert photo.notes == ("of the 3 pictures in the file the main one was taken",)
    assert np.array_equal(photo.pixels, picture())


@says("BigTIFF", "raw files, further pages", "as in TIFF: refused; left out, and said")
@pytest.mark.parametrize("order", "<>")
def test_a_bigtiff_is_looked_through_as_a_tiff(tmp_path: Path, order: str) -> None:
    path = tmp_path / "photo.xyz"
    path.write_bytes(plain_tiff(picture(), big=True, order=order))
    assert told_format(path) == "TIFF"
    path.write_bytes(plain_tiff(picture(), (262, 3, 34892), big=True, order=order))
    with pytest.raises(PhotoError, match="is a raw file"):
        read_photo(path)
    path.write_bytes(plain_tiff(picture(), (50706, 4, 0x0104), big=True, order=order))
    with pytest.raises(PhotoError, match="is a raw file"):
        read_photo(path)
    first = plain_tiff(picture(), big=True)  # Pillow reads no other order of bytes
    path.write_bytes(first)
    assert np.array_equal(read_photo(path).pixels, picture()) and read_photo(path).notes == ()
    (place,) = struct.unpack_from("<Q", first, 8)
    path.write_bytes(first[:-8] + struct.pack("<Q", len(first)) + first[place:])
    assert read_photo(path).notes == ("of the 2 pictures in the file the main one was taken",)


def frames_of(count: int = 4, *, transparent: bool = False) -> list[Image.Image]:
    """Pictures that differ, each with more of its left part transparent."""
    frames = []
    for number in range(count):
        frame = Image.fromarray(np.roll(picture(), 4 * number, axis=1))
        if transparent:
            frame.putalpha(
                Image.fromarray(np.where(np.arange(48) < 8 + 2 * number, 0, 255).astype(np.uint8)[None].repeat(32, 0))
            )
        frames.append(frame)
    return frames


def animated(path: Path, photo_format: str, frames: list[Image.Image], **options: object) -> Path:
    options = {"lossless": True, "duration": [100, 40, 250, 60][: len(frames)], **options}
    options |= {"disposal": 2} if photo_format == "GIF" else {}
    frames[0].save(path, format=photo_format, save_all=True, append_images=frames[1:], **options)
    return path


def played(path: Path) -> tuple[list[float], object, list[np.ndarray]]:
    """A file's durations in milliseconds, its loops and its frames as RGBA, by no reader of ours."""
    durations, frames = [], []
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            frames.append(np.asarray(frame.convert("RGBA")))
            durations.append(frame.info.get("duration"))
        return durations, image.info.get("loop"), frames


def through(source: Path, result: Path, photo_format: str, **options: object) -> Path:
    """An animation read and written as a run does it, with makeup on each frame."""
    animation = probe_animation(source)
    with result.open("wb") as file:
        write_animation(map(with_makeup, read_animation(animation)), animation, file, photo_format, **options)
    return result


@says("GIF, WebP, PNG", "animations: frames, timing, loops, transparency", "kept; made up frame by frame, as clips are")
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("loops", [{}, {"loop": 0}, {"loop": 3}])
@pytest.mark.parametrize("photo_format", ["GIF", "PNG", "WEBP"])
def test_an_animation_keeps_time_loops_and_transparency(
    tmp_path: Path, photo_format: str, loops: dict[str, int], transparent: bool
) -> None:
    source = animated(tmp_path / "animated", photo_format, frames_of(transparent=transparent), **loops)
    assert animation_format(source) == photo_format
    before = played(source)
    after = played(through(source, tmp_path / "made", photo_format, quality=100))
    assert after[:2] == before[:2] and before[0] == [100, 40, 250, 60]
    for was, now in zip(before[2], after[2], strict=True):
        assert np.array_equal(now[..., 3], was[..., 3])
        change = (now.astype(int) - was)[was[..., 3] > 0][:, :3]
        outside = np.ones(was.shape[:2], bool)
        outside[FACE] = False
        assert np.abs(change[outside[was[..., 3] > 0]]).mean() < (0 if photo_format == "PNG" else 6) + 1e-9
        assert (now.astype(int) - was)[FACE][was[FACE][..., 3] > 0][:, 0].mean() > 20


@says("GIF into WebP, PNG", "how often an animation is played", "kept, though each format counts it otherwise")
@pytest.mark.parametrize(("loop", "times"), [(None, 1), (0, 0), (3, 4)])
def test_loops_are_counted_as_the_format_does(tmp_path: Path, loop: int | None, times: int) -> None:
    source = animated(tmp_path / "a.gif", "GIF", frames_of(), **({} if loop is None else {"loop": loop}))
    for photo_format in ("PNG", "WEBP"):
        made = through(source, tmp_path / "made", photo_format)
        assert played(made)[1] == times
        assert played(through(made, tmp_path / "back", "GIF"))[1] == loop


@says("PNG", "a picture in front of an animation, shown where it isn't played", "kept, made up")
def test_the_picture_in_front_of_an_animation_stays_apart(tmp_path: Path) -> None:
    source = animated(tmp_path / "a.png", "PNG", frames_of(), default_image=True, duration=[40, 250, 60])
    with Image.open(through(source, tmp_path / "made.png", "PNG")) as image:
        assert image.default_image and image.n_frames == 4
        assert np.asarray(image.convert("RGB"))[16, 24, 0] > picture()[16, 24, 0] + 20


@says("WebP, PNG", "profile, EXIF and XMP of an animation", "kept, with the mark of a result")
@pytest.mark.parametrize("photo_format", ["PNG", "WEBP"])
def test_an_animation_keeps_its_profile_and_metadata(tmp_path: Path, photo_format: str) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Somebody"
    frames = [Image.fromarray(converted(np.asarray(frame), P3)) for frame in frames_of()]
    source = animated(tmp_path / "animated", photo_format, frames, icc_profile=P3, exif=exif.tobytes())
    shown = next(iter(read_animation(probe_animation(source)))).pixels
    assert np.abs(shown.astype(int) - picture()).mean() < 1
    with Image.open(through(source, tmp_path / "made", photo_format)) as image:
        assert image.info["icc_profile"] == P3
        assert image.getexif()[0x013B] == "Somebody"
    assert is_result(tmp_path / "made")


@says("GIF, WebP, PNG", "more than 10,000 frames, or more pixels in all frames than --max-pixels", "refused")
def test_a_long_animation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = animated(tmp_path / "a.gif", "GIF", frames_of())
    assert probe_animation(source, 4 * 48 * 32).frames == 4
    with pytest.raises(
        PhotoError, match=r"a\.gif has more than 10,000 frames, or 6,143 pixels in all of them; make it"
    ):
        probe_animation(source, 4 * 48 * 32 - 1)
    monkeypatch.setattr(animation, "MOST_FRAMES", 3)
    with pytest.raises(PhotoError, match=r"a\.gif has more than 3 frames"):
        probe_animation(source)


@says("GIF, WebP, PNG", "animations as references", "refused")
@pytest.mark.parametrize("photo_format", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_no_photo(tmp_path: Path, photo_format: str) -> None:
    path = animated(tmp_path / "animated", photo_format, frames_of())
    with pytest.raises(PhotoError, match=r"animated is an animation where a photo is needed; save one of its frames"):
        read_photo(path)


@says("AVIF", "animations", "refused")
def test_an_animated_avif_is_refused_with_what_to_make_of_it(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.avif", "AVIF", frames_of())
    assert animation_format(path) is None
    with pytest.raises(PhotoError, match=r"a\.avif is an animation .* save it as animated WebP or as MP4\."):
        read_photo(path)


def test_a_still_picture_is_no_animation(tmp_path: Path) -> None:
    for suffix in (".gif", ".webp", ".png", ".jpg"):
        Image.fromarray(picture()).save(tmp_path / f"still{suffix}")
        assert animation_format(tmp_path / f"still{suffix}") is None
    (tmp_path / "cut.gif").write_bytes((tmp_path / "still.gif").read_bytes()[:20])
    assert animation_format(tmp_path / "cut.gif") is None
    assert animation_format(tmp_path / "nothing.gif") is None


def tiff_with(tag: int, values: tuple[object, ...], kind: int) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag] = values
    tags.tagtype[tag] = kind
    return encoded(picture(), "TIFF", tiffinfo=tags)


@says("DNG, CR2, CR3, NEF, ARW, RAF, ORF, RW2, X3F", "raw files", "refused")
@pytest.mark.parametrize("kind", ["dng", "arw", "cr2", "cr3", "raf"])
def test_a_raw_file_is_refused_by_its_content(tmp_path: Path, kind: str) -> None:
    plain = encoded(picture(), "TIFF")
    content = {
        "dng": tiff_with(50706, (b"\1\4\0\0",), 1),
        "arw": plain.replace(struct.pack("<HHIHH", 262, 3, 1, 2, 0), struct.pack("<HHIHH", 262, 3, 1, 32803, 0)),
        "cr2": plain[:8] + b"CR\2\0" + plain[12:],
        "cr3": b"\0\0\0\x18ftypcrx " + bytes(64),
        "raf": b"FUJIFILMCCD-RAW 0201" + bytes(64),
    }[kind]
    (tmp_path / "photo.tif").write_bytes(content)
    with pytest.raises(PhotoError, match="is a raw file; export it as JPEG or TIFF first"):
        read_photo(tmp_path / "photo.tif")
    (tmp_path / "plain.tif").write_bytes(plain)
    read_photo(tmp_path / "plain.tif")


@says("TIFF", "compression without loss", "kept; one with loss becomes LZW, and this is said")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, "raw"), ("tiff_lzw", "tiff_lzw"), ("tiff_adobe_deflate",) * 2, ("packbits",) * 2, ("zstd",) * 2,
        ("lzma",) * 2, ("jpeg", "tiff_lzw"),
    ],
)  # fmt: skip
def test_compression_of_a_tiff_is_kept(tmp_path: Path, given: str | None, kept: str) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.tif", compression=given)
    with Image.open(write_photo(read_photo(tmp_path / "photo.tif"), tmp_path / "made.tif")) as image:
        assert image.info["compression"] == kept
    said = ["its compression (jpeg) became LZW"] if given == "jpeg" else []
    assert losses(read_photo(tmp_path / "photo.tif"), Path("made.tif")) == said
    assert losses(read_photo(tmp_path / "photo.tif"), Path("made.png")) == []


def test_a_compression_that_can_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.tif", compression="zstd")
    read = read_photo(tmp_path / "photo.tif")
    monkeypatch.setattr(photo, "_is_kept", lambda compression: False)  # as in a build without it
    assert losses(read, Path("made.tif")) == ["its compression (zstd) became LZW"]
    with Image.open(write_photo(read, tmp_path / "made.tif")) as image:
        assert image.info["compression"] == "tiff_lzw"


@says("TIFF", "16 bits with zstd or LZMA", "converted to 8, and said; the compression is kept")
@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_16_bits_in_a_rare_compression_become_8_and_this_is_said(tmp_path: Path, compression: str) -> None:
    (tmp_path / "photo.tif").write_bytes(wide_tiff(deep_picture(), compression))
    photo = read_photo(tmp_path / "photo.tif")
    assert photo.notes == ("16 bits a channel became 8",)
    assert np.abs(photo.pixels.astype(int) - picture()).max() <= 1
    with Image.open(write_photo(photo, tmp_path / "made.tif")) as image:
        assert image.info["compression"] == compression


def wide_tiff(levels: np.ndarray, compression: str) -> bytes:
    """(H, W, 3) uint16 as a TIFF in a compression that OpenCV does not write."""
    columns = np.ascontiguousarray(levels.astype("<u2")).view(np.uint8).reshape(levels.shape[0], -1, 3)
    return as_deep(encoded(columns, "TIFF", compression=compression))


@says("TIFF", "floats or 32 bits in RGB, JPEG 2000, JPEG XL or WebP inside", "refused")
@pytest.mark.parametrize("kind", ["floats", "32 bits", "34712", "50001", "50002"])
def test_a_tiff_of_an_unknown_kind_is_refused_as_such(tmp_path: Path, kind: str) -> None:
    levels = picture().astype({"floats": np.float32, "32 bits": np.uint32}.get(kind, np.uint8))
    others = [(259, 3, int(kind))] if kind.isdigit() else []
    (tmp_path / "photo.tif").write_bytes(plain_tiff(levels, *others))
    with pytest.raises(PhotoError, match=r"is a TIFF of a kind that can't be read; export it with 8 or 16 bits"):
        read_photo(tmp_path / "photo.tif")
    sound = encoded(picture(), "TIFF", compression="tiff_lzw")
    for length in (12, 200, len(sound) // 2):  # a broken one is told from it
        (tmp_path / "cut.tif").write_bytes(sound[:length])
        with pytest.raises(PhotoError, match=r"is damaged or cut short|is no photo of a known format"):
            read_photo(tmp_path / "cut.tif")


@says("WebP", "compression without loss, of photos and animations", "kept, to the bit outside the face")
@pytest.mark.parametrize("more", [{}, {"icc_profile": P3}, {"transparent": True}])
@pytest.mark.parametrize("count", [1, 3])
def test_a_lossless_webp_stays_lossless(tmp_path: Path, count: int, more: dict[str, object]) -> None:
    options = {key: value for key, value in more.items() if key != "transparent"}
    frames = frames_of(count, transparent="transparent" in more)
    for lossless in (True, False):
        source = tmp_path / f"photo-{lossless}.webp"
        frames[0].save(
            source, save_all=count > 1, append_images=frames[1:], lossless=lossless, exact=True, quality=100, **options
        )
        if count > 1:
            written = through(source, tmp_path / f"made-{lossless}.webp", "WEBP")
        else:
            written = write_photo(with_makeup(read_photo(source)), tmp_path / f"made-{lossless}.webp")
        outside = np.ones((32, 48), bool)
        outside[FACE] = False
        same = [
            np.array_equal(now[seen], was[seen])
            for was, now in zip(played(source)[2], played(written)[2], strict=True)
            for seen in [outside & (was[..., 3] > 0)]
        ]
        assert all(same) is lossless and any(same) is lossless
        with Image.open(written) as image:
            assert image.info.get("icc_profile") == options.get("icc_profile")


@says("TIFF, JPEG, PNG", "resolution", "kept; none is made up")
@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png"])
def test_no_resolution_is_made_up(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(picture()).save(tmp_path / f"photo{suffix}")
    with Image.open(write_photo(read_photo(tmp_path / f"photo{suffix}"), tmp_path / f"made{suffix}")) as image:
        image.load()
        assert image.format == "TIFF" or "dpi" not in image.info
        assert 282 not in getattr(image, "tag_v2", {})
    Image.fromarray(picture()).save(tmp_path / f"fine{suffix}", dpi=(300, 300))
    with Image.open(write_photo(read_photo(tmp_path / f"fine{suffix}"), tmp_path / f"fine-made{suffix}")) as image:
        assert [round(value) for value in image.info["dpi"]] == [300, 300]


# Words


IIM = b"".join(
    b"\x1c\2" + bytes([number]) + struct.pack(">H", len(text)) + text
    for number, text in [(80, b"Zoe Lens"), (90, b"Berlin"), (116, b"(c) Zoe")]
)


@says("JPEG, TIFF, PNG", "IPTC-IIM", "kept, from one to the other, too; places go with --strip-location")
@pytest.mark.parametrize("into", [".jpg", ".tif", ".png"])
@pytest.mark.parametrize("suffix", [".jpg", ".tif", "photoshop.tif", ".png", "bare.png"])
def test_iim_is_kept_and_its_places_go_on_demand(tmp_path: Path, suffix: str, into: str) -> None:
    path = tmp_path / f"photo{suffix}"
    resource = b"8BIM\4\4\0\0" + struct.pack(">I", len(IIM)) + IIM + bytes(len(IIM) % 2)
    raw = IIM if suffix == "bare.png" else resource  # as ExifTool has it; ImageMagick has had both
    profile = f"\niptc\n{len(raw):8}\n" + "\n".join(raw.hex()[i : i + 72] for i in range(0, 2 * len(raw), 72)) + "\n"
    if suffix == ".jpg":
        Image.fromarray(picture()).save(path, extra=iim_segment(IIM))
    elif suffix.endswith(".png"):
        info = PngImagePlugin.PngInfo()
        info.add_text("Raw profile type iptc", profile, zip=True)
        Image.fromarray(picture()).save(path, pnginfo=info)
    elif suffix == "photoshop.tif":
        path.write_bytes(tiff_with(34377, (b"8BIM\4\x0a\3odd" + struct.pack(">I", 1) + b"1\0" + resource,), 7))
    else:
        path.write_bytes(tiff_with(33723, (IIM,), 7))
    photo = read_photo(path)
    assert photo.metadata.iim == IIM
    assert read_photo(write_photo(photo, tmp_path / f"made{into}")).metadata.iim == IIM
    bare = read_photo(write_photo(photo, tmp_path / f"bare{into}", strip_location=True)).metadata.iim
    assert bare is not None and b"Zoe Lens" in bare and b"Berlin" not in bare and b"(c) Zoe" in bare


@says("JPEG, GIF", "comments", "kept, each of them; in PNG as a text")
def test_comments_are_kept(tmp_path: Path) -> None:
    segments = b"".join(
        b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text for text in (b"from the fair", b"by Zo\xeb")
    )
    jpeg = encoded(picture(), "JPEG")
    (tmp_path / "photo.jpg").write_bytes(jpeg[:2] + segments + jpeg[2:])
    photo = read_photo(tmp_path / "photo.jpg")
    with Image.open(write_photo(photo, tmp_path / "made.jpg")) as image:
        assert [text for kind, text in image.applist if kind == "COM"] == [b"from the fair", b"by Zo\xeb"]
    with Image.open(write_photo(photo, tmp_path / "made.png")) as image:
        assert image.text["Comment"] == "from the fair\nby Zo\xeb"
    source = animated(tmp_path / "a.gif", "GIF", frames_of(), comment=b"from the fair")
    with Image.open(through(source, tmp_path / "made.gif", "GIF")) as image:
        assert image.info["comment"] == b"from the fair"


@says("all, into another format", "EXIF, XMP, IPTC-IIM, comments and texts that it has no place or no room for", "said")
def test_words_that_a_format_can_not_hold_are_said(tmp_path: Path) -> None:
    words = Metadata(comments=(b"from the fair",), iim=IIM, texts=(("Title", "Fair"),))
    photo = Photo(picture(), metadata=words)
    assert losses(photo, Path("made.png")) == []
    assert losses(photo, Path("made.jpg")) == ["a JPEG has no place for its texts"]
    assert losses(photo, Path("made.heic")) == ["a HEIC has no place for its IPTC records and comment and texts"]
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    text = NEW_XMP.replace(b"<rdf:Description ", b"<rdf:Description xmlns:d='urn:d' d:x='" + b"x" * 70_000 + b"' ", 1)
    long = Photo(picture(), metadata=Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=text, iim=IIM * 2000))
    assert losses(long, Path("made.jpg")) == [
        "its EXIF did not fit into a JPEG and went",
        "its XMP did not fit into a JPEG and went",
        "its IPTC records did not fit into a JPEG and went",
    ]
    assert losses(long, Path("made.tif")) == losses(long, Path("made.png")) == []
    assert losses(long, Path("made.bmp")) == ["a BMP has no place for its EXIF and XMP and IPTC records"]
    with Image.open(write_photo(long, tmp_path / "made.jpg")) as image:
        assert not image.info.get("exif")


RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"'


def packet_of(description: str) -> str:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}><rdf:Description {description}/></rdf:RDF></x:xmpmeta>'


@says("all with XMP", "XMP that is no sound XML", "left out, and said")
def test_broken_xmp_is_said(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.jpg", xmp=packet_of('dc:rights="Zoe & Co"').encode())
    photo = read_photo(tmp_path / "photo.jpg")
    assert losses(photo, Path("made.jpg")) == ["its broken XMP was left out"]
    assert is_result(write_photo(photo, tmp_path / "made.jpg"))


@says("all with XMP", "XMP in UTF-16 or UTF-32", "kept, in UTF-8")
@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_xmp_of_other_codings_is_kept(tmp_path: Path, mark: str, coding: str) -> None:
    packet = (mark + packet_of('dc:rights="Zo\xeb"')).encode(coding)
    Image.fromarray(picture()).save(tmp_path / "photo.jpg", xmp=packet)
    photo = read_photo(tmp_path / "photo.jpg")
    assert losses(photo, Path("made.jpg")) == []
    written = read_photo(write_photo(photo, tmp_path / "made.jpg")).metadata.xmp
    assert "Zo\xeb" in written.decode("utf-8")


def test_a_result_says_nothing_of_what_it_no_longer_holds(tmp_path: Path) -> None:
    spaces = (
        "xmlns:GDepth='http://ns.google.com/photos/1.0/depthmap/' xmlns:m='http://ns.google.com/photos/1.0/camera/'"
    )
    packet = packet_of(f"{spaces} GDepth:Near='1' m:MotionPhoto='1' dc:source='x'").encode()
    Image.fromarray(picture()).save(tmp_path / "photo.jpg", xmp=packet)
    photo = read_photo(tmp_path / "photo.jpg")
    assert len(photo.notes) == 2
    assert read_photo(write_photo(photo, tmp_path / "made.jpg")).notes == ()


@says("TIFF", "channels beside colour and transparency", "left out, and said")
@pytest.mark.parametrize("further", [1, 2])
def test_further_channels_are_said(tmp_path: Path, further: int) -> None:
    levels = np.dstack([picture(), *[np.full((32, 48), 7, np.uint8)] * further])
    (tmp_path / "photo.tif").write_bytes(plain_tiff(levels, (338, 3, struct.pack(f"<{further}H", *[0] * further))))
    photo = read_photo(tmp_path / "photo.tif")
    assert photo.notes == ("its channels beside the colours were left out",)
    assert np.array_equal(photo.pixels, picture())


@says("PNG", "profile of greys in an animation", "converted to one of RGB, to the bit")
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_an_animation_of_greys_keeps_its_profile(tmp_path: Path, mode: str) -> None:
    frames = [frame.convert(mode) for frame in frames_of()]
    source = animated(tmp_path / "a.png", "PNG", frames, icc_profile=grey_profile())
    assert probe_animation(source).notes == ()
    first = next(iter(read_animation(probe_animation(source))))
    grey = np.asarray(frames[0].convert("L"))
    expected = 255 * icc.srgb_coded(((grey / 255) ** 1.8).astype(np.float32))
    assert np.abs(first.pixels[..., 0] - expected).max() <= 1.5
    made = through(source, tmp_path / "made.png", "PNG")
    with Image.open(made) as image:
        assert icc.rgb_space(image.info["icc_profile"]) is not None
    outside = np.ones(grey.shape, bool)
    outside[FACE] = False
    assert np.array_equal(played(made)[2][0][..., 1][outside], grey[outside])


@says("WebP, PNG", "credentials and useless profiles of an animation", "left out, and said")
def test_what_an_animation_does_not_carry_is_said(tmp_path: Path) -> None:
    source = animated(tmp_path / "a.png", "PNG", frames_of(), icc_profile=P3[:300])
    source.write_bytes(chunked(source.read_bytes(), b"caBX", b"jumb"))
    assert [note.split(" was")[0].split(" were")[0] for note in probe_animation(source).notes] == [
        "its content credentials (C2PA)",
        "its colour profile is broken, or none for such pixels, and",
    ]


@says("JPEG", "extended XMP, in further segments", "left out, and said")
def test_extended_xmp_is_said(tmp_path: Path) -> None:
    segment = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", 9, 0) + b"<x:more/>"
    jpeg = encoded(picture(), "JPEG")
    jpeg = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    (tmp_path / "photo.jpg").write_bytes(jpeg)
    assert read_photo(tmp_path / "photo.jpg").notes == ("its extended XMP, that in further segments, was left out",)


@says("JPEG, PNG, WebP, TIFF, HEIC, AVIF", "content credentials (C2PA)", "left out, and said")
@pytest.mark.parametrize("photo_format", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_content_credentials_are_left_out_and_said(tmp_path: Path, photo_format: str) -> None:
    manifest = struct.pack(">I4sI4s", 46, b"jumb", 38, b"jumd") + b"c2pa" + bytes(22) + b"c2pa"
    plain = encoded(picture(), photo_format)
    if photo_format == "JPEG":
        segment = b"JP\0\1\0\0\0\1" + manifest
        signed = plain[:2] + b"\xff\xeb" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    elif photo_format == "PNG":
        signed = chunked(plain, b"caBX", manifest)
    elif photo_format == "WEBP":
        extended = encoded(picture(), "WEBP", icc_profile=SRGB)
        chunk = b"C2PA" + struct.pack("<I", len(manifest)) + manifest
        signed = extended[:4] + struct.pack("<I", len(extended) - 8 + len(chunk)) + extended[8:] + chunk
    elif photo_format == "TIFF":
        signed = tiff_with(0xCD41, (manifest,), 7)
    else:
        name = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
        signed = plain + struct.pack(">I4s", 24 + len(manifest), b"uuid") + name + manifest
    (tmp_path / "photo").write_bytes(signed)
    said = "its content credentials (C2PA) were left out, since they vouch for the photo as it was"
    photo = read_photo(tmp_path / "photo")
    assert photo.notes == (said,)
    written = write_photo(photo, tmp_path / f"made{FIRST_SUFFIX[photo_format]}")
    assert b"c2pa" not in written.read_bytes()
    (tmp_path / "plain").write_bytes(plain)
    assert read_photo(tmp_path / "plain").notes == () == read_photo(written).notes


@says("PNG", "texts", "kept; places go with --strip-location")
def test_texts_of_a_png_are_kept(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Fair")
    info.add_itxt("Author", "Zoë")
    info.add_text("Location", "Berlin")
    info.add_text("Raw profile type exif", "45786966")
    Image.fromarray(picture()).save(tmp_path / "photo.png", pnginfo=info)
    photo = read_photo(tmp_path / "photo.png")
    with Image.open(write_photo(photo, tmp_path / "made.png")) as image:
        image.load()
        assert {key: image.text.get(key) for key in ("Title", "Author", "Location")} == {
            "Title": "Fair", "Author": "Zoë", "Location": "Berlin",
        }  # fmt: skip
        assert "Raw profile type exif" not in image.text
    with Image.open(write_photo(photo, tmp_path / "bare.png", strip_location=True)) as image:
        image.load()
        assert "Location" not in image.text and image.text["Title"] == "Fair"


@says("all with XMP", "pointers at what lay behind the photo", "left out as a kind")
def test_pointers_go_as_a_kind_and_the_rest_stays(tmp_path: Path) -> None:
    stale = {
        "OpCamera": ("http://ns.oplus.com/photos/1.0/camera/", "MotionPhotoOwner"),
        "MiCamera": ("http://ns.xiaomi.com/photos/1.0/camera/", "XMPMeta"),
        "Device": ("http://ns.google.com/photos/dd/1.0/device/", "Container"),
        "Maker": ("http://ns.no-such-maker.com/photos/2.0/camera/", "AuxiliaryPicture"),
        "Other": ("http://example.org/phone/1.0/", "TrailerOffset"),
        "dcterms": ("http://purl.org/dc/terms/", "provenance"),
        "HDRGainMap": ("http://ns.apple.com/HDRGainMap/1.0/", "HDRGainMapVersion"),
    }
    lasting = {
        "GPano": ("http://ns.google.com/photos/1.0/panorama/", "ProjectionType"),
        "MicrosoftPhoto": ("http://ns.microsoft.com/photo/1.0/", "Rating"),
        "crs": ("http://ns.adobe.com/camera-raw-settings/1.0/", "Exposure2012"),
        "Camera": ("http://pix4d.com/camera/1.0", "Pitch"),
        "xmp": ("http://ns.adobe.com/xap/1.0/", "Rating"),
    }
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, (space, _) in (stale | lasting).items())
    values = " ".join(f'{prefix}:{name}="1"' for prefix, (_, name) in (stale | lasting).items())
    rdf = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {rdf}><rdf:Description {spaces} {values}/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(picture()).save(tmp_path / "photo.png", pnginfo=text_of("XML:com.adobe.xmp", packet))
    kept = read_photo(write_photo(read_photo(tmp_path / "photo.png"), tmp_path / "made.png")).metadata.xmp.decode()
    assert [prefix for prefix, (_, name) in stale.items() if f"{prefix}:{name}=" in kept] == []
    assert [prefix for prefix, (_, name) in lasting.items() if f"{prefix}:{name}=" not in kept] == []


def text_of(key: str, text: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, text)
    return info


@says("HEIC", "EXIF orientation without a turn of the format's own", "decided by the face")
def test_an_orientation_that_a_heic_leaves_open_is_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    heic = encoded(picture(), "HEIF", quality=100, exif=exif.tobytes())
    places = [struct.pack(order + "HHI", 0x0112, 3, 1) for order in "<>"]
    order, place = next((order, heic.find(mark)) for order, mark in zip("<>", places, strict=True) if mark in heic)
    (tmp_path / "photo.heic").write_bytes(heic[: place + 8] + struct.pack(order + "H", 6) + heic[place + 10 :])
    photo = read_photo(tmp_path / "photo.heic")
    assert (photo.doubtful_orientation, photo.pixels.shape) == (6, (32, 48, 3))
    assert turned_by_exif(photo).pixels.shape == (48, 32, 3)
    exif[0x0112] = 6
    (tmp_path / "turned.heic").write_bytes(encoded(picture(), "HEIF", exif=exif.tobytes()))
    assert read_photo(tmp_path / "turned.heic").doubtful_orientation == 1


@says("DNG, PSD and others in a folder", "files of other kinds", "passed over, and named by number and suffix")
def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    for name in ["a.jpg", "b.GIF", "sub/c.dng", "sub/d.gif", "notes.txt", ".hidden/e.gif"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert passed_over([tmp_path, tmp_path / "b.GIF"]) == {".gif": 2, ".dng": 1}  # beside references
    assert passed_over([tmp_path], suffixes=SOURCE_SUFFIXES) == {".dng": 1}
