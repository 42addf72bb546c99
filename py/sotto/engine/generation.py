"""The token loop: prefill, choose, show, until something ends it.

Where tokens come from is a `Picker`; what is done with them is the same for all of them. The device is kept busy
while Python turns tokens into text: it picks them itself, in batches, two of which may be under way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import values
from ..device import Batch
from ..errors import Cancelled, SottoError, TurnLost
from ..reports import RunStats, TextPart
from ..text.loop_guard import LoopGuard
from ..text.prompt import StopStrings
from ..text.sampler import Rule, Sampling, choose_among_all
from ..text.tokenizer import Detokenizer, Tokenizer
from .drafts import Lookup
from .session import Flight, Session, Turn

MOST_TOKENS = 16  # of a batch
FEW_TOKENS = 4  # of a batch, where drafts are found and worth more
LEAST_FOUND = 0.2  # of the times that a draft was looked for
RECENT = 0.1  # weight of the latest time
BATCH_SECONDS = 0.12  # text comes in steps of at most about this, unless a token takes longer

# Given logits (V,) f32 and the text so far, other logits (V,); minus infinity for tokens that must not come.
Logits = Callable[[NDArray[np.float32], Sequence[int]], NDArray[np.float32]]


@dataclass(frozen=True)
class Request:
    """What to continue, and how.

    Attributes:
        prompt: token ids, at least one and fewer than the context.
        max_tokens: the most new tokens, 0 or more.
        sampling: how tokens are chosen.
        stop: texts that end the answer and are not shown.
        ignore_eos: go on where the model would end.
        logits: changes the logits before the choice.
        loop_guard: end an answer that repeats itself without end.

    Raises InvalidSetting, naming the value, for one of the wrong kind or out of range.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    ignore_eos: bool
    logits: Logits | None = None
    loop_guard: bool = False

    def __post_init__(self) -> None:
        values.whole("max_tokens", self.max_tokens, 0)
        for text in self.stop:
            if not isinstance(text, str) or not text:
                raise values.invalid("a stop text", text, "a text of at least one character")


class Clock:
    """Where the time of a decode goes: waiting for the device, its own code, the caller, or Python here."""

    def __init__(self, stats: RunStats) -> None:
        self._stats = stats
        self._away = 0.0
        self._began = time.perf_counter()
        self._done = 0.0  # when the device was last known to be done

    def restart(self) -> None:
        """Decode begins."""
        self._began = self._done = time.perf_counter()
        self._away = 0.0

    def submitted(self, alone: bool) -> None:
        """A batch was submitted; `alone` when the device had nothing else to do."""
        if alone:
            self._stats.idle_seconds += max(0.0, time.perf_counter() - self._done)

    def landed(self, batch: Batch, waited: float, submitting: float = 0.0) -> float:
        """A batch has arrived after a wait of some seconds; the seconds since the one before it.

        `submitting` it took some, in Python and in the device's own code.
        """
        stats, since = self._stats, batch.done - self._done
        self._done = batch.done
        self._away += waited + min(submitting, batch.host_seconds)
        stats.batches += 1
        stats.host_seconds += batch.host_seconds
        stats.decode_seconds = batch.done - self._began
        return since

    def shown(self, seconds: float, first: bool) -> None:
        """The caller had a piece for some seconds; `first` of its batch."""
        self._away += seconds
        if first and self._done > self._began:
            self._stats.lag_seconds += time.perf_counter() - self._done

    def stop(self) -> None:
        """Decode is over."""
        stats = self._stats
        if stats.batches:
            stats.python_seconds = time.perf_counter() - self._began - self._away


class Picker(Protocol):
    """Gives the tokens of an answer."""

    async def first(self, prompt: Sequence[int]) -> list[int]:
        """Read the prompt; the first token."""
        ...

    async def more(self, ids: Sequence[int], room: int) -> list[int]:
        """One or more tokens that follow `ids`, at most `room`: more than the caller wants is waste.

        Raises Cancelled, DeviceError.
        """
        ...

    @property
    def flying(self) -> int:
        """Tokens under way that nobody has asked for yet."""
        ...


