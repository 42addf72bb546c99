"""What an architecture says about itself. Everything else about a forward pass is the recorder's (recorder.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel
from ..formats.checkpoint import Setting
from ..ops import Attention, Cache, Stream
from ..plan.plan import Plan, Tensor, Use, tensor
from ..plan.weights import Matrix, Weights
from ..weights.image import Wanted
from . import declared


class Head(Enum):
    """What a plan computes from the last hidden states."""

    CANDIDATES = "candidates"  # the highest logits of the last token
    BEST = "best"  # the most probable successor of every token
    SCORES = "scores"  # the log-probability of every token's given successor


class Config(Protocol):
    """The sizes that are asked of any model."""

    @property
    def layers(self) -> int:
        """Transformer blocks."""
        ...

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def vocabulary(self) -> int:
        """V."""
        ...

    @property
    def window(self) -> int:
        """Positions that a local layer looks back, the token's own included; of several windows the longest."""
        ...

    @property
    def eps(self) -> float:
        """What the norms add to a mean square."""
        ...

    @property
    def context_limit(self) -> int:
        """The longest context the model was trained for, in tokens."""
        ...


@dataclass(frozen=True)
class Pattern:
    """How a layer's attention sees the text.

    Attributes:
        window: positions it looks back, the token's own included; None: all.
        angles: the name of its RoPE angles among `Architecture.constants`.
    """

    window: int | None
    angles: str


C = TypeVar("C", bound=Config)
L = TypeVar("L")


class Architecture(ABC, Generic[C, L]):
    """A kind of model, with the sizes of one. `weights` is the dataclass of a layer's weights (declared.py)."""

    weights: type[L]

    def __init__(self, config: C) -> None:
        self.config = config

    @classmethod
    @abstractmethod
    def read(cls, settings: Mapping[str, Setting]) -> Self:
        """From a checkpoint's settings.

        Raises:
            FormatError: a setting is missing, or they do not fit together.
            UnsupportedModel: a setting changes what is computed, in a way that Sotto has not.
        """

    @abstractmethod
    def miniature(self) -> Self:
        """A small one of the same kind and with as many layers, to check a device with."""

    @abstractmethod
    def sizes(self, layer: int) -> Mapping[str, int]:
        """The lengths of a layer's axes by their letters, G and E of its cache among them."""

    @abstractmethod
    def pattern(self, layer: int) -> Pattern:
        """How a layer's attention sees the text."""

    @abstractmethod
    def constants(self, context: int) -> dict[str, NDArray[np.float32]]:
        """Arrays that are computed once: RoPE angles (context, E/2, 2)."""

    @abstractmethod
    def embed(self, p: Plan, table: Matrix) -> Tensor:
        """Record what begins a forward pass: the tokens' rows of the embedding (V, D) -> (T, D)."""

    @abstractmethod
    def block(self, p: Plan, x: Stream, w: L, seen: Attention) -> Stream:
        """Record a layer: the residual stream (T, D) before it -> after it."""

    def wanted(self) -> list[Wanted]:
        """The weights to load, in the order in which a forward pass uses them; a file without a head has it tied to
        the embedding."""
        c = self.config
        table = ((c.vocabulary, c.dim),)
        layers = [
            want for i in range(c.layers) for want in declared.wanted(self.weights, _prefix(i), self.sizes(i))
        ]
        return [
            Wanted("embedding", ("embedding",), table),
            *layers,
            Wanted("final_norm", ("final_norm",), ((c.dim,),)),
            Wanted("head", ("head",), table, optional=True),
        ]

    def layer(self, weights: Weights, layer: int) -> L:
        """A layer's weights as tensors."""
        return declared.bound(self.weights, _prefix(layer), weights)

    def caches(self, context: int, chunk: int) -> tuple[Cache, ...]:
        """A cache for each layer: the whole context, or a ring that holds a window and one chunk."""

        def cache(layer: int) -> Cache:
            window, sizes = self.pattern(layer).window, self.sizes(layer)
            slots = context if window is None else min(context, window + chunk)
            shape = (slots, sizes["G"], sizes["E"])
            return Cache(
                tensor(f"layer {layer} keys", shape, "f16", Use.CACHE),
                tensor(f"layer {layer} values", shape, "f16", Use.CACHE),
            )

        return tuple(cache(layer) for layer in range(self.config.layers))


def rope_angles(context: int, head_dim: int, base: float, factor: float = 1.0) -> NDArray[np.float32]:
    """(context, E/2, 2) cos and sin of RoPE, computed in float64; positions are divided by `factor`."""
    frequency = base ** (-np.arange(0, head_dim, 2) / head_dim) / factor
    turn = np.arange(context)[:, None] * frequency
    angles = np.empty((*turn.shape, 2), np.float32)
    np.cos(turn, out=angles[..., 0])
    np.sin(turn, out=angles[..., 1])
    return angles


def number(settings: Mapping[str, Setting], name: str, default: float | None = None) -> float:
    """A numeric setting of a checkpoint, within its bounds. Raises FormatError when it is missing."""
    value = settings.get(name, default)
    if value is None or isinstance(value, str | tuple):
        raise FormatError(
            f"The file does not say how many, or how large: {name}.",
            "The file is damaged or was converted wrongly: try another copy.",
        )
    return value


def understood(settings: Mapping[str, Setting], names: Collection[str]) -> None:
    """Raise UnsupportedModel for a setting that is none of these: the model would compute something else."""
    for name, value in settings.items():
        if name not in names:
            raise UnsupportedModel(
                f"The file's setting {name} is {value}, which Sotto does not know of a model of this kind.",
                "Choose another file of this model.",
            )


def supported(settings: Mapping[str, Setting], name: str, *values: Setting) -> None:
    """Raise UnsupportedModel for a setting with a value other than these, if it is there at all."""
    if name in settings and settings[name] not in values:
        given, *wanted = (
            f"a list of {len(v)}" if isinstance(v, tuple) else str(v) for v in (settings[name], *values)
        )
        raise UnsupportedModel(
            f"The file's setting {name} is {given}; of a model of this kind Sotto can run only {' or '.join(wanted)}.",
            "Choose another file of this model.",
        )


def _prefix(layer: int) -> str:
    return f"layers.{layer}."
