"""Finds the kernels that are right and fastest on the device at hand, on the model's own weights and shapes.

A sample of the forward pass (samples.py) is run with each variant. One whose answer differs from the simple kernels'
by more than its precision explains, or that does not compile, is rejected. The others are timed in turns, the likely
winners first.

There is a budget for all of it. When it is used up, what was found so far holds, and what was not tried is remembered
as such: the next load goes on with it. On a real GPU nothing is used that was not held against the simple kernels on
it. On a software adapter the usual kernels are, unless they were found to be wrong: they are the same programs
wherever that adapter runs, this project's tests run on it, and to compile others would take longer than the budget.
One that compiles a kernel only when it runs, for seconds that cannot be cut short, is checked and no more.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ..device import Device
from ..errors import DeviceError, OutOfMemory, SottoError, WrongResults
from ..models.recorder import Recorder
from ..plan.memory import Memory, kernels
from ..plan.plan import Plan
from ..plan.variants import SIMPLE, Job, KernelChoice, Variant
from ..store import Store
from . import candidates as selection
from .comparison import Result
from .crash_log import CrashLog
from .self_check import SelfCheck, cover
from .trial import Contender, Trial, Workload
from .verdict import FRUITLESS, Verdict, fingerprint, usual

BUDGET = 2.0  # seconds of a load, the check of the device and waiting for compilers included
ROUNDS = 5
SLOWER = 1.25  # times the fastest: out after a round
CLEARLY = 0.97  # of the time of a likelier variant: only then is the less likely one taken
WHOLE = 0.03  # seconds: where a token takes less, whole tokens are timed
LOOK = 1.0  # seconds between two looks at whether the device can be checked
AHEAD = 3  # candidates of a role that compile while the weights arrive
DECODE_ROWS, PREFILL_ROWS = 4096, 512  # of the head that are in a sample


class Tuner:
    """Tunes one model on one device. In a load: `recall`; while it is `unchecked`, `expect` and `check` before anything
    is compiled for the model itself; `ahead` before the weights arrive; `run` when all is there; `abandon` when the
    load ends before.

    Args:
        pinned: variants that a person chose: their roles are not tuned.
        tokens: of the plans, 1 among them, ascending.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        device: Device,
        recorder: Recorder,
        memory: Memory,
        pinned: Mapping[Job, Variant],
        tokens: Sequence[int],
        store: Store | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._device = device
        self._recorder = recorder
        self._memory = memory
        self._tokens = tuple(tokens)
        self._pinned = pinned
        self._store = store
        self._clock = clock
        self._software = device.adapter.software
        self._candidates = {
            role: (pinned[role],)
            if role in pinned
            else self._fit(selection.candidates(role, device.adapter, device.limits))
            for role in Job
        }
        self._key = fingerprint(device, recorder, self._tokens)
        self._trials = CrashLog(store, self._key)
        self._samples = Trial(device, memory, self._trials, self._reject, clock)
        layers = cover(recorder.plan("kinds", 1, SIMPLE), lambda d: (d.kernel.name, d.constants))
        self._layers = tuple(sorted(layers[:1] if self._software else layers))
        self._known_answer: SelfCheck | None = None  # None where the device has passed
        self._rejected: dict[str, str] = {}
        self._seconds: dict[int, dict[str, float]] = {}
        self._untried = {n: [str(v) for r in self._races(n) for v in self._candidates[r]] for n in tokens}
        self._checked = 0.0
        self._fruitless = 0
        self._spent = 0.0
        self._done = 0

    def _fit(self, candidates: tuple[Variant, ...]) -> tuple[Variant, ...]:
        """On a software adapter not what was made for GPUs: compiling alone would use up the budget."""
        return tuple(v for v in candidates if v.suits != "gpu") if self._software else candidates

    async def recall(self, forget: bool = False) -> Verdict:
        """What is known from earlier loads, but for what is pinned; else what is usual. There is something to `run`
        for unless it is finished.

        Args:
            forget: what earlier loads found counts no more.
        """
        if self._store and forget:
            await self._store.keep_note(self._key, "")
        await self._trials.recall(forget)
        note = await self._store.find_note(self._key) if self._store else None
        found = Verdict.of_text(note, self._device, self._tokens) if note else None
        if not found or found.checked < 1.0:
            self._known_answer = SelfCheck(self._recorder)
        if found:
            self._checked = found.checked
            self._rejected.update(found.rejected)
            self._seconds = {n: dict(times) for n, times in found.seconds.items()}
            self._untried = {n: list(found.untried.get(n, ())) for n in self._tokens}
            self._fruitless = found.fruitless
        for name, why in self._trials.rejected.items():
            self._reject(name, why)
        self._start = usual(
            self._device,
            self._recorder,
            self._pinned,
            self._tokens,
            {*self._rejected, *self._trials.suspects},
        )
        if found:
            choices = {n: choice.but(*self._pinned.values()) for n, choice in found.choices.items()}
            self._start = replace(found, choices=choices)
        if self._start.finished:
            self._trials.close()
        self._before = self._known()
        return self._start

    @property
    def unchecked(self) -> bool:
        """Whether the device has still to be held against numpy."""
        return self._known_answer is not None

    async def expect(self) -> None:
        """Let the kernels that are held against numpy compile, work out meanwhile what numpy says, and wait for them.

        Nothing else compiles yet: a browser that is told to give up a device waits for all that it compiles there,
        and shows no picture so long.
        """
        assert self._known_answer
        wanted = [kernels(plan)[:2] for plan in self._known_answer.plans]
        for shaders, pipelines in wanted:
            self._device.prepare(shaders, pipelines)
        began = self._clock()
        await self._known_answer.expect()
        self._spent += self._clock() - began
        for shaders, pipelines in wanted:
            while not await self._device.ready(shaders, pipelines, LOOK):
                pass

    async def check(self) -> None:
        """Hold the device against numpy: a load need not go on with one that computes wrongly.

        Where there is no time for it, which happens on a software adapter only, the next load does it.

        Raises:
            WrongResults: the device computes wrongly even with the simple kernels.
            DeviceError: the device gave up.
        """
        assert self._known_answer
        began = self._clock()
        warm = partial(self._samples.warm, until=began + BUDGET - self._spent)
        self._checked = max(self._checked, await self._known_answer.check(self._device, warm))
        self._spent += self._clock() - began

    async def ahead(self) -> tuple[list[Plan], list[Plan]]:
        """What to compile while the weights arrive: before what the model itself needs, and after it."""
        first: list[Plan] = []
        then: list[Plan] = []
        names = set[str]()
        for tokens in self._tokens[:2]:
            short = sample = Workload(self._short(tokens), tokens, self._layers, 0, 1)
            if tokens == 1 and not self._software:
                sample = replace(short, recorder=self._recorder)  # whole tokens are timed, most likely
            for role in self._races(tokens):
                candidates = self._together(self._open(tokens, role))
                if candidates:
                    first += [short.plan(SIMPLE[role]), sample.plan(SIMPLE[role])]
                for index, variant in enumerate(candidates[:AHEAD]):
                    with suppress(SottoError):  # told when it is its turn
                        (then if index else first).append(sample.plan(variant))
                        names |= {str(variant)} - {str(SIMPLE[role])}
        await self._trials.compile(names)
        return first, then

    def _short(self, tokens: int) -> Recorder:
        """The model with a part of the head, which would be most of a sample."""
        rows = DECODE_ROWS if tokens == 1 else PREFILL_ROWS
        return replace(self._recorder, weights=self._recorder.weights.shortened("embed", rows))

    async def abandon(self, error: BaseException) -> None:
        """The load ends before `run` did. A lost device may be what the variant at hand did to it; so may what nobody
        has foreseen, and a coroutine that is closed cannot wait for a store any more: then the note stays as it is.
        """
        if isinstance(error, DeviceError) and not isinstance(error, WrongResults):
            await self._trials.blame()
        elif isinstance(error, SottoError) or not isinstance(error, Exception | GeneratorExit):
            await self._trials.end()
        self._trials.close()

    async def run(self, progress: Callable[[int, int], None]) -> Verdict:
        """Tune, if the device is known to be right, and remember what was found.

        Args:
            progress: told how many of how many candidates are done.

        The usual programs may be loaded: they are not touched.

        Raises:
            DeviceError: the device gave up. What was being tried then is not tried again.
        """
        self._progress = progress
        self._tell(0)
        end = self._clock() + BUDGET - self._spent
        if self._checked == 1.0:
            await self._races_until(end)
        untried = {n: names for n, names in self._untried.items() if names}
        how = "measured" if self._checked == 1.0 and not untried else "partly"
        self._fruitless = self._fruitless + 1 if how == "partly" and self._known() == self._before else 0
        if self._samples.lazy and self._checked == 1.0:
            self._fruitless = FRUITLESS
        tuned = Verdict(
            self._choices(), self._rejected, self._seconds, untried, self._checked, self._fruitless, how
        )
        if self._store and not self._pinned:
            await self._store.keep_note(self._key, tuned.to_text())
            self._trials.rejected.clear()
            self._trials.suspects &= {name for names in untried.values() for name in names}
        await self._trials.end()
        self._trials.close()
        return tuned

    def _known(self) -> float:
        """How much is known."""
        return len(self._rejected) + sum(map(len, self._seconds.values())) + self._checked

    async def _races_until(self, end: float) -> None:
        expected = 0.0  # seconds of the sample with the simple kernels, where it can be told
        for index, tokens in enumerate(self._tokens):
            now = self._clock()
            races = sum(any(self._open(n, role) for role in self._races(n)) for n in self._tokens[index:])
            until = now + (end - now) / max(races, 1)
            expected *= tokens / self._tokens[index - 1] if index else 0
            roles = [role for role in self._races(tokens) if self._open(tokens, role)]
            if not roles or not max(2 * expected, 0) < until - now:
                continue
            with self._memory.temporary(), suppress(OutOfMemory):  # then what is untried stays so
                sample = await self._sample(tokens, until)
                if sample is None:
                    continue
                expected = sample.seconds if tokens > 1 else 0.0
                for left, role in enumerate(reversed(roles), 1):
                    now = self._clock()
                    answers = await self._race(sample, role, now + (until - now) / (len(roles) - left + 1))
                    best = self._fastest(tokens, role)
                    if best and str(best) in answers:
                        sample = replace(sample, choice=sample.choice.but(best), expected=answers[str(best)])

    def _races(self, tokens: int) -> list[Job]:
        """The roles in a plan that have more than one candidate."""
        roles = (Job.DECODE,) if tokens == 1 else (Job.MATMUL, Job.ATTENTION)
        if self._software and tokens not in self._tokens[:2]:
            return []  # the larger chunks take what the smallest has shown
        return [role for role in roles if len(self._candidates[role]) > 1]

    def _open(self, tokens: int, role: Job) -> list[Variant]:
        """The candidates that were not tried yet, the likely winner first."""
        return [v for v in self._candidates[role] if str(v) in self._untried[tokens]]

    def _fastest(self, tokens: int, role: Job) -> Variant | None:
        """The fastest of those that gave the right answer and were timed with so many tokens; None without one."""
        times = self._seconds.get(tokens, {})
        best = None
        for variant in self._candidates[role]:
            name = str(variant)
            if name not in times or name in self._rejected:  # wrong in one size is not trusted in another
                continue
            if best is None or times[name] < CLEARLY * times[str(best)]:
                best = variant
        return best

    def _choices(self) -> dict[int, KernelChoice]:
        """For each plan size what was the fastest there, else in the next smaller or larger one."""
        usual = SIMPLE
        if self._software:
            started = list(self._start.choices.values())[-1].variants.values()
            usual = SIMPLE.but(*(v for v in started if str(v) not in self._rejected))
        choices = {}
        for tokens in self._tokens:
            nearest = sorted(self._tokens, key=lambda n: (n != tokens, n > tokens, abs(n - tokens)))
            found = [next(filter(None, (self._fastest(n, role) for n in nearest)), None) for role in Job]
            choices[tokens] = usual.but(*filter(None, found), *self._pinned.values())
        return choices

    async def _sample(self, tokens: int, until: float) -> Workload | None:
        """What is timed for a plan size, and what the simple kernels give for it; None without the time."""
        sample = await self._samples.begin(self._short(tokens), tokens, self._layers, until)
        everything = tuple(range(self._recorder.config.layers))
        if (
            sample
            and tokens == 1
            and sample.seconds * len(everything) / len(self._layers) < WHOLE
            and (whole := await self._samples.begin(self._recorder, tokens, everything, until))
        ):
            sample = whole
        for role in self._races(tokens)[1:]:  # the first race needs right kernels for the other roles
            best = self._fastest(tokens, role)
            for variant in (best,) if best else self._open(tokens, role):
                if sample and (lane := await self._samples.enter(sample, variant, until)):
                    self._samples.end(lane)
                    sample = replace(sample, choice=sample.choice.but(variant), expected=lane.answer)
                    break
        return sample

    def _reject(self, name: str, why: str) -> None:
        self._rejected[name] = why
        for names in self._untried.values():
            if name in names:
                names.remove(name)

    async def _race(self, sample: Workload, role: Job, until: float) -> Mapping[str, Result]:
        """Time the candidates of a role that were not tried yet, and beside them the fastest so far.

        Returns what each gave, by name.
        """
        lanes: list[Contender] = []
        repeats = 1
        before = self._fastest(sample.tokens, role)
        untried = self._untried[sample.tokens]
        waiting = [*((before,) if before else ()), *self._open(sample.tokens, role)]
        for variant in self._together(waiting):
            with suppress(SottoError):  # told when it is its turn
                self._device.prepare(*kernels(sample.plan(variant))[:2])
        try:
            while waiting:
                variant = await self._next(sample, waiting)
                waiting.remove(variant)
                if role is Job.DECODE and variant == SIMPLE[role] and lanes:
                    untried.remove(str(variant))
                    break  # five dispatches a layer, and several tokens at once, wherever a fused one is right
                if lane := await self._samples.enter(sample, variant, until):
                    lanes.append(lane)
                    if len(lanes) == 1:
                        repeats, seconds = await self._samples.repeats(sample, lane)
                    else:
                        seconds = await self._samples.time(lane, repeats)
                    lane.times.append(seconds)
                    if str(variant) in untried:
                        untried.remove(str(variant))
                self._tell(1)
            if len(lanes) > 1:
                last_resort = {str(SIMPLE[role])}  # whatever it does
                await self._trials.begin({str(lane.variant) for lane in lanes} - last_resort)
            await self._time(lanes, repeats, until)
        finally:
            for lane in lanes:
                self._samples.end(lane)
        found = {str(lane.variant): statistics.median(lane.times) for lane in lanes}
        times = self._seconds.setdefault(sample.tokens, {})
        if str(before) in found:  # what earlier loads measured counts in the measure of this one
            now = found[str(before)] / times[str(before)]
            times |= {str(v): now * times[str(v)] for v in self._candidates[role] if str(v) in times}
        times |= found
        return {str(lane.variant): lane.answer for lane in lanes}

    async def _time(self, lanes: list[Contender], repeats: int, until: float) -> None:
        """Time variants in turns, each as often in one go, until they are told apart or the time is up."""
        for _ in range(ROUNDS - 1):
            if len(lanes) < 2 or self._clock() > until:
                break
            for lane in lanes:
                lane.times.append(await self._samples.time(lane, repeats))
            fastest = min(min(lane.times) for lane in lanes)
            lanes = [lane for lane in lanes if min(lane.times) <= SLOWER * fastest]

    async def _next(self, sample: Workload, waiting: Sequence[Variant]) -> Variant:
        """The likeliest winner that is compiled, or compiles by itself; the likeliest one where none is."""
        for variant in waiting:
            if str(variant) in self._trials.suspects:
                return variant
            with suppress(SottoError):  # told when it is its turn
                if await self._device.ready(*kernels(sample.plan(variant))[:2], 0):
                    return variant
        return waiting[0]

    def _together(self, candidates: Sequence[Variant]) -> list[Variant]:
        """Those that may compile beside others."""
        return [variant for variant in candidates if str(variant) not in self._trials.suspects]

    def _tell(self, more: int) -> None:
        self._done += more
        total = sum(len(self._candidates[role]) for tokens in self._tokens for role in self._races(tokens))
        self._progress(min(self._done, total), total)
