"""From a file's tensors to the records a model binds: which tensors, which shapes, in which order.

A model lists what it wants (`Wanted`); `Image.of` holds the list against the file's header and lays the planes
out as one linear image: the header's bytes first, then plane after plane. The image is what the caches keep and
what devices are filled from; it depends on the file and the layout only, not on the device. `convert` streams
it, a few megabytes at a time, in order.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import compiled, layout, quant
from .errors import FormatError, UnsupportedModel
from .gguf import Header, TensorInfo
from .plan import ALIGNMENT, Role, Tensor, aligned
from .source import Source

SHARD_ROWS = 1024  # shards begin at a multiple of this, so that the head finds the maxima of whole slices
ALIGNED_ROWS = (
    32  # planes can be cut at multiples of this: 32 rows of the smallest scales are ALIGNMENT bytes
)
PIECE_OF_SOURCE = 8 << 20  # bytes read and converted at a time
READS_AHEAD = 2  # reads begun before their bytes are needed


@dataclass(frozen=True)
class Wanted:
    """A weight as the model binds it.

    Attributes:
        name: the model's name for it.
        sources: names of the file's tensors, stacked by rows in this order.
        shapes: their expected shapes: (rows, columns) each, or one (length,) for a vector.
    """

    name: str
    sources: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Piece:
    """A matrix or part of one in a single format: rows row .. row+rows-1 of the wanted weight."""

    row: int
    rows: int
    columns: int
    format: str
    weights: Tensor
    scales: Tensor | None

    def part(self, first: int, rows: int) -> Piece:
        """Rows first .. first+rows-1 of this piece: the same memory, a smaller range of it."""
        form = layout.FORMATS[self.format]
        whole = first == 0 and rows == self.rows

        def plane(t: Tensor, nbytes: Callable[[int, int], int]) -> Tensor:
            begin = nbytes(first, self.columns)
            if first % layout.ROWS or begin % ALIGNMENT:
                raise UnsupportedModel(
                    f"{t.name} cannot be cut before row {first}: a tile of rows is in the way."
                )
            name = t.name if whole else f"{t.name}[{first}:{first + rows}]"
            shape = (rows, self.columns)
            return Tensor(
                name, shape, t.dtype, t.role, t.memory, t.offset + begin, nbytes(rows, self.columns)
            )

        return replace(
            self,
            row=self.row + first,
            rows=rows,
            weights=plane(self.weights, form.weight_bytes),
            scales=self.scales and plane(self.scales, form.scale_plane_bytes),
        )


@dataclass(frozen=True)
class Matrix:
    """A weight of shape (rows, columns), in one piece, or in several where formats or binding limits ask for it."""

    name: str
    rows: int
    columns: int
    pieces: tuple[Piece, ...]

    def part(self, first: int, rows: int) -> Matrix:
        """Rows first .. first+rows-1 as a matrix of their own, in the same memory.

        Raises:
            UnsupportedModel: the layout cannot be cut there; at multiples of 32 rows it can.
        """
        pieces = []
        for piece in self.pieces:
            begin, end = max(first, piece.row), min(first + rows, piece.row + piece.rows)
            if begin < end:
                part = piece.part(begin - piece.row, end - begin)
                pieces.append(replace(part, row=part.row - first))
        return Matrix(f"{self.name}[{first}:{first + rows}]", rows, self.columns, tuple(pieces))


@dataclass(frozen=True)
class _Part:
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


class Weights:
    """The weights by the model's names, as tensors a plan can bind."""

    def __init__(
        self, matrices: dict[str, Matrix], vectors: dict[str, Tensor], offsets: dict[str, int]
    ) -> None:
        self._matrices = matrices
        self._vectors = vectors
        self.offsets = offsets  # image offset by tensor memory name

    def matrix(self, name: str) -> Matrix:
        """A matrix by the model's name."""
        return self._matrices[name]

    def vector(self, name: str) -> Tensor:
        """A vector by the model's name."""
        return self._vectors[name]

    def shortened(self, name: str, rows: int) -> Weights:
        """The same weights with only the first rows of a matrix, a multiple of 32."""
        matrix = self._matrices[name]
        part = matrix.part(0, min(rows, matrix.rows))
        return Weights({**self._matrices, name: part}, self._vectors, self.offsets)

    def planes(self) -> list[Tensor]:
        """Every plane, for allocation."""
        planes = list(self._vectors.values())
        for matrix in self._matrices.values():
            for piece in matrix.pieces:
                planes.append(piece.weights)
                if piece.scales is not None:
                    planes.append(piece.scales)
        return planes


