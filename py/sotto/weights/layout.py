"""From a model file's blocks to the words the kernels read, and back.

A matrix (rows N, columns K) becomes one or two planes. The weight plane consists of 16-byte pieces, each a run
of columns of one row; pieces are grouped into tiles of 8 rows x 4 pieces (512 contiguous bytes), tiles are
ordered along K, then along N. On a GPU the lanes of a subgroup then read neighbouring pieces; a CPU reads a
piece as one 128-bit vector; and a range of rows is a range of bytes, so that a plane can be cut into shards.
Rows are padded to 8 and columns to 128 with zeros. The kernels' side of this is kernels/lib/.

The caches of converted weights carry LAYOUT_VERSION: raise it whenever a byte of the output changes, or what is read of
a file beside it, or a cache's form.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from ..formats import blocks
from ..formats.blocks import BlockType, CodeType, FloatType

LAYOUT_VERSION = 9
ROWS = 8  # rows in a tile
PIECES = 4  # pieces of a row in a tile
PIECE_BYTES = 16
COLUMNS = 128  # planes are padded to a multiple of this many columns
BLOCK = 32  # the kernels step through columns by blocks of 32
ROW_SCALE_BYTES = 8  # of a row where all of it shares a scale: 32 rows are ALIGNMENT bytes
LEAST_PEAK = 1e-9  # of a row that shares a scale: that of a row of zeros is a number too

Plane = NDArray[np.uint8]


@dataclass(frozen=True)
class Format(ABC):
    """How one kind of weight is stored, and what of it a device has to know.

    Attributes:
        name: as in kernels/lib/weights/<name>.wgsl.
        piece_columns: columns in a 16-byte piece.
    """

    name: str
    piece_columns: int

    @property
    @abstractmethod
    def packed(self) -> bool:
        """Whether there are integer codes with scales, which can be multiplied as such, in place of floats."""

    @abstractmethod
    def holds(self, kind: BlockType) -> bool:
        """Whether it stores exactly what a file's tensor type can say."""

    @abstractmethod
    def pack(self, kind: BlockType, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane | None]:
        """A file's rows as pieces (rows, pieces of a row, 16), and scales (rows, blocks of 32 columns, bytes), or where
        a row has one, (rows, bytes).

        What the format does not hold is rounded to it.
        """

    @abstractmethod
    def is_finite(self, weights: Plane, scales: Plane) -> bool:
        """Whether planes hold numbers only: no infinity, nothing that is not a number."""

    @abstractmethod
    def unpack(self, pieces: Plane, scales: Plane) -> NDArray[np.float32]:
        """What a kernel computes from what `pack` gave: (rows, columns) f32."""

    def weight_bytes(self, rows: int, columns: int) -> int:
        """Bytes of the weight plane."""
        return _up(rows, ROWS) * _up(columns, COLUMNS) // self.piece_columns * PIECE_BYTES

    @abstractmethod
    def scale_plane_bytes(self, rows: int, columns: int) -> int:
        """Bytes of the scale plane; 0 without one."""


@dataclass(frozen=True)
class Floats(Format):
    """Numbers as they are in the file.

    Attributes:
        type: of the file.
    """

    type: FloatType

    @property
    def packed(self) -> bool:
        return False

    def scale_plane_bytes(self, rows: int, columns: int) -> int:
        return 0

    def holds(self, kind: BlockType) -> bool:
        return kind == self.type

    def pack(self, kind: BlockType, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane | None]:
        return data.reshape(rows, -1, PIECE_BYTES), None

    def is_finite(self, weights: Plane, scales: Plane) -> bool:
        return _are_finite(weights, *_EXPONENTS[self.type.name])

    def unpack(self, pieces: Plane, scales: Plane) -> NDArray[np.float32]:
        return self.type.decode(pieces.reshape(-1)).reshape(len(pieces), -1)


