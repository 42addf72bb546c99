"""What the engine asks of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel
from ..formats.checkpoint import Setting
from ..ops import Cache
from ..plan.plan import Plan, Tensor
from ..plan.weights import Weights
from ..weights.image import Wanted


class Head(Enum):
    """What a plan computes from the last hidden states."""

    CANDIDATES = "candidates"  # the highest logits of the last token
    BEST = "best"  # the most probable successor of every token; of plans of fused decode kernels
    SCORES = "scores"  # the log-probability of every token's given successor


class Config(Protocol):
    """The sizes the engine needs to know of any model."""

    @property
    def layers(self) -> int:
        """Transformer blocks."""
        ...

    @property
    def vocabulary(self) -> int:
        """V."""
        ...

    @property
    def window(self) -> int:
        """Positions that a local layer looks back, the token's own included."""
        ...

    @property
    def context_limit(self) -> int:
        """The longest context the model was trained for, in tokens."""
        ...


@dataclass(frozen=True)
class Bound:
    """Everything `forward` reads besides the plan it writes to.

    `layers` are the layers to record, in order: all of them, but for a sample that is only timed.
    """

    weights: Weights
    caches: tuple[Cache, ...]
    constants: Mapping[str, Tensor]
    text: Tensor  # (context,) u32: the token ids by position
    head: Head
    candidates: int
    layers: Sequence[int]


@dataclass(frozen=True)
class Architecture:
    """The functions of one architecture; `config` is what `read` returned.

    Attributes:
        read: a checkpoint's settings -> config.
        wanted: config -> the weights to load.
        miniature: config -> a small one of the same kind and with as many layers, to check a device with.
        caches: (config, context, chunk) -> the KV cache of each layer.
        constants: (config, context) -> arrays computed once, e.g. RoPE angles.
        forward: records a plan.
    """

    read: Callable[[Mapping[str, Setting]], Config]
    wanted: Callable[[Config], list[Wanted]]
    miniature: Callable[[Config], Config]
    caches: Callable[[Config, int, int], tuple[Cache, ...]]
    constants: Callable[[Config, int], dict[str, NDArray[np.float32]]]
    forward: Callable[[Plan, Config, Bound], None]


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
