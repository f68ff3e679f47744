"""Photos in and out: find them, read them upright as RGB, write results safely with their metadata.

A photo is data from a stranger. `read` takes any file and ends with a `Photo` or one `PhotoError`; `write` ends with
the whole result in place or one `OutputError`, and leaves nothing half-written. Encoding goes through imageio's v3
interface. Decoding asks Pillow itself: a header's size before its pixels, the main frame of a HEIC and metadata that
may be broken are out of imageio's reach.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import math
import os
import re
import secrets
import stat
import struct
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.photos import remote

if TYPE_CHECKING:
    from xml.dom.minidom import Element

    from PIL import Image, ImageCms

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".avif": "AVIF",
}
PHOTO_SUFFIXES = frozenset(FORMATS)
CLIP_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp"})
SOURCE_SUFFIXES = PHOTO_SUFFIXES | CLIP_SUFFIXES

MAX_PIXELS = 200_000_000  # the largest phone sensors give 200 megapixels; decoded, that is 600 MB
MAX_FILE_BYTES = 1 << 32  # what a TIFF can address; a file of holes can claim any size and take hours to read
MAX_SCANS = 100  # of a JPEG; progressive ones have about 10, and each goes over all pixels again
MAX_SEGMENTS = 10_000  # of a JPEG; metadata and profiles come in pieces of 64 KB
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "HEIF", "AVIF", "GIF", "PPM")  # no format that runs a program
_FIRST_SUFFIX = {photo_format: suffix for suffix, photo_format in reversed(FORMATS.items())} | {"HEIF": ".heic"}
_TEMPORARY = re.compile(r"\.beautygan-[0-9a-f]{16}\.part")

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Metadata:
    """What a photo carries beside its pixels, as it was read; None where it has none or a broken one.

    `exif` is a TIFF-structured block without the `Exif` prefix. `icc_profile` describes RGB. `dpi` is horizontal,
    vertical. `xmp` is an XML packet.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    xmp: bytes | None = None


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo in memory.

    `pixels` is HWC uint8 RGB, upright, in the colour space of `metadata.icc_profile` (sRGB where that is None).
    `alpha` is HW uint8, 255 opaque, or None. `format` is the format by content ("JPEG", "PNG", "HEIF"), whatever
    `path` calls it.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    metadata: Metadata = field(default_factory=Metadata)
    path: Path = Path()
    format: str = "PNG"


class Found(NamedTuple):
    """A photo's path, and the sub-folder it lies in below the folder that was named ("." for a photo named itself)."""

    path: Path
    inside: PurePath


class Problem(NamedTuple):
    """A path that gives no photo, and one sentence why."""

    path: Path
    message: str


def shown(path: PurePath | str) -> str:
    """A path for a message: one line, valid UTF-8; newlines and undecodable bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(path))


# Finding


def is_clip(path: PurePath) -> bool:
    """Whether a path's suffix is that of a clip."""
    return path.suffix.lower() in CLIP_SUFFIXES


def find(
    paths: Sequence[Path | str], *, suffixes: frozenset[str] = PHOTO_SUFFIXES
) -> tuple[list[Found], list[Problem]]:
    """The photos that the paths name or hold, each once, and the paths that gave none.

    `suffixes`, in lower case: what counts as a photo in a folder (SOURCE_SUFFIXES: clips as well).

    Folders are searched below, sorted by name, a folder's own photos before those in its sub-folders; hidden entries
    are skipped, links are followed but no folder is entered twice. A file that is named itself counts as a photo
    whatever its suffix. Nothing is opened and nothing is raised.
    """
    found: list[Found] = []
    problems: list[Problem] = []
    listed: set[str] = set()

    def add(path: Path, inside: PurePath) -> None:
        real = os.path.realpath(path)
        if real not in listed:
            listed.add(real)
            found.append(Found(path, inside))

    for name in paths:
        path = remote.as_path(name)
        try:
            mode = path.stat().st_mode if str(name) else None
        except (OSError, ValueError) as error:
            problems.append(Problem(path, f"{shown(path)} can't be used: {_reason(error)}."))
            continue
        if mode is None:
            problems.append(Problem(path, "An empty name was given where a photo or folder is needed."))
        elif stat.S_ISDIR(mode):
            held, held_problems = _search(path, suffixes)
            for photo in held:
                add(*photo)
            problems += held_problems
            if not held and not held_problems:
                problems.append(Problem(path, f"{shown(path)} holds no photo ({_known_suffixes()})."))
        elif stat.S_ISREG(mode):
            add(path, PurePath())
        else:
            problems.append(Problem(path, _not_a_file(path)))
    return found, problems


