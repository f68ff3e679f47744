"""A PPM's head, and what it must not be: Pillow reads it a byte at a time, and a file written in digits in Python."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

LONGEST_HEAD = 1 << 16  # bytes; it is three numbers and now and then a comment of who wrote it
LONGEST_DIGITS = 4_000_000  # bytes, of which Pillow reads five millions a second
MOST_COMMENTS = 1000  # among digits; behind each Pillow copies what it has read of the file
_START = re.compile(rb"P([1-6]|f|0CMYK|yP|yRGBA|yCMYK)[\s#]")
_DIGITS = (b"1", b"2", b"3")  # kinds that are written in them
_WITHOUT_TOP = (b"1", b"4")  # kinds that hold black and white, and don't say what white is
_LEVELS = (b"2", b"3", b"5", b"6")  # kinds that do


@dataclass(frozen=True)
class Head:
    """What a PPM, PGM or another of their family begins with.

    kind: what stands after its P; top: the level that stands for white, 0 where none does; is_long: whether its numbers
    don't end within LONGEST_HEAD.
    """

    kind: bytes
    top: int
    is_long: bool


def head(file: io.BufferedIOBase) -> Head | None:
    """A file's head; None of a file of another family. The file stays where it was."""
    before = file.tell()
    try:
        file.seek(0)
        start = file.read(LONGEST_HEAD)
    finally:
        file.seek(before)
    found = _START.match(start)
    if not found:
        return None
    kind, numbers = found[1], 2 if found[1] in _WITHOUT_TOP else 3
    words = re.sub(rb"#[^\r\n]*", b"", start).split(maxsplit=1 + numbers)
    told = kind in _LEVELS and len(words) > numbers and words[3].isdigit() and len(words[3]) < 6
    return Head(kind, int(words[3]) if told else 0, len(words) <= numbers and len(start) == LONGEST_HEAD)


def takes_too_long(file: io.BufferedIOBase) -> bool:
    """Whether a file is a PPM with a long head, or a large one in digits. The file stays where it was."""
    found = head(file)
    if not found or found.is_long:
        return bool(found)
    if found.kind not in _DIGITS:
        return False
    before = file.tell()
    try:
        file.seek(0)
        content = file.read(LONGEST_DIGITS + 1)
        return len(content) > LONGEST_DIGITS or content.count(b"#") > MOST_COMMENTS
    finally:
        file.seek(before)
