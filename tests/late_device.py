"""A processor whose replies really arrive later, as a browser's GPU gives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from sotto.api import drive
from sotto.device import Batch
from sotto.devices.reference.device import NumpyDevice


class LateDevice(NumpyDevice):
    """The numpy device with a queue: what is submitted is computed in that order, and its reply comes some turns of
    the event loop later, never before an earlier one's. A run is submitted in parts, and others' work may come between
    them.

    Args:
        turns: of the event loop that a reply takes.
        parts: submits of a run.
    """

    def __init__(self, turns: int = 3, parts: int = 3) -> None:
        super().__init__()
        self.turns = turns
        self.parts = parts
        self._latest: asyncio.Event | None = None  # the reply that was promised last

    async def _reply(self) -> None:
        earlier, self._latest = self._latest, asyncio.Event()
        mine = self._latest
        try:
            if earlier:
                await earlier.wait()
            for _ in range(self.turns):
                await asyncio.sleep(0)
        finally:
            mine.set()

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        loaded = self._programs[program]
        number = self._cancellation.begin()
        self.write(loaded.inputs.buffer, 0, inputs)
        last = len(loaded.steps) if steps is None else steps
        size = -(-last // self.parts)
        for first in range(0, last, size):
            self._cancellation.check(number)
            outputs = self._replayed(loaded, first, min(first + size, last))
            await self._reply()
        return outputs

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Awaitable[Batch]:
        outputs = drive(_awaited(super().submit(program, inputs, repeats))).outputs
        reply = asyncio.ensure_future(self._reply())

        async def landing() -> Batch:
            await reply
            return Batch(outputs, time.perf_counter(), 0.0)

        return asyncio.ensure_future(landing())


async def _awaited(batch: Awaitable[Batch]) -> Batch:
    return await batch
