"""A model's weights as tensors that a plan binds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..errors import UnsupportedModel
from ..weights import layout
from ..weights.image import Image
from ..weights.layout import ALIGNMENT
from ..weights.low_rank import FORM, AdapterImage
from ..weights.reads import Part
from .plan import Tensor, Use

SHARD_ROWS = 1024  # shards begin at a multiple of this, so that the head finds the maxima of whole slices
ALIGNED_ROWS = (
    32  # planes can be cut at multiples of this: 32 rows of the smallest scales are ALIGNMENT bytes
)


@dataclass(frozen=True)
class Shard:
    """A matrix or part of one in a single format: rows row .. row+rows-1 of the wanted weight."""

    row: int
    rows: int
    columns: int
    format: str
    weights: Tensor
    scales: Tensor | None

    def part(self, first: int, rows: int) -> Shard:
        """Rows first .. first+rows-1 of this shard: the same memory, a smaller range of it."""
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
            return Tensor(name, shape, t.dtype, t.use, t.memory, t.offset + begin, nbytes(rows, self.columns))

        return replace(
            self,
            row=self.row + first,
            rows=rows,
            weights=plane(self.weights, form.weight_bytes),
            scales=self.scales and plane(self.scales, form.scale_plane_bytes),
        )


@dataclass(frozen=True)
class LowRank:
    """What adapters add to a matrix W (N, K), which may be several that are stacked: y = W x + B (A x).

    Attributes:
        a: (stacked * rank, K), the A of each stacked matrix, padded to the same rank.
        b: (N, rank) f16: of each row the columns of its own matrix's B, times the adapter's scale.
        rank: a multiple of 8.
        begins: rows at which the second and the third of the stacked matrices begin.
    """

    a: Matrix
    b: Tensor
    rank: int
    begins: tuple[int, ...]

    def part(self, first: int, rows: int) -> LowRank:
        """Of rows first .. first+rows-1, as `Matrix.part`."""
        row_bytes = 2 * self.rank
        name = f"{self.b.name}[{first}:{first + rows}]"
        b = Tensor(
            name, (rows, self.rank), "f16", self.b.use, self.b.memory,
            self.b.offset + first * row_bytes, rows * row_bytes,
        )  # fmt: skip
        return replace(self, b=b, begins=tuple(max(0, begin - first) for begin in self.begins))


@dataclass(frozen=True)
class Matrix:
    """A weight of shape (rows, columns), in one shard, or in several where formats or binding limits ask for it.

    Attributes:
        low_rank: what adapters add to it; None where none is on.
    """

    name: str
    rows: int
    columns: int
    shards: tuple[Shard, ...]
    low_rank: LowRank | None = None

    def part(self, first: int, rows: int) -> Matrix:
        """Rows first .. first+rows-1 as a matrix of their own, in the same memory.

        Raises:
            UnsupportedModel: the layout cannot be cut there; at multiples of 32 rows it can.
        """
        shards = []
        for shard in self.shards:
            begin, end = max(first, shard.row), min(first + rows, shard.row + shard.rows)
            if begin < end:
                part = shard.part(begin - shard.row, end - begin)
                shards.append(replace(part, row=part.row - first))
        low_rank = self.low_rank and self.low_rank.part(first, rows)
        return Matrix(f"{self.name}[{first}:{first + rows}]", rows, self.columns, tuple(shards), low_rank)


class Weights:
    """The weights by the model's names, as tensors a plan can bind."""

    def __init__(
        self,
        matrices: dict[str, Matrix],
        vectors: dict[str, Tensor],
        offsets: dict[str, int],
        adapters: Tensor | None = None,
    ) -> None:
        self._matrices = matrices
        self._vectors = vectors
        self.offsets = offsets  # image offset by tensor memory name
        self.adapters = adapters  # the memory of those that are on

    def matrix(self, name: str) -> Matrix:
        """A matrix by the model's name."""
        return self._matrices[name]

    def vector(self, name: str) -> Tensor:
        """A vector by the model's name."""
        return self._vectors[name]

    def __contains__(self, name: str) -> bool:
        return name in self._matrices or name in self._vectors

    @property
    def head(self) -> Matrix:
        """The matrix (V, D) of the logits: the model's own, or the embedding, to which it is tied."""
        return self.matrix(self._head)

    @property
    def _head(self) -> str:
        return "head" if "head" in self else "embedding"

    def adapted(self, memory: Tensor, adapters: Mapping[str, LowRank]) -> Weights:
        """The same weights with what adapters, all in one memory, add to some matrices, by the model's names."""
        matrices = {name: replace(m, low_rank=adapters.get(name)) for name, m in self._matrices.items()}
        return Weights(matrices, self._vectors, self.offsets, memory)

    def shortened(self, rows: int) -> Weights:
        """The same weights with only the first rows of the head, a multiple of 32."""
        part = self.head.part(0, min(rows, self.head.rows))
        return Weights({**self._matrices, self._head: part}, self._vectors, self.offsets, self.adapters)

    def planes(self) -> list[Tensor]:
        """Every plane, for allocation."""
        planes = list(self._vectors.values())
        for matrix in self._matrices.values():
            for shard in matrix.shards:
                planes.append(shard.weights)
                if shard.scales is not None:
                    planes.append(shard.scales)
        return planes


