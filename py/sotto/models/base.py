"""What the engine asks of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
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
        read: metadata -> config.
        wanted: config -> the weights to load.
        miniature: config -> a small one of the same kind and with as many layers, to check a device with.
        caches: (config, context, chunk) -> the KV cache of each layer.
        constants: (config, context) -> arrays computed once, e.g. RoPE angles.
        forward: records a plan.
    """

    read: Callable[[Mapping[str, object]], Config]
    wanted: Callable[[Config], list[Wanted]]
    miniature: Callable[[Config], Config]
    caches: Callable[[Config, int, int], tuple[Cache, ...]]
    constants: Callable[[Config, int], dict[str, NDArray[np.float32]]]
    forward: Callable[[Plan, Config, Bound], None]


def number(metadata: Mapping[str, object], key: str, default: float | None = None) -> float:
    """A numeric setting of a model file. Raises FormatError when it is missing, not a number, or negative."""
    value = metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise FormatError(
            f"The file's setting {key} is {'missing' if value is None else repr(value)}.",
            "The file is damaged or was converted wrongly: try another copy.",
        )
    return value
