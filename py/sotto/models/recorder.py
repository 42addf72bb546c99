"""Records a model's plans: the layers that its architecture describes, and what all models have round them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..device import Bytes, Device, Limits
from ..ops import Attention, Cache, Stream, best, fused, last_token, log_prob, logits, sample
from ..plan.memory import Memory
from ..plan.plan import Plan, Tensor, Use, tensor
from ..plan.variants import KernelChoice
from ..plan.weights import Weights
from .base import Architecture, Config, Head


@dataclass(frozen=True)
class Recorder:
    """A model as it is recorded, for any number of tokens and any choice of kernels.

    Attributes:
        constants: arrays computed once, by name.
        text: (context,) u32, the token ids by position.
        candidates: logits the device selects for the sampler.
        limits: of the device; every plan is held against them.
    """

    architecture: Architecture[Any, Any]
    weights: Weights
    caches: tuple[Cache, ...]
    constants: Mapping[str, NDArray[np.float32]]
    text: Tensor
    candidates: int
    limits: Limits

    @classmethod
    def of(
        cls,
        architecture: Architecture[Any, Any],
        weights: Weights,
        context: int,
        chunk: int,
        candidates: int,
        limits: Limits,
    ) -> Recorder:
        """A model with room for `context` tokens, read at most `chunk` at a time."""
        return cls(
            architecture,
            weights,
            architecture.caches(context, chunk),
            architecture.constants(context),
            tensor("text", (context,), "u32", Use.CACHE),
            candidates,
            limits,
        )

    def at(self, context: int, chunk: int) -> Recorder:
        """The same model with other room."""
        return Recorder.of(self.architecture, self.weights, context, chunk, self.candidates, self.limits)

    def adapted(self, weights: Weights) -> Recorder:
        """The same model with adapters, which `weights` have."""
        return replace(self, weights=weights)

    @property
    def config(self) -> Config:
        """The model's sizes."""
        config: Config = self.architecture.config
        return config

    def plan(
        self,
        name: str,
        tokens: int,
        choice: KernelChoice,
        head: Head = Head.CANDIDATES,
        layers: Sequence[int] | None = None,
    ) -> Plan:
        """The forward pass of so many tokens.

        Args:
            layers: those to record, in order, where it is not all of them: a sample that is only timed.

        Raises:
            LimitError: the device cannot run it.
        """
        p = Plan(name, tokens, scored=head is Head.SCORES, choice=choice)
        x = self._layers(p, head, range(self.config.layers) if layers is None else layers)
        p.body = p.body or len(p.dispatches)
        self._head(p, head, x)
        p.check(
            max_binding=self.limits.max_binding,
            max_grid=self.limits.max_grid,
            max_storage_buffers=self.limits.max_storage_buffers,
        )
        return p

    def _layers(self, p: Plan, head: Head, layers: Sequence[int]) -> Stream:
        """The residual stream (T, D) after the layers; (1, D) where the simple kernels take a chunk of the prompt,
        whose last layer is wanted of the last token only."""
        model = self.architecture
        x = Stream(model.embed(p, self.weights.matrix("embedding")))  # (T, D)
        chunk = head is Head.CANDIDATES and p.tokens > 1 and not fused(p, p.tokens)
        for number, i in enumerate(layers, 1):
            pattern = model.pattern(i)
            angles = _constant(pattern.angles, self.constants[pattern.angles])
            seen = Attention(self.caches[i], angles, pattern.window or self.text.shape[0])
            with p.scope(f"layer {i}"):
                x = replace(x, ends=chunk and number == len(layers))
                x = model.block(p, x, model.layer(self.weights, i), seen)
        return x

    def _head(self, p: Plan, head: Head, x: Stream) -> None:
        """The residual stream (T, D) -> the next token, every token's next one, or the given ones' probabilities."""
        if head is Head.CANDIDATES:
            x = last_token(p, x)  # (1, D)
        norm, table = self.weights.vector("final_norm"), self.weights.head
        found = logits(p, x, norm, table, eps=self.config.eps)  # (T, V)
        if head is Head.SCORES:
            log_prob(p, found.logits, p.targets)  # (T,)
        elif head is Head.BEST:
            best(p, found.logits, found.slices)  # (T,)
        else:
            sample(p, found.logits, self.text, self.candidates, found.slices)

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
        if self.weights.adapters:
            memory.allocate("adapters", [self.weights.adapters])
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
