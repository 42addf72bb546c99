"""The text that is in a model's KV cache, and the runs that continue it."""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..device import Batch, Device, Program, Work
from ..devices.pace import amounts, longest
from ..errors import Cancelled, TurnLost
from ..plan.memory import Memory
from ..plan.plan import Plan
from ..plan.work import work
from ..text.sampler import NO_TOKEN, Rule, SampleOutputs, not_a_number
from .cached_text import CachedText
from .drafts import Costs

T = TypeVar("T")

STEP_SECONDS = 0.2  # nothing else can use a GPU while it does a step: a screen and a stop wait that long


@dataclass(frozen=True)
class LogitsPlace:
    """Where a run leaves the last token's logits (V,) f32 after so many steps, before it picks one of them."""

    steps: int
    buffer: int
    offset: int
    nbytes: int

    @classmethod
    def of(cls, plan: Plan, program: Program) -> LogitsPlace | None:
        """Of a plan that ends in `ops.sample`; None for another."""
        for index, dispatch in enumerate(plan.dispatches):
            if dispatch.kernel.operation == "sample":
                x = dispatch.kernel.numbers["x"]
                bindings = program.steps[index].bindings
                return cls(index, *next(place for number, *place, _ in bindings if number == x))
        return None


@dataclass(frozen=True)
class Loaded:
    """A recorded plan, and its program on the device.

    Attributes:
        inputs: its own buffer of inputs.
        logits: where the last token's are, for a plan that picks from them.
    """

    plan: Plan
    program: int
    inputs: int
    logits: LogitsPlace | None

    @classmethod
    async def load(cls, device: Device, memory: Memory, plan: Plan) -> Loaded:
        """Compile a plan and bind it to the model's memory. Raises DeviceError."""
        program = memory.program(plan)
        try:
            handle = await device.load(program)
        except BaseException:
            memory.forget(program.inputs.buffer)
            raise
        return cls(plan, handle, program.inputs.buffer, LogitsPlace.of(plan, program))

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
    """A model's programs, the one KV cache that they work on, and who has it.

    Args:
        context: slots of the cache: tokens that fit.
        ring: slots of the local layers' caches.
        window: positions that a local layer looks back, the token's own included.
        candidates: how many logits the runs select.

    Attributes:
        programs: by the most tokens that each takes; 1 is decode, the others are prefill chunks.
        text: the buffer of the text's token ids, which the repetition penalty looks at.
        adapters: that the programs have, with their scales.
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
        self.adapters: Mapping[str, float] = {}
        self.text = 0
        self.kept = CachedText(ring, window)
        self.costs = Costs()
        self.checker: Callable[[], Awaitable[Loaded | None]] | None = None
        self._turn: Turn | None = None
        self._forgotten = False

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Take the cache, from whoever has it, and give it back at the end.

        Neither waits, so that it can be done where nothing may wait: in a generator that is thrown away. What the one
        before has under way on the device is cancelled or done before anything that is begun now, and its results are
        dropped.
        """
        mine = Turn(self, self._device)
        earlier, self._turn = self._turn, mine
        if earlier:
            earlier.lose()
        if self._forgotten:
            self._forgotten = False
            self.kept.rewind(0)
        try:
            yield mine
        finally:
            mine.lose()
            if self._turn is mine:
                self._turn = None

    @property
    def taken(self) -> bool:
        """Whether somebody has the cache."""
        return self._turn is not None

    def forget(self) -> None:
        """Let the next turn read its text from the beginning, whatever it shares with what is in the cache."""
        self._forgotten = True

    def reset(self) -> None:
        """The cache holds nothing, and what runs took is not known: in a turn, when other programs are taken."""
        self.kept.rewind(0)
        self.costs = Costs()

    def stop(self) -> None:
        """Let what is done in the turn there is raise Cancelled, from now on."""
        if self._turn:
            self._turn.stop()

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


