"""Which ranges of a file are read, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formats import tiles
from ..formats.checkpoint import TensorInfo, Transform
from . import layout

READ_BYTES = 4 << 20  # bytes read at a time
CONVERTED_BYTES = 5 << 20  # made of them at a time: tightly packed types grow
TILED_ROWS = 16_384  # of a matrix in tiles, at least: so many rows are ranges of 32 or 64 KB


@dataclass(frozen=True)
class Part:
    """Consecutive source tensors of one format, and where their planes lie in the image."""

    name: str
    sources: tuple[TensorInfo, ...]
    row: int
    rows: int
    columns: int
    form: layout.Format | None  # None for a vector, stored as f32
    offset: int
    weight_bytes: int
    scale_offset: int
    scale_bytes: int


@dataclass(frozen=True)
class Rows:
    """Rows `first` .. first+count-1 of a part, from one tensor: what is converted at a time.

    Attributes:
        ranges: of the file, offset and bytes: the rows are these one after the other.
    """

    part: Part
    first: int
    count: int
    tensor: TensorInfo
    ranges: tuple[tuple[int, int], ...]

    @property
    def nbytes(self) -> int:
        """In the file."""
        return sum(nbytes for _, nbytes in self.ranges)

    @property
    def spans(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where they lie in the image, offset and bytes: their weights and their scales, of which there may be none."""
        part, form, columns = self.part, self.part.form, self.part.columns
        if form is None:
            return (part.offset, part.weight_bytes), (0, 0)
        return (
            (part.offset + form.weight_bytes(self.first, columns), form.weight_bytes(self.count, columns)),
            (
                part.scale_offset + form.scale_plane_bytes(self.first, columns),
                form.scale_plane_bytes(self.count, columns),
            ),
        )

    def within(self, spans: Sequence[tuple[int, int]]) -> bool:
        """Whether any of it lies in these spans of the image, offset and bytes."""
        return any(
            at < start + count and start < at + nbytes
            for at, nbytes in self.spans
            for start, count in spans
            if nbytes and count
        )


@dataclass(frozen=True)
class Read:
    """What is read together of a file, and what is in it in the order of the image.

    Attributes:
        ranges: one that holds all of the rows, or those of the only ones.
    """

    file: str  # "" where there is one
    ranges: tuple[tuple[int, int], ...]
    rows: tuple[Rows, ...]

    def part(self, data: list[NDArray[np.uint8]], rows: Rows) -> NDArray[np.uint8]:
        """The bytes of some of its rows in those of its ranges."""
        if len(data) > 1:
            return np.concatenate(data)
        ((offset, nbytes),) = rows.ranges
        return data[0][offset - self.ranges[0][0] :][:nbytes]


def all_rows(parts: Sequence[Part]) -> Iterator[Rows]:
    """Everything that is converted, in the order of the image."""
    for part in parts:
        at = 0
        for info in part.sources:
            rows = info.shape[0] if part.form else 1
            step = max(1, _tiles_at_once(part, info.nbytes // rows * layout.ROWS)) * layout.ROWS
            if Transform.TRANSPOSE in info.transforms:
                step = rows  # a row lies all over the tensor
            elif Transform.TILES in info.transforms:
                step = max(step, TILED_ROWS)
            for first in range(0, rows, step):
                count = min(step, rows - first)
                yield Rows(part, at + first, count, info, tuple(_ranges(info, rows, first, count)))
            at += rows


def _tiles_at_once(part: Part, tile: int) -> int:
    """Of how many tiles of rows no more is read or made at a time than there should be.

    Args:
        tile: bytes of a tile in the file.
    """
    if not part.form:
        return READ_BYTES // tile
    made = part.form.weight_bytes(layout.ROWS, part.columns)
    return min(READ_BYTES // tile, CONVERTED_BYTES // made)


def _ranges(info: TensorInfo, rows: int, first: int, count: int) -> Iterator[tuple[int, int]]:
    """Where rows first .. first+count-1 of a tensor, which has `rows`, lie in its file."""

    def share(offset: int, nbytes: int) -> tuple[int, int]:
        return offset + nbytes // rows * first, nbytes // rows * count

    for beside in info.beside:
        yield share(*beside)
    if Transform.TILES in info.transforms and count < rows:
        strip = info.nbytes // (info.shape[1] // tiles.SIDE)  # all rows of so many columns
        for offset in range(info.offset, info.offset + info.nbytes, strip):
            yield share(offset, strip)
    else:
        yield share(info.offset, info.nbytes)


def planned(wanted_rows: Iterable[Rows]) -> Iterator[Read]:
    """Few large reads: neighbours in the image that are neighbours in the file too are read together.

    A model's layer is one run of the file, but its tensors stand there in another order; so a group may grow while
    the range that covers it stays small, and ends where that range held little else.
    """
    waiting = list(wanted_rows)
    while waiting:
        if len(waiting[0].ranges) > 1:
            rows = waiting.pop(0)
            yield Read(rows.tensor.file, rows.ranges, (rows,))
            continue
        ((start, nbytes),) = waiting[0].ranges
        end, wanted = start, 0
        best = start, nbytes, 1
        file = waiting[0].tensor.file
        for count, rows in enumerate(waiting, 1):
            offset, nbytes = rows.ranges[0]
            start, end = min(start, offset), max(end, offset + nbytes)
            wanted += nbytes
            if end - start > READ_BYTES or rows.tensor.file != file or len(rows.ranges) > 1:
                break
            if end - start - wanted <= wanted // 16:
                best = start, end - start, count
        offset, nbytes, count = best
        yield Read(file, ((offset, nbytes),), tuple(waiting[:count]))
        del waiting[:count]