def _search(folder: Path, suffixes: frozenset[str]) -> tuple[list[Found], list[Problem]]:
    """All photos in and below a folder, and the entries that look like photos but can't be."""
    if isinstance(folder, remote.RemotePath):
        return _search_remote(folder)
    found: list[Found] = []
    problems: list[Problem] = []
    entered: set[str] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real in entered:
            continue
        entered.add(real)
        try:
            names = sorted(name for name in os.listdir(current) if not name.startswith("."))  # noqa: PTH208
        except OSError as error:
            problems.append(Problem(current, f"{shown(current)} can't be searched: {_reason(error)}."))
            continue
        below = []
        for path in (current / name for name in names):
            looks_like_photo = path.suffix.lower() in suffixes
            try:
                mode = path.stat().st_mode
            except OSError as error:
                if looks_like_photo:
                    problems.append(Problem(path, f"{shown(path)} can't be used: {_reason(error)}."))
                continue
            if stat.S_ISDIR(mode):
                below.append(path)
            elif looks_like_photo and stat.S_ISREG(mode):
                found.append(Found(path, path.parent.relative_to(folder)))
            elif looks_like_photo:
                problems.append(Problem(path, _not_a_file(path)))
        waiting += reversed(below)
    return found, problems


def _search_remote(folder: remote.RemotePath) -> tuple[list[Found], list[Problem]]:
    try:
        listed = remote.listing(folder)
    except OSError as error:
        return [], [Problem(folder, f"{shown(folder)} can't be searched: {_reason(error)}.")]
    found = [Found(path, path.parent.relative_to(folder)) for path in listed if path.suffix.lower() in PHOTO_SUFFIXES]
    return [item for item in found if not any(part.startswith(".") for part in item.path.relative_to(folder).parts)], []


def _known_suffixes() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in PHOTO_SUFFIXES))


def _not_a_file(path: Path) -> str:
    return f"{shown(path)} is a device, pipe or socket; name a photo or a folder of photos."


# Reading and writing


