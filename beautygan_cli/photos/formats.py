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
SOURCE_SUFFIXES = PHOTO_SUFFIXES | CLIP_SUFFIXES
FIRST_SUFFIX = {photo_format: suffix for suffix, photo_format in reversed(FORMATS.items())} | {"HEIF": ".heic"}


def is_clip(path: PurePath) -> bool:
    """Whether a path's suffix is that of a clip."""
    return path.suffix.lower() in CLIP_SUFFIXES


def known_suffixes() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in PHOTO_SUFFIXES))
