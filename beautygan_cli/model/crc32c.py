"""The checksum of a checkpoint's data: CRC-32C, worked out for many parts of the data side by side."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

UInt32s = NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed
_MOST_PARTS = 1 << 14  # a step of so many takes about as long as numpy's own overhead
_LEAST_STEPS = 64


def masked_crc32c(content: bytes) -> int:
    """The checksum of some bytes as TensorFlow keeps it: turned, with a number added."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """The CRC-32C of some bytes."""
    # Beginning with ones in the register is the same as turning the first four bytes' bits; zeros in front of the
    # data then change nothing, so all parts can be made alike.
    if len(content) < 4:
        return _plain(content)
    parts = 1
    while parts < _MOST_PARTS and len(content) >= 4 * _LEAST_STEPS * parts:
        parts *= 2
    steps = -(-len(content) // (2 * parts))
    filled = np.zeros(2 * parts * steps, np.uint8)
    filled[len(filled) - len(content) :] = np.frombuffer(content, np.uint8)
    filled[len(filled) - len(content) :][:4] ^= 0xFF
    table = _table(16)
    register = np.zeros(parts, np.uint32)
    for column in np.ascontiguousarray(filled.view("<u2").reshape(parts, steps).T):
        register = (register >> 16) ^ table[(register ^ column) & 0xFFFF]
    shift = _zeros(2 * steps)
    while len(register) > 1:
        register = _shifted(register[::2], shift) ^ register[1::2]
        shift = _shifted(shift, shift)
    return int(register[0]) ^ 0xFFFFFFFF


def _plain(content: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in content:
        register = register >> 8 ^ int(_table(8)[(register ^ byte) & 0xFF])
    return register ^ 0xFFFFFFFF


@lru_cache
def _table(bits: int) -> UInt32s:
    """What the register's lowest bits become when they are shifted out."""
    register = np.arange(1 << bits, dtype=np.uint32)
    for _ in range(bits):
        low = (register & np.uint32(1)) * np.uint32(_POLYNOMIAL)
        register = (register >> np.uint32(1)) ^ low
    return register


def _zeros(count: int) -> UInt32s:
    """What so many bytes of zeros make of each of the register's 32 bits."""
    bits: UInt32s = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    one: UInt32s = (bits >> np.uint32(8)) ^ _table(8)[bits & np.uint32(0xFF)]
    all_of_them = bits
    while count:
        if count & 1:
            all_of_them = _shifted(all_of_them, one)
        one, count = _shifted(one, one), count >> 1
    return all_of_them


def _shifted(registers: UInt32s, shift: UInt32s) -> UInt32s:
    result = np.zeros_like(registers)
    for bit in range(32):
        result ^= ((registers >> np.uint32(bit)) & np.uint32(1)) * shift[bit]
    return result