def read(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """The photo in a file, told by its content and not its name, turned upright, first frame, in 8-bit RGB.

    Deeper photos are scaled to 8 bits; CMYK, Lab and profiled greyscale become sRGB. A broken colour profile, EXIF or
    XMP is left out. Raises PhotoError when the file is missing, no regular file, broken, of an unknown format, or has
    more than `max_pixels` pixels, which its header tells before anything is decoded.
    """
    path = remote.as_path(path)
    name = shown(path)
    too_large = f"{name} has more than {max_pixels:,} pixels; raise the limit with --max-pixels if you trust the photo."
    with opened(path) as file:
        pillow = _pillow(max_pixels)
        try:
            with pillow.open(file, formats=_READABLE) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise PhotoError(too_large)
                if width < 1 or height < 1:
                    raise PhotoError(f"{name} has no pixels; get a fresh copy of it.")
                if image.format in ("JPEG", "MPO") and _has_too_many_scans(file):
                    raise PhotoError(f"{name} is made of more scans than any camera writes; get another copy of it.")
                stored_orientation = _tiff_orientation(image)
                image.load()  # which turns a TIFF upright, and no other format
                orientation = _orientation(image)
                pixels, alpha, icc_profile = _colours(image)
                return Photo(
                    pixels=_upright(pixels, orientation),
                    alpha=None if alpha is None else _upright(alpha, orientation),
                    metadata=Metadata(
                        _exif(image), icc_profile, _dpi(image, max(orientation, stored_orientation)), _xmp(image)
                    ),
                    path=path,
                    format="JPEG" if image.format == "MPO" else str(image.format),
                )
        except PhotoError:
            raise
        except pillow.DecompressionBombError as error:
            raise PhotoError(too_large) from error
        except MemoryError as error:
            raise PhotoError(f"{name} needs more memory than there is; make it smaller first.") from error
        except pillow.UnidentifiedImageError as error:
            raise PhotoError(f"{name} is no photo of a known format ({_known_suffixes()}); convert it.") from error
        except Exception as error:  # decoders raise whatever a broken file makes them stumble over
            raise PhotoError(f"{name} is damaged or cut short; get a fresh copy of it.") from error


def write(
    photo: Photo,
    path: Path | str,
    *,
    quality: int = 95,
    overwrite: bool = False,
    strip_location: bool = False,
    mark: bool = True,
) -> Path:
    """Write a photo in the format that the path's suffix names, whole or not at all, and return the path.

    The file carries the photo's EXIF (orientation upright, no embedded thumbnail, which would show the old face),
    colour profile, resolution, XMP and alpha, as far as the format can. PNG, TIFF and BMP keep `pixels` to the bit;
    `quality` (0 to 100) is for the others. JPEG and AVIF keep full chroma: half of it frays a saturated lip's edge.

    `strip_location` leaves out GPS tags and place names. `mark` adds the IPTC mark of a photo altered by a trained
    model to the XMP (BMP has none). Folders on the way are made. Without `overwrite` an existing file stays, even one
    that appears meanwhile; the file that `photo` was read from stays in any case. Raises OutputError.
    """
    path = remote.as_path(path)
    name = shown(path)
    photo_format = FORMATS.get(path.suffix.lower())
    if photo_format is None:
        raise OutputError(f"{name} can't be written: its suffix names no known format ({_known_suffixes()}).")
    _refuse_to_replace(path, photo.path, overwrite)
    height, width = photo.pixels.shape[:2]
    metadata = Metadata(
        exif=_exif_for_result(photo.metadata.exif, width, height, strip_location),
        icc_profile=photo.metadata.icc_profile,
        dpi=photo.metadata.dpi,
        xmp=_xmp_for_result(photo.metadata.xmp, strip_location, mark, _longest_xmp(photo_format)),
    )
    try:
        with whole(path, overwrite) as file:
            _encode(photo, photo_format, metadata, quality, file)
    except OutputError:
        raise
    except MemoryError as error:
        raise OutputError(f"{name} needs more memory than there is; make its photo smaller first.") from error
    except Exception as error:  # encoders raise whatever they stumble over
        if isinstance(error, OSError) and error.errno:  # the disk's, not the encoder's
            raise OutputError(f"{name} can't be written: {_reason(error)}.") from error
        message = f"{name} can't be written as {photo_format} at {width} x {height} pixels; choose another --format."
        raise OutputError(message) from error
    return path


def suffix_for(photo: Photo, choice: str) -> str:
    """The suffix of a result: `choice` is "jpg", "png" or "webp", or "same" for the format of the photo itself.

    "same" keeps the photo's own suffix where that tells the truth about its content. A format that can be read but not
    written here becomes PNG where it is lossless, else JPEG.
    """
    if choice != "same":
        return f".{choice}"
    pillow = _pillow()
    pillow.init()
    if photo.format not in _FIRST_SUFFIX:
        return ".png"
    if photo.format not in pillow.SAVE:
        return ".jpg"
    if FORMATS.get(photo.path.suffix.lower()) == photo.format:
        return photo.path.suffix
    return _FIRST_SUFFIX[photo.format]


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write text to a file, in place of an earlier one, whole or not at all. OutputError."""
    publish((part.encode("utf-8", "backslashreplace") for part in parts), path, overwrite=True)


def sweep(folder: Path | str, *, below: bool = True) -> int:
    """Remove the temporary files that a killed run left in a folder and (`below`) its sub-folders; return how many.

    Those that another run is writing this moment stay, and links are not followed.
    """
    removed = 0
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(folders) if below else []
        for name in filter(_TEMPORARY.fullmatch, names):
            path = Path(current, name)
            with contextlib.suppress(OSError), os.fdopen(_open_plain(path), "rb") as file:
                if _claim(file):
                    path.unlink()
                    removed += 1
    return removed


# Files


@contextlib.contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """A regular file with something in it, open for reading; a pipe or device is refused without waiting for it.

    Raises PhotoError, for whatever the system says against it while it is opened.
    """
    name = shown(path)
    if isinstance(path, remote.RemotePath):
        yield _fetched(path)
        return
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise PhotoError(f"{name} is a folder, not a photo; name a photo file.")
        if not stat.S_ISREG(mode):
            raise PhotoError(_not_a_file(path))
        descriptor = _open_plain(path)
    except (OSError, ValueError) as error:
        raise PhotoError(f"{name} can't be read: {_reason(error)}.") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"{name} is no longer a file; name a photo file.")
        if status.st_size == 0:
            raise PhotoError(f"{name} is empty; get a fresh copy of it.")
        if status.st_size > MAX_FILE_BYTES:
            raise PhotoError(f"{name} is larger than {MAX_FILE_BYTES >> 30} GB; make it smaller first.")
        yield file


def _fetched(path: remote.RemotePath) -> io.BufferedIOBase:
    """A remote file with something in it, in memory."""
    try:
        file = io.BytesIO(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PhotoError(f"{shown(path)} can't be read: {_reason(error)}.") from error
    if not file.read(1):
        raise PhotoError(f"{shown(path)} is empty; get a fresh copy of it.")
    file.seek(0)
    return file


def _open_plain(path: Path) -> int:
    """A descriptor for reading that never waits, not even when the path became a pipe since it was looked at."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))


def _refuse_to_replace(path: Path, source: Path, overwrite: bool) -> None:
    """Say before the encoding what `publish` would say after it."""
    with contextlib.suppress(OSError, ValueError):
        if not overwrite and os.path.lexists(path):
            raise OutputError(_exists(path))
        if source.is_file() and path.samefile(source):
            raise OutputError(f"{shown(path)} is the photo itself and stays as it is; choose another --out.")


def _exists(path: Path) -> str:
    return f"{shown(path)} exists already; allow --overwrite or choose another --out."


def publish(content: Iterable[bytes], path: Path, *, overwrite: bool) -> None:
    """Put content at a path, whole or not at all: a temporary file beside it first, then its name. OutputError."""
    try:
        with whole(path, overwrite) as file:
            file.writelines(content)
    except OSError as error:
        raise OutputError(f"{shown(path)} can't be written: {_reason(error)}.") from error


@contextlib.contextmanager
def whole(path: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file to write to that gets its name when it is done, and is gone when anything goes wrong. OutputError.

    Another process may write to it, too, by its name. It is locked meanwhile, so that another run's `sweep` leaves it.
    What goes wrong while it is written is raised as it is.
    """
    if isinstance(path, remote.RemotePath):
        with tempfile.NamedTemporaryFile(prefix="beautygan-") as local:
            yield local
            local.flush()
            content = Path(local.name).read_bytes()
        try:
            path.publish(content, overwrite)
        except FileExistsError as error:
            raise OutputError(_exists(path)) from error
        except OSError as error:
            raise OutputError(f"{shown(path)} can't be written: {_reason(error)}.") from error
        return
    temporary = path.parent / f".beautygan-{secrets.token_hex(8)}.part"
    of_the_writer: BaseException | None = None
    try:
        _make_folder(path.parent)
        try:
            with temporary.open("xb") as file:  # mode 0o666 less the umask, and never through a link
                _claim(file)
                try:
                    yield file
                except BaseException as error:
                    of_the_writer = error
                    raise
                file.flush()
                os.fsync(file.fileno())  # a full disk or quota may show only now
            if overwrite:
                temporary.replace(path)
            else:
                _name_unless_taken(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except (OSError, ValueError) as error:
        if error is of_the_writer:
            raise
        message = f"{shown(path)} can't be written: {_reason(error)}."
        raise OutputError(_exists(path) if isinstance(error, FileExistsError) else message) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error


def _name_unless_taken(temporary: Path, path: Path) -> None:
    """Give a finished file its name, or raise FileExistsError; no moment in between in which it could replace one."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        path.open("xb").close()
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink()
            raise


_NO_HARD_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EINVAL}


def _claim(file: IO[bytes]) -> bool:
    """Lock a file for as long as it is open; False when another run holds it. Without fcntl the system itself does."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that knows no locks
        return True
    return True


_REASONS = {
    errno.ENOENT: "there is no such file or folder, check the name",
    errno.ENOTDIR: "a part of its path is a file, not a folder, check the name",
    errno.EISDIR: "it is a folder, choose another name",
    errno.EACCES: "access is denied, change its permissions or choose another folder",
    errno.EPERM: "access is denied, change its permissions or choose another folder",
    errno.EROFS: "the disk is read-only, choose another folder",
    errno.ENOSPC: "the disk is full, free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up, free some space or choose another folder",
    errno.EFBIG: "it is larger than files may be here, choose another folder",
    errno.ENAMETOOLONG: "its name is too long, use shorter names",
    errno.ELOOP: "its links lead in a circle, name the file itself",
    errno.EMFILE: "too many files are open, raise the limit with `ulimit -n`",
}


def _reason(error: OSError | ValueError) -> str:
    """Why the system refused, with the remedy, as the end of a sentence."""
    if not isinstance(error, OSError):
        return "its name holds a character that no file name may hold, check the name"
    return _REASONS.get(error.errno or 0, f"{error.strerror or error} (a fault of the disk or system, try again)")


# Decoding and encoding

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of a JPEG; those that may stand inside a scan are left out
_START_OF_SCAN, _END_OF_JPEG, _WITHOUT_LENGTH = 0xDA, 0xD9, (0x01, 0xD8)


def _has_too_many_scans(file: io.BufferedIOBase) -> bool:
    """Whether a JPEG has more than MAX_SCANS scans or MAX_SEGMENTS segments. The file stays where it was read to.

    A kilobyte of empty scans costs the decoder seconds on a large photo, so they are counted before it starts.
    """
    before, position, scans, segments = file.tell(), 2, 0, 0
    start, block = 0, b""
    while scans <= MAX_SCANS and segments <= MAX_SEGMENTS:
        found = _MARKER.search(block, position - start) if start <= position else None
        if found is None or found.end() + 2 > len(block):  # go on from there, or from a byte that may begin a marker
            start = start + found.start() if found else max(position, start + len(block) - 1)
            file.seek(start)
            position, block = start, file.read(1 << 16)
            if len(block) < 4:
                break
            continue
        kind = block[found.end() - 1]
        if kind == _END_OF_JPEG:
            break
        position = start + found.end()
        if kind not in _WITHOUT_LENGTH:
            position += int.from_bytes(block[found.end() : found.end() + 2], "big")
        scans += kind == _START_OF_SCAN
        segments += 1
    file.seek(before)
    return scans > MAX_SCANS or segments > MAX_SEGMENTS


def _pillow(max_pixels: int = 0) -> Any:
    """Pillow's Image module, able to read HEIC, silent, and with room for `max_pixels`.

    Pillow's limit on pixels, its log and Python's warning filters belong to the whole process, so they are changed by
    no more than it takes: Pillow refuses a photo at twice its limit, and a log level that somebody set stays.
    """
    from PIL import Image
    from pillow_heif import register_heif_opener

    if "HEIF" not in Image.OPEN:
        register_heif_opener()
    if logging.getLogger("PIL").level == logging.NOTSET:
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)(\..*)?$")
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)
    return Image


def reuse_memory() -> None:
    """Have Pillow keep the memory of some large photos for the next ones, unless its own setting says how much.

    For the whole process. What is fresh from the system at each photo costs a fifth of the time of a folder of them.
    """
    memory: Any = _pillow().core
    if not memory.get_blocks_max():
        memory.set_blocks_max(_BLOCKS_KEPT)


_BLOCKS_KEPT = 8  # of 16 MB; a photo of 12 megapixels takes three


def _colours(image: Image.Image) -> tuple[Pixels, Pixels | None, bytes | None]:
    """The RGB pixels (HWC uint8) of a decoded image, its alpha (HW uint8) and the profile that still describes them."""
    from PIL import Image, ImageCms

    alpha: Pixels | None = None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        flat = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.has_transparency_data:
        flat = image.convert("RGBA")
        alpha = np.array(flat.getchannel("A"))
        flat = image.convert("L") if image.mode in ("LA", "La") else flat.convert("RGB")
    elif image.mode == "1":
        flat = image.convert("L")
    else:
        flat = image if image.mode in ("RGB", "L", "CMYK", "LAB") else image.convert("RGB")

    icc_profile: bytes | None = None
    profile_bytes = image.info.get("icc_profile") or b""
    space, to_srgb = _profile(profile_bytes) if flat.mode != "LAB" else ("LAB", _lab_to_srgb())
    if to_srgb is not None and flat.mode == space != "RGB":
        flat = ImageCms.applyTransform(flat, to_srgb) or flat
    elif space == "RGB" and flat.mode in ("RGB", "L"):
        icc_profile = bytes(profile_bytes)
    return _array(flat if flat.mode == "RGB" else flat.convert("RGB")), alpha, icc_profile


def _array(image: Image.Image) -> Pixels:
    """An RGB image's pixels (HWC uint8).

    Saved as a PPM, which is a line and the pixels: NumPy's own way would lay a large image out in memory twice more.
    """
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    raw: Any = _Raw(pixels.reshape(-1), len(f"P6\n{image.width} {image.height}\n255\n"))
    image.save(raw, "PPM")
    return pixels


class _Raw(io.RawIOBase):
    """A file to write to that puts what comes after a header into an array of bytes."""

    def __init__(self, content: Pixels, header: int) -> None:
        super().__init__()
        self.content, self.position = content, -header

    def write(self, data: Any) -> int:
        part = np.frombuffer(data, dtype=np.uint8)[max(0, -self.position) :]
        self.position += len(data)
        self.content[max(0, self.position - len(part)) : max(0, self.position)] = part
        return len(data)


def _profile(icc_profile: bytes) -> tuple[str | None, ImageCms.ImageCmsTransform | None]:
    """The mode that a colour profile describes (RGB, L or CMYK) and its way to sRGB; None twice for an unusable one."""
    from PIL import ImageCms

    if not icc_profile:
        return None, None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[profile.profile.xcolor_space.strip()]
        return mode, ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:
        return None, None


def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    from PIL import ImageCms

    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def _eight_bits(deep: npt.NDArray[Any]) -> Pixels:
    """Grey levels (HW) of 16 or 32 bits or floats, scaled to uint8 by the range that they can be seen to use."""
    if deep.dtype.kind == "u" and deep.dtype.itemsize == 2:
        table: Pixels = np.round(np.arange(65536) / 257).astype(np.uint8)  # 65535 = 255 * 257
        return table.take(deep)
    levels = np.nan_to_num(deep.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(levels.max(initial=0.0))
    if deep.dtype.kind == "f" and peak <= 8:  # 0 to 1, highlights may overshoot; in 0 to 255 this would be black
        top = 1.0
    elif peak <= 255:
        top = 255.0
    elif peak <= 65535:
        top = 65535.0
    else:
        top = peak
    return np.round(np.clip(levels / top, 0, 1) * 255).astype(np.uint8)


def _encode(photo: Photo, photo_format: str, metadata: Metadata, quality: int, file: IO[bytes]) -> None:
    """Write a file in the given format; what the format can't carry is left out.

    Into a real file Pillow encodes a JPEG beside other threads; to give bytes it would keep the interpreter's lock.
    """
    import imageio.v3 as iio

    pillow = _pillow()
    exif = b"Exif\0\0" + metadata.exif if metadata.exif else None
    options: dict[str, Any] = {"icc_profile": metadata.icc_profile, "dpi": metadata.dpi}
    if photo_format == "JPEG":
        exif = exif if exif and len(exif) <= _JPEG_SEGMENT else None
        options |= {"quality": quality, "subsampling": "4:4:4", "exif": exif, "xmp": metadata.xmp}
    elif photo_format == "PNG":
        options |= {"compress_level": 4, "exif": exif}  # 6, the default, takes twice the time for 2 % less
        if metadata.xmp:
            options["pnginfo"] = _png_text("XML:com.adobe.xmp", metadata.xmp.decode("utf-8"))
    elif photo_format == "WEBP":
        options |= {"quality": quality, "use_sharp_yuv": True, "exact": True, "exif": exif, "xmp": metadata.xmp}
    elif photo_format == "TIFF":
        options["exif"] = _descriptive_exif(exif, metadata.xmp)
    elif photo_format == "AVIF":  # speed 6, the default, takes ten times the time for 5 % less
        options |= {"quality": quality, "subsampling": "4:4:4", "speed": 9, "exif": exif, "xmp": metadata.xmp}
    elif photo_format == "HEIF":  # 4:2:0, since phones' own decoders know no other
        options |= {"quality": quality, "enc_params": _heic_encoder(), "exif": exif, "xmp": metadata.xmp}

    has_alpha = photo.alpha is not None and photo_format not in ("JPEG", "BMP")
    levels = np.dstack([photo.pixels, photo.alpha]) if has_alpha and photo.alpha is not None else photo.pixels
    if photo_format not in pillow.SAVE:
        pillow.init()
    iio.imwrite(
        file,
        levels,
        plugin="pillow",
        extension=_FIRST_SUFFIX[photo_format],
        is_batch=False,
        **{key: value for key, value in options.items() if value is not None},
    )


_JPEG_SEGMENT = 65_533  # bytes, of which an XMP packet's name takes 29


def _longest_xmp(photo_format: str) -> float:
    return _JPEG_SEGMENT - 29 if photo_format == "JPEG" else math.inf


def _heic_encoder() -> dict[str, str]:
    """Settings of the HEIC encoder. x265's own take three times the time for 10 % less."""
    from pillow_heif import libheif_info

    return {"preset": "ultrafast"} if "x265" in libheif_info()["HEIF"] else {}


def _png_text(key: str, text: str) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt(key, text)
    return info


# Orientation and resolution


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, that is still to be applied to the decoded pixels."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        return int(orientation) if orientation in range(1, 9) else 1
    except Exception:  # broken EXIF
        return 1


def _tiff_orientation(image: Image.Image) -> int:
    """The orientation of a TIFF before it is loaded; 1 for other formats."""
    try:
        return int(getattr(image, "tag_v2", {}).get(_ORIENTATION, 1))
    except Exception:
        return 1


def _upright(array: Pixels, orientation: int) -> Pixels:
    """Pixels (HWC or HW) turned and mirrored as an EXIF orientation asks, writeable and contiguous."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _dpi(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """Pixels an inch, horizontal and vertical of the upright photo; None where the file's figure makes no sense."""
    try:
        horizontal, vertical = (float(value) for value in image.info["dpi"])
    except Exception:
        return None
    if not all(math.isfinite(value) and 1 <= value < 65536 for value in (horizontal, vertical)):
        return None
    return (vertical, horizontal) if orientation >= 5 else (horizontal, vertical)


# EXIF: read, and edited in place for a result. Rebuilding the block would break makers' notes, whose offsets count
# from its start; so numbers are patched, and what has to go is unlinked and blanked.

_ORIENTATION = 0x0112
_EXIF_FOLDER = 0x8769
_GPS_FOLDER = 0x8825
_FOLDERS = {_EXIF_FOLDER, _GPS_FOLDER}
_MOST_ENTRIES = 1000  # in a folder, cameras write up to some 150
_LONGEST_EXIF = 4 << 20  # bytes
_LONGEST_XMP = 16 << 20
_THUMBNAIL_PLACES = ((0x0201, 0x0202), (0x0111, 0x0117))  # offset and length, of a JPEG or of plain strips
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_DESCRIPTIVE = (  # the tags of a TIFF that tell of the photo; the others tell where its pixels are stored
    *(0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C),  # description, camera, software, date, artist, host
    *(0x4746, 0x4749, 0x8298),  # rating, rating in per cent, copyright
    *range(0x9C9B, 0x9CA0),  # title, comment, author, keywords, subject
)


def _exif(image: Image.Image) -> bytes | None:
    """The EXIF block of a loaded image, without prefix; None where there is none or it can't be parsed."""
    try:
        if image.format == "TIFF":
            block = _descriptive(image.getexif())
        else:
            block = image.info.get("exif") or (image.getexif().tobytes() if image.getexif() else b"")
    except Exception:
        return None
    block = re.sub(rb"^(Exif\0\0)+", b"", block)
    return bytes(block) if block[:4] in (b"II*\0", b"MM\0*") and len(block) <= _LONGEST_EXIF else None


def _descriptive(exif: Image.Exif) -> bytes:
    """An EXIF block with the descriptive tags alone, or nothing; any broken tag raises what Pillow raises."""
    from PIL import Image

    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in exif:
            kept[tag] = exif[tag]
    for folder in (_EXIF_FOLDER, _GPS_FOLDER):
        if entries := exif.get_ifd(folder):
            kept.get_ifd(folder).update(entries)
    return kept.tobytes() if len(kept) or kept._ifds else b""


def _descriptive_exif(exif: bytes | None, xmp: bytes | None) -> bytes | None:
    """What a TIFF carries as tags of its own: the descriptive part of an EXIF block, and an XMP packet."""
    from PIL import Image

    tags = Image.Exif()
    with contextlib.suppress(Exception):  # a tag that Pillow can't rebuild: go without
        source = Image.Exif()
        source.load(exif or b"")
        tags.load(_descriptive(source))
    if xmp:
        tags[0x02BC] = xmp
    return tags.tobytes() if len(tags) else None


class _Entry(NamedTuple):
    """A tag in an EXIF folder: its type by number, how many values, and where its 12 bytes stand in the block."""

    tag: int
    kind: int
    values: int
    position: int


def _exif_for_result(exif: bytes | None, width: int, height: int, strip_location: bool) -> bytes | None:
    """An EXIF block made true for an upright result of the given size, without thumbnail; None for a broken block."""
    if not exif:
        return None
    block = bytearray(exif)
    order = "<" if block.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        entries, end = _entries(block, order, start)
        if len({entry.tag for entry in entries} & _FOLDERS) != sum(entry.tag in _FOLDERS for entry in entries):
            return None  # a folder listed twice
        for entry in entries:
            if entry.tag == _ORIENTATION:
                _set_number(block, order, entry, 1)
            elif entry.tag == _EXIF_FOLDER:
                for detail in _entries(block, order, _number(block, order, entry))[0]:
                    if detail.tag in (0xA002, 0xA003):
                        _set_number(block, order, detail, width if detail.tag == 0xA002 else height)
        _drop_thumbnail(block, order, end)
        if strip_location:
            _drop_location(block, order, start)
        expected = [entry.tag for entry in entries if not (strip_location and entry.tag == _GPS_FOLDER)]
        left = [entry.tag for entry in _entries(block, order, start)[0]]
    except struct.error:
        return None
    return bytes(block) if left == expected else None  # folders that overlap blank each other: hostile or broken


def _entries(block: bytearray, order: str, start: int) -> tuple[list[_Entry], int]:
    """The entries of the folder at `start`, and where the offset of the folder after it stands."""
    (count,) = struct.unpack_from(order + "H", block, start)
    if count > _MOST_ENTRIES:
        raise struct.error("no camera writes so many tags")
    end = start + 2 + 12 * count
    positions = range(start + 2, end, 12)
    entries = [_Entry._make((*struct.unpack_from(order + "HHI", block, position), position)) for position in positions]
    struct.unpack_from(order + "I", block, end)
    return entries, end


def _number(block: bytearray, order: str, entry: _Entry) -> int:
    number: int = struct.unpack_from(order + ("H" if entry.kind == 3 else "I"), block, entry.position + 8)[0]
    return number


def _set_number(block: bytearray, order: str, entry: _Entry, number: int) -> None:
    if number < 65536:
        struct.pack_into(order + "HHIHH", block, entry.position, entry.tag, 3, 1, number, 0)
    else:
        struct.pack_into(order + "HHII", block, entry.position, entry.tag, 4, 1, number)


def _blank(block: bytearray, start: int, length: int) -> None:
    block[start : start + length] = bytes(len(block[start : start + length]))


def _drop_thumbnail(block: bytearray, order: str, end: int) -> None:
    """Unlink the second folder, blank it and its picture, and cut the block where nothing follows."""
    (second,) = struct.unpack_from(order + "I", block, end)
    struct.pack_into(order + "I", block, end, 0)
    if not second:
        return
    try:
        entries, second_end = _entries(block, order, second)
    except struct.error:
        return
    numbers = {entry.tag: _number(block, order, entry) for entry in entries}
    _blank_folder(block, entries, order, second, second_end)
    for offset_tag, length_tag in _THUMBNAIL_PLACES:
        if offset_tag in numbers and length_tag in numbers:
            offset, length = numbers[offset_tag], numbers[length_tag]
            _blank(block, offset, length)
            if offset + length >= len(block):
                del block[offset:]


def _drop_location(block: bytearray, order: str, start: int) -> None:
    """Blank the GPS folder and take its entry out of the first folder."""
    entries, end = _entries(block, order, start)
    for entry in entries:
        if entry.tag == _GPS_FOLDER:
            with contextlib.suppress(struct.error):  # a broken folder: its entry goes all the same
                place = _number(block, order, entry)
                details, details_end = _entries(block, order, place)
                _blank_folder(block, details, order, place, details_end)
            following = block[entry.position + 12 : end + 4]
            block[entry.position : end + 4] = following + bytes(12)
            struct.pack_into(order + "H", block, start, len(entries) - 1)
            return


def _blank_folder(block: bytearray, entries: list[_Entry], order: str, start: int, end: int) -> None:
    for entry in entries:
        size = _TYPE_SIZES.get(entry.kind, 1) * entry.values
        if size > 4:
            _blank(block, _number(block, order, entry._replace(kind=4)), size)
    _blank(block, start, end + 4 - start)


# XMP: read, and edited for a result. The packet is parsed as it stands, so that its prefixes stay.

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_TIFF_SPACE = "http://ns.adobe.com/tiff/1.0/"
_EXIF_SPACE = "http://ns.adobe.com/exif/1.0/"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_STALE_SPACES = {  # these tell of pictures, videos or packets behind the photo, which a result doesn't have
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.adobe.com/xmp/note/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/image/",
}
_STALE = {("http://ns.adobe.com/xap/1.0/", "Thumbnails")}
_PLACE_NAMES = {
    ("http://ns.adobe.com/photoshop/1.0/", "City"),
    ("http://ns.adobe.com/photoshop/1.0/", "State"),
    ("http://ns.adobe.com/photoshop/1.0/", "Country"),
    ("http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "Location"),
    ("http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "CountryCode"),
    (_IPTC_EXTENSION, "LocationCreated"),
    (_IPTC_EXTENSION, "LocationShown"),
}
_MARK = (
    f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about="" xmlns:Iptc4xmpExt="{_IPTC_EXTENSION}"'
    f' Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>'
)
NEW_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">{_MARK}</rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()


def _xmp(image: Image.Image) -> bytes | None:
    """The XMP packet of a loaded image, as it stands."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "surrogatepass")
    return bytes(packet) if isinstance(packet, bytes | bytearray) and 0 < len(packet) <= _LONGEST_XMP else None


def _xmp_for_result(xmp: bytes | None, strip_location: bool, mark: bool, longest: float = math.inf) -> bytes | None:
    """A packet (UTF-8) made true for an upright result; a broken or too long one gives way to the mark alone."""
    try:
        edited = _edited_xmp(xmp, strip_location, mark) if xmp else None
    except Exception:  # XML of strangers: whatever the parser stumbles over, the photo matters more
        edited = None
    if edited is None or len(edited) > longest:
        return NEW_XMP if mark else None
    return edited


def _edited_xmp(xmp: bytes, strip_location: bool, mark: bool) -> bytes | None:
    from xml.dom import minidom

    text = xmp.decode("utf-8").strip("\0 \t\r\n")
    if re.search(r"<!(?!--|\[CDATA\[)", text):  # a document type can declare entities that explode
        return None
    document = minidom.parseString(text)
    roots = document.getElementsByTagNameNS(_RDF, "RDF")
    described = list(document.getElementsByTagNameNS(_RDF, "Description"))
    for description in described:
        _edit_description(description, strip_location, mark)
    if mark:
        _add_mark(roots[0], described)
    return "".join(node.toxml() for node in document.childNodes).encode("utf-8")


def _edit_description(description: Element, strip_location: bool, mark: bool) -> None:
    """Set the orientation upright and take out what is stale, whether it stands as attributes or as elements.

    A description that is left with nothing to say goes too, so that results of results don't pile them up.
    """
    attributes = [description.getAttributeNode(name) for name in list(description.attributes.keys())]
    elements = [node for node in description.childNodes if node.nodeType == node.ELEMENT_NODE]
    says = taken = 0
    for attribute in filter(None, attributes):
        name = (attribute.namespaceURI, attribute.localName)
        if _must_go(name, strip_location, mark):
            description.removeAttributeNode(attribute)
            taken += 1
        elif name == (_TIFF_SPACE, "Orientation"):
            attribute.value = "1"
        says += name[0] not in (_XMLNS, _RDF)
    for element in elements:
        name = (element.namespaceURI, element.localName)
        if name == (_TIFF_SPACE, "Orientation") or _must_go(name, strip_location, mark):
            description.removeChild(element)
            taken += 1
        says += 1
    if taken == says > 0 and description.parentNode is not None:
        description.parentNode.removeChild(description)


def _must_go(name: tuple[str | None, str | None], strip_location: bool, mark: bool) -> bool:
    space, local = name
    if space == _XMLNS:
        return False
    is_place = name in _PLACE_NAMES or (space == _EXIF_SPACE and (local or "").startswith("GPS"))
    is_mark = name == (_IPTC_EXTENSION, "DigitalSourceType")  # an earlier one gives way to ours, and only to ours
    return space in _STALE_SPACES or name in _STALE or (strip_location and is_place) or (mark and is_mark)


def _add_mark(root: Element, described: list[Element]) -> None:
    """Append the mark as a description of its own, about the same thing as the others: that never meets a prefix."""
    from xml.dom import minidom

    marked = minidom.parseString(_MARK).documentElement
    if marked is None:
        return
    about = described[0].getAttributeNS(_RDF, "about") if described else ""
    marked.setAttributeNS(_RDF, "rdf:about", about)
    if root.ownerDocument is not None:
        root.appendChild(root.ownerDocument.importNode(marked, True))
