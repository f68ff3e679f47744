"""Protocol buffers looked through before they are parsed: an empty message of two bytes takes a hundred in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_MESSAGE, _TEXT = 11, (9, 12)  # FieldDescriptor.TYPE_MESSAGE, TYPE_STRING and TYPE_BYTES
_PACKED_BYTES = 64  # of packed numbers for each part that they count as
MOST_DEEP = 32


class WireError(ValueError):
    """Bytes that are no message, or one with more in it than is allowed."""


class Field(NamedTuple):
    """One field of a message: its number, its wire type, its value if that is a number, and where its bytes lie."""

    number: int
    kind: int
    value: int
    start: int
    end: int


def fields(data: Any, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies in `data`, anything that gives bytes by index, from `start` to `end`."""
    place = start
    while place < end:
        tag, place = varint(data, place, end)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError("a field without a number")
        if kind == VARINT:
            value, after = varint(data, place, end)
        elif kind == BYTES:
            length, place = varint(data, place, end)
            value, after = 0, place + length
        elif kind in _FIXED:
            value, after = 0, place + _FIXED[kind]
        else:
            raise WireError("a field of an unknown kind")
        if after > end:
            raise WireError("a field that is cut short")
        yield Field(number, kind, value, place, after)
        place = after


def varint(data: Any, place: int, end: int) -> tuple[int, int]:
    """A number of variable length, and the place behind it."""
    value = shift = 0
    while True:
        if place >= end or shift > 63:
            raise WireError("a number that is cut short or too long")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
        shift += 7


def count_parts(data: Any, start: int, end: int, descriptor: Any, most: int, deep: int = 0) -> int:
    """How many fields a message and those inside it have; WireError from `most` on, or where it is nested too deep.

    Packed numbers, which take up to eight times the room in memory that they take in the file, count by their length.
    """
    if deep > MOST_DEEP:
        raise WireError("a message that is nested too deep")
    count = 0
    for field in fields(data, start, end):
        count += 1
        known = descriptor.fields_by_number.get(field.number)
        if field.kind == BYTES and known is not None and known.type not in (_MESSAGE, *_TEXT):
            count += (field.end - field.start) // _PACKED_BYTES
        elif field.kind == BYTES and known is not None and known.type == _MESSAGE:
            count += count_parts(data, field.start, field.end, known.message_type, most - count, deep + 1)
        if count >= most:
            raise WireError("a message with too many parts")
    return count
