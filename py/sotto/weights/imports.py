"""To what the floats of a published checkpoint are rounded when it is loaded, where its files have nothing smaller.

A GGUF file holds what its maker chose, and is taken as it is. Checkpoints in safetensors hold 16 or 32 bits for a
weight, for training; they are rounded here, by default as finely as there is room for. Codes of four bits for a whole
row (the scheme of the mobile models of Google's LiteRT: symmetric, scale = max/7) ruin a model that was not trained for
them; they are taken by themselves only for checkpoints that were, which say so in their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formats import blocks
from ..formats.checkpoint import Checkpoint, TensorInfo
from . import layout
from .layout import Format, Plane

ORIGINAL_NLL = 3.71
"""Of the default model as its file has it: the mean negative log-likelihood, nats a token, of the first 256 tokens of
the golden text (docs/benchmarks/README.md, "Rounding")."""
ORIGINAL = "original"
"""The choice that leaves everything as it is in the files."""
IMPORTED = "safetensors"  # format of the checkpoints that are rounded
TABLES = ("embedding", "head")
SHARE = 0.6  # of a processor's memory, that weights may take before a smaller scheme is taken
SAMPLED = 8  # one of so many tiles of rows is looked at, to tell the error
_FOR_INT4 = re.compile(r"int4[-_]unquantized", re.IGNORECASE)
_FOR_Q4_0 = re.compile(r"q4_0[-_]unquantized", re.IGNORECASE)


@dataclass(frozen=True)
class Scheme:
    """What matrices are rounded to.

    Attributes:
        name: as people give it.
        tables: format of the embedding and the head.
        matrices: of all others.
        nll: what the default model loses by it, a model that was not trained for it: see ORIGINAL_NLL.
    """

    name: str
    tables: str
    matrices: str
    nll: float

    def format_of(self, info: TensorInfo) -> Format:
        """The format of a matrix: of one that is no float in its file, the usual one."""
        if info.type not in blocks.FLOAT_TYPES:
            return layout.format_of(info.type)
        return layout.FORMATS[self.tables if info.name in TABLES else self.matrices]


SCHEMES: Mapping[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("int8", "q8r", "q8r", 3.73),
        Scheme("q4_0", "q8r", "q4", 4.16),
        Scheme("int4", "q4r", "q4r", 5.82),
    )
}
"""By name: eight bits with a scale for a row; four bits with a scale for 32 columns; four bits with one for a row."""


def roundable(checkpoint: Checkpoint) -> bool:
    """Whether it can be chosen to what a checkpoint's matrices are rounded."""
    return checkpoint.format == IMPORTED


def choose(checkpoint: Checkpoint, asked: str, memory: int | None) -> Scheme | None:
    """What a checkpoint's matrices are rounded to; None: to nothing.

    Args:
        asked: a name of SCHEMES, ORIGINAL, or "" for what suits the checkpoint and the processor.
        memory: bytes that the processor has for all that lies on it; None where nobody tells.
    """
    if not roundable(checkpoint) or asked == ORIGINAL:
        return None
    if asked:
        return SCHEMES[asked]
    usual = by_name(checkpoint.name)
    if usual.name == "int8" and memory is not None and nbytes(checkpoint, usual) > SHARE * memory:
        return SCHEMES["q4_0"]
    return usual


def by_name(name: str) -> Scheme:
    """What suits a checkpoint of this name, where there is room for it."""
    if _FOR_INT4.search(name):
        return SCHEMES["int4"]
    return SCHEMES["q4_0" if _FOR_Q4_0.search(name) else "int8"]


def nbytes(checkpoint: Checkpoint, scheme: Scheme) -> int:
    """About what the matrices take on a device."""
    total = 0
    for info in checkpoint.tensors.values():
        if len(info.shape) == 2 and info.type in blocks.FLOAT_TYPES:
            form = scheme.format_of(info)
            total += form.weight_bytes(*info.shape) + form.scale_plane_bytes(*info.shape)
    return total


class Rounding:
    """How far rounded weights are from those of the files, as a share: the root of the mean square of the differences,
    over that of the weights. Of every matrix some tiles of rows are looked at."""

    def __init__(self) -> None:
        self._weights = self._differences = 0.0

    def add(
        self,
        kind: str,
        data: Plane,
        form: Format,
        planes: tuple[Plane, Plane],
        columns: int,
        one_in: int = SAMPLED,
    ) -> None:
        """Look at some rows.

        Args:
            kind: their type in the file.
            data: their bytes there.
            form: what they were rounded to.
            planes: the weights and scales that they became.
            columns: of a row.
            one_in: of so many tiles of rows one is looked at.
        """
        rows = data.size // blocks.TYPES[kind].size((1, columns))
        tiles = -(-rows // layout.ROWS)
        for tile in range(0, rows // layout.ROWS, one_in):
            given = blocks.dequantize(kind, _part(data, tile, rows), (layout.ROWS, columns))
            found = layout.dequantize(
                form, _part(planes[0], tile, tiles * layout.ROWS), _part(planes[1], tile, tiles * layout.ROWS),
                layout.ROWS, columns,
            )  # fmt: skip
            self._weights += float(np.square(given, dtype=np.float64).sum())
            self._differences += float(np.square(given - found, dtype=np.float64).sum())

    @property
    def share(self) -> float:
        """0 where nothing was rounded."""
        return float((self._differences / self._weights) ** 0.5) if self._weights else 0.0


def _part(data: NDArray[np.uint8], tile: int, rows: int) -> Plane:
    """The bytes of a tile's rows."""
    each = data.size // rows * layout.ROWS
    return data[tile * each : (tile + 1) * each]
