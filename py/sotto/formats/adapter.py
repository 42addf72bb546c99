"""Adapters: small changes to a model's matrices, whatever files they came in (LoRA, Hu et al. 2021, arXiv:2106.09685).

An adapter adds to some of a model's matrices: y = W x + scale * B (A x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel

Floats = NDArray[np.float32]

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
        if (
            self.a.ndim != 2
            or self.b.ndim != 2
            or self.a.shape[0] != self.b.shape[1]
            or not self.a.size * self.b.size
        ):
            raise FormatError(
                f"The adapter's two matrices for {name} have the shapes {list(self.a.shape)} and "
                f"{list(self.b.shape)}, which do not fit each other.",
                DAMAGED,
            )
        if not (np.isfinite(self.a).all() and np.isfinite(self.b).all()):
            raise FormatError(f"The adapter holds values for {name} that are not numbers.", DAMAGED)


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

    def check_fits(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise UnsupportedModel unless a model with matrices of these shapes (N, K) can have it."""
        made_for = f"It was made for {self.base}." if self.base else "It was made for another model."
        for name, factors in self.factors.items():
            shape = shapes.get(name)
            if shape is None:
                raise UnsupportedModel(
                    f"The adapter {self.name} changes {name}, which this model has not. {made_for}",
                    "Load that model, or choose an adapter for this one.",
                )
            wanted = len(factors.b), factors.a.shape[1]
            if wanted != shape:
                raise UnsupportedModel(
                    f"The adapter {self.name} does not fit this model: its {name} is {wanted[0]:,} x {wanted[1]:,}, "
                    f"the model's {shape[0]:,} x {shape[1]:,}. {made_for}",
                    "Load that model, or choose an adapter for this one.",
                )


def paired(
    halves: Iterable[tuple[str, str, Floats]], scale: Callable[[str, int], float]
) -> dict[str, Factors]:
    """Factors from their halves: canonical name, "a" or "b", values. Raises FormatError where one lacks the other.

    Args:
        scale: of a canonical name and a rank.
    """
    found: dict[str, dict[str, Floats]] = {}
    for name, half, values in halves:
        if half in found.setdefault(name, {}):
            raise FormatError(f"The adapter has the matrix {half.upper()} for {name} twice.", DAMAGED)
        found[name][half] = values
    factors = {}
    for name, both in sorted(found.items(), key=lambda item: _order(item[0])):
        if len(both) < 2:
            missing = "B" if "a" in both else "A"
            raise FormatError(f"The adapter has no matrix {missing} for {name}.", DAMAGED)
        unscaled = Factors(both["a"], both["b"], 1.0)
        unscaled.check(name)
        factors[name] = replace(unscaled, scale=scale(name, unscaled.rank))
    if not factors:
        raise FormatError("The adapter changes nothing: it holds no LoRA matrices.", DAMAGED)
    return factors


def _order(name: str) -> tuple[int, int]:
    _, layer, kind = name.split(".")
    return int(layer), PROJECTIONS.index(kind)
