"""From a model file's blocks to the words the kernels read, and back.

A matrix (rows N, columns K) becomes one or two planes. The weight plane consists of 16-byte pieces, each a run
of columns of one row; pieces are grouped into tiles of 8 rows x 4 pieces (512 contiguous bytes), tiles are
ordered along K, then along N. On a GPU the lanes of a subgroup then read neighbouring pieces; a CPU reads a
piece as one 128-bit vector; and a range of rows is a range of bytes, so that a plane can be cut into shards.
Rows are padded to 8 and columns to 128 with zeros. The kernels' side of this is kernels/lib/.

The caches of converted weights carry LAYOUT_VERSION: raise it whenever a byte of the output or a cache's form
changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from ..formats import blocks as quant

LAYOUT_VERSION = 5
ROWS = 8  # rows in a tile
PIECES = 4  # pieces of a row in a tile
PIECE_BYTES = 16
COLUMNS = 128  # planes are padded to a multiple of this many columns
BLOCK = 32  # the kernels step through columns by blocks of 32

Plane = NDArray[np.uint8]


@dataclass(frozen=True)
class Format:
    """How one kind of weight is stored.

    Attributes:
        name: as in kernels/lib/weights/<name>.wgsl.
        piece_columns: columns in a 16-byte piece.
        scale_bytes: bytes of the scale plane for 128 columns of one row; 0 without a scale plane.
    """

    name: str
    piece_columns: int
    scale_bytes: int

    def weight_bytes(self, rows: int, columns: int) -> int:
        """Bytes of the weight plane."""
        return _up(rows, ROWS) * _up(columns, COLUMNS) // self.piece_columns * PIECE_BYTES

    def scale_plane_bytes(self, rows: int, columns: int) -> int:
        """Bytes of the scale plane."""
        return _up(rows, ROWS) * _up(columns, COLUMNS) // COLUMNS * self.scale_bytes


FORMATS = {
    f.name: f
    for f in (
        Format("q4", 32, 8),  # f16 scale for 32 columns
        Format("q4m", 32, 32),  # f32 scale and f32 minimum for 32 columns
        Format("q8", 16, 8),  # f16 scale for 32 columns
        Format("q8h", 16, 32),  # f32 scale for 16 columns
        Format("f16", 8, 0),
        Format("bf16", 8, 0),
        Format("f32", 4, 0),
    )
}

# int4 codes stay int4; 5 and 6 bits become int8 without loss; floats stay as they are.
FORMAT_OF_TYPE = {
    "Q4_0": "q4",
    "Q4_K": "q4m",
    "Q5_0": "q8",
    "Q8_0": "q8",
    "Q6_K": "q8h",
    "F16": "f16",
    "BF16": "bf16",
    "F32": "f32",
}


def _up(length: int, unit: int) -> int:
    return -(-length // unit) * unit


def format_of(type_name: str) -> Format:
    """The format a file's tensor type is stored in. Raises UnsupportedModel naming the type."""
    try:
        return FORMATS[FORMAT_OF_TYPE[type_name]]
    except KeyError:
        raise UnsupportedModel(
            f"Tensors of type {type_name} are not supported yet.",
            f"Choose a file with {', '.join(FORMAT_OF_TYPE)} tensors.",
        ) from None


def convert(type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
    """Convert whole rows of a tensor.

    Args:
        type_name: the tensor's type in the file.
        data: (rows * bytes of a row,) uint8, the rows as the file has them.
        rows: N; unless they are the matrix's last ones, a multiple of 8.
        columns: K, a multiple of 32.

    Returns:
        weight plane and scale plane, flat uint8; the latter is empty for float formats.
    """
    form = format_of(type_name)
    if form.scale_bytes == 0:
        return _tile(data.reshape(rows, -1, PIECE_BYTES), form.piece_columns), np.empty(0, np.uint8)
    codes = quant.codes(type_name, data, rows, columns)
    if form.piece_columns == BLOCK:
        # Byte i of a block holds columns i (low nibble) and 16 + i (high nibble), as unsigned codes.
        bias = np.uint8(0 if codes.minimum is not None else 8)  # wraps for negative codes, as it should
        unsigned: Plane = (codes.q.view(np.uint8) + bias).reshape(rows, -1, 2, 16)
        pieces: Plane = unsigned[:, :, 0] | (unsigned[:, :, 1] << np.uint8(4))
    else:
        pieces = codes.q.view(np.uint8).reshape(rows, -1, PIECE_BYTES)
    if form.name == "q4m":
        assert codes.minimum is not None
        scales = np.stack([codes.scale, codes.minimum], axis=-1).astype("<f4")
    elif form.name == "q8h":
        scales = codes.scale.astype("<f4").reshape(rows, -1, 2)
    else:
        scales = codes.scale.astype("<f2")[..., None]  # exact: the file's scales are f16
    itemwise = np.ascontiguousarray(scales).view(np.uint8).reshape(rows, columns // BLOCK, -1)
    return _tile(pieces, form.piece_columns), _tile(itemwise, BLOCK)


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
    if form.scale_bytes == 0:
        if form.name == "bf16":
            return (pieces.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(rows, columns)
        return pieces.view("<f2" if form.name == "f16" else "<f4").astype(np.float32).reshape(rows, columns)
    blocks = _untile(scales, rows, columns, BLOCK)
    if form.piece_columns == BLOCK:
        codes = np.concatenate([pieces & 15, pieces >> 4], axis=-1).astype(np.float32)
        if form.name == "q4m":
            pair = blocks.view("<f4")
            values = codes * pair[..., :1] - pair[..., 1:]
        else:
            values = (codes - 8) * blocks.view("<f2").astype(np.float32)
    else:
        scale = blocks.view("<f4" if form.name == "q8h" else "<f2").astype(np.float32)
        values = (
            pieces.view(np.int8)
            .astype(np.float32)
            .reshape(rows, -1, scale.shape[-1], BLOCK // scale.shape[-1])
        )
        values = values * scale[..., None]
    result: NDArray[np.float32] = values.reshape(rows, columns)
    return result


ALIGNMENT = 256  # bytes: WebGPU's default minStorageBufferOffsetAlignment


def aligned(offset: int) -> int:
    """The first offset from this one on at which a binding may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT
