"""A layer's weights, declared once: which there are, their shapes, and what each is as a tensor of a plan.

    @dataclass(frozen=True)
    class Layer:
        norm: Tensor = weight("D")
        qkv: Matrix = weight(query="HE D", key="GE D", value="GE D")  # one matrix, stacked by rows
        output: Matrix = weight("D HE")

An axis is a letter (README: D, H, G, E, F, V), or several that are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

from ..plan.weights import Weights
from ..weights.image import Wanted

L = TypeVar("L")


def weight(shape: str = "", **stacked: str) -> Any:
    """A field that is a weight: a vector or matrix named like the field, or the named matrices, stacked by rows."""
    return field(metadata={"shapes": stacked or {"": shape}})


def wanted(layer: type, prefix: str, sizes: Mapping[str, int]) -> list[Wanted]:
    """What a dataclass of weights wants loaded, in its order; `sizes` by the axes' letters."""
    found = []
    for f in fields(layer):
        shapes: Mapping[str, str] = f.metadata["shapes"]
        names = tuple(prefix + (source or f.name) for source in shapes)
        lengths = tuple(
            tuple(math.prod(sizes[letter] for letter in axis) for axis in shape.split())
            for shape in shapes.values()
        )
        found.append(Wanted(prefix + f.name, names, lengths))
    return found


def bound(layer: type[L], prefix: str, weights: Weights) -> L:
    """The weights that a dataclass declares, as tensors."""
    values = {}
    for f in fields(layer):  # type: ignore[arg-type]  # that it is a dataclass cannot be said
        (axes, *_) = f.metadata["shapes"].values()
        find = weights.matrix if " " in axes else weights.vector
        values[f.name] = find(prefix + f.name)
    return layer(**values)
