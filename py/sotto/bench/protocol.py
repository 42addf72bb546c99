"""The protocol of the published numbers: prefill of several lengths, decode, the first run and those after it.

A slow device gets less of it: the measurements share a time budget, take turns, and shorten themselves or are left
out. What was shortened says so; nothing is ever extrapolated. A caller may stop the engine when the budget is used
up: the run in progress then ends, and does not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from ..engine import Engine
from ..reports import Piece
from ..sampler import Sampling
from .probes import Probes
from .work import prefill_operations, weight_bytes

LEAST_TOKENS = 4  # of a shortened decode run
DECODE_SHARE = 0.35  # of the time that is left when decode begins


@dataclass(frozen=True)
class Protocol:
    """What to measure.

    Attributes:
        prefill: prompt lengths in tokens.
        decode: new tokens of a decode run, after a prompt of BOS alone.
        runs: warm runs of each measurement; one more, the first, is reported as cold.
    """

    prefill: tuple[int, ...] = (32, 128, 512, 1024)
    decode: int = 256
    runs: int = 5


@dataclass(frozen=True)
class Spread:
    """Several runs of one measurement."""

    median: float
    min: float
    max: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None for no runs."""
        return cls(statistics.median(values), min(values), max(values), len(values)) if values else None


@dataclass(frozen=True)
class Prefill:
    """One prompt length.

    Attributes:
        tokens: of the prompt.
        rate: prompt tokens per second, warm.
        cold_rate: the same in the first run of this length.
        time_to_first_token: seconds until the first new token is chosen and decoded, warm.
        cold_time_to_first_token: the same in the first run.
        operations: floating-point operations it takes.
        limit_seconds: the time these take at the device's f32 multiply-add rate.
        share_of_limit: limit_seconds over the median time; 1 is as fast as the device can be.
        note: what was shortened or left out, and why; '' for the whole protocol.
    """

    tokens: int
    rate: Spread | None = None
    cold_rate: float | None = None
    time_to_first_token: Spread | None = None
    cold_time_to_first_token: float | None = None
    operations: float = 0.0
    limit_seconds: float | None = None
    share_of_limit: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Decode:
    """Token after token.

    Attributes:
        tokens: new tokens of each run.
        rate: new tokens per second after the first, sampling included, warm.
        cold_rate: the same in the first run.
        seconds_per_token: warm.
        weight_bytes_per_token: bytes of weights that a token needs.
        limit_seconds: time to stream these bytes and to start the plan's dispatches one after the other.
        share_of_limit: limit_seconds over the median time; 1 is as fast as the device can be.
        note: what was shortened or left out, and why.
    """

    tokens: int
    rate: Spread | None
    cold_rate: float | None
    seconds_per_token: Spread | None
    weight_bytes_per_token: int
    limit_seconds: float | None
    share_of_limit: float | None
    note: str


@dataclass(frozen=True)
class KernelTime:
    """All dispatches of one kernel in a plan: how many, their seconds, and their share of the plan's."""

    kernel: str
    dispatches: int
    seconds: float
    share: float


