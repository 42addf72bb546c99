"""The text that is in a model's KV cache, and the runs that continue it."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .device import Batch, Device
from .errors import Cancelled
from .plan import PICKS, Plan
from .sampler import Rule


@dataclass(frozen=True)
class Loaded:
    """A recorded plan, and its program on the device."""

    plan: Plan
    program: int


@dataclass(frozen=True)
class Outputs:
    """What a run leaves behind.

    Attributes:
        ids: token ids (candidates,) u32 of the highest logits, the highest first.
        logits: theirs, f32.
        picks: a ring of the tokens picked since the inputs were last written.
    """

    ids: NDArray[np.uint32]
    logits: NDArray[np.float32]
    picks: NDArray[np.uint32]

    @classmethod
    def of(cls, data: bytes) -> Outputs:
        """As ops.sample lays them out."""
        words = np.frombuffer(data, np.uint32)
        pairs = words[:-PICKS].reshape(-1, 2)
        return cls(pairs[:, 0], np.ascontiguousarray(pairs[:, 1]).view(np.float32), words[-PICKS:])


class Session:
    """Runs a model's programs, one after the other, on the one KV cache.

    Attributes:
        context: slots of the cache: tokens that fit.
        candidates: how many logits the runs select.
        programs: by the most tokens that each takes; 1 is decode, the others are prefill chunks.
        text: the buffer of the text's token ids, which the repetition penalty looks at.
    """

    def __init__(self, device: Device, context: int, candidates: int) -> None:
        self._device = device
        self.context = context
        self.candidates = candidates
        self.programs: dict[int, Loaded] = {}
        self.text = 0
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

    async def prefill(self, ids: Sequence[int], rule: Rule | None = None) -> Outputs:
        """Read a text from its beginning.

        Args:
            ids: the text.
            rule: how the next token is picked, as draw 0; without one the most probable.

        Returns:
            The outputs for its last token; the first of `picks` is the next one.
        """
        if rule and rule.repeat_last:
            self._device.write(self.text, 0, struct.pack(f"<{len(ids)}I", *ids))
        packed = rule.pack(0) if rule else b""
        position = 0
        while True:
            loaded = self.chunk(len(ids) - position)
            chunk = ids[position : position + loaded.plan.tokens]
            last = position + len(chunk) == len(ids)
            out = await self.run(
                loaded, position, chunk, steps=None if last else loaded.plan.body, rule=packed
            )
            if last:
                return Outputs.of(out)
            position += len(chunk)

    async def run(
        self, loaded: Loaded, position: int, ids: Sequence[int], steps: int | None = None, rule: bytes = b""
    ) -> bytes:
        """Run a program on the tokens `ids`, the first of which is at `position`.

        Raises:
            Cancelled: `stop` was called.
        """
        if self.stopped:
            raise Cancelled
        inputs = loaded.plan.inputs(position, ids, rule=rule)
        return await self._device.run(loaded.program, inputs, steps=steps)

    def decode(
        self, repeats: int, position: int = 0, token: int | None = None, rule: bytes = b""
    ) -> Awaitable[Batch]:
        """Submit a batch: so many tokens, each picked by the device from what the one before it gave.

        Args:
            repeats: at most PICKS less what is in flight already.
            position, token, rule: where the batch begins; without a token it goes on where the last batch ends.

        Raises:
            Cancelled: `stop` was called.
        """
        if self.stopped:
            raise Cancelled
        loaded = self.programs[1]
        inputs = None if token is None else loaded.plan.inputs(position, [token], rule=rule)
        return self._device.submit(loaded.program, inputs, repeats)
