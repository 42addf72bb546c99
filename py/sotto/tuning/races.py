"""Races of kernel variants: which are right, and which of those is fastest, on the model's own weights and shapes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ..device import Device
from ..errors import OutOfMemory, SottoError
from ..models.recorder import Recorder
from ..plan.memory import Memory, kernels
from ..plan.plan import Plan
from ..plan.variants import SIMPLE, Job, Variant
from .comparison import Result
from .crash_log import CrashLog
from .findings import Findings
from .self_check import cover
from .trial import Contender, Trial, Workload

ROUNDS = 5
SLOWER = 1.25  # times the fastest: out after a round
WHOLE = 0.03  # seconds: where a token takes less, whole tokens are timed
AHEAD = 3  # candidates of a job that compile while the weights arrive
DECODE_ROWS, PREFILL_ROWS = 4096, 512  # of the head that are in a workload


class Races:
    """The races of one model's plans: of decoding among single tokens, of matmul and attention among chunks.

    Args:
        candidates: of each job, the likely winner first.
        sizes: tokens of the plans, 1 among them, ascending.
        findings: what was found before; what is found is added.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        device: Device,
        recorder: Recorder,
        memory: Memory,
        candidates: Mapping[Job, Sequence[Variant]],
        sizes: Sequence[int],
        findings: Findings,
        crash_log: CrashLog,
        trial: Trial,
        clock: Callable[[], float],
    ) -> None:
        self._device = device
        self._recorder = recorder
        self._memory = memory
        self._candidates = candidates
        self._sizes = sizes
        self._findings = findings
        self._crash_log = crash_log
        self._trial = trial
        self._clock = clock
        layers = cover(recorder.plan("kinds", 1, SIMPLE), lambda d: (d.kernel.name, d.constants))
        self._layers = tuple(sorted(layers[:1] if device.traits.few_cores else layers))

    def jobs(self, tokens: int) -> list[Job]:
        """The jobs in a plan that have more than one candidate."""
        return races(self._candidates, self._sizes, tokens, self._device)

    async def ahead(self) -> tuple[list[Plan], list[Plan]]:
        """What to compile while the weights arrive: before what the model itself needs, and after it."""
        first: list[Plan] = []
        then: list[Plan] = []
        names = set[str]()
        for tokens in self._sizes[:2]:
            short = workload = Workload(self._short(tokens), tokens, self._layers, 0, 1)
            if tokens == 1 and not self._device.traits.few_cores:
                workload = replace(short, recorder=self._recorder)  # whole tokens are timed, most likely
            for job in self.jobs(tokens):
                candidates = self._together(self._findings.open(tokens, job))
                if candidates:
                    first += [short.plan(SIMPLE[job]), workload.plan(SIMPLE[job])]
                for index, variant in enumerate(candidates[:AHEAD]):
                    with suppress(SottoError):  # told when it is its turn
                        (then if index else first).append(workload.plan(variant))
                        names |= {str(variant)} - {str(SIMPLE[job])}
        await self._crash_log.compile(names)
        return first, then

    async def run(self, until: float, tell: Callable[[int, int], None]) -> None:
        """Race what was not tried yet, until the time is up.

        Args:
            tell: told how many of how many candidates are done.
        """
        total = sum(len(self._candidates[job]) for tokens in self._sizes for job in self.jobs(tokens))
        done = 0

        def tried() -> None:
            nonlocal done
            done += 1
            tell(min(done, total), total)

        tell(0, total)
        expected = 0.0  # seconds of the workload with the simple kernels, where it can be told
        for index, tokens in enumerate(self._sizes):
            now = self._clock()
            left = self._sizes[index:]
            count = sum(any(self._findings.open(n, job) for job in self.jobs(n)) for n in left)
            end = now + (until - now) / max(count, 1)
            expected *= tokens / self._sizes[index - 1] if index else 0
            jobs = [job for job in self.jobs(tokens) if self._findings.open(tokens, job)]
            if jobs and max(2 * expected, 0) < end - now:
                with self._memory.temporary(), suppress(OutOfMemory):  # then what is untried stays so
                    expected = await self._size(tokens, jobs, end, tried)

    async def _size(self, tokens: int, jobs: Sequence[Job], until: float, tried: Callable[[], None]) -> float:
        """The races of one plan size. Returns the seconds of a chunk with the simple kernels."""
        workload = await self._workload(tokens, until)
        if workload is None:
            return 0.0
        expected = workload.seconds if tokens > 1 else 0.0
        for left, job in enumerate(reversed(jobs), 1):
            now = self._clock()
            end = now + (until - now) / (len(jobs) - left + 1)
            results = await self._race(workload, job, end, tried)
            best = self._findings.fastest(tokens, job)
            if best and str(best) in results:
                workload = replace(workload, choice=workload.choice.but(best), expected=results[str(best)])
        return expected

    async def _workload(self, tokens: int, until: float) -> Workload | None:
        """What is timed for a plan size, and what the simple kernels give for it; None without the time."""
        workload = await self._trial.begin(self._short(tokens), tokens, self._layers, until)
        everything = tuple(range(self._recorder.config.layers))
        if (
            workload
            and tokens == 1
            and workload.seconds * len(everything) / len(self._layers) < WHOLE
            and (whole := await self._trial.begin(self._recorder, tokens, everything, until))
        ):
            workload = whole
        for job in self.jobs(tokens)[1:]:  # the first race needs right kernels for the other jobs
            best = self._findings.fastest(tokens, job)
            for variant in (best,) if best else self._findings.open(tokens, job):
                if workload and (contender := await self._trial.enter(workload, variant, until)):
                    self._trial.end(contender)
                    choice = workload.choice.but(variant)
                    workload = replace(workload, choice=choice, expected=contender.result)
                    break
        return workload

    def _short(self, tokens: int) -> Recorder:
        """The model with a part of the head, which would be most of a workload."""
        rows = DECODE_ROWS if tokens == 1 else PREFILL_ROWS
        return replace(self._recorder, weights=self._recorder.weights.shortened(rows))

    async def _race(
        self, workload: Workload, job: Job, until: float, tried: Callable[[], None]
    ) -> Mapping[str, Result]:
        """Time the candidates of a job that were not tried yet, and beside them the fastest so far.

        Returns what each gave, by name.
        """
        tokens = workload.tokens
        contenders: list[Contender] = []
        repeats = 1
        before = self._findings.fastest(tokens, job)
        waiting = [*((before,) if before else ()), *self._findings.open(tokens, job)]
        for variant in self._together(waiting):
            with suppress(SottoError):  # told when it is its turn
                self._device.prepare(*kernels(workload.plan(variant))[:2])
        try:
            while waiting:
                variant = await self._next(workload, waiting)
                waiting.remove(variant)
                if job is Job.DECODE and variant == SIMPLE[job] and contenders:
                    self._findings.tried(tokens, variant)
                    break  # five dispatches a layer, and several tokens at once, wherever a fused one is right
                if contender := await self._trial.enter(workload, variant, until):
                    contenders.append(contender)
                    if len(contenders) == 1:
                        repeats, seconds = await self._trial.repeats(workload, contender)
                    else:
                        seconds = await self._trial.time(contender, repeats)
                    contender.times.append(seconds)
                    self._findings.tried(tokens, variant)
                tried()
            if len(contenders) > 1:
                last_resort = {str(SIMPLE[job])}  # whatever it does
                await self._crash_log.begin({str(c.variant) for c in contenders} - last_resort)
            await self._time(contenders, repeats, until)
        finally:
            for contender in contenders:
                self._trial.end(contender)
        found = {str(c.variant): statistics.median(c.times) for c in contenders}
        self._findings.timed(tokens, found, before)
        return {str(c.variant): c.result for c in contenders}

    async def _time(self, contenders: list[Contender], repeats: int, until: float) -> None:
        """Time variants in turns, each as often in one go, until they are told apart or the time is up."""
        for _ in range(ROUNDS - 1):
            if len(contenders) < 2 or self._clock() > until:
                break
            for contender in contenders:
                contender.times.append(await self._trial.time(contender, repeats))
            fastest = min(min(contender.times) for contender in contenders)
            contenders = [c for c in contenders if min(c.times) <= SLOWER * fastest]

    async def _next(self, workload: Workload, waiting: Sequence[Variant]) -> Variant:
        """The likeliest winner that is compiled, or compiles by itself; the likeliest one where none is."""
        for variant in waiting:
            if str(variant) in self._crash_log.suspects:
                return variant
            with suppress(SottoError):  # told when it is its turn
                if await self._device.ready(*kernels(workload.plan(variant))[:2], 0):
                    return variant
        return waiting[0]

    def _together(self, candidates: Sequence[Variant]) -> list[Variant]:
        """Those that may compile beside others."""
        return [variant for variant in candidates if str(variant) not in self._crash_log.suspects]


def races(
    candidates: Mapping[Job, Sequence[Variant]], sizes: Sequence[int], tokens: int, device: Device
) -> list[Job]:
    """The jobs in a plan of so many tokens that have more than one candidate."""
    jobs = (Job.DECODE,) if tokens == 1 else (Job.MATMUL, Job.ATTENTION)
    if device.traits.dear_compiler and tokens not in sizes[:2]:
        return []  # the larger chunks take what the smallest has shown
    return [job for job in jobs if len(candidates[job]) > 1]