def bind(image: Image, max_binding: int) -> Weights:
    """An image's planes as tensors, cut into shards where a plane passes `max_binding` bytes."""
    vectors: dict[str, Tensor] = {}
    shards: dict[str, list[Shard]] = {}
    offsets: dict[str, int] = {}
    for part in image.parts:
        if part.form is None:
            name = part.name
            vectors[name] = Tensor(name, (part.columns,), "f32", Use.WEIGHT, name, 0, part.weight_bytes)
            offsets[name] = part.offset
            continue
        row_bytes = part.weight_bytes // (-(-part.rows // layout.ROWS))  # of a tile's 8 rows
        step = max_binding // row_bytes * layout.ROWS
        unit = SHARD_ROWS if step > SHARD_ROWS else ALIGNED_ROWS
        step = max(step - step % unit, unit)
        for first in range(0, part.rows, step):
            shards.setdefault(part.name, []).append(
                _shard(part, first, min(step, part.rows - first), offsets)
            )
    matrices = {
        name: Matrix(name, sum(p.rows for p in ps), ps[0].columns, tuple(ps)) for name, ps in shards.items()
    }
    return Weights(matrices, vectors, offsets)


def bind_adapters(image: AdapterImage, name: str) -> tuple[Tensor, dict[str, LowRank]]:
    """An image of adapters as one piece of memory of this name, and what they add to each matrix, by its name."""
    whole = Tensor(name, (image.nbytes,), "u32", Use.WEIGHT, name, 0, image.nbytes)

    def plane(what: str, shape: tuple[int, ...], dtype: str, offset: int, nbytes: int) -> Tensor:
        return Tensor(f"{name}: {what}", shape, dtype, Use.WEIGHT, name, offset, nbytes)

    adapters = {}
    for place in image.places:
        rows, columns = place.stacked_rank, place.columns
        a = Shard(
            0,
            rows,
            columns,
            FORM.name,
            plane(f"{place.name} A", (rows, columns), "u32", place.a, FORM.weight_bytes(rows, columns)),
            plane(
                f"{place.name} A scales",
                (rows, columns),
                "u32",
                place.scales,
                FORM.scale_plane_bytes(rows, columns),
            ),
        )
        adapters[place.name] = LowRank(
            Matrix(f"{place.name} A", rows, columns, (a,)),
            plane(f"{place.name} B", (place.rows, place.rank), "f16", place.b, place.b_bytes),
            place.rank,
            tuple(place.sources.values())[1:],
        )
    return whole, adapters


def _shard(part: Part, first: int, rows: int, offsets: dict[str, int]) -> Shard:
    assert part.form is not None
    name = f"{part.name}[{part.row + first}:{part.row + first + rows}]"
    shape = (rows, part.columns)
    nbytes = part.form.weight_bytes(rows, part.columns)
    weights = Tensor(name, shape, "u32", Use.WEIGHT, name, 0, nbytes)
    offsets[name] = part.offset + part.form.weight_bytes(first, part.columns)
    scales = None
    if part.scale_bytes:
        scale_name = f"{name} scales"
        scale_bytes = part.form.scale_plane_bytes(rows, part.columns)
        scales = Tensor(scale_name, shape, "u32", Use.WEIGHT, scale_name, 0, scale_bytes)
        offsets[scale_name] = part.scale_offset + part.form.scale_plane_bytes(first, part.columns)
    return Shard(part.row + first, rows, part.columns, part.form.name, weights, scales)
