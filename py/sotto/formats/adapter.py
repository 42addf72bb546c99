"""Adapters: small changes to a model's matrices, whatever files they came in (LoRA, Hu et al. 2021, arXiv:2106.09685).

An adapter adds to some of a model's matrices: y = W x + scale * B (A x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel

Floats = NDArray[np.float32]
T = TypeVar("T")

PROJECTIONS = ("query", "key", "value", "output", "gate", "up", "down")
DAMAGED = "The adapter is damaged or was converted wrongly: try another copy."


@dataclass(frozen=True)
class Factors:
    """What is added to a matrix W (N, K): scale * B A.

    a: (r, K) f32; b: (N, r) f32.
    """

    a: Floats
    b: Floats
    scale: float

    @property
    def rank(self) -> int:
        """r."""
        return len(self.a)

    def check(self, name: str) -> None:
        """Raise FormatError unless the shapes fit each other and all is finite; `name` is for people."""
        _check_shapes(name, self.a.shape, self.b.shape)
        if not (np.isfinite(self.a).all() and np.isfinite(self.b).all()):
            raise FormatError(f"The adapter holds values for {name} that are not numbers.", DAMAGED)


@dataclass(frozen=True)
class Outline:
    """What an adapter is, as the headers of its files tell it: none of its values.

    Attributes:
        format, name, base: as of an `Adapter`.
        shapes: rank and rows and columns (r, N, K) by the canonical name of the matrix.
    """

    format: str
    name: str
    base: str
    shapes: Mapping[str, tuple[int, int, int]]

    def check_fits(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise UnsupportedModel unless a model with matrices of these shapes (N, K) can have it."""
        made_for = f"It was made for {self.base}." if self.base else "It was made for another model."
        for name, (_, *wanted) in self.shapes.items():
            shape = shapes.get(name)
            if shape is None:
                raise UnsupportedModel(
                    f"The adapter {self.name} changes {name}, which this model has not. {made_for}",
                    "Load that model, or choose an adapter for this one.",
                    "misfit",
                )
            if tuple(wanted) != shape:
                raise UnsupportedModel(
                    f"The adapter {self.name} does not fit this model: its {name} is {wanted[0]:,} x {wanted[1]:,}, "
                    f"the model's {shape[0]:,} x {shape[1]:,}. {made_for}",
                    "Load that model, or choose an adapter for this one.",
                    "misfit",
                )

    def fits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether a model with matrices of these shapes (N, K) can have it."""
        try:
            self.check_fits(shapes)
        except UnsupportedModel:
            return False
        return True


@dataclass(frozen=True)
class Adapter:
    """An adapter in memory.

    Attributes:
        format: of its files: "PEFT" or "GGUF".
        name: what a person calls the file or folder.
        base: the model that it was made for, as its files name it; "" where they do not.
        factors: by the canonical name of the matrix, such as "layers.3.query".
        card: what its files say for Sotto: of how prompts were framed and answers ended in its training.
    """

    format: str
    name: str
    base: str
    factors: Mapping[str, Factors]
    card: Mapping[str, object] = field(default_factory=dict)

    @property
    def ranks(self) -> tuple[int, int]:
        """The lowest and the highest rank."""
        found = [f.rank for f in self.factors.values()]
        return min(found), max(found)

    @property
    def parameters(self) -> int:
        """Values in all of it."""
        return sum(f.a.size + f.b.size for f in self.factors.values())

    @property
    def projections(self) -> dict[str, int]:
        """How many layers it changes of each kind of matrix."""
        kinds = [name.rpartition(".")[2] for name in self.factors]
        return {kind: kinds.count(kind) for kind in PROJECTIONS if kind in kinds}

    @property
    def outline(self) -> Outline:
        """It without its values."""
        shapes = {name: (f.rank, len(f.b), f.a.shape[1]) for name, f in self.factors.items()}
        return Outline(self.format, self.name, self.base, shapes)


def outlined(halves: Iterable[tuple[str, str, tuple[int, ...]]]) -> dict[str, tuple[int, int, int]]:
    """The shapes (r, N, K) of an adapter's matrices from those of their halves: canonical name, "a" or "b", and (r, K)
    or (N, r). Raises FormatError where they do not fit each other, or one lacks the other.
    """
    found = {}
    for name, both in _both(halves).items():
        a, b = both["a"], both["b"]
        _check_shapes(name, a, b)
        found[name] = a[0], b[0], a[1]
    return found


def paired(
    halves: Iterable[tuple[str, str, Floats]], scale: Callable[[str, int], float]
) -> dict[str, Factors]:
    """Factors from their halves: canonical name, "a" or "b", values. Raises FormatError where one lacks the other.

    Args:
        scale: of a canonical name and a rank.
    """
    factors = {}
    for name, both in _both(halves).items():
        unscaled = Factors(both["a"], both["b"], 1.0)
        unscaled.check(name)
        factors[name] = replace(unscaled, scale=scale(name, unscaled.rank))
    return factors


def _both(halves: Iterable[tuple[str, str, T]]) -> dict[str, dict[str, T]]:
    """Both halves of every matrix, in the order of the layers. Raises FormatError where one is missing or doubled."""
    found: dict[str, dict[str, T]] = {}
    for name, half, values in halves:
        if half in found.setdefault(name, {}):
            raise FormatError(f"The adapter has the matrix {half.upper()} for {name} twice.", DAMAGED)
        found[name][half] = values
    for name, both in found.items():
        if len(both) < 2:
            missing = "B" if "a" in both else "A"
            raise FormatError(f"The adapter has no matrix {missing} for {name}.", DAMAGED)
    if not found:
        raise FormatError("The adapter changes nothing: it holds no LoRA matrices.", DAMAGED)
    return {name: found[name] for name in sorted(found, key=_order)}


def _check_shapes(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """Raise FormatError unless they are (r, K) and (N, r); `name` is for people."""
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or not prod(a) * prod(b):
        raise FormatError(
            f"The adapter's two matrices for {name} have the shapes {list(a)} and {list(b)}, which do not fit each "
            "other.",
            DAMAGED,
        )


def _order(name: str) -> tuple[int, int]:
    _, layer, kind = name.split(".")
    return int(layer), PROJECTIONS.index(kind)
