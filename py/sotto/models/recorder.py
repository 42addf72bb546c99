"""Records a model's plans: everything a forward pass reads, bound once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..device import Bytes, Device, Limits
from ..ops import Cache
from ..plan.memory import Memory
from ..plan.plan import Plan, Tensor, Use, tensor
from ..plan.variants import KernelChoice
from ..plan.weights import Weights
from .base import Architecture, Bound, Config, Head


@dataclass(frozen=True)
class Recorder:
    """A model as it is recorded, for any number of tokens and any choice of kernels.

    Attributes:
        constants: arrays computed once, by name.
        text: (context,) u32, the token ids by position.
        candidates: logits the device selects for the sampler.
        limits: of the device; every plan is held against them.
    """

    architecture: Architecture
    config: Config
    weights: Weights
    caches: tuple[Cache, ...]
    constants: Mapping[str, NDArray[np.float32]]
    text: Tensor
    candidates: int
    limits: Limits

    def plan(
        self,
        name: str,
        tokens: int,
        choice: KernelChoice,
        head: Head = Head.CANDIDATES,
        layers: Sequence[int] | None = None,
    ) -> Plan:
        """The forward pass of so many tokens, or of some layers only. Raises LimitError."""
        plan = Plan(name, tokens, scored=head is Head.SCORES, choice=choice)
        recording = Bound(
            self.weights,
            self.caches,
            {name: _constant(name, array) for name, array in self.constants.items()},
            self.text,
            head,
            self.candidates,
            range(self.config.layers) if layers is None else layers,
        )
        self.architecture.forward(plan, self.config, recording)
        plan.check(
            max_binding=self.limits.max_binding,
            max_grid=self.limits.max_grid,
            max_storage_buffers=self.limits.max_storage_buffers,
        )
        return plan

    def at(self, context: int, chunk: int) -> Recorder:
        """The same model with room for `context` tokens, read at most `chunk` at a time."""
        return replace(
            self,
            caches=self.architecture.caches(self.config, context, chunk),
            constants=self.architecture.constants(self.config, context),
            text=tensor("text", (context,), "u32", Use.CACHE),
        )

    def needed(self, plans: Iterable[Plan]) -> dict[str, int]:
        """Bytes that the model takes on a device, by kind; nothing is taken. Raises LimitError."""
        memory = Memory(cast(Device, _Nothing(self.limits)))
        self.allocate(memory)
        plans = tuple(plans)
        memory.reserve(plans)
        for plan in plans:
            memory.program(plan)
        return dict(memory.nbytes)

    def allocate(self, memory: Memory) -> None:
        """Buffers for what all plans share; the constants are written, weights and caches are not."""
        memory.allocate_weights(self.weights)
        memory.allocate("cache", [*(t for c in self.caches for t in (c.keys, c.values)), self.text])
        for name, array in self.constants.items():
            constant = _constant(name, array)
            memory.allocate("constants", [constant])
            memory.write(constant, array)


class _Nothing:
    """What Memory sees of a device, with nothing behind it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._handles = count()

    def buffer(self, nbytes: int, label: str) -> int:
        return next(self._handles)

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        pass


def _constant(name: str, array: NDArray[np.float32]) -> Tensor:
    return tensor(name, array.shape, "f32", Use.WEIGHT)
