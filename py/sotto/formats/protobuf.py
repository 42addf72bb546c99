"""Protocol buffers, as far as small ones of models need it: the fields of a message (protobuf.dev, "Encoding").

A message is a run of fields, each a key (its number times 8, plus a wire type) and a value.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types

Message = dict[int, list[int | bytes]]
"""The values of a message's fields by their numbers, in the file's order."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number, and an integer or bytes. Raises IndexError or ValueError for damage."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FOUR_BYTES, _EIGHT_BYTES):
            length = 4 if wire == _FOUR_BYTES else 8
        else:
            raise ValueError(f"wire type {wire}")
        if length > end - at:
            raise ValueError("beyond the end")
        yield key >> 3, data[at : at + length]
        at += length


def message(data: bytes) -> Message:
    """A whole message. Raises IndexError or ValueError for damage."""
    found: Message = {}
    for field, value in fields(data):
        found.setdefault(field, []).append(value)
    return found


def as_bytes(value: int | bytes) -> bytes:
    """What must be a text or a message. Raises TypeError."""
    if isinstance(value, int):
        raise TypeError("a number where bytes should be")
    return value


def signed(value: int | bytes) -> int:
    """An int32, whose negative values are written as those of 64 bits."""
    number = int(value)
    return number - (1 << 64) if number >= 1 << 63 else number


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits in each byte, and where the next thing begins."""
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    number, shift = byte & 127, 7
    while byte >= 128:
        at += 1
        byte = data[at]
        number |= (byte & 127) << shift
        shift += 7
        if shift > 70:
            raise ValueError("too long a number")
    return number & ((1 << 64) - 1), at + 1
