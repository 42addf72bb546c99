"""The text that is in a model's KV cache, and the runs that continue it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .device import Device
from .errors import Cancelled
from .plan import Plan


@dataclass(frozen=True)
class Loaded:
    """A recorded plan, and its program on the device."""

    plan: Plan
    program: int


class Session:
    """Runs a model's programs, one after the other, on the one KV cache.

    Attributes:
        context: slots of the cache: tokens that fit.
        programs: by the most tokens that each takes; 1 is decode, the others are prefill chunks.
    """

    def __init__(self, device: Device, context: int) -> None:
        self._device = device
        self.context = context
        self.programs: dict[int, Loaded] = {}
        self.stopped = False

    def begin(self) -> None:
        """Forget an earlier `stop`."""
        self.stopped = False

    def stop(self) -> None:
        """Let the run in progress, and every later one until `begin`, raise Cancelled."""
        self.stopped = True
        self._device.cancel()

    def chunk(self, tokens: int) -> Loaded:
        """The smallest program that takes so many tokens, else the largest."""
        sizes = tuple(self.programs)
        return self.programs[next((size for size in sizes if size >= tokens), sizes[-1])]

    async def prefill(self, ids: Sequence[int]) -> bytes:
        """Read a text from its beginning; the outputs of its last token."""
        position = 0
        while True:
            loaded = self.chunk(len(ids) - position)
            chunk = ids[position : position + loaded.plan.tokens]
            last = position + len(chunk) == len(ids)
            out = await self.run(loaded, position, chunk, steps=None if last else loaded.plan.body)
            if last:
                return out
            position += len(chunk)

    async def run(self, loaded: Loaded, position: int, ids: Sequence[int], steps: int | None = None) -> bytes:
        """Run a program on the tokens `ids`, the first of which is at `position`.

        Raises:
            Cancelled: `stop` was called.
        """
        if self.stopped:
            raise Cancelled
        return await self._device.run(loaded.program, loaded.plan.inputs(position, ids), steps=steps)
