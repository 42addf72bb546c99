"""Which ranges of a file are read, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..formats.checkpoint import TensorInfo, Transform
from . import layout

READ_BYTES = 8 << 20  # bytes read and converted at a time


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
    """Rows `first` .. first+count-1 of a part, from one tensor: what is converted at a time."""

    part: Part
    first: int
    count: int
    tensor: TensorInfo
    offset: int  # in the file
    nbytes: int


@dataclass(frozen=True)
class Read:
    """A range of a file, and what is in it in the order of the image."""

    file: str  # "" where there is one
    offset: int
    nbytes: int
    rows: tuple[Rows, ...]


def _rows(parts: list[Part]) -> Iterator[Rows]:
    """Everything that is converted, in the order of the image."""
    for part in parts:
        at = 0
        for info in part.sources:
            rows = info.shape[0] if part.form else 1
            row_bytes = info.nbytes // rows
            step = max(1, READ_BYTES // (row_bytes * layout.ROWS)) * layout.ROWS
            if Transform.TRANSPOSE in info.transforms:
                step = rows  # a row lies all over the tensor
            for first in range(0, rows, step):
                count = min(step, rows - first)
                offset = info.offset + first * row_bytes
                yield Rows(part, at + first, count, info, offset, count * row_bytes)
            at += rows


def planned(parts: list[Part]) -> Iterator[Read]:
    """Few large reads: neighbours in the image that are neighbours in the file too are read together.

    A model's layer is one run of the file, but its tensors stand there in another order; so a group may grow while
    the range that covers it stays small, and ends where that range held little else.
    """
    waiting = list(_rows(parts))
    while waiting:
        start, end, wanted = waiting[0].offset, waiting[0].offset, 0
        best = waiting[0].offset, waiting[0].nbytes, 1
        file = waiting[0].tensor.file
        for count, rows in enumerate(waiting, 1):
            start, end = min(start, rows.offset), max(end, rows.offset + rows.nbytes)
            wanted += rows.nbytes
            if end - start > READ_BYTES or rows.tensor.file != file:
                break
            if end - start - wanted <= wanted // 16:
                best = start, end - start, count
        offset, nbytes, count = best
        yield Read(file, offset, nbytes, tuple(waiting[:count]))
        del waiting[:count]
