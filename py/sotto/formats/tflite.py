"""A TensorFlow Lite model: tensors with their places in the file, and the operations of one of its graphs.

Field numbers are those of TensorFlow Lite's `schema.fbs`. Weights lie in buffers, inside the flatbuffer or, where a
buffer has an offset, anywhere behind its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod

from ..errors import FormatError, UnsupportedModel
from .flatbuffer import DAMAGED, Flatbuffer, Table
from .litert_files import Extent

FLOAT32, FLOAT16, INT32, INT8, INT4 = 0, 1, 2, 9, 17  # types of tensors
_BLOCKWISE = 2  # of quantization details
_MOST_ELEMENTS = 1 << 40


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    Attributes:
        type: a number of the schema.
        data: its bytes in the file; None for what is computed.
        scales: bytes of its f32 scales in the file; None without.
        axis: of those scales.
        zero_points: whether there are any but 0.
        block: columns that share a scale, of a tensor that is quantised in blocks; else 0.
        block_scales: the tensor that has those scales.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    data: Extent | None
    scales: Extent | None = None
    axis: int = 0
    zero_points: bool = False
    block: int = 0
    block_scales: int = -1

    @property
    def elements(self) -> int:
        """How many it has."""
        return prod(self.shape)


@dataclass(frozen=True)
class Operator:
    """An operation: its number in the schema, the tensors that it reads, -1 for none, and those that it writes."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """One of a model's graphs, its operations in an order in which they can be done."""

    tensors: list[Tensor]
    operators: list[Operator]


def shown(name: str) -> str:
    """A tensor's name for a message: its end where it is long, without what cannot be printed."""
    kept = "".join(letter for letter in name[-80:] if letter.isprintable())
    return kept if len(name) <= 80 else f"…{kept}"


class Model:
    """A model's flatbuffer, as far as it is asked for."""

    def __init__(self, file: Flatbuffer) -> None:
        self._file = file
        self._buffers: list[int] = []
        self._codes: list[int] = []

    async def metadata(self) -> dict[str, tuple[int, Extent | None]]:
        """By name: the number of a buffer, and its bytes if there is such a buffer."""

        def step() -> dict[str, int]:
            return {entry.text(0): entry.number(1, "<I") for entry in self._file.root().tables(6)}

        numbers = await self._file.complete(step)
        await self._prepare()
        found = {}
        for name, number in numbers.items():
            known = number < len(self._buffers)
            found[name] = number, await self._file.complete(partial(self._buffer, number)) if known else None
        return found

    async def is_bag(self) -> bool:
        """Whether it has tensors and no operations."""
        await self._prepare()
        return not self._codes

    async def graph(self) -> Graph:
        """The graph that computes logits for one token, by its signature "decode"; else the one with the most
        operations. Raises FormatError."""
        await self._prepare()
        complete = self._file.complete
        at = await complete(self._choose)
        places, operators = await complete(lambda: _lists(Table(self._file, at)))
        tensors = [await complete(partial(self._tensor, place)) for place in places]
        found = [await complete(partial(self._operator, place)) for place in operators]
        for operator in found:
            if not all(-1 <= index < len(tensors) for index in (*operator.inputs, *operator.outputs)):
                raise self._file.damaged("an operation of it works on a tensor that is not there")
        return Graph(tensors, found)

    async def _prepare(self) -> None:
        if not self._buffers:
            self._buffers = await self._file.complete(lambda: self._file.root().places(4))
            self._codes = await self._file.complete(self._operator_codes)

    def _operator_codes(self) -> list[int]:
        return [max(code.number(0, "<b"), code.number(3)) for code in self._file.root().tables(1)]

    def _choose(self) -> int:
        root = self._file.root()
        graphs = root.places(2)
        for signature in root.tables(7):
            number = signature.number(4, "<I")
            if signature.text(2) == "decode" and number < len(graphs):
                return graphs[number]
        if not graphs:
            raise FormatError(f"{self._file.source.name} holds no model.", DAMAGED)
        return max(graphs, key=lambda place: Table(self._file, place).vector(3, 4)[1])

    def _buffer(self, number: int) -> Extent | None:
        """Where a buffer's bytes lie in the file; None for an empty one."""
        if number >= len(self._buffers):
            raise self._file.damaged(f"it has no buffer {number:,}")
        buffer, file = Table(self._file, self._buffers[number]), self._file
        offset, nbytes = buffer.number(1, "<Q"), buffer.number(2, "<Q")
        if offset > 1:  # 0 and 1 are how a writer says that there is none
            if offset + nbytes > file.size:
                raise FormatError(
                    f"{file.source.name} is truncated: its last {offset + nbytes - file.size:,} bytes are missing.",
                    DAMAGED,
                )
            return Extent(file.offset + offset, nbytes)
        at, nbytes = buffer.vector(0, 1)
        return Extent(file.offset + at, nbytes) if nbytes else None

    def _tensor(self, place: int) -> Tensor:
        table = Table(self._file, place)
        shape = tuple(table.numbers(0, "<i4").tolist())
        if len(shape) > 8 or any(extent < -1 for extent in shape) or prod(map(abs, shape)) > _MOST_ELEMENTS:
            raise self._file.damaged(f"a tensor of it has the shape {list(shape[:8])}")
        kind, data = table.number(1, "<B"), self._buffer(table.number(2, "<I"))
        plain = Tensor(table.text(3), shape, kind, data)
        quantization = table.table(4)
        if quantization is None or data is None:
            return plain
        details = quantization.table(5)
        if quantization.number(4, "<B") == _BLOCKWISE and details:
            block, scales = details.number(2), details.number(0, "<i", -1)
            return Tensor(plain.name, shape, kind, data, block=block, block_scales=scales)
        at, count = quantization.vector(2, 4)
        if not count:
            return plain
        zeros = bool(quantization.numbers(3, "<i8").any())
        scales_at = Extent(self._file.offset + at, 4 * count)
        return Tensor(plain.name, shape, kind, data, scales_at, quantization.number(6), zeros)

    def _operator(self, place: int) -> Operator:
        table = Table(self._file, place)
        number = table.number(0, "<I")
        if number >= len(self._codes):
            raise UnsupportedModel(f"{self._file.source.name} has an operation without a kind.", DAMAGED)
        inputs, outputs = table.numbers(1, "<i4"), table.numbers(2, "<i4")
        return Operator(self._codes[number], tuple(inputs.tolist()), tuple(outputs.tolist()))


def _lists(graph: Table) -> tuple[list[int], list[int]]:
    """Where a graph's tensors and operations are."""
    return graph.places(0), graph.places(3)