class Batches:
    """The device picks.

    Batches begin with one token and double, as long as one takes at most BATCH_SECONDS; with more than one token,
    two are kept in flight.

    Args:
        ends: tokens after which nothing more is wanted.

    Attributes:
        most: tokens of a batch; with FEW_TOKENS, only one batch is kept in flight.
        seconds: what each token of the latest batch took.
    """

    def __init__(self, turn: Turn, rule: Rule, ends: frozenset[int], stats: RunStats, clock: Clock) -> None:
        self._turn = turn
        self._rule = rule
        self._ends = ends
        self._stats = stats
        self._clock = clock
        self._flights: deque[Flight] = deque()
        self.most = MOST_TOKENS
        self.seconds = 0.0
        self._size = 1
        self._flown = False

    async def first(self, prompt: Sequence[int]) -> list[int]:
        outputs = await self._turn.prefill(prompt, self._rule)
        return outputs.picked(0, 1)

    async def more(self, ids: Sequence[int], room: int) -> list[int]:
        if not self._flights:
            self._fly(min(self._size, self.most, room), ids)
        began = time.perf_counter()
        flight = self._flights.popleft()
        tokens, batch = await self._turn.land(flight)
        waited = time.perf_counter() - began
        self.seconds = self._clock.landed(batch, waited, flight.seconds) / len(tokens)
        self._size = max(1, min(MOST_TOKENS, 2 * self._size, int(BATCH_SECONDS / max(self.seconds, 1e-6))))
        flights = 2 if self._size > 1 and self.most > FEW_TOKENS else 0
        if self._ends.isdisjoint(tokens):
            # Before the tokens that have come are looked at: the device is to stay busy meanwhile.
            room -= len(tokens)
            while len(self._flights) < flights and (left := room - self.flying) > 0:
                self._fly(min(self._size, left), ids)
        return tokens

    def leave(self) -> None:
        """The text went on without this; nothing is in flight."""
        self._flown = False

    @property
    def flying(self) -> int:
        return sum(flight.tokens for flight in self._flights)

    def _fly(self, tokens: int, ids: Sequence[int]) -> None:
        """Submit a batch: the first one after the text `ids`, later ones where the last ended."""
        alone = not self._flights
        after = () if self._flown else (ids[-1], self._rule.pack(1))
        flight = self._turn.decode(tokens, *after)
        self._flown = True
        self._flights.append(flight)
        self._clock.submitted(alone)
        self._stats.largest_batch = max(self._stats.largest_batch, tokens)


