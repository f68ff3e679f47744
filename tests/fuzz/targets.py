"""What the fuzzer feeds: each target takes bytes of a stranger, and may end in nothing but the error that it names.

A target returns when the bytes were read or refused in one clear sentence, and lets any other exception through. To add
a reader of files, add a function to TARGETS; `seeds` gives it examples to start from.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from beautygan_cli.errors import BeautyGANError, LookError, ModelError, OutputError, PhotoError
from beautygan_cli.photos.exif import exif_for_result
from beautygan_cli.photos.photo import Metadata, Photo, read_photo, write_photo
from beautygan_cli.photos.xmp import DIGITAL_SOURCE_TYPE, EXIF_SPACE, NEW_XMP, RDF, xmp_for_result

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MAX_PIXELS = 1_000_000
FORMATS = (".jpg", ".png", ".webp", ".tif", ".bmp", ".heic", ".avif", ".gif")


@functools.lru_cache(maxsize=1)
def folder() -> Path:
    """A folder for this process alone, removed at its end."""
    import atexit

    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # so that waiting for a disk takes no time
    made = Path(tempfile.mkdtemp(prefix="beautygan-fuzz-", dir=memory))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def in_one_sentence(error: BeautyGANError) -> None:
    """Raise AssertionError unless the error's message is one line of printable text."""
    message = str(error).replace(str(folder()), "")
    assert message and message.isprintable(), repr(message)


# The targets


def photo(content: bytes) -> None:
    """A photo of any format, read, and if it can be, written again."""
    path = folder() / "photo"
    path.write_bytes(content)
    try:
        read = read_photo(path, max_pixels=MAX_PIXELS)
    except PhotoError as error:
        return in_one_sentence(error)
    assert read.pixels.dtype == np.uint8 and read.pixels.ndim == 3 and read.pixels.shape[2] == 3
    assert read.alpha is None or read.alpha.shape == read.pixels.shape[:2]
    small = Photo(read.pixels[:8, :8], None, read.metadata, path, read.format)
    _written(small)


def exif(content: bytes) -> None:
    """An EXIF block, edited for a result and written into one."""
    _written(Photo(np.zeros((4, 6, 3), np.uint8), metadata=Metadata(exif=content)))
    edited = exif_for_result(content, 6, 4, True)
    if edited is not None:
        from PIL import Image

        assert len(edited) <= len(content)
        tags = Image.Exif()
        with contextlib.suppress(Exception):  # a block that only a lenient reader could make sense of
            tags.load(edited)
        assert 0x8825 not in tags, "the position is still there"
        assert tags.get(0x0112, 1) == 1, "the result would be turned twice"


def xmp(content: bytes) -> None:
    """An XMP packet, edited for a result and written into one."""
    _written(Photo(np.zeros((4, 6, 3), np.uint8), metadata=Metadata(xmp=content)))
    edited = xmp_for_result(content, True, True)
    assert edited is not None and DIGITAL_SOURCE_TYPE.encode() in edited
    root = ElementTree.fromstring(edited)
    for described in root.iter(f"{{{RDF}}}Description"):
        told = [*described.attrib, *(child.tag for child in described)]
        assert not [name for name in told if name.startswith(f"{{{EXIF_SPACE}}}GPS")], "the position is there"


def _written(photo: Photo) -> None:
    for suffix in (".png", ".jpg", ".tif"):
        try:
            write_photo(photo, folder() / f"result{suffix}", overwrite=True, strip_location=True)
        except OutputError as error:
            in_one_sentence(error)


def model_json(content: bytes) -> None:
    """The description beside a checkpoint."""
    from beautygan_cli.model.signature import FILE_NAME, Signature

    (folder() / FILE_NAME).write_bytes(content)
    try:
        Signature.load(folder())
    except ModelError as error:
        in_one_sentence(error)


def checkpoint_state(content: bytes) -> None:
    """The file `checkpoint`."""
    _with_model_file("checkpoint", content)


def meta_graph(content: bytes) -> None:
    """The meta-graph: parsed, pruned, checked and, if nothing is said against it, loaded."""
    _with_model_file("model.meta", content)


def index(content: bytes) -> None:
    """The checkpoint's index, with its shard."""
    _with_model_file("model.index", content)


def _with_model_file(name: str, content: bytes) -> None:
    from beautygan_cli.model.session import MakeupSession

    model = _small_model()
    (model / name).write_bytes(content)
    try:
        MakeupSession(model, threads=1).close()
    except ModelError as error:
        in_one_sentence(error)
    finally:
        shutil.copy(model.with_name("whole") / name, model)


