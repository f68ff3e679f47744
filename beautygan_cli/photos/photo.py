"""A photo: read upright as RGB, and written with its metadata.

A photo is data from a stranger. `read_photo` takes any file and ends with a `Photo` or one `PhotoError`; `write_photo`
ends with the whole result in place or one `OutputError`, and leaves nothing half-written. Encoding goes through
imageio's v3 interface. Decoding asks Pillow itself: a header's size before its pixels, the main frame of a HEIC and
metadata that may be broken are out of imageio's reach.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.photos import icc, jpeg_scans, png, ppm, remote, tiff
from beautygan_cli.photos.captions import (
    COMMENT_KEYWORD,
    IIM_KEYWORD,
    Texts,
    comment_segments,
    comment_text,
    comments_of,
    iim_for_result,
    iim_of,
    iim_segment,
    iim_text,
    texts_for_result,
    texts_of,
)
from beautygan_cli.photos.colour_profile import Native, Pixels, decoded
from beautygan_cli.photos.exif import (
    descriptive_exif,
    exif_for_result,
    exif_of,
    orientation_left,
    resolution,
    tiff_orientation,
    upright,
)
from beautygan_cli.photos.facts import Facts, facts_of
from beautygan_cli.photos.files import Journal, opened, printable, reason_of, refuse_to_replace, whole
from beautygan_cli.photos.formats import FIRST_SUFFIX, FORMATS, format_of, known_suffixes
from beautygan_cli.photos.pillow import prepared_pillow
from beautygan_cli.photos.tiff import is_raw
from beautygan_cli.photos.xmp import lost_xmp, xmp_for_result, xmp_of

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 200_000_000  # the largest phone sensors give 200 megapixels; decoded, that is 600 MB

# A file may claim any size. The flattest photo that anybody would make up has a thousandth of a byte a pixel: a clear
# sky around a face, in the format that takes least for it. What claims more than its bytes can say is a bomb.
MOST_PIXELS_A_BYTE = 1000
_SMALL = 4_000_000  # pixels that any file may claim, and that Pillow's decoder of compressed BMPs, in Python, may get

_UNKNOWN_TIFF = "{} is a TIFF of a kind that can't be read; export it with 8 or 16 bits a channel in RGB."
_READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "HEIF", "AVIF", "GIF", "PPM")  # no format that runs a program


@dataclass(frozen=True)
class Metadata:
    """What a photo carries beside its pixels, as it was read; None where it has none or a broken one.

    `exif` is a TIFF-structured block without the `Exif` prefix. `icc_profile` describes RGB. `dpi` is horizontal,
    vertical. `xmp` is an XML packet. `iim` are IPTC-IIM records, `comments` a JPEG's or a GIF's, `texts` a PNG's
    by their keywords. `compression` is a TIFF's, by Pillow's name; "lossless" of a WebP that keeps every pixel.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    xmp: bytes | None = None
    iim: bytes | None = None
    comments: tuple[bytes, ...] = ()
    texts: Texts = ()
    compression: str | None = None


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo in memory.

    `pixels` is HWC uint8 sRGB, upright. `native` is the same as its file has it, where that is another colour space
    (that of `metadata.icc_profile`) or deeper; `write_photo` brings what was changed in `pixels` into it. `alpha` is HW
    uint8, 255 opaque, or None. `format` is the format by content ("JPEG", "PNG", "HEIF"), whatever `path` calls it.
    `notes` are phrases on what of the file was read otherwise, or is not carried. `doubtful_orientation` is one that
    the EXIF asks for and the file's format does not (see `turned_by_exif`); 1 for none.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    metadata: Metadata = field(default_factory=Metadata)
    path: Path = Path()
    format: str = "PNG"
    native: Native | None = None
    notes: tuple[str, ...] = ()
    doubtful_orientation: int = 1

    def mapped(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Photo:
        """The same with each of its pictures turned or cut."""
        return replace(
            self,
            pixels=change(self.pixels),
            alpha=None if self.alpha is None else change(self.alpha),
            native=self.native and self.native.mapped(change),
        )


def turned_by_exif(photo: Photo) -> Photo:
    """A photo turned by its doubtful orientation."""
    return replace(photo.mapped(lambda array: upright(array, photo.doubtful_orientation)), doubtful_orientation=1)


def read_photo(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """The photo in a file, told by its content and not its name, turned upright, first page, in 8-bit sRGB.

    What its file has beyond 8 bits and sRGB lies beside it (`Photo.native`); CMYK and Lab become sRGB for good. A
    broken colour profile, EXIF or XMP is left out. Raises PhotoError when the file is missing, no regular file, broken,
    of an unknown format, a raw file, an animation, in HDR, or has more than `max_pixels` pixels or many more than its
    bytes can hold, which its header tells before anything is decoded.
    """
    path = remote.as_path(path)
    with opened(path) as file:
        return decode_photo(file, path, max_pixels=max_pixels)


def decode_photo(file: io.BufferedIOBase, path: Path, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """As `read_photo`, from an open file with something in it, which may lie in memory.

    path: what the photo is called in messages, and its `Photo.path`.
    """
    name = printable(path)
    too_large = f"{name} has more than {max_pixels:,} pixels; raise the limit with --max-pixels if you trust the photo."
    if is_raw(file):
        raise PhotoError(f"{name} is a raw file; export it as JPEG or TIFF first.")
    refuse_too_many_parts(file, name)
    pillow = prepared_pillow(max_pixels)
    try:
        with pillow.open(file, formats=_READABLE) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise PhotoError(too_large)
            if width < 1 or height < 1:
                raise PhotoError(f"{name} has no pixels; get a fresh copy of it.")
            if width * height > max(_SMALL, MOST_PIXELS_A_BYTE * _length(file)):
                raise PhotoError(
                    f"{name} claims {width} x {height} pixels, which so short a file can't hold; get a fresh copy."
                )
            if image.format == "BMP" and width * height > _SMALL and image.info.get("compression") in _RLE:
                raise PhotoError(f"{name} is a large compressed BMP; save it as PNG first.")
            facts = facts_of(image, file)
            _refuse(facts, name, str(image.format))
            stored_orientation = tiff_orientation(image)
            image.load()  # which turns a TIFF upright, and no other format
            orientation = orientation_left(image)
            read = decoded(image, facts, file, stored_orientation)
            metadata = metadata_of(image, read.profile, max(orientation, stored_orientation), facts.lossless)
            photo = Photo(
                pixels=read.pixels,
                alpha=read.alpha,
                metadata=metadata,
                path=path,
                format="JPEG" if image.format == "MPO" else str(image.format),
                native=read.native,
                notes=(*_left_out(facts), *facts.notes, *read.notes, *_unread(image, metadata)),
                doubtful_orientation=_doubtful_orientation(image) if facts.doubtful else 1,
            )
            return photo.mapped(lambda array: upright(array, orientation))
    except PhotoError:
        raise
    except pillow.DecompressionBombError as error:
        raise PhotoError(too_large) from error
    except MemoryError as error:
        raise PhotoError(f"{name} needs more memory than there is; make it smaller first.") from error
    except pillow.UnidentifiedImageError as error:
        if tiff.is_unknown_kind(file, opened=False):
            raise PhotoError(_UNKNOWN_TIFF.format(name)) from error
        raise PhotoError(f"{name} is no photo of a known format ({known_suffixes()}); convert it.") from error
    except Exception as error:  # decoders raise whatever a broken file makes them stumble over
        if tiff.is_unknown_kind(file, opened=True):
            raise PhotoError(_UNKNOWN_TIFF.format(name)) from error
        raise PhotoError(f"{name} is damaged or cut short; get a fresh copy of it.") from error


def refuse_too_many_parts(file: io.BufferedIOBase, name: str) -> None:
    """PhotoError, before Pillow opens it, for a file that is made of so many parts that reading them takes long.

    name: what the message calls it. The file stays where it was.
    """
    if jpeg_scans.has_too_many_parts(file) or png.has_too_many_chunks(file) or tiff.has_too_many_parts(file):
        raise PhotoError(f"{name} is made of more parts than any camera writes; get another copy of it.")
    if ppm.takes_too_long(file):
        raise PhotoError(f"{name} is a PPM with a long head, or a large one written in digits; save it as PNG first.")


def photo_of(image: Image) -> Photo:
    """The photo in a PIL image, upright and in 8-bit sRGB by its EXIF and colour profile, which it need not have."""
    image.load()
    profile = image.info.get("icc_profile")
    facts = Facts(profile if isinstance(profile, bytes) and profile else None)
    if image.mode.startswith(("I", "F")):  # which hold greys of many kinds, and it needs no file to tell them
        facts = facts_of(image, io.BytesIO())
    read = decoded(image, facts, io.BytesIO())
    orientation = orientation_left(image)
    photo = Photo(read.pixels, read.alpha, metadata_of(image, read.profile, orientation), native=read.native)
    return photo.mapped(lambda array: upright(array, orientation))


def metadata_of(image: Image, profile: bytes | None, orientation: int = 1, lossless: bool = False) -> Metadata:
    """What a loaded image carries beside its pixels.

    orientation: by which they are turned upright; lossless: whether it is a WebP that keeps every pixel.
    """
    compression = image.info.get("compression") if image.format == "TIFF" else "lossless" if lossless else None
    return Metadata(
        exif_of(image),
        profile,
        resolution(image, orientation),
        xmp_of(image),
        iim_of(image),
        comments_of(image),
        texts_of(image),
        compression,
    )


def _unread(image: Image, metadata: Metadata) -> list[str]:
    """Phrases on what stands in a loaded image's file and could not be read."""
    exif, packet = image.info.get("exif"), image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    said = []
    if metadata.exif is None and isinstance(exif, bytes) and len(exif.removeprefix(b"Exif\0\0").strip(b"\0")) > 8:
        said.append("its broken EXIF was left out")
    if metadata.xmp is None and packet:
        said.append("its XMP of more than a megabyte was left out")
    return said


def _length(file: io.BufferedIOBase) -> int:
    """A file's size in bytes. It stays where it was read to."""
    before = file.tell()
    length = file.seek(0, io.SEEK_END)
    file.seek(before)
    return length


def _refuse(facts: Facts, name: str, photo_format: str) -> None:
    """PhotoError for what would come out wrong without a word."""
    if facts.hdr:
        raise PhotoError(f"{name} is an HDR photo ({facts.hdr}); export it in SDR, as JPEG or PNG, first.")
    if facts.animated:
        whole = " To make up all of it, save it as animated WebP or as MP4." if photo_format == "AVIF" else ""
        raise PhotoError(f"{name} is an animation where a photo is needed; save one of its frames as a photo.{whole}")


def _left_out(facts: Facts) -> tuple[str, ...]:
    behind = [f"the {kind} in the file was left out, since it shows the face as it was" for kind in facts.behind]
    if facts.other > 0 and not facts.behind:
        behind.append(f"of the {facts.other + 1} pictures in the file the main one was taken")
    return tuple(behind)


def _doubtful_orientation(image: Image) -> int:
    orientation = image.info.get("original_orientation")
    return orientation if isinstance(orientation, int) and 2 <= orientation <= 8 else 1


def losses(photo: Photo, path: PurePath) -> list[str]:
    """Phrases on what of a photo the format that a path's suffix names can't carry."""
    photo_format = FORMATS.get(path.suffix.lower())
    said = []
    if photo.native is not None and photo.native.profile and photo_format in _WITHOUT_PROFILE:
        said.append(f"its colour profile gave way to sRGB, since a {photo_format} carries none")
    if photo.alpha is not None and photo_format in _OPAQUE and (photo.alpha < 255).any():
        said.append(f"transparent parts became white, since a {photo_format} has none")
    most = _DEEP.get(str(photo_format), 8)
    if photo.native is not None and photo.native.bits > most:
        name = "HEIC" if photo_format == "HEIF" else photo_format
        said.append(f"{photo.native.bits} bits a channel became {most}, since a {name} has no more")
    compression = photo.metadata.compression
    if photo.format == photo_format == "TIFF" and compression not in (None, "raw") and not _is_kept(str(compression)):
        said.append(f"its compression ({compression}) became LZW")
    return said + _lost_words(photo, str(photo_format))


def _lost_words(photo: Photo, photo_format: str) -> list[str]:
    """Phrases on what a photo says and a result in a format does not."""
    metadata = photo.metadata
    height, width = photo.pixels.shape[:2]
    exif = exif_for_result(metadata.exif, width, height, False)
    trouble = lost_xmp(metadata.xmp, _longest_xmp(photo_format))
    told = {"JPEG": iim_segment, "PNG": iim_text}.get(photo_format)
    held: dict[str, object] = {"EXIF": metadata.exif, "XMP": metadata.xmp, "IPTC records": metadata.iim}
    held |= {"comment": metadata.comments, "texts": metadata.texts}
    no_place = [kind for kind, formats in _PLACES.items() if held[kind] and photo_format not in formats]
    broken = ["EXIF"] if metadata.exif and exif is None else []
    broken += ["XMP"] if trouble == "broken" else []
    too_long = ["EXIF"] if exif and photo_format == "JPEG" and len(_EXIF_NAME + exif) > _JPEG_SEGMENT else []
    too_long += ["XMP"] if trouble == "long" else []
    too_long += ["IPTC records"] if metadata.iim and told and not told(metadata.iim) else []
    name = "HEIC" if photo_format == "HEIF" else photo_format
    return [
        *(f"its broken {kind} was left out" for kind in broken if kind not in no_place),
        *(f"its {kind} did not fit into a {name} and went" for kind in too_long),
        *([f"a {name} has no place for its {' and '.join(no_place)}"] if no_place else []),
    ]


def write_photo(
    photo: Photo,
    path: Path | str,
    *,
    quality: int = 95,
    overwrite: bool = False,
    journal: Journal | None = None,
    strip_location: bool = False,
    mark: bool = True,
) -> Path:
    """Write a photo in the format that the path's suffix names, whole or not at all, and return the path.

    The file carries the photo's EXIF (orientation upright, no embedded thumbnail, which would show the old face),
    colour profile, resolution, XMP, words and alpha, as far as the format can; JPEG and BMP lay transparent parts on
    white. PNG, TIFF, BMP and a WebP of what came from a lossless WebP keep every pixel to the bit, the first two at 16
    bits too; `quality` (0 to 100) is for the others. JPEG and AVIF keep full chroma: half of it frays a saturated lip's
    edge.

    `strip_location` leaves out GPS tags and place names. `mark` adds the IPTC mark of a photo altered by a trained
    model to the XMP (BMP has none). Folders on the way are made. Without `overwrite` an existing file stays, even one
    that appears meanwhile, unless the `journal` knows it as ours; the file that `photo` was read from stays in any
    case. Raises OutputError.
    """
    path = remote.as_path(path)
    photo_format = _format_named(path)
    refuse_to_replace(path, photo.path, overwrite, journal)
    with _failures_told(photo, path), whole(path, overwrite, journal) as file:
        _encode(photo, photo_format, _carried(photo, photo_format, strip_location, mark), quality, file)
    return path


def encode_photo(
    photo: Photo, path: PurePath, *, quality: int = 95, strip_location: bool = False, mark: bool = True
) -> bytes:
    """What `write_photo` writes to a file of that name, which need not lie anywhere. OutputError."""
    photo_format = _format_named(path)
    file = io.BytesIO()
    with _failures_told(photo, path):
        _encode(photo, photo_format, _carried(photo, photo_format, strip_location, mark), quality, file)
    return file.getvalue()


def _format_named(path: PurePath) -> str:
    """The format that a path's suffix names; OutputError where it names none."""
    photo_format = FORMATS.get(path.suffix.lower())
    if photo_format is None:
        name = printable(path)
        raise OutputError(f"{name} can't be written: its suffix names no known format ({known_suffixes()}).")
    return photo_format


def _carried(photo: Photo, photo_format: str, strip_location: bool, mark: bool) -> Metadata:
    """The metadata of a result in a format."""
    height, width = photo.pixels.shape[:2]
    return replace(
        photo.metadata,
        exif=exif_for_result(photo.metadata.exif, width, height, strip_location),
        icc_profile=_profile_of(photo),
        xmp=xmp_for_result(photo.metadata.xmp, strip_location, mark, _longest_xmp(photo_format)),
        iim=iim_for_result(photo.metadata.iim, strip_location),
        texts=texts_for_result(photo.metadata.texts, strip_location),
    )


@contextlib.contextmanager
def _failures_told(photo: Photo, path: PurePath) -> Iterator[None]:
    """Whatever fails while a photo is encoded for a path, as an OutputError."""
    name = printable(path)
    try:
        yield
    except OutputError:
        raise
    except MemoryError as error:
        raise OutputError(f"{name} needs more memory than there is; make its photo smaller first.") from error
    except Exception as error:  # encoders raise whatever they stumble over
        if isinstance(error, OSError) and error.errno:  # the disk's, not the encoder's
            raise OutputError(f"{name} can't be written: {reason_of(error)}.") from error
        height, width = photo.pixels.shape[:2]
        photo_format = _format_named(path)
        message = f"{name} can't be written as {photo_format} at {width} x {height} pixels; choose another --format."
        raise OutputError(message) from error


def suffix_for(photo_format: str, path: PurePath, choice: str) -> str:
    """The suffix of a result: `choice` is "jpg", "png" or "webp", or "same" for the format of the photo itself.

    photo_format: the photo's, such as "JPEG"; path: where it lies. "same" keeps the photo's own suffix where that tells
    the truth about its content. A format that can be read but not
    written here becomes PNG where it is lossless, else JPEG.
    """
    if choice != "same":
        return f".{choice}"
    pillow = prepared_pillow()
    pillow.init()
    if photo_format not in FIRST_SUFFIX:
        return ".png"
    if photo_format not in pillow.SAVE:
        return ".jpg"
    if FORMATS.get(path.suffix.lower()) == photo_format:
        return path.suffix
    return FIRST_SUFFIX[photo_format]


def told_format(path: Path) -> str:
    """The format of the photo in a file, by its first bytes; by its name where these can't be read or tell nothing."""
    by_name = FORMATS.get(path.suffix.lower(), "PNG")
    if isinstance(path, remote.RemotePath):  # which would be fetched for it
        return by_name
    try:
        with opened(path) as file:
            return format_of(file.read(32)) or by_name
    except PhotoError:
        return by_name


def _profile_of(photo: Photo) -> bytes | None:
    """The profile of what is written: of `native`, or one that says sRGB."""
    profile = photo.metadata.icc_profile
    if photo.native is not None:
        return photo.native.profile
    return profile if profile and icc.is_srgb(profile) else None


def stored_levels(photo: Photo, photo_format: str) -> npt.NDArray[Any]:
    """The levels that a file in this format gets: HWC, 3 or 4 channels, uint8 or uint16, in the photo's own space.

    In sRGB where the format carries no profile, since levels without theirs are other colours.
    """
    native = photo.native
    if native is not None and native.profile and photo_format in _WITHOUT_PROFILE:
        native = None
    levels: npt.NDArray[Any] = photo.pixels if native is None else native.with_change(photo.pixels)
    alpha: npt.NDArray[Any] | None = photo.alpha
    if levels.dtype == np.uint16 and native is not None and alpha is not None:
        alpha = native.alpha if native.alpha is not None else alpha.astype(np.uint16) * np.uint16(257)
    if alpha is not None and photo_format in _OPAQUE:
        top = np.iinfo(levels.dtype).max
        share = alpha[..., None].astype(np.float32) / top
        levels = np.rint(share * levels + (1 - share) * top).astype(levels.dtype)
        alpha = None
    if alpha is not None:
        levels = np.dstack([levels, alpha])
    if levels.dtype == np.uint16 and photo_format not in _DEEP:
        levels = np.rint(levels / np.float32(257)).astype(np.uint8)
    return levels


def _encode(photo: Photo, photo_format: str, metadata: Metadata, quality: int, file: IO[bytes]) -> None:
    """Write a file in the given format; what the format can't carry is left out.

    Into a real file Pillow encodes a JPEG beside other threads; to give bytes it would keep the interpreter's lock.
    """
    options = _options(photo_format, metadata, quality)
    levels = stored_levels(photo, photo_format)
    if levels.dtype == np.uint8:
        _save(levels, photo_format, options, file)
    elif photo_format == "HEIF":
        _save_deep_heif(levels, options, file)
    elif photo_format == "PNG":
        small = io.BytesIO()
        _save(np.zeros((1, 1, levels.shape[2]), np.uint8), photo_format, options, small)
        png.write_deep(levels, small.getvalue(), file)
    else:
        # Pillow has no mode for it: written as twice as many columns of bytes, which the tags then tell right.
        wide = io.BytesIO()
        columns = levels.astype("<u2").view(np.uint8).reshape(levels.shape[0], -1, levels.shape[2])
        _save(columns, photo_format, options, wide)
        file.write(tiff.as_deep(wide.getvalue()))


def encoding_options(
    photo: Photo, photo_format: str, *, quality: int = 95, strip_location: bool = False, mark: bool = True
) -> dict[str, Any]:
    """What Pillow is told to write a photo in a format, its metadata included; the arguments are `write_photo`'s."""
    return _options(photo_format, _carried(photo, photo_format, strip_location, mark), quality)


def _options(photo_format: str, metadata: Metadata, quality: int) -> dict[str, Any]:
    """What Pillow is told for a file in the given format."""
    exif = _EXIF_NAME + metadata.exif if metadata.exif else None
    options: dict[str, Any] = {"icc_profile": metadata.icc_profile, "dpi": metadata.dpi}
    if photo_format == "JPEG":
        exif = exif if exif and len(exif) <= _JPEG_SEGMENT else None
        options |= {"quality": quality, "subsampling": "4:4:4", "exif": exif, "xmp": metadata.xmp}
        extra = comment_segments(metadata.comments) + (iim_segment(metadata.iim) if metadata.iim else b"")
        options["extra"] = extra or None
    elif photo_format == "PNG":
        options |= {"compress_level": 4, "exif": exif}  # 6, the default, takes twice the time for 2 % less
        options["pnginfo"] = _png_texts(metadata)
    elif photo_format == "WEBP":
        options |= {"quality": quality, "use_sharp_yuv": True, "exact": True, "exif": exif, "xmp": metadata.xmp}
        if metadata.compression == "lossless":
            options |= {"lossless": True, "quality": _LOSSLESS_EFFORT}
    elif photo_format == "TIFF":
        options["exif"] = descriptive_exif(exif, metadata.xmp, metadata.iim)
        if metadata.compression and metadata.compression != "raw":
            options["compression"] = metadata.compression if _is_kept(metadata.compression) else "tiff_lzw"
    elif photo_format == "AVIF":  # speed 6, the default, takes ten times the time for 5 % less
        options |= {"quality": quality, "subsampling": "4:4:4", "speed": 9, "exif": exif, "xmp": metadata.xmp}
    elif photo_format == "HEIF":  # 4:2:0, since phones' own decoders know no other
        options |= {"quality": quality, "enc_params": _heic_encoder(), "exif": exif, "xmp": metadata.xmp}
    return {key: value for key, value in options.items() if value is not None}


def _save(levels: npt.NDArray[np.uint8], photo_format: str, options: dict[str, Any], file: IO[bytes]) -> None:
    import imageio.v3 as iio

    pillow = prepared_pillow()
    if photo_format not in pillow.SAVE:
        pillow.init()
    iio.imwrite(file, levels, plugin="pillow", extension=FIRST_SUFFIX[photo_format], is_batch=False, **options)


def _save_deep_heif(levels: npt.NDArray[np.uint16], options: dict[str, Any], file: IO[bytes]) -> None:
    """Write (H, W, 3 or 4) uint16 as a HEIC of 10 bits."""
    import pillow_heif

    height, width, channels = levels.shape
    mode = "RGBA;16" if channels == 4 else "RGB;16"
    # The encoder cuts the last 6 bits off.
    rounded = (np.rint(levels * np.float32(1023 / 65535)).astype(np.uint16) << 6).tobytes()
    image = pillow_heif.from_bytes(mode=mode, size=(width, height), data=rounded)
    if profile := options.pop("icc_profile", None):
        image.info["icc_profile"] = profile
    image.save(file, **options)


_RLE = (1, 2)  # compressions of a BMP, of 8 and of 4 bits a pixel
_JPEG_SEGMENT = 65_533  # bytes, of which an XMP packet's name takes 29
_EXIF_NAME = b"Exif\0\0"
_WITH_TAGS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")
_PLACES = {
    "EXIF": _WITH_TAGS,
    "XMP": _WITH_TAGS,
    "IPTC records": ("JPEG", "TIFF", "PNG"),
    "comment": ("JPEG", "PNG"),
    "texts": ("PNG",),
}
_OPAQUE = ("JPEG", "BMP")
_LOSSLESS_EFFORT = 25  # of a WebP, 0 to 100; 80, the default, takes six times the time for a size that is the same
_WITHOUT_PROFILE = ("BMP", "GIF")
_DEEP = {"PNG": 16, "TIFF": 16, "HEIF": 10}  # bits a channel that are written at most, where that is more than 8
_LOSSLESS_COMPRESSIONS = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")


@lru_cache(maxsize=16)
def _is_kept(compression: str) -> bool:
    """Whether a TIFF's compression, by Pillow's name, loses nothing and can be written, as not each build can."""
    if compression not in _LOSSLESS_COMPRESSIONS:
        return False
    try:
        _save(np.zeros((1, 1, 3), np.uint8), "TIFF", {"compression": compression}, io.BytesIO())
    except Exception:  # whatever the encoder says of it
        return False
    return True


def _longest_xmp(photo_format: str) -> float:
    return _JPEG_SEGMENT - 29 if photo_format == "JPEG" else math.inf


def _heic_encoder() -> dict[str, str]:
    """Settings of the HEIC encoder. x265's own take three times the time for 10 % less."""
    from pillow_heif import libheif_info

    return {"preset": "ultrafast"} if "x265" in libheif_info()["HEIF"] else {}


def _png_texts(metadata: Metadata) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8"))
    for keyword, text in metadata.texts:
        info.add_itxt(keyword, text)
    if metadata.comments and COMMENT_KEYWORD not in dict(metadata.texts):
        info.add_itxt(COMMENT_KEYWORD, comment_text(metadata.comments))
    if metadata.iim and (told := iim_text(metadata.iim)):
        info.add_text(IIM_KEYWORD, told, zip=True)
    return info if info.chunks else None
