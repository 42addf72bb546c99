"""The container GGUF: a file's metadata, and a record for each tensor. Tensor data is never read here.

Format (ggml's `docs/gguf.md`), little endian: "GGUF", u32 version, u64 tensor count, u64 metadata count; for
each metadata value: key (string), u32 type, value; for each tensor: name (string), u32 dimension count, u64
dimensions (fastest first), u32 type, u64 offset from the start of the data. The data starts at the next
multiple of the alignment. A string is a u64 byte length and UTF-8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from ..errors import FormatError, about
from ..source import Source
from .blocks import TYPES

MOST_BYTES = 64 << 20
"""Of a header: that of a Gemma 3 with its 262,144 token strings has 6.5 MB."""

VALUES_AT = 24
"""Where metadata begins: after magic, version and the two counts."""

VERSIONS = (2, 3)  # they differ in what big-endian files are

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32 = _SCALARS[4]
_U64 = _SCALARS[10]
_TYPE_NAMES = {kind.id: kind.name for kind in TYPES.values()}
_LONGEST_NAME = 200  # characters
_DEEPEST = 4  # levels of arrays in arrays
_ALIGNMENTS = tuple(1 << power for power in range(3, 21))
_MOST_ELEMENTS = 1 << 40  # of a tensor
_DAMAGED = "Download the file again; if it stays so, choose another file of this model."


@dataclass(frozen=True)
class Record:
    """Where a tensor lies: shape in numpy order (rows, columns), `offset` from the file's start, in bytes.

    `type` is a name of `blocks.TYPES`, or "type 99" for an id not known there; then `nbytes` is 0.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself. `nbytes` is where the tensor data starts, `values_end` where the metadata ends.

    Metadata values: int, float, bool, str, list[str] (array of strings), list (array of arrays), or a
    one-dimensional numpy array (array of numbers or booleans).
    """

    metadata: dict[str, object]
    tensors: dict[str, Record]
    nbytes: int
    values_end: int = 0


class NeedMoreBytes(Exception):
    """The bytes end inside the header: at least `at_least` bytes from the start of the file are needed."""

    def __init__(self, at_least: int) -> None:
        super().__init__(f"the header needs at least {at_least} bytes")
        self.at_least = at_least


def parse(data: bytes | bytearray | memoryview) -> Header:
    """Read the header from the first bytes of a file.

    Raises NeedMoreBytes when `data` ends before the tensor data starts, FormatError when it is not GGUF.
    """
    reader = _Reader(bytes(data))
    reader.check_start()
    tensor_count, value_count = reader.scalar(_U64), reader.scalar(_U64)
    metadata: dict[str, object] = {}
    for _ in range(value_count):
        key = reader.name("a metadata key")
        if key in metadata:
            raise FormatError(f"The metadata key {key!r} occurs twice in the model file.", _DAMAGED)
        metadata[key] = reader.value(reader.scalar(_U32), key)
    values_end = reader.at
    records = [reader.tensor() for _ in range(tensor_count)]
    alignment = alignment_of(metadata)
    start = -(-reader.at // alignment) * alignment
    reader.need(start - reader.at)
    tensors: dict[str, Record] = {}
    for name, shape, type_id, offset in records:
        if name in tensors:
            raise FormatError(f"The tensor {name} occurs twice in the model file.", _DAMAGED)
        if offset % alignment or offset > _MOST_ELEMENTS:
            raise FormatError(f"The tensor {name} cannot begin at byte {offset:,} of the data.", _DAMAGED)
        tensors[name] = _place(name, shape, type_id, start + offset)
    _check_overlaps(tensors.values())
    return Header(metadata, tensors, start, values_end)


def alignment_of(metadata: Mapping[str, object]) -> int:
    """The multiple of bytes at which tensors begin. Raises FormatError for one that cannot be."""
    alignment = metadata.get("general.alignment", 32)
    if isinstance(alignment, bool) or not isinstance(alignment, int) or alignment not in _ALIGNMENTS:
        raise FormatError(f"general.alignment is {repr(alignment)[:40]} in the model file.", _DAMAGED)
    return alignment


def architecture_in(start: bytes) -> str:
    """The architecture that the beginning of a file names, as every model does among its first settings; "" where it
    does not say."""
    return _text_in(start, b"general.architecture")


def type_in(start: bytes) -> str:
    """What the beginning of a file says that it is: "model", "adapter"; "" where it does not say."""
    return _text_in(start, b"general.type")


def _text_in(start: bytes, key: bytes) -> str:
    """A short text among the first settings, by its key; "" where it is not among them."""
    _, key, rest = start.partition(key + (8).to_bytes(4, "little"))  # 8: a string
    count = int.from_bytes(rest[:8], "little")
    name = rest[8 : 8 + count]
    sound = key and 0 < count <= 64 and len(name) == count and name.isascii()
    return name.decode("ascii") if sound else ""


async def read_header(source: Source, data: bytes) -> Header:
    """Read the header through a growing prefix of the file.

    Args:
        source: the file.
        data: its first bytes, as many as have been read.

    Raises:
        FormatError: also for a truncated file, one that ends inside its header or before a tensor's end.
    """
    while True:
        try:
            with about(source.name):
                header = parse(data)
            break
        except NeedMoreBytes as more:
            if more.at_least > min(source.size, MOST_BYTES):
                raise _endless(source, more.at_least) from None
            wanted = min(max(2 * len(data), more.at_least), source.size)
        data += await source.read(len(data), wanted - len(data))
    end, last = max(((t.offset + t.nbytes, t.name) for t in header.tensors.values()), default=(0, ""))
    if end > source.size:
        raise FormatError(
            f"{source.name} is truncated: its last {end - source.size:,} bytes are missing (tensor {last}).",
            _DAMAGED,
        )
    return header


def _endless(source: Source, nbytes: int) -> FormatError:
    """The error for a header that needs more bytes than the file, or any header, has."""
    if source.size < MOST_BYTES:
        return FormatError(
            f"{source.name} is truncated: it ends inside its header, after {source.size:,} bytes.", _DAMAGED
        )
    return FormatError(
        f"{source.name} is damaged: its header would have at least {nbytes:,} bytes, but only "
        f"{MOST_BYTES:,} are possible.",
        _DAMAGED,
    )


def _check_overlaps(tensors: Iterable[Record]) -> None:
    """Raise FormatError where two tensors share bytes."""
    before: Record | None = None
    for record in sorted(tensors, key=lambda record: (record.offset, record.nbytes)):
        if before and before.offset + before.nbytes > record.offset:
            raise FormatError(
                f"The tensors {before.name} and {record.name} overlap in the model file.", _DAMAGED
            )
        before = record


def _place(name: str, shape: tuple[int, ...], type_id: int, offset: int) -> Record:
    """A tensor's record with its size in bytes."""
    type_name = _TYPE_NAMES.get(type_id)
    if type_name is None:
        return Record(name, shape, f"type {type_id}", offset, 0)
    kind = TYPES[type_name]
    if shape[-1] % kind.elements:
        raise FormatError(
            f"The tensor {name} has rows of {shape[-1]} elements; {type_name} packs {kind.elements}.",
            _DAMAGED,
        )
    return Record(name, shape, type_name, offset, kind.size(shape))


