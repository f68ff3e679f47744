"""The formats of photos and clips that are read and written, by their suffixes."""

from __future__ import annotations

from pathlib import PurePath

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
ANIMATION_SUFFIXES = frozenset({".gif", ".apng"})  # beside .png and .webp, which hold both; a still one is a photo
# In a folder: somebody may take them for photos or clips, and they aren't read there.
PICTURES_PASSED_OVER = frozenset({
    ".gif", ".apng", ".jxl", ".jp2", ".j2k", ".jpf", ".jxr", ".wdp", ".hdr", ".exr", ".psd", ".psb", ".xcf", ".svg",
    ".eps", ".ai", ".pdf", ".tga", ".pcx", ".ico", ".icns", ".ppm", ".pgm", ".pnm", ".dng", ".cr2", ".cr3", ".crw",
    ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".raf", ".rw2", ".rwl", ".pef", ".srw", ".x3f", ".3fr", ".fff",
    ".iiq", ".mrw", ".kdc", ".dcr", ".erf", ".mef", ".mos", ".raw", ".heics", ".avifs", ".wmv", ".flv", ".ogv",
    ".mxf", ".vob", ".ts", ".m2v",
})  # fmt: skip
SOURCE_SUFFIXES = PHOTO_SUFFIXES | CLIP_SUFFIXES | ANIMATION_SUFFIXES
FIRST_SUFFIX = {photo_format: suffix for suffix, photo_format in reversed(FORMATS.items())} | {"HEIF": ".heic"}


_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def format_of(start: bytes) -> str | None:
    """The format of a photo by its file's first 32 bytes; None for an unknown one."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp":
        brands = {start[8:12], *(start[place : place + 4] for place in range(16, len(start), 4))}
        return "AVIF" if brands & {b"avif", b"avis"} else "HEIF" if brands & _HEIF_BRANDS else None
    return next((name for mark, name in _STARTS if start.startswith(mark)), None)


def is_clip(path: PurePath) -> bool:
    """Whether a path's suffix is that of a clip."""
    return path.suffix.lower() in CLIP_SUFFIXES


def known_suffixes() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in PHOTO_SUFFIXES))
