"""A photo: read upright as RGB, and written with its metadata.

A photo is data from a stranger. `read_photo` takes any file and ends with a `Photo` or one `PhotoError`; `write_photo`
ends with the whole result in place or one `OutputError`, and leaves nothing half-written. Encoding goes through
imageio's v3 interface. Decoding asks Pillow itself: a header's size before its pixels, the main frame of a HEIC and
metadata that may be broken are out of imageio's reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO, Any

import numpy as np

from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.photos import remote
from beautygan_cli.photos.colour_profile import Pixels, rgb_pixels
from beautygan_cli.photos.exif import (
    descriptive_exif,
    exif_for_result,
    exif_of,
    orientation_left,
    resolution,
    tiff_orientation,
    upright,
)
from beautygan_cli.photos.files import Journal, opened, printable, reason_of, refuse_to_replace, whole
from beautygan_cli.photos.formats import FIRST_SUFFIX, FORMATS, known_suffixes
from beautygan_cli.photos.jpeg_scans import has_too_many_scans
from beautygan_cli.photos.pillow import prepared_pillow
from beautygan_cli.photos.xmp import xmp_for_result, xmp_of

MAX_PIXELS = 200_000_000  # the largest phone sensors give 200 megapixels; decoded, that is 600 MB

_READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "HEIF", "AVIF", "GIF", "PPM")  # no format that runs a program


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


def read_photo(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """The photo in a file, told by its content and not its name, turned upright, first frame, in 8-bit RGB.

    Deeper photos are scaled to 8 bits; CMYK, Lab and profiled greyscale become sRGB. A broken colour profile, EXIF or
    XMP is left out. Raises PhotoError when the file is missing, no regular file, broken, of an unknown format, or has
    more than `max_pixels` pixels, which its header tells before anything is decoded.
    """
    path = remote.as_path(path)
    name = printable(path)
    too_large = f"{name} has more than {max_pixels:,} pixels; raise the limit with --max-pixels if you trust the photo."
    with opened(path) as file:
        pillow = prepared_pillow(max_pixels)
        try:
            with pillow.open(file, formats=_READABLE) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise PhotoError(too_large)
                if width < 1 or height < 1:
                    raise PhotoError(f"{name} has no pixels; get a fresh copy of it.")
                if image.format in ("JPEG", "MPO") and has_too_many_scans(file):
                    raise PhotoError(f"{name} is made of more scans than any camera writes; get another copy of it.")
                stored_orientation = tiff_orientation(image)
                image.load()  # which turns a TIFF upright, and no other format
                orientation = orientation_left(image)
                pixels, alpha, icc_profile = rgb_pixels(image)
                return Photo(
                    pixels=upright(pixels, orientation),
                    alpha=None if alpha is None else upright(alpha, orientation),
                    metadata=Metadata(
                        exif_of(image),
                        icc_profile,
                        resolution(image, max(orientation, stored_orientation)),
                        xmp_of(image),
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
            raise PhotoError(f"{name} is no photo of a known format ({known_suffixes()}); convert it.") from error
        except Exception as error:  # decoders raise whatever a broken file makes them stumble over
            raise PhotoError(f"{name} is damaged or cut short; get a fresh copy of it.") from error


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
    colour profile, resolution, XMP and alpha, as far as the format can. PNG, TIFF and BMP keep `pixels` to the bit;
    `quality` (0 to 100) is for the others. JPEG and AVIF keep full chroma: half of it frays a saturated lip's edge.

    `strip_location` leaves out GPS tags and place names. `mark` adds the IPTC mark of a photo altered by a trained
    model to the XMP (BMP has none). Folders on the way are made. Without `overwrite` an existing file stays, even one
    that appears meanwhile, unless the `journal` knows it as ours; the file that `photo` was read from stays in any
    case. Raises OutputError.
    """
    path = remote.as_path(path)
    name = printable(path)
    photo_format = FORMATS.get(path.suffix.lower())
    if photo_format is None:
        raise OutputError(f"{name} can't be written: its suffix names no known format ({known_suffixes()}).")
    refuse_to_replace(path, photo.path, overwrite, journal)
    height, width = photo.pixels.shape[:2]
    metadata = Metadata(
        exif=exif_for_result(photo.metadata.exif, width, height, strip_location),
        icc_profile=photo.metadata.icc_profile,
        dpi=photo.metadata.dpi,
        xmp=xmp_for_result(photo.metadata.xmp, strip_location, mark, _longest_xmp(photo_format)),
    )
    try:
        with whole(path, overwrite, journal) as file:
            _encode(photo, photo_format, metadata, quality, file)
    except OutputError:
        raise
    except MemoryError as error:
        raise OutputError(f"{name} needs more memory than there is; make its photo smaller first.") from error
    except Exception as error:  # encoders raise whatever they stumble over
        if isinstance(error, OSError) and error.errno:  # the disk's, not the encoder's
            raise OutputError(f"{name} can't be written: {reason_of(error)}.") from error
        message = f"{name} can't be written as {photo_format} at {width} x {height} pixels; choose another --format."
        raise OutputError(message) from error
    return path


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


def _encode(photo: Photo, photo_format: str, metadata: Metadata, quality: int, file: IO[bytes]) -> None:
    """Write a file in the given format; what the format can't carry is left out.

    Into a real file Pillow encodes a JPEG beside other threads; to give bytes it would keep the interpreter's lock.
    """
    import imageio.v3 as iio

    pillow = prepared_pillow()
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
        options["exif"] = descriptive_exif(exif, metadata.xmp)
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
        extension=FIRST_SUFFIX[photo_format],
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
