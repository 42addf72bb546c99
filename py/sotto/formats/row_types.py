"""The formats of LiteRT's quantised tensors, and what else keeps codes and scales in places of their own.

A matrix is its codes, row after row, and its scales elsewhere in the file: one for each row, or one for each block of
a row. Rows are read as all of their scales followed by all of their codes. The codes are whole numbers of 8 bits, or of
4 in two's complement, the first of a pair in the low half of its byte; value = scale * code. Source:
ai-edge-quantizer's `uniform_quantize_tensor.py` and TensorFlow Lite's schema.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .block_type import Bytes, Codes, CodeType, Decoded, Floats, pairs

BLOCKS = (32, 64, 128, 256)  # columns that share a scale, where a row has several


@dataclass(frozen=True)
class RowType(CodeType):
    """Codes of `bits` bits, with the scales of all rows in front. `group` is 0 where a row has one scale."""

    bits: int = 8

    def beside(self, rows: int, columns: int) -> int:
        """Bytes of the scales of so many rows."""
        return rows * (columns // self.group if self.group else 1) * (2 if self.half else 4)

    def parts(self, data: Bytes, rows: int, columns: int) -> tuple[Floats, Bytes]:
        """The scales (rows, scales of a row) and the packed codes of whole rows. Raises ValueError where the bytes do
        not fit the shape."""
        scale_bytes = self.beside(rows, columns)
        if columns % (self.group or 2) or data.size != scale_bytes + self.size((rows, columns)):
            raise ValueError(f"{data.size} bytes are not {rows} x {columns} elements of {self.name}")
        scale = np.frombuffer(data[:scale_bytes].tobytes(), "<f2" if self.half else "<f4")
        return scale.astype(np.float32).reshape(rows, -1), data[scale_bytes:]

    def codes(self, data: Bytes, rows: int, columns: int) -> Codes:
        scale, packed = self.parts(data, rows, columns)
        q = np.ascontiguousarray(packed)
        if self.bits == 4:
            q = (pairs(q) ^ np.uint8(8)) - np.uint8(8)  # wraps, as it should
        return Codes(q.view(np.int8).reshape(rows, columns), scale, None, self.group or columns)

    def decode(self, blocks: Bytes) -> Decoded:
        raise ValueError(f"{self.name} has no blocks")


def _types() -> list[RowType]:
    found = []
    for bits in (8, 4):
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        elements = 8 // bits
        for group in (0, *BLOCKS):
            name = f"INT{bits}/{group}" if group else f"INT{bits}"
            found.append(RowType(name, -1, elements, 1, low, high, group, half=bool(group), bits=bits))
    return found


ROW_TYPES: dict[str, RowType] = {kind.name: kind for kind in _types()}
"""By name: INT8 and INT4 have one f32 scale for a row, INT4/32 an f16 one for each 32 columns."""
