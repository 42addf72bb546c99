"""The container safetensors: a record for each tensor, and what else its header says.

Format (huggingface/safetensors), little endian: u64 length of the header, the header as JSON, the tensors' data.
The header maps a tensor's name to its dtype, its shape, and where it begins and ends in the data; `__metadata__` maps
words to words.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel
from ..source import Source
from . import blocks

MOST_BYTES = 100_000_000
"""Of a header: what the format's own readers allow."""

ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
FLOATS = ("F32", "F16", "BF16")  # whose values are read here
READ_BYTES = 8 << 20  # of neighbouring tensors that are read at a time
_MOST_TENSORS = 1 << 20
_MOST_ELEMENTS = 1 << 40  # of a tensor
_MOST_AXES = 8
_DAMAGED = "Download the file again; if it stays so, choose another copy of it."


@dataclass(frozen=True)
class Record:
    """Where a tensor lies: `offset` from the file's start, in bytes; `dtype` is a word of the format."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its tensors by name, and what its writer added."""

    tensors: dict[str, Record]
    metadata: dict[str, str]


def starts(data: bytes) -> bool:
    """Whether a file that begins with these bytes, 9 or more, is a safetensors file."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= MOST_BYTES


async def read_header(source: Source) -> Header:
    """Read a file's header. Raises FormatError, also for a file that ends before a tensor's end."""
    try:
        length = struct.unpack("<Q", bytes(await source.read(0, 8)))[0] if source.size >= 8 else 0
        if length > source.size - 8:
            raise FormatError("its header would end behind the file's end.")
        if length > MOST_BYTES:
            raise FormatError(f"its header would have {length:,} bytes, more than the format allows.")
        return _parsed(bytes(await source.read(8, length)), source.size)
    except FormatError as error:
        if error.hint:
            raise
        raise FormatError(f"{source.name} is damaged: {error.message}", _DAMAGED) from None


def _parsed(data: bytes, size: int) -> Header:
    """A header's JSON. Raises FormatError that says what is wrong with it, without a hint."""
    try:
        fields = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise FormatError("its header is not JSON.") from None
    if not isinstance(fields, dict) or len(fields) > _MOST_TENSORS:
        raise FormatError("its header is no list of tensors.")
    metadata = fields.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError("its metadata are not words.")
    tensors = {name: _record(name, entry, 8 + len(data), size) for name, entry in fields.items()}
    end, before = 8 + len(data), "the header"
    for record in sorted(tensors.values(), key=lambda record: (record.offset, record.nbytes)):
        if record.offset < end:
            raise FormatError(f"its tensors {_short(before)} and {_short(record.name)} overlap.")
        if record.offset > end:
            raise FormatError(
                f"{record.offset - end:,} bytes before its tensor {_short(record.name)} are of none."
            )
        end, before = record.offset + record.nbytes, record.name
    if end != size:
        raise FormatError(f"its last {size - end:,} bytes are of no tensor.")
    return Header(tensors, metadata)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FormatError("its header names something twice.")
    return found


def _record(name: str, entry: object, start: int, size: int) -> Record:
    """A tensor's entry, whose data begin at `start` or later in a file of `size` bytes."""
    wrong = FormatError(f"the entry of its tensor {_short(name)} makes no sense.")
    if not isinstance(entry, dict):
        raise wrong
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > _MOST_AXES:
        raise wrong
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise wrong
    if not all(type(n) is int and 0 <= n <= _MOST_ELEMENTS for n in (*shape, *offsets)):
        raise wrong
    begin, end = offsets
    fits = dtype not in ITEM_BYTES or end - begin == prod(shape) * ITEM_BYTES[dtype]
    if prod(shape) > _MOST_ELEMENTS or begin > end or not fits:
        raise wrong
    if start + end > size:
        raise FormatError(f"its last {start + end - size:,} bytes are missing (tensor {_short(name)}).")
    return Record(name, dtype, tuple(shape), start + begin, end - begin)


def _short(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:100]}…"


async def read_values(
    source: Source, records: Iterable[Record]
) -> AsyncIterator[tuple[Record, NDArray[np.float32]]]:
    """The values of tensors, in the order of the file: neighbours are read together.

    Raises UnsupportedModel for one that does not hold floats of 16 or 32 bits.
    """
    waiting = sorted(records, key=lambda record: record.offset)
    for record in waiting:
        if record.dtype not in FLOATS:
            raise UnsupportedModel(
                f"The tensor {_short(record.name)} of {source.name} holds values of the type {record.dtype[:20]}.",
                f"Sotto reads {', '.join(FLOATS)}.",
            )
    while waiting:
        start, end, count = waiting[0].offset, waiting[0].offset, 0
        for record in waiting:
            if count and record.offset + record.nbytes - start > READ_BYTES:
                break
            end, count = record.offset + record.nbytes, count + 1
        data = np.frombuffer(await source.read(start, end - start), np.uint8)
        for record in waiting[:count]:
            part = data[record.offset - start :][: record.nbytes]
            yield record, blocks.dequantize(record.dtype, part, record.shape)
        del waiting[:count]