class Speculation:
    """Batches, and where the text has been before, drafts that are checked instead, if that was found faster."""

    def __init__(self, session: Session, turn: Turn, batches: Batches, stats: RunStats, clock: Clock) -> None:
        self._session = session
        self._turn = turn
        self._batches = batches
        self._stats = stats
        self._clock = clock
        self._lookup = Lookup()
        self._guess: tuple[int, list[int]] | None = None  # a draft that was not checked, and where it begins
        self._found = LEAST_FOUND  # how often there was a draft lately

    async def first(self, prompt: Sequence[int]) -> list[int]:
        return await self._batches.first(prompt)

    async def more(self, ids: Sequence[int], room: int) -> list[int]:
        costs = self._session.costs
        self._lookup.read(ids)
        draft = self._lookup.draft(room - 1)
        self._found += RECENT * (bool(draft) - self._found)
        self._learn(ids)
        # Nobody waits for the compiler in the middle of an answer: until it is done, decoding is plain.
        wanted = costs.worthwhile and (bool(draft) or self._found > LEAST_FOUND)
        able = wanted and await self._session.can_check()
        if draft and able and not self._batches.flying:
            self._guess = None
            return await self._checked(ids, draft)
        if draft and self._guess is None:
            self._guess = (len(ids), draft)
        # Drafts can be checked only where nothing is under way.
        self._batches.most = FEW_TOKENS if able and self._found > LEAST_FOUND else MOST_TOKENS
        tokens = await self._batches.more(ids, room)
        costs.decoded(self._batches.seconds)
        return tokens

    def _learn(self, ids: Sequence[int]) -> None:
        """What plain decoding has written tells whether a draft would have been right."""
        if self._guess is None:
            return
        at, draft = self._guess
        written = ids[at : at + len(draft)]
        agreed = next((i for i, token in enumerate(written) if token != draft[i]), len(written))
        if agreed < len(written) or len(written) == len(draft):
            self._session.costs.agreed(agreed)
            self._guess = None

    @property
    def flying(self) -> int:
        return self._batches.flying

    async def _checked(self, ids: Sequence[int], draft: Sequence[int]) -> list[int]:
        began = time.perf_counter()
        self._clock.submitted(alone=True)
        tokens, batch = await self._turn.check(ids[-1], draft)
        waited = time.perf_counter() - began
        self._clock.landed(batch, waited)
        self._session.costs.checked(waited)
        self._session.costs.agreed(len(tokens) - 1)
        self._batches.leave()
        self._stats.mode = "speculation"
        self._stats.drafted_tokens += len(draft)
        self._stats.accepted_tokens += len(tokens) - 1
        return tokens


class Singles:
    """Python picks among all tokens, one a round trip: for callers that change the logits, and for rules that what the
    device selects does not decide."""

    def __init__(self, turn: Turn, rule: Rule, change: Logits | None, stats: RunStats, clock: Clock) -> None:
        self._turn = turn
        self._rule = rule
        self._change = change
        self._stats = stats
        self._clock = clock
        self._draw = 0

    async def first(self, prompt: Sequence[int]) -> list[int]:
        return [self._pick(await self._turn.logits(prompt), prompt)]

    async def more(self, ids: Sequence[int], room: int) -> list[int]:
        self._clock.submitted(alone=True)
        self._stats.largest_batch = 1
        began = time.perf_counter()
        logits = await self._turn.logits(ids)
        done = time.perf_counter()
        self._clock.landed(Batch(b"", done, 0.0), done - began)
        return [self._pick(logits, ids)]

    @property
    def flying(self) -> int:
        return 0

    def _pick(self, logits: NDArray[np.float32], ids: Sequence[int]) -> int:
        if self._change:
            logits = _changed(self._change, logits, ids)
        self._draw += 1
        return choose_among_all(self._rule, self._draw - 1, logits, ids)


def _changed(change: Logits, logits: NDArray[np.float32], ids: Sequence[int]) -> NDArray[np.float32]:
    changed = np.asarray(change(logits.copy(), ids), np.float32)
    if changed.shape != logits.shape:
        raise SottoError(
            f"The function that changes the logits gave an array of shape {changed.shape}.",
            f"It must give one number for each token: {logits.shape}.",
        )
    wrong = np.flatnonzero(~(changed < np.inf))
    if wrong.size:
        raise SottoError(
            f"The function that changes the logits gave {changed[wrong[0]]} for token {wrong[0]}.",
            "It must give finite numbers, or minus infinity for tokens that must not come.",
        )
    return changed


