"""Records a model's plans: everything a forward pass reads, bound once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .device import Device, Limits
from .memory import Memory
from .models.base import Architecture, Config, Head, Recording
from .ops import Cache
from .plan import Plan, Role, Tensor, tensor
from .variants import Choice
from .weights import Weights


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
        choice: Choice,
        head: Head = Head.CANDIDATES,
        layers: Sequence[int] | None = None,
    ) -> Plan:
        """The forward pass of so many tokens, or of some layers only. Raises LimitError."""
        plan = Plan(name, tokens, scored=head is Head.SCORES, choice=choice)
        recording = Recording(
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

    def allocate(self, memory: Memory, device: Device) -> None:
        """Buffers for what all plans share; the constants are written, weights and caches are not."""
        memory.allocate("weights", self.weights.planes())
        memory.allocate("cache", [*(t for c in self.caches for t in (c.keys, c.values)), self.text])
        for name, array in self.constants.items():
            constant = _constant(name, array)
            memory.allocate("constants", [constant])
            device.write(memory.handle(constant), 0, array)


def _constant(name: str, array: NDArray[np.float32]) -> Tensor:
    return tensor(name, array.shape, "f32", Role.WEIGHT)