class Turn:
    """The use of the cache for one text, run by run, from `Session.turn` on. One run at a time may be awaited.

    Every method raises TurnLost once the turn was given back or somebody else has taken the cache, also for what was
    begun before: what the device then gives is dropped, and never becomes part of the other's text. After
    `Session.stop` they raise Cancelled. Besides, they raise DeviceError.
    """

    def __init__(self, session: Session, device: Device) -> None:
        self._session = session
        self._device = device
        self._kept = session.kept
        self._lost = False
        self._stopped = False
        self._waiting = 0  # for the device, now
        self._end = 0  # one past the last position that flights write
        self._picked = 0  # tokens that flights pick, since the inputs were written
        self._token = 0  # that the next landing flight began with

    @property
    def over(self) -> bool:
        """Whether nothing more can be done in it."""
        return self._lost or self._stopped

    def lose(self) -> None:
        """The cache is somebody else's."""
        self._lost = True
        self._interrupt()

    def stop(self) -> None:
        """Whoever waits for this does not want it any more."""
        self._stopped = True
        self._interrupt()

    def _interrupt(self) -> None:
        if self._waiting:
            self._device.cancel()

    def _check(self) -> None:
        if self._lost:
            raise TurnLost
        if self._stopped:
            raise Cancelled

    async def _done(self, work: Awaitable[T]) -> T:
        """What some work of the device gives, if the cache still is ours then."""
        self._waiting += 1
        try:
            result = await work
        except BaseException as error:
            if not self._lost:
                # Whoever waits may have been interrupted: what is under way must not go on beside what comes next.
                self._device.cancel()
            elif isinstance(error, Cancelled):
                raise TurnLost from error
            raise
        finally:
            self._waiting -= 1
        if self._lost:
            raise TurnLost
        return result

    async def prefill(self, ids: Sequence[int], rule: Rule | None = None) -> SampleOutputs:
        """Read a text, but for what it shares with the one in the cache.

        Args:
            ids: the text.
            rule: how the next token is picked, as draw 0; without one the most probable.

        Returns:
            The outputs for its last token; the first of `picks` is the next one.
        """
        self._check()
        if rule and (rule.repeat_last or rule.prompt_tokens):
            self._device.write(self._session.text, 0, struct.pack(f"<{len(ids)}I", *ids))
        loaded, position = await self._read_up_to_end(ids)
        packed = rule.pack(0) if rule else b""
        return SampleOutputs.of(await self.run(loaded, position, ids[position:], rule=packed))

    async def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read a text, but for what it shares with the one in the cache: the logits (V,) of the token that follows."""
        self._check()
        loaded, position = await self._read_up_to_end(ids)
        place = loaded.logits
        assert place is not None
        await self.run(loaded, position, ids[position:], place.steps)
        data = await self._done(self._device.read(place.buffer, place.offset, place.nbytes))
        logits = np.frombuffer(data, np.float32)
        if not np.isfinite(logits).all():
            raise not_a_number()
        return logits

    async def _read_up_to_end(self, ids: Sequence[int]) -> tuple[Loaded, int]:
        """Read a text but for its last chunk: the program for that, and the position where it begins."""
        self._kept.rewind(self._kept.shared(ids))
        while True:
            position = len(self._kept.ids)
            loaded = self._session.chunk(position, len(ids) - position)
            if position + loaded.plan.tokens >= len(ids):
                return loaded, position
            await self._read_chunk(loaded, position, ids)

    async def read(self, ids: Sequence[int], least: int) -> None:
        """Read on in a text whose beginning is in the cache, in whole chunks until at least so many tokens are read.

        What comes next is not asked.
        """
        while (position := len(self._kept.ids)) < least:
            await self._read_chunk(self._session.chunk(position, len(ids) - position), position, ids)

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
        """Run a program on some tokens of a text, which begin where the cache's text ends, or before."""
        self._check()
        kept = self._kept
        assert position <= len(kept.ids), "what lies before a run is in the cache"
        kept.rewind(position)
        kept.writes(position + len(ids))
        inputs = loaded.plan.inputs(position, ids, targets, rule)
        out = await self._done(self._device.run(loaded.program, inputs, steps=steps))
        kept.ids += ids
        self._check()
        return out

    async def profile(
        self, loaded: Loaded, position: int, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        """Seconds of passes of a program's steps (`Device.profile`), on tokens 0 from `position` on. What is in the
        cache means nothing afterwards."""
        self._check()
        self._kept.rewind(0)
        inputs = loaded.plan.inputs(position, [0] * loaded.plan.tokens)
        return await self._done(self._device.profile(loaded.program, inputs, passes))

    def decode(self, tokens: int, last: int | None = None, rule: bytes = b"") -> Flight:
        """Submit a batch: so many tokens, each picked by the device from what the one before it gave.

        Args:
            tokens: at most PICKS less what is in flight already.
            last: the token that follows the cache's text; without one, the batch goes on where the last one ends.
            rule: how to pick, with the number of the first draw.
        """
        self._check()
        loaded = self._session.programs[1]
        inputs = None
        if last is not None:
            self._end, self._picked, self._token = len(self._kept.ids), 0, last
            inputs = loaded.plan.inputs(self._end, [last], rule=rule)
        first = self._picked
        self._picked += tokens
        self._end += tokens
        self._kept.writes(self._end)
        began = time.perf_counter()
        batch = self._device.submit(loaded.program, inputs, tokens)
        return Flight(tokens, first, batch, time.perf_counter() - began)

    async def land(self, flight: Flight) -> tuple[list[int], Batch]:
        """The tokens that a flight picked; flights land in their order."""
        self._check()
        batch = await self._done(flight.batch)
        tokens = SampleOutputs.of(batch.outputs).picked(flight.first, flight.tokens)
        self._kept.ids += [self._token, *tokens[:-1]]
        self._token = tokens[-1]
        self._check()
        return tokens, batch

    async def check(self, last: int, draft: Sequence[int]) -> tuple[list[int], Batch]:
        """What the model writes after `last`, the token that follows the cache's text, if it writes a draft. Only where
        `Session.can_check`.

        Returns:
            The draft as far as the model agrees, and the token that it writes then.
        """
        loaded = await self._session.checker() if self._session.checker else None
        assert loaded is not None
        self._check()
        kept = self._kept
        position = len(kept.ids)
        inputs = loaded.plan.inputs(position, [last, *draft])
        kept.writes(position + 1 + len(draft))
        batch = await self._done(self._device.submit(loaded.program, inputs, 1))
        best: list[int] = np.frombuffer(batch.outputs, np.uint32)[: 1 + len(draft)].tolist()
        if NO_TOKEN in best:
            raise not_a_number()
        agreed = next((i for i, token in enumerate(draft) if best[i] != token), len(draft))
        kept.ids += [last, *draft[:agreed]]
        self._check()
        return best[: agreed + 1], batch