class _Reader:
    """A cursor over the header's bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def need(self, nbytes: int) -> None:
        """Raise NeedMoreBytes unless so many bytes follow."""
        if self.at + nbytes > len(self.data):
            raise NeedMoreBytes(self.at + nbytes)

    def check_start(self) -> None:
        """Magic and version."""
        if self.data[:4] != b"GGUF"[: len(self.data)]:
            raise FormatError("The model file is not a GGUF file.", _DAMAGED)
        self.at = 4
        version = self.scalar(_U32)
        if version == 0x03000000:
            raise FormatError(
                "The model file is a big-endian GGUF file.", "Choose the ordinary, little-endian file."
            )
        if version not in VERSIONS:
            raise FormatError(
                f"The model file is GGUF version {version}; Sotto reads versions 2 and 3.",
                "Choose a newer file of this model, or convert it again with current tools.",
            )

    def scalar(self, kind: struct.Struct) -> int:
        """One number of the given format; an int wherever the header's own fields are read."""
        self.need(kind.size)
        (value,) = kind.unpack_from(self.data, self.at)
        self.at += kind.size
        return value  # type: ignore[no-any-return]

    def string(self, what: str) -> str:
        """One string; `what` names it in an error."""
        return self.strings(1, what)[0]

    def name(self, what: str) -> str:
        """A string that is a key or a name: never long."""
        found = self.string(what)
        if len(found) > _LONGEST_NAME:
            raise FormatError(f"The model file has {what} of {len(found):,} characters.", _DAMAGED)
        return found

    def strings(self, count: int, what: str) -> list[str]:
        """So many strings in a row. A tight loop: a vocabulary is 262,144 of them."""
        self.need(8 * count)
        data, at, size = self.data, self.at, len(self.data)
        length_at = _U64.unpack_from
        found: list[str] = []
        try:
            for _ in range(count):
                start = at + 8
                at = start + length_at(data, at)[0]
                found.append(data[start:at].decode())
        except struct.error:
            raise NeedMoreBytes(at + 8) from None
        except UnicodeDecodeError:
            if at <= size:
                raise FormatError(
                    f"The model file holds text that is not UTF-8 in {what}.", _DAMAGED
                ) from None
        if at > size:
            raise NeedMoreBytes(at)
        self.at = at
        return found

    def value(self, kind: int, key: str) -> object:
        """One metadata value of the given type id."""
        if kind == _STRING:
            return self.string(key)
        if kind == _ARRAY:
            return self.array(key)
        if kind not in _SCALARS:
            raise FormatError(f"The metadata value {key} has the unknown type {kind}.", _DAMAGED)
        return self.scalar(_SCALARS[kind])

    def array(self, key: str, depth: int = 1) -> object:
        """An array: u32 element type, u64 count, elements."""
        if depth > _DEEPEST:
            raise FormatError(f"The metadata array {key} holds arrays more than {_DEEPEST} deep.", _DAMAGED)
        kind, count = self.scalar(_U32), self.scalar(_U64)
        if kind == _STRING:
            return self.strings(count, key)
        if kind == _ARRAY:
            self.need(12 * count)
            return [self.array(key, depth + 1) for _ in range(count)]
        if kind not in _SCALARS:
            raise FormatError(f"The metadata array {key} has elements of the unknown type {kind}.", _DAMAGED)
        dtype = np.dtype(_SCALARS[kind].format)
        self.need(count * dtype.itemsize)
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += count * dtype.itemsize
        return values.copy()

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """One tensor record: name, shape in numpy order, type id, offset from the data's start."""
        name = self.name("a tensor's name")
        count = self.scalar(_U32)
        if not 1 <= count <= 4:
            raise FormatError(f"The tensor {name} has {count} dimensions.", _DAMAGED)
        extents = tuple(self.scalar(_U64) for _ in range(count))
        if 0 in extents:
            raise FormatError(f"The tensor {name} is empty.", _DAMAGED)
        if prod(extents) > _MOST_ELEMENTS:
            raise FormatError(f"The tensor {name} has the impossible shape {list(extents[::-1])}.", _DAMAGED)
        return name, extents[::-1], self.scalar(_U32), self.scalar(_U64)
