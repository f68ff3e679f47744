"""What a PPM must not be: Pillow reads its head a byte at a time, and one that is written in digits in Python."""

from __future__ import annotations

import io
import re

LONGEST_HEAD = 1 << 16  # bytes; it is three numbers and now and then a comment of who wrote it
LONGEST_DIGITS = 4_000_000  # bytes, of which Pillow reads five millions a second
MOST_COMMENTS = 1000  # among digits; behind each Pillow copies what it has read of the file
_START = re.compile(rb"P([1-6]|f|0CMYK|yP|yRGBA|yCMYK)[\s#]")
_DIGITS = (b"1", b"2", b"3")  # kinds that are written in them
_WITHOUT_MOST = (b"1", b"4")  # kinds that hold black and white, and don't say what white is


def takes_too_long(file: io.BufferedIOBase) -> bool:
    """Whether a file is a PPM with a long head, or a large one in digits. The file stays where it was."""
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(LONGEST_HEAD)
        found = _START.match(head)
        if not found:
            return False
        numbers = 2 if found[1] in _WITHOUT_MOST else 3
        words = re.sub(rb"#[^\r\n]*", b"", head).split(maxsplit=1 + numbers)
        if len(words) <= numbers and len(head) == LONGEST_HEAD:
            return True
        if found[1] not in _DIGITS:
            return False
        content = head + file.read(LONGEST_DIGITS + 1 - len(head))
        return len(content) > LONGEST_DIGITS or content.count(b"#") > MOST_COMMENTS
    finally:
        file.seek(before)
