"""The text that is in a model's KV cache, and the runs that continue it."""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..device import Batch, Device, Work
from ..devices.pace import amounts, longest
from ..errors import Cancelled
from ..plan.plan import Plan
from ..plan.work import work
from ..text.sampler import NO_TOKEN, Rule, SampleOutputs, not_a_number
from .cached_text import CachedText
from .drafts import Costs

STEP_SECONDS = 0.2  # nothing else can use a GPU while it does a step: a screen and a stop wait that long


@dataclass(frozen=True)
class Loaded:
    """A recorded plan, and its program on the device."""

    plan: Plan
    program: int

    @cached_property
    def work(self) -> tuple[Work, ...]:
        """What each step computes."""
        return tuple(work(dispatch, self.plan.tokens) for dispatch in self.plan.dispatches)


@dataclass(frozen=True)
class Flight:
    """A batch of decoded tokens under way: so many, from the given pick on. Submitting it took `seconds`."""

    tokens: int
    first: int
    batch: Awaitable[Batch]
    seconds: float


class Session:
    """Runs a model's programs, one after the other, on the one KV cache, and knows what text is in it.

    Args:
        context: slots of the cache: tokens that fit.
        ring: slots of the local layers' caches.
        window: positions that a local layer looks back, the token's own included.
        candidates: how many logits the runs select.

    Attributes:
        programs: by the most tokens that each takes; 1 is decode, the others are prefill chunks.
        text: the buffer of the text's token ids, which the repetition penalty looks at.
        turn: number of the latest user of the cache; whoever began earlier has lost it.
        kept: what is in the cache.
        costs: what decoding and checking drafts was measured to take.
        checker: gives the program that tells the most probable successor of each of a few tokens, or None as long as
            it is being compiled; None itself where drafts cannot be checked.
    """

    def __init__(self, device: Device, context: int, ring: int, window: int, candidates: int) -> None:
        self._device = device
        self.context = context
        self.candidates = candidates
        self.programs: dict[int, Loaded] = {}
        self.text = 0
        self.turn = 0
        self.stopped = False
        self.kept = CachedText(ring, window)
        self.costs = Costs()
        self.checker: Callable[[], Awaitable[Loaded | None]] | None = None
        self._end = 0  # one past the last position that flights write
        self._picked = 0  # tokens that flights pick, since the inputs were written
        self._token = 0  # that the next landing flight began with

    def begin(self) -> int:
        """Forget an earlier `stop`, and take the cache; the number of the turn."""
        self.stopped = False
        self.turn += 1
        return self.turn

    def forget(self) -> None:
        """Let the next text be read from its beginning, whatever it shares with what is in the cache."""
        self.kept.rewind(0)

    def stop(self) -> None:
        """Let the run in progress, and every later one until `begin`, raise Cancelled."""
        self.stopped = True
        self._device.cancel()

    async def can_check(self) -> bool:
        """Whether drafts can be checked by now."""
        return self.checker is not None and await self.checker() is not None

    def chunk(self, position: int, tokens: int) -> Loaded:
        """The smallest program that takes so many tokens, else the largest; a smaller one for a device that would take
        longer than STEP_SECONDS for a step of it.

        Attention counts on the CPU's few cores only. It is spread over a chunk's tokens and little else: a smaller
        chunk would leave cores of a GPU without work, and its attention take as long. So a GPU for which 512 tokens'
        attention is too much at some position is held for longer there.

        Args:
            position: of the first token.
        """
        sizes = tuple(self.programs)
        at = next((i for i, size in enumerate(sizes) if size >= tokens), len(sizes) - 1)
        while at > 1 and self._longest_step(sizes[at], position, tokens) > STEP_SECONDS:
            at -= 1
        return self.programs[sizes[at]]

    def _longest_step(self, size: int, position: int, tokens: int) -> float:
        rates = self._device.rates
        if not rates:
            return 0.0
        steps = amounts(self.programs[size].work, position, min(size, tokens))
        attention, others = longest(steps, rates)
        return max(attention, others) if self._device.traits.few_cores else others

    async def prefill(self, ids: Sequence[int], rule: Rule | None = None) -> SampleOutputs:
        """Read a text, but for what it shares with the one in the cache.

        Args:
            ids: the text.
            rule: how the next token is picked, as draw 0; without one the most probable.

        Returns:
            The outputs for its last token; the first of `picks` is the next one.
        """
        if rule and rule.repeat_last:
            self._device.write(self.text, 0, struct.pack(f"<{len(ids)}I", *ids))
        self.kept.rewind(self.kept.shared(ids))
        packed = rule.pack(0) if rule else b""
        while True:
            position = len(self.kept.ids)
            loaded = self.chunk(position, len(ids) - position)
            if position + loaded.plan.tokens >= len(ids):
                return SampleOutputs.of(await self.run(loaded, position, ids[position:], rule=packed))
            await self._read_chunk(loaded, position, ids)

    async def read(self, ids: Sequence[int], least: int) -> None:
        """Read on in a text whose beginning is in the cache, in whole chunks until at least so many tokens are read.

        What comes next is not asked.
        """
        while (position := len(self.kept.ids)) < least:
            await self._read_chunk(self.chunk(position, len(ids) - position), position, ids)

    async def _read_chunk(self, loaded: Loaded, position: int, ids: Sequence[int]) -> None:
        await self.run(loaded, position, ids[position : position + loaded.plan.tokens], loaded.plan.body)

    async def run(
        self,
        loaded: Loaded,
        position: int,
        ids: Sequence[int],
        steps: int | None = None,
        *,
        rule: bytes = b"",
        targets: Sequence[int] = (),
    ) -> bytes:
        """Run a program on the tokens `ids`, the first of which is at `position`: at most where the cache's text ends.

        Raises:
            Cancelled: `stop` was called.
        """
        if self.stopped:
            raise Cancelled
        assert position <= len(self.kept.ids), "what lies before a run is in the cache"
        self.kept.rewind(position)
        self.kept.writes(position + len(ids))
        inputs = loaded.plan.inputs(position, ids, targets, rule)
        out = await self._device.run(loaded.program, inputs, steps=steps)
        self.kept.ids += ids
        return out

    def decode(self, tokens: int, last: int | None = None, rule: bytes = b"") -> Flight:
        """Submit a batch: so many tokens, each picked by the device from what the one before it gave.

        Args:
            tokens: at most PICKS less what is in flight already.
            last: the token that follows the cache's text; without one, the batch goes on where the last one ends.
            rule: how to pick, with the number of the first draw.

        Raises:
            Cancelled: `stop` was called.
        """
        if self.stopped:
            raise Cancelled
        loaded = self.programs[1]
        inputs = None
        if last is not None:
            self._end, self._picked, self._token = len(self.kept.ids), 0, last
            inputs = loaded.plan.inputs(self._end, [last], rule=rule)
        first = self._picked
        self._picked += tokens
        self._end += tokens
        self.kept.writes(self._end)
        began = time.perf_counter()
        batch = self._device.submit(loaded.program, inputs, tokens)
        return Flight(tokens, first, batch, time.perf_counter() - began)

    async def land(self, flight: Flight) -> tuple[list[int], SampleOutputs, Batch]:
        """The tokens that a flight picked, and all it told; flights land in their order."""
        batch = await flight.batch
        outputs = SampleOutputs.of(batch.outputs)
        tokens = outputs.picked(flight.first, flight.tokens)
        self.kept.ids += [self._token, *tokens[:-1]]
        self._token = tokens[-1]
        return tokens, outputs, batch

    async def check(self, last: int, draft: Sequence[int]) -> tuple[list[int], Batch]:
        """What the model writes after `last`, the token that follows the cache's text, if it writes a draft. Only where
        `can_check`.

        Returns:
            The draft as far as the model agrees, and the token that it writes then.

        Raises:
            Cancelled: `stop` was called.
        """
        if self.stopped:
            raise Cancelled
        loaded = await self.checker() if self.checker else None
        assert loaded is not None
        position = len(self.kept.ids)
        inputs = loaded.plan.inputs(position, [last, *draft])
        self.kept.writes(position + 1 + len(draft))
        batch = await self._device.submit(loaded.program, inputs, 1)
        best: list[int] = np.frombuffer(batch.outputs, np.uint32)[: 1 + len(draft)].tolist()
        if NO_TOKEN in best:
            raise not_a_number()
        agreed = next((i for i, token in enumerate(draft) if best[i] != token), len(draft))
        self.kept.ids += [last, *draft[:agreed]]
        return best[: agreed + 1], batch