class Clock:
    """A time budget in seconds; it starts when it is made."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._began = time.perf_counter()

    @property
    def used(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._began

    @property
    def left(self) -> float:
        """Seconds of the budget that are left, at least 0."""
        return max(0.0, self.budget - self.used)


Told = Callable[[str, int, int], None]  # what is being done, and how far it is


async def decode(
    engine: Engine, protocol: Protocol, probes: Probes | None, clock: Clock, told: Told
) -> Decode:
    """Measure decode runs of equal length; the first one finds out how many tokens there is time for."""
    allowed = clock.left * DECODE_SHARE
    wanted = min(protocol.decode, engine.context - 1)
    notes = []
    if wanted < protocol.decode:
        notes.append(f"{wanted} of {protocol.decode} tokens: the context holds no more")
    times: list[float] = []  # seconds per token of each run
    tokens = wanted
    began = clock.used
    for run in range(protocol.runs + 1):
        told("Decoding", run, protocol.runs + 1)
        spent = clock.used - began
        if run > 1 and spent + spent / run > max(allowed, 0.0):
            notes.append(_fewer(run - 1, protocol.runs, clock))
            break
        deadline = allowed / (protocol.runs + 1) if run == 0 else None
        count, seconds = await _decode_run(engine, tokens, deadline)
        if count < (tokens if run else max(2, min(wanted, LEAST_TOKENS))):
            notes.append(f"run {run} was stopped: the time budget of {clock.budget:.0f} s")
            break
        tokens = count
        times.append(seconds / (count - 1))
    if tokens < wanted:
        notes.append(f"{tokens} of {protocol.decode} tokens: the time budget of {clock.budget:.0f} s")
    warm = times[1:]
    plan = engine.plans[0]
    nbytes = weight_bytes(plan)
    limit = nbytes / probes.read.rate + len(plan.dispatches) * probes.empty_dispatch if probes else None
    return Decode(
        tokens=tokens,
        rate=Spread.of([1 / t for t in warm]),
        cold_rate=1 / times[0] if times else None,
        seconds_per_token=Spread.of(warm),
        weight_bytes_per_token=nbytes,
        limit_seconds=limit,
        share_of_limit=limit / statistics.median(warm) if limit and warm else None,
        note="; ".join(notes),
    )


async def _decode_run(engine: Engine, tokens: int, deadline: float | None) -> tuple[int, float]:
    """(tokens, seconds from the first to the last); ends early after `deadline` seconds."""
    began = time.perf_counter()
    first = last = began
    count = 0
    async with aclosing(_generate(engine, [engine.tokenizer.bos], tokens)) as pieces:
        async for _ in pieces:
            last = time.perf_counter()
            count += 1
            if count == 1:
                first = last
            if count == tokens or (deadline is not None and last - began > deadline and count > LEAST_TOKENS):
                break
    return count, last - first


async def prefill(
    engine: Engine, protocol: Protocol, probes: Probes | None, clock: Clock, told: Told
) -> list[Prefill]:
    """Measure every prompt length, the shortest first."""
    results: list[Prefill] = []
    pace = 0.0  # seconds per token of the slowest run so far
    lengths = sorted(protocol.prefill)
    for index, tokens in enumerate(lengths):
        told(f"Prefilling {tokens} tokens", index, len(lengths))
        if tokens > engine.context - 1:
            note = f"left out: {tokens} tokens do not fit the context of {engine.context}"
            results.append(Prefill(tokens, note=note))
        elif pace * tokens > clock.left:
            note = f"left out: {clock.left:.0f} s of the time budget of {clock.budget:.0f} s were left"
            results.append(Prefill(tokens, note=note))
        else:
            allowed = clock.left / (len(lengths) - index)
            result, slowest = await _prefill_length(engine, tokens, protocol.runs, probes, clock, allowed)
            pace = slowest / tokens
            results.append(result)
    return results


async def _prefill_length(
    engine: Engine, tokens: int, runs: int, probes: Probes | None, clock: Clock, allowed: float
) -> tuple[Prefill, float]:
    random = np.random.default_rng(tokens)
    ids = [engine.tokenizer.bos, *random.integers(0, engine.config.vocabulary, tokens - 1).tolist()]
    spent = 0.0
    times: list[float] = []
    firsts: list[float] = []
    note = ""
    for run in range(runs + 1):
        typical = max(times, default=0.0)
        # One warm run is worth the time of a longer prompt; more than that has to fit this prompt's part.
        if run > 0 and typical > (clock.left if run == 1 else allowed - spent):
            note = _fewer(run - 1, runs, clock)
            break
        began = time.perf_counter()
        async with aclosing(_generate(engine, ids, 1)) as pieces:
            whole = [piece async for piece in pieces]
        took = time.perf_counter() - began
        if not whole:
            stopped = f"a run was stopped after {took:.0f} s"
            if not times:
                return Prefill(tokens, note=f"{stopped}: the time budget of {clock.budget:.0f} s"), took
            note = f"{_fewer(run - 1, runs, clock)}; {stopped}"
            break
        firsts.append(took)
        times.append(engine.stats.prefill_seconds)
        spent += took
    operations = prefill_operations(engine.plans[-1], tokens)
    limit = operations / probes.f32 if probes else None
    warm = times[1:]
    result = Prefill(
        tokens=tokens,
        rate=Spread.of([tokens / t for t in warm]),
        cold_rate=tokens / times[0],
        time_to_first_token=Spread.of(firsts[1:]),
        cold_time_to_first_token=firsts[0],
        operations=operations,
        limit_seconds=limit,
        share_of_limit=limit / statistics.median(warm) if limit and warm else None,
        note=note,
    )
    return result, max(times)


def _generate(engine: Engine, ids: list[int], tokens: int) -> AsyncGenerator[Piece]:
    return engine.generate(ids, tokens, Sampling(temperature=0), ignore_eos=True)


def _fewer(done: int, runs: int, clock: Clock) -> str:
    return f"{done} of {runs} warm runs: the time budget of {clock.budget:.0f} s"


async def kernels(engine: Engine, clock: Clock) -> dict[str, list[KernelTime]] | None:
    """Time by kernel for every plan that there is time for, the slowest kernel first.

    None where the device has no timestamps.
    """
    tables = {}
    pace = 0.0  # seconds per token of the latest plan
    for plan in engine.plans:
        if 2 * pace * plan.tokens > clock.left:
            continue
        began = time.perf_counter()
        await engine.profile(plan.tokens)  # to warm up
        timed = await engine.profile(plan.tokens)
        pace = (time.perf_counter() - began) / 2 / plan.tokens
        if timed is None:
            return None
        seconds: dict[str, list[float]] = {}
        for dispatch, took in timed:
            seconds.setdefault(dispatch.kernel.name, []).append(took)
        total = sum(map(sum, seconds.values())) or 1.0
        tables[plan.name] = [
            KernelTime(name, len(s), sum(s), sum(s) / total)
            for name, s in sorted(seconds.items(), key=lambda item: -sum(item[1]))
        ]
    return tables
