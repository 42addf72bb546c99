"""A graph's tensors as a checkpoint's: where their data and their scales lie, and of which type they are."""

from __future__ import annotations

from dataclasses import replace

from ..errors import FormatError, UnsupportedModel
from . import tflite
from .blocks import FLOAT_TYPES, find
from .checkpoint import TensorInfo
from .flatbuffer import DAMAGED
from .litert_files import Extent
from .row_types import BLOCKS, RowType
from .tflite import Graph, Tensor

ANOTHER = "Choose another file of this model, such as a GGUF file."
_FLOATS = {tflite.FLOAT32: "F32", tflite.FLOAT16: "F16"}
_BITS = {tflite.INT8: 8, tflite.INT4: 4}


class Tensors:
    """The tensors of a graph, by their numbers. Methods raise FormatError and UnsupportedModel.

    Args:
        name: of the file, for people.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph = graph
        self._name = name

    def _tensor(self, index: int) -> Tensor:
        return self._graph.tensors[index]

    def vector(self, canonical: str, index: int) -> TensorInfo:
        """A vector of floats, by its canonical name."""
        tensor = self._tensor(index)
        assert tensor.data is not None
        kind = _FLOATS.get(tensor.type, f"type {tensor.type}")
        if kind in FLOAT_TYPES and tensor.data.nbytes != tensor.elements * (2 if kind == "F16" else 4):
            raise self._misfit(index)
        return TensorInfo(
            canonical,
            self._source(canonical, index),
            tensor.shape,
            kind,
            tensor.data.offset,
            tensor.data.nbytes,
        )

    def matrix(self, canonical: str, index: int) -> TensorInfo:
        """A matrix with its scales, by its canonical name."""
        tensor = self._tensor(index)
        data = tensor.data
        if data is None or len(tensor.shape) != 2 or min(tensor.shape) < 1:
            raise self._misfit(index)
        rows, columns = tensor.shape
        beside: tuple[tuple[int, int], ...] = ()
        if tensor.type in _FLOATS:
            type_name = _FLOATS[tensor.type]
        elif tensor.type in _BITS:
            type_name, scales = self._quantised(index)
            beside = ((scales.offset, scales.nbytes),)
        else:
            return TensorInfo(
                canonical, self._source(canonical, index), tensor.shape, f"type {tensor.type}", data.offset, 0
            )
        kind = find(type_name)
        assert kind is not None
        wanted = kind.beside(rows, columns) if isinstance(kind, RowType) else 0
        if data.nbytes != kind.size((rows, columns)) or sum(n for _, n in beside) != wanted:
            raise self._misfit(index)
        return TensorInfo(
            canonical,
            self._source(canonical, index),
            (rows, columns),
            type_name,
            data.offset,
            data.nbytes,
            beside=beside,
        )

    def _quantised(self, index: int) -> tuple[str, Extent]:
        """The type of a matrix of codes, and where its scales are."""
        tensor = self._tensor(index)
        name, columns = f"INT{_BITS[tensor.type]}", tensor.shape[1]
        if tensor.block:
            known = 0 <= tensor.block_scales < len(self._graph.tensors)
            scales = self._tensor(tensor.block_scales) if known else None
            if scales is None or scales.data is None or scales.type != tflite.FLOAT16:
                raise self._misfit(index)
            if tensor.block not in BLOCKS or columns % tensor.block:
                raise self._odd(index, f"blocks of {tensor.block}")
            return f"{name}/{tensor.block}", scales.data
        if tensor.zero_points:
            raise self._odd(index, "codes that are counted from another number than 0")
        if tensor.scales is None or tensor.axis != 0:
            raise self._odd(index, "no scales for its rows")
        if tensor.scales.nbytes == 4 and tensor.shape[0] > 1:
            raise self._odd(index, "one scale for all of it")
        return name, tensor.scales

    def _odd(self, index: int, what: str) -> UnsupportedModel:
        return UnsupportedModel(
            f"The tensor {self.short(index)} of {self._name} has {what}, which Sotto cannot read.", ANOTHER
        )

    def _misfit(self, index: int) -> FormatError:
        return FormatError(
            f"{self._name} is damaged: its tensor {self.short(index)} does not fit its data.", DAMAGED
        )

    def _source(self, canonical: str, index: int) -> str:
        """What a tensor is called in messages: many have the same name."""
        return f"{canonical} ({self.short(index)})"

    def short(self, index: int) -> str:
        """The end of a tensor's name."""
        return tflite.shown(self._tensor(index).name.strip(";").rpartition("/")[2]) or f"number {index}"


def rows_of(info: TensorInfo, first: int, count: int) -> TensorInfo:
    """Some rows of a matrix."""
    rows = info.shape[0]

    def share(offset: int, nbytes: int) -> tuple[int, int]:
        return offset + nbytes // rows * first, nbytes // rows * count

    offset, nbytes = share(info.offset, info.nbytes)
    beside = tuple(share(*part) for part in info.beside)
    return replace(info, shape=(count, info.shape[1]), offset=offset, nbytes=nbytes, beside=beside)