@dataclass(frozen=True)
class Codes(Format):
    """Codes in as many bits, lowest .. lowest + 2^bits - 1; value = scale * code - minimum.

    Attributes:
        group: columns that share a scale.
        scale_dtype: of the scales, and of the minima, which follow each its scale.
        minimum: whether there are any.
    """

    bits: int
    lowest: int
    group: int
    scale_dtype: str
    minimum: bool = False

    @property
    def packed(self) -> bool:
        return True

    def scale_plane_bytes(self, rows: int, columns: int) -> int:
        item = np.dtype(self.scale_dtype).itemsize * (2 if self.minimum else 1)
        return _up(rows, ROWS) * _up(columns, COLUMNS) // self.group * item

    def holds(self, kind: BlockType) -> bool:
        return (
            isinstance(kind, CodeType)
            and self.lowest <= kind.low
            and kind.high < self.lowest + (1 << self.bits)
            and kind.group > 0
            and kind.group % self.group == 0
            and (kind.half or self.scale_dtype == "<f4")
            and (self.minimum or not kind.minimum)
        )

    def pack(self, kind: BlockType, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane | None]:
        if self.holds(kind):
            codes = blocks.codes(kind.name, data, rows, columns)
        else:
            values = blocks.dequantize(kind.name, data, (rows, columns))
            codes = fours(values) if self.bits == 4 else rounded(values)
        pieces = _pieces_of(codes.q, self.bits, self.lowest)
        return pieces, self.scale_items(codes.scale, codes.minimum, columns)

    def scale_items(
        self, scale: NDArray[np.float32], minimum: NDArray[np.float32] | None, columns: int
    ) -> Plane:
        """Scales, and minima, of rows (rows, scales of a row) as items of the scale plane."""
        rows, count = scale.shape
        parts = [scale]
        if self.minimum:
            parts.append(np.zeros_like(scale) if minimum is None else minimum)
        shared = [np.repeat(part, columns // count // self.group, axis=1) for part in parts]
        scales = np.stack(shared, axis=-1).astype(self.scale_dtype)  # exact
        return np.ascontiguousarray(scales).view(np.uint8).reshape(rows, columns // BLOCK, -1)

    def is_finite(self, weights: Plane, scales: Plane) -> bool:
        return _are_finite(scales, *_EXPONENTS["F16" if self.scale_dtype == "<f2" else "F32"])

    def unpack(self, pieces: Plane, scales: Plane) -> NDArray[np.float32]:
        rows = len(pieces)
        codes = _codes_in(pieces, self.bits, self.lowest)
        parts = scales.view(self.scale_dtype).astype(np.float32).reshape(rows, -1, 2 if self.minimum else 1)
        values = codes.reshape(rows, -1, self.group) * parts[..., :1]
        if self.minimum:
            values -= parts[..., 1:]
        result: NDArray[np.float32] = values.reshape(rows, -1)
        return result


@dataclass(frozen=True)
class RowCodes(Format):
    """Codes with one scale for a whole row, symmetric: value = scale * code.

    Files of LiteRT have such matrices; floats are rounded to it with scale = max|value| / highest. Of a row the scale
    plane has two f32, the scale, and for codes of four bits, which are stored counted from the lowest, 8 times as much.

    Attributes:
        bits: of a code, in two's complement.
        highest: the largest code that is rounded to, and with a minus the smallest; a file may have one below that.
    """

    bits: int
    highest: int

    @property
    def packed(self) -> bool:
        return True

    @property
    def lowest(self) -> int:
        """The code that is stored as 0."""
        return -8 if self.bits == 4 else 0

    def scale_plane_bytes(self, rows: int, columns: int) -> int:
        return _up(rows, ROWS) * ROW_SCALE_BYTES

    def holds(self, kind: BlockType) -> bool:
        return (
            isinstance(kind, CodeType)
            and kind.group == 0
            and not kind.minimum
            and -self.highest - 1 <= kind.low
            and kind.high <= self.highest
        )

    def pack(self, kind: BlockType, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane | None]:
        if self.holds(kind):
            codes = blocks.codes(kind.name, data, rows, columns)
        else:
            codes = self._rounded(blocks.dequantize(kind.name, data, (rows, columns)))
        pieces = _pieces_of(codes.q, self.bits, self.lowest)
        return pieces, self.scale_items(codes.scale, codes.minimum, columns)

    def _rounded(self, values: NDArray[np.float32]) -> blocks.Codes:
        """Numbers (rows, columns), which are overwritten, as codes. Where one is none, so is the row's scale."""
        with np.errstate(invalid="ignore"):
            peak = np.maximum(values.max(axis=1), -values.min(axis=1))
            scale = (np.maximum(peak, np.float32(LEAST_PEAK)) / np.float32(self.highest))[:, None]
            values /= scale
            np.rint(values, out=values)
            return blocks.Codes(values.astype(np.int8), scale, None, values.shape[1])

    def scale_items(
        self, scale: NDArray[np.float32], minimum: NDArray[np.float32] | None, columns: int
    ) -> Plane:
        """Scales of rows (rows, 1) as items of the scale plane (rows, bytes)."""
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number shows
            pairs = np.concatenate([scale, np.float32(-self.lowest) * scale], axis=1)
        return pairs.astype("<f4").view(np.uint8)

    def is_finite(self, weights: Plane, scales: Plane) -> bool:
        return _are_finite(scales, *_EXPONENTS["F32"])

    def unpack(self, pieces: Plane, scales: Plane) -> NDArray[np.float32]:
        rows = len(pieces)
        values = _codes_in(pieces, self.bits, self.lowest).reshape(rows, -1)
        values *= scales.view("<f4").reshape(-1, 2)[:rows, :1]
        return values


def _pieces_of(q: NDArray[np.int8] | NDArray[np.uint8], bits: int, lowest: int) -> Plane:
    """Codes (rows, columns) as pieces (rows, pieces of a row, 16)."""
    rows = len(q)
    if bits == 8:
        return q.view(np.uint8).reshape(rows, -1, PIECE_BYTES)
    # Byte i of a block holds columns i (low nibble) and 16 + i (high nibble), counted from the lowest code.
    unsigned = (q.view(np.uint8) - np.uint8(lowest % 256)).reshape(rows, -1, 2, 16)  # wraps, as it should
    pieces: Plane = unsigned[:, :, 0] | (unsigned[:, :, 1] << np.uint8(4))
    return pieces


def _codes_in(pieces: Plane, bits: int, lowest: int) -> NDArray[np.float32]:
    """The codes in pieces (rows, pieces of a row, 16), as floats."""
    if bits == 8:
        return pieces.view(np.int8).astype(np.float32)
    nibbles = np.concatenate([pieces & 15, pieces >> 4], axis=-1)
    codes: NDArray[np.float32] = nibbles.astype(np.float32) + np.float32(lowest)
    return codes


_EXPONENTS = {"F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80), "F32": ("<u4", 0x7F800000)}
"""Of the formats that are plain numbers: as integers, and the bits of an exponent, all set in what is not finite."""


def _are_finite(plane: Plane, dtype: str, exponent: int) -> bool:
    numbers = plane.view(dtype)
    return not numbers.size or int((numbers & numbers.dtype.type(exponent)).max()) < exponent


def rounded(values: NDArray[np.float32]) -> blocks.Codes:
    """Numbers (rows, columns) as whole numbers -127 .. 127 with an f16 scale for each 32 columns: the format q8.

    An error is at most half a scale, which is a 127th of the largest number, or the next larger f16. Where that is too
    large, or no number, so is the scale.
    """
    rows, columns = values.shape
    parts = values.reshape(rows, columns // BLOCK, BLOCK)
    with np.errstate(invalid="ignore", over="ignore"):
        exact = np.abs(parts).max(axis=2) / np.float32(127)
        halves = exact.astype("<f2")
        halves = (halves.view("<u2") + (halves.astype(np.float32) < exact)).astype("<u2").view("<f2")
        scale = halves.astype(np.float32)
        inverse = np.float32(1) / np.where(scale == 0, np.float32(np.inf), scale)
        q = np.rint(parts * inverse[:, :, None]).astype(np.int8)
    return blocks.Codes(q.reshape(rows, columns), scale, None, BLOCK)


def fours(values: NDArray[np.float32]) -> blocks.Codes:
    """Numbers (rows, columns) as Q4_0 has them: -8 .. 7 with an f16 scale for each 32 columns."""
    rows, columns = values.shape
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        _, scale, q = blocks.Q40().rounded(values.reshape(-1, BLOCK))
        q -= 8  # wraps, as it should
        return blocks.Codes(q.view(np.int8).reshape(rows, columns), scale.reshape(rows, -1), None, BLOCK)


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (  # a type of a file is stored in the first one that holds it
        Codes("q4", 32, bits=4, lowest=-8, group=32, scale_dtype="<f2"),
        Codes("q4m", 32, bits=4, lowest=0, group=32, scale_dtype="<f4", minimum=True),
        Codes("q8", 16, bits=8, lowest=-128, group=32, scale_dtype="<f2"),
        Codes("q8h", 16, bits=8, lowest=-128, group=16, scale_dtype="<f4"),
        RowCodes("q4r", 32, bits=4, highest=7),
        RowCodes("q8r", 16, bits=8, highest=127),
        Floats("f16", 8, blocks.F16()),
        Floats("bf16", 8, blocks.BF16()),
        Floats("f32", 4, blocks.F32()),
    )
}
ROUNDED = FORMATS["q8"]
"""Where a type goes that none of them holds: codes with a minimum that are too large for four bits, or whose scales are
for fewer columns (Q5_1, Q5_K, Q2_K). Its values are rounded, far finer than the type's own steps."""


def _up(length: int, unit: int) -> int:
    return -(-length // unit) * unit


def types() -> list[str]:
    """The tensor types of files that have a format: all that can be decoded."""
    return [kind.name for kind in blocks.decodable()]


def format_of(type_name: str) -> Format:
    """The format a file's tensor type is stored in. Raises UnsupportedModel naming the type."""
    kind = blocks.find(type_name)
    if not isinstance(kind, FloatType | CodeType):
        name = type_name if type_name.startswith("type ") else f"type {type_name}"
        raise UnsupportedModel(f"Sotto cannot read tensors of {name}.", blocks.ADVICE)
    return _format_for(kind)


@functools.cache
def _format_for(kind: FloatType | CodeType) -> Format:
    return next((form for form in FORMATS.values() if form.holds(kind)), ROUNDED)


def is_exact(type_name: str) -> bool:
    """Whether a device stores what the file says, bit for bit. Raises UnsupportedModel."""
    kind = blocks.find(type_name)
    return kind is not None and format_of(type_name).holds(kind)


def convert(
    type_name: str, data: Plane, rows: int, columns: int, form: Format | None = None
) -> tuple[Plane, Plane]:
    """Convert whole rows of a tensor.

    Args:
        type_name: the tensor's type in the file.
        data: (rows * bytes of a row,) uint8, the rows as the file has them.
        rows: N; unless they are the matrix's last ones, a multiple of 8.
        columns: K, a multiple of 32.
        form: to round to; by default the one that the type is stored in.

    Returns:
        weight plane and scale plane, flat uint8; the latter is empty for float formats.
    """
    form, kind = form or format_of(type_name), blocks.find(type_name)
    assert kind is not None
    pieces, scales = form.pack(kind, data, rows, columns)
    weights = _tile(pieces, form.piece_columns)
    return weights, np.empty(0, np.uint8) if scales is None else _scale_plane(scales)


def scale_plane(form: Codes | RowCodes, scale: NDArray[np.float32], columns: int) -> Plane:
    """The scale plane, flat, of rows with these scales (rows, scales of a row)."""
    return _scale_plane(form.scale_items(scale, None, columns))


def _scale_plane(items: Plane) -> Plane:
    """Items by blocks (rows, blocks of 32 columns, bytes), or by rows (rows, bytes), as a flat plane."""
    if items.ndim == 3:
        return _tile(items, BLOCK)
    return np.pad(items, ((0, -len(items) % ROWS), (0, 0))).reshape(-1)


def _tile(items: Plane, item_columns: int) -> Plane:
    """(rows, items of a row, bytes of an item) -> flat tiles of 8 rows x 4 items, zero-padded."""
    rows, count, nbytes = items.shape
    padded = (_up(rows, ROWS), _up(count * item_columns, COLUMNS) // item_columns)
    if padded != (rows, count):
        whole = np.zeros((*padded, nbytes), np.uint8)
        whole[:rows, :count] = items
        items = whole
    tiled = items.reshape(padded[0] // ROWS, ROWS, padded[1] // PIECES, PIECES, nbytes)
    return tiled.transpose(0, 2, 1, 3, 4).reshape(-1)


def _untile(plane: Plane, rows: int, columns: int, item_columns: int) -> Plane:
    """The inverse of _tile, without the padding: (rows, items of a row, bytes of an item)."""
    padded_rows, items = _up(rows, ROWS), _up(columns, COLUMNS) // item_columns
    tiled = plane.reshape(padded_rows // ROWS, items // PIECES, ROWS, PIECES, -1)
    whole = tiled.transpose(0, 2, 1, 3, 4).reshape(padded_rows, items, -1)
    return np.ascontiguousarray(whole[:rows, : columns // item_columns])


def dequantize(form: Format, weights: Plane, scales: Plane, rows: int, columns: int) -> NDArray[np.float32]:
    """What a kernel computes from the planes: (rows, columns) f32. The reference of kernels/lib/weights/."""
    pieces = _untile(weights, rows, columns, form.piece_columns)
    by_block = isinstance(form, Codes)
    return form.unpack(pieces, _untile(scales, rows, columns, BLOCK) if by_block else scales)


ALIGNMENT = 256  # bytes: WebGPU's default minStorageBufferOffsetAlignment


def aligned(offset: int) -> int:
    """The first offset from this one on at which a binding may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT
