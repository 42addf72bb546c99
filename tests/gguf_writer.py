"""Writes GGUF version 3 files: the test suite's own models, and broken ones for the error tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sotto.formats.blocks import TYPES

_ARRAY_TYPES = {
    "uint8": 0,
    "int8": 1,
    "uint16": 2,
    "int16": 3,
    "uint32": 4,
    "int32": 5,
    "float32": 6,
    "bool": 7,
}


@dataclass(frozen=True)
class RawTensor:
    """A tensor as it goes into a file: shape in numpy order, its type's name or bare id, its bytes."""

    shape: tuple[int, ...]
    type: str | int
    data: bytes


def write(metadata: Mapping[str, object], tensors: Mapping[str, RawTensor], alignment: int = 32) -> bytes:
    """The bytes of a whole file; tensors lie in the given order, each at a multiple of `alignment`.

    Metadata: bool, str, float (f32), int (u32, or i32 when negative, u64 when large), list of str, a list of
    such lists, or a one-dimensional numpy array.
    """
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        out += _string(key) + _value(value)
    offset = 0
    for name, tensor in tensors.items():
        dimensions = tensor.shape[::-1]
        type_id = tensor.type if isinstance(tensor.type, int) else TYPES[tensor.type].id
        out += _string(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        out += struct.pack("<IQ", type_id, offset)
        offset += len(tensor.data) + -len(tensor.data) % alignment
    out += bytes(-len(out) % alignment)
    for tensor in tensors.values():
        out += tensor.data + bytes(-len(tensor.data) % alignment)
    return bytes(out)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: object) -> bytes:
    """A value with its type id in front."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int() if value < 0:
            return struct.pack("<Ii", 5, value)
        case int() if value >= 1 << 32:
            return struct.pack("<IQ", 10, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _string(value)
        case np.ndarray():
            return struct.pack("<IIQ", 9, _ARRAY_TYPES[value.dtype.name], value.size) + value.tobytes()
        case list() if value and isinstance(value[0], list):
            # An element that is an array itself has its array header only, no type id in front.
            return struct.pack("<IIQ", 9, 9, len(value)) + b"".join(_value(item)[4:] for item in value)
        case list():
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(item) for item in value)
    raise TypeError(f"no GGUF type for {value!r}")
