"""What a block format is: its sizes, its values as exact integer codes or as float32, and the parts they share.

A tensor is rows of `cols` elements; each row is a run of blocks and nothing crosses a row. Every multi-byte field is
little endian.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BlockType:
    """One storage format: `elements` values in `nbytes` bytes; `id` is its number in a GGUF tensor record.

    Of one that is nothing more, the size is known and not the meaning.
    """

    name: str
    id: int
    elements: int
    nbytes: int

    def size(self, shape: tuple[int, ...]) -> int:
        """Bytes of a tensor of this type with the given shape (numpy order, rows last but one)."""
        count = 1
        for extent in shape:
            count *= extent
        return count // self.elements * self.nbytes


@dataclass(frozen=True)
class Codes:
    """A quantised matrix without loss: value[r, c] = scale[r, c // group] * q[r, c] - minimum[r, c // group].

    q: (rows, cols), uint8 in formats that have minima, else int8; scale and minimum: (rows, cols / group)
    float32. `minimum` is None where the format has none.
    """

    q: NDArray[np.int8] | NDArray[np.uint8]
    scale: Floats
    minimum: Floats | None
    group: int

    def values(self) -> Floats:
        """The matrix as (rows, cols) float32, rounded as ggml rounds it (one product, one subtraction)."""
        rows, cols = self.q.shape
        out = self.q.reshape(rows, cols // self.group, self.group).astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number stays so
            out *= self.scale[:, :, None]
            if self.minimum is not None:
                out -= self.minimum[:, :, None]
        return out.reshape(rows, cols)


Decoded = tuple[NDArray[np.int8] | NDArray[np.uint8], Floats, Floats | None]


class FloatType(BlockType, ABC):
    """A format of plain numbers."""

    @abstractmethod
    def decode(self, data: Bytes) -> Floats:
        """Bytes -> the numbers, both flat."""

    @abstractmethod
    def encode(self, values: Floats) -> Bytes:
        """Numbers of any shape -> flat bytes, rounded to nearest."""


@dataclass(frozen=True)
class CodeType(BlockType, ABC):
    """A format of integer codes with scales (see `Codes`).

    Attributes:
        low, high: the codes' range.
        group: columns that share a scale; 0 where all of a row do.
        half: every scale is an f16 number; otherwise a product, which needs f32.
        minimum: whether there are minima.
        grid: the name in `grids.TABLES` of the points that codes are made of, where they are.
    """

    low: int
    high: int
    group: int
    half: bool = True
    minimum: bool = False
    grid: str = ""

    @abstractmethod
    def decode(self, blocks: Bytes) -> Decoded:
        """Blocks (count, nbytes) -> codes, scales and minima, one row a block."""

    def codes(self, data: Bytes, rows: int, columns: int) -> Codes:
        """Whole rows -> their codes. Raises ValueError when the bytes do not fit the shape."""
        if columns % self.elements or data.size != rows * columns // self.elements * self.nbytes:
            raise ValueError(f"{data.size} bytes are not {rows} x {columns} elements of {self.name}")
        with np.errstate(invalid="ignore"):  # what is no number stays so, and loading refuses it
            q, scale, minimum = self.decode(np.ascontiguousarray(data).reshape(-1, self.nbytes))
        groups = columns // self.group
        return Codes(
            q=q.reshape(rows, columns),
            scale=scale.reshape(rows, groups),
            minimum=None if minimum is None else minimum.reshape(rows, groups),
            group=self.group,
        )

    def encode(self, values: Floats) -> Bytes:
        """Values (count, elements) -> blocks (count, nbytes), by plain rounding to nearest.

        Meant for test models and small tables: it makes no search for the best scale as ggml's tools do. Raises
        ValueError for a format that is only read.
        """
        raise ValueError(f"{self.name} cannot be written")


def half(blocks: Bytes, start: int) -> Floats:
    """The float16 at byte `start` of each block, (count, 1) float32."""
    return np.ascontiguousarray(blocks[:, start : start + 2]).view("<f2").astype(np.float32)


def bits(packed: Bytes, count: int) -> Bytes:
    """(..., n) bytes of 8 / count numbers each -> (..., numbers, n): the lowest bits of all bytes, then the next."""
    shifts = np.arange(0, 8, count, dtype=np.uint8)[:, None]
    found: Bytes = (packed[..., None, :] >> shifts) & np.uint8((1 << count) - 1)
    return found


def pairs(packed: Bytes) -> Bytes:
    """(..., n) bytes -> (..., 2 n): the low and the high nibble of each."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)


def nibbles(packed: Bytes) -> Bytes:
    """(count, n) bytes -> (count, 2 n): all the low nibbles of a row, then all its high nibbles."""
    count, n = packed.shape
    out = np.empty((count, 2 * n), np.uint8)
    np.bitwise_and(packed, 15, out=out[:, :n])
    np.right_shift(packed, 4, out=out[:, n:])
    return out


def stored(scale: NDArray[np.floating[Any]]) -> tuple[Bytes, Floats]:
    """Scales (count, 1) as their float16 bytes, and as the float32 that a reader will see."""
    half = scale.astype("<f2")
    return half.view(np.uint8).reshape(len(scale), 2), half.astype(np.float32)


def divide(values: NDArray[np.floating[Any]], by: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """values / by, with 0 where the divisor is 0 (a block of zeros)."""
    return values / np.where(by == 0, np.inf, by)


def signed_peak(values: Floats) -> Floats:
    """The value of largest magnitude along the last axis, with its sign, axis kept."""
    at = np.abs(values).argmax(axis=-1)[..., None]
    return np.take_along_axis(values, at, axis=-1)


def pack_nibbles(q: Bytes) -> Bytes:
    """The inverse of `nibbles`: (count, 2 n) values 0..15 -> (count, n) bytes."""
    n = q.shape[1] // 2
    return q[:, :n] | (q[:, n:] << np.uint8(4))
