"""Writes GGUF version 3 files: merged and synthetic models, the test suite's own, and broken ones for its error tests.

What a checkpoint says of itself is written under the names that gguf_checkpoint.py reads.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..text.vocabulary import SENTENCEPIECE, Vocabulary
from .blocks import TYPES
from .checkpoint import Setting
from .gguf_checkpoint import SETTINGS

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

    Metadata as in `header`.
    """
    out = bytearray(
        header(metadata, {n: (t.shape, t.type, len(t.data)) for n, t in tensors.items()}, alignment)
    )
    for tensor in tensors.values():
        out += tensor.data + bytes(-len(tensor.data) % alignment)
    return bytes(out)


def header(
    metadata: Mapping[str, object],
    tensors: Mapping[str, tuple[tuple[int, ...], str | int, int]],
    alignment: int = 32,
) -> bytes:
    """A file up to where the tensors' data begins.

    Args:
        metadata: bool, str, float (f32), int (u32, or i32 when negative, u64 when large), list of str, a list of
            such lists, or a one-dimensional numpy array.
        tensors: by name: shape in numpy order, its type's name or bare id, bytes.
        alignment: of the tensors.
    """
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        out += entry(key, value)
    offset = 0
    for name, (shape, kind, nbytes) in tensors.items():
        out += tensor_record(name, shape, kind, offset)
        offset += nbytes + -nbytes % alignment
    return bytes(out + bytes(-len(out) % alignment))


def entry(key: str, value: object) -> bytes:
    """A metadata value with its key in front; values as in `header`."""
    return _string(key) + _value(value)


def tensor_record(name: str, shape: tuple[int, ...], kind: str | int, offset: int) -> bytes:
    """What a header says of a tensor: shape in numpy order, its type's name or bare id, bytes from the data's start."""
    type_id = kind if isinstance(kind, int) else TYPES[kind].id
    return _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], type_id, offset)


def metadata_of(
    architecture: str, settings: Mapping[str, Setting], vocabulary: Vocabulary
) -> dict[str, object]:
    """What a file says of settings with canonical names, and of a vocabulary."""
    keys = {name: key for key, name in reversed(SETTINGS.items())}
    metadata: dict[str, object] = {"general.architecture": architecture}
    metadata |= {f"{architecture}.{keys[name]}": value for name, value in settings.items() if name in keys}
    kind = "llama" if vocabulary.kind == SENTENCEPIECE else vocabulary.kind
    return metadata | {
        "tokenizer.ggml.model": kind,
        "tokenizer.ggml.tokens": list(vocabulary.tokens),
        "tokenizer.ggml.scores": vocabulary.scores,
        "tokenizer.ggml.token_type": vocabulary.types.astype(np.int32),
        "tokenizer.ggml.bos_token_id": vocabulary.bos,
        "tokenizer.ggml.eos_token_id": vocabulary.eos,
    }


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: object) -> bytes:
    """A value with its type id in front."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return _whole(value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _string(value)
        case np.ndarray() | list():
            return struct.pack("<I", 9) + _array(value)
    raise TypeError(f"no GGUF type for {value!r}")


def _whole(value: int) -> bytes:
    if value < 0:
        return struct.pack("<Ii", 5, value)
    return struct.pack("<II", 4, value) if value < 1 << 32 else struct.pack("<IQ", 10, value)


def _array(value: NDArray[np.generic] | list[object]) -> bytes:
    """An array without its own type id, as it stands in an array too."""
    if isinstance(value, np.ndarray):
        return struct.pack("<IQ", _ARRAY_TYPES[value.dtype.name], value.size) + value.tobytes()
    if value and isinstance(value[0], list):
        out = bytearray(struct.pack("<IQ", 9, len(value)))
        for item in value:
            assert isinstance(item, list), "arrays and others in one array"
            out += _array(item)
        return bytes(out)
    return struct.pack("<IQ", 8, len(value)) + b"".join(_string(str(item)) for item in value)
