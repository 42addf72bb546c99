"""The order in which the web files of MediaPipe keep a matrix, and the sums that tell whether it was understood.

Matrices lie as `[in / 4][out / 4][in % 4][out % 4]`, codes counted from the lowest one (excess 8 and 128), two of four
bits in a byte, the first in its low half. Beside each is `sum_i`: of each output, the i32 sum of its codes. With any
other order, or sign, these sums come out wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from .block_type import Bytes, pairs

SIDE = 4  # of a tile, inputs and outputs
SUM_BYTES = 4

Sums = NDArray[np.int32]
Untile = Callable[[Bytes, int, int, int], tuple[Bytes, Sums]]


def untiled(data: Bytes, rows: int, columns: int, bits: int) -> tuple[Bytes, Sums]:
    """Codes out of their tiles: row after row in two's complement, packed as `row_types` has them, and the sum of each
    row's."""
    codes = data if bits == 8 else pairs(data)
    tiled = codes.reshape(columns // SIDE, rows // SIDE, SIDE, SIDE)
    found = np.ascontiguousarray(tiled.transpose(1, 3, 0, 2)).reshape(rows, columns)
    sums = found.sum(axis=1, dtype=np.int32) - np.int32(columns << bits - 1)
    found ^= np.uint8(1 << bits - 1)
    if bits == 4:
        found = found[:, 0::2] | (found[:, 1::2] << np.uint8(4))
    return found.reshape(-1), sums


def rows_of(data: Bytes, rows: int, columns: int, bits: int, source: str, untile: Untile = untiled) -> Bytes:
    """Rows in `row_types`' order from what a web file has of them.

    Args:
        data: scales f32 and sums i32 of so many rows, then their tiles.
        source: the tensor's name in the file, for people.
        untile: as `untiled`, or faster.

    Raises:
        FormatError: the sums are not those of the codes.
    """
    beside = rows * (4 + SUM_BYTES)
    codes, sums = untile(data[beside:], rows, columns, bits)
    if not np.array_equal(sums, np.frombuffer(data[4 * rows : beside].tobytes(), "<i4")):
        raise FormatError(
            f"The tensor {source} is damaged, or lies in an order that Sotto does not know: its sums are not those of "
            "its values.",
            "Try another copy; if it stays so, take a GGUF file of this model.",
        )
    return np.concatenate([data[: 4 * rows], codes])