class Image:
    """The converted model as one run of bytes.

    Attributes:
        nbytes: total length.
        header_nbytes: length of the model file's header, which is the image's beginning.
        source_nbytes: bytes of the source tensors that conversion reads.
    """

    def __init__(self, parts: list[_Part], header_nbytes: int, nbytes: int) -> None:
        self._parts = parts
        self.header_nbytes = header_nbytes
        self.nbytes = nbytes
        self.source_nbytes = sum(s.nbytes for p in parts for s in p.sources)

    @classmethod
    def of(cls, header: Header, wanted: list[Wanted]) -> Image:
        """Lay out what the model wants.

        Raises:
            FormatError: a tensor is missing or has another shape than the file's own settings say.
            UnsupportedModel: a tensor type or a width without kernels, named.
        """
        parts: list[_Part] = []
        end = aligned(header.nbytes)
        for want in wanted:
            infos = [
                _checked(header, name, shape) for name, shape in zip(want.sources, want.shapes, strict=True)
            ]
            row = 0
            for group in _same_format(infos):
                if len(group[0].shape) == 1:
                    part = _Part(
                        want.name,
                        tuple(group),
                        0,
                        1,
                        group[0].shape[0],
                        None,
                        end,
                        4 * group[0].shape[0],
                        0,
                        0,
                    )
                else:
                    rows, columns = sum(info.shape[0] for info in group), group[0].shape[1]
                    form = layout.format_of(group[0].type)
                    if columns % layout.BLOCK:
                        raise UnsupportedModel(
                            f"{group[0].name} has {columns} columns; the kernels need a multiple of {layout.BLOCK}."
                        )
                    weight_bytes = form.weight_bytes(rows, columns)
                    scale_offset = aligned(end + weight_bytes)
                    scale_bytes = form.scale_plane_bytes(rows, columns)
                    part = _Part(
                        want.name, tuple(group), row, rows, columns, form,
                        end, weight_bytes, scale_offset, scale_bytes,
                    )  # fmt: skip
                    row += rows
                parts.append(part)
                end = aligned(max(part.offset + part.weight_bytes, part.scale_offset + part.scale_bytes))
        return cls(parts, header.nbytes, end)

    def weights(self, max_binding: int) -> Weights:
        """The image's planes as tensors, cut into shards where a plane passes `max_binding` bytes."""
        vectors: dict[str, Tensor] = {}
        pieces: dict[str, list[Piece]] = {}
        offsets: dict[str, int] = {}
        for part in self._parts:
            if part.form is None:
                name = part.name
                vectors[name] = Tensor(name, (part.columns,), "f32", Role.WEIGHT, name, 0, part.weight_bytes)
                offsets[name] = part.offset
                continue
            row_bytes = part.weight_bytes // (-(-part.rows // layout.ROWS))  # of a tile's 8 rows
            step = max_binding // row_bytes * layout.ROWS
            unit = SHARD_ROWS if step > SHARD_ROWS else ALIGNED_ROWS
            step = max(step - step % unit, unit)
            for first in range(0, part.rows, step):
                pieces.setdefault(part.name, []).append(
                    _shard(part, first, min(step, part.rows - first), offsets)
                )
        matrices = {
            name: Matrix(name, sum(p.rows for p in ps), ps[0].columns, tuple(ps))
            for name, ps in pieces.items()
        }
        return Weights(matrices, vectors, offsets)

    async def convert(self, header: bytes, source: Source) -> AsyncGenerator[tuple[int, NDArray[np.uint8]]]:
        """Yield the image from beginning to end as (bytes of the source's tensors used so far, next bytes).

        The bytes are valid until the next are asked for. Holds a few reads of the source, one conversion, and one
        scale plane at a time.
        """
        at = done = 0
        async with aclosing(self._planes(source)) as planes:
            yield 0, np.frombuffer(header, np.uint8)
            at = len(header)
            async for done, offset, data in planes:
                if offset > at:
                    yield done, np.zeros(offset - at, np.uint8)
                yield done, data
                at = offset + data.size
        if at < self.nbytes:
            yield done, np.zeros(self.nbytes - at, np.uint8)

    async def _planes(self, source: Source) -> AsyncGenerator[tuple[int, int, NDArray[np.uint8]]]:
        """Yield (bytes of the source used so far, offset in the image, bytes) in the image's order."""
        convert = compiled.converter()
        reads = list(_reads(self._parts))
        expected = done = offset = filled = 0
        scales = np.empty(0, np.uint8)
        for number, read in enumerate(reads):
            for ahead in reads[expected : number + READS_AHEAD + 1]:
                source.expect(ahead.offset, ahead.nbytes)
                expected += 1
            raw = np.frombuffer(await source.read(read.offset, read.nbytes), np.uint8)
            for rows in read.rows:
                part = rows.part
                data = raw[rows.offset - read.offset :][: rows.nbytes]
                done += rows.nbytes
                if part.form is None:
                    vector = quant.dequantize(rows.type, data, (part.columns,))
                    yield done, part.offset, vector.astype("<f4").view(np.uint8)
                    continue
                plane, scale = convert(rows.type, data, rows.count, part.columns)
                if rows.first == 0:
                    offset, scales, filled = part.offset, np.empty(part.scale_bytes, np.uint8), 0
                scales[filled : filled + scale.size] = scale
                filled += scale.size
                yield done, offset, plane
                offset += plane.size
                if scales.size and rows.first + rows.count == part.rows:
                    yield done, part.scale_offset, scales


