"""Adapters as a device has them: A in the weights' own layout with int8 codes, B in f16, both by stacked matrices.

Of several adapters the ranks are put side by side, so that they are one adapter with as much rank as all together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidSetting
from ..formats import blocks
from ..formats.adapter import Adapter, Factors
from . import layout
from .image import Wanted
from .layout import aligned

RANK_STEP = 8  # the kernels read B by eight values
A_TYPE = "Q8_0"
FORM = layout.format_of(A_TYPE)


@dataclass(frozen=True)
class Place:
    """What adapters add to a matrix of a model, and where its planes lie in the image.

    Attributes:
        name: the model's name of the matrix (N, K), which stacks those of `sources`.
        sources: canonical names, each with the row at which it begins.
        rows, columns: N and K.
        rank: of each stacked matrix, all adapters together and padded.
        a, scales, b: offsets of A's planes (stacked * rank, K) and of B (N, rank).
    """

    name: str
    sources: Mapping[str, int]
    rows: int
    columns: int
    rank: int
    a: int
    scales: int
    b: int

    @property
    def stacked_rank(self) -> int:
        """Rows of A."""
        return len(self.sources) * self.rank

    @property
    def b_bytes(self) -> int:
        """Bytes of B."""
        return 2 * self.rows * self.rank


class AdapterImage:
    """Some adapters for one model, as bytes.

    Args:
        wanted: the model's weights.
        adapters: that fit it (`Outline.check_fits`).

    Attributes:
        places: of the matrices that any of them changes, in the model's order.
        nbytes: of the image.
    """

    def __init__(self, wanted: Sequence[Wanted], adapters: Sequence[Adapter]) -> None:
        self._factors = [_balanced(adapter) for adapter in adapters]
        self.places: list[Place] = []
        end = 0
        for want in wanted:
            ranks = [sum(f[name].rank for f in self._factors if name in f) for name in want.sources]
            if not any(ranks):
                continue
            rank = -(-max(ranks) // RANK_STEP) * RANK_STEP
            heights = [shape[0] for shape in want.shapes]
            begins = dict(zip(want.sources, np.cumsum([0, *heights[:-1]]).tolist(), strict=True))
            columns, stacked = want.shapes[0][1], rank * len(heights)
            scales = aligned(end + FORM.weight_bytes(stacked, columns))
            b = aligned(scales + FORM.scale_plane_bytes(stacked, columns))
            place = Place(want.name, begins, sum(heights), columns, rank, end, scales, b)
            self.places.append(place)
            end = aligned(b + place.b_bytes)
        self.nbytes = end
        self._image = np.zeros(end, np.uint8)
        for place in self.places:
            self._put_a(place)

    def scaled(self, scales: Sequence[float]) -> NDArray[np.uint8]:
        """All bytes, each adapter counting `scales` times; valid until this is called again.

        Raises:
            InvalidSetting: a scale makes values too large for f16.
        """
        for place in self.places:
            b = self._b(place, scales)
            if not np.isfinite(b).all():
                raise InvalidSetting(
                    "The scale of the adapters is too large: their values no longer fit 16 bits.",
                    "Take a smaller one; 1 is how they were trained.",
                )
            self._image[place.b : place.b + place.b_bytes] = b.reshape(-1).view(np.uint8)
        return self._image

    def _put_a(self, place: Place) -> None:
        a = np.zeros((place.stacked_rank, place.columns), np.float32)
        for number, source in enumerate(place.sources):
            row = number * place.rank
            for factors in self._factors:
                if source in factors:
                    part = factors[source].a
                    a[row : row + len(part)] = part
                    row += len(part)
        planes = layout.convert(A_TYPE, blocks.quantize(A_TYPE, a), len(a), place.columns)
        for offset, plane in zip((place.a, place.scales), planes, strict=True):
            self._image[offset : offset + plane.size] = plane

    def _b(self, place: Place, scales: Sequence[float]) -> NDArray[np.float16]:
        b = np.zeros((place.rows, place.rank), np.float32)
        for source, row in place.sources.items():
            column = 0
            for factors, scale in zip(self._factors, scales, strict=True):
                if source in factors:
                    part = factors[source].b
                    rows, rank = part.shape
                    b[row : row + rows, column : column + rank] = part * np.float32(
                        scale * factors[source].scale
                    )
                    column += rank
        with np.errstate(over="ignore"):
            return b.astype(np.float16)


def _balanced(adapter: Adapter) -> dict[str, Factors]:
    """The adapter's factors with A and B about equally large, by a power of two: both then keep away from the limits of
    f16, in which A's scales and B are."""
    balanced = {}
    for name, factors in adapter.factors.items():
        peaks = np.abs(factors.a).max(), np.abs(factors.b).max() * abs(factors.scale)
        factor = np.float32(1)
        if min(peaks) > 0:
            factor = np.exp2(np.round(np.log2(peaks[1] / peaks[0]) / 2)).astype(np.float32)
        balanced[name] = Factors(factors.a * factor, factors.b / factor, factors.scale)
    return balanced