class _Text:
    """Tokens to text that may be shown."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], guarded: bool) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._stops = StopStrings(stop)
        self._guard = LoopGuard() if guarded else None

    def push(self, token: int) -> tuple[str, str]:
        """What became showable, and why the answer ends here: "stop", "loop" or, where it goes on, ""."""
        text = self._detokenizer.push(token)
        looped = self._guard is not None and self._guard.push(token, text)
        shown, ended = self._stops.push(text)
        return shown, "stop" if ended else "loop" if looped else ""

    def rest(self) -> str:
        """What was held back, at the end."""
        text, ended = self._stops.push(self._detokenizer.flush())
        return text + ("" if ended else self._stops.flush())


def _picker(
    session: Session, turn: Turn, request: Request, ends: frozenset[int], stats: RunStats, clock: Clock
) -> Picker:
    rule = Rule.of(request.sampling, len(request.prompt))
    if request.logits or not rule.decided_by(session.candidates):
        stats.mode = "single"
        return Singles(turn, rule, request.logits, stats, clock)
    batches = Batches(turn, rule, ends, stats, clock)
    if session.checker and not (rule.inverse_temperature or rule.repeat_last or rule.prompt_tokens):
        return Speculation(session, turn, batches, stats, clock)
    return batches


def _limit(tokens: int, most: int, wanted: int) -> str:
    """The limit that an answer has reached with so many tokens of the `most` that fit; empty where it goes on."""
    if tokens < most:
        return ""
    return "length" if tokens >= wanted else "context"


def _has_read(stats: RunStats, tokens: int, started: float) -> None:
    """So many tokens of the prompt are in the cache, a while after reading it was `started`."""
    stats.read_tokens = max(0, tokens - stats.reused_tokens)
    stats.prefill_seconds = time.perf_counter() - started


def _has_ended(stats: RunStats, clock: Clock, dropped: int, started: float) -> None:
    """The answer is over, whatever ended it; so many tokens of it are not shown."""
    clock.stop()
    stats.dropped_tokens = dropped
    stats.stop_reason = stats.stop_reason or "cancelled"
    stats.total_seconds = time.perf_counter() - started


async def generate(
    session: Session, tokenizer: Tokenizer, request: Request, stats: RunStats
) -> AsyncGenerator[TextPart]:
    """The answer, token by token, in a turn of its own; `stats` is kept up to date.

    Where somebody else takes the cache, it ends like one that was stopped.
    """
    ids = list(request.prompt)
    ends = frozenset() if request.ignore_eos else frozenset(tokenizer.stop_ids)
    clock = Clock(stats)
    shown = _Text(tokenizer, request.stop, request.loop_guard)
    most = min(request.max_tokens, session.context - len(ids))
    if not most:
        stats.stop_reason = "length"
        return
    with session.turn() as turn:
        picker = _picker(session, turn, request, ends, stats, clock)
        stats.reused_tokens, stats.adapters = session.kept.shared(ids), dict(session.adapters)
        started = time.perf_counter()
        tokens: deque[int] = deque()
        try:
            tokens.extend(await picker.first(ids))
            _has_read(stats, len(ids), started)
            stats.time_to_first_token = stats.prefill_seconds
            clock.restart()
            first_of_batch = True
            while not stats.stop_reason:
                if not tokens:
                    tokens.extend(await picker.more(ids, most - stats.new_tokens))
                    first_of_batch = True
                token = tokens.popleft()
                stats.new_tokens += 1
                if token in ends:
                    stats.stop_reason = "eos"
                    break
                ids.append(token)
                text, ended = shown.push(token)
                stats.stop_reason = ended or _limit(stats.new_tokens, most, request.max_tokens)
                began = stats.total_seconds = time.perf_counter() - started
                yield TextPart(text, token)
                clock.shown(time.perf_counter() - started - began, first_of_batch)
                first_of_batch = False
                if turn.over and not stats.stop_reason:
                    stats.stop_reason = "cancelled"
            if stats.stop_reason not in ("stop", "cancelled") and (rest := shown.rest()):
                yield TextPart(rest, ids[-1])
        except Cancelled as error:
            stats.stop_reason = "cancelled"
            if not stats.new_tokens and not isinstance(error, TurnLost):  # while it read
                _has_read(stats, session.kept.shared(ids), started)
        except Exception:
            stats.stop_reason = "failed"
            raise
        finally:
            _has_ended(stats, clock, len(tokens) + picker.flying, started)