@dataclass(frozen=True)
class _Rows:
    """Rows `first` .. first+count-1 of a part, from one tensor: what is converted at a time."""

    part: _Part
    first: int
    count: int
    type: str
    offset: int  # in the file
    nbytes: int


@dataclass(frozen=True)
class _Read:
    """A range of the file, and what is in it in the order of the image."""

    offset: int
    nbytes: int
    rows: tuple[_Rows, ...]


def _rows(parts: list[_Part]) -> Iterator[_Rows]:
    """Everything that is converted, in the order of the image."""
    for part in parts:
        at = 0
        for info in part.sources:
            rows = info.shape[0] if part.form else 1
            row_bytes = info.nbytes // rows
            step = max(1, PIECE_OF_SOURCE // (row_bytes * layout.ROWS)) * layout.ROWS
            for first in range(0, rows, step):
                count = min(step, rows - first)
                offset = info.offset + first * row_bytes
                yield _Rows(part, at + first, count, info.type, offset, count * row_bytes)
            at += rows


def _reads(parts: list[_Part]) -> Iterator[_Read]:
    """Few large reads: neighbours in the image that are neighbours in the file too are read together.

    A model's layer is one run of the file, but its tensors stand there in another order; so a group may grow while
    the range that covers it stays small, and ends where that range held little else.
    """
    waiting = list(_rows(parts))
    while waiting:
        start, end, wanted = waiting[0].offset, waiting[0].offset, 0
        best = waiting[0].offset, waiting[0].nbytes, 1
        for count, rows in enumerate(waiting, 1):
            start, end = min(start, rows.offset), max(end, rows.offset + rows.nbytes)
            wanted += rows.nbytes
            if end - start > PIECE_OF_SOURCE:
                break
            if end - start - wanted <= wanted // 16:
                best = start, end - start, count
        offset, nbytes, count = best
        yield _Read(offset, nbytes, tuple(waiting[:count]))
        del waiting[:count]


def _checked(header: Header, name: str, shape: tuple[int, ...]) -> TensorInfo:
    info = header.tensors.get(name)
    if info is None:
        raise FormatError(
            f"The file has no tensor {name}.", "It may be incomplete, or made for another program."
        )
    if info.shape != shape:
        raise FormatError(
            f"{name} has shape {list(info.shape)}; by the file's own settings it should be {list(shape)}.",
            "The file is damaged or was converted wrongly: try another copy.",
        )
    layout.format_of(info.type)
    return info


def _same_format(infos: list[TensorInfo]) -> list[list[TensorInfo]]:
    """Group neighbours that share a format, so that each group is one matrix. Whole tiles only."""
    groups: list[list[TensorInfo]] = []
    for info in infos:
        last = groups[-1] if groups else None
        if (
            last
            and layout.format_of(last[-1].type) == layout.format_of(info.type)
            and last[-1].shape[0] % layout.ROWS == 0
        ):
            last.append(info)
        else:
            groups.append([info])
    return groups


def _shard(part: _Part, first: int, rows: int, offsets: dict[str, int]) -> Piece:
    assert part.form is not None
    name = f"{part.name}[{part.row + first}:{part.row + first + rows}]"
    shape = (rows, part.columns)
    nbytes = part.form.weight_bytes(rows, part.columns)
    weights = Tensor(name, shape, "u32", Role.WEIGHT, name, 0, nbytes)
    offsets[name] = part.offset + part.form.weight_bytes(first, part.columns)
    scales = None
    if part.scale_bytes:
        scale_name = f"{name} scales"
        scale_bytes = part.form.scale_plane_bytes(rows, part.columns)
        scales = Tensor(scale_name, shape, "u32", Role.WEIGHT, scale_name, 0, scale_bytes)
        offsets[scale_name] = part.scale_offset + part.form.scale_plane_bytes(first, part.columns)
    return Piece(part.row + first, rows, part.columns, part.form.name, weights, scales)
