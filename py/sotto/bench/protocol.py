"""The protocol of the published numbers: prefill of several lengths, decode, the first run and those after it.

A slow device gets less of it: the measurements share a time budget, take turns, and shorten themselves or are left
out. What was shortened says so; nothing is ever extrapolated. A caller may stop the engine when the budget is used
up: the run in progress then ends, and does not count. Every run is kept as a point in time, so that a machine that
grows slower as it grows warm is seen to.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from ..engine.engine import Engine
from ..plan.plan import Plan
from ..plan.variants import Job
from ..plan.work import (
    cache_bytes,
    dispatch_bytes,
    dispatch_operations,
    kinds,
    prefill_operations,
    weight_bytes,
)
from ..reports import TextPart
from ..text.sampler import Sampling
from .control import Control
from .notes import Note, note
from .probes import Probes
from .request import Request

LEAST_TOKENS = 4  # of a shortened decode run
DECODE_SHARE = 0.35  # of the time that is left when decode begins
KERNEL_ROUNDS = 7  # in which a plan's kernels are timed
KERNEL_SECONDS = 5.0  # after which no other round begins, where two are done
KERNEL_POSITION = 512  # tokens before them: a local layer's window is full
BEYOND = 1.05  # a share of memory's limit that no error of measuring explains
QUICKER = 8  # how many times quicker a prompt's token is than a new one, until it was measured


@dataclass(frozen=True)
class Point:
    """One run.

    Attributes:
        at: seconds after the benchmark began, at the run's end.
        value: tokens per second.
        warm: counts; a run before the warm ones does not.
        marks: what disturbed the machine during it (Control.disturbed).
    """

    at: float
    value: float
    warm: bool
    marks: tuple[str, ...]


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
        operations: operations it takes; a multiply-add is two.
        limit_seconds: the time these take at the device's rate for the numbers the kernels compute with.
        share_of_limit: limit_seconds over the median time; 1 is as fast as the device can be.
        points: every run.
        notes: what was shortened or left out, and why; none for the whole protocol.
    """

    tokens: int
    rate: Spread | None = None
    cold_rate: float | None = None
    time_to_first_token: Spread | None = None
    cold_time_to_first_token: float | None = None
    operations: float = 0.0
    limit_seconds: float | None = None
    share_of_limit: float | None = None
    points: tuple[Point, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Decode:
    """Token after token.

    Attributes:
        tokens: new tokens of each run.
        after: tokens of the prompt before them.
        rate: new tokens per second after the first, sampling included, warm.
        cold_rate: the same in the first run.
        seconds_per_token: warm.
        weight_bytes_per_token: bytes of weights that a token needs.
        limit_seconds: time to stream these bytes from memory and to start the plan's dispatches one after the other.
        share_of_limit: limit_seconds over the median time; 1 is as fast as memory allows, and a model that fits the
            processor's caches is faster.
        mode: who picked the tokens, as RunStats.mode.
        points: every run.
        notes: what was shortened or left out, and why.
    """

    tokens: int
    after: int
    rate: Spread | None
    cold_rate: float | None
    seconds_per_token: Spread | None
    weight_bytes_per_token: int
    limit_seconds: float | None
    share_of_limit: float | None
    mode: str = ""
    points: tuple[Point, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class KernelTime:
    """The dispatches of a plan that do one job, in all layers.

    Attributes:
        kernel: the job, and in brackets the kernel that does it.
        dispatches: how many.
        seconds: all of them, one after the other; the median of some runs.
        share: of the whole plan's seconds.
        weight_bytes, cache_bytes: of weights, and of keys and values, that they have to read.
        operations: that they have to do; a multiply-add is two.
        share_of_read: the time it takes to read these bytes at the probe's rate over the seconds; 1 is as fast as the
            device can be.
        share_of_arithmetic: the same for the operations, at the rate for the numbers the kernels compute with.
    """

    kernel: str
    dispatches: int
    seconds: float
    share: float
    weight_bytes: int = 0
    cache_bytes: int = 0
    operations: float = 0.0
    share_of_read: float | None = None
    share_of_arithmetic: float | None = None


async def decode(
    engine: Engine, request: Request, probes: Probes | None, control: Control, pace: float | None = None
) -> Decode:
    """Measure decode runs of equal length; the first one finds out how many tokens there is time for.

    Args:
        pace: seconds that a prompt's token takes, where it was measured; the prompts come after this otherwise.
    """
    clock, runs = control.clock, request.warmup + request.runs
    notes = []
    after = request.after
    if pace is not None and after > 1 and 3 * pace * after > clock.left:
        after = 1
        notes.append(note("after.budget", wanted=request.after, budget=f"{clock.budget:.0f}"))
    allowed = clock.left * (DECODE_SHARE if pace is None else 1)
    wanted = max(2, min(request.decode, engine.context - after))
    if wanted < request.decode:
        notes.append(note("tokens.context", done=wanted, wanted=request.decode))
    times: list[float] = []  # seconds per token of each run
    points: list[Point] = []
    tokens = wanted
    began = clock.used
    for run in range(runs):
        control.tell("decode", tokens=tokens, run=run + 1, runs=runs)
        spent = clock.used - began
        if run > request.warmup and spent + spent / run > max(allowed, 0.0):
            notes.append(_fewer(run - request.warmup, request.runs, control))
            break
        deadline = allowed / runs if run == 0 else None
        count, seconds = await _decode_run(engine, _prompt(engine, after, run), tokens, deadline)
        control.check()
        if count < (tokens if run else max(2, min(wanted, LEAST_TOKENS))):
            notes.append(_stopped(seconds, control))
            break
        tokens = count
        times.append(seconds / (count - 1))
        marks = control.disturbed()
        points.append(Point(clock.used, 1 / times[-1], run >= request.warmup, marks))
        control.expected["decode"] = (runs - run - 1) * (clock.used - began) / (run + 1)
        if pace is None:
            _expect_prefill(control, request, 0, times[-1] / QUICKER)
    control.expected["decode"] = 0.0
    if tokens < wanted:
        notes.append(note("tokens.budget", done=tokens, wanted=wanted, budget=f"{clock.budget:.0f}"))
    warm = times[request.warmup :]
    plan = engine.plans[0]
    nbytes = weight_bytes(plan)
    limit = nbytes / probes.read.rate + len(plan.dispatches) * probes.empty_dispatch if probes else None
    share, remarks = against_memory(limit, warm)
    return Decode(
        tokens=tokens,
        after=after,
        rate=Spread.of([1 / t for t in warm]),
        cold_rate=1 / times[0] if times else None,
        seconds_per_token=Spread.of(warm),
        weight_bytes_per_token=nbytes,
        limit_seconds=limit,
        share_of_limit=share,
        mode=engine.stats.mode,
        points=tuple(points),
        notes=(*notes, *remarks),
    )


def against_memory(limit: float | None, seconds: Sequence[float]) -> tuple[float | None, tuple[Note, ...]]:
    """Memory's limit for a token over the median of what tokens took, in seconds; and what has to be said of that."""
    share = limit / statistics.median(seconds) if limit and seconds else None
    return share, (note("memory"),) if share is not None and share > BEYOND else ()


async def _decode_run(
    engine: Engine, prompt: list[int], tokens: int, deadline: float | None
) -> tuple[int, float]:
    """(tokens, seconds from the first to the last); ends early `deadline` seconds after the first."""
    first = last = time.perf_counter()
    count = 0
    async with aclosing(_generate(engine, prompt, tokens)) as pieces:
        async for _ in pieces:
            last = time.perf_counter()
            count += 1
            if count == 1:
                first = last
            if count == tokens or (deadline is not None and last - first > deadline and count > LEAST_TOKENS):
                break
    return count, last - first


async def prefill(
    engine: Engine, request: Request, probes: Probes | None, control: Control, results: list[Prefill]
) -> float:
    """Measure every prompt length, the shortest first, into `results`.

    Returns:
        Seconds that a prompt's token took in the slowest run of the longest prompt that was measured.
    """
    clock = control.clock
    pace = 0.0
    lengths = sorted(request.prefill)
    for index, tokens in enumerate(lengths):
        if tokens > engine.context - 1:
            results.append(
                Prefill(tokens, notes=(note("out.context", tokens=tokens, context=engine.context),))
            )
        elif pace * tokens > clock.left:
            left = note("out.budget", left=f"{clock.left:.0f}", budget=f"{clock.budget:.0f}")
            results.append(Prefill(tokens, notes=(left,)))
        else:
            allowed = clock.left / (len(lengths) - index)
            result, slowest = await _prefill_length(engine, tokens, request, probes, control, allowed)
            pace = slowest / tokens
            results.append(result)
        control.expected.pop(f"prefill {tokens}", None)
        if pace:
            _expect_prefill(control, request, tokens, pace)
    return pace


def _expect_prefill(control: Control, request: Request, beyond: int, pace: float) -> None:
    """Expect the prompts longer than `beyond` tokens to take `pace` seconds a token."""
    for tokens in request.prefill:
        if tokens > beyond:
            control.expected[f"prefill {tokens}"] = pace * tokens * (request.warmup + request.runs)


async def _prefill_length(
    engine: Engine, tokens: int, request: Request, probes: Probes | None, control: Control, allowed: float
) -> tuple[Prefill, float]:
    clock, runs, warmup = control.clock, request.runs, request.warmup
    spent = 0.0
    times: list[float] = []
    firsts: list[float] = []
    points: list[Point] = []
    notes: tuple[Note, ...] = ()
    for run in range(warmup + runs):
        control.tell("prefill", tokens=tokens, run=run + 1, runs=warmup + runs)
        typical = max(times, default=0.0)
        # One warm run is worth the time of a longer prompt; more than that has to fit this prompt's part.
        if run > 0 and typical > (clock.left if run <= warmup else allowed - spent):
            notes = (_fewer(max(run - warmup, 0), runs, control),)
            break
        began = time.perf_counter()
        async with aclosing(_generate(engine, _prompt(engine, tokens, run), 1)) as pieces:
            whole = [piece async for piece in pieces]
        took = time.perf_counter() - began
        control.check()
        if not whole:
            if not times:
                return Prefill(tokens, notes=(_stopped(took, control),)), took
            notes = (_fewer(max(run - warmup, 0), runs, control), _stopped(took, control))
            break
        firsts.append(took)
        times.append(engine.stats.prefill_seconds)
        points.append(Point(clock.used, tokens / times[-1], run >= warmup, control.disturbed()))
        spent += took
        control.expected[f"prefill {tokens}"] = (warmup + runs - run - 1) * spent / (run + 1)
        _expect_prefill(control, request, tokens, times[-1] / tokens)
    plan = engine.plans[-1]
    operations = prefill_operations(plan, tokens)
    rate = _arithmetic(probes, plan, engine.device.traits.wgsl) if probes else None
    limit = operations / rate if rate else None
    warm = times[warmup:]
    result = Prefill(
        tokens=tokens,
        rate=Spread.of([tokens / t for t in warm]),
        cold_rate=tokens / times[0],
        time_to_first_token=Spread.of(firsts[warmup:]),
        cold_time_to_first_token=firsts[0],
        operations=operations,
        limit_seconds=limit,
        share_of_limit=limit / statistics.median(warm) if limit and warm else None,
        points=tuple(points),
        notes=notes,
    )
    return result, max(times)


def _prompt(engine: Engine, tokens: int, run: int) -> list[int]:
    """A prompt of random words, another one for each run: nothing of it may be in the cache already."""
    random = np.random.default_rng([tokens, run])
    return [engine.tokenizer.bos, *random.integers(0, engine.config.vocabulary, tokens - 1).tolist()]


def _generate(engine: Engine, ids: list[int], tokens: int) -> AsyncGenerator[TextPart]:
    """Tokens by chance: a greedy text soon repeats itself, and guessing it right is not decoding."""
    engine.forget()  # a prompt that is in the cache from the run before would cost nothing
    return engine.generate(ids, tokens, Sampling(temperature=1, seed=len(ids)), ignore_eos=True)


def _arithmetic(probes: Probes, plan: Plan, wgsl: bool) -> float | None:
    """Operations per second the device can do of the kind that a plan's matrix products are made of."""
    matmul = plan.choice[Job.MATMUL]
    if not wgsl or "int8" in matmul.name:
        return probes.int8
    return probes.f16 if "shader-f16" in matmul.features else probes.f32


def _fewer(done: int, runs: int, control: Control) -> Note:
    return note("runs", done=done, wanted=runs, budget=f"{control.clock.budget:.0f}")


def _stopped(seconds: float, control: Control) -> Note:
    return note("stopped", seconds=f"{seconds:.0f}", budget=f"{control.clock.budget:.0f}")


async def kernels(
    engine: Engine, probes: Probes | None, control: Control
) -> dict[str, tuple[KernelTime, ...]] | None:
    """Time by kernel for every plan that there is time for, the slowest kernel first.

    A kernel's dispatches of all layers are timed in one compute pass: a single one is shorter than what beginning and
    ending a pass takes, and the same one again would find its weights in the device's caches, where a token's never
    are. One dispatch still waits for the other, as they write to the same memory.

    None where the device has no timestamps.
    """
    tables = {}
    pace = 0.0  # seconds per token of the latest plan
    for index, plan in enumerate(engine.plans):
        control.tell("kernels", tokens=plan.tokens, part=index / len(engine.plans))
        if 2 * pace * plan.tokens > control.clock.left:
            continue
        groups = kinds(plan)
        position = min(KERNEL_POSITION, engine.context - plan.tokens)
        rounds: list[list[float]] = []
        began = time.perf_counter()
        for _ in range(1 + KERNEL_ROUNDS):  # the first to warm up
            timed = await engine.profile(plan.tokens, tuple(groups.values()), position)
            control.check()
            if timed is None:
                return None
            rounds.append(timed)
            spent = time.perf_counter() - began
            if len(rounds) > 1 and spent > KERNEL_SECONDS:
                break
        pace = spent / len(rounds) / plan.tokens
        seconds = [statistics.median(times) for times in zip(*rounds[1:], strict=True)]
        total = sum(seconds) or 1.0
        arithmetic = _arithmetic(probes, plan, engine.device.traits.wgsl) if probes else None
        found = []
        for (name, numbers), took in zip(groups.items(), seconds, strict=True):
            dispatches = [plan.dispatches[number] for number in numbers]
            weights = sum(dispatch_bytes(d, plan.tokens) for d in dispatches)
            cache = sum(cache_bytes(d, plan.tokens, position) for d in dispatches)
            operations = sum(dispatch_operations(d, plan.tokens, position) for d in dispatches)
            found.append(
                KernelTime(
                    name, len(numbers), took, took / total, weights, cache, operations,
                    _share(weights + cache, probes.read.rate if probes else None, took),
                    _share(operations, arithmetic, took),
                )
            )  # fmt: skip
        tables[plan.name] = tuple(sorted(found, key=lambda kernel: -kernel.seconds))
    return tables


def _share(amount: float, rate: float | None, seconds: float) -> float | None:
    """Of a rate that was reached; None where there is nothing to do, or no rate known."""
    return amount / rate / seconds if amount and rate and seconds else None