@functools.lru_cache(maxsize=1)
def _small_model() -> Path:
    """A model of chips of 16 pixels, and a copy `whole` beside it."""
    from standin import StandIn

    whole = StandIn(size=16, width=2, blocks=1, batch=None).save(folder() / "whole")
    return Path(shutil.copytree(whole, folder() / "model"))


def manifest(content: bytes) -> None:
    """The manifest that may lie in a folder of strangers' photos."""
    from beautygan_cli.batch.manifest import FILE_NAME, Manifest

    place = folder() / "results"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / FILE_NAME).write_bytes(content)
    try:
        with Manifest(place) as opened:
            opened.names("source")
            opened.result(place / "a.jpg")
            opened.content(Path(__file__))
            opened.record(place / "a.jpg", "key", "made")
    except OutputError as error:
        in_one_sentence(error)


def look(content: bytes) -> None:
    """A look file; what is read is written so that it reads the same again."""
    from beautygan_cli.makeup import look as looks

    path = folder() / "look.toml"
    path.write_bytes(content)
    try:
        read = looks.read(path)
    except LookError as error:
        return in_one_sentence(error)
    assert all(0 <= strength <= 1 for strength in (read.strengths.lips, read.strengths.eyes, read.strengths.skin))
    again = looks.parse(looks.as_toml(read, path), path)
    assert (again.name, again.strengths) == (read.name, read.strengths)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "photo": photo,
    "exif": exif,
    "xmp": xmp,
    "model_json": model_json,
    "checkpoint_state": checkpoint_state,
    "meta_graph": meta_graph,
    "index": index,
    "manifest": manifest,
    "look": look,
}

# Examples to start from


def seeds(target: str) -> Iterator[bytes]:
    """Sound files of a target's kind, small."""
    if target == "photo":
        yield from map(_sound_photo, FORMATS)
    elif target == "exif":
        yield _exif_block()
    elif target == "xmp":
        yield NEW_XMP
        yield (
            b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
            b' xmlns:exif="http://ns.adobe.com/exif/1.0/" tiff:Orientation="6" exif:GPSLatitude="52,30N"/>'
            b"</rdf:RDF></x:xmpmeta>"
        )
    elif target == "model_json":
        from beautygan_cli.model.signature import Signature

        yield Signature(about={"data": "x"}, sha256="0" * 64).save(folder()).read_bytes()
    elif target in ("checkpoint_state", "meta_graph", "index"):
        name = {"checkpoint_state": "checkpoint", "meta_graph": "model.meta", "index": "model.index"}[target]
        yield (_small_model() / name).read_bytes()
    elif target == "look":
        yield b'name = "Evening"\nref = "all.jpg"\nstrength = 0.9\n\n[lips]\nref = "a.jpg"\nstrength = 0.8\n'
        yield b'eyes = [{ref = "a.jpg", weight = 0.7}, {ref = "b.jpg", weight = 0.3}]\nskin = false\n'
    elif target == "manifest":
        from beautygan_cli.batch.manifest import FILE_NAME, Manifest

        place = Path(tempfile.mkdtemp(dir=folder()))
        with Manifest(place) as opened:
            opened.record(place / "a.jpg", "key", "made", files=[], details={})
        yield (place / FILE_NAME).read_bytes()


def _sound_photo(suffix: str) -> bytes:
    from PIL import Image

    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    if suffix == ".gif":
        content = io.BytesIO()
        picture.save(content, "GIF", save_all=True, append_images=[picture])
        return content.getvalue()
    path = folder() / f"seed{suffix}"
    metadata = Metadata(exif=_exif_block(), xmp=NEW_XMP, dpi=(300, 300))
    write_photo(Photo(np.asarray(picture), metadata=metadata), path, overwrite=True)
    return path.read_bytes()


def _exif_block() -> bytes:
    from PIL import Image

    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Maker", 6
    tags.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0xA002: 9999, 0xA003: 7777})
    tags.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 11.25), 29: "2024:05:06"})
    return tags.tobytes()[6:]


def mutations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Damaged copies, for where there is no atheris: bytes changed, pieces cut out, doubled or exchanged."""
    chance = np.random.default_rng(seed)
    for _ in itertools.repeat(None, count):
        damaged = bytearray(content)
        for _ in range(int(chance.integers(1, 5))):
            first, last = sorted(int(place) for place in chance.integers(0, len(damaged) + 1, 2))
            kind = int(chance.integers(0, 4))
            if kind == 0 and first < len(damaged):
                damaged[first] = int(chance.integers(0, 256))
            elif kind == 1:
                del damaged[first : min(last, first + 64)]
            elif kind == 2:
                damaged[first:first] = damaged[first : min(last, first + 64)]
            else:
                damaged[first : first + 4] = bytes(chance.integers(0, 2, 4, dtype=np.uint8) * 255)
        yield bytes(damaged)
